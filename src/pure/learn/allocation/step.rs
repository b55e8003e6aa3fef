//! One request for all executions of a step, as configurations state it.

use super::forecast::{Atom, Choice, Forecast};
use super::{Allocation, Params, tails};

/// How an execution ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It fitted; its peak is known.
    Fitted,
    /// It was killed; its peak is only known to lie above what it was given.
    Killed,
}

/// What is known of one execution.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Observed {
    /// The peak, or what it was killed at.
    pub amount: f64,
    /// How long it ran; NaN if unknown.
    pub hours: f64,
    /// Which of both.
    pub outcome: Outcome,
}

/// The request of least expected waste for executions like those observed: each as likely as the other, and as one more
/// of them, what may lie beyond the highest. A kill's price is [`Params::kill_price`] times the waste of the request
/// that would be best without it. Never at or below what an execution was killed at, whatever `params.most` says of
/// anything higher: then there is none. Also none where no amount is positive.
#[must_use]
pub fn for_step(observed: &[Observed], params: &Params) -> Option<Allocation> {
    let killed = |one: &&Observed| one.outcome == Outcome::Killed && one.amount > 0.0;
    let killed_at = observed.iter().filter(killed).map(|one| one.amount).fold(0.0, f64::max);
    let forecast = step_forecast(observed)?;
    let Params { max_kill_probability, kill_price, killed_after, least, most } = *params;
    let free = Choice { max_kill_probability, kill_price: 0.0, killed_after, least, most };
    let kill_price = kill_price * forecast.best(&free)?.expected_waste;
    let least = if killed_at > 0.0 { least.max(killed_at * (1.0 + RAISE)) } else { least };
    (least <= most).then(|| forecast.best(&Choice { kill_price, least, ..free }))?
}

/// What the next execution needs, if it is like one of those observed or goes beyond them.
#[must_use]
pub fn step_forecast(observed: &[Observed]) -> Option<Forecast> {
    Forecast::new(atoms(observed))
}

/// After a kill at least so much more is asked for.
const RAISE: f64 = 0.05;

fn atoms(observed: &[Observed]) -> Vec<Atom> {
    let known = observed.iter().map(|one| one.hours).filter(|hours| hours.is_finite() && *hours >= 0.0);
    let (sum, n) = known.fold((0.0, 0.0), |(sum, n), hours| (sum + hours, n + 1.0));
    // Where no time is known, all executions are as long as another.
    let usual = if n > 0.0 && sum > 0.0 { sum / n } else { 1.0 };
    let mut atoms: Vec<Atom> = Vec::with_capacity(observed.len());
    for one in observed.iter().filter(|one| one.amount.is_finite() && one.amount > 0.0) {
        let hours = if one.hours.is_finite() && sum > 0.0 { one.hours.max(0.0) } else { usual };
        atoms.push(Atom { peak: one.amount, weight: 1.0, hours, is_exceeded: one.outcome == Outcome::Killed });
    }
    let highest = atoms.iter().map(|atom| atom.peak).max_by(f64::total_cmp);
    if let Some(highest) = highest {
        tails::beyond(|u, weight| {
            atoms.push(Atom { peak: highest * u.exp(), weight, hours: usual, is_exceeded: false });
        });
    }
    atoms
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use crate::learn::testing::noise;

    fn fitted(amount: f64) -> Observed {
        Observed { amount, hours: 0.5, outcome: Outcome::Fitted }
    }

    fn killed(amount: f64) -> Observed {
        Observed { outcome: Outcome::Killed, ..fitted(amount) }
    }

    fn noisy() -> Vec<Observed> {
        (0..60).map(|i| fitted(900.0 + 100.0 * noise(i))).collect()
    }

    #[test]
    fn peaks_that_lie_close_are_asked_for_with_little_more() {
        let allocation = for_step(&noisy(), &Params::default()).unwrap();
        assert!(allocation.request > 990.0 && allocation.request < 1100.0, "{allocation:?}");
        assert!(allocation.kill_probability > 0.0 && allocation.kill_probability < 0.03, "{allocation:?}");
        assert!(allocation.expected_waste > 0.0);
    }

    #[test]
    fn a_rarer_kill_costs_a_higher_request() {
        let at = |max_kill_probability| {
            for_step(&noisy(), &Params { max_kill_probability, kill_price: 0.0, ..Params::default() }).unwrap()
        };
        let requests = [0.5, 0.1, 0.02, 0.01, 0.001].map(|bound| (bound, at(bound)));
        assert!(requests.iter().all(|(bound, allocation)| allocation.kill_probability <= *bound), "{requests:?}");
        assert!(requests.windows(2).all(|pair| pair[0].1.request <= pair[1].1.request), "{requests:?}");
    }

    #[test]
    fn kills_raise_and_never_lower() {
        let calm = for_step(&noisy(), &Params::default()).unwrap().request;
        for at in [100.0, 950.0, 1000.0, calm, 2.0 * calm] {
            let mut observed = noisy();
            observed.push(killed(at));
            let raised = for_step(&observed, &Params::default()).unwrap().request;
            assert!(raised >= calm && raised > at, "killed at {at}: {raised} after {calm}");
        }
        let mut observed = noisy();
        observed.push(killed(5000.0));
        assert!(for_step(&observed, &Params { most: 5000.0, ..Params::default() }).is_none(), "no room above the kill");
    }

    #[test]
    fn bounds_hold_and_degenerate_histories_are_answered() {
        let bounded = Params { least: 2000.0, most: 3000.0, ..Params::default() };
        assert!((for_step(&noisy(), &bounded).unwrap().request - 2000.0).abs() < 1e-9);
        assert!(for_step(&[], &Params::default()).is_none());
        assert!(for_step(&[fitted(0.0), fitted(f64::NAN)], &Params::default()).is_none());
        let one = for_step(&[fitted(10.0)], &Params::default()).unwrap();
        assert!(one.request > 10.0 && one.request < 100.0, "{one:?}");
        let no_time = Observed { hours: f64::NAN, ..fitted(10.0) };
        assert_eq!(for_step(&[no_time], &Params::default()).unwrap().request.to_bits(), one.request.to_bits());
    }

    #[test]
    fn it_scales_with_the_unit() {
        let scaled: Vec<Observed> =
            noisy().iter().map(|one| Observed { amount: one.amount * 1024.0, ..*one }).collect();
        let (small, large) =
            (for_step(&noisy(), &Params::default()).unwrap(), for_step(&scaled, &Params::default()).unwrap());
        assert!((large.request / small.request / 1024.0 - 1.0).abs() < 1e-9);
        assert!((large.kill_probability - small.kill_probability).abs() < 1e-12);
    }
}
