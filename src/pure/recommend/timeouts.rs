//! `RESOURCE_ALLOCATION`, best practices: give up what hangs.
//!
//! Where at least three executions of a step lasted for more than twice as long as the longest of at least fifty that
//! succeeded, and then failed or were cancelled, a timeout is proposed at that length: no success came near to it. A larger
//! input may take longer than any success did: where durations grow with input size, the longest success is grown in the
//! same way to the largest input that was seen, among those that hung too. Executions that still run may yet end well, and those
//! that ended at their memory limit did not hang: neither counts.
//!
//! The time saved is that of runs that succeeded after a try that hung; money is what hanging executions of all runs cost
//! beyond the timeout, for each run that succeeds. Where no prices are known, the share of all time that runs take stands
//! for it in the ranking.

use super::Case;
use super::failed_runs::Recent;
use super::money::{Amounts, Money, usd_text};
use super::proposal::{Draft, Proposal, Terms, set, short};
use crate::detect::bottlenecks::history::Executions;
use crate::detect::bottlenecks::statistics::{median, robust_slope};
use crate::detect::bottlenecks::{duration_text, percent};
use crate::graph::{Change, Saving, Scratch};
use crate::samples::{NEAR_LIMIT, Samples};
use crate::series::Metric;

/// A maximum of fewer says little of what may come.
const MIN_SUCCESSES: usize = 50;
/// Fewer may have been held up by something that does not come again.
const MIN_HUNG: usize = 3;
/// The timeout, as a multiple of the longest success.
const MARGIN: f64 = 2.0;
/// Sizes count where so many successes know them.
const KNOWN_SIZES: f64 = 0.9;
const SLOPE_LEVEL: f64 = 0.95;
/// Executions that all end within this of their median were ended by a limit that stands already.
const SAME_LENGTH: f64 = 0.02;

const TERMS: Terms = Terms {
    kind: "RESOURCE_ALLOCATION",
    category: "best_practices",
    feasibility: 0.9,
    effort: "low",
    risk: "medium",
    probability: 0.7,
};

pub(super) fn propose(case: &Case<'_>) -> Vec<Proposal> {
    let Some(recent) = Recent::of(case).filter(|_| case.params.resources.enabled) else { return Vec::new() };
    let mut scratch = Scratch::default();
    let drafts = case.history.steps.iter().filter_map(|(step, executions)| {
        let hung = Hung::of(executions)?;
        Some(draft(case, &recent, step, &hung, &mut scratch))
    });
    drafts.map(|draft| draft.propose(case)).collect()
}

/// Executions of a step that hung.
struct Hung<'a> {
    timeout_ms: f64,
    longest_success_ms: f64,
    n_successes: usize,
    samples: &'a Samples,
    /// Rows of `samples`.
    rows: Vec<usize>,
}

impl<'a> Hung<'a> {
    fn of(executions: &Executions<'a>) -> Option<Self> {
        let samples = executions.samples.unfinished.as_deref()?;
        let died: Vec<usize> =
            executions.unfinished.iter().map(|row| *row as usize).filter(|row| may_have_hung(samples, *row)).collect();
        let ms: Vec<f64> = executions.measured().map(|row| executions.duration_ms(row)).collect();
        if died.len() < MIN_HUNG || ms.len() < MIN_SUCCESSES {
            return None;
        }
        let longest_success_ms = ms.iter().copied().fold(0.0, f64::max);
        let timeout_ms = rounded_up(MARGIN * longest_success_ms * growth(executions, &ms, samples, &died));
        let rows: Vec<usize> = died.into_iter().filter(|row| at(&samples.duration_ms, *row) > timeout_ms).collect();
        let hung = Self { timeout_ms, longest_success_ms, n_successes: ms.len(), samples, rows };
        (hung.rows.len() >= MIN_HUNG && timeout_ms.is_finite()).then_some(hung)
    }

    fn ms(&self, row: usize) -> f64 {
        at(&self.samples.duration_ms, row)
    }

    /// The limit that seems to stand already.
    fn present_ms(&self) -> Option<f64> {
        let mut all: Vec<f64> = self.rows.iter().map(|row| self.ms(*row)).collect();
        let middle = median(&mut all);
        all.iter().all(|ms| (ms / middle - 1.0).abs() <= SAME_LENGTH).then_some(middle)
    }

    /// Those that started since then.
    fn since(&self, since_us: i64) -> impl Iterator<Item = usize> {
        let start = |row: &usize| self.samples.started_us.get(*row).copied().unwrap_or(i64::MIN);
        self.rows.iter().copied().filter(move |row| start(row) >= since_us)
    }
}

fn at(column: &[f64], row: usize) -> f64 {
    column.get(row).copied().unwrap_or(f64::NAN)
}

