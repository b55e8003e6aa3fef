//! Requests for executions one after another, learned from as they end.

use super::experts::{self, Fit, History};
use super::forecast::{Atom, Choice, Forecast};
use super::tails::{self, MAX_DEVIATION, Tails};
use super::{Allocation, Params};
use std::collections::VecDeque;

/// A request is at most so many times the highest peak known or expected: what a retry would be given anyway.
const MOST_OVER_PEAK: f64 = 2.0;
/// Weight, in executions, of the group's peaks as such in every expert's forecast: any expert may be wrong.
const MARGINAL_WEIGHT: f64 = 4.0;
/// Executions after which an expert's cost counts 1/e: 33.
const FORGET: f64 = 0.97;
/// The same for the costs of all groups together: 1,000.
const FORGET_POOLED: f64 = 0.999;
/// Executions that the pooled costs weigh in the choice of a group's expert.
const POOLED_COSTS: f64 = 2.0;
/// One bad request costs at most so many times what the execution used.
const MAX_COST: f64 = 20.0;
/// First executions of groups that stand for a group never seen.
const MAX_FIRSTS: usize = 256;
/// A slope is believed, and drawn to zero, by so many groups.
const SLOPE_GROUPS: f64 = 3.0;
/// Executions that make a slope.
const SLOPE_FROM: usize = 4;
const SLOPES: (f64, f64) = (-0.5, 1.5);
/// Doublings after which a request is taken to fit.
const MAX_DOUBLINGS: u32 = 64;

/// What is known of an execution before it starts.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Task<'a> {
    /// Number of its group; groups are numbered without gaps, or memory is wasted.
    pub group: usize,
    /// (n_features,) sizes; what is not positive is unknown.
    pub sizes: &'a [f64],
    /// What would be requested without us, NaN if unknown: the answer for a group without history.
    pub request: f64,
}

/// An answer, to be given back when its execution has ended.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    /// None before anything is known.
    pub allocation: Option<Allocation>,
    /// Executions of the group that were known.
    pub n_seen: u32,
    /// What every expert would have requested; empty for a group without history.
    requests: Vec<f64>,
}

#[derive(Debug, Clone, Default)]
struct Group {
    n_seen: u32,
    history: History,
    fit: Fit,
    /// By expert: the latest deviations, the sum of all absolute ones, the forgetting sum of costs.
    experts: Vec<Expert>,
    costs_weight: f64,
    highest: f64,
    log_hours: f64,
    /// Slopes that were given to the pool, by feature.
    slopes: Vec<Option<f64>>,
}

#[derive(Debug, Clone, Default)]
struct Expert {
    deviations: VecDeque<f64>,
    absolute_sum: f64,
    costs: f64,
}

/// What all groups share about one expert.
#[derive(Debug, Clone, Default)]
struct Shared {
    tails: Tails,
    costs: f64,
}

/// Sum and number of groups' slopes of a feature.
#[derive(Debug, Clone, Copy, Default)]
struct Slopes {
    sum: f64,
    n: f64,
}

/// Learns from executions that have ended; answers for those that start.
#[derive(Debug, Clone)]
pub struct Allocator {
    params: Params,
    groups: Vec<Group>,
    shared: Vec<Shared>,
    costs_weight: f64,
    slopes: Vec<Slopes>,
    firsts: VecDeque<Atom>,
    waste: f64,
    n_wasted: f64,
    locations: Vec<f64>,
    logs: Vec<f64>,
}

impl Allocator {
    /// One that knows nothing yet.
    #[must_use]
    pub fn new(n_features: usize, params: Params) -> Self {
        Self {
            params,
            groups: Vec::new(),
            shared: vec![Shared::default(); experts::count(n_features)],
            costs_weight: 0.0,
            slopes: vec![Slopes::default(); n_features],
            firsts: VecDeque::new(),
            waste: 0.0,
            n_wasted: 0.0,
            locations: Vec::new(),
            logs: Vec::new(),
        }
    }

    /// What an execution wastes on average under the requests made so far, times the price of a kill.
    fn price(&self) -> f64 {
        if self.n_wasted > 0.0 { self.params.kill_price * self.waste / self.n_wasted } else { 0.0 }
    }

    fn choice(&self, most: f64) -> Choice {
        let Params { max_kill_probability, killed_after, least, most: bound, .. } = self.params;
        Choice { max_kill_probability, kill_price: self.price(), killed_after, least, most: most.max(least).min(bound) }
    }

