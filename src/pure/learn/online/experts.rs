//! The experts: each weighs the latest executions of a group in its own way, and is believed by how well it did.
//!
//! An expert answers with the weighted median of what those executions say about this one. They differ in three
//! things: whether an outcome is carried along the group's line to this execution's features or taken as it is,
//! whether executions alike in their features count more, and how fast old ones are forgotten. A group believes its
//! experts by exponential weights of their discounted losses (Cesa-Bianchi & Lugosi 2006, ch. 2); a young group by
//! those of all groups.

use super::history::REACH;
use super::mixture::Mixture;

/// All of them.
pub(crate) const N: usize = 8;
/// Their names: by features, by likeness, by memory.
pub(crate) const NAMES: [&str; N] = [
    "level",
    "level_recent",
    "level_near",
    "level_near_recent",
    "line",
    "line_recent",
    "line_near",
    "line_near_recent",
];
const N_KERNELS: usize = N / 2;
/// Executions after which one counts 1/e: a long memory and a short one.
const MEMORIES: [f64; 2] = [50.0, 5.0];
/// Executions count as near whose features would move the target by about this much: 10 %.
const BANDWIDTH: f64 = 0.1;
/// A far execution counts this much to an expert that looks near: something where there is nothing near.
const FAR: f64 = 1e-12;
/// An error of this size on the log scale, or a larger one, is as wrong as can be.
const TOLERANCE: f64 = 0.2;
/// How strongly better experts are preferred.
const ETA: f64 = 2.0;
/// Memory of losses, of a group's and of all.
const GROUP_DECAY: f64 = 0.98;
const ALL_DECAY: f64 = 0.999;
/// What all groups say counts as much as this many losses of the worst expert.
const ALL_WEIGHT: f64 = 5.0;

/// Discounted losses of each expert.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Losses([f64; N]);

impl Losses {
    /// Learns from what the experts of a group said and what came.
    pub(crate) fn learn(&mut self, said: &[f64; N], place: f64) {
        self.add(said, place, GROUP_DECAY);
    }

    fn add(&mut self, said: &[f64; N], place: f64, decay: f64) {
        for (loss, said) in self.0.iter_mut().zip(said) {
            *loss = decay * *loss + ((said - place).abs() / TOLERANCE).min(1.0);
        }
    }

    /// As a group's own, and as the sum over all groups.
    pub(crate) fn learn_both(own: &mut Self, all: &mut Self, said: &[f64; N], place: f64) {
        own.learn(said, place);
        all.add(said, place, ALL_DECAY);
    }

    /// How far each expert is believed; sums to 1.
    fn beliefs(&self, all: &Self) -> [f64; N] {
        let worst = all.0.iter().copied().fold(1e-9, f64::max);
        let mut beliefs = [0.0; N];
        for ((belief, own), all) in beliefs.iter_mut().zip(self.0).zip(all.0) {
            *belief = own + ALL_WEIGHT * all / worst;
        }
        let least = beliefs.iter().copied().fold(f64::INFINITY, f64::min);
        beliefs.iter_mut().for_each(|loss| *loss = (-ETA * (*loss - least)).exp());
        let total: f64 = beliefs.iter().sum();
        beliefs.map(|belief| belief / total)
    }
}

/// What is known of each execution within reach, as seen from the one that is predicted.
#[derive(Debug, Clone, Copy)]
pub(crate) struct View<'a> {
    /// Places of the targets, oldest first.
    pub(crate) places: &'a [f64],
    /// What the line adds to each place.
    pub(crate) shifts: &'a [f64],
    /// Squared distances, in units of the target's scale.
    pub(crate) distances: &'a [f64],
}

/// What they say.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Opinion {
    /// The answer of each.
    pub(crate) said: [f64; N],
    /// The one that is believed most.
    pub(crate) speaker: usize,
}

/// The experts with what they need again and again.
#[derive(Debug)]
pub(crate) struct Experts {
    /// Weight by age for each memory.
    fading: [[f64; REACH]; 2],
    /// The predictive distribution of the latest opinion.
    pub(crate) mixture: Mixture,
    kernels: [Vec<f64>; N_KERNELS],
    atoms: [Vec<(f64, f64)>; 2],
    order: Vec<(f64, u32)>,
}

impl Experts {
    pub(crate) fn new() -> Self {
        let mut fading = [[0.0; REACH]; 2];
        for (weights, memory) in fading.iter_mut().zip(MEMORIES) {
            let mut age = 0.0;
            for weight in weights {
                *weight = (-age / memory).exp();
                age += 1.0;
            }
        }
        Self {
            fading,
            mixture: Mixture::default(),
            kernels: Default::default(),
            atoms: Default::default(),
            order: Vec::new(),
        }
    }

