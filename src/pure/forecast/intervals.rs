//! Intervals from what the backtest missed (split-conformal by horizon; Stankevičiūtė et al. 2021 for the multi-step
//! setting), with errors of neighbouring horizons pooled after dividing by the growth that the model expects.

use super::scale::Scale;
use crate::units::{Interval, Level};
use statrs::distribution::{ContinuousCDF, StudentsT};

/// A held-out value and what was forecast for it, in the metric's unit.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct HeldOut {
    /// Values known when it was forecast.
    pub(super) origin: usize,
    /// Buckets ahead, 0 for the next one.
    pub(super) ahead: usize,
    pub(super) forecast: f64,
    pub(super) actual: f64,
    /// Standard deviation that the model expects, relative to one bucket ahead.
    pub(super) spread: f64,
}

/// Where errors are measured: intervals are symmetric there.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Yard {
    /// In the metric's unit.
    Natural(Scale),
    /// On the scale of the models: relative errors, where it is logarithmic.
    Models(Scale),
}

impl Yard {
    fn on(self, value: f64) -> f64 {
        match self {
            Self::Natural(_) => value,
            Self::Models(scale) => scale.one_forward(value),
        }
    }

    /// What was missed, signed, by the growth that the model expects.
    fn missed(self, held: &HeldOut) -> f64 {
        (self.on(held.actual) - self.on(held.forecast)) / held.spread
    }

    fn score(self, held: &HeldOut) -> f64 {
        self.missed(held).abs()
    }

    /// The interval of this radius about a point, kept where the metric can be.
    pub(super) fn interval(self, point: f64, radius: f64, level: Level) -> Interval {
        let centre = self.on(point);
        let back = |value: f64| match self {
            Self::Natural(scale) => scale.kept(value),
            Self::Models(scale) => scale.back(value),
        };
        // A point at the edge of what floats hold must not fall out of its own interval.
        Interval { lower: back(centre - radius).min(point), upper: back(centre + radius).max(point), level }
    }

    /// The yard whose intervals at `level` would have had the better interval score on what was held out (Gneiting and
    /// Raftery 2007: width, and 2/α times by how much it was missed); the metric's unit where they tie.
    pub(super) fn best(held_out: &[HeldOut], scale: Scale, level: Level) -> Self {
        let loss = |yard: Self| -> Option<f64> {
            let furthest = held_out.iter().map(|held| held.ahead).max()?;
            let radii = Calibration::of(held_out.iter(), yard)?.radii(&vec![1.0; furthest + 1], level);
            let one = |held: &HeldOut| {
                let radius = radii.get(held.ahead).copied().unwrap_or(f64::NAN) * held.spread;
                let Interval { lower, upper, .. } = yard.interval(held.forecast, radius, level);
                let missed = (lower - held.actual).max(held.actual - upper).max(0.0);
                upper - lower + 2.0 / level.alpha() * missed
            };
            Some(held_out.iter().map(one).sum::<f64>()).filter(|loss| loss.is_finite())
        };
        let (natural, models) = (Self::Natural(scale), Self::Models(scale));
        if !scale.is_log() {
            return natural;
        }
        match (loss(natural), loss(models)) {
            (Some(natural_loss), Some(models_loss)) if models_loss < natural_loss => models,
            (None, Some(_)) => models,
            _ => natural,
        }
    }
}

/// Sizes of errors that go together by ρ go together by ρ² (of normal ones): of forecasts that overlap, half as many again
/// to twice as many sizes are independent as errors are.
const SIZES_AN_ERROR: f64 = 2.0;
/// Independent scores beyond a quantile without which it is not believed alone.
const ENOUGH_BEYOND: f64 = 0.5;

/// So many independent errors tell as much about their mean as these, which go together: forecasts of one origin, and
/// those of neighbouring origins that reach over the same values. Their variance over that of their mean, by Bartlett's
/// kernel up to the origins that overlap (Newey and West 1987), about zero: a common miss is no evidence of its size.
/// At least 1, at most their number. `errors` are origins, distances and signed errors in the order of origins.
pub(super) fn independent(errors: impl Iterator<Item = (usize, usize, f64)>) -> f64 {
    let mut by_origin: Vec<(usize, f64)> = Vec::new();
    let (mut n, mut squares, mut reach) = (0.0, 0.0, 0);
    for (origin, ahead, error) in errors {
        match by_origin.last_mut().filter(|(last, _)| *last == origin) {
            Some((_, sum)) => *sum += error,
            None => by_origin.push((origin, error)),
        }
        reach = reach.max(ahead + 1);
        n += 1.0;
        squares += error * error;
    }
    let span = by_origin.first().zip(by_origin.last()).map_or(0, |(first, last)| last.0 - first.0);
    let stride = (span / by_origin.len().saturating_sub(1).max(1)).max(1);
    let lags = reach.div_ceil(stride).min(by_origin.len().saturating_sub(1));
    let product = |lag: usize| by_origin.iter().zip(by_origin.iter().skip(lag)).map(|(a, b)| a.1 * b.1).sum::<f64>();
    let weighted = |lag: usize| 2.0 * (1.0 - lag as f64 / (lags + 1) as f64) * product(lag);
    let together = product(0) + (1..=lags).map(weighted).sum::<f64>();
    let found = n * squares / together;
    if found.is_finite() { found.clamp(1.0, f64::max(n, 1.0)) } else { f64::max(n, 1.0) }
}

