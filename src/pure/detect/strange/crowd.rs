//! Rows judged beside all others.
//!
//! A forest of random cuts is right about most tables, but sees every column by itself. Distances to near neighbours see
//! what only several columns together show, the finer the more rows a subsample has; but where strange rows keep
//! together, fine scales take them for ordinary. Nothing but labels says for sure which it is. What the table does say is
//! how far a scale agrees with the forest: where fine scales contradict it, they follow the density of groups and not
//! strangeness, and are trusted less (a pseudo ground truth, as in Rayana and Akoglu 2016, SELECT).

use super::encode::{Encoded, encode};
use super::neighbours::{Measure, SCALES, distances};
use super::{Detector, Feature, Params, Unjudged, Verdict, digits};
use crate::columns::Words;
use crate::learn::isolation_forest::{self, ForestParams};
use crate::stats::robust::quantile;
use crate::stats::subsample::thinned;

/// Correlation with the forest from which a scale is trusted at all; at 1 it counts as much as the forest.
const MIN_AGREEMENT: f64 = 0.5;
/// Share of ordinary rows that may be called anomalies.
const ALARM_RATE: f64 = 0.001;
/// Up to here rows are believed to be ordinary; the tail beyond is continued, since anomalies may dominate it, in the
/// shape that these two quantiles give it: a Weibull's.
const SHOULDER: f64 = 0.75;
const ORDINARY: f64 = 0.9;
/// Shapes of tails: 1 is an exponential, about 1.3 a normal's, 2 falls as fast as the square.
const MIN_SHAPE: f64 = 0.7;
const MAX_SHAPE: f64 = 2.0;
/// Where most rows are alike, so many may be anomalies for being others.
const FEW: f64 = 0.01;
/// Where the values of a column are expected: this quantile, and its mirror image.
const EXPECTED: f64 = 0.01;

/// Judges `rows` by all of them.
pub(super) fn judge(features: &[Feature], rows: &[usize], params: &Params) -> (Vec<Verdict>, Vec<Unjudged>) {
    let (encoded, mut unjudged) = encode(features, rows);
    let Some(strangeness) = strangeness(&encoded, params) else {
        unjudged.push(Unjudged { subject: String::new(), reason: "no column can be judged".to_owned() });
        return (vec![Verdict::unknown(); rows.len()], unjudged);
    };
    let Scale { middle, alarm } = Scale::of(&strangeness);
    let ranges = ranges(&encoded);
    let verdict = |(row, s): (usize, &f64)| {
        // 1 at the alarm, 0 at the median; strictly increasing, also far out.
        let far = if alarm > middle { (s - middle) / (alarm - middle) - 1.0 } else { (s - middle).min(0.0) - 1e-9 };
        let score = 0.5 * (1.0 + far / (1.0 + far.abs()));
        let is_anomaly = far >= 0.0;
        Verdict {
            score,
            is_anomaly,
            reasons: if is_anomaly { reasons(&encoded, &ranges, rows, row) } else { Vec::new() },
        }
    };
    (strangeness.iter().enumerate().map(verdict).collect(), unjudged)
}

/// How strange each row is, on no scale in particular; none where there is no column.
fn strangeness(encoded: &Encoded<'_>, params: &Params) -> Option<Vec<f64>> {
    let n_features = encoded.columns.len();
    let forest = ForestParams { seed: params.seed, ..ForestParams::default() };
    let mut isolation = isolation_forest::fit(&encoded.x, n_features, &forest).ok()?.score(&encoded.x);
    if params.detector == Detector::IsolationForest {
        return Some(isolation);
    }
    standardise(&mut isolation);
    let mut total = isolation.clone();
    let measures = [Measure::Euclid, Measure::Manhattan];
    for (scale, measure) in SCALES.into_iter().flat_map(|scale| measures.map(|measure| (scale, measure))) {
        let mut far = distances(&encoded.x, n_features, measure, scale, params.seed);
        standardise(&mut far);
        let weight = ((mean_product(&far, &isolation) - MIN_AGREEMENT) / (1.0 - MIN_AGREEMENT)).max(0.0);
        total.iter_mut().zip(&far).for_each(|(sum, far)| *sum += weight * far);
    }
    Some(total)
}

