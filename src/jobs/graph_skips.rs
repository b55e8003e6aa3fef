//! Declared dependencies that can't be, as rows of `skips`.

use crate::pure::detect::{Skip, SkipSubject};
use crate::pure::graph::GraphIssue;
use crate::rollup::RunIssue;
use std::collections::BTreeMap;

/// The skips' name for what is left out: edges of the step graph, and replay where a cycle makes them unknown.
const ANALYSIS: &str = "dependencies";

/// What is wrong in the same way: workflow, derived step (none for a cycle) and what is missing or who is in the knot.
type Kind<'a> = (&'a str, Option<&'a str>, &'a [String]);

/// One skip for all runs of a workflow that are wrong in the same way: a definition that names a step which does not
/// exist is wrong in each of its runs, and in each task of a step.
pub(crate) fn graph_skips(issues: &[RunIssue]) -> Vec<Skip> {
    let mut kinds: BTreeMap<Kind<'_>, Vec<&RunIssue>> = BTreeMap::new();
    for found in issues {
        let (step, names) = match &found.issue {
            GraphIssue::Dangling { step, missing } => (step.split('/').next(), std::slice::from_ref(missing)),
            GraphIssue::Cycle { steps } => (None, steps.as_slice()),
        };
        kinds.entry((found.workflow_id.as_str(), step, names)).or_default().push(found);
    }
    kinds.iter().filter_map(|(kind, alike)| skip_of(*kind, alike)).collect()
}

fn skip_of((workflow, step, _): Kind<'_>, alike: &[&RunIssue]) -> Option<Skip> {
    let RunIssue { run_id, issue, .. } = alike.first()?;
    let consequence = match issue {
        GraphIssue::Dangling { .. } => "the dependency is left out",
        GraphIssue::Cycle { .. } => "the run is not replayed",
    };
    let mut runs: Vec<&str> = alike.iter().map(|found| found.run_id.as_str()).collect();
    runs.dedup();
    let others = match runs.len() {
        1 => String::new(),
        n => format!(" and {} more", n - 1),
    };
    Some(Skip {
        analysis: ANALYSIS,
        subject: SkipSubject::Workflow { workflow: workflow.to_owned(), step: step.map(str::to_owned) },
        reason: format!("run {run_id:?}{others}: {issue}; {consequence}"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dangling(run_id: &str, step: &str) -> RunIssue {
        let issue = GraphIssue::Dangling { step: step.to_owned(), missing: "gone".to_owned() };
        RunIssue { run_id: run_id.to_owned(), workflow_id: "w".to_owned(), issue }
    }

    #[test]
    fn what_is_wrong_in_the_same_way_is_told_once() {
        let skips =
            graph_skips(&[dangling("r1", "b/1"), dangling("r1", "b/2"), dangling("r2", "b/1"), dangling("r1", "c")]);
        let told: Vec<&str> = skips.iter().map(|skip| skip.reason.as_str()).collect();
        assert_eq!(
            told,
            [
                "run \"r1\" and 1 more: step \"b/1\" waits for \"gone\", which its run does not have; the \
                 dependency is left out",
                "run \"r1\": step \"c\" waits for \"gone\", which its run does not have; the dependency is left out",
            ]
        );
        assert_eq!(graph_skips(&[]), []);
    }
}