/// Scores of horizons that are alike.
#[derive(Debug, Clone, Default)]
struct Pool {
    /// Ascending.
    scores: Vec<f64>,
    /// So many of them tell something new: forecasts of one origin err together, and those of neighbouring ones.
    independent: f64,
}

/// What the backtest says about the size of errors at each horizon.
#[derive(Debug, Clone)]
pub(super) struct Calibration {
    /// By octave of the horizon: 1, 2-3, 4-7, 8-15, … buckets ahead.
    pools: Vec<Pool>,
}

/// The octave of a distance: 1, 2-3, 4-7, 8-15, … buckets ahead.
pub(super) fn octave(ahead: usize) -> usize {
    (ahead + 1).ilog2() as usize
}

impl Calibration {
    /// Pools each octave of horizons with the one below it. None where nothing was held out.
    pub(super) fn of<'a>(held_out: impl Iterator<Item = &'a HeldOut> + Clone, yard: Yard) -> Option<Self> {
        let octaves = held_out.clone().map(|held| octave(held.ahead)).max()? + 1;
        let mut pools = vec![Pool::default(); octaves];
        let mut errors: Vec<Vec<(usize, usize, f64)>> = vec![Vec::new(); octaves];
        for held in held_out {
            let (lowest, missed) = (octave(held.ahead), yard.missed(held));
            for (pool, errors) in pools.iter_mut().zip(&mut errors).skip(lowest).take(2) {
                pool.scores.push(missed.abs());
                errors.push((held.origin, held.ahead, missed));
            }
        }
        for (pool, errors) in pools.iter_mut().zip(errors) {
            let n = pool.scores.len() as f64;
            pool.independent = (SIZES_AN_ERROR * independent(errors.into_iter())).min(n);
            pool.scores.sort_unstable_by(f64::total_cmp);
        }
        Some(Self { pools })
    }

    /// Half the width of the interval at each step of the horizon; it never shrinks with distance.
    /// `spread[i]` is the growth that the model expects `i + 1` buckets ahead.
    pub(super) fn radii(&self, spread: &[f64], level: Level) -> Vec<f64> {
        let by_octave: Vec<f64> = self.pools.iter().map(|pool| pool.quantile(level)).collect();
        let furthest = by_octave.last().copied().unwrap_or(f64::NAN);
        let mut widest = 0.0_f64;
        let radius = |(ahead, spread): (usize, &f64)| {
            widest = widest.max(by_octave.get(octave(ahead)).copied().unwrap_or(furthest) * spread);
            widest
        };
        spread.iter().enumerate().map(radius).collect()
    }
}

impl Pool {
    /// The quantile at `level` of all scores, moved out by what it is too near on average. Of n independent ones that of
    /// rank k covers k / (n + 1), so the rank (n + 1)·level − ½ is taken, rounded up: (n + 1)·level on average. Ones that go
    /// together tell as much as n independent ones: ½ is right for any n, as a single one covers just as much on average.
    /// Where they are too few to have seen one beyond the quantile, at least Student's interval about zero.
    fn quantile(&self, level: Level) -> f64 {
        let (n, n_scores) = (self.independent, self.scores.len() as f64);
        let share = level.get() + (level.get() - 0.5) / n;
        let rank = (share * n_scores).ceil().min(n_scores) as usize;
        let score = self.scores.get(rank.saturating_sub(1)).copied().unwrap_or(f64::NAN);
        if ENOUGH_BEYOND <= n * level.alpha() {
            return score;
        }
        let mean_square = self.scores.iter().map(|s| s * s).sum::<f64>() / self.scores.len() as f64;
        let student = StudentsT::new(0.0, 1.0, n).map_or(f64::NAN, |t| t.inverse_cdf(1.0 - 0.5 * level.alpha()));
        score.max(student * mean_square.sqrt())
    }
}

/// How often intervals held so far ahead.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Realised {
    /// Nearest distance, 0 for the next bucket.
    pub(super) ahead: usize,
    /// Values inside, and all.
    pub(super) inside: usize,
    pub(super) n: usize,
}

