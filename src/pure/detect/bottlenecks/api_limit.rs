//! A step that waits for a service which answers only so many calls.
//!
//! Durations that grow with calls show work. A limit shows otherwise: up to some number of calls they cost what they cost,
//! and beyond it each costs more. So, with `c` the calls of an execution and `n` those that count against the limit,
//!
//! ```text
//! work:   ln duration = controls + ln(1 + ρ c)
//! limit:  ln duration = controls + ln(1 + ρ c + η (n − b)₊)
//! ```
//!
//! are fitted by least squares over a grid of ρ, η and b, from the best of which a simplex search goes on, the size of the
//! input and the hour of the day as controls, and compared by an F test of two further parameters; limits are looked for
//! only where a score test (Rao 1948) at η = 0, a hundredth of the cost, hints at one. Executions that began in one minute
//! share what no column tells and count once. `n` is tried as the calls of the execution itself, as those of all executions
//! of the step that began within a minute of it, and as those of all steps on its provider.

use super::history::Executions;
use super::statistics::quantile;
use super::{Finding, Scene, percent, severity_by_impact};
use crate::graph::{Change, NotReplayable, Scratch};
use crate::samples::Samples;
use crate::series::Metric;
use crate::stats::optimize::{NelderMead, nelder_mead};
use statrs::distribution::{ContinuousCDF, FisherSnedecor};
use std::collections::{BTreeMap, HashMap};

/// Quotas are counted by the minute where nothing else is said.
const WINDOW_US: i64 = 60_000_000;
/// More cost time and change little.
const MAX_EXECUTIONS: usize = 600;
/// The grid is searched for the best of some hundred fits, so that chance finds more than one test would.
const MAX_P_VALUE: f64 = 1e-4;
/// A t statistic: where no limit adds that much to work alone, a search would not come near [`MAX_P_VALUE`].
const MIN_HINT: f64 = 3.0;
/// Slower by less is within what users call normal.
const MIN_SLOWDOWN: f64 = 1.2;
/// Sizes count where so many executions know them; the others are left out then.
const KNOWN_SIZES: f64 = 0.9;
/// Where the limit may lie among the numbers of calls.
const EDGES: [f64; 7] = [0.15, 0.3, 0.4, 0.5, 0.6, 0.7, 0.85];
/// What the median number of calls costs beside all else, and what as many beyond the limit cost.
const GROWTHS: [f64; 6] = [0.0, 0.2, 0.6, 2.0, 6.0, 20.0];
/// The search beyond the grid works on logarithms; of a cost of nothing it begins here.
const LEAST_GROWTH: f64 = 0.02;
const SEARCH: NelderMead = NelderMead { step: 0.4, tolerance: 1e-5, max_evaluations: 150 };

/// Calls by provider, in order of start.
pub(crate) struct Traffic {
    all: HashMap<u32, Calls>,
}

/// Starts, and calls up to each of them.
#[derive(Default)]
struct Calls {
    starts_us: Vec<i64>,
    sums: Vec<f64>,
}

impl Calls {
    fn push(&mut self, start_us: i64, calls: f64) {
        self.sums.push(self.sums.last().copied().unwrap_or(0.0) + calls);
        self.starts_us.push(start_us);
    }

    /// Calls of what began within a minute of `start_us`.
    fn near(&self, start_us: i64) -> f64 {
        let before = |us: i64| {
            let n = self.starts_us.partition_point(|start| *start < us);
            n.checked_sub(1).and_then(|last| self.sums.get(last)).copied().unwrap_or(0.0)
        };
        before(start_us.saturating_add(WINDOW_US)) - before(start_us.saturating_sub(WINDOW_US))
    }
}

impl Traffic {
    /// `samples` are in order of start.
    pub(crate) fn of(samples: &Samples) -> Self {
        let mut all: HashMap<u32, Calls> = HashMap::new();
        for ((calls, provider), start_us) in samples.api_calls.iter().zip(&samples.provider).zip(&samples.started_us) {
            if *calls > 0.0 && calls.is_finite() {
                all.entry(*provider).or_default().push(*start_us, *calls);
            }
        }
        Self { all }
    }

    fn near(&self, provider: u32, start_us: i64) -> f64 {
        self.all.get(&provider).map_or(0.0, |calls| calls.near(start_us))
    }
}

/// What is limited.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Scope {
    Execution,
    Step,
    Provider,
}

/// A limit that shows.
#[derive(Debug, Clone, Copy, PartialEq)]
struct ApiLimit {
    scope: Scope,
    /// Calls up to which nothing is slowed down.
    free_calls: f64,
    /// Time of all executions over what it would be without the limit.
    slowdown: f64,
    p_value: f64,
    n: usize,
}

