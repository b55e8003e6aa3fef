use super::rows::published_table;

published_table! {
    /// How good the models are on a time-ordered backtest, beside fixed rivals.
    "model_scores" => ModelScoreRow, grain "engine × target × group × model", key [engine, target, group_id, model];
    /// prediction (of single executions), run_prediction (of whole runs), forecast, or anomaly (alarms, without errors).
    engine: String,
    /// What is predicted: a column of an execution, or the metric that is forecast; alarm for anomalies.
    target: String,
    /// * for all together, else the workflow type, the workflow (run_prediction) or the series.
    group_id: String,
    /// The model (its backtest when it was trained), or the rival; champion and challenger: the model that stood and one
    /// trained anew, on the same executions since the former was trained.
    model: String,
    /// Whether it is one of the fixed rivals: global_median, step_median, last_run; of whole runs recent_median, last_run.
    is_rival: bool,
    /// Held-out values; for anomalies the executions that were judged in this run.
    n: i64,
    /// Share within 20 % of the truth.
    in20: Option<f64> => "ratio",
    /// Median absolute percentage error.
    mdape: Option<f64> => "ratio",
    /// Sum of absolute errors over the sum of actual values.
    wape: Option<f64> => "ratio",
    /// Mean absolute scaled error.
    mase: Option<f64> => "ratio",
    /// Realised coverage: the share of held-out values inside the interval; null where the model gives none. For anomalies
    /// the share of executions without an alarm.
    coverage: Option<f64> => "ratio",
    /// Median of upper / lower; null where the model gives no interval.
    width_ratio: Option<f64> => "ratio",
    /// Nominal coverage of the interval. For anomalies the share of ordinary executions that should raise no alarm, which
    /// `sensitivity` asks for; true anomalies come on top.
    level: Option<f64> => "ratio",
    /// held, or low or high: an alert. The binomial distribution of n held-out values with the nominal coverage leaves
    /// half a percent on either side of its band, so that chance alone rarely cries wolf; a share of misses that is within
    /// a tenth of the promised one is held however many values there are. Null where the model gives no interval, and for
    /// forecasts, whose held-out values overlap, and for anomalies, of which true ones are no false alarms.
    coverage_state: Option<String>,
}
