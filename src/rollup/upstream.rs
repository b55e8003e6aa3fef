//! What lies before each execution of a day in its run, from declared dependencies.

use super::executions::{Day, Executions};
use crate::pure::graph::{Upstream, upstream};
use crate::pure::samples::UNKNOWN;
use std::collections::HashMap;

/// By row of the day's steps; unknown in runs one of whose steps does not say what it depends on.
pub(super) fn upstream_of(day: &Day) -> Upstream {
    let rows = &day.steps;
    let declared = declared(day);
    let mut by_run: Vec<usize> = (0..rows.len()).collect();
    by_run.sort_by_key(|&row| rows.run[row]);
    let mut all = Upstream::unknown(rows.len());
    for members in by_run.chunk_by(|&a, &b| rows.run[a] == rows.run[b]) {
        let Some(run) = Run::of(rows, members, &declared) else { continue };
        let found = upstream(&run.step, &run.input_bytes, &run.deps);
        for (&row, &node) in members.iter().zip(&run.node_of_member) {
            all.bytes[row] = found.bytes[node];
            all.steps[row] = found.steps[node];
        }
    }
    all
}

/// Names that each row declares to depend on, as codes; [`UNKNOWN`] for a name that no row of the day has.
fn declared(day: &Day) -> Vec<Option<Vec<u32>>> {
    let code = |name: Option<&str>| name.and_then(|name| day.vocabulary.code(name)).unwrap_or(UNKNOWN);
    let lists = day.depends_on.amortized_iter();
    lists.map(|names| names.and_then(|names| Some(names.as_ref().str().ok()?.iter().map(code).collect()))).collect()
}

/// The executions of one run, the tries of each taken together.
#[derive(Default)]
struct Run {
    node_of_member: Vec<usize>,
    /// Numbers of the derived steps.
    step: Vec<u32>,
    /// Of the latest try.
    input_bytes: Vec<f64>,
    deps: Vec<Vec<u32>>,
}

impl Run {
    fn of(rows: &Executions, members: &[usize], declared: &[Option<Vec<u32>>]) -> Option<Self> {
        let mut run = Self::default();
        let mut by_step_id: HashMap<u32, u32> = HashMap::with_capacity(members.len());
        let mut by_step: HashMap<u32, (u32, Vec<u32>)> = HashMap::new();
        let mut names: Vec<Option<&[u32]>> = Vec::with_capacity(members.len());
        for &row in members {
            let next = u32::try_from(run.step.len()).ok()?;
            let node = *by_step_id.entry(rows.step_id[row]).or_insert(next);
            if node == next {
                let number = u32::try_from(by_step.len()).ok()?;
                let (number, tasks) = by_step.entry(rows.step[row]).or_insert_with(|| (number, Vec::new()));
                tasks.push(node);
                run.step.push(*number);
                run.input_bytes.push(f64::NAN);
                names.push(None);
            }
            let node = node as usize;
            if rows.input_bytes[row].is_finite() {
                run.input_bytes[node] = rows.input_bytes[row];
            }
            names[node] = names[node].or(declared[row].as_deref());
            run.node_of_member.push(node);
        }
        for names in names {
            // A name is that of a step or of all tasks of a process.
            let mut deps: Vec<u32> = Vec::new();
            for name in names? {
                match (by_step_id.get(name), by_step.get(name)) {
                    (Some(&node), _) => deps.push(node),
                    (None, Some((_, tasks))) => deps.extend(tasks),
                    (None, None) => {}
                }
            }
            deps.sort_unstable();
            deps.dedup();
            run.deps.push(deps);
        }
        Some(run)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use polars::prelude::*;

    /// Rows of (run, step_id, derived step, attempt, input), and what each declares.
    fn day(cases: &[(&str, &str, f64, Option<&[&str]>)]) -> Day {
        let mut day = Day::default();
        let mut lists = ListStringChunkedBuilder::new("depends_on".into(), cases.len(), 1);
        for (run, step_id, input_bytes, deps) in cases {
            let process = step_id.split('/').next().unwrap_or(step_id);
            day.steps.run.push(day.vocabulary.intern(run));
            day.steps.step_id.push(day.vocabulary.intern(step_id));
            day.steps.step.push(day.vocabulary.intern(process));
            day.steps.input_bytes.push(*input_bytes);
            match deps {
                Some(deps) => lists.append_values_iter(deps.iter().copied()),
                None => lists.append_null(),
            }
        }
        day.depends_on = lists.finish();
        day
    }

    #[test]
    fn runs_are_kept_apart_and_tries_taken_together() {
        let found = upstream_of(&day(&[
            ("a", "split", 900.0, Some(&[])),
            ("b", "split", 5.0, Some(&[])),
            ("a", "work/1", 300.0, Some(&["split"])),
            ("a", "work/1", 300.0, None),
            ("a", "work/2", 600.0, Some(&["split", "gone"])),
            ("a", "merge", f64::NAN, Some(&["work"])),
            ("c", "split", 7.0, Some(&[])),
            ("c", "merge", 7.0, None),
        ]));
        assert_eq!(found.steps[..6], [1.0, 1.0, 2.0, 2.0, 2.0, 4.0]);
        assert_eq!(found.bytes[2..6], [900.0, 900.0, 900.0, 900.0]);
        assert!(found.steps[6].is_nan() && found.bytes[7].is_nan(), "a step of run c says nothing");
    }
}
