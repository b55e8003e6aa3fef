use super::rows::published_table;

published_table! {
    /// How good the models are on a time-ordered backtest, beside fixed rivals.
    "model_scores" => ModelScoreRow, grain "engine × target × group × model", key [engine, target, group_id, model];
    /// prediction or forecast.
    engine: String,
    /// What is predicted: a column of an execution, or the metric that is forecast.
    target: String,
    /// * for all together, else the workflow type or the series.
    group_id: String,
    /// The model or the rival.
    model: String,
    /// Whether it is one of the fixed rivals: global_median, step_median, last_run.
    is_rival: bool,
    /// Held-out values.
    n: i64,
    /// Share within 20 % of the truth.
    in20: Option<f64> => "ratio",
    /// Median absolute percentage error.
    mdape: Option<f64> => "ratio",
    /// Sum of absolute errors over the sum of actual values.
    wape: Option<f64> => "ratio",
    /// Mean absolute scaled error.
    mase: Option<f64> => "ratio",
    /// Realised coverage: the share of held-out values inside the interval; null where the model gives none.
    coverage: Option<f64> => "ratio",
    /// Median of upper / lower; null where the model gives no interval.
    width_ratio: Option<f64> => "ratio",
    /// Nominal coverage of the interval.
    level: Option<f64> => "ratio",
}
