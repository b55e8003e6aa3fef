//! Which steps could wait for which: what no recorded run contradicts.

use super::timeline::{Task, Timeline};
use serde::{Deserialize, Serialize};

/// For which tasks of another step a task waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Relation {
    /// Those of the same tag.
    Same,
    /// Those whose tag is a part of its own, or that its own is a part of.
    Related,
    /// All.
    All,
}

impl Relation {
    /// Narrowest first.
    const EACH: [Self; 3] = [Self::Same, Self::Related, Self::All];

    /// The word for it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Same => "same",
            Self::Related => "related",
            Self::All => "all",
        }
    }
}

/// A relation between two steps, by their codes, that no run contradicts.
#[derive(Debug)]
pub(super) struct Consistent {
    pub(super) before: usize,
    pub(super) after: usize,
    pub(super) relation: Relation,
    /// By run that has both steps: when what each task of `after` would wait for had ended, in the order of the tasks.
    pub(super) ended_ms: Vec<(usize, Vec<f64>)>,
}

impl Consistent {
    pub(super) fn in_run(&self, run: usize) -> Option<&[f64]> {
        let at = self.ended_ms.binary_search_by_key(&run, |(run, _)| *run).ok()?;
        Some(&self.ended_ms[at].1)
    }
}

/// Clocks round to the millisecond.
pub(super) const CLOCK_MS: f64 = 1.0;

/// All relations of one step `after` that hold in every run; where a wider one waits for the same ends as a narrower one, the
/// narrower. By `before`, then narrowest first.
pub(super) fn consistent(runs: &[Timeline], n_steps: usize, after: usize) -> Vec<Consistent> {
    // Steps that take no time can each be before the other; nothing follows from that.
    let is_before_it =
        |before: usize| Relation::EACH.iter().any(|relation| ends(runs, after, before, *relation).is_some());
    let others = (0..n_steps).filter(|before| *before != after);
    let of_pairs = others.map(|before| of_pair(runs, before, after)).filter(|found| !found.is_empty());
    of_pairs.filter(|found| !is_before_it(found[0].before)).flatten().collect()
}

fn of_pair(runs: &[Timeline], before: usize, after: usize) -> Vec<Consistent> {
    let mut found: Vec<Consistent> = Vec::new();
    for relation in Relation::EACH {
        let Some(ended_ms) = ends(runs, before, after, relation) else { continue };
        if found.iter().all(|narrower| narrower.ended_ms != ended_ms) {
            found.push(Consistent { before, after, relation, ended_ms });
        }
    }
    found
}

fn ends(runs: &[Timeline], before: usize, after: usize, relation: Relation) -> Option<Vec<(usize, Vec<f64>)>> {
    let both =
        runs.iter().enumerate().filter(|(_, run)| !(run.tasks[before].is_empty() || run.tasks[after].is_empty()));
    let ends = both.map(|(at, run)| Some((at, ends_in(run, before, after, relation)?))).collect::<Option<Vec<_>>>()?;
    (!ends.is_empty()).then_some(ends)
}

/// None where a task was submitted before what it would wait for had ended, or nothing is there that it could wait for.
fn ends_in(run: &Timeline, before: usize, after: usize, relation: Relation) -> Option<Vec<f64>> {
    let last_ms = run.last_ended_ms(before);
    let ended = |task: &Task| match (relation_in(run, before, after, relation), task.tag) {
        (Relation::Same, Some(tag)) => run.same_tag_ended(before, tag),
        (Relation::Related, Some(tag)) => run.related_tag_ended(before, tag),
        _ => Some(last_ms),
    };
    let before_it = |task: &Task| ended(task).filter(|ms| *ms <= task.submitted_ms + CLOCK_MS);
    run.tasks[after].iter().map(before_it).collect()
}

/// Where a step has one task, all wait for it, or it for all.
pub(super) fn relation_in(run: &Timeline, before: usize, after: usize, relation: Relation) -> Relation {
    if run.tasks[before].len() == 1 || run.tasks[after].len() == 1 { Relation::All } else { relation }
}
