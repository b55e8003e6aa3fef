//! A straight line through all, with its seasons: what grows steadily goes on growing, and what does not stays at its mean.

use super::Path;
use super::season::{Outline, Profiles, held};

/// Mean and slope, robust (values held near their median; Theil-Sen between blocks), and the seasons round the line. The
/// slope is believed as far as it stands out of what noise alone would draw (James and Stein 1961).
#[derive(Debug, Clone)]
pub(super) struct Line {
    /// Value on the line just before the first value.
    start: f64,
    slope: f64,
    profiles: Profiles,
}

impl Line {
    /// Fits to `values` (NaN = gap) with seasons of these lengths. None where nothing is known.
    pub(super) fn fit(values: &[f64], seasons: &[usize]) -> Option<Self> {
        values.iter().find(|v| !v.is_nan())?;
        let profiles = Profiles::of(values, seasons);
        let rest = profiles.without(values);
        let Outline { slope, .. } = Outline::of(&rest, 1);
        let known = || rest.iter().zip(0_u32..).filter(|(v, _)| !v.is_nan()).map(|(v, at)| (f64::from(at) + 1.0, *v));
        let n = known().count() as f64;
        let middle = known().map(|(at, _)| at).sum::<f64>() / n;
        let (level, variance) = held(known().map(|(at, v)| v - slope * (at - middle)).collect());
        let spread: f64 = known().map(|(at, _)| (at - middle).powi(2)).sum();
        let noise = variance * n / (n - 2.0).max(1.0) / spread;
        let slope = if slope * slope > noise { slope * (1.0 - noise / (slope * slope)) } else { 0.0 };
        Some(Self { start: level - slope * middle, slope, profiles })
    }

    /// The forecast from position `from` on.
    pub(super) fn path(&self, from: usize, horizon: usize) -> Path {
        let point = |ahead: usize| {
            let idx = from + ahead;
            self.start + self.slope * (idx as f64 + 1.0) + self.profiles.at(idx)
        };
        Path { point: (0..horizon).map(point).collect(), spread: vec![1.0; horizon] }
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn a_line_goes_on_with_its_week_through_a_spike() {
        let week = [0.0, 1.0, 2.0, 3.0, 2.0, -4.0, -4.0];
        let truth = |i: usize| 10.0 + 0.3 * i as f64 + week[i % 7];
        let mut values: Vec<f64> = (0..84).map(truth).collect();
        values[40] = 700.0;
        let path = Line::fit(&values, &[7]).unwrap().path(84, 30);
        for (ahead, point) in path.point.iter().enumerate() {
            assert!((point - truth(84 + ahead)).abs() < 0.7, "{ahead}: {point}");
        }
        assert!(Line::fit(&[], &[7]).is_none() && Line::fit(&[f64::NAN], &[7]).is_none());
    }
}
