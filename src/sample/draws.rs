//! Random draws that are the same on every machine: whole-number mixing and sums, no transcendental functions.

/// SplitMix64 (Steele, Lea, Flood 2014).
#[derive(Debug, Clone)]
pub(super) struct Draws(u64);

impl Draws {
    /// A stream of its own for each list of keys, so that a change to one run leaves the others as they are.
    pub(super) fn of(keys: &[u64]) -> Self {
        let mut draws = Self(0);
        for key in keys {
            draws.0 ^= *key;
            draws.0 = draws.next();
        }
        draws
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// From 0 to 1, without 1.
    pub(super) fn uniform(&mut self) -> f64 {
        // 53 bits are what a double holds.
        #[expect(clippy::cast_precision_loss, reason = "53 bits are exact")]
        let unit = (self.next() >> 11) as f64 / (1_u64 << 53) as f64;
        unit
    }

    /// Mean 0, standard deviation 1, within ±6: twelve uniforms less six (Irwin-Hall).
    pub(super) fn normal(&mut self) -> f64 {
        (0..12).map(|_| self.uniform()).sum::<f64>() - 6.0
    }

    /// Around 1 with a spread, never below a fifth.
    pub(super) fn factor(&mut self, spread: f64) -> f64 {
        (1.0 + spread * self.normal()).max(0.2)
    }

    /// True with a probability.
    pub(super) fn chance(&mut self, probability: f64) -> bool {
        self.uniform() < probability
    }

    /// From 0 to `n` - 1.
    pub(super) fn below(&mut self, n: u64) -> u64 {
        self.next() % n.max(1)
    }
}
