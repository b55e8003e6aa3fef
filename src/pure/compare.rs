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
use std::collections::{BTreeMap, BTreeSet, HashMap};

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

    fn code(self, row: &Row) -> u32 {
        match self {
            Self::Provider => row.provider,
            Self::Platform => row.platform,
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

/// What is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Measure {
    Duration,
    Cost,
}

impl Measure {
    fn as_str(self) -> &'static str {
        match self {
            Self::Duration => "execution_time",
            Self::Cost => "cost",
        }
    }
}

/// What is needed of one execution, gathered once: a step's rows lie far apart in [`Samples`].
#[derive(Debug, Clone, Copy)]
struct Row {
    provider: u32,
    platform: u32,
    cluster: usize,
    log_size: f64,
    log_duration: f64,
    log_cost: f64,
}

/// Every pair of values of each dimension within each workflow type, sorted by workflow type, dimension, values, metric.
///
/// Pairs without a step in which both sides have `min_executions` are left out, and so are executions that were answered
/// from a cache or whose measure is unknown or not positive.
#[must_use]
pub fn compare(samples: &Samples, params: &CompareParams) -> Vec<Comparison> {
    let mut comparisons = Vec::new();
    for (workflow_type, steps) in steps_by_type(samples) {
        let clusters = Clusters::of(samples, &steps);
        let steps: Vec<Vec<Row>> = clusters.with_rows(&steps).map(|rows| gather(samples, rows)).collect();
        let (providers, platforms) = (Values::of(Dimension::Provider, &steps), Values::of(Dimension::Platform, &steps));
        for &dimension in BTreeSet::from_iter(&params.dimensions) {
            let (values, others) = match dimension {
                Dimension::Provider => (&providers, &platforms),
                Dimension::Platform => (&platforms, &providers),
            };
            let group = Group { samples, workflow_type, steps: &steps, clusters: &clusters, dimension, values, others };
            for measure in [Measure::Duration, Measure::Cost] {
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
    let mut places: HashMap<(u32, u32), usize> = HashMap::new();
    let mut steps: Vec<(u32, Vec<usize>)> = Vec::new();
    let keys = samples.workflow_type.iter().zip(&samples.step).zip(&samples.cache_hit).enumerate();
    for (row, ((&workflow_type, &step), _)) in keys.filter(|(_, (_, cached))| !**cached) {
        let place = *places.entry((workflow_type, step)).or_insert(steps.len());
        match steps.get_mut(place) {
            Some((_, rows)) => rows.push(row),
            None => steps.push((workflow_type, vec![row])),
        }
    }
    let mut types: BTreeMap<u32, Vec<Vec<usize>>> = BTreeMap::new();
    for (workflow_type, rows) in steps {
        types.entry(workflow_type).or_default().push(rows);
    }
    types
}

/// Rows with what is needed of them; columns that are too short leave their rows out.
fn gather(samples: &Samples, rows: impl Iterator<Item = (usize, usize)>) -> Vec<Row> {
    let log_of = |measure: f64| if measure > 0.0 { measure.ln() } else { f64::NAN };
    rows.filter_map(|(row, cluster)| {
        Some(Row {
            provider: *samples.provider.get(row)?,
            platform: *samples.platform.get(row)?,
            cluster,
            log_size: samples.input_bytes.get(row)?.ln_1p(),
            log_duration: log_of(*samples.duration_ms.get(row)?),
            log_cost: log_of(*samples.cost_usd.get(row)?),
        })
    })
    .collect()
}

/// The values of a dimension within a workflow type, numbered by how common they are.
struct Values {
    /// At most [`MAX_VALUES`], so that looking one up is a short scan.
    codes: Vec<u32>,
}

impl Values {
    fn of(dimension: Dimension, steps: &[Vec<Row>]) -> Self {
        let mut counts: BTreeMap<u32, usize> = BTreeMap::new();
        for row in steps.iter().flatten() {
            *counts.entry(dimension.code(row)).or_default() += 1;
        }
        let mut codes: Vec<u32> = counts.keys().copied().filter(|code| *code != UNKNOWN).collect();
        codes.sort_by_key(|code| std::cmp::Reverse(counts.get(code)));
        codes.truncate(MAX_VALUES);
        Self { codes }
    }

    /// Those with a number, and one for all the rest.
    fn len(&self) -> usize {
        self.codes.len() + 1
    }

    fn number(&self, code: u32) -> usize {
        self.codes.iter().position(|known| *known == code).unwrap_or(self.codes.len())
    }
}

/// One workflow type seen along one dimension.
struct Group<'a> {
    samples: &'a Samples,
    workflow_type: u32,
    steps: &'a [Vec<Row>],
    clusters: &'a Clusters,
    dimension: Dimension,
    values: &'a Values,
    others: &'a Values,
}

impl Group<'_> {
    fn comparisons(&self, measure: Measure, params: &CompareParams) -> Vec<Comparison> {
        let codes = &self.values.codes;
        let shape = Shape { values: self.values.len(), others: self.others.len() };
        let fits: Vec<StepFit> = self
            .steps
            .iter()
            .map(|rows| self.executions(rows, measure))
            .filter(|executions| has_a_pair(executions, codes.len(), params.min_executions))
            .filter_map(|executions| StepFit::of(executions, shape))
            .collect();
        let pairs = (0..codes.len()).flat_map(|i| (i + 1..codes.len()).map(move |j| (i, j)));
        pairs.filter_map(|(i, j)| self.comparison(&fits, (i, j), measure, params)).collect()
    }

    /// Of the values numbered `i` and `j`, in the order of their words.
    fn comparison(
        &self,
        fits: &[StepFit],
        (i, j): (usize, usize),
        measure: Measure,
        params: &CompareParams,
    ) -> Option<Comparison> {
        let word = |code: u32| self.samples.vocabulary.word(code);
        let (first, second) = (word(*self.values.codes.get(i)?)?, word(*self.values.codes.get(j)?)?);
        let (a, b, i, j) = if first < second { (first, second, i, j) } else { (second, first, j, i) };
        let contrast = Contrast::of(fits, i, j, params.min_executions, self.clusters)?;
        Some(Comparison {
            workflow_type: word(self.workflow_type)?.to_owned(),
            dimension: self.dimension.as_str(),
            a: a.to_owned(),
            b: b.to_owned(),
            metric: measure.as_str(),
            ratio: contrast.log_ratio.exp(),
            interval: contrast.interval(params.level),
            n_a: contrast.n_a,
            n_b: contrast.n_b,
        })
    }

    /// The executions of one step whose measure is known, sizes centred.
    fn executions(&self, rows: &[Row], measure: Measure) -> Vec<Execution> {
        let execution = |row: &Row| Execution {
            value: self.values.number(self.dimension.code(row)),
            other: self.others.number(self.dimension.other().code(row)),
            size: row.log_size,
            log_measure: if measure == Measure::Cost { row.log_cost } else { row.log_duration },
            cluster: row.cluster,
        };
        let known = |execution: &Execution| execution.log_measure.is_finite();
        let mut executions: Vec<Execution> = rows.iter().map(execution).filter(known).collect();
        let sized = executions.iter().filter(|e| e.size.is_finite()).count();
        if sized as f64 >= KNOWN_SIZES * executions.len() as f64 {
            executions.retain(|e| e.size.is_finite());
            let mean = executions.iter().map(|e| e.size).sum::<f64>() / sized.max(1) as f64;
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
