//! Small histories with a planted truth.

#![expect(clippy::unwrap_used, reason = "tests")]

use crate::analysis::Analysis;
use crate::detect::{Baseline, ChangePoint};
use crate::graph::{Node, RunGraph};
use crate::keys::{Asked, KeyStream};
use crate::outcomes::{DayOutcomes, Outlay};
use crate::samples::{Samples, UNKNOWN};
use crate::series::{Metric, SeriesKey};
use crate::units::{DAY_US, Interval, Level};

/// What a step execution shows beside its duration; the default shows nothing.
#[derive(Clone, Copy)]
pub(crate) struct Shown {
    pub(crate) provider: Option<&'static str>,
    pub(crate) platform: Option<&'static str>,
    pub(crate) attempt: u16,
    pub(crate) input_bytes: f64,
    pub(crate) output_bytes: f64,
    pub(crate) memory_mb: f64,
    pub(crate) memory_request_mb: f64,
    pub(crate) cpu_pct: f64,
    pub(crate) cpu_request: f64,
    pub(crate) cost_usd: f64,
    pub(crate) tokens: f64,
    pub(crate) cache_key: u64,
}

pub(crate) const NOTHING: Shown = Shown {
    provider: None,
    platform: None,
    attempt: 1,
    input_bytes: f64::NAN,
    output_bytes: f64::NAN,
    memory_mb: f64::NAN,
    memory_request_mb: f64::NAN,
    cpu_pct: f64::NAN,
    cpu_request: f64::NAN,
    cost_usd: f64::NAN,
    tokens: f64::NAN,
    cache_key: 0,
};

#[derive(Default)]
pub(crate) struct World {
    pub(crate) graphs: Vec<RunGraph>,
    pub(crate) samples: Samples,
    pub(crate) analyses: Vec<Analysis>,
}

impl World {
    /// `n_runs` runs, one a day; `run(day)` gives its graph, `shown(day, step)` what its executions show.
    pub(crate) fn of(n_runs: usize, run: impl Fn(usize) -> RunGraph, shown: impl Fn(usize, &str) -> Shown) -> Self {
        let mut world = Self::default();
        for day in 0..n_runs {
            let mut graph = run(day);
            graph.run_id = format!("run{day:03}");
            graph.started_us = i64::try_from(day).unwrap() * DAY_US;
            let shown_of = |node: &Node| shown(day, &node.step);
            let spent =
                |node: &Node| Some(shown_of(node).cost_usd + node.under.retried_usd).filter(|usd| usd.is_finite());
            graph.outcome.cost_usd = graph.nodes.iter().filter_map(spent).reduce(|sum, usd| sum + usd);
            for node in &graph.nodes {
                let start_us = graph.started_us + (node.start_ms.unwrap_or(0.0) * 1e3) as i64;
                world.sample(&graph.workflow_id, &node.step, start_us, node.duration_ms, shown_of(node));
            }
            world.graphs.push(graph);
        }
        world
    }

    fn sample(&mut self, workflow: &str, step: &str, started_us: i64, duration_ms: f64, shown: Shown) {
        let Samples { vocabulary, .. } = &mut self.samples;
        let (workflow, step) = (vocabulary.intern(workflow), vocabulary.intern(step));
        let (provider, platform) = (vocabulary.intern_opt(shown.provider), vocabulary.intern_opt(shown.platform));
        let code = [workflow, step, provider, platform];
        push(&mut self.samples, code, started_us, duration_ms, shown);
        let asked = Asked {
            key: shown.cache_key,
            started_us,
            ended_us: started_us + (duration_ms * 1e3) as i64,
            duration_ms,
            output_bytes: shown.output_bytes,
            cost_usd: shown.cost_usd,
            is_cached: false,
        };
        self.samples.keys.entry((workflow, step)).or_default().extend(KeyStream::of(vec![asked]));
    }

