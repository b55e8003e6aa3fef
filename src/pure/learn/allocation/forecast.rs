//! What a peak may be, as a discrete distribution, and which request is best for it.

use super::Allocation;

/// A request lies this much above the peak it is meant for, so that rounding kills nobody.
const MARGIN: f64 = 1.0005;
/// Doublings after which a retry fits anything.
const MAX_DOUBLINGS: u32 = 64;

/// One value that a peak may take.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Atom {
    /// The peak, in the unit of the target; positive.
    pub peak: f64,
    /// How much it weighs against the others; positive.
    pub weight: f64,
    /// How long such an execution runs.
    pub hours: f64,
    /// Whether `peak` is only known to have been exceeded (the execution was killed there).
    pub is_exceeded: bool,
}

/// What limits a choice.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Choice {
    /// A request that is killed more often than this is not made, unless `most` forbids a higher one.
    pub max_kill_probability: f64,
    /// What a kill costs beside the waste, in unit × hours.
    pub kill_price: f64,
    /// Share of an execution's time after which it is killed, 0-1; 1 where nothing is known.
    pub killed_after: f64,
    /// Least request.
    pub least: f64,
    /// Highest request.
    pub most: f64,
}

/// Peaks in ascending order with running sums of probability, hours, and hours × peak.
#[derive(Debug, Clone, PartialEq)]
pub struct Forecast {
    peaks: Vec<f64>,
    /// (n_peaks + 1,) of all peaks before the position.
    before: Vec<Sums>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq)]
struct Sums {
    probability: f64,
    hours: f64,
    peak_hours: f64,
}

impl Forecast {
    /// None where no atom has a finite positive peak and weight. The weight of a peak that was exceeded is spread over
    /// all that lie above it (Efron 1967, redistribution to the right); where none does, it is taken as it is.
    #[must_use]
    pub fn new(mut atoms: Vec<Atom>) -> Option<Self> {
        let is_usable = |value: f64| value.is_finite() && value > 0.0;
        atoms.retain(|atom| is_usable(atom.peak) && is_usable(atom.weight));
        atoms.sort_unstable_by(|a, b| {
            a.peak.total_cmp(&b.peak).then(a.weight.total_cmp(&b.weight)).then(a.hours.total_cmp(&b.hours))
        });
        redistribute(&mut atoms);
        let total: f64 = atoms.iter().map(|atom| atom.weight).sum();
        let mut before = Vec::with_capacity(atoms.len() + 1);
        let mut sums = Sums::default();
        before.push(sums);
        for atom in &atoms {
            let share = atom.weight / total;
            let hours = if atom.hours.is_finite() { share * atom.hours.max(0.0) } else { 0.0 };
            sums.probability += share;
            sums.hours += hours;
            sums.peak_hours += hours * atom.peak;
            before.push(sums);
        }
        (!atoms.is_empty()).then(|| Self { peaks: atoms.iter().map(|atom| atom.peak).collect(), before })
    }

    /// Sums over the peaks that fit into `request`, and how many.
    fn fitting(&self, request: f64) -> Sums {
        let n = self.peaks.partition_point(|peak| *peak <= request);
        self.before.get(n).copied().unwrap_or_default()
    }

    fn all(&self) -> Sums {
        self.before.last().copied().unwrap_or_default()
    }

    /// Probability that an execution needs more than `request`.
    #[must_use]
    pub fn kill_probability(&self, request: f64) -> f64 {
        (1.0 - self.fitting(request).probability).clamp(0.0, 1.0)
    }

    /// Expected unit × hours that are held and not used when `request` is made and doubled after each kill: of a try
    /// that fits (request − peak) · hours, of a killed one the whole request for `killed_after` of the hours. Infinite
    /// for a request that is not positive.
    #[must_use]
    pub fn expected_waste(&self, request: f64, killed_after: f64) -> f64 {
        if request.is_nan() || request <= 0.0 {
            return f64::INFINITY;
        }
        let all = self.all();
        let (mut request, mut smaller, mut waste) = (request, Sums::default(), 0.0);
        for _ in 0..MAX_DOUBLINGS {
            let fits = self.fitting(request);
            waste += request * (fits.hours - smaller.hours) - (fits.peak_hours - smaller.peak_hours);
            if fits.probability >= all.probability {
                break;
            }
            waste += request * killed_after * (all.hours - fits.hours);
            smaller = fits;
            request *= 2.0;
        }
        waste.max(0.0)
    }

    /// The request of least expected waste and price. Of equal ones the highest. None if the bounds hold no request.
    #[must_use]
    pub fn best(&self, choice: &Choice) -> Option<Allocation> {
        let mut best: Option<(f64, Allocation)> = None;
        for (i, peak) in self.peaks.iter().enumerate() {
            let request = (peak * MARGIN).max(choice.least).min(choice.most);
            if !(request > 0.0 && request.is_finite()) {
                continue;
            }
            let kill_probability = self.kill_probability(request);
            let is_last = request >= choice.most || i + 1 == self.peaks.len();
            if kill_probability > choice.max_kill_probability && !is_last {
                continue;
            }
            let expected_waste = self.expected_waste(request, choice.killed_after);
            let cost = expected_waste + choice.kill_price * kill_probability;
            if best.is_none_or(|(least, _)| cost <= least) {
                best = Some((cost, Allocation { request, kill_probability, expected_waste }));
            }
            if is_last {
                break;
            }
        }
        best.map(|(_, allocation)| allocation)
    }
}

