//! The next run, simulated: recorded graphs with durations drawn from what the step models expect.

use super::RunParams;
use super::recent::{Run, Workflow};
use crate::graph::{Node, Redraw, RunGraph, Scratch, Upstream, upstream};
use crate::learn::dataset::Target;
use crate::learn::models::{Models, Predicted, Query};
use crate::samples::Sizes;
use crate::stats::dist::normal_quantile;
use crate::stats::robust::quantile;
use crate::units::Level;
use rand::{Rng, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;
use std::collections::HashMap;

/// Executions drawn for one prediction at most: very large runs are simulated fewer times, they vary less.
const NODE_DRAWS: usize = 400_000;
/// But never fewer times than this.
const MIN_DRAWS: usize = 60;
/// Steps without a model keep what was recorded of them. Where they are more than this share of it, the run is theirs,
/// and nothing is predicted.
const UNKNOWN_SHARE: f64 = 0.5;
/// Simulated spreads are not taken to be smaller than this (log scale).
const MIN_SPREAD: f64 = 1e-3;

/// What the model expects of one execution, on the log scale: its median, and the standard deviations of the two
/// normal halves that have the model's interval.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Expectation {
    log: f64,
    below: f64,
    above: f64,
}

impl Expectation {
    fn of(predicted: &Predicted) -> Option<Self> {
        let z = normal_quantile(0.5 + predicted.interval.level.get() / 2.0);
        let (log, lower, upper) = (predicted.point.ln(), predicted.interval.lower.ln(), predicted.interval.upper.ln());
        let expectation = Self { log, below: ((log - lower) / z).max(0.0), above: ((upper - log) / z).max(0.0) };
        (log.is_finite() && expectation.below.is_finite() && expectation.above.is_finite()).then_some(expectation)
    }

    fn draw(&self, z: f64) -> f64 {
        (self.log + z * if z < 0.0 { self.below } else { self.above }).exp()
    }

    /// In units of its spread.
    fn deviation(&self, actual: f64) -> f64 {
        let off = actual.ln() - self.log;
        off / if off < 0.0 { self.below } else { self.above }
    }
}

/// One execution of a recorded run.
#[derive(Debug, Clone, Copy)]
enum Part {
    /// Drawn from what is expected, behind what earlier tries took.
    Drawn(Expectation, f64),
    /// Kept as it was.
    Kept(f64),
}

impl Part {
    fn of(models: &Models, target: Target, graph: &RunGraph, (node, sizes): (&Node, Sizes)) -> Self {
        let (kept, retried_ms) = match target {
            Target::DurationMs => (node.busy_ms(), node.under.retried_ms),
            _ => (0.0, 0.0),
        };
        if node.cached {
            return Self::Kept(kept);
        }
        expected(models, target, graph, (node, sizes)).map_or(Self::Kept(kept), |e| Self::Drawn(e, retried_ms))
    }
}

/// The executions of a recorded run, each with how much there was to do.
fn with_sizes(graph: &RunGraph) -> impl Iterator<Item = (&Node, Sizes)> {
    let mut numbers: HashMap<&str, u32> = HashMap::new();
    let mut number = |step| {
        let next = u32::try_from(numbers.len()).unwrap_or(u32::MAX);
        *numbers.entry(step).or_insert(next)
    };
    let Upstream { bytes, steps } = if graph.dependencies_known {
        let step: Vec<u32> = graph.nodes.iter().map(|node| number(&*node.step)).collect();
        let input: Vec<f64> = graph.nodes.iter().map(|node| node.under.input_bytes.unwrap_or(f64::NAN)).collect();
        let deps: Vec<&[u32]> = graph.nodes.iter().map(|node| &*node.deps).collect();
        upstream(&step, &input, &deps)
    } else {
        Upstream::unknown(graph.nodes.len())
    };
    graph.nodes.iter().zip(bytes).zip(steps).map(|((node, upstream_bytes), step_count)| {
        let known = |size: Option<f64>| size.unwrap_or(f64::NAN);
        let under = &node.under;
        let sizes = Sizes {
            input_bytes: known(under.input_bytes),
            tokens_in: known(under.tokens_in),
            upstream_bytes,
            step_count,
        };
        (node, sizes)
    })
}

/// What the step models expect of a recorded execution; none for steps that they do not know.
fn expected(models: &Models, target: Target, graph: &RunGraph, (node, sizes): (&Node, Sizes)) -> Option<Expectation> {
    let query = Query {
        workflow_type: &graph.workflow_type,
        step: &node.step,
        step_type: None,
        provider: graph.word(node.under.provider),
        platform: graph.word(node.under.platform),
        attempt: 1,
        // The next run may start at any hour.
        started_us: None,
        sizes,
    };
    if !models.knows(target, query.workflow_type, query.step) {
        return None;
    }
    Expectation::of(&models.predict(target, &query)?)
}