    /// The request for an execution that is about to start.
    #[must_use]
    pub fn ask(&mut self, task: &Task<'_>) -> Answer {
        let Some(group) = self.groups.get(task.group).filter(|group| group.n_seen > 0) else {
            return Answer { allocation: self.first(task.request), n_seen: 0, requests: Vec::new() };
        };
        logs_of(task.sizes, self.slopes.len(), &mut self.logs);
        group.fit.locate(&group.history, &self.logs, &mut self.locations);
        let mut requests = Vec::with_capacity(self.shared.len());
        let mut best: Option<(f64, Allocation)> = None;
        for (expert, location) in self.locations.iter().enumerate() {
            let allocation = self.by_expert(group, expert, *location);
            requests.push(allocation.map_or(f64::NAN, |allocation| allocation.request));
            let cost = self.cost_of(group, expert);
            if let Some(allocation) = allocation.filter(|_| best.is_none_or(|(least, _)| cost < least)) {
                best = Some((cost, allocation));
            }
        }
        Answer { allocation: best.map(|(_, allocation)| allocation), n_seen: group.n_seen, requests }
    }

    /// For a group without history: what was asked for, else what first executions of other groups need.
    fn first(&self, request: f64) -> Option<Allocation> {
        let forecast = Forecast::new(self.firsts.iter().copied().collect());
        if request.is_finite() && request > 0.0 {
            let request = request.max(self.params.least).min(self.params.most);
            let kill_probability = forecast.as_ref().map_or(f64::NAN, |forecast| forecast.kill_probability(request));
            let waste = forecast.map(|forecast| forecast.expected_waste(request, self.params.killed_after));
            return Some(Allocation { request, kill_probability, expected_waste: waste.unwrap_or(f64::NAN) });
        }
        forecast?.best(&self.choice(f64::INFINITY))
    }

    fn by_expert(&self, group: &Group, expert: usize, location: f64) -> Option<Allocation> {
        let forecast = Forecast::new(self.atoms(group, expert, location)?)?;
        forecast.best(&self.choice(MOST_OVER_PEAK * group.highest.max(location.exp())))
    }

    /// The expert's past deviations, those of other groups, the group's own peaks, and what may lie beyond.
    fn atoms(&self, group: &Group, expert: usize, location: f64) -> Option<Vec<Atom>> {
        let (own, shared) = (group.experts.get(expert)?, self.shared.get(expert)?);
        let hours = (group.log_hours / f64::from(group.n_seen)).exp();
        let mut atoms = Vec::new();
        let mut add = |deviation: f64, weight: f64| {
            atoms.push(Atom { peak: (location + deviation).exp(), weight, hours, is_exceeded: false });
        };
        let n = group.n_seen as usize - 1;
        if n == 0 {
            shared.tails.unknown_scale(&mut add);
            return Some(atoms);
        }
        let highest = own.deviations.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        own.deviations.iter().for_each(|deviation| add(*deviation, 1.0));
        shared.tails.pooled(n, tails::scale(own.absolute_sum, n), &mut add);
        let weight = MARGINAL_WEIGHT / group.history.logs.len() as f64;
        if expert > 0 {
            group.history.logs.iter().for_each(|log| add(cut(log - location), weight));
        }
        tails::beyond(|u, share| add(highest + u, share));
        Some(atoms)
    }

    /// What an expert's requests have cost the group lately, in executions' use; at first, what they cost all groups.
    fn cost_of(&self, group: &Group, expert: usize) -> f64 {
        let of_all = self.shared.get(expert).map_or(0.0, |shared| shared.costs);
        let pooled = if self.costs_weight > 0.0 { of_all / self.costs_weight } else { 1.0 };
        let own = group.experts.get(expert).map_or(0.0, |expert| expert.costs);
        (own + POOLED_COSTS * pooled) / (group.costs_weight + POOLED_COSTS)
    }

    /// Learns the peak of an execution that has ended, and how long it ran. `answer` is what was said of it. A peak that
    /// is not positive was not measured; nothing is learned from it.
    pub fn learn(&mut self, task: &Task<'_>, answer: &Answer, peak: f64, hours: f64) {
        if !(peak > 0.0 && peak.is_finite()) {
            return;
        }
        let hours = if hours.is_finite() { hours.max(0.0) } else { 0.0 };
        if self.groups.len() <= task.group {
            self.groups.resize_with(task.group + 1, Group::default);
        }
        let Some(mut group) = self.groups.get_mut(task.group).map(std::mem::take) else { return };
        logs_of(task.sizes, self.slopes.len(), &mut self.logs);
        if group.n_seen == 0 {
            group.experts = vec![Expert::default(); self.shared.len()];
            group.slopes = vec![None; self.slopes.len()];
            if self.firsts.len() == MAX_FIRSTS {
                self.firsts.pop_front();
            }
            self.firsts.push_back(Atom { peak, weight: 1.0, hours, is_exceeded: false });
        } else {
            self.deviate(&mut group, peak.ln());
            self.settle(&mut group, answer, peak, hours);
        }
        self.remember(&mut group, peak, hours);
        if let Some(slot) = self.groups.get_mut(task.group) {
            *slot = group;
        }
    }

