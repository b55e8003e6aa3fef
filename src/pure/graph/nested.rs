//! Runs recorded as nested spans: a parent waits for its children.
//!
//! Nesting is no dependency between steps, but it says as much: a span is its own work, in parts, and between these its
//! children. Each part begins when the children before it have ended, each child when its parent came to call it: after the
//! part before, or, where children overlap, after the latest of them that had ended by then. That is how Chow et al. (2014,
//! The Mystery Machine) and Eaton et al. (2022, critical path tracing) read traces. A child that begins outside its parent
//! or outlives it was not waited for: it keeps its own start, and holds nobody.

use super::{Circumstances, Node, RunGraph};
use std::sync::Arc;

/// Clocks round, and not all to the same digit.
const CLOCK_MS: f64 = 0.01;

/// The same run with its spans in parts that depend on one another; none where no execution is nested, or one that took place
/// has no start. Of a span that is in several parts, the first keeps its name and its place; the others have none.
#[must_use]
pub fn unnest(graph: &RunGraph) -> Option<RunGraph> {
    let spans = graph.nodes.iter().map(Span::of).collect::<Option<Vec<Span>>>()?;
    let children = children(graph, &spans);
    if children.iter().all(Vec::is_empty) {
        return None;
    }
    let mut parts = Parts::new(graph);
    for (id, children) in (0_u32..).zip(&children).filter(|(_, children)| !children.is_empty()) {
        parts.divide(id, spans[id as usize], children, &spans);
    }
    parts.call(&children, &spans);
    Some(RunGraph { dependencies_known: true, nodes: parts.nodes, ..graph.clone() })
}

/// From when to when an execution took; a cached one has no place in this run.
#[derive(Debug, Clone, Copy)]
struct Span {
    start_ms: f64,
    end_ms: f64,
}

impl Span {
    fn of(node: &Node) -> Option<Self> {
        if node.cached {
            return Some(Self { start_ms: f64::NAN, end_ms: f64::NAN });
        }
        let start_ms = node.start_ms.filter(|ms| ms.is_finite())?;
        let end_ms = start_ms + node.duration_ms;
        end_ms.is_finite().then_some(Self { start_ms, end_ms })
    }

    /// False for cached ones.
    fn is_within(self, parent: Self) -> bool {
        self.start_ms >= parent.start_ms - CLOCK_MS && self.end_ms <= parent.end_ms + CLOCK_MS
    }
}

/// Of each node those that are nested in it, by their start: (n_nodes,).
fn children(graph: &RunGraph, spans: &[Span]) -> Vec<Vec<u32>> {
    let mut children: Vec<Vec<u32>> = vec![Vec::new(); spans.len()];
    for (id, node) in (0_u32..).zip(&graph.nodes) {
        let parent =
            node.parent.filter(|parent| *parent != id).and_then(|parent| Some((parent, spans.get(parent as usize)?)));
        if let Some((parent, _)) = parent.filter(|(_, parent)| spans[id as usize].is_within(**parent)) {
            children[parent as usize].push(id);
        }
    }
    for ids in &mut children {
        ids.sort_by(|a, b| spans[*a as usize].start_ms.total_cmp(&spans[*b as usize].start_ms));
    }
    children
}

/// Children that overlap, or follow one another by way of others.
#[derive(Default)]
struct Cluster {
    members: Vec<u32>,
    end_ms: f64,
}

struct Parts {
    nodes: Vec<Node>,
    /// The part in which a span ends: (n_spans,).
    last: Vec<u32>,
    /// The part of its parent after which a child was called: (n_spans,), none for roots.
    called_by: Vec<Option<u32>>,
}

impl Parts {
    fn new(graph: &RunGraph) -> Self {
        let nodes: Vec<Node> = graph.nodes.iter().map(|node| Node { deps: Vec::new(), ..node.clone() }).collect();
        Self { last: (0..nodes.len() as u32).collect(), called_by: vec![None; nodes.len()], nodes }
    }

    /// Cuts a span at its children. The parts depend on the children by their spans until [`Parts::call`].
    fn divide(&mut self, id: u32, span: Span, children: &[u32], spans: &[Span]) {
        let mut part = id;
        let mut part_start_ms = span.start_ms;
        let mut cluster = Cluster::default();
        for &child in children {
            let Span { start_ms, end_ms } = spans[child as usize];
            if cluster.members.is_empty() {
                self.nodes[part as usize].duration_ms = (start_ms - part_start_ms).max(0.0);
            } else if start_ms >= cluster.end_ms - CLOCK_MS {
                part_start_ms = cluster.end_ms;
                part = self.go_on(id, part_start_ms, start_ms, std::mem::take(&mut cluster).members);
            }
            self.called_by[child as usize] = Some(part);
            cluster.end_ms = if cluster.members.is_empty() { end_ms } else { cluster.end_ms.max(end_ms) };
            cluster.members.push(child);
        }
        self.last[id as usize] = self.go_on(id, cluster.end_ms, span.end_ms, cluster.members);
    }

    /// Another part of a span, after its children have ended.
    fn go_on(&mut self, id: u32, start_ms: f64, end_ms: f64, after: Vec<u32>) -> u32 {
        let part = Node {
            step_id: Arc::from(""),
            duration_ms: (end_ms - start_ms).max(0.0),
            start_ms: Some(start_ms),
            deps: after,
            // What was tried before belongs to the first part.
            under: Circumstances::default(),
            ..self.nodes[id as usize].clone()
        };
        self.nodes.push(part);
        (self.nodes.len() - 1) as u32
    }