    /// Asks all; the mixture is theirs, each as far as it is believed. `view` must not be empty.
    pub(crate) fn ask(&mut self, view: View<'_>, own: &Losses, all: &Losses) -> Opinion {
        let beliefs = own.beliefs(all);
        self.weigh(view.distances);
        let mut said = [f64::NAN; N];
        for (line, (said, beliefs)) in said.chunks_mut(N_KERNELS).zip(beliefs.chunks(N_KERNELS)).enumerate() {
            self.sort(view, line == 1);
            let atoms = self.atoms.get_mut(line);
            answer(&self.order, &self.kernels, said, beliefs, atoms);
        }
        let [level, line] = &self.atoms;
        self.mixture.merge(level, line);
        let speaker = (0..N).max_by(|a, b| beliefs[*a].total_cmp(&beliefs[*b])).unwrap_or_default();
        Opinion { said, speaker }
    }

    /// The weight of each execution to each kernel, summing to 1.
    fn weigh(&mut self, distances: &[f64]) {
        let n = distances.len().min(REACH);
        let near = |distance: f64| (-0.5 * distance / (BANDWIDTH * BANDWIDTH)).exp() + FAR;
        let [all_long, all_short, near_long, near_short] = &mut self.kernels;
        let [long, short] = &self.fading;
        let faded = |weights: &mut Vec<f64>, fading: &[f64; REACH]| {
            weights.clear();
            weights.extend(fading.iter().take(n).rev());
        };
        faded(all_long, long);
        faded(all_short, short);
        near_long.clear();
        near_short.clear();
        for ((distance, long), short) in distances.iter().zip(all_long.iter()).zip(all_short.iter()) {
            let near = near(*distance);
            near_long.push(near * long);
            near_short.push(near * short);
        }
        for kernel in &mut self.kernels {
            let total: f64 = kernel.iter().sum();
            kernel.iter_mut().for_each(|weight| *weight /= total);
        }
    }

    /// Orders the executions by what they say.
    fn sort(&mut self, view: View<'_>, along_line: bool) {
        self.order.clear();
        let said =
            view.places.iter().zip(view.shifts).map(|(place, shift)| place + if along_line { *shift } else { 0.0 });
        self.order.extend(said.zip(0..));
        self.order.sort_unstable_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
    }
}

/// The weighted median of each kernel, and the atoms of all of them together.
fn answer(
    order: &[(f64, u32)],
    kernels: &[Vec<f64>; N_KERNELS],
    said: &mut [f64],
    beliefs: &[f64],
    atoms: Option<&mut Vec<(f64, f64)>>,
) {
    let Some(atoms) = atoms else { return };
    atoms.clear();
    let mut cumulated = [0.0; N_KERNELS];
    for &(place, at) in order {
        let mut weight = 0.0;
        for (((kernel, sum), said), belief) in kernels.iter().zip(&mut cumulated).zip(said.iter_mut()).zip(beliefs) {
            let own = kernel.get(at as usize).copied().unwrap_or_default();
            *sum += own;
            weight += belief * own;
            if said.is_nan() && *sum >= 0.5 {
                *said = place;
            }
        }
        atoms.push((place, weight));
    }
    // Rounding may keep a sum a hair below one half where all weight lies in the last.
    if let Some(&(last, _)) = order.last() {
        said.iter_mut().filter(|said| said.is_nan()).for_each(|said| *said = last);
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::float_cmp, reason = "medians are among the values")]
    use super::*;

    fn ask(places: &[f64], shifts: &[f64], distances: &[f64], own: &Losses) -> (Opinion, Experts) {
        let mut experts = Experts::new();
        let opinion = experts.ask(View { places, shifts, distances }, own, &Losses::default());
        (opinion, experts)
    }

    #[test]
    fn each_expert_looks_its_own_way() {
        // Ten at 1, then three at 2; only the first is near; the line adds one to all.
        let places: Vec<f64> = (0..13).map(|i| if i < 10 { 1.0 } else { 2.0 }).collect();
        let mut distances = [9.0; 13];
        distances[0] = 0.0;
        let (opinion, _) = ask(&places, &[1.0; 13], &distances, &Losses::default());
        assert_eq!(opinion.said, [1.0, 1.0, 1.0, 1.0, 2.0, 2.0, 2.0, 2.0]);
        let (opinion, _) = ask(&places[6..], &[0.0; 7], &[0.0; 7], &Losses::default());
        assert_eq!(opinion.said[..2], [1.0, 2.0], "three of seven, but the latest");
    }

    #[test]
    fn the_better_expert_is_believed() {
        let mut losses = Losses::default();
        let mut all = Losses::default();
        for _ in 0..20 {
            let said = [0.0, 0.0, 0.0, 0.0, 5.0, 0.0, 0.0, 0.0];
            Losses::learn_both(&mut losses, &mut all, &said, 5.0);
        }
        let (opinion, experts) = ask(&[1.0; 5], &[3.0; 5], &[0.0; 5], &losses);
        assert_eq!(NAMES[opinion.speaker], "line");
        assert!((experts.mixture.quantile(0.5) - 4.0).abs() < 1e-12);
    }

    #[test]
    fn beliefs_sum_to_one_and_start_equal() {
        let beliefs = Losses::default().beliefs(&Losses::default());
        assert!(beliefs.iter().all(|belief| (belief - 1.0 / 8.0).abs() < 1e-12));
    }
}
