#![expect(clippy::unwrap_used, reason = "tests")]

use super::*;
use crate::ingest::conform::{conform_runs, conform_steps};
use crate::ingest::names::Overrides;
use crate::tables::CanonicalTable;

fn read_text(text: &str) -> Result<(DataFrame, DataFrame), Unreadable> {
    let raw = read(text.as_bytes(), &Names::of("x-001.json", Overrides::default()))?;
    let runs = conform_runs(&raw.runs.unwrap(), "x").unwrap();
    let steps = conform_steps(&raw.steps.unwrap(), "x").unwrap();
    assert!(runs.rejects.is_empty() && steps.rejects.is_empty(), "{:?} {:?}", runs.rejects, steps.rejects);
    Ok((runs.table.frame().clone(), steps.table.frame().clone()))
}

fn column(frame: &DataFrame, name: &str) -> Vec<String> {
    frame.column(name).unwrap().as_materialized_series().iter().map(|value| value.to_string()).collect()
}

const SPLIT: &str = r#"{"name": "n", "schemaVersion": "1.5", "workflow": {
  "specification": {
    "tasks": [
      {"name": "split_ID000001", "id": "split_ID000001", "parents": [], "children": ["blast_ID000002"],
       "inputFiles": ["in"], "outputFiles": ["a", "b"]},
      {"name": "blast_ID000002", "id": "blast_ID000002", "parents": ["split_ID000001"], "children": [],
       "inputFiles": ["a", "db"], "outputFiles": ["unsized"]}],
    "files": [{"id": "in", "sizeInBytes": 10}, {"id": "a", "sizeInBytes": 3}, {"id": "b", "sizeInBytes": 4},
              {"id": "db", "sizeInBytes": 100}]},
  "execution": {"makespanInSeconds": 12.5, "executedAt": "12-19-20T21:31:53Z",
    "tasks": [
      {"id": "blast_ID000002", "runtimeInSeconds": 4.5, "coreCount": 2, "avgCPU": 150.5, "memoryInBytes": 3000000,
       "command": {"program": "blastall"}, "machines": ["worker-1"]},
      {"id": "split_ID000001", "runtimeInSeconds": 0, "command": {"program": "a\nscript"}}],
    "machines": [{"nodeName": "worker-1"}, {"nodeName": "worker-2"}]}}}"#;

#[test]
fn specification_and_execution_are_one_task() {
    let (runs, steps) = read_text(SPLIT).unwrap();
    assert_eq!(column(&steps, "step_id"), ["\"split/ID000001\"", "\"blast/ID000002\""]);
    assert_eq!(column(&steps, "step_type"), ["\"split\"", "\"blastall\""], "a script is no type");
    assert_eq!(column(&steps, "duration_ms"), ["0.0", "4500.0"]);
    assert_eq!(column(&steps, "memory_mb"), ["null", "3.0"]);
    assert_eq!(column(&steps, "input_bytes"), ["10", "103"]);
    assert_eq!(column(&steps, "output_bytes"), ["7", "null"], "the size of one file is missing");
    assert_eq!(column(&steps, "platform"), ["null", "\"worker-1\""]);
    let waits = steps.column("depends_on").unwrap();
    let waits = waits.as_materialized_series().list().unwrap();
    assert_eq!(waits.get_as_series(0).unwrap().len(), 0, "known to wait for none");
    assert_eq!(waits.get_as_series(1).unwrap().str().unwrap().get(0), Some("split/ID000001"));
    assert_eq!(column(&runs, "started_at"), ["2020-12-19 21:31:53 UTC"]);
    assert_eq!(column(&runs, "ended_at"), ["2020-12-19 21:32:05.500 UTC"]);
    assert_eq!(column(&runs, "input_bytes"), ["110"]);
    assert_eq!(column(&runs, "workflow_id"), ["\"x\""]);
}

#[test]
fn older_schemas_name_parents_and_measure_in_kilobytes() {
    let text = r#"{"schemaVersion": "1.3", "workflow": {"makespan": 3, "executedAt": "20200401T054215+0000",
      "machines": [{"nodeName": "m"}],
      "tasks": [
        {"name": "a_ID01", "id": "ID01", "category": "prepare", "runtime": 1, "memory": 2000,
         "files": [{"name": "f", "link": "input", "size": 5}, {"name": "g", "link": "output", "size": 6}],
         "children": ["b"]},
        {"name": "b", "id": "ID02", "runtime": 2, "parents": ["a_ID01"], "files": []}]}}"#;
    let (runs, steps) = read_text(text).unwrap();
    assert_eq!(column(&steps, "step_id"), ["\"a/ID01\"", "\"b/ID02\""]);
    assert_eq!(column(&steps, "step_type"), ["\"prepare\"", "\"b\""]);
    assert_eq!(column(&steps, "memory_mb"), ["2.0", "null"]);
    assert_eq!(column(&steps, "output_bytes"), ["6", "null"]);
    let waits = steps.column("depends_on").unwrap().as_materialized_series().clone();
    assert!(waits.is_null().get(0).unwrap(), "nobody said what it waits for");
    assert_eq!(waits.list().unwrap().get_as_series(1).unwrap().str().unwrap().get(0), Some("a/ID01"));
    assert_eq!(column(&runs, "platform"), ["\"m\""]);
}

#[test]
fn tasks_of_one_program_are_one_step() {
    let ran = |id: &str, program: &str| {
        let command = Some(Command { program: Some(program.into()) });
        step_id(&Task { id: Some(id.into()), name: Some(id.into()), command, ..Task::default() })
    };
    assert_eq!(ran("map_map_HEP2_s_1_ID0000002", "map"), "map/map_HEP2_s_1_ID0000002");
    assert_eq!(ran("mapMerge_mapMerge_ID0000021", "map"), "mapMerge_mapMerge/ID0000021");
    assert_eq!(ran("blastall_ID000002", "blastall"), "blastall/ID000002");
    assert_eq!(ran("align_ID000002", "python"), "align/ID000002");
}

#[test]
fn a_short_number_is_part_of_the_name() {
    let named =
        |name: &str, id: &str| step_id(&Task { name: Some(name.into()), id: Some(id.into()), ..Task::default() });
    assert_eq!(named("bowtie_2", "bowtie_2"), "bowtie_2");
    assert_eq!(named("cpuhog_chain_00000001", "cpuhog_chain_00000001"), "cpuhog_chain/00000001");
    assert_eq!(named("A.FASTQC", "A.FASTQC_2"), "A.FASTQC/2");
    assert_eq!(named("split", "ID0000001"), "split/ID0000001");
    assert_eq!(named("", "lonely"), "lonely");
    assert_eq!(named("x", ""), "x");
}

#[test]
fn what_is_no_instance() {
    for (text, expected) in [
        ("", "empty"),
        ("{", "WfFormat"),
        ("[]", "WfFormat"),
        ("{\"workflow\": {}}", "no tasks"),
        (r#"{"workflow": {"tasks": [{"name": "a", "runtime": "long"}]}}"#, "WfFormat"),
        (r#"{"workflow": {"tasks": [{"name": "a", "runtime": 1}]}}"#, "--started-at"),
    ] {
        let error = read_text(text).unwrap_err().to_string();
        assert!(error.contains(expected), "{text:?}: {error}");
    }
}
