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
