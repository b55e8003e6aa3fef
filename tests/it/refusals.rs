//! What `ingest` refused, and what killed runs left, as the next run of the job finds them.

use crate::commands::command;
use paceline::clock::Clock;
use paceline::config::{AsOf, Config, load};
use paceline::jobs::Stages;
use paceline::jobs::run::{Outcome, Request, run};
use std::fs::File;
use std::path::Path;
use std::time::{Duration, SystemTime};

async fn run_as_of(config: &Config, as_of: AsOf) -> Outcome {
    let stages = Stages::of(&["rollups".parse().unwrap()]);
    run(config, &Request { as_of: Some(as_of), stages, backfill: false, clock: Clock::System }).await.unwrap()
}

async fn sample(folder: &Path) -> Config {
    command(&["init", folder.to_str().unwrap(), "--sample"]).await.unwrap();
    load(&folder.join("paceline.yaml")).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_ingest_refused_is_published_once_and_counts_then() {
    let folder = tempfile::tempdir().unwrap();
    let mut config = sample(folder.path()).await;
    config.limits.max_rejects_ratio = 0.0;
    let csv = folder.path().join("export.csv");
    let rows = "run_id,workflow_id,started_at,ended_at,status\n\
                x1,etl,2026-10-01T00:00:00Z,2026-10-01T00:10:00Z,succeeded\n\
                x2,etl,2026-10-01T00:00:00Z,2026-10-01T00:10:00Z,exploded\n";
    std::fs::write(&csv, rows).unwrap();
    let ingest = ["ingest", "--from", "csv", "--table", "runs", csv.to_str().unwrap(), "--lake", config.lake.as_str()];
    assert_eq!(command(&ingest).await.unwrap(), 3);

    let first = run_as_of(&config, AsOf::Latest).await;
    assert_eq!((first.rejects, first.published["rejects"], first.exit_code()), (1, 1, 3));
    let again = run_as_of(&config, AsOf::At(first.as_of)).await;
    assert!(again.already && again.exit_code() == 3, "{again:?}");
    let later = run_as_of(&config, AsOf::At(first.as_of + Duration::from_secs(3_600))).await;
    assert_eq!((later.rejects, later.published["rejects"], later.exit_code()), (0, 0, 0));

    std::fs::write(folder.path().join("lake/_rejects/odd.json"), "no list").unwrap();
    let odd = run_as_of(&config, AsOf::At(first.as_of + Duration::from_secs(7_200))).await;
    assert_eq!((odd.rejects, odd.published["rejects"]), (1, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_killed_runs_left_is_gone_after_the_next_run() {
    let folder = tempfile::tempdir().unwrap();
    let config = sample(folder.path()).await;
    run_as_of(&config, AsOf::Latest).await;
    let left = ["_state/sample/day.bin#1", "skips/as_of=2020-01-01T00-00-00Z/part-0.parquet"];
    for path in left.map(|path| folder.path().join("results").join(path)) {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        let two_days_ago = SystemTime::now() - Duration::from_secs(48 * 3_600);
        File::create(&path).unwrap().set_modified(two_days_ago).unwrap();
    }
    run_as_of(&config, AsOf::Latest).await;
    for path in left {
        assert!(!folder.path().join("results").join(path).exists(), "{path} is still there");
    }
    assert_eq!(command(&["ledger", "verify", "--results", &config.results]).await.unwrap(), 0);
}
