//! What got slower in the latest window.

use crate::workplace::{Workplace, numbers, texts};
use chrono::{DateTime, TimeDelta, Utc};
use std::fmt::Write;

const WEEKS: i64 = 4;
const PER_HOUR: i64 = 6;

/// Steps of four weeks and two days, the last hour of which takes `factor` times as long.
fn steps(factor: f64) -> String {
    let begin: DateTime<Utc> = "2026-01-05T00:00:00Z".parse().unwrap();
    let mut csv = "run_id,workflow_id,step_id,started_at,ended_at,status\n".to_owned();
    let hours = (WEEKS * 7 + 2) * 24;
    for i in 0..hours * PER_HOUR {
        let start = begin + TimeDelta::minutes(i * 60 / PER_HOUR);
        let late = if i >= (hours - 1) * PER_HOUR { factor } else { 1.0 };
        // Scattered by a tenth, the same in every run of the test.
        let scatter = 0.9 + 0.2 * ((i * 7_919) % 101) as f64 / 100.0;
        let end = start + TimeDelta::milliseconds((120_000.0 * scatter * late) as i64);
        let text = |at: DateTime<Utc>| at.format("%Y-%m-%dT%H:%M:%S%.3fZ").to_string();
        writeln!(csv, "r{i},nightly,fetch,{},{},succeeded", text(start), text(end)).unwrap();
    }
    csv
}

/// `degradations` after a run over such steps, under `more` of the configuration.
async fn published(factor: f64, more: &str) -> polars::prelude::DataFrame {
    let place = Workplace::empty();
    place.configure(&format!("as_of: 2026-02-04T00:00:00Z\n{more}"));
    std::fs::write(place.path("steps.csv"), steps(factor)).unwrap();
    let (source, lake) = (place.path("steps.csv"), place.path("lake"));
    let paths = [source.to_str().unwrap(), lake.to_str().unwrap()];
    let ingest = ["ingest", "--from", "csv", "--table", "steps", paths[0], "--lake", paths[1]];
    let done = place.command(&ingest).output().unwrap();
    assert!(done.status.success(), "{done:?}");
    place.run("results", &[]).outcome(0);
    place.table("results", "degradations").await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_hour_that_took_longer_is_published_as_configured() {
    let found = published(1.5, "").await;
    assert_eq!(
        (texts(&found, "step"), texts(&found, "severity")),
        (vec!["fetch".to_owned()], vec!["medium".to_owned()])
    );
    let of = |column| numbers(&found, column)[0];
    assert!((1.4..1.6).contains(&of("ratio")) && of("ratio_lower") > 1.2, "{found:?}");
    assert!((of("observed_ms") / of("expected_ms") / of("ratio") - 1.0).abs() < 1e-9);
    assert!((0.9..1.1).contains(&(of("expected_ms") / 120_000.0)), "{found:?}");

    let alert = |threshold| {
        format!(
            "performance_optimization: {{ monitoring: {{ alerts: {{ performance_degradation: {{ threshold: \
             {threshold}, severity: critical }} }} }} }}\n"
        )
    };
    assert_eq!(texts(&published(1.5, &alert(0.4)).await, "severity"), ["critical"]);
    assert_eq!(published(1.5, &alert(0.8)).await.height(), 0);
    assert_eq!(published(1.0, "").await.height(), 0);
}
