//! `PROVIDER_SELECTION`: move work from one provider to a better one. Of all such moves the one that saves most is
//! proposed, whether the provider to leave does most of the work or a part of it.
//!
//! Better is the weighted gain in time and money, `w_time (1 − time ratio) + w_cost (1 − cost ratio)` with the ratios of the
//! published comparisons of like executions. A switch is proposed only if the gain stays above 0 with both ratios at the
//! bad end of their intervals, widened so that their error holds over all switches that could be proposed (Bonferroni): of
//! many equal providers one always looks better than another. Where money was not compared, time alone decides. The saving is replayed with every
//! step's durations on the old provider multiplied by the time ratio.

use super::Case;
use super::proposal::{Draft, Proposal, Terms, set, weights};
use super::switches::{Load, Switch, switches, weighted_gain};
use crate::compare::Dimension;
use crate::detect::bottlenecks::percent;
use crate::graph::{Ensemble, Saving, Scratch};

const TERMS: Terms = Terms {
    kind: "PROVIDER_SELECTION",
    category: "performance",
    feasibility: 0.7,
    effort: "medium",
    risk: "medium",
    probability: 0.6,
};

pub(super) fn propose(case: &Case<'_>, ensemble: &Ensemble, scratch: &mut Scratch) -> Vec<Proposal> {
    if !case.params.providers.enabled {
        return Vec::new();
    }
    draft(case, ensemble, scratch).into_iter().map(|draft| draft.propose(case)).collect()
}

fn draft(case: &Case<'_>, ensemble: &Ensemble, scratch: &mut Scratch) -> Option<Draft> {
    let load = Load::of(case, Dimension::Provider, ensemble.span_us().0);
    let (time, cost) = weights(case);
    let worth = |draft: &Draft| time * draft.saving.share + cost * draft.money.map_or(0.0, |money| money.share);
    let drafts = load.frequent().filter_map(|from| draft_from(case, &load, from, ensemble, scratch));
    drafts.max_by(|a, b| worth(a).total_cmp(&worth(b)))
}

fn draft_from(
    case: &Case<'_>,
    load: &Load<'_>,
    from: &str,
    ensemble: &Ensemble,
    scratch: &mut Scratch,
) -> Option<Draft> {
    let gain = |switch: &Switch<'_>| weighted_gain(case, switch, |ratio| ratio.value);
    let sure = switches(case, Dimension::Provider, from).into_iter().filter(|switch| switch.is_surely_better(case));
    let best = sure.max_by(|a, b| gain(a).total_cmp(&gain(b)).then(b.to.cmp(a.to)))?;
    let mut saving = |ratio: f64| ensemble.saving(&load.changes(from, ratio), scratch).ok();
    let (point, low, high) = (saving(best.time.value)?, saving(best.time.upper)?, saving(best.time.lower)?);
    let saving = point.between(low, high);
    let money = best.cost.and_then(|cost| load.money(from, cost, ensemble.n_runs()));
    let cheaper = money.is_some_and(|money| money.share > saving.share);
    Some(Draft {
        terms: Terms { category: if cheaper { "cost" } else { TERMS.category }, ..TERMS },
        target: "provider".to_owned(),
        title: title(from, &best, saving),
        saving,
        money,
        given_back: 0.0,
        changes: load.changes(from, best.time.value),
        actions: vec![set(&["provider"], from, best.to)],
        evidence: best.evidence,
    })
}

fn title(from: &str, best: &Switch<'_>, saving: Saving) -> String {
    let cost = best.cost.map_or_else(String::new, |cost| format!(" and costs {:.2} times as much", cost.value));
    format!(
        "Run on {} what runs on {from}: a like execution takes {:.2} times as long{cost}; a run takes {} less",
        best.to,
        best.time.value,
        percent(saving.published().share),
    )
}
