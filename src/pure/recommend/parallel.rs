//! `PARALLEL_PROCESSING`: let run side by side what needs nothing from each other, and give it the slots.

use super::proposal::{Draft, Proposal, Terms, set, short};
use super::{Bottleneck, Case};
use crate::detect::bottlenecks::percent;
use crate::detect::bottlenecks::sequential::{Turns, turns};
use crate::graph::{Change, Ensemble, Saving, Scratch};

/// The fewest slots are proposed that come this near to the most that may be asked for.
const NEARLY_ALL: f64 = 0.98;

const SIDE_BY_SIDE: Terms = Terms {
    kind: "PARALLEL_PROCESSING",
    category: "parallelization",
    feasibility: 0.6,
    effort: "medium",
    risk: "medium",
    probability: 0.6,
};
const MORE_SLOTS: Terms =
    Terms { category: "scalability", feasibility: 0.7, effort: "low", probability: 0.7, ..SIDE_BY_SIDE };

pub(super) fn propose(case: &Case<'_>, ensemble: &Ensemble, scratch: &mut Scratch) -> Vec<Proposal> {
    let config = &case.params.parallel;
    if !config.enabled {
        return Vec::new();
    }
    let mut drafts = Vec::new();
    if config.dependency_analysis && config.max_concurrency > 1 {
        drafts.extend(side_by_side(case, ensemble, scratch));
    }
    drafts.extend(more_slots(case, ensemble, scratch));
    drafts.into_iter().map(|draft| draft.propose(case)).collect()
}

fn side_by_side(case: &Case<'_>, ensemble: &Ensemble, scratch: &mut Scratch) -> Vec<Draft> {
    let found = |kind: &str| case.bottlenecks.iter().filter(move |found| found.kind == kind).collect::<Vec<_>>();
    let bottlenecks = found("sequential_dependency");
    if bottlenecks.is_empty() {
        return Vec::new();
    }
    let draft = |pair: Turns| {
        let bottleneck = bottlenecks.iter().find(|found| found.step.as_deref() == Some(&pair.second))?;
        let changes = vec![pair.cure()];
        let saving = ensemble.saving(&changes, scratch).ok()?;
        Some(start_together(bottleneck, &pair, changes, saving))
    };
    turns(ensemble, case.params.replay.min_runs).into_iter().filter_map(draft).collect()
}

fn start_together(bottleneck: &Bottleneck, pair: &Turns, changes: Vec<Change>, saving: Saving) -> Draft {
    let Turns { first, second } = pair;
    Draft {
        terms: SIDE_BY_SIDE,
        target: second.clone(),
        title: format!(
            "Start {} without waiting for {}: neither depends on the other, and a slot is free",
            short(second),
            short(first)
        ),
        saving,
        money: None,
        given_back: 0.0,
        changes,
        actions: vec![set(&["steps", second, "wait_for", first], true, false)],
        evidence: vec![format!("bottlenecks:{}", bottleneck.bottleneck_id)],
    }
}

fn more_slots(case: &Case<'_>, ensemble: &Ensemble, scratch: &mut Scratch) -> Option<Draft> {
    let bottleneck =
        case.bottlenecks.iter().find(|found| found.kind == "resource_exhaustion" && found.step.is_none())?;
    let (now, most) = (ensemble.observed_slots()?, case.params.parallel.max_concurrency);
    if most <= now {
        return None;
    }
    let mut saving = |slots| ensemble.saving(&[Change::Slots(Some(slots))], scratch).ok();
    let best = saving(most)?;
    let enough = |found: &Saving| found.share >= NEARLY_ALL * best.share;
    let (to, saving) = (now + 1..=most).find_map(|slots| Some((slots, saving(slots).filter(enough)?)))?;
    Some(Draft {
        terms: MORE_SLOTS,
        target: "max_concurrency".to_owned(),
        title: format!("Let {to} steps run at once instead of {now}: a run takes {} less", percent(saving.share)),
        saving,
        money: None,
        given_back: 0.0,
        changes: vec![Change::Slots(Some(to))],
        actions: vec![set(&["max_concurrency"], now, to)],
        evidence: vec![format!("bottlenecks:{}", bottleneck.bottleneck_id)],
    })
}
