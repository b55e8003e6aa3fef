//! The scale on which targets are compared: logarithmic, and yet defined for zero and below.
//!
//! `asinh(y / unit)` equals `ln(2 y / unit)` for `y` far above the unit, so differences are ratios there; zero and
//! negative values have their place as well. The unit is a small part of the first known target, so that the scale
//! follows the target's own unit.

/// The unit of the scale as a share of the first known target that is not zero.
const UNIT_SHARE: f64 = 2e-4;
/// Distances on the scale beyond which no answer is meant: keeps `sinh` finite.
const FARTHEST: f64 = 600.0;

/// The scale, as of the targets known so far.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Scale {
    /// None before a target other than zero is known.
    unit: Option<f64>,
    has_negative: bool,
}

impl Scale {
    /// Learns from a target, and says where it lies.
    pub(crate) fn learn(&mut self, target: f64) -> f64 {
        if self.unit.is_none() && target != 0.0 {
            self.unit = Some((target.abs() * UNIT_SHARE).max(f64::MIN_POSITIVE));
        }
        self.has_negative |= target < 0.0;
        self.place(target)
    }

    /// Where a value lies.
    pub(crate) fn place(&self, value: f64) -> f64 {
        self.unit.map_or(0.0, |unit| (value / unit).asinh().clamp(-FARTHEST, FARTHEST))
    }

    /// The value at a place. No value is negative as long as no target was.
    pub(crate) fn value(&self, place: f64) -> f64 {
        let value = self.unit.map_or(0.0, |unit| unit * place.clamp(-FARTHEST, FARTHEST).sinh());
        let value = value.clamp(f64::MIN, f64::MAX);
        if self.has_negative { value } else { value.max(0.0) }
    }
}

/// A numeric feature on its scale: sign and size, differences of large ones are ratios. NaN stays unknown, and what
/// is infinite is unknown too.
pub(crate) fn feature(value: f64) -> f64 {
    if value.is_finite() { value.abs().ln_1p().copysign(value) } else { f64::NAN }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn differences_are_ratios_and_values_come_back() {
        let mut scale = Scale::default();
        assert!(scale.place(7.0).abs() < 1e-300 && scale.learn(0.0).abs() < 1e-300);
        scale.learn(40.0);
        assert!((scale.place(120.0) - scale.place(60.0) - 2.0_f64.ln()).abs() < 1e-6);
        for value in [0.0, 0.001, 3.0, 1e12] {
            assert!((scale.value(scale.place(value)) - value).abs() <= 1e-9 * value, "{value}");
        }
    }

    #[test]
    fn nothing_is_negative_before_a_target_was() {
        let mut scale = Scale::default();
        scale.learn(1.0);
        assert!(scale.value(-3.0).abs() < 1e-300);
        scale.learn(-1.0);
        assert!(scale.value(-3.0) < 0.0 && scale.value(1e9).is_finite() && scale.value(-1e9).is_finite());
    }

    #[test]
    fn features_keep_sign_and_gaps() {
        assert!((feature(-1.0) + 2.0_f64.ln()).abs() < 1e-12 && feature(0.0).abs() < 1e-300);
        assert!(feature(f64::NAN).is_nan() && feature(f64::INFINITY).is_nan());
    }
}
