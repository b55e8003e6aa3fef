use super::Json;
use super::rows::published_table;

published_table! {
    /// What to do next, best first.
    "recommendations" => RecommendationRow, grain "workflow × target × type", key [rank, recommendation_id];
    /// Stable: the same proposal has the same id at every as-of.
    recommendation_id: String,
    /// 1 is first.
    rank: i64,
    /// The workflow.
    workflow_id: String,
    /// What is to be changed: a step, the provider, ….
    target: String,
    /// RESOURCE_ALLOCATION, PROVIDER_SELECTION, CACHING, PARALLEL_PROCESSING, ALGORITHM_OPTIMIZATION or LOAD_BALANCING.
    r#type: String,
    /// performance, cost, reliability, scalability, best_practices or parallelization.
    category: String,
    /// What to do, in one line.
    title: String,
    /// Share of end-to-end time saved, 0-1, by replay.
    impact: f64 => "ratio",
    /// Lower end of the interval of impact.
    impact_lower: f64 => "ratio",
    /// Upper end of the interval of impact.
    impact_upper: f64 => "ratio",
    /// Coverage probability of all intervals of this row.
    level: f64 => "ratio",
    /// Time saved per run.
    saving_ms: f64 => "ms",
    /// Lower end of the interval of saving_ms.
    saving_ms_lower: f64 => "ms",
    /// Upper end of the interval of saving_ms.
    saving_ms_upper: f64 => "ms",
    /// Money saved per run that succeeds, where costs are known.
    saving_usd: Option<f64> => "usd",
    /// Lower end of the interval of saving_usd.
    saving_usd_lower: Option<f64> => "usd",
    /// Upper end of the interval of saving_usd.
    saving_usd_upper: Option<f64> => "usd",
    /// How feasible it is, 0-1, by written rule.
    feasibility: f64 => "ratio",
    /// low, medium or high, by written rule.
    effort: String,
    /// low, medium or high, by written rule.
    risk: String,
    /// Probability that it works: what its rule states, and what outcomes have made of it.
    probability: f64 => "ratio",
    /// Machine-applicable changes: a JSON list of objects with op, path, from and to.
    actions: Json,
    /// Published rows that it rests on, as table:key; never empty.
    evidence: Vec<String>,
    /// open, applied, rolled_back or dismissed.
    status: String,
    /// Place among the recommendations of this workflow whose savings are replayed together.
    portfolio_rank: i64,
    /// Joint saving per run of all of this workflow up to that place.
    portfolio_saving_ms: f64 => "ms",
    /// Confidence of the least certain dependency of a replay whose dependencies were inferred from times; null where they were
    /// declared, or nothing was replayed.
    inferred_confidence: Option<f64> => "ratio",
    /// Type of the workflow, if it is known.
    workflow_type: Option<String>,
    /// Probability with which the policy puts it first among the open ones of its workflow, where they sum to 1.
    propensity: Option<f64> => "ratio",
}
