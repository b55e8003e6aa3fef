//! How good the predictions are: ours beside the fixed rivals, and the coverage that was promised beside the one that
//! came true.

use super::{Capped, Part};
use crate::report::format;
use crate::report::load::Published;
use crate::tables::published::ModelScoreRow;
use std::collections::BTreeMap;

/// Targets shown.
const CAP: usize = 12;
/// Broken promises shown.
const ALERT_CAP: usize = 20;
/// Models that stood against one another when one was trained anew, beside the one that predicts.
const CONTEST: [&str; 2] = ["champion", "challenger"];

/// Scores of predictions and forecasts.
#[derive(Debug, Clone, PartialEq)]
pub struct Scores {
    /// By what is predicted of single executions.
    pub predictions: Capped<Target>,
    /// By what is predicted of whole runs.
    pub runs: Capped<Target>,
    /// Intervals that do not hold what they promise.
    pub alerts: Capped<CoverageAlert>,
    /// By model.
    pub forecasts: Capped<ForecastScore>,
}

/// What is predicted, by whom, how well.
#[derive(Debug, Clone, PartialEq)]
pub struct Target {
    /// What is predicted.
    pub target: String,
    /// The verdict in sentences.
    pub verdict: String,
    /// Ours first, then the rivals.
    pub models: Vec<PredictionScore>,
}

/// Intervals of one group that hold more or less often than promised, beyond what chance explains.
#[derive(Debug, Clone, PartialEq)]
pub struct CoverageAlert {
    /// What is predicted, of which group.
    pub about: String,
    /// The model.
    pub model: String,
    /// Realised coverage beside its level.
    pub coverage: String,
    /// Held-out values.
    pub n: String,
    /// What is wrong with the intervals.
    pub judged: &'static str,
}

/// The score of one model.
#[derive(Debug, Clone, PartialEq)]
pub struct PredictionScore {
    /// Its name.
    pub model: String,
    /// Whether it is a fixed rival.
    pub is_rival: bool,
    /// Held-out executions.
    pub n: String,
    /// Share within 20 %.
    pub in20: String,
    /// Median absolute percentage error.
    pub mdape: String,
    /// Sum of errors over sum of values.
    pub wape: String,
    /// Realised coverage beside its level.
    pub coverage: String,
    /// Upper / lower.
    pub width: String,
}

/// How one forecasting model did over all series of a metric.
#[derive(Debug, Clone, PartialEq)]
pub struct ForecastScore {
    /// What is forecast.
    pub metric: String,
    /// The model.
    pub model: String,
    /// Series it was tried on.
    pub series: String,
    /// Median of the scaled errors.
    pub mase: String,
    /// Realised coverage beside its level.
    pub coverage: String,
}

pub(super) fn scores(published: &Published) -> Part<Scores> {
    let Some(rows) = &published.model_scores else { return Part::missing("model_scores") };
    if rows.is_empty() {
        return Part::Nothing(
            "No model has been tested: there is too little history to hold any of it out.".to_owned(),
        );
    }
    let mut models: BTreeMap<(&str, &str), Vec<&ModelScoreRow>> = BTreeMap::new();
    // Rows without an error tell the coverage by distance.
    for row in rows.iter().filter(|row| row.engine == "forecast" && row.mase.is_some()) {
        models.entry((&row.target, &row.model)).or_default().push(row);
    }
    let n_models = models.len();
    Part::Shown(Scores {
        predictions: targets(rows, "prediction", "executions"),
        runs: targets(rows, "run_prediction", "runs"),
        alerts: alerts(rows),
        forecasts: Capped::of(models, n_models, 2 * CAP, |((metric, model), rows)| forecast(metric, model, &rows)),
    })
}

/// What is predicted by one engine; `held_out` is what it is tried on.
fn targets(rows: &[ModelScoreRow], engine: &str, held_out: &str) -> Capped<Target> {
    let mut targets: BTreeMap<&str, Vec<&ModelScoreRow>> = BTreeMap::new();
    for row in rows.iter().filter(|row| row.engine == engine && row.group_id == "*") {
        targets.entry(&row.target).or_default().push(row);
    }
    let n_targets = targets.len();
    Capped::of(targets, n_targets, CAP, |(target, rows)| prediction(target, rows, held_out))
}

/// Whether the coverage of a model that predicts is not what was promised. A challenger only stood against it.
pub(in crate::report) fn is_alert(row: &ModelScoreRow) -> bool {
    row.model != "challenger" && matches!(row.coverage_state.as_deref(), Some("low" | "high"))
}