    /// Links spans to their callers: a child begins after the part of its parent before it, or after a sibling that had ended.
    fn call(&mut self, children: &[Vec<u32>], spans: &[Span]) {
        for node in &mut self.nodes {
            node.deps.iter_mut().for_each(|child| *child = self.last[*child as usize]);
        }
        for siblings in children {
            for (at, &child) in siblings.iter().enumerate() {
                let Some(part) = self.called_by[child as usize] else { continue };
                let start_ms = spans[child as usize].start_ms;
                let ended = siblings[..at].iter().filter(|sibling| {
                    self.called_by[**sibling as usize] == Some(part)
                        && spans[**sibling as usize].end_ms <= start_ms + CLOCK_MS
                });
                let latest = ended.max_by(|a, b| spans[**a as usize].end_ms.total_cmp(&spans[**b as usize].end_ms));
                let before = latest.map_or(part, |sibling| self.last[*sibling as usize]);
                self.nodes[child as usize].deps.push(before);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::super::examples::timed;
    use super::super::{Change, ReplayPlan, Slots, replay, slots};
    use super::*;

    /// Spans `(step_id, start, duration, parent)`.
    fn spans(rows: &[(&str, f64, f64, Option<u32>)]) -> RunGraph {
        let timeless: Vec<(&str, f64, f64, &[u32])> =
            rows.iter().map(|(id, at, ms, _)| (*id, *at, *ms, &[][..])).collect();
        let mut run = timed(&timeless);
        run.dependencies_known = false;
        for (node, (.., parent)) in run.nodes.iter_mut().zip(rows) {
            node.parent = *parent;
        }
        run
    }

    fn makespan(run: &RunGraph, changes: &[Change]) -> f64 {
        let plan = ReplayPlan { slots: None, changes, ..ReplayPlan::default() };
        replay(run, &plan).unwrap().makespan_ms
    }

    #[track_caller]
    fn assert_near(found_ms: f64, expected_ms: f64) {
        assert!((found_ms - expected_ms).abs() < 1e-9, "{found_ms} for {expected_ms}");
    }

    fn faster(step: &str) -> [Change; 1] {
        [Change::Speedup { step: step.into(), factor: 0.5 }]
    }

    /// ```text
    /// front  ██████████████████████████████  100
    /// stock     ██████        30
    /// price                ██████████  45, db in it
    /// db                     ████      20
    /// ```
    fn sequential() -> RunGraph {
        spans(&[
            ("front", 0.0, 100.0, None),
            ("stock", 10.0, 30.0, Some(0)),
            ("price", 50.0, 45.0, Some(0)),
            ("db", 60.0, 20.0, Some(2)),
        ])
    }

    #[test]
    fn a_span_is_its_own_work_between_its_children() {
        let run = unnest(&sequential()).unwrap();
        assert_near(makespan(&run, &[]), 100.0);
        // front's own: 10 + 10 + 5; price's own: 10 + 15.
        assert_near(makespan(&run, &faster("front")), 87.5);
        assert_near(makespan(&run, &faster("stock")), 85.0);
        assert_near(makespan(&run, &faster("price")), 87.5);
        assert_near(makespan(&run, &faster("db")), 90.0);
        assert_near(makespan(&run, &[Change::Remove { step: "db".into() }]), 80.0);
    }

    #[test]
    fn children_that_overlap_are_waited_for_together() {
        // b and c are called at once; d when b has ended, while c still runs.
        let run = spans(&[
            ("a", 0.0, 100.0, None),
            ("b", 10.0, 30.0, Some(0)),
            ("c", 10.0, 60.0, Some(0)),
            ("d", 42.0, 40.0, Some(0)),
        ]);
        let run = unnest(&run).unwrap();
        assert_near(makespan(&run, &[]), 100.0);
        assert_near(makespan(&run, &faster("c")), 100.0);
        assert_near(makespan(&run, &faster("b")), 88.0); // then c is the last to end
        assert_near(makespan(&run, &faster("d")), 88.0);
    }

    #[test]
    fn who_outlives_its_caller_holds_nobody() {
        let run = spans(&[("a", 0.0, 50.0, None), ("b", 10.0, 20.0, Some(0)), ("mail", 45.0, 100.0, Some(0))]);
        let run = unnest(&run).unwrap();
        assert_near(makespan(&run, &[]), 145.0);
        assert_near(makespan(&run, &faster("b")), 145.0); // mail keeps its own start
    }

    #[test]
    fn what_is_not_nested_or_not_timed_is_left_alone() {
        assert!(unnest(&spans(&[("a", 0.0, 50.0, None), ("b", 10.0, 20.0, None)])).is_none());
        let mut run = sequential();
        run.nodes[3].start_ms = None;
        assert!(unnest(&run).is_none());
        assert!(unnest(&spans(&[("a", 0.0, 5.0, Some(0)), ("b", 1.0, 2.0, Some(77))])).is_none());
    }

    #[test]
    fn spans_in_each_other_are_no_run() {
        let knot = spans(&[("a", 0.0, 50.0, Some(1)), ("b", 0.0, 50.0, Some(0))]);
        assert!(unnest(&knot).is_none_or(|run| replay(&run, &ReplayPlan::default()).is_err()));
    }

    #[test]
    fn one_span_at_a_time_needs_one_slot() {
        assert_eq!(slots(&unnest(&sequential()).unwrap()), Ok(Slots::Observed(1)));
    }
}
