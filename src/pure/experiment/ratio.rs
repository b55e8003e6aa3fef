//! Ratios of sums, such as the cost of a token, from what was kept of an arm.

use super::Comparison;
use super::linear::{Layout, Stratum, compare};
use super::moments::Moments;
use serde::{Deserialize, Serialize};

/// Sums of two outcomes of the same units. Merging adds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct RatioSums {
    /// Units that have both.
    pub n: u64,
    /// Σ y.
    pub above: f64,
    /// Σ d.
    pub below: f64,
    /// Σ y².
    pub above_sq: f64,
    /// Σ d².
    pub below_sq: f64,
    /// Σ y d.
    pub product: f64,
}

impl RatioSums {
    /// Takes in a unit with both outcomes, finite.
    pub fn add(&mut self, above: f64, below: f64) {
        self.n += 1;
        self.above += above;
        self.below += below;
        self.above_sq += above * above;
        self.below_sq += below * below;
        self.product += above * below;
    }

    /// Takes in other units of the same arm.
    pub fn merge(&mut self, other: &Self) {
        let Self { n, above, below, above_sq, below_sq, product } = other;
        self.n += n;
        self.above += above;
        self.below += below;
        self.above_sq += above_sq;
        self.below_sq += below_sq;
        self.product += product;
    }

    /// Σ y / Σ d; not finite where Σ d is zero.
    #[must_use]
    pub fn value(&self) -> f64 {
        self.above / self.below
    }

    /// The arm beside the control by the delta method (Deng, Knoblich and Lu, KDD 2018); none without a denominator.
    #[must_use]
    pub fn compare(&self, control: &Self) -> Option<Comparison> {
        let (control, arm) = (control.moments(), self.moments());
        let layout = Layout { is_ratio: true, n_covariates: 0 };
        compare(&[Stratum::Apart { control: &control, arm: &arm }], layout).map(Comparison::Natural)
    }

    fn moments(&self) -> Moments {
        #[expect(clippy::cast_precision_loss, reason = "counts stay far below 2^53")]
        let n = self.n as f64;
        let products = [self.above_sq, self.product, self.below_sq, self.above, self.below, n];
        Moments::of_sums(self.n, &[self.above, self.below, n], &products)
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use crate::experiment::Method;
    use crate::experiment::Tuning;
    use crate::experiment::contrast::Ask;
    use crate::experiment::measure::{RowStat, Rows, measure};
    use crate::units::Level;

    #[test]
    fn sums_say_what_rows_say() {
        let (mut outcome, mut denominator, mut arm) = (Vec::new(), Vec::new(), Vec::new());
        let mut sums = [RatioSums::default(), RatioSums::default()];
        for i in 0..200_u32 {
            let (of, tokens) = (i % 2, 100.0 + f64::from(i * 37 % 101));
            let cost = tokens * (0.02 + 0.005 * f64::from(of)) + f64::from(i * 13 % 7) * 0.1;
            outcome.push(cost);
            denominator.push(tokens);
            arm.push(of);
            // In two parts.
            let mut part = RatioSums::default();
            part.add(cost, tokens);
            sums.get_mut(of as usize).unwrap().merge(&part);
        }
        let names = ["a".to_owned(), "b".to_owned()];
        let rows = Rows {
            arm: &arm,
            names: &names,
            outcome: &outcome,
            denominator: Some(&denominator),
            covariates: &[],
            unit: None,
            stratum: None,
            time: None,
        };
        let all: Vec<usize> = (0..200).collect();
        let measured = measure(&rows, &all, "a", RowStat::Ratio);
        let ask = Ask { method: Method::Fixed, level: Level::DEFAULT, n: 200, tuning: Tuning::AnySize };
        let by_rows = measured.arms.iter().find_map(|arm| arm.comparison.as_ref()).unwrap().effect(ask);
        let [control, arm] = sums;
        let by_sums = arm.compare(&control).unwrap().effect(ask);
        let near = |a: f64, b: f64| (a / b - 1.0).abs() < 1e-9;
        assert!(near(by_rows.value.unwrap(), by_sums.value.unwrap()));
        let (rows, sums) = (by_rows.bounds.unwrap(), by_sums.bounds.unwrap());
        assert!(near(rows.0, sums.0) && near(rows.1, sums.1), "{rows:?} {sums:?}");
        assert!(near(arm.value() - control.value(), by_sums.value.unwrap()));
    }

    #[test]
    fn nothing_and_no_denominator_are_not_compared() {
        let nothing = RatioSums::default();
        let mut free = RatioSums::default();
        (0..10).for_each(|i| free.add(f64::from(i), 0.0));
        assert!(nothing.compare(&nothing).is_none() && free.compare(&free).is_none());
    }
}
