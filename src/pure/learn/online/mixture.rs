//! A predictive distribution as weighted atoms, and the point that it is answered with.

/// The band that counts as right: ±20 % of the outcome.
const WITHIN: f64 = 0.2;
/// Half-width of the box by which atoms are smeared before the band is placed: an outcome comes back only roughly.
const SMEAR: f64 = 0.08;
/// Where atoms lie closer together than this, every point between them is in the band, and the median is taken.
const CLOSE: f64 = 0.1;
/// The middle in which the point is looked for, and how finely.
const TAIL: f64 = 0.02;
const CANDIDATES: u32 = 60;
/// A point off the median must be worth it: this much probability for each unit of distance.
const MEDIAN_PULL: f64 = 0.2;

/// Atoms in order with their cumulated weights; the weights sum to 1.
#[derive(Debug, Clone, Default)]
pub(crate) struct Mixture {
    places: Vec<f64>,
    /// Weight up to and with each atom.
    cumulated: Vec<f64>,
    /// Weight times place up to and with each atom.
    moments: Vec<f64>,
}

impl Mixture {
    /// Merges two lists of atoms that are sorted by place. Weights need not sum to 1.
    pub(crate) fn merge(&mut self, a: &[(f64, f64)], b: &[(f64, f64)]) {
        self.places.clear();
        self.cumulated.clear();
        self.moments.clear();
        let total: f64 = a.iter().chain(b).map(|(_, weight)| weight).sum();
        let (mut a, mut b) = (a.iter().copied().peekable(), b.iter().copied().peekable());
        let (mut cumulated, mut moment) = (0.0, 0.0);
        loop {
            let from_a = match (a.peek(), b.peek()) {
                (Some(x), Some(y)) => x.0 <= y.0,
                (Some(_), None) => true,
                (None, Some(_)) => false,
                (None, None) => break,
            };
            let Some((place, weight)) = (if from_a { a.next() } else { b.next() }) else { break };
            cumulated += weight / total;
            moment += place * weight / total;
            self.places.push(place);
            self.cumulated.push(cumulated);
            self.moments.push(moment);
        }
    }

    /// The smallest place below which at least `share` of the weight lies. NaN without atoms.
    pub(crate) fn quantile(&self, share: f64) -> f64 {
        let at = self.cumulated.partition_point(|weight| *weight < share);
        self.places.get(at).or(self.places.last()).copied().unwrap_or(f64::NAN)
    }

    /// Mean distance from `centre`.
    pub(crate) fn spread(&self, centre: f64) -> f64 {
        let below = 2.0 * self.integral(centre);
        let mean = self.moments.last().copied().unwrap_or_default();
        (below + mean - centre).max(0.0)
    }

    /// The place that an outcome is most likely to find within ±20 % of itself.
    pub(crate) fn point(&self, median: f64) -> f64 {
        let (low, high) = (self.quantile(TAIL), self.quantile(1.0 - TAIL));
        if high - low <= CLOSE {
            return median;
        }
        let step = (high - low) / f64::from(CANDIDATES);
        let candidates = (0..=CANDIDATES).map(|i| low + f64::from(i) * step);
        let worth = |place: f64| self.within(place) - MEDIAN_PULL * (place - median).abs();
        let best = candidates.map(|place| (worth(place), place)).max_by(|a, b| a.0.total_cmp(&b.0));
        match best {
            Some((value, place)) if value > worth(median) => place,
            _ => median,
        }
    }

    /// Probability that an outcome has `place` in its band.
    fn within(&self, place: f64) -> f64 {
        // An outcome o has p in its band where ln p − ln(1 + w) ≤ ln o ≤ ln p − ln(1 − w).
        let (from, to) = (place - WITHIN.ln_1p(), place - (-WITHIN).ln_1p());
        self.smeared(to) - self.smeared(from)
    }

    /// The distribution function, smeared.
    fn smeared(&self, place: f64) -> f64 {
        (self.integral(place + SMEAR) - self.integral(place - SMEAR)) / (2.0 * SMEAR)
    }

    /// Integral of the distribution function up to `place`.
    fn integral(&self, place: f64) -> f64 {
        let at = self.places.partition_point(|atom| *atom <= place);
        match at.checked_sub(1).and_then(|last| Some((self.cumulated.get(last)?, self.moments.get(last)?))) {
            Some((weight, moment)) => place * weight - moment,
            None => 0.0,
        }
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::float_cmp, reason = "quantiles are among the values")]
    use super::*;

    fn mixture(atoms: &[(f64, f64)]) -> Mixture {
        let mut mixture = Mixture::default();
        mixture.merge(atoms, &[]);
        mixture
    }

    #[test]
    fn quantiles_and_spread_are_those_of_the_atoms() {
        let mut two = Mixture::default();
        two.merge(&[(1.0, 1.0), (4.0, 1.0)], &[(2.0, 2.0)]);
        let found = [0.0, 0.25, 0.26, 0.75, 0.76, 1.0].map(|share| two.quantile(share));
        assert_eq!(found, [1.0, 1.0, 2.0, 2.0, 4.0, 4.0]);
        assert!((two.spread(2.0) - 0.75).abs() < 1e-12);
        assert!(Mixture::default().quantile(0.5).is_nan());
    }

    #[test]
    fn of_two_modes_the_likelier_is_taken_and_one_between_where_it_holds_both() {
        // 60 % last 1 s, 40 % last 2 s: no point is within 20 % of both.
        let modes = mixture(&[(0.0, 0.6), (2.0_f64.ln(), 0.4)]);
        assert!(modes.point(0.0).abs() < 0.12, "{}", modes.point(0.0));
        // 3 s and 4 s: 3.2 to 3.6 s are within 20 % of both.
        let both = mixture(&[(3.0_f64.ln(), 0.5), (4.0_f64.ln(), 0.5)]);
        let point = both.point(3.0_f64.ln()).exp();
        assert!((3.2..=3.6).contains(&point), "{point}");
    }

    #[test]
    fn atoms_close_together_are_answered_with_their_median() {
        let close = mixture(&[(1.0, 0.3), (1.02, 0.4), (1.05, 0.3)]);
        assert!((close.point(1.02) - 1.02).abs() < 1e-12);
    }
}
