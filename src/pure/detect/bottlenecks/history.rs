//! What is known of one workflow: its runs, the executions of its steps, and what was learned about their series.

use crate::analysis::Analysis;
use crate::graph::RunGraph;
use crate::keys::KeyStream;
use crate::outcomes::DayOutcomes;
use crate::samples::{Kill, Samples};
use crate::series::{Metric, SeriesKey};
use std::collections::{BTreeMap, HashMap};

/// One workflow's part of everything.
pub(crate) struct History<'a> {
    pub(crate) workflow_id: &'a str,
    pub(crate) workflow_type: &'a str,
    pub(crate) graphs: Vec<&'a RunGraph>,
    /// Executions by derived step.
    pub(crate) steps: BTreeMap<&'a str, Executions<'a>>,
    /// What its runs came to, oldest day first; its steps are words of `samples`.
    pub(crate) outcomes: Vec<&'a DayOutcomes>,
    analyses: BTreeMap<(Option<&'a str>, Metric), &'a Analysis>,
}

/// Executions of one step that succeeded, oldest first, and those that were killed for their memory.
#[derive(Clone)]
pub(crate) struct Executions<'a> {
    pub(crate) samples: &'a Samples,
    pub(crate) rows: Vec<u32>,
    pub(crate) kills: Vec<Kill>,
    /// Rows of [`Samples::unfinished`]: those that did not succeed, or not yet.
    pub(crate) unfinished: Vec<u32>,
    /// All that were asked for under a cache key, if any were.
    pub(crate) keys: Option<&'a KeyStream>,
}

/// What some executions cost together (USD).
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Cost {
    pub(crate) n: usize,
    pub(crate) sum: f64,
}

impl Cost {
    pub(crate) fn mean(self) -> Option<f64> {
        (self.n > 0).then(|| self.sum / self.n as f64)
    }
}

impl<'a> History<'a> {
    /// All workflows that appear in graphs or samples, by name.
    pub(crate) fn collect(graphs: &'a [RunGraph], samples: &'a Samples, analyses: &'a [Analysis]) -> Vec<Self> {
        let mut histories: BTreeMap<&str, Self> = BTreeMap::new();
        for graph in graphs {
            Self::at(&mut histories, &graph.workflow_id, &graph.workflow_type).graphs.push(graph);
        }
        for (workflow, workflow_type, step, rows, kills) in rows_by_step(samples) {
            let history = Self::at(&mut histories, workflow, workflow_type);
            let code = |word: &str| samples.vocabulary.code(word);
            let keys = code(workflow).zip(code(step)).and_then(|place| samples.keys.get(&place));
            history.steps.insert(step, Executions { samples, rows, kills, unfinished: Vec::new(), keys });
        }
        Self::add_unsuccessful(&mut histories, samples);
        for analysis in analyses {
            let SeriesKey { workflow_id, step, metric, .. } = &analysis.key;
            if let Some(history) = histories.get_mut(workflow_id.as_str()) {
                history.analyses.insert((step.as_deref(), *metric), analysis);
            }
        }
        histories.into_values().collect()
    }

    fn at<'m>(all: &'m mut BTreeMap<&'a str, Self>, id: &'a str, workflow_type: &'a str) -> &'m mut Self {
        all.entry(id).or_insert_with(|| Self {
            workflow_id: id,
            workflow_type,
            graphs: Vec::new(),
            steps: BTreeMap::new(),
            outcomes: Vec::new(),
            analyses: BTreeMap::new(),
        })
    }

    /// What did not succeed of the workflows and steps that are there already.
    fn add_unsuccessful(histories: &mut BTreeMap<&str, Self>, samples: &'a Samples) {
        let word = |code: u32| samples.vocabulary.word(code);
        for day in &samples.outcomes {
            if let Some(history) = word(day.workflow_id).and_then(|workflow| histories.get_mut(workflow)) {
                history.outcomes.push(day);
            }
        }
        let Some(unfinished) = samples.unfinished.as_deref() else { return };
        for (row, (&workflow, &step)) in (0..).zip(unfinished.workflow_id.iter().zip(&unfinished.step)) {
            let history = word(workflow).and_then(|workflow| histories.get_mut(workflow));
            if let Some((history, step)) = history.zip(word(step))
                && let Some(executions) = history.steps.get_mut(step)
            {
                executions.unfinished.push(row);
            }
        }
    }

    /// Start of the earliest of the latest `n` runs; none where there are none.
    pub(crate) fn recent_since_us(&self, n: usize) -> Option<i64> {
        let mut starts: Vec<i64> = self.graphs.iter().map(|graph| graph.started_us).collect();
        starts.sort_unstable_by(|a, b| b.cmp(a));
        starts.truncate(n);
        starts.last().copied()
    }

