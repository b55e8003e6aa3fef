//! A linear regression of each value on values before it: the last few, and those one season back with their neighbours
//! (Box and Jenkins' multiplicative lags without their constraints). Ridge with the noise over the size that
//! coefficients are expected to have (Hoerl and Kennard 1970, as a Bayesian would choose it), Huber's weights against
//! spikes, and the same normal equations for all origins: what is new is added, what is out of a window is taken off.

use super::Path;
use crate::learn::solve::solve;
use crate::stats::rank::MAD_TO_SIGMA;
use crate::stats::robust;

/// Expected size of a coefficient.
const COEFFICIENT: f64 = 0.3;
/// Expected size of a drift, in sigmas of the changes.
const DRIFT: f64 = 0.1;
/// Residuals beyond this many sigmas count less (Huber 1964: 95 % efficient under normal noise).
const BEND: f64 = 1.345;
/// Rounds of reweighting of the first fit; later ones start from it.
const ROUNDS: usize = 3;
/// How often coefficients are learned along the origins; between, only the values before a forecast move on.
const LEARNINGS: usize = 12;
/// Rows for each coefficient, or there is no model.
const ROWS_A_LAG: usize = 3;
/// Keeps a system of equal rows solvable.
const JITTER: f64 = 1e-9;

/// Which values before it a value is predicted from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Lags {
    lags: Vec<usize>,
    /// Rows that are learned from, latest first; all if none.
    window: Option<usize>,
    season: usize,
    /// Whether changes are regressed on earlier changes, and not values on values.
    of_changes: bool,
}

impl Lags {
    /// The last `recent` values, and by `seasons` (shortest first) one season back, its neighbours, and the longest
    /// season less and more the shortest.
    pub(super) fn of(recent: usize, seasons: &[usize], window: Option<usize>) -> Self {
        let mut lags: Vec<usize> = (1..=recent).collect();
        let shortest = seasons.first().copied().unwrap_or(0);
        for &season in seasons {
            let around =
                if season > shortest { vec![season - shortest, season, season + shortest] } else { vec![season] };
            let beside = usize::from(season > 3);
            lags.extend(around.iter().flat_map(|lag| lag.saturating_sub(beside)..=lag + beside).filter(|lag| *lag > 0));
        }
        if let &[season] = seasons {
            lags.push(2 * season);
        }
        lags.sort_unstable();
        lags.dedup();
        Self { lags, window, season: seasons.first().copied().unwrap_or(1), of_changes: false }
    }

    /// The same of changes: a level that wanders returns nowhere.
    pub(super) fn of_changes(self) -> Self {
        Self { of_changes: true, ..self }
    }

    fn longest(&self) -> usize {
        self.lags.last().copied().unwrap_or(0)
    }

    /// Whether so many values are enough to learn from.
    pub(super) fn fit_into(&self, n_values: usize) -> bool {
        let rows = n_values.saturating_sub(self.longest());
        !self.lags.is_empty() && rows.min(self.window.unwrap_or(rows)) >= ROWS_A_LAG * (self.lags.len() + 1)
    }

    /// What the model is called.
    pub(super) fn name(&self) -> String {
        let runs = self.lags.chunk_by(|a, b| *b == a + 1).filter_map(|run| Some((*run.first()?, *run.last()?)));
        let shown: Vec<String> =
            runs.map(|(from, to)| if from == to { from.to_string() } else { format!("{from}-{to}") }).collect();
        let window = self.window.map(|rows| format!("; last {rows}")).unwrap_or_default();
        let what = if self.of_changes { "ari" } else { "ar" };
        format!("{what}({}{window})", shown.join(","))
    }
}

