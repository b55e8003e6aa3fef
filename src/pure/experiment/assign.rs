//! Which arm a unit belongs to: a rule that anybody can follow, so that an engine and the analysis agree without asking.
//!
//! 1. Take SHA-256 of the UTF-8 bytes of `salt:unit`.
//! 2. Read its first eight bytes as a big-endian number and keep the upper 53 bits: `draw = (number >> 11) / 2^53`, in [0, 1).
//! 3. The arm is the first, in the order given, whose shares add up to more than `draw` (shares are divided by their sum).
//!
//! The salt is the experiment's name, so that a unit's arm in one experiment says nothing of its arm in another.

use sha2::{Digest, Sha256};

/// Bits that are kept of the hash: all that a double holds.
const DROPPED_BITS: u32 = 11;
const SCALE: f64 = 1.0 / 9_007_199_254_740_992.0;

/// The unit's number in [0, 1).
#[must_use]
#[expect(clippy::cast_precision_loss, reason = "53 bits fit a double")]
pub fn draw(salt: &str, unit: &str) -> f64 {
    let digest = Sha256::digest(format!("{salt}:{unit}").as_bytes());
    let number = digest.iter().take(8).fold(0_u64, |number, byte| (number << 8) | u64::from(*byte));
    (number >> DROPPED_BITS) as f64 * SCALE
}

/// The arm of a unit; `shares` in their order, of any sum. None without a positive share.
#[must_use]
pub fn arm_of<'a>(salt: &str, unit: &str, shares: &'a [(String, f64)]) -> Option<&'a str> {
    let share = |(_, share): &(String, f64)| if share.is_finite() { share.max(0.0) } else { 0.0 };
    let total: f64 = shares.iter().map(share).sum();
    let draw = draw(salt, unit) * total;
    let mut passed = 0.0;
    let found = shares.iter().find(|arm| {
        passed += share(arm);
        passed > draw
    });
    // Rounding may leave the last arm with a share just out of reach.
    let last = || shares.iter().rev().find(|arm| share(arm) > 0.0);
    found.or_else(last).map(|(name, _)| name.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn halves() -> Vec<(String, f64)> {
        vec![("control".into(), 1.0), ("treatment".into(), 1.0)]
    }

    /// Python 3.11: `(int(hashlib.sha256(f"{salt}:{unit}".encode()).hexdigest()[:16], 16) >> 11) / 2**53`
    #[test]
    fn the_rule_has_test_vectors() {
        let check = |salt, unit, expected: f64, arm| {
            assert!((draw(salt, unit) - expected).abs() < 1e-16, "{salt}:{unit} {}", draw(salt, unit));
            assert_eq!(arm_of(salt, unit, &halves()), Some(arm), "{salt}:{unit}");
        };
        check("provider-switch", "run-1", 0.9211738277443291, "treatment");
        check("provider-switch", "run-2", 0.6047524981988303, "treatment");
        check("provider-switch", "run-3", 0.36484271128717305, "control");
        check("checkout", "run-1", 0.9164277692022695, "treatment");
        check("", "", 0.9049687102438427, "treatment");
        check("größe", "läuft-7", 0.7641558227182234, "treatment");
    }

    #[test]
    fn shares_are_kept_and_salts_are_independent() {
        let shares = [("a".to_owned(), 90.0), ("b".to_owned(), 0.0), ("c".to_owned(), 10.0)];
        let n = 20_000;
        let in_c = |salt: &str| (0..n).map(|i| arm_of(salt, &i.to_string(), &shares) == Some("c")).collect::<Vec<_>>();
        let (one, other) = (in_c("x"), in_c("y"));
        let count = one.iter().filter(|c| **c).count();
        // Four standard errors of 10 % of 20,000 are 170.
        assert!((1_830..2_170).contains(&count), "{count}");
        let both = one.iter().zip(&other).filter(|(a, b)| **a && **b).count();
        assert!((140..260).contains(&both), "{both}");
        assert!((0..n).all(|i| arm_of("x", &i.to_string(), &shares) != Some("b")));
    }

    #[test]
    fn without_shares_there_is_no_arm() {
        assert_eq!(arm_of("x", "u", &[]), None);
        assert_eq!(arm_of("x", "u", &[("a".into(), 0.0), ("b".into(), f64::NAN)]), None);
        assert_eq!(arm_of("", "", &[("only".into(), 3.0)]), Some("only"));
    }
}