    /// Notes how far the experts were off, knowing all that had ended by now.
    fn deviate(&mut self, group: &mut Group, log: f64) {
        group.fit.locate(&group.history, &self.logs, &mut self.locations);
        let n = group.n_seen as usize - 1;
        for ((location, own), shared) in self.locations.iter().zip(&mut group.experts).zip(&mut self.shared) {
            let deviation = cut(log - location);
            shared.tails.learn(deviation, n, if n > 0 { tails::scale(own.absolute_sum, n) } else { 1.0 });
            own.absolute_sum += deviation.abs();
            if own.deviations.len() + 1 == experts::WINDOW {
                own.deviations.pop_front();
            }
            own.deviations.push_back(deviation);
        }
    }

    /// Charges the experts, and the request that was made, with what they cost.
    fn settle(&mut self, group: &mut Group, answer: &Answer, peak: f64, hours: f64) {
        let (price, used) = (self.price(), peak * hours);
        if let Some(allocation) = answer.allocation.filter(|_| answer.n_seen > 0) {
            self.waste += waste_of(allocation.request, peak, hours, self.params.killed_after).0;
            self.n_wasted += 1.0;
        }
        if answer.requests.is_empty() || used <= 0.0 {
            return;
        }
        group.costs_weight = group.costs_weight * FORGET + 1.0;
        self.costs_weight = self.costs_weight * FORGET_POOLED + 1.0;
        for ((request, own), shared) in answer.requests.iter().zip(&mut group.experts).zip(&mut self.shared) {
            let (waste, kills) = waste_of(*request, peak, hours, self.params.killed_after);
            let cost = ((waste + price * f64::from(kills)) / used).min(MAX_COST);
            own.costs = own.costs * FORGET + cost;
            shared.costs = shared.costs * FORGET_POOLED + cost;
        }
    }

    fn remember(&mut self, group: &mut Group, peak: f64, hours: f64) {
        group.n_seen = group.n_seen.saturating_add(1);
        group.highest = group.highest.max(peak);
        // Executions of no time at all would make all waste zero.
        group.log_hours += hours.max(1e-7).ln();
        group.history.push(peak.ln(), &self.logs);
        let usual: Vec<f64> = self.slopes.iter().map(|slopes| slopes.sum / (slopes.n + SLOPE_GROUPS)).collect();
        group.fit = group.history.fit(&usual);
        if (group.n_seen as usize) < SLOPE_FROM {
            return;
        }
        for ((slope, given), pool) in group.fit.own_slopes().zip(&mut group.slopes).zip(&mut self.slopes) {
            let Some(slope) = slope.map(|slope| slope.clamp(SLOPES.0, SLOPES.1)) else { continue };
            pool.n += if given.is_none() { 1.0 } else { 0.0 };
            pool.sum += slope - given.unwrap_or(0.0);
            *given = Some(slope);
        }
    }
}

/// What `request`, doubled after each kill, wastes on an execution in unit × hours, and how often it is killed.
pub(super) fn waste_of(request: f64, peak: f64, hours: f64, killed_after: f64) -> (f64, u32) {
    if request.is_nan() || request <= 0.0 {
        return (f64::INFINITY, 0);
    }
    let (mut request, mut waste, mut kills) = (request, 0.0, 0);
    while peak > request && kills < MAX_DOUBLINGS {
        waste += request * hours * killed_after;
        request *= 2.0;
        kills += 1;
    }
    (waste + (request - peak) * hours, kills)
}

fn cut(deviation: f64) -> f64 {
    deviation.clamp(-MAX_DEVIATION, MAX_DEVIATION)
}

/// Logarithms of the first `n` sizes; NaN where one is not positive or not there.
fn logs_of(sizes: &[f64], n: usize, out: &mut Vec<f64>) {
    let log = |size: f64| if size > 0.0 && size.is_finite() { size.ln() } else { f64::NAN };
    out.clear();
    out.extend((0..n).map(|at| log(sizes.get(at).copied().unwrap_or(f64::NAN))));
}