/// The forecasts from each origin (ascending), as far as `reach` says. None where the first origin knows too little.
pub(super) fn paths(
    values: &[f64],
    lags: &Lags,
    origins: &[usize],
    reach: impl Fn(usize) -> usize,
) -> Option<Vec<Path>> {
    let first = *origins.first()?;
    if !lags.fit_into(first) {
        return None;
    }
    let filled = filled(values, lags.season);
    let steps = |values: &[f64]| std::iter::once(f64::NAN).chain(values.windows(2).map(|w| w[1] - w[0])).collect();
    let changes: Vec<f64> = if lags.of_changes { steps(values) } else { Vec::new() };
    let mut regression = if lags.of_changes {
        let steps: Vec<f64> = steps(&filled);
        let known: Vec<f64> = steps.iter().map(|step| if step.is_nan() { 0.0 } else { *step }).collect();
        Regression::new(&changes, &known, lags, first)?
    } else {
        Regression::new(values, &filled, lags, first)?
    };
    let forecast = |(position, &origin): (usize, &usize)| {
        let is_last = position + 1 == origins.len();
        if position.is_multiple_of(origins.len().div_ceil(LEARNINGS)) || is_last {
            regression.learn_up_to(origin, if position == 0 || is_last { ROUNDS } else { 1 });
        }
        let path = regression.path(origin, reach(origin));
        if lags.of_changes { path.summed(filled.get(origin - 1).copied().unwrap_or(0.0)) } else { path }
    };
    Some(origins.iter().enumerate().map(forecast).collect())
}

/// The values with each gap filled by what is known before it: the same phase, else the last value.
fn filled(values: &[f64], season: usize) -> Vec<f64> {
    let mut filled: Vec<f64> = Vec::with_capacity(values.len());
    let first = values.iter().copied().find(|v| !v.is_nan()).unwrap_or(0.0);
    for (idx, &value) in values.iter().enumerate() {
        let before = || idx.checked_sub(season).and_then(|back| filled.get(back)).or(filled.last()).copied();
        let known = if value.is_nan() { before().unwrap_or(first) } else { value };
        filled.push(known);
    }
    filled
}

struct Regression<'a> {
    values: &'a [f64],
    /// Without gaps, about the mean of what the first origin knows.
    centred: Vec<f64>,
    centre: f64,
    lags: &'a Lags,
    /// (k, k) and (k,), k = lags and the constant: weighted sums over the rows of `learned`.
    gram: Vec<f64>,
    right: Vec<f64>,
    /// Weight of the row of each value.
    weights: Vec<f64>,
    learned: std::ops::Range<usize>,
    coefficients: Vec<f64>,
    sigma: f64,
    /// Where forecasts are cut off: one range beyond what was seen. A recursion could run away.
    bounds: (f64, f64),
}

impl<'a> Regression<'a> {
    fn new(values: &'a [f64], filled: &[f64], lags: &'a Lags, first: usize) -> Option<Self> {
        let known = filled.get(..first)?;
        let centre = if lags.of_changes { 0.0 } else { known.iter().sum::<f64>() / known.len().max(1) as f64 };
        let k = lags.lags.len() + 1;
        Some(Self {
            values,
            centred: filled.iter().map(|v| v - centre).collect(),
            centre,
            lags,
            gram: vec![0.0; k * k],
            right: vec![0.0; k],
            weights: vec![0.0; values.len()],
            learned: 0..0,
            coefficients: vec![0.0; k],
            sigma: f64::INFINITY,
            bounds: (0.0, 0.0),
        })
    }

    /// The regressors of the value at `idx`, which lies `lags.longest()` or further from the start.
    fn row(&self, idx: usize, row: &mut [f64]) {
        for (slot, lag) in row.iter_mut().zip(&self.lags.lags) {
            *slot = self.centred[idx - lag];
        }
        if let Some(constant) = row.last_mut() {
            *constant = 1.0;
        }
    }

    /// Adds the row of a value `weight` times.
    fn add(&mut self, idx: usize, weight: f64, row: &mut [f64]) {
        self.row(idx, row);
        let target = self.centred[idx];
        for ((gram, right), a) in self.gram.chunks_exact_mut(row.len()).zip(&mut self.right).zip(&*row) {
            let scaled = weight * a;
            gram.iter_mut().zip(&*row).for_each(|(sum, b)| *sum += scaled * b);
            *right += scaled * target;
        }
    }

    fn residual(&self, idx: usize, row: &mut [f64]) -> f64 {
        self.row(idx, row);
        self.centred[idx] - row.iter().zip(&self.coefficients).map(|(x, b)| x * b).sum::<f64>()
    }