    pub(crate) fn analysis(&self, step: Option<&str>, metric: Metric) -> Option<&'a Analysis> {
        self.analyses.get(&(step, metric)).copied()
    }

    /// What the executions that started since then cost together, as far as costs are known.
    pub(crate) fn cost_since(&self, since_us: i64) -> f64 {
        self.steps.values().map(|executions| executions.cost_since(since_us).sum).sum()
    }

    /// The published row that shows a metric of a step: its baseline where there is one, else its rollups.
    pub(crate) fn evidence(&self, step: Option<&str>, metric: Metric) -> String {
        let key = SeriesKey {
            workflow_id: self.workflow_id.to_owned(),
            workflow_type: self.workflow_type.to_owned(),
            step: step.map(str::to_owned),
            metric,
        };
        let table = if self.analysis(step, metric).is_some_and(|found| found.baseline.is_some()) {
            "baselines"
        } else {
            "rollups"
        };
        format!("{table}:{key}")
    }
}

/// Workflow, its type, step, rows, kills.
type OfStep<'a> = (&'a str, &'a str, &'a str, Vec<u32>, Vec<Kill>);
/// Code of the workflow's type, rows, kills.
type Coded = (u32, Vec<u32>, Vec<Kill>);

/// Rows keep the order of the samples, which is that of time.
fn rows_by_step(samples: &Samples) -> Vec<OfStep<'_>> {
    let mut groups: HashMap<(u32, u32), Coded> = HashMap::new();
    let keys = samples.workflow_id.iter().copied().zip(samples.step.iter().copied());
    for ((row, key), kind) in (0..).zip(keys).zip(&samples.workflow_type) {
        groups.entry(key).or_insert_with(|| (*kind, Vec::new(), Vec::new())).1.push(row);
    }
    for kill in &samples.kills {
        let new = || (kill.workflow_type, Vec::new(), Vec::new());
        groups.entry((kill.workflow_id, kill.step)).or_insert_with(new).2.push(*kill);
    }
    let word = |code: u32| samples.vocabulary.word(code);
    let named = groups.into_iter().filter_map(|((workflow, step), (kind, rows, kills))| {
        let workflow = word(workflow)?;
        Some((workflow, word(kind).unwrap_or(workflow), word(step)?, rows, kills))
    });
    let mut named: Vec<OfStep<'_>> = named.collect();
    named.sort_unstable_by(|a, b| (a.0, a.2).cmp(&(b.0, b.2)));
    named
}

impl Executions<'_> {
    /// A measure of one execution; NaN where it is unknown.
    pub(crate) fn get(&self, column: &[f64], row: u32) -> f64 {
        column.get(row as usize).copied().unwrap_or(f64::NAN)
    }

    pub(crate) fn cached(&self, row: u32) -> bool {
        self.samples.cache_hit.get(row as usize).copied().unwrap_or(false)
    }

    pub(crate) fn started_us(&self, row: u32) -> i64 {
        self.samples.started_us.get(row as usize).copied().unwrap_or(i64::MIN)
    }

    pub(crate) fn duration_ms(&self, row: u32) -> f64 {
        self.get(&self.samples.duration_ms, row)
    }

    /// Executions that really ran and whose duration is a positive number.
    pub(crate) fn measured(&self) -> impl DoubleEndedIterator<Item = u32> + '_ {
        let ran = |row: &u32| !self.cached(*row) && self.duration_ms(*row) > 0.0 && self.duration_ms(*row).is_finite();
        self.rows.iter().copied().filter(ran)
    }

    /// The latest `n` executions that really ran, oldest first.
    pub(crate) fn latest(&self, n: usize) -> Vec<u32> {
        let mut rows: Vec<u32> = self.measured().rev().take(n).collect();
        rows.reverse();
        rows
    }

    /// What those that started since then cost, as far as that is known.
    pub(crate) fn cost_since(&self, since_us: i64) -> Cost {
        let recent = self.measured().rev().take_while(|row| self.started_us(*row) >= since_us);
        let known = recent.map(|row| self.get(&self.samples.cost_usd, row)).filter(|usd| usd.is_finite());
        known.fold(Cost::default(), |cost, usd| Cost { n: cost.n + 1, sum: cost.sum + usd })
    }

    /// Start of the latest execution; the beginning of time where there is none.
    pub(crate) fn latest_start_us(&self) -> i64 {
        self.rows.last().map_or(i64::MIN, |row| self.started_us(*row))
    }
}