/// Too narrow before too wide, farthest from its level first.
fn alerts(rows: &[ModelScoreRow]) -> Capped<CoverageAlert> {
    let mut alerts: Vec<&ModelScoreRow> = rows.iter().filter(|row| is_alert(row)).collect();
    let off = |row: &ModelScoreRow| row.coverage.zip(row.level).map_or(0.0, |(coverage, level)| coverage - level);
    let rank = |row: &ModelScoreRow| if off(row) < 0.0 { off(row) } else { 1.0 - off(row) };
    alerts.sort_by(|a, b| rank(a).total_cmp(&rank(b)));
    let n_alerts = alerts.len();
    Capped::of(alerts, n_alerts, ALERT_CAP, |row| CoverageAlert {
        about: match row.group_id.as_str() {
            "*" => format!("{} (all)", format::words(&row.target)),
            group => format!("{} · {}", format::words(&row.target), format::name(group)),
        },
        model: format::words(&row.model),
        coverage: coverage_text(row.coverage, row.level),
        n: format::grouped_usize(usize::try_from(row.n).unwrap_or(0)),
        judged: if off(row) < 0.0 { "too narrow" } else { "wider than needed" },
    })
}

fn prediction(target: &str, mut rows: Vec<&ModelScoreRow>, held_out: &str) -> Target {
    // Ours first, better ones first among equals.
    let in20 = |row: &ModelScoreRow| row.in20.unwrap_or(0.0);
    rows.sort_by(|a, b| a.is_rival.cmp(&b.is_rival).then_with(|| in20(b).total_cmp(&in20(a))));
    let ours = rows.iter().find(|row| !row.is_rival && !CONTEST.contains(&row.model.as_str()));
    let rival = rows.iter().filter(|row| row.is_rival).max_by(|a, b| in20(a).total_cmp(&in20(b)));
    Target {
        target: format::words(target),
        verdict: ours.map_or_else(
            || "No model of ours is fit for it.".to_owned(),
            |ours| verdict(ours, rival.copied(), held_out),
        ),
        models: rows.iter().map(|row| prediction_score(row)).collect(),
    }
}

fn verdict(ours: &ModelScoreRow, rival: Option<&ModelScoreRow>, held_out: &str) -> String {
    let mut sentences = Vec::new();
    if let (Some(in20), Some(rival)) = (ours.in20, rival) {
        let best = rival.in20.unwrap_or(0.0);
        let than = if in20 > best { "better than" } else { "no better than" };
        sentences.push(format!(
            "{} is within 20 % of the truth for {} of held-out {held_out}, {than} the best simple rule ({}: {}).",
            format::name(&ours.model),
            format::percent(in20),
            format::words(&rival.model),
            format::percent(best)
        ));
    }
    if let (Some(coverage), Some(level)) = (ours.coverage, ours.level) {
        let judged = match ours.coverage_state.as_deref() {
            Some("low") => ", so they are too narrow",
            Some("high") => ", so they are wider than needed",
            Some(_) => ", as promised",
            None => "",
        };
        let (level, coverage) = (format::level(level), format::percent(coverage));
        sentences.push(format!("Its {level} intervals held {coverage} of the truth{judged}."));
    }
    sentences.join(" ")
}

fn prediction_score(row: &ModelScoreRow) -> PredictionScore {
    let share = |value: Option<f64>| value.map_or_else(|| format::NOTHING.to_owned(), format::percent);
    PredictionScore {
        model: format::words(&row.model),
        is_rival: row.is_rival,
        n: format::grouped_usize(usize::try_from(row.n).unwrap_or(0)),
        in20: share(row.in20),
        mdape: share(row.mdape),
        wape: share(row.wape),
        coverage: coverage_text(row.coverage, row.level),
        width: row.width_ratio.filter(|w| w.is_finite()).map_or_else(|| format::NOTHING.to_owned(), format::times),
    }
}

fn coverage_text(coverage: Option<f64>, level: Option<f64>) -> String {
    match (coverage.filter(|c| c.is_finite()), level) {
        (Some(coverage), Some(level)) => format!("{} of {}", format::percent(coverage), format::level(level)),
        (Some(coverage), None) => format::percent(coverage),
        (None, _) => format::NOTHING.to_owned(),
    }
}

fn forecast(metric: &str, model: &str, rows: &[&ModelScoreRow]) -> ForecastScore {
    let mut errors: Vec<f64> = rows.iter().filter_map(|row| row.mase).filter(|mase| !mase.is_nan()).collect();
    errors.sort_by(f64::total_cmp);
    let level = rows.iter().find_map(|row| row.level);
    ForecastScore {
        metric: format::words(metric),
        model: format::words(model),
        series: format::grouped_usize(rows.len()),
        mase: format::significant(middle(&errors), 3),
        coverage: coverage_text(pooled_coverage(rows), level),
    }
}

fn middle(sorted: &[f64]) -> f64 {
    let at = |idx: usize| sorted.get(idx).copied().unwrap_or(f64::NAN);
    let half = sorted.len() / 2;
    if sorted.len() % 2 == 1 { at(half) } else { f64::midpoint(at(half.wrapping_sub(1)), at(half)) }
}

/// Held-out values of all series together.
#[expect(clippy::cast_precision_loss, reason = "counts stay far below 2^53")]
fn pooled_coverage(rows: &[&ModelScoreRow]) -> Option<f64> {
    let known = rows.iter().filter_map(|row| row.coverage.map(|coverage| (coverage, row.n as f64)));
    let (inside, n) = known.fold((0.0, 0.0), |(inside, total), (coverage, n)| (inside + coverage * n, total + n));
    (n > 0.0).then(|| inside / n)
}
