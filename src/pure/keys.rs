//! What was asked for under a cache key, execution by execution.
//!
//! How often a cache would answer shows only where repetitions are all there. So these streams are kept beside the samples
//! and whole; where that would be too much, keys are left out with all their executions, by their hash (spatial sampling:
//! Waldspurger et al., FAST 2015), and rates stay what they were.

use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

/// Something by key.
pub(crate) type ByKey<V> = HashMap<u64, V, BuildHasherDefault<KeyHasher>>;

/// Keys are hashes already; of a thinned stream the upper bits are alike.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct KeyHasher(u64);

impl Hasher for KeyHasher {
    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|byte| self.write_u64(self.0.rotate_left(8) ^ u64::from(*byte)));
    }

    fn write_u64(&mut self, key: u64) {
        self.0 = key.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

/// One execution with a key, or all of a day that have none.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Asked {
    /// Hash of the key; 0 where there is none.
    pub key: u64,
    /// When it started.
    pub started_us: i64,
    /// When its result was there.
    pub ended_us: i64,
    /// How long it took; NaN where unknown.
    pub duration_ms: f64,
    /// Size of its result; NaN where unknown.
    pub output_bytes: f64,
    /// What it cost; NaN where unknown.
    pub cost_usd: f64,
    /// Whether a cache answered.
    pub is_cached: bool,
}

impl Asked {
    /// Time of a real execution since `since_us`, and its cost.
    pub(crate) fn spent(&self, since_us: i64) -> (f64, f64) {
        let counts = !self.is_cached && self.started_us >= since_us;
        let amount = |amount: f64| if counts && amount.is_finite() { amount.max(0.0) } else { 0.0 };
        (amount(self.duration_ms), amount(self.cost_usd))
    }
}

/// Successful executions of one step, by start. Executions without a key are one row a day: the time and money of all.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct KeyStream {
    /// Keys whose hash is larger are left out.
    up_to: u64,
    asked: Vec<Asked>,
}

impl Default for KeyStream {
    fn default() -> Self {
        Self { up_to: u64::MAX, asked: Vec::new() }
    }
}

impl KeyStream {
    /// All of `asked`, in order of start.
    #[must_use]
    pub fn of(mut asked: Vec<Asked>) -> Self {
        asked.sort_by_key(|one| (one.started_us, one.ended_us, one.key));
        Self { asked, ..Self::default() }
    }

    /// Leaves out keys until about `most` executions remain; the last key that stays keeps all of its own.
    pub fn thin(&mut self, most: usize) {
        let mut keys: Vec<u64> = self.asked.iter().map(|one| one.key).filter(|key| *key != 0).collect();
        if keys.len() > most.max(1) {
            keys.sort_unstable();
            self.forget_beyond(keys.get(most.max(1) - 1).copied().unwrap_or(u64::MAX));
        }
    }

    /// Appends what came later.
    pub fn extend(&mut self, later: Self) {
        let (before, up_to) = (self.up_to, self.up_to.min(later.up_to));
        let is_whole = later.up_to == up_to;
        self.asked.extend(later.asked);
        if before != up_to || !is_whole {
            self.forget_beyond(up_to);
        }
    }

    fn forget_beyond(&mut self, up_to: u64) {
        self.asked.retain(|one| one.key <= up_to);
        self.up_to = up_to;
    }

    /// The executions, by start.
    #[must_use]
    pub fn asked(&self) -> &[Asked] {
        &self.asked
    }

    /// Share of the keys that are there, 0-1.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "a share")]
    pub fn share(&self) -> f64 {
        (self.up_to as f64 / u64::MAX as f64).max(f64::MIN_POSITIVE)
    }

    /// Executions with a key.
    #[must_use]
    pub fn n_keyed(&self) -> usize {
        self.asked.iter().filter(|one| one.key != 0).count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(key: u64, started_us: i64) -> Asked {
        Asked {
            key,
            started_us,
            ended_us: started_us + 1,
            duration_ms: 1.0,
            output_bytes: f64::NAN,
            cost_usd: f64::NAN,
            is_cached: false,
        }
    }

    #[test]
    fn a_thinned_stream_keeps_every_repetition_of_the_keys_that_it_keeps() {
        let key = |i: u32| u64::from(i % 50 + 1) * (u64::MAX / 64);
        let day = |from: u32, n: u32| KeyStream::of((from..from + n).map(|i| asked(key(i), i.into())).collect());
        let (mut first, mut second) = (day(0, 100), day(100, 400));
        first.thin(1_000);
        second.thin(200);
        assert_eq!((first.n_keyed(), second.n_keyed()), (100, 200));
        first.extend(second);
        // Half of the keys, of both days: ten executions of each.
        assert_eq!(first.n_keyed(), 250);
        assert!((first.share() - 25.0 / 64.0).abs() < 1e-9, "{}", first.share());
        assert!(first.asked().is_sorted_by_key(|one| one.started_us));
    }

    #[test]
    fn one_key_is_never_split_and_rows_without_one_stay() {
        let mut stream = KeyStream::of((0..10).map(|i| asked(u64::from(i > 0) * 9, i)).collect());
        stream.thin(3);
        assert_eq!((stream.asked().len(), stream.n_keyed()), (10, 9));
        let whole = KeyStream::default();
        assert!((whole.share() - 1.0).abs() < 1e-9 && whole.n_keyed() == 0);
    }
}
