//! Days that tell of nothing but themselves.

use crate::detect::levelling::{Levelled, Scale};
use crate::stats::robust::{MAD_TO_STD, median};

/// Days on either side whose median a day is held against.
const REACH: usize = 7;
/// Beyond so many robust standard deviations of all days a day is a spike.
const SPIKE_SIGMAS: f64 = 5.0;

/// `values` with at most a share `rare` of the days, those that stand out most from the days around them, drawn in to
/// where spikes begin (Hampel's filter, weeks taken out). One day in a hundred that cost a hundred times as much is no
/// reason to expect more than the usual with a probability of 0.95, but the residuals of a backtest, which meets it from
/// every origin, would say so.
pub(super) fn drawn_in(values: &[f64], levelled: &Levelled, rare: f64) -> Vec<f64> {
    let n_known = levelled.values.iter().filter(|value| value.is_finite()).count();
    let n_rare = (rare * n_known as f64).floor() as usize;
    let mut drawn = values.to_vec();
    if n_rare == 0 {
        return drawn;
    }
    let off: Vec<f64> = (0..levelled.values.len())
        .map(|day| levelled.values.get(day).map_or(f64::NAN, |v| v - around(levelled, day)))
        .collect();
    let mut sizes: Vec<f64> = off.iter().filter(|off| off.is_finite()).map(|off| off.abs()).collect();
    let bound = SPIKE_SIGMAS * MAD_TO_STD * median(&mut sizes);
    let mut spikes: Vec<(usize, f64)> =
        off.iter().copied().enumerate().filter(|(_, off)| bound > 0.0 && off.abs() > bound).collect();
    spikes.sort_by(|a, b| b.1.abs().total_cmp(&a.1.abs()).then(a.0.cmp(&b.0)));
    for (day, off) in spikes.into_iter().take(n_rare) {
        if let Some(value) = drawn.get_mut(day) {
            let excess = off - bound * off.signum();
            *value = if levelled.scale == Scale::Log { *value * (-excess).exp() } else { *value - excess };
        }
    }
    drawn
}

fn around(levelled: &Levelled, day: usize) -> f64 {
    let days = levelled.values.iter().skip(day.saturating_sub(REACH)).take(day.min(REACH) + 1 + REACH);
    median(&mut days.copied().filter(|value| value.is_finite()).collect::<Vec<f64>>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_spike_in_sixty_days_is_drawn_in_and_two_are_one_too_many() {
        let usual = |i: usize| 10.0 + ((i * 37) % 11) as f64 / 10.0;
        let with = |spikes: &[(usize, f64)]| {
            let mut values: Vec<f64> = (0..60).map(usual).collect();
            spikes.iter().for_each(|&(day, times)| values[day] *= times);
            let levelled = Levelled::of(&values, Scale::Log, &[]);
            (drawn_in(&values, &levelled, 0.025), values)
        };
        let (drawn, values) = with(&[(30, 15.0)]);
        assert!(drawn[30] < 20.0 && drawn[30] > values[29], "{}", drawn[30]);
        assert!((0..60).filter(|&i| i != 30).all(|i| (drawn[i] - values[i]).abs() < 1e-12));
        let (drawn, values) = with(&[(10, 8.0), (40, 15.0)]);
        assert!(drawn[40] < 20.0 && (drawn[10] - values[10]).abs() < 1e-12, "the larger one alone");
        let (drawn, values) = with(&[]);
        assert_eq!(drawn, values);
        let constant = vec![3.0; 60];
        assert_eq!(drawn_in(&constant, &Levelled::of(&constant, Scale::Log, &[]), 0.1), constant);
    }
}
