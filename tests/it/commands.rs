//! Commands as they are typed.

use clap::Parser;
use paceline::cli::{Cli, run};
use paceline::error::Error;
use paceline::io::Store;
use paceline::publish;
use std::path::{Path, PathBuf};

pub(crate) async fn command(words: &[&str]) -> Result<u8, Error> {
    run(Cli::try_parse_from([&["paceline"], words].concat()).unwrap()).await
}

fn configured(folder: &Path, text: &str) -> PathBuf {
    let path = folder.join("paceline.yaml");
    std::fs::write(&path, text).unwrap();
    path
}

#[tokio::test(flavor = "multi_thread")]
async fn ledger_takes_results_from_the_option_or_the_configuration() {
    let folder = tempfile::tempdir().unwrap();
    let results = folder.path().join("out");
    let (results, config) = (results.to_str().unwrap(), configured(folder.path(), "results: ./out\n"));
    publish::commit(&Store::open(results).unwrap(), None, crate::publish::batch("nightly", 1)).await.unwrap();
    for verb in ["show", "verify"] {
        assert_eq!(command(&["ledger", verb, "--config", config.to_str().unwrap()]).await.unwrap(), 0);
        assert_eq!(command(&["ledger", verb, "--results", results]).await.unwrap(), 0);
        let error = command(&["ledger", verb]).await.unwrap_err();
        assert_eq!(error.exit_code(), 2);
        assert!(error.to_string().contains("--config F or --results URL"), "{error}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_location_without_a_ledger_does_not_verify() {
    let folder = tempfile::tempdir().unwrap();
    let error = command(&["ledger", "verify", "--results", folder.path().to_str().unwrap()]).await.unwrap_err();
    assert_eq!(error.exit_code(), 4);
    assert!(error.to_string().contains("no ledger"), "{error}");
}

#[tokio::test]
async fn migrate_takes_the_database_from_the_configuration() {
    let folder = tempfile::tempdir().unwrap();
    for (text, expected) in
        [("postgres: null\n", "--postgres URL"), ("postgres: env:PACELINE_TEST_NEVER_SET\n", "PACELINE_TEST_NEVER_SET")]
    {
        let config = configured(folder.path(), text);
        let error = command(&["migrate", "status", "--config", config.to_str().unwrap()]).await.unwrap_err();
        assert_eq!(error.exit_code(), 2);
        assert!(error.to_string().contains(expected), "{error}");
    }
    assert!(command(&["migrate", "up"]).await.unwrap_err().to_string().contains("--postgres URL"));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_example_maps_bring_tables_of_other_names_in() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let runs = "run_id,workflow,started_at,ended_at,machine\nr,etl,2026-01-01T00:00:00Z,2026-01-01T01:00:00Z,m1\n";
    let steps = "run_id,step_id,step_type,depends_on,duration_s,memory_peak_bytes,memory_requested_bytes,cpu_requested,machine\n\
                 r,1,load,,2.5,3000000,4000000,2,m1\nr,2,align,1,7,3000000,4000000,2,m1\n";
    for (table, rows) in [("runs", runs), ("steps", steps)] {
        let (file, map) =
            (path(&format!("{table}.csv")), format!("{}/jobs/maps/{table}.yaml", env!("CARGO_MANIFEST_DIR")));
        std::fs::write(&file, rows).unwrap();
        let words = ["ingest", "--from", "csv", "--table", table, "--map", &map, "--lake", &path("lake"), &file];
        assert_eq!(command(&words).await.unwrap(), 0, "{table}");
    }
    let lake = path("lake/steps/date=2026-01-01/part-0.parquet");
    let steps = paceline::ingest::raw::parquet(&std::fs::read(lake).unwrap(), |_| true).unwrap();
    let first = |name: &str| steps.column(name).unwrap().get(0).unwrap().to_string();
    let names = ["step_id", "duration_ms", "memory_mb", "platform"];
    assert_eq!(names.map(first), ["\"align/2\"", "7000.0", "3.0", "\"m1\""]);
    let waits = steps.column("depends_on").unwrap().list().unwrap().get_as_series(0).unwrap();
    assert_eq!(waits.str().unwrap().get(0), Some("load/1"));
}
