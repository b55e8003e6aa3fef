//! What was used day by day, on a grid without holes.

use super::{Demanded, Resource};
use crate::stats::robust::median;
use crate::units::DAY_US;
use crate::usage::{DayUsage, Held, Load, Spent, Total};
use std::collections::BTreeMap;

const HOURS_A_DAY: usize = 24;
/// Of what is held, so large a share of executions must tell how much, and from when to when: what the others hold is
/// not there to be seen.
const MIN_KNOWN: f64 = 0.9;

/// The days that are known.
pub(super) struct Past<'a> {
    /// Start of the first day.
    pub(super) start_us: i64,
    /// (n_days,) Runs that started.
    pub(super) runs: Vec<f64>,
    /// (n_days,) None where there were no runs.
    days: Vec<Option<&'a DayUsage>>,
}

/// (n_days,) What is held on each day.
#[derive(Debug, Default)]
pub(super) struct Loads {
    /// Mean over the day.
    pub(super) means: Vec<f64>,
    /// The most at once.
    pub(super) peaks: Vec<f64>,
    /// Load of the busiest hour of the day over that of a mean one, at least 1.
    pub(super) busiest: f64,
}

impl<'a> Past<'a> {
    /// None without a day that had runs.
    pub(super) fn of(usage: &'a [DayUsage]) -> Option<Self> {
        let with_runs = || usage.iter().filter(|day| day.n_runs > 0);
        let start_us = with_runs().map(|day| day.start_us).min()?;
        let last_us = usage.iter().map(|day| day.start_us).max()?;
        let position = |at_us: i64| usize::try_from((at_us - start_us).div_euclid(DAY_US)).ok();
        let mut days = vec![None; position(last_us)? + 1];
        for day in with_runs() {
            if let Some(slot) = position(day.start_us).and_then(|position| days.get_mut(position)) {
                *slot = Some(day);
            }
        }
        let runs = days.iter().map(|day| day.map_or(0.0, |day: &DayUsage| f64::from(day.n_runs))).collect();
        Some(Self { start_us, runs, days })
    }

    /// End of the last day.
    pub(super) fn end_us(&self) -> i64 {
        self.start_us.saturating_add(DAY_US.saturating_mul(i64::try_from(self.days.len()).unwrap_or(i64::MAX)))
    }

