//! The forecasts that any other has to beat: the last value, and the last value of the same phase.

use super::Path;

/// Repeats the last known value of each phase of `season` buckets (1 = the last value at all) from the end of `values`
/// on. A phase that was never seen repeats the last known value. None if nothing is known.
///
/// Errors grow like a random walk's, by whole seasons (Hyndman and Athanasopoulos, FPP3, table 5.2).
pub(super) fn seasonal_naive(values: &[f64], season: usize, horizon: usize) -> Option<Path> {
    let season = season.max(1);
    let last = *values.iter().rev().find(|v| !v.is_nan())?;
    let phase_value = |ahead: usize| {
        let back = values.len() + ahead % season;
        let same_phase = (1..).map_while(|cycle| back.checked_sub(cycle * season)).filter_map(|idx| values.get(idx));
        same_phase.copied().find(|v| !v.is_nan()).unwrap_or(last)
    };
    let cycle: Vec<f64> = (0..season.min(horizon)).map(phase_value).collect();
    Some(Path {
        point: cycle.iter().copied().cycle().take(horizon).collect(),
        spread: (0..horizon).map(|ahead| ((ahead / season + 1) as f64).sqrt()).collect(),
    })
}

/// Repeats the mean of the last `cycles` known values of each phase of `season` buckets. None where nothing is known.
pub(super) fn seasonal_mean(values: &[f64], season: usize, cycles: usize, horizon: usize) -> Option<Path> {
    let season = season.max(1);
    let last = *values.iter().rev().find(|v| !v.is_nan())?;
    let phase_value = |ahead: usize| {
        let back = values.len() + ahead % season;
        let same_phase = (1..).map_while(|cycle| back.checked_sub(cycle * season)).filter_map(|idx| values.get(idx));
        let (sum, n) =
            same_phase.filter(|v| !v.is_nan()).take(cycles).fold((0.0, 0.0), |(sum, n), v| (sum + v, n + 1.0));
        if n > 0.0 { sum / n } else { last }
    };
    let cycle: Vec<f64> = (0..season.min(horizon)).map(phase_value).collect();
    Some(Path { point: cycle.iter().copied().cycle().take(horizon).collect(), spread: vec![1.0; horizon] })
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    const GAP: f64 = f64::NAN;

    #[test]
    fn repeats_the_last_cycle_and_looks_behind_gaps() {
        let path = seasonal_naive(&[1.0, 2.0, 3.0, 4.0, GAP, 6.0], 3, 5).unwrap();
        assert_eq!(path.point, [4.0, 2.0, 6.0, 4.0, 2.0]);
        assert_eq!(path.spread, [1.0, 1.0, 1.0, 2_f64.sqrt(), 2_f64.sqrt()]);
    }

    #[test]
    fn a_phase_never_seen_gets_the_last_value() {
        assert_eq!(seasonal_naive(&[GAP, 5.0, GAP], 7, 2).unwrap().point, [5.0, 5.0]);
        assert_eq!(seasonal_naive(&[1.0, 2.0], 1, 2).unwrap().point, [2.0, 2.0]);
    }

    #[test]
    fn nothing_known_is_no_forecast() {
        assert_eq!(seasonal_naive(&[], 1, 3), None);
        assert_eq!(seasonal_naive(&[GAP], 1, 3), None);
    }
}