/// How far each execution of a run that has ended was off the duration expected of it, in units of the expected spread.
pub(super) fn deviations(models: &Models, graph: &RunGraph) -> Vec<f64> {
    let deviation = |(node, sizes): (&Node, Sizes)| {
        let actual = node.busy_ms() - node.under.retried_ms;
        expected(models, Target::DurationMs, graph, (node, sizes))
            .filter(|_| !node.cached && actual > 0.0)?
            .deviation(actual)
            .into()
    };
    with_sizes(graph).filter_map(deviation).collect()
}

/// All that a simulation needs, as of one instant.
#[derive(Debug)]
pub(super) struct Task<'a> {
    target: Target,
    /// The recent runs, latest first.
    runs: Vec<Run<'a>>,
    parts: Vec<Vec<Part>>,
    /// Share of a deviation's variance that is common to a run.
    rho: f64,
}

impl<'a> Task<'a> {
    /// What `models` expect of the executions of the runs that had ended before `us`. None where those are too few, or
    /// mostly made of steps that the models do not know.
    pub(super) fn of(
        models: &Models,
        workflow: &Workflow<'a>,
        target: Target,
        us: i64,
        rho: f64,
        params: &RunParams,
    ) -> Option<Self> {
        if !models.knows_type(target, workflow.kind) {
            return None;
        }
        let runs = workflow.recent(target, us, params)?;
        let part =
            |run: &Run<'a>| with_sizes(run.graph).map(|node| Part::of(models, target, run.graph, node)).collect();
        let parts: Vec<Vec<Part>> = runs.iter().map(part).collect();
        let task = Self { target, runs, parts, rho };
        (task.unknown_share() <= UNKNOWN_SHARE).then_some(task)
    }

    /// Recorded runs behind it.
    pub(super) fn n_runs(&self) -> usize {
        self.runs.len()
    }

    /// Outcomes of the recent runs, latest first.
    pub(super) fn outcomes(&self) -> impl Iterator<Item = f64> + '_ {
        self.runs.iter().filter_map(|run| run.outcome(self.target))
    }

    /// Of the run that ended last.
    pub(super) fn last_outcome(&self) -> Option<f64> {
        self.runs.iter().max_by_key(|run| run.ended_us)?.outcome(self.target)
    }

    /// Of all that is expected, by weight of the outcome.
    fn unknown_share(&self) -> f64 {
        let (mut kept, mut all) = (0.0, 0.0);
        for part in self.parts.iter().flatten() {
            match part {
                Part::Kept(value) => kept += value,
                Part::Drawn(expectation, _) => all += expectation.log.exp(),
            }
        }
        if kept + all > 0.0 { kept / (kept + all) } else { 1.0 }
    }

    /// Simulates the next run; none where no simulation has a positive outcome.
    pub(super) fn simulate(&self, params: &RunParams, seed: u64) -> Option<Simulated> {
        let mut makers = self.makers();
        let n_nodes: usize = self.parts.iter().map(Vec::len).sum();
        let per_run = n_nodes.div_ceil(makers.len().max(1)).max(1);
        let n_draws = params.draws.min(NODE_DRAWS / per_run).max(MIN_DRAWS.min(params.draws));
        let mut normals = Normals::new(seed);
        let factors = normals.stratified(n_draws);
        let (common, single) = (self.rho.sqrt(), (1.0 - self.rho).sqrt());
        let mut scratch = Scratch::default();
        let mut outcomes = Vec::with_capacity(n_draws);
        for (draw, factor) in factors.into_iter().enumerate() {
            // Every recent run is as likely to be like the next one; taken in turn, none is left to chance.
            let at = draw % makers.len().max(1);
            let (Some(maker), Some(parts)) = (makers.get_mut(at), self.parts.get(at)) else { continue };
            let values = parts.iter().map(|part| match part {
                Part::Kept(value) => *value,
                Part::Drawn(e, retried_ms) => retried_ms + e.draw(common * factor + single * normals.draw()),
            });
            let outcome = match maker {
                Some(redraw) => redraw.makespan_ms(values, &mut scratch),
                None => values.sum(),
            };
            outcomes.extend(Some(outcome).filter(|value| value.is_finite() && *value > 0.0));
        }
        (outcomes.len() * 2 > n_draws).then(|| Simulated::of(&mut outcomes, params.level))
    }

    /// Replays for durations; costs and tokens are only added up.
    fn makers(&self) -> Vec<Option<Redraw>> {
        match self.target {
            Target::DurationMs => Redraw::of(&self.runs.iter().map(|run| run.graph).collect::<Vec<_>>()),
            _ => self.runs.iter().map(|_| None).collect(),
        }
    }
}

/// The distribution of simulated outcomes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Simulated {
    median: f64,
    /// Standard deviations of the two normal halves that have the simulated interval, on the log scale.
    below: f64,
    above: f64,
}

