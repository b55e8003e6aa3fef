//! Like-with-like comparison of providers, platforms and versions.
//!
//! Within each step of a workflow type, the logarithm of duration (or money) is regressed on the compared dimension,
//! the logarithm of the input's size and the other dimension, robustly; the steps' contrasts are then averaged by precision
//! with a random effect between steps (DerSimonian and Laird 1986). Runs share what no column tells (the hour, the
//! machine), so the sampling error is taken over clusters of executions that started together, not over executions.
//!
//! Where the other dimension can't be told apart (each provider on a platform of its own), a ratio includes its effect.

mod fit;
mod pool;

use crate::samples::{Samples, UNKNOWN};
use crate::units::{Interval, Level};
use fit::{Execution, Shape, StepFit};
use pool::{Clusters, Contrast};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, HashMap};

/// Values of a dimension that are told apart within a workflow type; rarer ones count as one, which is not compared.
const MAX_VALUES: usize = 24;
/// Share of a step's executions that must know their size for sizes to count; the others are left out then.
const KNOWN_SIZES: f64 = 0.9;

/// One pair of values of a dimension within one workflow type.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Comparison {
    /// The workflow type within which executions are alike.
    pub workflow_type: String,
    /// `provider` or `platform`.
    pub dimension: &'static str,
    /// First value.
    pub a: String,
    /// Second value.
    pub b: String,
    /// `execution_time` or `cost`.
    pub metric: &'static str,
    /// Geometric mean ratio b / a over like executions (same step, same size).
    pub ratio: f64,
    /// Interval of `ratio`.
    pub interval: Interval,
    /// Executions with `a`.
    pub n_a: u64,
    /// Executions with `b`.
    pub n_b: u64,
}

/// What can be compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Dimension {
    /// Who executed.
    Provider,
    /// Where it ran.
    Platform,
}

impl Dimension {
    /// The name used in published tables.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Provider => "provider",
            Self::Platform => "platform",
        }
    }

    fn codes(self, samples: &Samples) -> &[u32] {
        match self {
            Self::Provider => &samples.provider,
            Self::Platform => &samples.platform,
        }
    }

    fn other(self) -> Self {
        match self {
            Self::Provider => Self::Platform,
            Self::Platform => Self::Provider,
        }
    }
}

/// What is compared, and how sure it must be.
#[derive(Debug, Clone, PartialEq)]
pub struct CompareParams {
    /// Coverage of the intervals.
    pub level: Level,
    /// Executions of a step that each side must have for the step to count.
    pub min_executions: usize,
    /// What to compare.
    pub dimensions: Vec<Dimension>,
}

impl Default for CompareParams {
    fn default() -> Self {
        let dimensions = vec![Dimension::Provider, Dimension::Platform];
        Self { level: Level::DEFAULT, min_executions: 20, dimensions }
    }
}

/// What is measured, with its name in published tables.
type Measure<'a> = (&'static str, &'a [f64]);

/// Every pair of values of each dimension within each workflow type, sorted by workflow type, dimension, values, metric.
///
/// Pairs without a step in which both sides have `min_executions` are left out, and so are executions that were answered
/// from a cache or whose measure is unknown or not positive.
#[must_use]
pub fn compare(samples: &Samples, params: &CompareParams) -> Vec<Comparison> {
    let mut comparisons = Vec::new();
    for (workflow_type, steps) in steps_by_type(samples) {
        let clusters = Clusters::of(samples, &steps);
        for &dimension in &params.dimensions {
            for measure in [("execution_time", samples.duration_ms.as_slice()), ("cost", &samples.cost_usd)] {
                let group = Group { samples, workflow_type, steps: &steps, clusters: &clusters, dimension };
                comparisons.extend(group.comparisons(measure, params));
            }
        }
    }
    let key = |c: &Comparison| (c.workflow_type.clone(), c.dimension, c.a.clone(), c.b.clone(), c.metric);
    comparisons.sort_by_cached_key(key);
    comparisons
}

/// Rows of uncached executions by workflow type, one vector a step.
fn steps_by_type(samples: &Samples) -> BTreeMap<u32, Vec<Vec<usize>>> {
    let mut place: HashMap<(u32, u32), usize> = HashMap::new();
    let mut types: BTreeMap<u32, Vec<Vec<usize>>> = BTreeMap::new();
    let keys = samples.workflow_type.iter().zip(&samples.step).zip(&samples.cache_hit).enumerate();
    for (row, ((&workflow_type, &step), _)) in keys.filter(|(_, (_, cached))| !**cached) {
        let steps = types.entry(workflow_type).or_default();
        let place = *place.entry((workflow_type, step)).or_insert(steps.len());
        match steps.get_mut(place) {
            Some(rows) => rows.push(row),
            None => steps.push(vec![row]),
        }
    }
    types
}

