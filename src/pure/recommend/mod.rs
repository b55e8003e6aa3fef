//! What to do next: typed, ranked, with the evidence it rests on.
//!
//! [`propose`] asks every rule (one a file) what it would change in every workflow and replays each change over the recent
//! runs; [`rank`] orders the proposals and replays them together as a portfolio. Feasibility, effort, risk and the prior
//! probability that a proposal works are fixed by its kind, until outcomes are measured ([`outcome`]) and change the last
//! ([`beliefs`]):
//!
//! | kind | case | category | feasibility | effort | risk | probability |
//! |---|---|---|---|---|---|---|
//! | `RESOURCE_ALLOCATION` | lower a request | cost | 0.9 | low | medium | 0.8 |
//! | | raise memory at its limit | reliability | 0.9 | low | low | 0.8 |
//! | | time out what hangs | best_practices | 0.9 | low | medium | 0.7 |
//! | `PROVIDER_SELECTION` | switch | performance or cost, where more is gained | 0.7 | medium | medium | 0.6 |
//! | `CACHING` | keep results | performance | 0.8 | medium | low | 0.7 |
//! | `PARALLEL_PROCESSING` | side by side | parallelization | 0.6 | medium | medium | 0.6 |
//! | | more slots | scalability | 0.7 | low | medium | 0.7 |
//! | `ALGORITHM_OPTIMIZATION` | undo a slowdown | performance | 0.6 | medium | low | 0.5 |
//! | | undo a rise of cost | cost | 0.6 | medium | low | 0.5 |
//! | | linear growth | best_practices | 0.4 | high | medium | 0.4 |
//! | | no retries | reliability | 0.5 | medium | low | 0.5 |
//! | | no failed runs | reliability | 0.5 | medium | low | 0.5 |
//! | `LOAD_BALANCING` | longest path first | performance | 0.7 | low | low | 0.6 |
//! | | less for a slow worker | performance | 0.7 | low | low | 0.6 |
//!
//! Nothing is proposed that cites no evidence, and nothing is replayed where dependencies are neither declared nor shown by
//! spans or times: there only what needs no replay is proposed: requests for memory and CPU, timeouts, and what saves money
//! alone.

mod algorithm;
mod balance;
pub mod before_after;
pub mod beliefs;
mod caching;
mod costs;
mod failed_runs;
mod load;
mod money;
pub mod outcome;
mod parallel;
mod params;
pub mod policy;
mod portfolio;
mod proposal;
mod providers;
mod rank;
mod reliability;
mod resources;
mod rises;
mod switches;
mod timeouts;

pub use params::{Caching, LoadBalancing, Parallel, Params, Providers, Resources};
pub use proposal::Proposal;
pub use rank::{Learned, Status, rank};

use crate::analysis::Analysis;
use crate::compare::Comparison;
use crate::detect::bottlenecks::history::History;
use crate::graph::{Ensemble, RunGraph, Scratch};
use crate::samples::Samples;
use crate::units::Level;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A bottleneck of a workflow with what it costs end to end.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Bottleneck {
    /// Stable: the same finding has the same id at every as-of.
    pub bottleneck_id: String,
    /// The workflow.
    pub workflow_id: String,
    /// The step, none where the run as a whole is meant.
    pub step: Option<String>,
    /// `slow_step, resource_exhaustion, api_limit, inefficient_algorithm, sequential_dependency, cache_miss`.
    pub kind: &'static str,
    /// `low, medium, high, critical`.
    pub severity: &'static str,
    /// Share of end-to-end time it costs, by replay, 0-1.
    pub impact: f64,
    /// Interval of `impact`.
    pub impact_lower: f64,
    /// Interval of `impact`.
    pub impact_upper: f64,
    /// Coverage of the intervals.
    pub level: Level,
    /// Milliseconds of a typical run that it costs.
    pub saving_ms: f64,
    /// A sentence.
    pub description: String,
    /// Likely causes, most likely first.
    pub causes: Vec<String>,
    /// Published rows that show it, as `table:key`.
    pub evidence: Vec<String>,
    /// `open` or `resolved`.
    pub status: &'static str,
    /// When it was first seen; carried over from earlier results at the edge.
    pub opened_at_us: i64,
    /// Confidence of the least certain dependency that its replay rests on, where they were inferred; none where they were
    /// declared or nothing was replayed.
    pub inferred_confidence: Option<f64>,
}

/// One change of a configuration: set `path` from `from` to `to`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Action {
    /// `set`, `add` or `remove`.
    pub op: &'static str,
    /// JSON pointer into the workflow's configuration, e.g. `/steps/align/resources/memory_mb`.
    pub path: String,
    /// The present value, null where unknown.
    pub from: serde_json::Value,
    /// The proposed value.
    pub to: serde_json::Value,
}

