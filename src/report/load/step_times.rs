//! The steps of workflows, read one workflow at a time: the table is sorted by workflow.

use super::{Kept, fold};
use crate::error::Result;
use crate::io::Store;
use crate::report::order::{by_blocking, descending};
use crate::tables::published::StepTimesRow;
use chrono::{DateTime, Utc};
use std::cmp::Ordering;
use std::collections::BTreeMap;

/// The steps of one workflow.
#[derive(Debug, Clone, PartialEq)]
pub struct WorkflowSteps {
    /// The workflow.
    pub workflow_id: String,
    /// The largest share of its runs' end-to-end time that a bottleneck costs or a recommendation saves.
    pub cost: f64,
    /// Mean time of its recent runs.
    pub run_ms: f64,
    /// When the last step of the typical run ended, from the run's start.
    pub typical_ms: f64,
    /// Those that block longest first.
    pub steps: Kept<StepTimesRow>,
}

struct Reading {
    done: Kept<WorkflowSteps>,
    open: Option<WorkflowSteps>,
}

/// `costs`: by workflow, what its worst bottleneck costs or its best recommendation saves.
pub(super) async fn load(
    store: &Store,
    as_of: DateTime<Utc>,
    costs: &BTreeMap<String, f64>,
) -> Result<Option<Kept<WorkflowSteps>>> {
    let empty = Reading { done: Kept::new(), open: None };
    let read = fold(store, as_of, empty, |reading, row| reading.add(row, costs)).await?;
    Ok(read.map(|mut reading| {
        reading.close();
        reading.done.settle(by_cost);
        reading.done
    }))
}

impl Reading {
    fn add(&mut self, row: StepTimesRow, costs: &BTreeMap<String, f64>) {
        if self.open.as_ref().is_none_or(|open| open.workflow_id != row.workflow_id) {
            self.close();
        }
        let open = self.open.get_or_insert_with(|| WorkflowSteps {
            workflow_id: row.workflow_id.clone(),
            cost: costs.get(&row.workflow_id).copied().unwrap_or(0.0),
            run_ms: 0.0,
            typical_ms: 0.0,
            steps: Kept::new(),
        });
        open.run_ms += row.blocking_ms;
        open.typical_ms =
            row.typical_end_ms.filter(|ms| ms.is_finite()).map_or(open.typical_ms, |ms| ms.max(open.typical_ms));
        open.steps.push(row, by_blocking);
    }

    fn close(&mut self) {
        if let Some(mut workflow) = self.open.take() {
            workflow.steps.settle(by_blocking);
            self.done.push(workflow, by_cost);
        }
    }
}

fn by_cost(a: &WorkflowSteps, b: &WorkflowSteps) -> Ordering {
    descending(a.cost, b.cost).then_with(|| descending(a.run_ms, b.run_ms))
}
