//! Which rows come first.

use crate::tables::published::{
    AnomalyRow, BottleneckRow, ChangePointRow, ComparisonRow, DegradationRow, OutcomeRow, RecommendationRow,
    SpreadChangeRow, StepTimesRow,
};
use std::cmp::Ordering;

/// How far a change goes, the same for twice as much and for half as much; by difference where no ratio is defined.
fn effect_size(row: &ChangePointRow) -> f64 {
    let ratio = row.effect_ratio;
    if ratio > 0.0 && ratio.is_finite() { ratio.ln().abs() } else { (row.after - row.before).abs().min(1.0) }
}

/// Larger first; what is not a number last.
pub(super) fn descending(a: f64, b: f64) -> Ordering {
    // Not a number is no effect.
    let known = |x: f64| if x.is_nan() { f64::NEG_INFINITY } else { x };
    known(b).total_cmp(&known(a))
}

/// Largest effect first.
pub(super) fn by_effect(a: &ChangePointRow, b: &ChangePointRow) -> Ordering {
    descending(effect_size(a), effect_size(b))
}

/// Largest effect first.
pub(super) fn by_spread(a: &SpreadChangeRow, b: &SpreadChangeRow) -> Ordering {
    descending(a.effect_ratio.ln().abs(), b.effect_ratio.ln().abs())
}

/// Whether a bottleneck is still there.
pub(super) fn is_open(row: &BottleneckRow) -> bool {
    row.status != "resolved"
}

/// Largest loss first.
pub(super) fn by_loss(a: &DegradationRow, b: &DegradationRow) -> Ordering {
    descending(a.ratio, b.ratio)
}

/// Whether a strange execution counts against the budget of alarms.
pub(super) fn is_alarm(row: &AnomalyRow) -> bool {
    row.severity != "info"
}

/// The table's own order: largest impact first.
pub(super) fn by_impact(a: &BottleneckRow, b: &BottleneckRow) -> Ordering {
    a.rank.cmp(&b.rank)
}

/// Those that a run waits for longest first, then those that take longest in the typical one.
pub(super) fn by_blocking(a: &StepTimesRow, b: &StepTimesRow) -> Ordering {
    let span_ms =
        |row: &StepTimesRow| row.typical_end_ms.zip(row.typical_start_ms).map_or(0.0, |(end, start)| end - start);
    descending(a.blocking_share, b.blocking_share).then_with(|| descending(span_ms(a), span_ms(b)))
}

/// Best first.
pub(super) fn by_rank(a: &RecommendationRow, b: &RecommendationRow) -> Ordering {
    a.rank.cmp(&b.rank)
}

/// Latest change first.
pub(super) fn by_application(a: &OutcomeRow, b: &OutcomeRow) -> Ordering {
    b.applied_at.0.cmp(&a.applied_at.0).then_with(|| a.recommendation_id.cmp(&b.recommendation_id))
}

/// Most severe first, stranger ones first among equals.
pub(super) fn by_severity(a: &AnomalyRow, b: &AnomalyRow) -> Ordering {
    severity_rank(&b.severity).cmp(&severity_rank(&a.severity)).then_with(|| descending(a.score, b.score))
}

/// 3 for critical, 0 for low and for words that are not known.
fn severity_rank(severity: &str) -> u8 {
    match severity {
        "critical" => 3,
        "high" => 2,
        "medium" => 1,
        _ => 0,
    }
}

/// By the end of the interval that is nearer to "no difference".
pub(super) fn by_clarity(a: &ComparisonRow, b: &ComparisonRow) -> Ordering {
    let sure = |row: &ComparisonRow| {
        let (lower, upper) = (row.ratio_lower.ln(), row.ratio_upper.ln());
        if lower > 0.0 { lower } else { (-upper).max(0.0) }
    };
    descending(sure(a), sure(b))
}
