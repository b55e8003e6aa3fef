//! Published workflow runs (WfInstances) against figures computed for them elsewhere.

#![expect(clippy::unwrap_used, clippy::print_stderr, clippy::panic, reason = "tests")]

use super::{Circumstances, CriticalPath, Node, ReplayPlan, RunGraph, RunOutcome, Slots, critical_path, replay, slots};
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

fn folder() -> Option<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data/wfinstances");
    if folder.join("raw").is_dir() {
        return Some(folder);
    }
    eprintln!("skipped: {} is absent", folder.display());
    None
}

fn run_graph(name: &str, file: &Value) -> RunGraph {
    let (tasks, execution) = (&file["workflow"]["specification"]["tasks"], &file["workflow"]["execution"]);
    let seconds: BTreeMap<&str, f64> = execution["tasks"]
        .as_array()
        .unwrap()
        .iter()
        .map(|task| (task["id"].as_str().unwrap(), task["runtimeInSeconds"].as_f64().unwrap()))
        .collect();
    let ids: BTreeMap<&str, u32> =
        tasks.as_array().unwrap().iter().map(|task| task["id"].as_str().unwrap()).zip(0..).collect();
    let node = |task: &Value| {
        let id = task["id"].as_str().unwrap();
        Node {
            step_id: id.into(),
            step: id.into(),
            duration_ms: seconds[id] * 1e3,
            start_ms: None,
            submitted_ms: None,
            ended_ms: None,
            parent: None,
            deps: task["parents"].as_array().unwrap().iter().map(|dep| ids[dep.as_str().unwrap()]).collect(),
            cached: false,
            under: Circumstances::default(),
        }
    };
    RunGraph {
        run_id: name.into(),
        workflow_id: name.into(),
        workflow_type: name.into(),
        started_us: 0,
        makespan_ms: execution["makespanInSeconds"].as_f64().map(|s| s * 1e3),
        dependencies_known: true,
        nodes: tasks.as_array().unwrap().iter().map(node).collect(),
        outcome: RunOutcome::default(),
        words: Vec::new(),
    }
}

/// `n_edges, depth_levels, max_level_width, critical_path_s, total_work_s` by run.
fn oracle(folder: &Path) -> BTreeMap<String, (usize, usize, usize, f64, f64)> {
    let text = std::fs::read_to_string(folder.join("oracle_dag.csv")).unwrap();
    let rows = text.lines().skip(1).map(|line| line.split(',').collect::<Vec<_>>());
    rows.map(|row| {
        let number = |at: usize| row[at].parse::<f64>().unwrap();
        (row[0].replace("wfi:", ""), (number(2) as usize, number(4) as usize, number(5) as usize, number(6), number(7)))
    })
    .collect()
}

fn raw_runs(folder: &Path) -> Vec<RunGraph> {
    let mut paths: Vec<_> = std::fs::read_dir(folder.join("raw")).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    let read = |path: &PathBuf| {
        let file: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
        run_graph(path.file_stem().unwrap().to_str().unwrap(), &file)
    };
    paths.iter().map(read).collect()
}

#[test]
fn critical_path_work_depth_and_edges_agree_with_the_oracle() {
    let Some(folder) = folder() else { return };
    let oracle = oracle(&folder);
    let runs = raw_runs(&folder);
    assert_eq!(runs.len(), 8);
    for mut run in runs {
        assert_eq!(run.validate(), []);
        let (edges, levels, widest, path_s, work_s) = oracle[&run.run_id];
        let CriticalPath { length_ms, total_work_ms, depth, width, nodes } = critical_path(&run).unwrap();
        assert_eq!(run.nodes.iter().map(|node| node.deps.len()).sum::<usize>(), edges, "{}", run.run_id);
        assert_eq!((depth, width), (levels, widest), "{}", run.run_id);
        assert!((length_ms / 1e3 - path_s).abs() < 1e-3, "{}: {length_ms} {path_s}", run.run_id);
        assert!((total_work_ms / 1e3 - work_s).abs() < 1e-3, "{}: {total_work_ms} {work_s}", run.run_id);
        let along: f64 = nodes.iter().map(|id| run.nodes[*id as usize].duration_ms).sum();
        assert!((along - length_ms).abs() < 1e-6);
    }
}

#[test]
fn the_fitted_slots_are_the_nearest() {
    let Some(folder) = folder() else { return };
    let mut n_overheads = 0;
    for run in raw_runs(&folder) {
        let recorded = run.makespan_ms.unwrap();
        let off = |slots, lag_ms| {
            let replayed = replay(&run, &ReplayPlan { slots, lag_ms, changes: &[] }).unwrap().makespan_ms;
            (replayed / recorded).ln().abs()
        };
        match slots(&run).unwrap() {
            Slots::Fitted { slots, ratio } => {
                assert!((ratio.ln().abs() - off(Some(slots), 0.0)).abs() < 1e-12);
                let best = (1..=run.nodes.len()).map(|k| off(Some(k), 0.0)).fold(f64::INFINITY, f64::min);
                assert!(off(Some(slots), 0.0) <= best + 0.02, "{}: {slots} slots, best {best}", run.run_id);
            }
            Slots::Overhead { serial_lag_ms, parallel_lag_ms } => {
                n_overheads += 1;
                assert!(off(Some(1), 0.0) > 1.2_f64.ln(), "{}: one slot explains it", run.run_id);
                assert!(off(Some(1), serial_lag_ms) < 1e-6 && off(None, parallel_lag_ms) < 1e-6, "{}", run.run_id);
            }
            other => panic!("{}: {other:?}", run.run_id),
        }
    }
    assert!(n_overheads >= 1);
}
