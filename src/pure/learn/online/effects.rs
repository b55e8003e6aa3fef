//! What words such as a machine or a provider add to a target: over all groups, and in a group on top of that.
//!
//! Each word's effect is a running mean of what the line leaves over, drawn towards nothing.

use crate::samples::UNKNOWN;
use std::collections::HashMap;

/// An effect is drawn towards nothing as if by this many executions without effect.
const PRIOR_COUNT: f64 = 5.0;
/// Executions after which an effect moves no slower.
const MAX_COUNT: f64 = 200.0;
/// One residual counts no more than this on the log scale.
const CLIP: f64 = 0.5;

#[derive(Debug, Clone, Copy, Default)]
struct Effect {
    value: f64,
    count: f64,
}

impl Effect {
    fn learn(&mut self, residual: f64) {
        self.count = (self.count + 1.0).min(MAX_COUNT);
        self.value += residual / (self.count + PRIOR_COUNT);
    }
}

/// Effects of the words of each categorical feature.
#[derive(Debug, Clone, Default)]
pub(crate) struct Effects(HashMap<(u16, u32), Effect>);

impl Effects {
    fn of(&self, feature: u16, word: u32) -> f64 {
        self.0.get(&(feature, word)).map_or(0.0, |effect| effect.value)
    }

    /// The sum of what all words of a row add, on the log scale.
    pub(crate) fn sum(&self, words: &[u32]) -> f64 {
        (0..).zip(words).map(|(feature, word)| self.of(feature, *word)).sum()
    }

    /// Learns from what was left over of an execution. Unknown words have no effect.
    pub(crate) fn learn(&mut self, words: &[u32], residual: f64) {
        let share = residual.clamp(-CLIP, CLIP) / (words.len().max(1) as f64);
        for (feature, word) in (0..).zip(words).filter(|(_, word)| **word != UNKNOWN) {
            self.0.entry((feature, *word)).or_default().learn(share);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_effect_is_found_and_an_unknown_word_has_none() {
        let mut effects = Effects::default();
        for i in 0..400_u32 {
            let words = [i % 2, UNKNOWN];
            let place = if i % 2 == 0 { 0.3 } else { -0.3 };
            effects.learn(&words, 2.0 * (place - effects.sum(&words)));
        }
        assert!((effects.sum(&[0, UNKNOWN]) - 0.3).abs() < 0.02 && (effects.sum(&[1, 7]) + 0.3).abs() < 0.02);
        assert!(effects.sum(&[UNKNOWN, UNKNOWN]).abs() < 1e-300);
    }
}
