//! The scale on which models work: logarithms where effects multiply, and a unit near one always.

use super::Support;

/// A reversible map from the metric's unit to the scale of the models.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Scale {
    log: bool,
    unit: f64,
    support: Support,
}

impl Scale {
    /// Logarithms where `support` is not negative and every value is positive (durations, memory, money); dividing by
    /// the largest magnitude keeps squares of huge and tiny values within range.
    pub(super) fn of(values: &[f64], support: Support) -> Self {
        let known = || values.iter().filter(|v| v.is_finite());
        let log = support == Support::NonNegative && known().all(|&v| v > 0.0);
        let largest = known().fold(0.0_f64, |max, v| max.max(v.abs()));
        Self { log, unit: if largest > 0.0 { largest } else { 1.0 }, support }
    }

    /// The scale that changes nothing.
    #[cfg(test)]
    pub(super) const ONE: Self = Self { log: false, unit: 1.0, support: Support::Real };

    /// Whether models see logarithms.
    pub(super) fn is_log(self) -> bool {
        self.log
    }

    /// The values as models see them; NaN where nothing finite is known.
    pub(super) fn forward(self, values: &[f64]) -> Vec<f64> {
        values.iter().map(|&v| if v.is_finite() { self.one_forward(v) } else { f64::NAN }).collect()
    }

    /// One value as models see it.
    pub(super) fn one_forward(self, value: f64) -> f64 {
        if self.log { value.ln() - self.unit.ln() } else { value / self.unit }
    }

    /// Back to the metric's unit, kept where the metric can be.
    pub(super) fn back(self, value: f64) -> f64 {
        let natural = if self.log { (value + self.unit.ln()).exp() } else { value * self.unit };
        self.kept(natural)
    }

    /// A value in the metric's unit, kept where the metric can be.
    pub(super) fn kept(self, natural: f64) -> f64 {
        match self.support {
            Support::Real => natural,
            Support::NonNegative => natural.max(0.0),
            Support::Share => natural.clamp(0.0, 1.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_and_back_again() {
        for values in [vec![1e-300, 5.0, 1e300], vec![0.0, 2.0], vec![-3.0, 4.0]] {
            let support = if values[0] < 0.0 { Support::Real } else { Support::NonNegative };
            let scale = Scale::of(&values, support);
            for (v, scaled) in values.iter().zip(scale.forward(&values)) {
                assert!((scale.back(scaled) - v).abs() <= 1e-12 * v.abs(), "{v}");
            }
        }
    }

    #[test]
    fn stays_where_the_metric_can_be() {
        assert!(Scale::of(&[0.0, 0.5], Support::Share).back(9.0) <= 1.0);
        assert!(Scale::of(&[0.0, 5.0], Support::NonNegative).back(-9.0) >= 0.0);
        assert!(Scale::of(&[1.0, 5.0], Support::NonNegative).is_log());
        assert!(!Scale::of(&[f64::NAN], Support::Share).is_log());
    }
}
