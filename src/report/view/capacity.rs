//! When capacity runs short.

use super::Part;
use crate::report::format;
use crate::report::load::Published;
use crate::tables::published::{CapacityPlanRow, Instant};
use chrono_tz::Tz;
use std::collections::BTreeMap;

/// What is needed, and whether it is there.
#[derive(Debug, Clone, PartialEq)]
pub struct Capacity {
    /// One a resource, provider and growth: those that run short first come first.
    pub needs: Vec<Need>,
    /// Days that are looked ahead, and how many capacities run short, if any is known.
    pub sentence: String,
}

/// The demand of one resource.
#[derive(Debug, Clone, PartialEq)]
pub struct Need {
    /// What is needed.
    pub resource: String,
    /// Whose; none for all together.
    pub provider: Option<String>,
    /// For how much growth; none for what is forecast.
    pub growth: Option<String>,
    /// Demand of the day that needs most: its median.
    pub median: String,
    /// What suffices with a probability of 95 %.
    pub most: String,
    /// How much there is.
    pub capacity: String,
    /// The first day that is as likely short as not.
    pub exhausted: String,
    /// From the earliest to the latest such day, with the level; "later" where even the earliest is not in sight, with the
    /// probability of that one tail; none where there is no limit.
    pub interval: Option<String>,
    /// The largest probability of a shortage on one day.
    pub probability: String,
}

type Key<'a> = (&'a str, Option<&'a str>, u64);

pub(super) fn capacity(published: &Published) -> Part<Capacity> {
    let Some(rows) = &published.capacity_plan else { return Part::missing("capacity_plan") };
    let mut plans: BTreeMap<Key<'_>, Vec<&CapacityPlanRow>> = BTreeMap::new();
    for row in rows {
        // Factors are above 0, where the order of bits is that of the numbers.
        plans.entry((&row.resource, row.provider.as_deref(), row.growth.to_bits())).or_default().push(row);
    }
    if plans.is_empty() {
        return Part::Nothing("There is not enough history to plan capacity.".to_owned());
    }
    let mut plans: Vec<Vec<&CapacityPlanRow>> = plans.into_values().collect();
    for days in &mut plans {
        days.sort_by_key(|row| row.horizon);
    }
    let exhausted = |days: &[&CapacityPlanRow]| days.first().and_then(|row| row.exhausted_on).map(|at| at.0);
    let is_unlimited = |days: &[&CapacityPlanRow]| days.first().is_none_or(|row| row.capacity.is_none());
    plans.sort_by_key(|days| (exhausted(days).unwrap_or(i64::MAX), is_unlimited(days)));
    let n_days = plans.iter().map(Vec::len).max().unwrap_or(0);
    let n_short = plans.iter().filter(|days| exhausted(days).is_some()).count();
    let is_limited = rows.iter().any(|row| row.capacity.is_some());
    let short = format::plural(n_short, "capacity runs short", "capacities run short");
    let sentence = match (is_limited, n_short) {
        (false, _) => format!("No limit is configured: this is what the next {n_days} days need."),
        (true, 0) => format!("In the next {n_days} days no capacity is more likely short than not."),
        (true, _) => format!("In the next {n_days} days {short}."),
    };
    Part::Shown(Capacity { needs: plans.iter().filter_map(|days| need(days)).collect(), sentence })
}

fn need(days: &[&CapacityPlanRow]) -> Option<Need> {
    let last = days.last()?;
    let busiest = days.iter().max_by(|a, b| a.demand_p50.total_cmp(&b.demand_p50))?;
    let CapacityPlanRow { resource, provider, unit, growth, level, capacity, .. } = last;
    let amount = |value: f64| format::value(value, unit);
    let day =
        |at: Option<Instant>, otherwise: &str| at.map_or_else(|| otherwise.to_owned(), |at| format::day(at.0, Tz::UTC));
    let worst = days.iter().filter_map(|row| row.shortage_probability).reduce(f64::max);
    let interval = || {
        if last.exhausted_lower.is_none() {
            return format!("later, {}", format::level(0.5 + 0.5 * level));
        }
        let (from, to) = (day(last.exhausted_lower, "–"), day(last.exhausted_upper, "later or never"));
        format!("{from} to {to}, {}", format::level(*level))
    };
    Some(Need {
        resource: format::words(resource),
        provider: provider.as_deref().map(format::name),
        growth: ((*growth - 1.0).abs() > f64::EPSILON).then(|| format!("×{}", format::significant(*growth, 3))),
        median: amount(busiest.demand_p50),
        most: amount(busiest.demand_p95),
        capacity: capacity.map_or_else(|| "–".to_owned(), amount),
        exhausted: if capacity.is_some() { day(last.exhausted_on, "not in sight") } else { "–".to_owned() },
        interval: capacity.is_some().then(interval),
        probability: worst.map_or_else(|| "–".to_owned(), format::percent),
    })
}
