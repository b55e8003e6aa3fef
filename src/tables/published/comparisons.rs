use super::rows::published_table;

published_table! {
    /// Like with like: the ratio between two providers or platforms over executions of the same steps and sizes.
    "comparisons" => ComparisonRow, grain "workflow type × dimension × pair × metric", key [workflow_type, dimension, a, b, metric];
    /// The workflow type within which executions are alike.
    workflow_type: String,
    /// provider or platform.
    dimension: String,
    /// First value of the pair.
    a: String,
    /// Second value of the pair.
    b: String,
    /// execution_time or cost.
    metric: String,
    /// Geometric mean of b / a.
    ratio: f64 => "ratio",
    /// Lower end of the interval of ratio.
    ratio_lower: f64 => "ratio",
    /// Upper end of the interval of ratio.
    ratio_upper: f64 => "ratio",
    /// Coverage probability of the interval.
    level: f64 => "ratio",
    /// Executions with a.
    n_a: i64 => "executions",
    /// Executions with b.
    n_b: i64 => "executions",
}