    /// Learns from what is known before `origin`.
    fn learn_up_to(&mut self, origin: usize, rounds: usize) {
        let mut row = vec![0.0; self.right.len()];
        let from = self.lags.longest().max(self.lags.window.map_or(0, |window| origin.saturating_sub(window)));
        for round in 0..rounds {
            if round == 0 && self.learned.end > 0 {
                self.move_on(from, origin, &mut row);
            } else {
                self.start_anew(from, origin, &mut row);
            }
            self.fit(&mut row);
        }
        let seen = self.centred.get(..origin).unwrap_or_default();
        let (low, high) = seen.iter().fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), &v| (l.min(v), h.max(v)));
        self.bounds = (low - (high - low), high + (high - low));
    }

    fn weight(&self, idx: usize, row: &mut [f64]) -> f64 {
        if self.values[idx].is_nan() {
            return 0.0;
        }
        if self.sigma.is_infinite() { 1.0 } else { robust::huber_weight(self.residual(idx, row) / self.sigma, BEND) }
    }

    fn move_on(&mut self, from: usize, to: usize, row: &mut [f64]) {
        for idx in self.learned.start..from {
            self.add(idx, -self.weights[idx], row);
        }
        for idx in self.learned.end..to {
            self.weights[idx] = self.weight(idx, row);
            self.add(idx, self.weights[idx], row);
        }
        self.learned = from..to;
    }

    fn start_anew(&mut self, from: usize, to: usize, row: &mut [f64]) {
        self.gram.fill(0.0);
        self.right.fill(0.0);
        for idx in from..to {
            self.weights[idx] = self.weight(idx, row);
            self.add(idx, self.weights[idx], row);
        }
        self.learned = from..to;
    }

    /// Coefficients and noise from the sums as they stand. The ridge is the noise's variance over that of coefficients;
    /// where the noise is not known yet, next to nothing.
    fn fit(&mut self, row: &mut [f64]) {
        let k = self.right.len();
        let mean_square = (0..k - 1).map(|i| self.gram[i * k + i]).sum::<f64>() / (k - 1).max(1) as f64;
        let solve_with = |ridge: f64, gram: &[f64], right: &[f64]| {
            let (mut gram, mut right) = (gram.to_vec(), right.to_vec());
            (0..k - 1).for_each(|i| gram[i * k + i] += ridge + JITTER * mean_square);
            if self.lags.of_changes {
                gram[k * k - 1] += DRIFT.powi(-2);
            }
            solve(&mut gram, &mut right);
            right
        };
        let ridge = |sigma: f64| (sigma / COEFFICIENT).powi(2);
        if self.sigma.is_infinite() {
            self.coefficients = solve_with(JITTER * mean_square, &self.gram, &self.right);
            self.sigma = self.noise(row);
        }
        self.coefficients = solve_with(ridge(self.sigma), &self.gram, &self.right);
        self.sigma = self.noise(row);
    }

    /// Standard deviation of the residuals, robust; charged for the coefficients.
    fn noise(&self, row: &mut [f64]) -> f64 {
        let known = self.learned.clone().filter(|idx| !self.values[*idx].is_nan());
        let mut sizes: Vec<f64> = known.map(|idx| self.residual(idx, row).abs()).collect();
        let n = sizes.len() as f64;
        let mean = sizes.iter().sum::<f64>() / n.max(1.0);
        let free = (n - self.right.len() as f64).max(1.0);
        let robust = robust::median(&mut sizes) * MAD_TO_SIGMA * (n / free).sqrt();
        if robust > 0.0 { robust } else { mean.max(f64::MIN_POSITIVE) }
    }

    fn path(&self, origin: usize, horizon: usize) -> Path {
        let mut ahead: Vec<f64> = Vec::with_capacity(horizon);
        let constant = self.coefficients.last().copied().unwrap_or(0.0);
        for step in 0..horizon {
            let before = |lag: usize| if lag <= step { ahead[step - lag] } else { self.centred[origin + step - lag] };
            let sum: f64 = self.lags.lags.iter().zip(&self.coefficients).map(|(&lag, b)| b * before(lag)).sum();
            ahead.push((sum + constant).clamp(self.bounds.0, self.bounds.1));
        }
        ahead.iter_mut().for_each(|v| *v += self.centre);
        Path { spread: self.spread(horizon), point: ahead }
    }

    /// Growth of the error's standard deviation: the root of the summed squares of what a shock leaves behind (Box and
    /// Jenkins' psi weights), of its running sums where changes are regressed.
    fn spread(&self, horizon: usize) -> Vec<f64> {
        let mut shock: Vec<f64> = Vec::with_capacity(horizon);
        let (mut variance, mut sum) = (0.0_f64, 0.0);
        let mut spread = Vec::with_capacity(horizon);
        for step in 0..horizon {
            let before = |lag: usize| step.checked_sub(lag).and_then(|at| shock.get(at)).copied().unwrap_or(0.0);
            let earlier: f64 = self.lags.lags.iter().zip(&self.coefficients).map(|(&lag, b)| b * before(lag)).sum();
            let now = if step == 0 { 1.0 } else { earlier.clamp(-1.0, 1.0) };
            shock.push(now);
            sum += now;
            variance += if self.lags.of_changes { sum * sum } else { now * now };
            spread.push(variance.sqrt());
        }
        spread
    }
}