    fn known(&self) -> impl Iterator<Item = &'a DayUsage> {
        self.days.iter().flatten().copied()
    }

    /// Why it can't be planned; none where enough is recorded of it.
    pub(super) fn unrecorded(&self, demanded: &Demanded) -> Option<String> {
        match demanded.0 {
            Resource::Runs => None,
            Resource::Spent(_) => {
                let is_spent = self.totals(demanded).iter().any(|total| total.sum > 0.0);
                (!is_spent).then(|| "no run records any".to_owned())
            }
            Resource::Held(held) => {
                let loads = self.known().map(|day| load_of(day, held).n);
                let (all, known) = loads.fold((0, 0), |(all, known), n| (all + u64::from(n.0), known + u64::from(n.1)));
                let is_known = known > 0 && known as f64 >= MIN_KNOWN * all as f64;
                let needed = 100.0 * MIN_KNOWN;
                (!is_known).then(|| format!("{known} of {all} executions tell how much and when, {needed} % needed"))
            }
        }
    }

    /// Those whose API is called, the most called first.
    pub(super) fn providers(&self) -> Vec<&'a str> {
        let mut calls: BTreeMap<&str, f64> = BTreeMap::new();
        for (provider, total) in self.known().flat_map(|day| &day.calls) {
            *calls.entry(provider).or_default() += total.sum;
        }
        let mut providers: Vec<(&str, f64)> = calls.into_iter().filter(|(_, calls)| *calls > 0.0).collect();
        providers.sort_by(|a, b| b.1.total_cmp(&a.1).then_with(|| a.0.cmp(b.0)));
        providers.into_iter().map(|(provider, _)| provider).collect()
    }

    /// (n_days,) What all runs of a day spent.
    pub(super) fn totals(&self, (resource, provider): &Demanded) -> Vec<Total> {
        let of = |day: &DayUsage| match (resource, provider) {
            (_, Some(provider)) => day.calls.get(provider).copied(),
            (Resource::Spent(spent), None) => {
                Spent::ALL.iter().position(|one| one == spent).and_then(|at| day.spent.get(at).copied())
            }
            (Resource::Runs | Resource::Held(_), None) => None,
        };
        self.days.iter().map(|day| day.and_then(of).unwrap_or_default()).collect()
    }

    /// (n_days,) What a run of each day spent in the mean; NaN on days without runs and before the first day that
    /// records any.
    pub(super) fn needs(&self, totals: &[Total]) -> Vec<f64> {
        let first = totals.iter().position(|total| total.n_runs > 0).unwrap_or(totals.len());
        let need = |(day, (total, &runs)): (usize, (&Total, &f64))| {
            if day >= first && runs > 0.0 { total.sum / runs } else { f64::NAN }
        };
        totals.iter().zip(&self.runs).enumerate().map(need).collect()
    }

    /// How much runs of one day differ in what they spend: their variance over their squared mean, of the median day.
    pub(super) fn cv_sq(&self, totals: &[Total]) -> f64 {
        let of_day = |(total, &runs): (&Total, &f64)| {
            let mean_sq = (total.sum / runs).powi(2);
            Some((total.sum_sq / runs / mean_sq - 1.0).max(0.0)).filter(|cv_sq| cv_sq.is_finite())
        };
        let mut days: Vec<f64> = totals.iter().zip(&self.runs).filter_map(of_day).collect();
        if days.is_empty() { 0.0 } else { median(&mut days) }
    }

    /// What is held on each day, what still goes on from the days before included.
    pub(super) fn loads(&self, held: Held) -> Loads {
        let mut hours = vec![0.0; self.days.len() * HOURS_A_DAY];
        let mut peaks = vec![0.0; hours.len()];
        for (position, day) in self.days.iter().enumerate() {
            let Some(load) = day.map(|day| load_of(day, held)) else { continue };
            let from = position * HOURS_A_DAY;
            // A day's own most at once comes on top of what the days before have left in its hours.
            let own = load.peaks.iter().chain(std::iter::repeat(&0.0));
            for (hour, (mean, own_peak)) in load.hours.iter().zip(own).enumerate() {
                let own_peak = if hour < HOURS_A_DAY { *own_peak } else { *mean };
                if let (Some(hours), Some(peak)) = (hours.get_mut(from + hour), peaks.get_mut(from + hour)) {
                    *hours += f64::from(*mean);
                    *peak += f64::from(own_peak);
                }
            }
        }
        let means: Vec<f64> =
            hours.chunks(HOURS_A_DAY).map(|day| day.iter().sum::<f64>() / HOURS_A_DAY as f64).collect();
        let by_hour = |hour: usize| hours.iter().skip(hour).step_by(HOURS_A_DAY).sum::<f64>();
        let busiest = (0..HOURS_A_DAY).map(by_hour).fold(0.0, f64::max);
        let mean = hours.iter().sum::<f64>() / HOURS_A_DAY as f64;
        Loads {
            means,
            peaks: peaks.chunks(HOURS_A_DAY).map(|day| day.iter().copied().fold(0.0, f64::max)).collect(),
            busiest: if mean > 0.0 { busiest / mean } else { 1.0 },
        }
    }
}

fn load_of(day: &DayUsage, held: Held) -> &Load {
    let [runs, slots, cpu_cores, memory_mb] = &day.held;
    match held {
        Held::Runs => runs,
        Held::Slots => slots,
        Held::CpuCores => cpu_cores,
        Held::MemoryMb => memory_mb,
    }
}
