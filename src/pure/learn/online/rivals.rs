//! What anybody could have answered: rivals that are walked through the same history in the same order.

use super::Executions;
use super::events::{Event, Order, events};
use super::scale::feature;
use crate::learn::backtest::RunningMedian;
use crate::stats::robust::median;
use crate::units::Level;

/// Executions that the size line and its interval remember of a group.
const MEMORY: usize = 512;
/// Neighbours in size whose residuals correct the line.
const NEIGHBOURS: usize = 5;
/// A line needs this many executions; before, the median stands.
const LINE_FROM: usize = 3;
/// Growth that is believed, in powers of the size.
const SLOPES: (f64, f64) = (0.0, 1.5);
/// A group's own scores are used from so many on, those of all before.
const OWN_SCORES: usize = 10;
/// Step of the adaptive conformal interval.
const STEP: f64 = 0.02;

/// A rival's answers.
#[derive(Debug, Clone, PartialEq)]
pub struct Rival {
    /// `global_median`, `step_median`, `last_run`, `size_line`.
    pub name: &'static str,
    /// (n_rows,) NaN where it has nothing to say.
    pub point: Vec<f64>,
    /// (n_rows · n_levels,) as in [`super::Answers`]; empty where it gives none.
    pub lower: Vec<f64>,
    /// (n_rows · n_levels,)
    pub upper: Vec<f64>,
}

/// All rivals.
pub type Rivals = Vec<Rival>;

/// Walks the rivals: the median of all that had ended, of the group, the group's last value, and, where there is a
/// numeric feature, a line of logarithms over the first one for each group, corrected by the median residual of the
/// five nearest in size, with an adaptive conformal interval (Gibbs & Candès 2021). `levels` in ascending order.
#[must_use]
pub fn rivals(data: &Executions, order: Order, levels: &[Level]) -> Rivals {
    let n = data.len();
    let (mut global_median, mut step_median, mut last_run) = (vec![f64::NAN; n], vec![f64::NAN; n], vec![f64::NAN; n]);
    let n_groups = data.n_groups();
    let mut all = RunningMedian::default();
    let mut groups: Vec<(RunningMedian, f64)> = (0..n_groups).map(|_| (RunningMedian::default(), f64::NAN)).collect();
    for event in events(&data.start, &data.end, order) {
        match event {
            Event::Predict(row) => {
                let group = groups.get(data.group_at(row, n_groups));
                set(&mut global_median, row, all.get().unwrap_or(f64::NAN));
                set(&mut step_median, row, group.and_then(|(median, _)| median.get()).unwrap_or(f64::NAN));
                set(&mut last_run, row, group.map_or(f64::NAN, |(_, last)| *last));
            }
            Event::Learn(row) => {
                let (Some(target), Some(group)) = (data.outcome(row), groups.get_mut(data.group_at(row, n_groups)))
                else {
                    continue;
                };
                all.push(target);
                group.0.push(target);
                group.1 = target;
            }
        }
    }
    let pointwise = |name, point| Rival { name, point, lower: Vec::new(), upper: Vec::new() };
    let simple = [("global_median", global_median), ("step_median", step_median), ("last_run", last_run)];
    let simple = simple.map(|(name, point)| pointwise(name, point));
    simple.into_iter().chain(size_line(data, order, levels)).collect()
}

fn set(column: &mut [f64], row: usize, value: f64) {
    if let Some(slot) = column.get_mut(row) {
        *slot = value;
    }
}

/// What the size line knows of a group: log sizes and log targets, and how far it was off.
#[derive(Debug, Clone, Default)]
struct Sized {
    known: Latest<(f64, f64)>,
    scores: Latest<f64>,
}

/// The latest values, oldest first.
#[derive(Debug, Clone)]
struct Latest<T>(Vec<T>);

impl<T> Default for Latest<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T> Latest<T> {
    fn push(&mut self, value: T) {
        if self.0.len() == 2 * MEMORY {
            self.0.drain(..MEMORY);
        }
        self.0.push(value);
    }

    fn get(&self) -> &[T] {
        self.0.get(self.0.len().saturating_sub(MEMORY)..).unwrap_or_default()
    }
}

