//! Daily means of what all executions of a step did, and of what was known of them before they started.

use super::executions::{Day, Executions, Status};
use crate::pure::levels::{DayLevels, LevelCell, MeanSize, Outcome};
use crate::pure::samples::{UNKNOWN, Vocabulary};
use crate::pure::stats::rank::MAD_TO_SIGMA;
use crate::pure::stats::robust::median_and_mad;
use std::collections::BTreeMap;

/// From so many executions on, the spread of a day tells outliers from others.
const MIN_TO_CLIP: usize = 8;
/// Outcomes farther than this many robust standard deviations from the day's median are drawn in to there.
const CLIP_SIGMAS: f64 = 3.0;

/// The cells of a day, their words in `words`.
#[must_use]
pub(super) fn day_levels(day: &Day, words: &mut Vocabulary) -> DayLevels {
    let rows = &day.steps;
    let mut groups: BTreeMap<[u32; 3], Vec<usize>> = BTreeMap::new();
    for i in (0..rows.len()).filter(|&i| rows.status[i] == Status::Succeeded && !rows.cache_hit[i]) {
        groups.entry([rows.workflow_id[i], rows.workflow_type[i], rows.step[i]]).or_default().push(i);
    }
    let mut levels = DayLevels::default();
    let mut code = |own: u32| words.intern_opt(day.vocabulary.word(own));
    for (place, members) in groups {
        let [workflow_id, workflow_type, step] = place.map(&mut code);
        for (outcome, column) in [(Outcome::DurationMs, &rows.duration_ms), (Outcome::MemoryMb, &rows.memory_mb)] {
            let known: Vec<usize> =
                members.iter().copied().filter(|&i| column[i] > 0.0 && column[i].is_finite()).collect();
            if known.is_empty() {
                continue;
            }
            let [n_providers, n_platforms] = [&rows.provider, &rows.platform].map(|column| {
                let shares = shares(column, &known);
                levels.mix.extend(shares.iter().map(|&(own, n)| (code(own), n)));
                count(shares.len())
            });
            levels.cells.push(LevelCell {
                workflow_id,
                workflow_type,
                step,
                outcome,
                n: count(known.len()),
                mean_log: mean_log(&known, column),
                sizes: sizes(rows, &known),
                n_providers,
                n_platforms,
            });
        }
    }
    levels
}

fn count(n: usize) -> u32 {
    u32::try_from(n).unwrap_or(u32::MAX)
}

/// Executions by each known code.
fn shares(column: &[u32], members: &[usize]) -> Vec<(u32, u32)> {
    let mut shares: Vec<(u32, u32)> = Vec::new();
    for own in members.iter().map(|&i| column[i]).filter(|&own| own != UNKNOWN) {
        match shares.iter_mut().find(|(other, _)| *other == own) {
            Some((_, n)) => *n += 1,
            None => shares.push((own, 1)),
        }
    }
    shares.sort_unstable();
    shares
}

fn mean_log(members: &[usize], column: &[f64]) -> f32 {
    let mut logs: Vec<f64> = members.iter().map(|&i| column[i].ln()).collect();
    if logs.len() >= MIN_TO_CLIP {
        let (middle, mad) = median_and_mad(&mut logs.clone());
        let reach = CLIP_SIGMAS * MAD_TO_SIGMA * mad;
        if reach > 0.0 {
            logs.iter_mut().for_each(|log| *log = log.clamp(middle - reach, middle + reach));
        }
    }
    mean(logs.iter().copied())
}

fn sizes(rows: &Executions, members: &[usize]) -> [MeanSize; 2] {
    [&rows.input_bytes, &rows.tokens_in].map(|column| {
        let logs = || members.iter().map(|&i| column[i]).filter(|size| *size > 0.0 && size.is_finite()).map(f64::ln);
        MeanSize { n: count(logs().count()), mean_log: mean(logs()) }
    })
}

/// 0 of nothing.
#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    reason = "logarithms of what a double can hold"
)]
fn mean(values: impl Iterator<Item = f64>) -> f32 {
    let (sum, n) = values.fold((0.0, 0_u64), |(sum, n), value| (sum + value, n + 1));
    (sum / n.max(1) as f64) as f32
}
