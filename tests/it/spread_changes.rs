//! Executions that begin to scatter, from the lake to the table.

use crate::workplace::{Workplace, numbers, texts};
use chrono::{DateTime, TimeDelta, Utc};
use std::fmt::Write;

/// Sixty days of forty executions a day round two minutes: `fetch` scatters by a tenth, and by three tenths from day 40
/// on, `store` by a tenth all the time.
fn steps() -> String {
    let begin: DateTime<Utc> = "2026-01-05T00:00:00Z".parse().unwrap();
    let mut csv = "run_id,workflow_id,step_id,started_at,ended_at,status\n".to_owned();
    for i in 0..60 * 40_i64 {
        let start = begin + TimeDelta::minutes(i * 36);
        for (step, wider) in [("fetch", 3.0), ("store", 1.0)] {
            let share = if i >= 40 * 40 { 0.1 * wider } else { 0.1 };
            // Between −1 and 1, the same in every run of the test.
            let scrambled = (i as u64 * 2 + wider as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ 0x5851_F42D;
            let error = (scrambled.wrapping_mul(0xBF58_476D_1CE4_E5B9) >> 32) as f64 / f64::from(1_u32 << 31) - 1.0;
            let end = start + TimeDelta::milliseconds((120_000.0 * (1.0 + share * error)) as i64);
            let text = |at: DateTime<Utc>| at.format("%Y-%m-%dT%H:%M:%S%.3fZ").to_string();
            writeln!(csv, "r{i},nightly,{step},{},{},succeeded", text(start), text(end)).unwrap();
        }
    }
    csv
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wider_scatter_is_published_and_told_once() {
    let place = Workplace::empty();
    std::fs::write(place.path("steps.csv"), steps()).unwrap();
    let paths = [place.path("steps.csv"), place.path("lake")].map(|path| path.to_str().unwrap().to_owned());
    let ingest = ["ingest", "--from", "csv", "--table", "steps", &paths[0], "--lake", &paths[1]];
    let done = place.command(&ingest).output().unwrap();
    assert!(done.status.success(), "{done:?}");
    for day in ["2026-03-03", "2026-03-06"] {
        place.configure(&format!("as_of: {day}T00:00:00Z\n"));
        place.run("results", &[]).outcome(0);
    }
    // A row of each run.
    let found = place.table("results", "spread_changes").await;
    assert_eq!(
        (texts(&found, "step"), texts(&found, "metric")),
        (vec!["fetch".to_owned(); 2], vec!["execution_time".to_owned(); 2])
    );
    let of = |column| numbers(&found, column);
    // Uniform between −x and x: its tenths are at ∓0.8 x.
    assert!(of("before").iter().all(|before| (before / (1.08 / 0.92) - 1.0).abs() < 0.03), "{found:?}");
    assert!(of("after").iter().all(|after| (after / (1.24 / 0.76) - 1.0).abs() < 0.03), "{found:?}");
    assert!(of("effect_lower")[0] < of("effect_ratio")[0] && of("effect_ratio")[0] < of("effect_upper")[0]);
    let changed_at = found.column("changed_at").unwrap().to_physical_repr().i64().unwrap().to_vec_null_aware();
    let planted: DateTime<Utc> = "2026-02-14T00:00:00Z".parse().unwrap();
    assert_eq!(changed_at.left(), Some(vec![planted.timestamp_micros(); 2]), "it stays where it was told");
}
