//! The commands with lake and results in S3: what they publish is what they publish on a disk.

use crate::stores::S3;
use paceline::io::Store;
use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

/// Runs the command with the server in its environment, and gives back what it printed.
fn paceline(server: &S3, words: &[&str]) -> String {
    let environment = server.options().map(|(key, value)| (key.to_uppercase(), value));
    let output = Command::new(env!("CARGO_BIN_EXE_paceline")).args(words).envs(environment).output().unwrap();
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{words:?} ended with {}: {out}{err}", output.status);
    assert!(!format!("{out}{err}").contains("not-a-secret"), "a secret is shown");
    out.into_owned()
}

/// Everything but what a run keeps for itself, which names the store's own tags.
async fn published(store: &Store) -> BTreeMap<String, Vec<u8>> {
    let mut files = crate::publish::snapshot(store).await;
    files.retain(|path, _| !path.starts_with("_state/"));
    files
}

fn ingest_and_run(server: &S3, sample: &Path, lake: &str, results: &str) {
    let (exported, config) = (sample.join("lake"), sample.join("paceline.yaml"));
    let (exported, config) = (exported.to_str().unwrap(), config.to_str().unwrap());
    paceline(server, &["ingest", "--from", "canonical", exported, "--lake", lake]);
    paceline(server, &["run", "--config", config, "--lake", lake, "--results", results]);
    let again = paceline(server, &["run", "--config", config, "--lake", lake, "--results", results]);
    assert!(again.contains("nothing to do"), "{again}");
    assert!(paceline(server, &["ledger", "verify", "--results", results]).contains("1 entries in one chain"));
}

#[tokio::test(flavor = "multi_thread")]
async fn s3_gets_the_bytes_that_a_disk_gets() {
    let Some(server) = S3::start() else { return };
    let folder = tempfile::tempdir().unwrap();
    let sample = folder.path().join("sample");
    paceline(&server, &["init", sample.to_str().unwrap(), "--sample"]);
    let on_disk = folder.path().join("results");
    let lake = folder.path().join("lake");
    ingest_and_run(&server, &sample, lake.to_str().unwrap(), on_disk.to_str().unwrap());
    ingest_and_run(&server, &sample, "s3://bucket/lake", "s3://bucket/results");
    let disk = published(&Store::open(on_disk.to_str().unwrap()).unwrap()).await;
    let cloud = published(&Store::open_with("s3://bucket/results", server.options()).unwrap()).await;
    assert!(disk.len() > 20, "{:?}", disk.keys());
    assert_eq!(disk.keys().collect::<Vec<_>>(), cloud.keys().collect::<Vec<_>>());
    for (path, bytes) in &disk {
        assert!(cloud.get(path) == Some(bytes), "{path} differs");
    }
}
