//! `performance_optimization.capacity`: how much there is, and what if more were asked for.

use super::document::{Entry, Node, Value};
use super::section::{Section, as_number, nearest_or};
use paceline_pure::forecast::capacity::{Demanded, Resource};
use paceline_pure::usage::{Held, Spent};
use serde::Serialize;
use std::collections::BTreeMap;

/// Stands for all providers together.
const ALL_PROVIDERS: &str = "*";
/// What a limit looks like, for messages.
const EXPECTED: &str = "a number above 0";
const CALLS: Resource = Resource::Spent(Spent::ApiCalls);
const MEMORY: Resource = Resource::Held(Held::MemoryMb);

/// How much there is, and what if more were asked for.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Capacity {
    /// By the resource's name and provider, in the resource's unit: a day of what is spent, at once of what is held.
    pub limits: Vec<Limit>,
    /// Demand is planned for so many times the runs that are forecast.
    pub growth: Vec<f64>,
}

/// How much there is of one resource.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Limit {
    /// Its name.
    pub resource: &'static str,
    /// Whose; none for all together.
    pub provider: Option<String>,
    /// In the resource's unit.
    pub amount: f64,
}

impl Capacity {
    pub(super) fn read(section: &mut Section<'_>) -> Self {
        let limits = read_limits(section);
        let mut growth = section.items("growth", &[1.0], "factors above 0", |node| {
            as_number(node)
                .filter(is_amount)
                .ok_or_else(|| "write such numbers: 1.5 is half as many runs more".to_owned())
        });
        growth.sort_by(f64::total_cmp);
        Self { limits, growth }
    }

    /// The limits by what they limit.
    #[must_use]
    pub fn by_demand(&self) -> BTreeMap<Demanded, f64> {
        let of = |limit: &Limit| {
            let resource = Resource::ALL.into_iter().find(|resource| resource.as_str() == limit.resource)?;
            Some(((resource, limit.provider.clone()), limit.amount))
        };
        self.limits.iter().filter_map(of).collect()
    }
}

fn is_amount(number: &f64) -> bool {
    *number > 0.0 && number.is_finite()
}

fn read_limits(section: &mut Section<'_>) -> Vec<Limit> {
    let mut limits = Vec::new();
    for Entry { key, node, .. } in section.entries_of("limits") {
        let Some(resource) = Resource::ALL.into_iter().find(|resource| resource.as_str() == key) else {
            let known = Resource::ALL.map(Resource::as_str);
            let advice = nearest_or(key, known, &format!("known are {}", known.join(", ")));
            section.refuse("limits", format!("{key:?}"), "the name of a resource", &advice);
            continue;
        };
        let limit = |provider: Option<&str>, amount| Limit {
            resource: resource.as_str(),
            provider: provider.filter(|name| *name != ALL_PROVIDERS).map(str::to_owned),
            amount,
        };
        match (&node.value, amount(resource, node)) {
            (Value::Null, _) => {}
            (_, Some(amount)) => limits.push(limit(None, amount)),
            (Value::Map(providers), None) if resource == CALLS => {
                for of_provider in providers {
                    match amount(resource, &of_provider.node) {
                        Some(amount) => limits.push(limit(Some(&of_provider.key), amount)),
                        None => refuse(section, &format!("{key} of {}", of_provider.key), &of_provider.node),
                    }
                }
            }
            (_, None) => refuse(section, key, node),
        }
    }
    limits
}

fn refuse(section: &Section<'_>, what: &str, node: &Node) {
    let found = format!("{node} for {what}");
    section.refuse("limits", found, EXPECTED, "write such a number; api_calls may have one for each provider");
}

/// Memory may be a size, too.
fn amount(resource: Resource, node: &Node) -> Option<f64> {
    if let (MEMORY, Value::Text(text)) = (resource, &node.value) {
        return super::optimization::parse_megabytes(text).ok();
    }
    as_number(node).filter(is_amount)
}
