//! How good answers were, overall and group by group, beside the rivals.

use super::{Answers, Executions, Rival};
use crate::stats::robust::median;
use crate::units::Level;
use std::collections::BTreeMap;

/// The name of the engine among its rivals.
pub(crate) const MODEL: &str = "online";
/// Half-width of the band that counts as right: ±20 %.
const WITHIN: f64 = 0.2;

/// Errors of one model on the scored rows of one group.
#[derive(Debug, Clone, PartialEq)]
pub struct Score {
    /// The group's code, none for all together.
    pub group: Option<u32>,
    /// `online` or a rival.
    pub model: &'static str,
    /// Level of the interval.
    pub level: Level,
    /// Scored rows that it answered.
    pub n: u64,
    /// Share within ±20 %.
    pub in20: f64,
    /// Median of |error| / |actual|.
    pub mdape: f64,
    /// Σ|error| / Σ|actual|.
    pub wape: f64,
    /// Mean pinball loss of lower bound, point (as the median) and upper bound, in the target's unit; NaN without interval.
    pub pinball: f64,
    /// Share inside the interval; NaN without interval.
    pub coverage: f64,
    /// Median of upper / lower; NaN without interval.
    pub width: f64,
}

/// Which rows are scored: those after the burn-in whose group was known and whose outcome is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scored {
    /// (n_scored,) rows.
    pub rows: Vec<usize>,
    /// Rows of the burn-in.
    pub burn_in: usize,
    /// Rows after it whose outcome is unknown.
    pub unknown: usize,
    /// Rows after it whose group had never been seen.
    pub unseen: usize,
}

impl Scored {
    /// Sorts rows by start; the first `burn_in` (0-1) of those with an outcome are not scored.
    #[must_use]
    pub fn new(data: &Executions, answers: &Answers, burn_in: f64) -> Self {
        let mut known: Vec<usize> = (0..data.len()).filter(|row| data.outcome(*row).is_some()).collect();
        let unknown = data.len() - known.len();
        known.sort_by_key(|row| data.start.get(*row).copied());
        let first = known.len() as f64 * burn_in.clamp(0.0, 1.0);
        let n_known = known.len();
        let later = known.into_iter().enumerate().filter(|(at, _)| *at as f64 >= first).map(|(_, row)| row);
        let (seen, unseen): (Vec<usize>, Vec<usize>) =
            later.partition(|row| answers.n_seen.get(*row).is_some_and(|n_seen| *n_seen > 0));
        Self { burn_in: n_known - seen.len() - unseen.len(), unknown, unseen: unseen.len(), rows: seen }
    }
}

/// Scores of the engine and its rivals: all rows first, then by group in order of codes.
#[must_use]
pub fn scores(data: &Executions, answers: &Answers, rivals: &[Rival], scored: &Scored) -> Vec<Score> {
    let Answers { levels, point, lower, upper, .. } = answers;
    let online = Said { model: MODEL, point, lower, upper };
    let all: Vec<Said<'_>> = std::iter::once(online)
        .chain(rivals.iter().map(|rival| Said {
            model: rival.name,
            point: &rival.point,
            lower: &rival.lower,
            upper: &rival.upper,
        }))
        .collect();
    let mut groups: BTreeMap<u32, Vec<usize>> = BTreeMap::new();
    for row in &scored.rows {
        groups.entry(data.group.get(*row).copied().unwrap_or(crate::samples::UNKNOWN)).or_default().push(*row);
    }
    let mut out = Vec::new();
    let parts = std::iter::once((None, &scored.rows)).chain(groups.iter().map(|(group, rows)| (Some(*group), rows)));
    for (group, rows) in parts {
        for said in &all {
            for (at, level) in levels.iter().enumerate() {
                out.extend(said.score(data, rows, (at, *level, levels.len()), group));
            }
        }
    }
    out
}

/// Answers of one model.
struct Said<'a> {
    model: &'static str,
    point: &'a [f64],
    lower: &'a [f64],
    upper: &'a [f64],
}

impl Said<'_> {
    /// None where it answered no row.
    fn score(
        &self,
        data: &Executions,
        rows: &[usize],
        (at, level, n_levels): (usize, Level, usize),
        group: Option<u32>,
    ) -> Option<Score> {
        let (mut relative, mut widths) = (Vec::with_capacity(rows.len()), Vec::new());
        let (mut right, mut covered, mut error_sum, mut actual_sum, mut pinball) = (0_u64, 0_u64, 0.0, 0.0, 0.0);
        let tail = level.alpha() / 2.0;
        for row in rows {
            let (Some(actual), Some(point)) = (data.outcome(*row), self.point.get(*row)) else { continue };
            if point.is_nan() {
                continue;
            }
            let error = (point - actual).abs();
            right += u64::from(error <= WITHIN * actual.abs());
            relative.push(if error > 0.0 { error / actual.abs() } else { 0.0 });
            error_sum += error;
            actual_sum += actual.abs();
            let cell = row * n_levels + at;
            if let (Some(lower), Some(upper)) = (self.lower.get(cell), self.upper.get(cell)) {
                covered += u64::from(*lower <= actual && actual <= *upper);
                widths.push(if upper > lower { upper / lower.max(0.0) } else { 1.0 });
                let losses = [(*lower, tail), (*point, 0.5), (*upper, 1.0 - tail)];
                pinball += losses.iter().map(|(said, share)| loss(actual, *said, *share)).sum::<f64>() / 3.0;
            }
        }
        let n = relative.len();
        let mean = |sum: f64| if widths.is_empty() { f64::NAN } else { sum / widths.len() as f64 };
        (n > 0).then(|| Score {
            group,
            model: self.model,
            level,
            n: n as u64,
            in20: right as f64 / n as f64,
            mdape: median(&mut relative),
            wape: error_sum / actual_sum,
            pinball: mean(pinball),
            coverage: mean(covered as f64),
            width: median(&mut widths.clone()),
        })
    }
}

fn loss(actual: f64, said: f64, share: f64) -> f64 {
    let gap = actual - said;
    if gap >= 0.0 { share * gap } else { (share - 1.0) * gap }
}