fn size_line(data: &Executions, order: Order, levels: &[Level]) -> Option<Rival> {
    let sizes = data.numeric.first()?;
    let (n, n_levels, n_groups) = (data.len(), levels.len(), data.n_groups());
    let mut rival = Rival {
        name: "size_line",
        point: vec![f64::NAN; n],
        lower: vec![f64::NAN; n * n_levels],
        upper: vec![f64::NAN; n * n_levels],
    };
    let mut groups: Vec<Sized> = vec![Sized::default(); n_groups];
    let mut scores = Latest::default();
    let mut missed: Vec<f64> = levels.iter().map(|level| level.alpha()).collect();
    for event in events(&data.start, &data.end, order) {
        let (row, target) = match event {
            Event::Predict(row) => (row, None),
            Event::Learn(row) => (row, data.outcome(row).filter(|target| *target > 0.0)),
        };
        let Some(group) = groups.get_mut(data.group_at(row, n_groups)) else { continue };
        let size = sizes.get(row).map_or(0.0, |size| feature(*size).max(0.0));
        if let Event::Predict(_) = event {
            let Some(log) = line(group.known.get(), size) else { continue };
            set(&mut rival.point, row, log.exp());
            let own = if group.scores.get().len() >= OWN_SCORES { group.scores.get() } else { scores.get() };
            for (at, missed) in missed.iter().enumerate() {
                let reach = score_quantile(own, *missed);
                set(&mut rival.lower, row * n_levels + at, (log - reach).exp());
                set(&mut rival.upper, row * n_levels + at, (log + reach).exp());
            }
        } else if let Some(target) = target {
            let score = rival.point.get(row).map_or(f64::NAN, |point| (target / point).ln().abs());
            if score.is_finite() {
                for ((missed, level), at) in missed.iter_mut().zip(levels).zip(row * n_levels..) {
                    let inside = rival.lower.get(at).is_some_and(|lower| *lower <= target)
                        && rival.upper.get(at).is_some_and(|upper| target <= *upper);
                    *missed += STEP * (level.alpha() - if inside { 0.0 } else { 1.0 });
                }
                group.scores.push(score);
                scores.push(score);
            }
            group.known.push((size, target.ln()));
        }
    }
    Some(rival)
}

/// The line at `size`, with its neighbours' correction. None without executions.
fn line(known: &[(f64, f64)], size: f64) -> Option<f64> {
    let n = known.len() as f64;
    let (x, y) = known.iter().fold((0.0, 0.0), |sum, (x, y)| (sum.0 + x / n, sum.1 + y / n));
    let (mut xx, mut xy) = (0.0, 0.0);
    for (known_x, known_y) in known {
        xx += (known_x - x) * (known_x - x);
        xy += (known_x - x) * (known_y - y);
    }
    let slope = if known.len() < LINE_FROM || xx <= 1e-12 { 0.0 } else { (xy / xx).clamp(SLOPES.0, SLOPES.1) };
    let mut near: Vec<(f64, f64)> = known.iter().map(|(x, y)| ((x - size).abs(), y + slope * (size - x))).collect();
    if near.len() > NEIGHBOURS {
        near.select_nth_unstable_by(NEIGHBOURS - 1, |a, b| a.0.total_cmp(&b.0).then(a.1.total_cmp(&b.1)));
        near.truncate(NEIGHBOURS);
    }
    let mut said: Vec<f64> = near.into_iter().map(|(_, said)| said).collect();
    Some(median(&mut said)).filter(|said| said.is_finite())
}

/// The conformal quantile of scores; before there are any, a factor of e.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "ranks lie in 1..=n")]
fn score_quantile(scores: &[f64], missed: f64) -> f64 {
    let mut scores = scores.to_vec();
    let Some(last) = scores.len().checked_sub(1) else { return 1.0 };
    let rank = ((1.0 - missed.clamp(0.0, 1.0)) * (scores.len() as f64 + 1.0)).ceil() as usize;
    *scores.select_nth_unstable_by(rank.saturating_sub(1).min(last), f64::total_cmp).1
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn a_line_of_three_points_is_followed_and_two_give_their_median() {
        let known = [(1.0, 2.0), (2.0, 3.0), (4.0, 5.0)];
        assert!((line(&known, 3.0).unwrap() - 4.0).abs() < 1e-12);
        assert!((line(&known[..2], 9.0).unwrap() - 2.5).abs() < 1e-12);
        assert!(line(&[], 1.0).is_none());
    }

    #[test]
    fn rivals_know_only_what_had_ended() {
        let data = Executions {
            group: vec![0, 0, 1, 0],
            numeric: vec![vec![1.0; 4]],
            categorical: Vec::new(),
            target: vec![4.0, 8.0, 100.0, 5.0],
            start: vec![0, 1, 2, 10],
            end: vec![Some(5), Some(6), Some(11), Some(20)],
        };
        let rivals = rivals(&data, Order::Start, &[Level::new(0.9).unwrap()]);
        let last = rivals.iter().map(|rival| (rival.name, rival.point[3])).collect::<Vec<_>>();
        assert_eq!(last[..3], [("global_median", 6.0), ("step_median", 6.0), ("last_run", 8.0)]);
        assert!((last[3].1 - 32.0_f64.sqrt()).abs() < 1e-9, "the median of logarithms of 4 and 8");
        assert!(rivals.iter().all(|rival| rival.point[..3].iter().all(|point| point.is_nan())));
    }
}