    /// Adds an execution of a step that did not succeed, or not yet.
    pub(crate) fn unfinished(&mut self, step: &str, day: i64, duration_ms: f64, shown: Shown) -> &mut Samples {
        let (workflow, step) = (self.samples.vocabulary.intern("wf"), self.samples.vocabulary.intern(step));
        let unfinished = self.samples.unfinished.get_or_insert_default();
        push(unfinished, [workflow, step, UNKNOWN, UNKNOWN], day * DAY_US, duration_ms, shown);
        unfinished.is_running.push(false);
        unfinished
    }

    /// Says what the runs of each of the first `n_days` days came to: how many succeeded, and at which step how many failed;
    /// each took so long and cost so much.
    pub(crate) fn came_to(&mut self, n_days: i64, succeeded: u32, failed: (&str, u32), (ms, usd): (f64, f64)) {
        let words = &mut self.samples.vocabulary;
        let (workflow_id, step) = (words.intern("wf"), words.intern(failed.0));
        let outlay = |n| {
            let mut outlay = Outlay::default();
            (0..n).for_each(|_| outlay.add(ms, usd));
            outlay
        };
        self.samples.outcomes.extend((0..n_days).map(|day| DayOutcomes {
            workflow_id,
            day_us: day * DAY_US,
            succeeded: outlay(succeeded),
            failed: [(step, outlay(failed.1))].into(),
        }));
    }

    /// Says what was learned about a step's metric: change points on these days.
    pub(crate) fn learned(&mut self, step: &str, metric: Metric, change_days: &[i64]) {
        let level = Level::DEFAULT;
        let change = |day: &i64| ChangePoint {
            index: *day as usize,
            at_us: day * DAY_US,
            before: 1.0,
            after: 2.0,
            effect_ratio: 2.0,
            effect_lower: 1.9,
            effect_upper: 2.1,
            level,
            p_value: 1e-9,
        };
        let key = SeriesKey { workflow_id: "wf".into(), workflow_type: "wf".into(), step: Some(step.into()), metric };
        self.analyses.push(Analysis {
            key,
            span_us: (0, self.graphs.last().map_or(0, |graph| graph.started_us)),
            change_points: change_days.iter().map(change).collect(),
            spread_changes: Vec::new(),
            baseline: Some(Baseline {
                value: 1.0,
                interval: Interval { lower: 0.9, upper: 1.1, level },
                spread: 0.1,
                normal_lower: 0.5,
                normal_upper: 1.5,
                sample_size: 10,
                method: "median",
                regime_start_us: 0,
                regime_end_us: i64::MAX,
            }),
            trends: Vec::new(),
            forecast: None,
        });
    }
}

/// `code`: of workflow, step, provider and platform.
fn push(all: &mut Samples, code: [u32; 4], started_us: i64, duration_ms: f64, shown: Shown) {
    let [workflow, step, provider, platform] = code;
    all.workflow_id.push(workflow);
    all.workflow_type.push(workflow);
    all.step.push(step);
    all.step_type.push(UNKNOWN);
    all.provider.push(provider);
    all.platform.push(platform);
    all.attempt.push(shown.attempt);
    all.started_us.push(started_us);
    all.ended_us.push(started_us + (duration_ms * 1e3) as i64);
    all.input_bytes.push(shown.input_bytes);
    all.output_bytes.push(shown.output_bytes);
    all.tokens_in.push(f64::NAN);
    all.upstream_bytes.push(f64::NAN);
    all.step_count.push(f64::NAN);
    all.duration_ms.push(duration_ms);
    all.memory_mb.push(shown.memory_mb);
    all.cpu_pct.push(shown.cpu_pct);
    all.tokens.push(shown.tokens);
    all.cost_usd.push(shown.cost_usd);
    all.network_bytes.push(f64::NAN);
    all.api_calls.push(f64::NAN);
    all.memory_request_mb.push(shown.memory_request_mb);
    all.cpu_request.push(shown.cpu_request);
    all.cache_hit.push(false);
}

/// A little noise, the same each time: within ±2 %.
pub(crate) fn noisy(value: f64, day: usize) -> f64 {
    value * (1.0 + 0.02 * ((day * 7 % 11) as f64 / 5.0 - 1.0))
}