/// Mean 0 and standard deviation 1; all 0 where nothing varies.
#[expect(clippy::cast_precision_loss, reason = "counts stay far below 2^53")]
fn standardise(values: &mut [f64]) {
    let n = values.len().max(1) as f64;
    let mean = values.iter().sum::<f64>() / n;
    values.iter_mut().for_each(|v| *v -= mean);
    let deviation = mean_product(values, values).sqrt();
    values.iter_mut().for_each(|v| *v = if deviation > 0.0 { *v / deviation } else { 0.0 });
}

#[expect(clippy::cast_precision_loss, reason = "counts stay far below 2^53")]
fn mean_product(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>() / a.len().max(1) as f64
}

/// The median, and where anomalies begin.
struct Scale {
    middle: f64,
    alarm: f64,
}

impl Scale {
    fn of(strangeness: &[f64]) -> Self {
        let mut values = strangeness.to_vec();
        let middle = quantile(&mut values, 0.5);
        let [near, far] = [SHOULDER, ORDINARY].map(|q| quantile(&mut values, q) - middle);
        if far > 0.0 {
            // P(X > middle + x) = exp(−(x / scale)^shape) / 2
            let [at_near, at_far, at_alarm] = [1.0 - SHOULDER, 1.0 - ORDINARY, ALARM_RATE].map(|p| (0.5 / p).ln());
            let shape = (at_far / at_near).ln() / (far / near.max(f64::MIN_POSITIVE)).ln();
            let shape = if shape.is_finite() { shape.clamp(MIN_SHAPE, MAX_SHAPE) } else { MIN_SHAPE };
            return Self { middle, alarm: middle + far * (at_alarm / at_far).powf(1.0 / shape) };
        }
        // Most rows are alike: the few others are strange, unless they are many.
        let greatest = strangeness.iter().copied().fold(middle, f64::max);
        let are_few = quantile(&mut values, 1.0 - FEW) <= middle;
        Self { middle, alarm: if are_few { 0.5 * (middle + greatest) } else { 2.0 * greatest - middle } }
    }
}

/// Where the values of each column are expected, as far as some of the rows show.
fn ranges(encoded: &Encoded<'_>) -> Vec<(f64, f64)> {
    let range = |values: &[f64]| {
        let mut known = thinned(values.iter().copied().filter(|v| !v.is_nan()));
        (quantile(&mut known, EXPECTED), quantile(&mut known, 1.0 - EXPECTED))
    };
    encoded.columns.iter().map(|column| range(&column.values)).collect()
}

/// Columns in which the row leaves the expected range, the farthest first; else that it is their combination.
fn reasons(encoded: &Encoded<'_>, ranges: &[(f64, f64)], rows: &[usize], row: usize) -> Vec<String> {
    let mut off: Vec<(f64, String)> = Vec::new();
    for (column, &(lower, upper)) in encoded.columns.iter().zip(ranges) {
        let value = column.values.get(row).copied().unwrap_or(f64::NAN);
        let beyond = (value - upper).max(lower - value);
        if beyond.is_nan() || beyond <= 0.0 || (column.words.is_some() && value < upper) {
            continue;
        }
        let far = beyond / (upper - lower).max(f64::MIN_POSITIVE);
        let name = column.name;
        off.push((
            far,
            match column.words {
                Some(words) => format!("{name}: {:?} is one in {:.0}", word(words, rows, row), value.exp()),
                None => format!("{name}: {}, expected {} to {}", digits(value), digits(lower), digits(upper)),
            },
        ));
    }
    if off.is_empty() {
        return vec!["no column by itself: the combination is rare".to_owned()];
    }
    off.sort_by(|a, b| b.0.total_cmp(&a.0));
    off.into_iter().map(|(_, reason)| reason).collect()
}

fn word<'a>(words: &'a Words, rows: &[usize], row: usize) -> &'a str {
    rows.get(row).and_then(|&row| words.at(row)).unwrap_or_default()
}
