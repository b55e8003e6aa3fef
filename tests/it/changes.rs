//! Change points that people take for the new normal, and their way back.

use crate::workplace::{Ended, Workplace, numbers, texts};
use polars::prelude::DataFrame;
use serde_json::Value;

fn ended(place: &Workplace, arguments: &[&str]) -> Ended {
    Ended::of(place.command(arguments).output().unwrap())
}

fn listed(place: &Workplace) -> Vec<Value> {
    let ended = ended(place, &["changes", "list", "--format", "json"]);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    serde_json::from_str(&ended.stdout).unwrap()
}

fn text<'a>(change: &'a Value, key: &str) -> &'a str {
    change[key].as_str().unwrap_or_default()
}

/// Where the regime behind the baseline of the changed series begins.
fn regime_start_us(baselines: &DataFrame, change: &Value) -> i64 {
    let columns = ["workflow_id", "step", "metric"].map(|column| texts(baselines, column));
    let asked = ["workflow_id", "step", "metric"].map(|key| text(change, key));
    let row = (0..baselines.height()).find(|&row| (0..3).all(|at| columns[at][row] == asked[at])).unwrap();
    baselines.column("regime_started_at").unwrap().to_physical_repr().i64().unwrap().get(row).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_accepted_change_is_the_new_normal_until_it_is_reopened() {
    let place = Workplace::sample();
    place.run("results", &[]).outcome(0);
    let first = place.published("results").await;
    let slower = |change: &&Value| {
        let ratio = change["effect_ratio"].as_f64();
        text(change, "metric") == "execution_time" && text(change, "state") == "open" && ratio > Some(1.1)
    };
    let changes = listed(&place);
    let change = changes.iter().find(slower).unwrap_or_else(|| panic!("nothing got slower: {changes:?}"));
    let (id, changed_at) = (text(change, "id"), text(change, "changed_at"));
    let changed_us = chrono::DateTime::parse_from_rfc3339(changed_at).unwrap().timestamp_micros();
    let before_us = regime_start_us(&place.table("results", "baselines").await, change);
    assert!(before_us < changed_us, "an open regression is no normal");

    let why = ["--by", "ops", "--reason", "the new model is slower, and better"];
    let unknown = ended(&place, &[&["changes", "accept", "zzz"], &why[..]].concat());
    assert_eq!(unknown.code, Some(2), "{unknown:?}");
    let accepted = ended(&place, &[&["changes", "accept", &id[..8]], &why[..]].concat());
    assert_eq!(accepted.code, Some(0), "{accepted:?}");
    assert_eq!(listed(&place).iter().filter(|change| text(change, "state") == "accepted").count(), 1);
    let again = ended(&place, &[&["changes", "accept", id], &why[..]].concat());
    assert!(again.stdout.contains("is accepted already"), "{again:?}");

    assert_eq!(place.run("results", &[]).outcome(0)["already_committed"], false, "another normal, another run");
    assert_eq!(regime_start_us(&place.table("results", "baselines").await, change), changed_us);
    let points = place.table("results", "change_points").await;
    assert_eq!(texts(&points, "state").iter().filter(|state| *state == "accepted").count(), 1);
    assert_eq!(numbers(&points, "p_value").len(), changes.len(), "the same are published");

    let reopened = ended(&place, &[&["changes", "reopen", id], &why[..]].concat());
    assert_eq!(reopened.code, Some(0), "{reopened:?}");
    place.run("results", &[]).outcome(0);
    let last = place.published("results").await;
    for (path, bytes) in first.iter().filter(|(path, _)| path.starts_with("baselines/") || path.starts_with("change_"))
    {
        assert!(last[path] == *bytes, "{path} is what it was");
    }
    // Three runs and two decisions, in one chain.
    assert_eq!(place.verified_entries("results").await, 5);
}
