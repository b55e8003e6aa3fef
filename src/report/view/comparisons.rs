//! Like with like: what a provider or platform costs in place of another.

use super::{Capped, Part};
use crate::report::format;
use crate::report::load::Published;
use crate::tables::published::ComparisonRow;

/// Pairs shown.
const CAP: usize = 12;

/// The pairs, clearest difference first.
#[derive(Debug, Clone, PartialEq)]
pub struct Comparisons {
    /// Pairs.
    pub items: Capped<Comparison>,
}

/// A pair.
#[derive(Debug, Clone, PartialEq)]
pub struct Comparison {
    /// Within which executions are alike.
    pub workflow_type: String,
    /// `provider` or `platform`.
    pub dimension: String,
    /// In a sentence: `b takes 1.3 times what a takes`.
    pub finding: String,
    /// The ratio b / a.
    pub ratio: String,
    /// Its interval, with its level.
    pub interval: String,
    /// Executions behind it.
    pub n: String,
}

pub(super) fn comparisons(published: &Published) -> Part<Comparisons> {
    let Some(kept) = &published.comparisons else { return Part::missing("comparisons") };
    if kept.total == 0 {
        return Part::Nothing("No two providers or platforms ran enough alike executions to be compared.".to_owned());
    }
    Part::Shown(Comparisons { items: Capped::of(&kept.rows, kept.total, CAP, comparison) })
}

fn comparison(row: &ComparisonRow) -> Comparison {
    let ComparisonRow { workflow_type, dimension, a, b, metric, ratio, ratio_lower, ratio_upper, level, n_a, n_b } =
        row;
    let text = |ratio: f64| format::significant(ratio, 3);
    let count = |n: i64| format::grouped_usize(usize::try_from(n).unwrap_or(0));
    Comparison {
        workflow_type: format::name(workflow_type),
        dimension: format::words(dimension),
        finding: finding(&format::name(a), &format::name(b), metric, *ratio, *ratio_lower..=*ratio_upper),
        ratio: format::times(*ratio),
        interval: format!("{} to {}, {}", text(*ratio_lower), text(*ratio_upper), format::level(*level)),
        n: format!("{} and {}", count(*n_a), count(*n_b)),
    }
}

fn finding(a: &str, b: &str, metric: &str, ratio: f64, interval: std::ops::RangeInclusive<f64>) -> String {
    let what = if metric == "cost" { "costs" } else { "takes" };
    if interval.contains(&1.0) || !ratio.is_finite() {
        return format!("{b} and {a}: no difference in {} shown", format::words(metric));
    }
    let (more, less) = (format::percent((ratio - 1.0).abs()), if ratio > 1.0 { "more" } else { "less" });
    let time = if metric == "execution_time" { " time" } else { "" };
    format!("{b} {what} {more} {less}{time} than {a}")
}