/// Executions of a step that called something; all vectors (n,).
#[derive(Default)]
struct Called {
    log_ms: Vec<f64>,
    calls: Vec<f64>,
    start_us: Vec<i64>,
    log_size: Vec<f64>,
    near_step: Vec<f64>,
    near_provider: Vec<f64>,
}

impl Called {
    fn of(executions: &Executions<'_>, traffic: &Traffic) -> Self {
        let samples = executions.samples;
        let calls = |row: u32| executions.get(&samples.api_calls, row);
        let mut of_step = Calls::default();
        executions.measured().filter(|row| calls(*row) > 0.0).for_each(|row| {
            of_step.push(executions.started_us(row), calls(row));
        });
        let mut called = Self::default();
        for row in executions.latest(MAX_EXECUTIONS).into_iter().filter(|row| calls(*row) > 0.0) {
            let start_us = executions.started_us(row);
            let provider = samples.provider.get(row as usize).copied().unwrap_or(crate::samples::UNKNOWN);
            called.log_ms.push(executions.duration_ms(row).ln());
            called.calls.push(calls(row));
            called.start_us.push(start_us);
            called.log_size.push(executions.get(&samples.input_bytes, row).ln());
            called.near_step.push(of_step.near(start_us));
            called.near_provider.push(traffic.near(provider, start_us));
        }
        called.with_sizes()
    }

    /// Leaves out the few whose size is unknown, or forgets sizes that few know.
    fn with_sizes(mut self) -> Self {
        let known: Vec<bool> = self.log_size.iter().map(|size| size.is_finite()).collect();
        let n_known = known.iter().filter(|known| **known).count();
        if (n_known as f64) < KNOWN_SIZES * known.len() as f64 {
            self.log_size.fill(0.0);
            return self;
        }
        for column in
            [&mut self.log_ms, &mut self.calls, &mut self.near_step, &mut self.near_provider, &mut self.log_size]
        {
            let mut keep = known.iter();
            column.retain(|_| keep.next().copied().unwrap_or(false));
        }
        let mut keep = known.iter();
        self.start_us.retain(|_| keep.next().copied().unwrap_or(false));
        self
    }

    fn counted(&self, scope: Scope) -> &[f64] {
        match scope {
            Scope::Execution => &self.calls,
            Scope::Step => &self.near_step,
            Scope::Provider => &self.near_provider,
        }
    }
}

/// Least squares on controls, over means of executions that began in one minute.
struct Fit {
    /// The cluster of each execution, ascending from 0.
    cluster: Vec<usize>,
    weights: Vec<f64>,
    /// Orthonormal under `weights`, each (n_clusters,).
    controls: Vec<Vec<f64>>,
    /// What the controls leave of ln duration.
    target: Vec<f64>,
}

impl Fit {
    fn new(called: &Called) -> Self {
        let mut minutes: BTreeMap<i64, usize> = BTreeMap::new();
        let minute = |us: &i64| us.div_euclid(WINDOW_US);
        called.start_us.iter().for_each(|us| *minutes.entry(minute(us)).or_default() += 1);
        let number: BTreeMap<i64, usize> = minutes.keys().copied().zip(0..).collect();
        let cluster = called.start_us.iter().map(|us| number.get(&minute(us)).copied().unwrap_or(0)).collect();
        let weights = minutes.values().map(|n| *n as f64).collect();
        let mut fit = Self { cluster, weights, controls: Vec::new(), target: Vec::new() };
        let hour = |us: &i64| us.rem_euclid(crate::units::DAY_US) as f64 / crate::units::DAY_US as f64;
        let angle = |us: &i64| std::f64::consts::TAU * hour(us);
        fit.control(vec![1.0; called.log_ms.len()]);
        fit.control(called.log_size.clone());
        fit.control(called.start_us.iter().map(|us| angle(us).sin()).collect());
        fit.control(called.start_us.iter().map(|us| angle(us).cos()).collect());
        fit.target = fit.left_of(fit.means(called.log_ms.iter().copied()));
        fit
    }

    fn means(&self, values: impl Iterator<Item = f64>) -> Vec<f64> {
        let mut sums = vec![0.0; self.weights.len()];
        for (cluster, value) in self.cluster.iter().zip(values) {
            if let Some(sum) = sums.get_mut(*cluster) {
                *sum += value;
            }
        }
        sums.iter().zip(&self.weights).map(|(sum, weight)| sum / weight).collect()
    }

