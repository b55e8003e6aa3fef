use super::rows::published_table;

published_table! {
    /// What was not analysed, and why.
    "skips" => SkipRow, grain "analysis × what it was about", key [analysis, workflow, workflow_type, step, metric, reason], may repeat;
    /// The analysis that was left out.
    analysis: String,
    /// The workflow, or its type where groups are formed by type.
    workflow: String,
    /// The workflow's type, where it is about a series.
    workflow_type: Option<String>,
    /// The derived step; null where it is about the whole.
    step: Option<String>,
    /// The metric, where it is about a series.
    metric: Option<String>,
    /// The reason with its numbers: what was needed and what was found.
    reason: String,
}