/// The values of a dimension within a workflow type, numbered by how common they are.
struct Values {
    codes: Vec<u32>,
    number: HashMap<u32, usize>,
}

impl Values {
    fn of(column: &[u32], steps: &[Vec<usize>]) -> Self {
        let mut counts: BTreeMap<u32, usize> = BTreeMap::new();
        for code in steps.iter().flatten().filter_map(|&row| column.get(row)) {
            *counts.entry(*code).or_default() += 1;
        }
        let mut codes: Vec<u32> = counts.keys().copied().filter(|code| *code != UNKNOWN).collect();
        codes.sort_by_key(|code| std::cmp::Reverse(counts.get(code)));
        codes.truncate(MAX_VALUES);
        let number = codes.iter().enumerate().map(|(number, &code)| (code, number)).collect();
        Self { codes, number }
    }

    /// Those with a number, and one for all the rest.
    fn len(&self) -> usize {
        self.codes.len() + 1
    }

    fn number(&self, code: u32) -> usize {
        self.number.get(&code).copied().unwrap_or(self.codes.len())
    }
}

/// One workflow type seen along one dimension.
struct Group<'a> {
    samples: &'a Samples,
    workflow_type: u32,
    steps: &'a [Vec<usize>],
    clusters: &'a Clusters,
    dimension: Dimension,
}

impl Group<'_> {
    fn comparisons(&self, (metric, measure): Measure<'_>, params: &CompareParams) -> Vec<Comparison> {
        let values = Values::of(self.dimension.codes(self.samples), self.steps);
        let others = Values::of(self.dimension.other().codes(self.samples), self.steps);
        if values.codes.len() < 2 {
            return vec![];
        }
        let shape = Shape { values: values.len(), others: others.len() };
        let fits: Vec<StepFit> = self
            .clusters
            .with_rows(self.steps)
            .map(|rows| self.executions(rows, measure, &values, &others))
            .filter(|executions| has_a_pair(executions, values.codes.len(), params.min_executions))
            .filter_map(|executions| StepFit::of(executions, shape))
            .collect();
        let word = |code| Some(self.samples.vocabulary.word(code)?.to_owned());
        let mut found = Vec::new();
        for (i, &first) in values.codes.iter().enumerate() {
            for (j, &second) in values.codes.iter().enumerate().skip(i + 1) {
                let (Some(first), Some(second)) = (word(first), word(second)) else { continue };
                let (a, b, i, j) = if first < second { (first, second, i, j) } else { (second, first, j, i) };
                let Some(contrast) = Contrast::of(&fits, i, j, params.min_executions, self.clusters) else { continue };
                let Some(workflow_type) = word(self.workflow_type) else { continue };
                found.push(Comparison {
                    workflow_type,
                    dimension: self.dimension.as_str(),
                    a,
                    b,
                    metric,
                    ratio: contrast.log_ratio.exp(),
                    interval: contrast.interval(params.level),
                    n_a: contrast.n_a,
                    n_b: contrast.n_b,
                });
            }
        }
        found
    }

    /// The executions of one step whose measure is known, sizes centred.
    fn executions(
        &self,
        rows: impl Iterator<Item = (usize, usize)>,
        measure: &[f64],
        values: &Values,
        others: &Values,
    ) -> Vec<Execution> {
        let samples = self.samples;
        let (compared, other) = (self.dimension.codes(samples), self.dimension.other().codes(samples));
        let execution = |(row, cluster): (usize, usize)| {
            let measure = measure.get(row).copied().filter(|m| m.is_finite() && *m > 0.0)?;
            Some(Execution {
                value: values.number(*compared.get(row)?),
                other: others.number(*other.get(row)?),
                size: samples.input_bytes.get(row)?.ln_1p(),
                log_measure: measure.ln(),
                cluster,
            })
        };
        let mut executions: Vec<Execution> = rows.filter_map(execution).collect();
        let known = executions.iter().filter(|e| e.size.is_finite()).count();
        if known as f64 >= KNOWN_SIZES * executions.len() as f64 {
            executions.retain(|e| e.size.is_finite());
            let mean = executions.iter().map(|e| e.size).sum::<f64>() / known.max(1) as f64;
            executions.iter_mut().for_each(|e| e.size -= mean);
        } else {
            executions.iter_mut().for_each(|e| e.size = 0.0);
        }
        executions
    }
}

/// Whether two of the first `n_values` values have enough executions.
fn has_a_pair(executions: &[Execution], n_values: usize, min_executions: usize) -> bool {
    let mut counts = vec![0_usize; n_values];
    for execution in executions {
        if let Some(count) = counts.get_mut(execution.value) {
            *count += 1;
        }
    }
    counts.iter().filter(|count| **count >= min_executions.max(1)).count() >= 2
}

#[cfg(test)]
mod tests;