    fn product(&self, a: &[f64], b: &[f64]) -> f64 {
        a.iter().zip(b).zip(&self.weights).map(|((a, b), weight)| a * b * weight).sum()
    }

    fn left_of(&self, mut values: Vec<f64>) -> Vec<f64> {
        for control in &self.controls {
            let along = self.product(&values, control);
            values.iter_mut().zip(control).for_each(|(value, control)| *value -= along * control);
        }
        values
    }

    /// Adds a control, unless the others say the same.
    fn control(&mut self, values: Vec<f64>) {
        let means = self.means(values.into_iter());
        let total = self.product(&means, &means).sqrt();
        let left = self.left_of(means);
        let length = self.product(&left, &left).sqrt();
        if length > 1e-9 * total {
            self.controls.push(left.into_iter().map(|value| value / length).collect());
        }
    }

    /// Weighted sum of squares that `shape` (n,) leaves, its coefficient being 1.
    fn rest(&self, shape: impl Iterator<Item = f64>) -> f64 {
        let left = self.left_of(self.means(shape));
        let off = self.target.iter().zip(&left).zip(&self.weights);
        off.map(|((target, shape), weight)| weight * (target - shape).powi(2)).sum()
    }

    /// The largest t statistic that any of `edges` has as a limit of what is `counted`, beside work of `work` a call.
    fn hint(&self, calls: &[f64], counted: &[f64], work: f64, edges: &[f64]) -> f64 {
        let per_call = |calls: f64| 1.0 / (1.0 + work * calls);
        let shape = self.left_of(self.means(calls.iter().map(|calls| (work * calls).ln_1p())));
        let mut left: Vec<f64> = self.target.iter().zip(&shape).map(|(target, shape)| target - shape).collect();
        // Work was chosen from a grid: what more or less of it would explain is no hint.
        let more_work = self.left_of(self.means(calls.iter().map(|calls| calls * per_call(*calls))));
        self.take_out(&more_work, &mut left);
        let rest = self.product(&left, &left);
        let t = |edge: &f64| {
            let beyond = calls.iter().zip(counted).map(|(calls, n)| (n - edge).max(0.0) * per_call(*calls));
            let mut slope = self.left_of(self.means(beyond));
            self.take_out(&more_work, &mut slope);
            let (along, length) = (self.product(&left, &slope), self.product(&slope, &slope));
            let explained = along * along / length;
            let t = along.signum() * (explained * (self.degrees() - 2.0) / (rest - explained).max(0.0)).sqrt();
            // An edge below or above all calls is no limit.
            if t.is_nan() { 0.0 } else { t }
        };
        edges.iter().map(t).fold(0.0, f64::max)
    }

    /// Leaves of `values` what `other` does not explain.
    fn take_out(&self, other: &[f64], values: &mut [f64]) {
        let length = self.product(other, other);
        if length > 0.0 {
            let along = self.product(values, other) / length;
            values.iter_mut().zip(other).for_each(|(value, other)| *value -= along * other);
        }
    }

    fn degrees(&self) -> f64 {
        self.weights.len() as f64 - self.controls.len() as f64
    }
}

/// The best fits: the sum of squares, ρ, and for a limit η and b.
#[derive(Clone, Copy)]
struct Best {
    rest: f64,
    work: f64,
    beyond: f64,
    edge: f64,
}

fn find_limit(executions: &Executions<'_>, traffic: &Traffic, min_samples: usize) -> Option<ApiLimit> {
    let called = Called::of(executions, traffic);
    let fit = Fit::new(&called);
    if fit.weights.len() < min_samples.max(10) {
        return None;
    }
    let typical = quantile(&mut called.calls.clone(), 0.5);
    let growths = || GROWTHS.iter().map(move |growth| growth / typical);
    let rest = |work: f64| fit.rest(called.calls.iter().map(|calls| (work * calls).ln_1p()));
    let work = growths().map(|work| Best { rest: rest(work), work, beyond: 0.0, edge: 0.0 });
    let work = work.min_by(|a, b| a.rest.total_cmp(&b.rest))?;
    let limits =
        [Scope::Execution, Scope::Step, Scope::Provider].map(|scope| (scope, limited(&called, &fit, scope, work.work)));
    let (scope, limit) = limits
        .into_iter()
        .filter_map(|(scope, best)| Some((scope, best?)))
        .min_by(|a, b| a.1.rest.total_cmp(&b.1.rest))?;
    let start = work.work.max(LEAST_GROWTH / typical).ln();
    let without = nelder_mead(&[start], &SEARCH, |at| rest(at[0].exp())).value.min(work.rest);
    let degrees = fit.degrees() - 3.0;
    let f = (without - limit.rest) / 2.0 / (limit.rest / degrees);
    let p_value = FisherSnedecor::new(2.0, degrees).ok().filter(|_| f.is_finite()).map_or(1.0, |law| law.sf(f));
    let slowdown = slowdown(&called, scope, &limit);
    let n = called.calls.len();
    (p_value < MAX_P_VALUE && slowdown >= MIN_SLOWDOWN).then_some(ApiLimit {
        scope,
        free_calls: limit.edge,
        slowdown,
        p_value,
        n,
    })
}

