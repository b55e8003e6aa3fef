//! What the runs of a day came to, and at which steps those failed that did.

use super::executions::{Day, NO_INSTANT, Status};
use super::usage::costs_by_run;
use crate::pure::outcomes::{DayOutcomes, Outlay};
use crate::pure::samples::UNKNOWN;
use crate::pure::units::DAY_US;
use std::collections::{BTreeMap, HashMap, HashSet};

/// A name and its code: what is in order of names is given new codes in an order that does not depend on that of rows.
type Named<'a> = (&'a str, u32);
/// Runs of a workflow that succeeded, and those that failed by the step at which they did.
type OfWorkflow<'a> = (Outlay, BTreeMap<Named<'a>, Outlay>);

/// One entry a workflow, by its name; codes are those that `recode` gives.
#[must_use]
pub(super) fn day_outcomes(day: &Day, mut recode: impl FnMut(u32) -> u32) -> Vec<DayOutcomes> {
    let runs = &day.runs;
    let named = |code: u32| (day.vocabulary.word(code).unwrap_or_default(), code);
    let failed_at = failed_at(day);
    let mut by_workflow: BTreeMap<Named<'_>, OfWorkflow<'_>> = BTreeMap::new();
    for (i, &cost_usd) in costs_by_run(day).iter().enumerate() {
        let (succeeded, failed) = by_workflow.entry(named(runs.workflow_id[i])).or_default();
        let step = || named(failed_at.get(&runs.run[i]).copied().unwrap_or(UNKNOWN));
        let outlay = match runs.status[i] {
            Status::Succeeded => succeeded,
            Status::Failed => failed.entry(step()).or_default(),
            Status::Cancelled | Status::Running => continue,
        };
        outlay.add(runs.duration_ms[i], cost_usd);
    }
    let day_us = runs.bucket_us.iter().min().map_or(0, |first| first.div_euclid(DAY_US) * DAY_US);
    let entry = |((_, workflow), (succeeded, failed)): (Named<'_>, OfWorkflow<'_>)| {
        let workflow_id = recode(workflow);
        let failed = failed.into_iter().map(|((_, step), outlay)| (recode(step), outlay)).collect();
        DayOutcomes { workflow_id, day_us, succeeded, failed }
    };
    by_workflow.into_iter().map(entry).collect()
}

/// The step of each failed run whose last try failed first: what failed after it did so because of it, or would have been
/// the next.
fn failed_at(day: &Day) -> HashMap<u32, u32> {
    let (runs, steps) = (&day.runs, &day.steps);
    let failed: HashSet<u32> =
        (0..runs.len()).filter(|&i| runs.status[i] == Status::Failed).map(|i| runs.run[i]).collect();
    let mut last: HashMap<(u32, u32), usize> = HashMap::new();
    for row in (0..steps.len()).filter(|&row| failed.contains(&steps.run[row])) {
        let kept = last.entry((steps.run[row], steps.step_id[row])).or_insert(row);
        if steps.attempt[row] > steps.attempt[*kept] {
            *kept = row;
        }
    }
    // Names, not codes, decide among those that ended at one instant: codes depend on the order of rows.
    let ended = |row: usize| {
        let end = steps.ended_us[row];
        let name = day.vocabulary.word(steps.step_id[row]);
        (if end == NO_INSTANT { i64::MAX } else { end }, name)
    };
    let mut first: HashMap<u32, usize> = HashMap::new();
    for row in last.into_values().filter(|&row| steps.status[row] == Status::Failed) {
        let kept = first.entry(steps.run[row]).or_insert(row);
        if ended(row) < ended(*kept) {
            *kept = row;
        }
    }
    first.into_iter().map(|(run, row)| (run, steps.step[row])).collect()
}

#[cfg(test)]
mod tests {
    use super::super::executions::Executions;
    use super::*;
    use Status::{Cancelled, Failed, Running, Succeeded};

    /// Four runs of one workflow: r0 succeeded, r1 and r2 failed, r3 goes on. Steps: `(run, step, try, status, end, cost)`.
    fn day(steps: &[(usize, &str, u16, Status, i64, f64)]) -> Day {
        let mut day = Day::default();
        let statuses = vec![Succeeded, Failed, Failed, Running];
        let n = statuses.len();
        let runs: Vec<u32> = (0..n).map(|run| day.vocabulary.intern(&format!("r{run}"))).collect();
        let workflow = day.vocabulary.intern("wf");
        day.runs = Executions {
            run: runs.clone(),
            workflow_id: vec![workflow; n],
            status: statuses,
            bucket_us: vec![DAY_US + 5; n],
            duration_ms: vec![10.0, 20.0, 40.0, f64::NAN],
            cost_usd: vec![f64::NAN; n],
            ..Executions::default()
        };
        for &(run, step, attempt, status, ended_us, usd) in steps {
            let code = day.vocabulary.intern(step);
            let rows = &mut day.steps;
            rows.run.push(runs[run]);
            rows.step.push(code);
            rows.step_id.push(code);
            rows.attempt.push(attempt);
            rows.status.push(status);
            rows.ended_us.push(ended_us);
            rows.cost_usd.push(usd);
        }
        day
    }

    #[test]
    fn a_run_fails_where_a_last_try_failed_first() {
        let day = day(&[
            (0, "a", 1, Succeeded, 9, 0.5),
            (1, "a", 1, Failed, 1, 0.25),
            (1, "a", 2, Succeeded, 2, 0.25),
            (1, "c", 1, Failed, 4, f64::NAN),
            (1, "b", 1, Failed, 3, 1.0),
            (1, "d", 1, Cancelled, 2, f64::NAN),
            (2, "a", 1, Succeeded, 9, 2.0),
            (3, "a", 1, Failed, 9, 2.0),
        ]);
        let [of_wf] = &day_outcomes(&day, |code| code)[..] else { unreachable!("one workflow") };
        assert_eq!((of_wf.day_us, of_wf.succeeded.n_runs, of_wf.succeeded.usd.sum), (DAY_US, 1, 0.5));
        let failed: Vec<_> = of_wf
            .failed
            .iter()
            .map(|(step, outlay)| (day.vocabulary.word(*step), outlay.n_runs, outlay.ms.sum, outlay.usd.sum))
            .collect();
        assert_eq!(failed, [(Some("b"), 1, 20.0, 1.5), (None, 1, 40.0, 2.0)]);
    }

    #[test]
    fn nothing_comes_of_nothing() {
        assert_eq!(day_outcomes(&Day::default(), |code| code), []);
    }
}
