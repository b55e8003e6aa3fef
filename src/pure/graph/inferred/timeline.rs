//! One run as its tasks were submitted and ended.

use super::super::RunGraph;
use std::collections::{BTreeMap, HashMap};

/// An execution that took place in this run.
#[derive(Debug, Clone, Copy)]
pub(super) struct Task {
    /// Position in [`RunGraph::nodes`].
    pub(super) node: u32,
    /// Which of the run's tags it bears; none where it is the step's only task.
    pub(super) tag: Option<u32>,
    pub(super) submitted_ms: f64,
    pub(super) ended_ms: f64,
}

/// One in so many executions may lack the time of its submission.
const MOST_UNKNOWN: usize = 10;

/// All vectors by step: (n_steps,), empty for steps that the run doesn't have.
#[derive(Debug)]
pub(super) struct Timeline {
    pub(super) tasks: Vec<Vec<Task>>,
    last_ended_ms: Vec<f64>,
    /// By tag, when the last of a step's tasks that bear it ended.
    ended_by_tag: Vec<HashMap<u32, f64>>,
    /// By tag, the tags of which it is a part or that are a part of it, itself among them.
    related: Vec<Vec<u32>>,
    submitted_ms: Vec<f64>,
    ended_ms: Vec<f64>,
}

impl Timeline {
    /// None where the run tells too little: an execution without its times, more than one in ten without that of its
    /// submission, or none at all. Executions that a cache answered are left out.
    pub(super) fn of(graph: &RunGraph, steps: &BTreeMap<&str, usize>) -> Option<Self> {
        let took_place = || (0_u32..).zip(&graph.nodes).filter(|(_, node)| !node.cached);
        let n_unknown = took_place().filter(|(_, node)| node.submitted_ms.is_none()).count();
        if n_unknown * MOST_UNKNOWN > took_place().count() {
            return None;
        }
        let mut tags = Tags::default();
        let mut tasks: Vec<Vec<Task>> = vec![Vec::new(); steps.len()];
        for (id, node) in took_place() {
            let start_ms = node.start_ms?;
            // Clocks that round can put a start before its submission, which is unknown then. Its start is no sooner.
            let submitted_ms = node.submitted_ms.unwrap_or(start_ms);
            let ended_ms = node.ended_ms.unwrap_or(start_ms + node.duration_ms);
            if !(submitted_ms.is_finite() && ended_ms.is_finite()) {
                return None;
            }
            let tag = node.step_id.split_once('/').map(|(_, tag)| tags.code(tag));
            tasks.get_mut(*steps.get(&*node.step)?)?.push(Task { node: id, tag, submitted_ms, ended_ms });
        }
        for alone in tasks.iter_mut().filter(|tasks| tasks.len() == 1) {
            alone.iter_mut().for_each(|task| task.tag = None);
        }
        let sorted = |of: fn(&Task) -> f64| {
            let mut instants: Vec<f64> = tasks.iter().flatten().map(of).collect();
            instants.sort_by(f64::total_cmp);
            instants
        };
        let (submitted_ms, ended_ms) = (sorted(|task| task.submitted_ms), sorted(|task| task.ended_ms));
        let ended_by_tag = tasks.iter().map(|tasks| ended_by_tag(tasks)).collect();
        let last = |tasks: &Vec<Task>| tasks.iter().map(|task| task.ended_ms).fold(f64::NEG_INFINITY, f64::max);
        let last_ended_ms = tasks.iter().map(last).collect();
        let related = tags.related();
        let is_empty = submitted_ms.is_empty();
        (!is_empty).then_some(Self { tasks, last_ended_ms, ended_by_tag, related, submitted_ms, ended_ms })
    }

    /// When the first task was submitted.
    pub(super) fn first_ms(&self) -> f64 {
        self.submitted_ms.first().copied().unwrap_or(0.0)
    }

    /// Tasks submitted and not yet ended just before `ms`.
    pub(super) fn in_flight_before(&self, ms: f64) -> usize {
        let before = |instants: &[f64]| instants.partition_point(|at| *at < ms);
        before(&self.submitted_ms).saturating_sub(before(&self.ended_ms))
    }

    /// The most tasks that were in flight at once.
    pub(super) fn most_in_flight(&self) -> usize {
        self.ended_ms.iter().map(|ms| self.in_flight_before(*ms)).max().unwrap_or(0)
    }

    /// When the last task of `step` ended; before all times where the run lacks it.
    pub(super) fn last_ended_ms(&self, step: usize) -> f64 {
        self.last_ended_ms[step]
    }

    /// When the last task of `step` with exactly this tag ended.
    pub(super) fn same_tag_ended(&self, step: usize, tag: u32) -> Option<f64> {
        self.ended_by_tag[step].get(&tag).copied()
    }

    /// When the last task of `step` with a related tag ended.
    pub(super) fn related_tag_ended(&self, step: usize, tag: u32) -> Option<f64> {
        let ended = &self.ended_by_tag[step];
        self.related[tag as usize].iter().filter_map(|tag| ended.get(tag).copied()).reduce(f64::max)
    }

    /// The tags that are related to `tag`, itself among them.
    pub(super) fn related_to(&self, tag: u32) -> &[u32] {
        &self.related[tag as usize]
    }
}

fn ended_by_tag(tasks: &[Task]) -> HashMap<u32, f64> {
    let mut ended = HashMap::new();
    for task in tasks {
        if let Some(tag) = task.tag {
            let last = ended.entry(tag).or_insert(f64::NEG_INFINITY);
            *last = task.ended_ms.max(*last);
        }
    }
    ended
}

/// Numbers for the tags of one run.
#[derive(Default)]
struct Tags<'a> {
    codes: HashMap<&'a str, u32>,
}

impl<'a> Tags<'a> {
    fn code(&mut self, tag: &'a str) -> u32 {
        let next = self.codes.len() as u32;
        *self.codes.entry(tag).or_insert(next)
    }

    /// `sample1` and `sample1-chr2` are related, `sample1` and `sample10` are not: a part ends where no letter or digit follows.
    fn related(&self) -> Vec<Vec<u32>> {
        let mut related: Vec<Vec<u32>> = (0..self.codes.len() as u32).map(|code| vec![code]).collect();
        for (&tag, &code) in &self.codes {
            let cuts = tag.char_indices().filter(|(at, letter)| *at > 0 && !letter.is_alphanumeric());
            for part in cuts.filter_map(|(at, _)| self.codes.get(&tag[..at]).copied()) {
                related[code as usize].push(part);
                related[part as usize].push(code);
            }
        }
        related.iter_mut().for_each(|codes| codes.sort_unstable());
        related
    }
}