/// A ranked proposal.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Recommendation {
    /// Stable: the same proposal has the same id at every as-of.
    pub recommendation_id: String,
    /// 1 = first.
    pub rank: u32,
    /// The workflow.
    pub workflow_id: String,
    /// Its type, if it is known: the context of what outcomes teach.
    pub workflow_type: Option<String>,
    /// What is to be changed: a step, `provider`, …
    pub target: String,
    /// `RESOURCE_ALLOCATION, PROVIDER_SELECTION, CACHING, PARALLEL_PROCESSING, ALGORITHM_OPTIMIZATION, LOAD_BALANCING`.
    pub kind: &'static str,
    /// `performance, cost, reliability, scalability, best_practices, parallelization`.
    pub category: &'static str,
    /// One line.
    pub title: String,
    /// Share of end-to-end time saved, by replay, 0-1, with interval.
    pub impact: f64,
    /// Interval of `impact`.
    pub impact_lower: f64,
    /// Interval of `impact`.
    pub impact_upper: f64,
    /// Coverage of all its intervals.
    pub level: Level,
    /// Milliseconds saved per run, with interval.
    pub saving_ms: f64,
    /// Interval of `saving_ms`.
    pub saving_ms_lower: f64,
    /// Interval of `saving_ms`.
    pub saving_ms_upper: f64,
    /// Money saved per run that succeeds, where costs are known.
    pub saving_usd: Option<f64>,
    /// Interval of `saving_usd`.
    pub saving_usd_lower: Option<f64>,
    /// Interval of `saving_usd`.
    pub saving_usd_upper: Option<f64>,
    /// 0-1, by written rule.
    pub feasibility: f64,
    /// `low, medium, high`, by written rule.
    pub effort: &'static str,
    /// `low, medium, high`, by written rule.
    pub risk: &'static str,
    /// Probability that it works: the stated prior of its type, and what outcomes have made of it.
    pub probability: f64,
    /// Probability with which the policy puts it first among the open ones of its workflow; 0 where it is not open.
    pub propensity: f64,
    /// Machine-applicable changes.
    pub actions: Vec<Action>,
    /// Published rows that it rests on, as `table:key`; never empty.
    pub evidence: Vec<String>,
    /// Where it stands.
    pub status: Status,
    /// Place in the portfolio, whose savings are replayed together.
    pub portfolio_rank: u32,
    /// Joint saving per run of all of this workflow up to that rank.
    pub portfolio_saving_ms: f64,
    /// Confidence of the least certain dependency that its replay rests on, where they were inferred; none where they were
    /// declared or nothing was replayed.
    pub inferred_confidence: Option<f64>,
}

/// Everything that proposals rest on, of one as-of.
#[derive(Debug, Clone, Copy)]
pub struct Inputs<'a> {
    /// Recorded runs of all workflows, in any order.
    pub graphs: &'a [RunGraph],
    /// Executions of their steps.
    pub samples: &'a Samples,
    /// What [`crate::detect::bottlenecks::bottlenecks`] found in the same.
    pub bottlenecks: &'a [Bottleneck],
    /// Providers and platforms, like with like.
    pub comparisons: &'a [Comparison],
    /// What was learned about their series.
    pub analyses: &'a [Analysis],
}

/// What the rules look at: one workflow.
pub(crate) struct Case<'a> {
    pub(crate) history: &'a History<'a>,
    /// None where its runs can't be replayed.
    pub(crate) ensemble: Option<&'a Ensemble>,
    pub(crate) bottlenecks: Vec<&'a Bottleneck>,
    pub(crate) comparisons: &'a [Comparison],
    pub(crate) params: &'a Params,
}

/// Asks every enabled rule about every workflow, in parallel; the result does not depend on the number of threads. Sorted
/// by workflow, then by rule, then by target.
#[must_use]
pub fn propose(inputs: &Inputs<'_>, params: &Params) -> Vec<Proposal> {
    let Inputs { graphs, samples, bottlenecks, comparisons, analyses } = *inputs;
    let histories = History::collect(graphs, samples, analyses);
    let mut by_workflow: BTreeMap<&str, Vec<&Bottleneck>> = BTreeMap::new();
    for found in bottlenecks {
        by_workflow.entry(&found.workflow_id).or_default().push(found);
    }
    let of_workflow = |history: &History<'_>| {
        let ensemble = Ensemble::new(&history.graphs, params.replay).ok();
        let own = by_workflow.get(history.workflow_id).cloned().unwrap_or_default();
        rules(&Case { history, ensemble: ensemble.as_ref(), bottlenecks: own, comparisons, params })
    };
    histories.par_iter().map(of_workflow).collect::<Vec<_>>().into_iter().flatten().collect()
}

fn rules(case: &Case<'_>) -> Vec<Proposal> {
    let unreplayed = [resources::propose, costs::propose, failed_runs::propose, timeouts::propose];
    let mut proposals: Vec<Proposal> = unreplayed.into_iter().flat_map(|rule| rule(case)).collect();
    let Some(ensemble) = case.ensemble else { return proposals };
    let mut scratch = Scratch::default();
    let rules = [
        providers::propose,
        caching::propose,
        parallel::propose,
        algorithm::propose,
        reliability::propose,
        load::propose,
        balance::propose,
    ];
    for rule in rules {
        proposals.extend(rule(case, ensemble, &mut scratch));
    }
    proposals
}

/// 16 hexadecimal digits that depend on `parts` alone: FNV-1a, 64 bits (Fowler, Noll, Vo), each part ended by the byte
/// 0xFF, which no UTF-8 text holds, so that `["ab", "c"]` and `["a", "bc"]` differ.
pub(crate) fn stable_id(parts: &[&str]) -> String {
    const PRIME: u64 = 0x0000_0100_0000_01B3;
    let bytes = parts.iter().flat_map(|part| part.bytes().chain([0xFF]));
    let hash = bytes.fold(0xCBF2_9CE4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(PRIME));
    format!("{hash:016x}")
}

#[cfg(test)]
mod tests;
