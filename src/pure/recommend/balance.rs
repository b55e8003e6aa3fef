//! `LOAD_BALANCING`: give a slow worker less to do. Workers are the platforms of the published comparisons.
//!
//! A worker is slow if like executions surely take longer there than elsewhere: with the bad ends of all intervals together,
//! as when a provider is chosen, and with what it costs weighed in. It gets less if it does more than its speed entitles it
//! to beside the faster ones (a queue that all workers pull from gives each what it is entitled to by itself, and is left
//! alone): the present shares are multiplied by the speeds, but the slow one keeps what it is entitled to. Shares stand for
//! capacity that no record tells: one that does little now gets little more. Only steps count that run on both sides. The saving
//! is replayed with the durations of these steps on the new mixture.

use super::Case;
use super::proposal::{Draft, MIN_SHARE, Proposal, Terms, set};
use super::switches::{Load, Ratio, Switch, switches};
use crate::compare::Dimension;
use crate::detect::bottlenecks::percent;
use crate::graph::{Ensemble, Saving, Scratch};
use crate::stats::dist::wilson;

/// The slow worker's present share surely lies above what it is entitled to.
const SHARE_LEVEL: f64 = 0.9;

const TERMS: Terms = Terms {
    kind: "LOAD_BALANCING",
    category: "performance",
    feasibility: 0.7,
    effort: "low",
    risk: "low",
    probability: 0.6,
};

pub(super) fn propose(case: &Case<'_>, ensemble: &Ensemble, scratch: &mut Scratch) -> Vec<Proposal> {
    if !case.params.load_balancing.enabled {
        return Vec::new();
    }
    let load = Load::of(case, Dimension::Platform, ensemble.span_us().0);
    let drafts = load.frequent().filter_map(|slow| draft(case, &load, slow, ensemble, scratch));
    let best = drafts.max_by(|a, b| a.saving.share.total_cmp(&b.saving.share));
    best.into_iter().map(|draft| draft.propose(case)).collect()
}

fn draft(case: &Case<'_>, load: &Load<'_>, slow: &str, ensemble: &Ensemble, scratch: &mut Scratch) -> Option<Draft> {
    let faster = switches(case, Dimension::Platform, slow).into_iter();
    let faster: Vec<Switch<'_>> = faster.filter(|to| to.time.surely < 1.0 && to.is_surely_better(case)).collect();
    let runs_both = |load: &Load<'_>, step: &str| {
        load.of_step_at(step, slow).n > 0 && faster.iter().any(|to| load.of_step_at(step, to.to).n > 0)
    };
    let load = load.of_steps(runs_both);
    let mixture = Mixture::of(&load, slow, &faster)?;
    let time = mixture.ratio(|switch| Some(switch.time))?;
    let mut saving = |ratio: f64| ensemble.saving(&load.changes(slow, ratio), scratch).ok();
    let saving = saving(time.value)?.between(saving(time.upper)?, saving(time.lower)?);
    if saving.share < MIN_SHARE || saving.share_lower <= 0.0 {
        return None;
    }
    let money = mixture.ratio(|switch| switch.cost).and_then(|cost| load.money(slow, cost, ensemble.n_runs()));
    Some(Draft {
        terms: TERMS,
        target: "platform_weights".to_owned(),
        title: mixture.title(saving),
        saving,
        money,
        given_back: 0.0,
        changes: load.changes(slow, time.value),
        actions: mixture.weights().map(|(name, from, to)| set(&["platform_weights", name], from, to)).collect(),
        evidence: faster.iter().flat_map(|switch| switch.evidence.iter().cloned()).collect(),
    })
}

/// Shares of executions, now and as proposed.
struct Mixture<'a> {
    slow: &'a str,
    /// Of the slow one, now and then.
    shares: (f64, f64),
    faster: &'a [Switch<'a>],
    /// Of the faster ones, now and then.
    faster_shares: Vec<(f64, f64)>,
}

impl<'a> Mixture<'a> {
    fn of(load: &Load<'_>, slow: &'a str, faster: &'a [Switch<'a>]) -> Option<Self> {
        let all = load.n() as f64;
        let n_of = |name: &str| load.at(name).n as f64;
        let (n_slow, n_faster) = (n_of(slow), faster.iter().map(|to| n_of(to.to)).sum::<f64>());
        let n = n_slow + n_faster;
        let entitled = |at: fn(&Ratio) -> f64| 1.0 / (1.0 + faster.iter().map(|to| 1.0 / at(&to.time)).sum::<f64>());
        let (least, _) = wilson(n_slow, n, SHARE_LEVEL);
        if n_faster <= 0.0 || least <= entitled(|ratio| ratio.surely) {
            return None;
        }
        let sped: Vec<f64> = faster.iter().map(|to| n_of(to.to) / to.time.value).collect();
        let sum_sped: f64 = sped.iter().sum();
        let kept = (n_slow / (n_slow + sum_sped)).max(entitled(|ratio| ratio.value));
        let moved = (n_slow - kept * n) / all;
        let share = |(to, sped): (&Switch<'_>, &f64)| {
            let now = n_of(to.to) / all;
            (now, now + moved * sped / sum_sped)
        };
        let faster_shares = faster.iter().zip(&sped).map(share).collect();
        (moved > 0.0).then_some(Self { slow, shares: (n_slow / all, n_slow / all - moved), faster, faster_shares })
    }

    /// What the executions that the slow one does now will take (or cost) of what they do; none where one is unknown.
    fn ratio(&self, of: impl Fn(&Switch<'_>) -> Option<Ratio>) -> Option<Ratio> {
        let (now, then) = self.shares;
        let kept = then / now;
        let ratios = self.faster.iter().map(of).collect::<Option<Vec<Ratio>>>()?;
        let mix = |at: fn(&Ratio) -> f64| {
            let gains = self.faster_shares.iter().map(|(now, then)| then - now);
            let there: f64 = gains.zip(&ratios).map(|(gain, ratio)| gain / (now - then) * at(ratio)).sum();
            kept + (1.0 - kept) * there
        };
        Some(Ratio {
            value: mix(|ratio| ratio.value),
            lower: mix(|ratio| ratio.lower),
            upper: mix(|ratio| ratio.upper),
            surely: mix(|ratio| ratio.surely),
        })
    }

    /// Worker, present share, proposed share.
    fn weights(&self) -> impl Iterator<Item = (&str, f64, f64)> {
        let faster = self.faster.iter().zip(&self.faster_shares).map(|(to, (now, then))| (to.to, *now, *then));
        let digits = |share: f64| (share * 1e3).round() / 1e3;
        let all = std::iter::once((self.slow, self.shares.0, self.shares.1)).chain(faster);
        all.map(move |(name, now, then)| (name, digits(now), digits(then)))
    }

    fn title(&self, saving: Saving) -> String {
        let longer: Vec<String> =
            self.faster.iter().map(|to| format!("{:.2} times as long as on {}", 1.0 / to.time.value, to.to)).collect();
        format!(
            "Send {} of the executions to {} instead of {}: a like one takes {} there; a run takes {} less",
            percent(self.shares.1),
            self.slow,
            percent(self.shares.0),
            longer.join(", "),
            percent(saving.published().share),
        )
    }
}