/// Moves the weight of exceeded peaks to the peaks above them, in proportion. `atoms` are in ascending order.
fn redistribute(atoms: &mut Vec<Atom>) {
    if !atoms.iter().any(|atom| atom.is_exceeded) {
        return;
    }
    let mut above: f64 = atoms.iter().map(|atom| atom.weight).sum();
    let mut factor = 1.0;
    let last = atoms.last().map_or(0.0, |atom| atom.peak);
    for atom in atoms.iter_mut() {
        above -= atom.weight;
        if atom.is_exceeded && above > 0.0 && atom.peak < last {
            factor *= 1.0 + atom.weight / above;
            atom.weight = 0.0;
        } else {
            atom.weight *= factor;
        }
    }
    atoms.retain(|atom| atom.weight > 0.0);
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use crate::learn::testing::noise;

    fn atom(peak: f64, weight: f64) -> Atom {
        Atom { peak, weight, hours: 1.0, is_exceeded: false }
    }

    fn choice(kill_price: f64) -> Choice {
        Choice { max_kill_probability: 1.0, kill_price, killed_after: 1.0, least: 0.0, most: f64::INFINITY }
    }

    /// Nine of ten need 1, one needs 4.
    fn nine_and_one() -> Forecast {
        Forecast::new(vec![atom(4.0, 0.1), atom(1.0, 0.9)]).unwrap()
    }

    fn close(a: f64, b: f64) -> bool {
        (a - b).abs() < 1e-9
    }

    #[test]
    fn waste_of_a_discrete_distribution_is_what_is_counted_by_hand() {
        let forecast = nine_and_one();
        // 1 fits nine; the tenth wastes 1, then 2, then fits 4.
        assert!(close(forecast.expected_waste(1.0, 1.0), 0.1 * (1.0 + 2.0)));
        assert!(close(forecast.expected_waste(1.0, 0.5), 0.1 * (0.5 + 1.0)));
        assert!(close(forecast.expected_waste(4.0, 1.0), 0.9 * 3.0));
        // 3 wastes 2 of nine; the tenth wastes 3, then 6 − 4.
        assert!(close(forecast.expected_waste(3.0, 1.0), 0.9 * 2.0 + 0.1 * (3.0 + 2.0)));
        assert!(close(forecast.kill_probability(1.0), 0.1));
        assert!(close(forecast.kill_probability(4.0), 0.0));
        assert!(forecast.expected_waste(0.0, 1.0).is_infinite());
    }

    #[test]
    fn the_best_request_weighs_waste_against_kills() {
        let forecast = nine_and_one();
        assert!((forecast.best(&choice(0.0)).unwrap().request - 1.0).abs() < 1e-3, "a rare kill is cheaper");
        assert!((forecast.best(&choice(100.0)).unwrap().request - 4.0).abs() < 1e-2);
        let capped = forecast.best(&Choice { max_kill_probability: 0.05, ..choice(0.0) }).unwrap();
        assert!((capped.request - 4.0).abs() < 1e-2 && capped.kill_probability < 1e-12);
        let bounded = forecast.best(&Choice { max_kill_probability: 0.05, most: 2.0, ..choice(0.0) }).unwrap();
        assert!(close(bounded.request, 2.0) && close(bounded.kill_probability, 0.1), "a bound is a bound");
        let raised = forecast.best(&Choice { least: 3.0, ..choice(0.0) }).unwrap();
        assert!(close(raised.request, 3.0));
    }

    #[test]
    fn a_higher_price_never_lowers_the_request() {
        let atoms = |i: u32| atom(1.0 + 10.0 * noise(i).powi(4), 1.0);
        let forecast = Forecast::new((0..60).map(atoms).collect()).unwrap();
        let prices = (0..80).map(|i| 1.2_f64.powi(i) * 1e-3);
        let requests: Vec<f64> = prices.map(|price| forecast.best(&choice(price)).unwrap().request).collect();
        assert!(requests.windows(2).all(|pair| pair[0] <= pair[1]));
        assert!(requests[0] < requests[79]);
    }

    #[test]
    fn an_exceeded_peak_counts_for_what_lies_above_it() {
        let killed = Atom { is_exceeded: true, ..atom(2.0, 1.0) };
        let forecast = Forecast::new(vec![atom(1.0, 1.0), killed, atom(3.0, 1.0), atom(4.0, 1.0)]).unwrap();
        assert!(close(forecast.kill_probability(2.5), 0.75));
        assert!(close(forecast.kill_probability(3.0), 0.375));
        let highest = Forecast::new(vec![atom(1.0, 1.0), killed]).unwrap();
        assert!(close(highest.kill_probability(1.5), 0.5), "nothing above: kept where it is");
    }

    #[test]
    fn what_is_no_peak_is_left_out() {
        assert!(Forecast::new(Vec::new()).is_none());
        assert!(Forecast::new(vec![atom(0.0, 1.0), atom(f64::NAN, 1.0), atom(1.0, 0.0), atom(-1.0, 1.0)]).is_none());
        let one = Forecast::new(vec![atom(5.0, 1.0)]).unwrap();
        assert!((one.best(&choice(0.0)).unwrap().request / 5.0 - MARGIN).abs() < 1e-12);
        assert!(one.best(&Choice { most: 0.0, ..choice(0.0) }).is_none());
    }

    #[test]
    fn it_scales_with_the_unit() {
        let scaled =
            |by: f64| Forecast::new((1..9).map(|i| atom(f64::from(i) * by, f64::from(9 - i))).collect()).unwrap();
        let small = scaled(1.0).best(&choice(0.7)).unwrap();
        let large = scaled(1024.0).best(&choice(0.7 * 1024.0)).unwrap();
        assert!(close(large.request, 1024.0 * small.request) && close(large.kill_probability, small.kill_probability));
        assert!(close(large.expected_waste, 1024.0 * small.expected_waste));
    }
}
