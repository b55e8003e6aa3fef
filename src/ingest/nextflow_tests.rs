#![expect(clippy::unwrap_used, reason = "tests")]

use super::*;
use crate::ingest::conform::{conform_runs, conform_steps};
use crate::ingest::names::Overrides;
use crate::tables::CanonicalTable;
use polars::prelude::AnyValue;

fn read_as(path: &str, text: &str) -> Result<(DataFrame, DataFrame), Unreadable> {
    let raw = read(text.as_bytes(), &Names::of(path, Overrides::default()))?;
    let runs = conform_runs(&raw.runs.unwrap(), path).unwrap();
    let steps = conform_steps(&raw.steps.unwrap(), path).unwrap();
    assert!(runs.rejects.is_empty() && steps.rejects.is_empty(), "{:?} {:?}", runs.rejects, steps.rejects);
    Ok((runs.table.frame().clone(), steps.table.frame().clone()))
}

fn column(frame: &DataFrame, name: &str) -> Vec<String> {
    frame.column(name).unwrap().as_materialized_series().iter().map(|value| value.str_value().into_owned()).collect()
}

#[test]
fn human_units() {
    for (text, expected) in
        [("3m 4s", 184e3), ("46.3s", 46.3e3), ("733ms", 733.0), ("1d 2h 3m", 93_780e3), ("12", 12.0)]
    {
        assert_eq!(milliseconds(text), Some(expected), "{text}");
    }
    for (text, expected) in [("1.5 GB", 1.5 * 1_073_741_824.0), ("2.6 MB", 2.6 * 1_048_576.0), ("0", 0.0), ("7 B", 7.0)]
    {
        assert_eq!(bytes(text), Some(expected), "{text}");
    }
    for text in ["", "s", "3 parsecs", "GB 1", "1.2.3 GB"] {
        assert_eq!((milliseconds(text), bytes(text)), if text.is_empty() { (Some(0.0), None) } else { (None, None) });
    }
}

const DEFAULT_COLUMNS: &str = "\
task_id\thash\tnative_id\tname\tstatus\texit\tsubmit\tduration\trealtime\t%cpu\tpeak_rss\tpeak_vmem\trchar\twchar
1\taa/1\t10\tALIGN (a)\tFAILED\t137\t2024-03-01 10:00:00.000\t1m\t50s\t-\t-\t-\t-\t-
2\taa/2\t11\tALIGN (b)\tCOMPLETED\t0\t2024-03-01 10:00:00.500\t2m\t1m 40s\t198.4%\t1 GB\t-\t-\t-
3\taa/3\t12\tALIGN (a)\tCOMPLETED\t0\t2024-03-01 10:01:00.000\t1m\t40s\t99.0%\t512 MB\t-\t-\t-
4\taa/4\t13\tREPORT\tCACHED\t0\t2024-02-01 10:00:00.000\t10s\t9s\t-\t-\t-\t-\t-
";

#[test]
fn default_columns_with_human_units() {
    let (runs, steps) = read_as("trace.txt", DEFAULT_COLUMNS).unwrap();
    assert_eq!(column(&steps, "step_id"), ["ALIGN/a", "ALIGN/b", "ALIGN/a", "REPORT"]);
    assert_eq!(column(&steps, "attempt"), ["1", "1", "2", "1"], "a task after a failed one of its tag is the retry");
    assert_eq!(column(&steps, "duration_ms"), ["50000.0", "100000.0", "40000.0", "9000.0"]);
    assert_eq!(column(&steps, "status"), ["failed", "succeeded", "succeeded", "succeeded"]);
    assert_eq!(column(&steps, "cache_hit"), ["null", "null", "null", "true"]);
    assert_eq!(steps.column("memory_mb").unwrap().get(1).unwrap(), AnyValue::Float64(1_073.741_824));
    assert_eq!(column(&runs, "started_at"), ["2024-03-01 10:00:00 UTC"], "a cached task is not this run's");
    assert_eq!(column(&runs, "ended_at"), ["2024-03-01 10:02:00.500 UTC"]);
    assert_eq!(column(&runs, "status"), ["succeeded"], "the failed attempt was retried");
}

#[test]
fn raw_numbers_with_commas_and_an_ignored_failure() {
    let text = "task_id,process,tag,name,status,attempt,submit,start,complete,realtime,%cpu,peak_rss,error_action\n\
        1,P,\"x, \"\"y\"\"\",P (x),COMPLETED,1,1700000000500,1700000000000,1700000009000,8000,98.5,1000000,-\n\
        2,P,z,P (z),FAILED,1,1700000001000,1700000003000,1700000004000,1000,-,-,IGNORE\n";
    let (runs, steps) = read_as("t.csv", text).unwrap();
    assert_eq!(column(&steps, "step_id"), ["P/x, \"y\"", "P/z"]);
    assert_eq!(column(&steps, "queue_ms"), ["null", "2000.0"], "started before it was submitted: unknown");
    assert_eq!(column(&steps, "memory_mb"), ["1.0", "null"]);
    assert_eq!(column(&runs, "status"), ["succeeded"]);
}

#[test]
fn tasks_of_one_tag_are_counted() {
    let text =
        "name\tstatus\trealtime\nP (a)\tCOMPLETED\t1s\nP (a)\tCOMPLETED\t2s\nQ\tCOMPLETED\t1s\nQ\tCOMPLETED\t1s\n";
    let (_, steps) = read_as("t_2024-01-01_00-00-00.txt", text).unwrap();
    assert_eq!(column(&steps, "step_id"), ["P/a", "P/a#2", "Q/1", "Q/2"]);
}

#[test]
fn without_any_time_the_run_needs_one() {
    let text = "name\tstatus\trealtime\nP\tCOMPLETED\t1s\n";
    assert!(read_as("trace.txt", text).unwrap_err().to_string().contains("--started-at"));
    let (runs, _) = read_as("trace_2023-04-10_10-09-42.txt", text).unwrap();
    assert_eq!(column(&runs, "started_at"), ["2023-04-10 10:09:42 UTC"]);
}

#[test]
fn values_that_are_no_numbers_are_refused_by_name() {
    let text = "name\tstatus\trealtime\tsubmit\nP\tCOMPLETED\tlong\t1700000000000\nQ\tCOMPLETED\t5s\tyesterday\n";
    let raw = read(text.as_bytes(), &Names::of("t", Overrides::default())).unwrap();
    let steps = conform_steps(&raw.steps.unwrap(), "t").unwrap();
    let rejects: Vec<_> =
        steps.rejects.iter().map(|r| (r.row, r.column.clone().unwrap(), r.value.clone().unwrap())).collect();
    assert_eq!(rejects, [(Some(0), "duration_ms".to_owned(), "long".to_owned())]);
}

#[test]
fn what_is_no_trace() {
    for (text, expected) in [
        ("", "empty"),
        ("  \n", "empty"),
        ("a,b\n1,2\n", "no column `name`"),
        ("name\nP\n", "no column `status`"),
        ("name\tstatus\n", "no tasks"),
        ("PAR1", "Parquet"),
    ] {
        let error = read_as("t", text).unwrap_err().to_string();
        assert!(error.contains(expected), "{text:?}: {error}");
    }
}
