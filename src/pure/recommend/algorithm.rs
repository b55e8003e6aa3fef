//! `ALGORITHM_OPTIMIZATION`: undo a slowdown, or make a step grow linearly. The actions say what is to be reached; how is
//! an engineer's work.

use super::proposal::{Draft, MIN_SHARE, Proposal, Terms, set, short};
use super::{Bottleneck, Case};
use crate::detect::bottlenecks::algorithm::superlinear;
use crate::detect::bottlenecks::duration_text;
use crate::detect::bottlenecks::slow_step::slowdown;
use crate::graph::{Ensemble, Scratch};
use crate::series::Metric;

const UNDO: Terms = Terms {
    kind: "ALGORITHM_OPTIMIZATION",
    category: "performance",
    feasibility: 0.6,
    effort: "medium",
    risk: "low",
    probability: 0.5,
};
const LINEAR: Terms =
    Terms { category: "best_practices", feasibility: 0.4, effort: "high", risk: "medium", probability: 0.4, ..UNDO };

pub(super) fn propose(case: &Case<'_>, ensemble: &Ensemble, scratch: &mut Scratch) -> Vec<Proposal> {
    let draft = |found: &&Bottleneck| match found.kind {
        "slow_step" => undo(case, ensemble, found, scratch),
        "inefficient_algorithm" => linear(case, ensemble, found, scratch),
        _ => None,
    };
    let drafts = case.bottlenecks.iter().filter_map(draft);
    drafts.filter(|draft| draft.saving.share >= MIN_SHARE).map(|draft| draft.propose(case)).collect()
}

fn undo(case: &Case<'_>, ensemble: &Ensemble, found: &Bottleneck, scratch: &mut Scratch) -> Option<Draft> {
    let step = found.step.as_deref()?;
    let analysis = case.history.analysis(Some(step), Metric::ExecutionTime)?;
    let slow = slowdown(case.history.steps.get(step)?, analysis, case.params.percentile)?;
    let changes = vec![slow.cure(step)];
    Some(Draft {
        terms: UNDO,
        target: step.to_owned(),
        title: format!(
            "Bring {} back from {} to {}",
            slow.percentile.of_text(&short(step)),
            duration_text(slow.after_ms),
            duration_text(slow.before_ms)
        ),
        saving: ensemble.saving_since(slow.since_us, &changes, scratch).ok()?,
        money: None,
        given_back: 0.0,
        changes,
        actions: vec![set(&["steps", step, "target", &slow.percentile.target()], slow.after_ms, slow.before_ms)],
        evidence: evidence(found),
    })
}

fn linear(case: &Case<'_>, ensemble: &Ensemble, found: &Bottleneck, scratch: &mut Scratch) -> Option<Draft> {
    let step = found.step.as_deref()?;
    let law = superlinear(case.history.steps.get(step)?, 0)?;
    let changes = vec![law.cure(step)];
    Some(Draft {
        terms: LINEAR,
        target: step.to_owned(),
        title: format!(
            "Make {} grow linearly with its input; it grows to the power {:.2}",
            short(step),
            law.exponent.value
        ),
        saving: ensemble.saving(&changes, scratch).ok()?,
        money: None,
        given_back: 0.0,
        changes,
        actions: vec![set(&["steps", step, "target", "size_exponent"], law.exponent.value, 1.0)],
        evidence: evidence(found),
    })
}

fn evidence(found: &Bottleneck) -> Vec<String> {
    [format!("bottlenecks:{}", found.bottleneck_id)].into_iter().chain(found.evidence.iter().cloned()).collect()
}