impl Path {
    /// The path of a level at `start` that changes by this one's points.
    fn summed(mut self, start: f64) -> Self {
        let mut level = start;
        for point in &mut self.point {
            level += *point;
            *point = level;
        }
        self
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    fn wobble(i: usize) -> f64 {
        ((i * 7_919 + 13) % 101) as f64 / 101.0 - 0.5
    }

    #[test]
    fn lags_lie_round_the_seasons() {
        assert_eq!(Lags::of(3, &[24, 168], None).name(), "ar(1-3,23-25,143-145,167-169,191-193)");
        assert_eq!(Lags::of(2, &[7], Some(30)).name(), "ar(1-2,6-8,14; last 30)");
        assert_eq!(Lags::of(3, &[], None).name(), "ar(1-3)");
        assert!(!Lags::of(0, &[], None).fit_into(1_000));
        assert!(!Lags::of(3, &[7], None).fit_into(37) && Lags::of(3, &[7], None).fit_into(38));
    }

    #[test]
    fn an_autoregression_is_learned_through_a_spike() {
        let mut values = vec![0.0; 400];
        for i in 2..400 {
            values[i] = 0.5 * values[i - 1] + 0.3 * values[i - 2] + wobble(i);
        }
        values[200] += 50.0;
        let found = paths(&values, &Lags::of(3, &[], None), &[300, 400], |_| 2).unwrap();
        let expected = 0.5 * values[399] + 0.3 * values[398];
        assert!((found[1].point[0] - expected).abs() < 0.2, "{} {expected}", found[1].point[0]);
    }

    #[test]
    fn moving_on_is_learning_anew() {
        let values: Vec<f64> = (0..120).map(|i| (i % 7) as f64 + wobble(i)).collect();
        for lags in [Lags::of(3, &[7], None), Lags::of(3, &[7], Some(50))] {
            let row = &mut vec![0.0; lags.lags.len() + 1];
            let mut moved = Regression::new(&values, &values, &lags, 80).unwrap();
            let mut anew = Regression::new(&values, &values, &lags, 80).unwrap();
            let from = |to: usize| lags.longest().max(lags.window.map_or(0, |window| to - window));
            moved.start_anew(from(80), 80, row);
            moved.move_on(from(120), 120, row);
            anew.start_anew(from(120), 120, row);
            assert!(moved.gram.iter().zip(&anew.gram).all(|(a, b)| (a - b).abs() < 1e-9));
        }
    }

    #[test]
    fn a_recursion_can_not_run_away() {
        let values: Vec<f64> = (0..60).map(|i| 1.2_f64.powi(i)).collect();
        let found = paths(&values, &Lags::of(3, &[], None), &[60], |_| 200).unwrap();
        let highest = values[59] + (values[59] - values[0]);
        assert!(found[0].point.iter().all(|p| p.is_finite() && *p <= highest * (1.0 + 1e-9)));
    }
}
