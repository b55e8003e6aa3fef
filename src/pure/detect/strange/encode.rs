//! Columns of any type as numbers in 0-1.

use super::{Feature, Unjudged, numbers};
use crate::columns::{Column, Words};
use crate::stats::robust::median;
use crate::stats::subsample::thinned;

/// The columns that vary, encoded.
#[derive(Debug, Default)]
pub(super) struct Encoded<'a> {
    pub(super) columns: Vec<Known<'a>>,
    /// (n_samples, n_columns), row-major.
    pub(super) x: Vec<f32>,
}

/// A column that varies.
#[derive(Debug)]
pub(super) struct Known<'a> {
    pub(super) name: &'a str,
    /// (n_samples,) numbers, or how rare each word is: `−ln` of its share; NaN where unknown.
    pub(super) values: Vec<f64>,
    /// The words, where it holds words.
    pub(super) words: Option<&'a Words>,
}

/// Encodes `rows`. A number keeps its place between the least and the greatest; a word becomes how rare it is; what is
/// unknown is put at the median, where it is unremarkable. Columns without two distinct values are left out, and told.
pub(super) fn encode<'a>(features: &'a [Feature], rows: &[usize]) -> (Encoded<'a>, Vec<Unjudged>) {
    let (mut encoded, mut unjudged) = (Encoded::default(), Vec::new());
    let mut places: Vec<Vec<f32>> = Vec::new();
    for (name, column) in features {
        let (values, words) = match column {
            Column::Numbers(values) => (numbers(values, rows), None),
            Column::Words(words) => (rarities(words, rows), Some(words)),
        };
        match between(&values) {
            Ok(column) => {
                places.push(column);
                encoded.columns.push(Known { name, values, words });
            }
            Err(reason) => unjudged.push(Unjudged { subject: format!("column {name:?}"), reason: reason.to_owned() }),
        }
    }
    encoded.x =
        (0..rows.len()).flat_map(|row| places.iter().filter_map(move |column| column.get(row))).copied().collect();
    (encoded, unjudged)
}

/// `−ln` of each word's share of the known ones.
#[expect(clippy::cast_precision_loss, reason = "counts stay far below 2^53")]
fn rarities(words: &Words, rows: &[usize]) -> Vec<f64> {
    let code = |row: &usize| words.codes.get(*row).and_then(|&code| usize::try_from(code).ok());
    let mut counts = vec![0_usize; words.words.len()];
    for slot in rows.iter().filter_map(code) {
        counts.get_mut(slot).into_iter().for_each(|count| *count += 1);
    }
    let n = counts.iter().sum::<usize>() as f64;
    let rarity = |row: &usize| code(row).and_then(|c| counts.get(c)).map_or(f64::NAN, |&count| (n / count as f64).ln());
    rows.iter().map(rarity).collect()
}

/// Values as places between the least (0) and the greatest (1).
#[expect(clippy::cast_possible_truncation, reason = "places in 0-1 need no more digits")]
fn between(values: &[f64]) -> Result<Vec<f32>, &'static str> {
    let known = || values.iter().copied().filter(|v| !v.is_nan());
    let (low, high) = (known().fold(f64::INFINITY, f64::min), known().fold(f64::NEG_INFINITY, f64::max));
    if low > high {
        return Err("no value is known");
    }
    // Halves, so that a range of the greatest doubles does not overflow.
    let range = high / 2.0 - low / 2.0;
    if range <= 0.0 {
        return Err("has one value only (or words that are all as rare), so nothing in it is strange");
    }
    let place = |v: f64| ((v / 2.0 - low / 2.0) / range) as f32;
    let middle = place(median(&mut thinned(known())));
    Ok(values.iter().map(|&v| if v.is_nan() { middle } else { place(v) }).collect())
}
