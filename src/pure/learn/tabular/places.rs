//! Rows as places in a space where near means alike.

use super::basis::Transform;
use super::rows::Rows;
use crate::samples::UNKNOWN;
use serde::{Deserialize, Serialize};

/// Standardised numbers (unknown ones in the middle), then codes of words.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Place {
    numbers: Vec<f64>,
    codes: Vec<u32>,
}

impl Place {
    /// Squared differences by feature: 1 between different words.
    pub(super) fn squares<'a>(&'a self, other: &'a Self) -> impl Iterator<Item = f64> + 'a {
        let numbers = self.numbers.iter().zip(&other.numbers).map(|(x, y)| (x - y) * (x - y));
        numbers.chain(self.codes.iter().zip(&other.codes).map(|(x, y)| f64::from(u8::from(x != y))))
    }
}

/// How numbers are standardised.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Space {
    transforms: Vec<Transform>,
}

impl Space {
    pub(super) fn of(rows: &Rows) -> Self {
        Self { transforms: rows.numbers.iter().map(|column| Transform::of(column)).collect() }
    }

    pub(super) fn place(&self, rows: &Rows, row: usize) -> Place {
        let number = |(column, transform): (&Vec<f64>, &Transform)| {
            let value = transform.at(column.get(row).copied().unwrap_or(f64::NAN));
            if value.is_finite() { value } else { 0.0 }
        };
        let code = |column: &Vec<u32>| column.get(row).copied().unwrap_or(UNKNOWN);
        Place {
            numbers: rows.numbers.iter().zip(&self.transforms).map(number).collect(),
            codes: rows.codes.iter().map(code).collect(),
        }
    }
}