impl Simulated {
    pub(super) fn of(outcomes: &mut [f64], level: Level) -> Self {
        let z = normal_quantile(0.5 + level.get() / 2.0);
        let median = quantile(outcomes, 0.5);
        let lower = quantile(outcomes, level.alpha() / 2.0);
        let upper = quantile(outcomes, 1.0 - level.alpha() / 2.0);
        let spread = |ratio: f64| (ratio.ln() / z).max(MIN_SPREAD);
        Self { median, below: spread(median / lower), above: spread(upper / median) }
    }

    /// How far off an outcome is, in simulated spreads.
    pub(super) fn miss(&self, actual: f64) -> f64 {
        let off = (actual / self.median).ln();
        off / if off < 0.0 { self.below } else { self.above }
    }

    /// The value that many spreads off the median.
    pub(super) fn at(&self, spreads: f64) -> f64 {
        self.median * (spreads * if spreads < 0.0 { self.below } else { self.above }).exp()
    }
}

/// Standard normal draws, the same for the same seed on every machine.
#[derive(Debug)]
pub(super) struct Normals {
    uniform: Xoshiro256PlusPlus,
    spare: Option<f64>,
}

impl Normals {
    pub(super) fn new(seed: u64) -> Self {
        Self { uniform: Xoshiro256PlusPlus::seed_from_u64(seed), spare: None }
    }

    /// Strictly between 0 and 1.
    #[expect(clippy::cast_precision_loss, reason = "53 bits are what a float holds")]
    fn unit(&mut self) -> f64 {
        ((self.uniform.next_u64() >> 11) as f64 + 0.5) / (1_u64 << 53) as f64
    }

    /// Box and Muller (1958): two at a time.
    pub(super) fn draw(&mut self) -> f64 {
        if let Some(spare) = self.spare.take() {
            return spare;
        }
        let radius = (-2.0 * self.unit().ln()).sqrt();
        let (sin, cos) = (std::f64::consts::TAU * self.unit()).sin_cos();
        self.spare = Some(radius * sin);
        radius * cos
    }

    /// `n` draws, one from each of `n` equally likely strata, in random order: chance has no say in how many extreme
    /// run factors there are.
    #[expect(clippy::cast_precision_loss, reason = "counts stay far below 2^53")]
    fn stratified(&mut self, n: usize) -> Vec<f64> {
        let mut strata: Vec<(u64, f64)> =
            (0..n).map(|i| (self.uniform.next_u64(), normal_quantile((i as f64 + 0.5) / n as f64))).collect();
        strata.sort_by_key(|(order, _)| *order);
        strata.into_iter().map(|(_, z)| z).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn draws_are_standard_normal() {
        let mut normals = Normals::new(3);
        let n = 100_000;
        let (mut sum, mut squares) = (0.0, 0.0);
        for _ in 0..n {
            let z = normals.draw();
            sum += z;
            squares += z * z;
        }
        assert!((sum / f64::from(n)).abs() < 0.02 && (squares / f64::from(n) - 1.0).abs() < 0.02);
        let mut strata = normals.stratified(101);
        assert!((quantile(&mut strata, 0.5)).abs() < 1e-9 && strata.len() == 101);
    }

    #[test]
    fn an_expectation_is_drawn_with_the_interval_of_the_model() {
        let level = Level::DEFAULT;
        let predicted =
            Predicted { point: 10.0, interval: crate::units::Interval { lower: 8.0, upper: 20.0, level }, n_seen: 1 };
        let expectation = Expectation::of(&predicted).map(|e| (e.draw(0.0), e.draw(-1.96), e.draw(1.96)));
        let (middle, low, high) = expectation.unwrap_or_default();
        assert!((middle - 10.0).abs() < 1e-9 && (low - 8.0).abs() < 1e-3 && (high - 20.0).abs() < 1e-3);
        let broken = Predicted { point: f64::NAN, ..predicted };
        assert_eq!(Expectation::of(&broken), None);
    }

    #[test]
    fn a_distribution_keeps_its_quantiles() {
        let mut normals = Normals::new(5);
        let mut outcomes: Vec<f64> = (0..20_000).map(|_| (3.0 + 0.2 * normals.draw()).exp()).collect();
        let simulated = Simulated::of(&mut outcomes, Level::DEFAULT);
        let [lower, middle, upper] = [-1.96, 0.0, 1.96].map(|spreads| simulated.at(spreads));
        assert!((middle.ln() - 3.0).abs() < 0.01);
        assert!((upper.ln() - 3.392).abs() < 0.02 && (lower.ln() - 2.608).abs() < 0.02);
        assert!((simulated.miss(upper) - 1.96).abs() < 1e-9 && simulated.miss(middle).abs() < 1e-9);
    }
}