/// The best limit on what `scope` counts, none where nothing hints at one beside `work` a call.
fn limited(called: &Called, fit: &Fit, scope: Scope, work: f64) -> Option<Best> {
    let counted = called.counted(scope);
    if scope != Scope::Execution && counted == called.calls {
        return None;
    }
    let (typical, median) = (quantile(&mut called.calls.clone(), 0.5), quantile(&mut counted.to_vec(), 0.5));
    let mut edges: Vec<f64> = EDGES.iter().map(|p| quantile(&mut counted.to_vec(), *p)).collect();
    edges.dedup();
    if fit.hint(&called.calls, counted, work, &edges) < MIN_HINT {
        return None;
    }
    let fitted = |work: f64, beyond: f64, edge: f64| {
        let shape = called.calls.iter().zip(counted);
        let shape = shape.map(|(calls, n)| (work * calls + beyond * (n - edge).max(0.0)).ln_1p());
        Best { rest: fit.rest(shape), work, beyond, edge }
    };
    let mut tried = Vec::new();
    for edge in &edges {
        for work in GROWTHS.iter().map(|growth| growth / typical) {
            for beyond in GROWTHS.iter().skip(1).map(|growth| growth / median) {
                tried.push(fitted(work, beyond, *edge));
            }
        }
    }
    let best = tried.into_iter().min_by(|a, b| a.rest.total_cmp(&b.rest))?;
    let [lowest, highest] = [edges.first()?, edges.last()?].map(|edge| edge.ln());
    let of = |at: &[f64]| fitted(at[0].exp(), at[1].exp(), at[2].max(lowest).min(highest).exp());
    let start = [best.work.max(LEAST_GROWTH / typical).ln(), best.beyond.ln(), best.edge.ln()];
    let found = of(&nelder_mead(&start, &SEARCH, |at| of(at).rest).at);
    Some(if found.rest < best.rest { found } else { best })
}

fn slowdown(called: &Called, scope: Scope, best: &Best) -> f64 {
    let (mut with, mut without) = (0.0, 0.0);
    for ((calls, n), log_ms) in called.calls.iter().zip(called.counted(scope)).zip(&called.log_ms) {
        let work = 1.0 + best.work * calls;
        with += log_ms.exp();
        without += log_ms.exp() * work / (work + best.beyond * (n - best.edge).max(0.0));
    }
    if without > 0.0 { with / without } else { 1.0 }
}

pub(super) fn find(
    scene: &Scene<'_, '_>,
    step: &str,
    executions: &Executions<'_>,
    scratch: &mut Scratch,
) -> Result<Option<Finding>, NotReplayable> {
    let Some(limit) = find_limit(executions, scene.traffic, scene.min_samples) else { return Ok(None) };
    let change = Change::Speedup { step: step.into(), factor: 1.0 / limit.slowdown };
    let saving = scene.ensemble.saving(&[change], scratch)?;
    let whose = match limit.scope {
        Scope::Execution => "in one execution",
        Scope::Step => "by its executions within a minute",
        Scope::Provider => "on its provider within a minute",
    };
    Ok(Some(Finding {
        step: Some(step.to_owned()),
        kind: "api_limit",
        severity: severity_by_impact(saving.share),
        saving,
        description: format!(
            "{step}: calls beyond {:.0} {whose} take longer than those before; its executions take {:.2} times what they \
             would (n = {}, p = {:.0e}), and without that a run would take {} less",
            limit.free_calls,
            limit.slowdown,
            limit.n,
            limit.p_value,
            percent(saving.published().share),
        ),
        causes: vec![
            "a rate limit of the service that is called".to_owned(),
            "more calls at once than the service can answer".to_owned(),
        ],
        evidence: [Metric::ApiCalls, Metric::ExecutionTime]
            .map(|metric| scene.history.evidence(Some(step), metric))
            .to_vec(),
        since_us: executions.latest_start_us(),
    }))
}