/// Held-out values inside their interval at `level` by octave of their distance, each half of the origins judged by the
/// other's scores. Nothing where a half is empty.
pub(super) fn realised_coverage(held_out: &[HeldOut], yard: Yard, level: Level) -> Vec<Realised> {
    let Some(middle) = held_out.get(held_out.len() / 2).map(|held| held.origin) else { return Vec::new() };
    let half = |late: bool| held_out.iter().filter(move |held| (held.origin >= middle) == late);
    let mut realised: Vec<Realised> = Vec::new();
    for late in [false, true] {
        let radii = Calibration::of(half(!late), yard)
            .zip(half(late).map(|held| held.ahead + 1).max())
            .map(|(calibration, horizon)| calibration.radii(&vec![1.0; horizon], level));
        let Some(radii) = radii else { return Vec::new() };
        for held in half(late) {
            let at = octave(held.ahead);
            let next = realised.len()..=at;
            realised.extend(next.map(|octave| Realised { ahead: (1 << octave) - 1, inside: 0, n: 0 }));
            if let (Some(count), Some(radius)) = (realised.get_mut(at), radii.get(held.ahead)) {
                count.n += 1;
                count.inside += usize::from(yard.score(held) <= *radius);
            }
        }
    }
    realised
}

/// Share of held-out values inside their interval; NaN where nothing can be said.
pub(super) fn coverage(realised: &[Realised]) -> f64 {
    let sum = |of: fn(&Realised) -> usize| realised.iter().map(of).sum::<usize>() as f64;
    sum(|one| one.inside) / sum(|one| one.n)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use crate::forecast::Support;

    const REAL: Scale = Scale::ONE;

    fn natural() -> Yard {
        Yard::Natural(REAL)
    }

    fn held(origin: usize, ahead: usize, error: f64) -> HeldOut {
        HeldOut { origin, ahead, forecast: 0.0, actual: error, spread: 1.0 }
    }

    #[test]
    fn quantile_is_the_finite_sample_one() {
        let held_out: Vec<HeldOut> = (1..=39).map(|i| held(i, 0, i as f64)).collect();
        let calibration = Calibration::of(held_out.iter(), natural()).unwrap();
        // One score an origin: ⌈40 · 0.9⌉ = 36th of 39, ⌈40 · 0.95⌉ = 38th.
        assert_eq!(calibration.radii(&[1.0], Level::new(0.9).unwrap()), [36.0]);
        assert_eq!(calibration.radii(&[1.0], Level::DEFAULT), [38.0]);
    }

    #[test]
    fn few_origins_give_students_interval_and_never_less_than_was_seen() {
        let held_out = [held(1, 0, 1.0), held(2, 0, -1.0)];
        let radius = Calibration::of(held_out.iter(), natural()).unwrap().radii(&[1.0], Level::DEFAULT)[0];
        assert!((radius - 4.302_652_729_911_275).abs() < 1e-9, "scipy 1.17.1 t.ppf(0.975, 2): {radius}");
    }

    #[test]
    fn width_never_shrinks_with_distance_and_nests_with_level() {
        let held_out: Vec<HeldOut> = (0..40).flat_map(|o| (0..9).map(move |a| held(o, a, 10.0 - a as f64))).collect();
        let calibration = Calibration::of(held_out.iter(), natural()).unwrap();
        let narrow = calibration.radii(&[1.0; 30], Level::new(0.5).unwrap());
        let wide = calibration.radii(&[1.0; 30], Level::new(0.9).unwrap());
        assert!(narrow.windows(2).all(|w| w[0] <= w[1]));
        assert!(narrow.iter().zip(&wide).all(|(n, w)| n <= w));
    }

    #[test]
    fn coverage_needs_two_halves() {
        assert!(realised_coverage(&[], natural(), Level::DEFAULT).is_empty());
        assert!(coverage(&realised_coverage(&[held(3, 0, 1.0)], natural(), Level::DEFAULT)).is_nan());
        let calm: Vec<HeldOut> = (0..60).map(|o| held(o, 0, if o < 30 { 1.0 } else { 5.0 })).collect();
        let realised = realised_coverage(&calm, natural(), Level::DEFAULT);
        assert_eq!(realised, [Realised { ahead: 0, inside: 30, n: 60 }]);
        assert!((coverage(&realised) - 0.5).abs() < 1e-12);
    }

    #[test]
    fn the_yard_is_the_one_on_which_errors_are_alike() {
        let scale = Scale::of(&[1.0, 1_000.0], Support::NonNegative);
        let grown = |relative: bool| -> Vec<HeldOut> {
            let one = |i: usize| {
                let forecast = 10.0 * f64::from(u32::try_from(1 + i * 37 % 90).unwrap());
                let off = [-0.3, 0.2, 0.25, -0.1, 0.0][i % 5];
                let actual = if relative { forecast * f64::exp(off) } else { forecast + 10.0 * off };
                HeldOut { origin: i, ahead: 0, forecast, actual, spread: 1.0 }
            };
            (0..80).map(one).collect()
        };
        assert_eq!(Yard::best(&grown(true), scale, Level::DEFAULT), Yard::Models(scale));
        assert_eq!(Yard::best(&grown(false), scale, Level::DEFAULT), Yard::Natural(scale));
    }
}