fn may_have_hung(samples: &Samples, row: usize) -> bool {
    let is_running = samples.is_running.get(row).copied().unwrap_or(false);
    let at_limit = at(&samples.memory_mb, row) >= NEAR_LIMIT * at(&samples.memory_request_mb, row);
    !is_running && !at_limit && at(&samples.duration_ms, row).is_finite()
}

/// How much longer than the longest success the largest input that was seen may take; 1 where durations do not surely grow
/// with sizes. `ms`: durations of the successes.
fn growth(executions: &Executions<'_>, ms: &[f64], died: &Samples, rows: &[usize]) -> f64 {
    let size = |row: u32| executions.get(&executions.samples.input_bytes, row);
    let sized: Vec<(f64, f64)> = executions
        .measured()
        .map(|row| (size(row).ln(), executions.duration_ms(row).ln()))
        .filter(|(size, _)| size.is_finite())
        .collect();
    let (x, y): (Vec<f64>, Vec<f64>) = sized.into_iter().unzip();
    let known = x.len() as f64 >= KNOWN_SIZES * ms.len() as f64;
    let Some(slope) = robust_slope(&x, &y, SLOPE_LEVEL).filter(|slope| known && slope.lower > 0.0) else { return 1.0 };
    let largest = x.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let largest_died = rows.iter().map(|row| at(&died.input_bytes, *row).ln()).filter(|size| size.is_finite());
    (slope.upper * (largest_died.fold(largest, f64::max) - largest)).exp()
}

/// The next number with two digits.
fn rounded_up(ms: f64) -> f64 {
    let unit = 10.0_f64.powf((ms.log10() - 1.0).floor());
    if unit > 0.0 && unit.is_finite() { (ms / unit - 1e-9).ceil() * unit } else { ms }
}

fn draft(case: &Case<'_>, recent: &Recent, step: &str, hung: &Hung<'_>, scratch: &mut Scratch) -> Draft {
    let changes = vec![Change::Timeout { step: step.into(), ms: hung.timeout_ms }];
    let replayed = case.ensemble.and_then(|ensemble| ensemble.saving(&changes, scratch).ok());
    let beyond_ms: f64 = hung.since(recent.since_us).map(|row| hung.ms(row) - hung.timeout_ms).sum();
    let share_of_time = beyond_ms / recent.all.ms.sum;
    let money = money(case, recent, hung);
    let evidence = |metric| case.history.evidence(Some(step), metric);
    let shown = [Metric::ExecutionTime, Metric::ErrorRate];
    Draft {
        terms: TERMS,
        target: format!("{step}.timeout_ms"),
        title: title(step, hung, replayed, money),
        saving: replayed.unwrap_or(Saving::none(case.params.replay.level)),
        money,
        given_back: if share_of_time.is_finite() { share_of_time.min(1.0) } else { 0.0 },
        changes: if replayed.is_some() { changes } else { Vec::new() },
        actions: vec![set(&["steps", step, "timeout_ms"], hung.present_ms(), hung.timeout_ms)],
        evidence: shown.into_iter().chain(money.map(|_| Metric::Cost)).map(evidence).collect(),
    }
}

/// What hanging executions cost beyond the timeout, in proportion to time, for each run that succeeded.
fn money(case: &Case<'_>, recent: &Recent, hung: &Hung<'_>) -> Option<Money> {
    let beyond = |row: usize| at(&hung.samples.cost_usd, row) * (1.0 - hung.timeout_ms / hung.ms(row));
    let amounts = Amounts::of(hung.since(recent.since_us).map(beyond).filter(|usd| usd.is_finite()));
    let (a_run, all_usd) = (1.0 / f64::from(recent.succeeded.n_runs), recent.all.usd.sum);
    (amounts.sum > 0.0 && all_usd > 0.0)
        .then(|| amounts.money(a_run, (amounts.sum / all_usd).min(1.0), case.params.replay.level))
}

fn title(step: &str, hung: &Hung<'_>, saving: Option<Saving>, money: Option<Money>) -> String {
    let beyond_ms: f64 = hung.rows.iter().map(|row| hung.ms(*row) - hung.timeout_ms).sum();
    let less = saving.map(|saving| saving.published().share).filter(|share| *share > 0.0);
    let less = less.map_or_else(String::new, |share| format!("; a run would take {} less", percent(share)));
    let usd =
        money.map_or_else(String::new, |money| format!("; each run that succeeds pays {} for it", usd_text(money.usd)));
    let step = short(step);
    format!(
        "Give {step} up after {}: {} executions lasted longer and then failed or were cancelled, {} beyond it in all, and the \
         longest of {} that succeeded took {}{less}{usd}",
        duration_text(hung.timeout_ms),
        hung.rows.len(),
        duration_text(beyond_ms),
        hung.n_successes,
        duration_text(hung.longest_success_ms),
    )
}
