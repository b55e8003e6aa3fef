//! How good the predictions are: ours beside the fixed rivals, and the coverage that was promised beside the one that
//! came true.

use super::{Capped, Part};
use crate::report::format;
use crate::report::load::Published;
use crate::tables::published::ModelScoreRow;
use std::collections::BTreeMap;

/// Targets shown.
const CAP: usize = 12;
/// Coverage this far from its level is no matter of rounding; beyond it, and beyond what chance explains, it is said.
const COVERAGE_MARGIN: f64 = 0.02;

/// Scores of predictions and forecasts.
#[derive(Debug, Clone, PartialEq)]
pub struct Scores {
    /// By what is predicted.
    pub predictions: Capped<Target>,
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
    let (predictions, forecasts): (Vec<_>, Vec<_>) = rows.iter().partition(|row| row.engine == "prediction");
    let mut targets: BTreeMap<&str, Vec<&ModelScoreRow>> = BTreeMap::new();
    for row in predictions {
        targets.entry(&row.target).or_default().push(row);
    }
    let mut models: BTreeMap<(&str, &str), Vec<&ModelScoreRow>> = BTreeMap::new();
    for row in forecasts {
        models.entry((&row.target, &row.model)).or_default().push(row);
    }
    let (n_targets, n_models) = (targets.len(), models.len());
    Part::Shown(Scores {
        predictions: Capped::of(targets, n_targets, CAP, |(target, rows)| prediction(target, rows)),
        forecasts: Capped::of(models, n_models, 2 * CAP, |((metric, model), rows)| forecast(metric, model, &rows)),
    })
}

fn prediction(target: &str, mut rows: Vec<&ModelScoreRow>) -> Target {
    // Ours first, better ones first among equals.
    let in20 = |row: &ModelScoreRow| row.in20.unwrap_or(0.0);
    rows.sort_by(|a, b| a.is_rival.cmp(&b.is_rival).then_with(|| in20(b).total_cmp(&in20(a))));
    let ours = rows.iter().find(|row| !row.is_rival);
    let rival = rows.iter().filter(|row| row.is_rival).max_by(|a, b| in20(a).total_cmp(&in20(b)));
    Target {
        target: format::words(target),
        verdict: ours
            .map_or_else(|| "No model of ours is fit for it.".to_owned(), |ours| verdict(ours, rival.copied())),
        models: rows.iter().map(|row| prediction_score(row)).collect(),
    }
}

fn verdict(ours: &ModelScoreRow, rival: Option<&ModelScoreRow>) -> String {
    let mut sentences = Vec::new();
    if let (Some(in20), Some(rival)) = (ours.in20, rival) {
        let best = rival.in20.unwrap_or(0.0);
        let than = if in20 > best { "better than" } else { "no better than" };
        sentences.push(format!(
            "{} is within 20 % of the truth for {} of held-out executions, {than} the best simple rule ({}: {}).",
            format::name(&ours.model),
            format::percent(in20),
            format::words(&rival.model),
            format::percent(best)
        ));
    }
    if let (Some(coverage), Some(level)) = (ours.coverage, ours.level) {
        let judged = match calibration(coverage, level, ours.n) {
            Calibration::Kept => "as promised",
            Calibration::TooNarrow => "so they are too narrow",
            Calibration::TooWide => "so they are wider than needed",
        };
        let (level, coverage) = (format::level(level), format::percent(coverage));
        sentences.push(format!("Its {level} intervals held {coverage} of the truth, {judged}."));
    }
    sentences.join(" ")
}

enum Calibration {
    Kept,
    TooNarrow,
    TooWide,
}

/// Whether realised coverage differs from its level by more than the margin and two standard errors.
#[expect(clippy::cast_precision_loss, reason = "counts stay far below 2^53")]
fn calibration(coverage: f64, level: f64, n: i64) -> Calibration {
    let standard_error = (level * (1.0 - level) / n.max(1) as f64).max(0.0).sqrt();
    let tolerated = COVERAGE_MARGIN.max(2.0 * standard_error);
    if coverage < level - tolerated {
        Calibration::TooNarrow
    } else if coverage > level + tolerated {
        Calibration::TooWide
    } else {
        Calibration::Kept
    }
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
