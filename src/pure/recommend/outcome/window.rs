//! Which time before and after a change is compared.

use super::{Applied, WINDOW_DAYS};
use crate::recommend::before_after::Point;
use crate::units::DAY_US;
use std::collections::BTreeMap;

/// A change point this near to the change may be its own: the place of one is known to a day or two.
const SAME_CHANGE_US: i64 = 2 * DAY_US;

/// Instants at which the time of a workflow (none), or of one of its steps, changed its level, in order.
pub type Changes = BTreeMap<(String, Option<String>), Vec<i64>>;

/// What is compared: `[from, at)` with `[at, until)`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Window {
    pub(super) from_us: i64,
    at_us: i64,
    pub(super) until_us: i64,
    /// Whether another change of the workflow cuts it short.
    pub(super) is_cut: bool,
}

impl Window {
    pub(super) fn of<'a>(applied: &Applied, others: impl Iterator<Item = &'a Applied>, as_of_us: i64) -> Self {
        let (at_us, reach_us) = (applied.applied_us, WINDOW_DAYS * DAY_US);
        let ends = [Some(at_us.saturating_add(reach_us)), Some(as_of_us), applied.rolled_back_us];
        let (from_us, until_us) =
            (at_us.saturating_sub(reach_us), ends.into_iter().flatten().min().unwrap_or(as_of_us));
        let mut window = Self { from_us, at_us, until_us, is_cut: false };
        let of_workflow = others.filter(|other| other.workflow_id == applied.workflow_id);
        for change_us in of_workflow.flat_map(|other| [Some(other.applied_us), other.rolled_back_us]).flatten() {
            window.cut(change_us);
        }
        window
    }

    /// Not before the last change point that is not this change's own.
    pub(super) fn since_last(mut self, changes: &Changes, applied: &Applied) -> Self {
        let series = [None, Some(applied.target.clone())];
        let of_series = series.into_iter().filter_map(|step| changes.get(&(applied.workflow_id.clone(), step)));
        let earlier = of_series.flatten().copied().filter(|at_us| *at_us < self.at_us - SAME_CHANGE_US).max();
        self.from_us = earlier.map_or(self.from_us, |at_us| at_us.max(self.from_us));
        self
    }

    /// Two changes at once can't be told apart: nothing is left of the time before then.
    fn cut(&mut self, change_us: i64) {
        if change_us <= self.at_us && change_us > self.from_us {
            (self.from_us, self.is_cut) = (change_us, true);
        } else if change_us > self.at_us && change_us < self.until_us {
            (self.until_us, self.is_cut) = (change_us, true);
        }
    }

    /// Those before and those after.
    pub(super) fn split(&self, points: impl Iterator<Item = Point>) -> [Vec<Point>; 2] {
        let inside = points.filter(|point| point.at_us >= self.from_us && point.at_us < self.until_us);
        let (before, after) = inside.partition(|point| point.at_us < self.at_us);
        [before, after]
    }
}
