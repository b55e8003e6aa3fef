use super::Instant;
use super::rows::published_table;

published_table! {
    /// What the runs of the days to come need of each resource, and whether that is there.
    "capacity_plan" => CapacityPlanRow, grain "resource × provider (null = all) × growth × day", key [resource, provider, growth, ds];
    /// What is needed: a day of runs, cost_usd, tokens and api_calls; at once, in the busiest moment of the day, of concurrent_runs, slots (executions of steps), cpu_cores (their mean use) and memory_mb (the sum of their peaks).
    resource: String,
    /// Whose API is called, null for all together.
    provider: Option<String>,
    /// The unit of demand and capacity.
    unit: String,
    /// What if there were so many times the runs that are forecast; 1 is the forecast.
    growth: f64 => "ratio",
    /// Days ahead of the cutoff, from 1.
    horizon: i64,
    /// Start of the day.
    ds: Instant,
    /// Demand that is as likely exceeded as not.
    demand_p50: f64,
    /// Demand that is exceeded with a probability of 0.2.
    demand_p80: f64,
    /// Demand that is exceeded with a probability of 0.05.
    demand_p95: f64,
    /// Lower end of the interval of demand.
    demand_lower: f64,
    /// Upper end of the interval of demand.
    demand_upper: f64,
    /// Coverage probability of the intervals.
    level: f64 => "ratio",
    /// How much there is; null where no limit is configured.
    capacity: Option<f64>,
    /// Probability that the day needs more than there is; null where no limit is configured.
    shortage_probability: Option<f64> => "ratio",
    /// Start of the first day that is as likely short as not, the same in all rows of a resource; null where it is not within the horizon.
    exhausted_on: Option<Instant>,
    /// The earliest day of its interval; null: not within the horizon.
    exhausted_lower: Option<Instant>,
    /// The latest day of its interval; null: beyond the horizon, or never.
    exhausted_upper: Option<Instant>,
    /// End of the last day that was known.
    cutoff: Instant,
}
