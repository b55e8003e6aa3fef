//! Models over several runs: kept, walked forward, trained anew, refused, damaged. And what is said of whole runs.

use crate::postgres::Server;
use crate::publish::same_rows;
use crate::workplace::{Workplace, numbers, texts};
use paceline::publish::ledger::State;
use polars::prelude::DataFrame;
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

/// Eight in the morning, so that a model is not due six hours later.
const FIRST: [&str; 2] = ["--as-of", "2026-10-09T08:00:00Z"];
const WITHIN: [&str; 2] = ["--as-of", "2026-10-09T14:00:00Z"];
const DUE: [&str; 2] = ["--as-of", "2026-10-11T08:00:00Z"];
const LATER: [&str; 2] = ["--as-of", "2026-10-12T08:00:00Z"];

/// Versions of a target's model, by folder name.
fn versions(place: &Workplace, target: &str) -> Vec<PathBuf> {
    let folder = place.path("results/models/registry/sample").join(target);
    let mut found: Vec<PathBuf> =
        fs::read_dir(folder).map(|all| all.map(|one| one.unwrap().path()).collect()).unwrap_or_default();
    found.sort();
    found
}

fn card(version: &std::path::Path) -> Value {
    serde_json::from_slice(&fs::read(version.join("card.json")).unwrap()).unwrap()
}

/// The model that the last entry names for a target.
async fn named(place: &Workplace, target: &str) -> String {
    let state = State::load(&place.store("results")).await.unwrap();
    state.head().unwrap().entry.event.run().unwrap().models[&format!("prediction.{target}")].clone()
}

/// The rows of a table as of an instant.
fn as_of(place: &Workplace, table: &str, instant: [&str; 2]) -> DataFrame {
    let folder = format!("results/{table}/as_of={}/part-0.parquet", instant[1].replace(':', "-"));
    paceline::ingest::raw::parquet(&fs::read(place.path(&folder)).unwrap(), |_| true).unwrap()
}

/// Held-out executions behind each model's score over all groups of a target.
fn scored(place: &Workplace, instant: [&str; 2], target: &str) -> BTreeMap<String, f64> {
    let frame = as_of(place, "model_scores", instant);
    let columns = ["engine", "target", "group_id", "model"].map(|column| texts(&frame, column));
    let rows = (0..frame.height()).zip(numbers(&frame, "n"));
    rows.filter(|(row, _)| columns[0][*row] == "prediction" && columns[1][*row] == target && columns[2][*row] == "*")
        .map(|(row, n)| (columns[3][row].clone(), n))
        .collect()
}

fn reasons(place: &Workplace, instant: [&str; 2]) -> Vec<String> {
    texts(&as_of(place, "skips", instant), "reason")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_model_is_kept_goes_on_and_a_worse_one_is_refused() {
    let place = Workplace::sample();
    place.run("results", &FIRST).outcome(0);
    let first = versions(&place, "duration_ms");
    assert_eq!(first.len(), 1);
    let about = card(&first[0]);
    let bytes = fs::read(first[0].join("model.bin")).unwrap();
    let digest = blake3::hash(&bytes).to_hex().to_string();
    assert_eq!((&about["version"], &about["model"]["blake3"]), (&Value::from(1), &Value::from(digest.as_str())));
    assert_eq!((&about["decision"], &about["hyperparameters"]["seed"]), (&Value::from("first"), &Value::from(7)));
    assert!(about["executions"].as_u64() > Some(1_000) && about["scores"].as_array().unwrap().len() > 4, "{about}");
    assert!(about["data_window"]["last_ended_at"].as_str() <= Some("2026-10-09T08:00:00Z"), "{about}");
    assert_eq!(named(&place, "duration_ms").await, digest);

    place.run("results", &WITHIN).outcome(0);
    assert_eq!(versions(&place, "duration_ms"), first, "too young to be trained anew");
    assert_eq!(named(&place, "duration_ms").await, digest);
    let scores = scored(&place, WITHIN, "duration_ms");
    assert!(scores["champion"] > 0.0 && scores["loglinear"] > scores["champion"], "{scores:?}");
    assert!(!scores.contains_key("challenger"));
    let moved = |instant| numbers(&as_of(&place, "predictions", instant), "point");
    assert_ne!(moved(FIRST), moved(WITHIN), "it has learned from what ended since");

    // Blind to input sizes and providers, a new model can only be worse.
    let all = "features: [workflow_type, step_type, step_count, input_bytes, provider, hour_of_week]";
    place.reconfigure(all, "features: [workflow_type]");
    place.run("results", &DUE).outcome(0);
    assert_eq!(versions(&place, "duration_ms"), first);
    assert_eq!(named(&place, "duration_ms").await, digest);
    let scores = scored(&place, DUE, "duration_ms");
    assert_eq!(scores["champion"].to_bits(), scores["challenger"].to_bits(), "on the same executions: {scores:?}");
    let refused = |reason: &&String| reason.starts_with("duration_ms: the model that was trained anew is refused");
    assert!(reasons(&place, DUE).iter().find(refused).unwrap().contains("version 1 stays"));
    assert_eq!(place.run("results", &DUE).outcome(0)["already_committed"], true);

    // With them, one that is no worse takes its place.
    place.reconfigure("features: [workflow_type]", all);
    place.run("results", &LATER).outcome(0);
    let second = versions(&place, "duration_ms");
    assert_eq!(second.len(), 2, "{:?}", reasons(&place, LATER));
    let about = card(&second[1]);
    assert_eq!((&about["version"], &about["decision"]), (&Value::from(2), &Value::from("promoted")));
    assert_eq!(about["replaces"], digest.as_str());
    assert_eq!(place.verified_entries("results").await, 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_model_that_was_changed_is_not_used_and_that_is_told() {
    let place = Workplace::sample();
    place.run("results", &FIRST).outcome(0);
    let model = versions(&place, "duration_ms")[0].join("model.bin");
    let mut bytes = fs::read(&model).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&model, &bytes).unwrap();
    fs::remove_file(versions(&place, "memory_mb")[0].join("model.bin")).unwrap();
    place.run("results", &WITHIN).outcome(0);
    let told = reasons(&place, WITHIN);
    for text in ["it was changed or damaged", "model.bin is missing"] {
        assert!(
            told.iter().any(|reason| reason.contains("version 1 is not used") && reason.contains(text)),
            "{told:?}"
        );
    }
    let about = card(&versions(&place, "duration_ms")[1]);
    assert_eq!((&about["version"], &about["decision"]), (&Value::from(2), &Value::from("first")));
    assert_eq!(versions(&place, "memory_mb").len(), 2);
    assert_eq!(versions(&place, "cost_usd").len(), 1, "the others go on");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_past_knows_no_later_model() {
    let place = Workplace::sample();
    place.run("results", &LATER).outcome(0);
    place.run("results", &FIRST).outcome(0);
    place.run("alone", &FIRST).outcome(0);
    for table in ["predictions", "model_scores"] {
        let read = |results: &str| {
            fs::read(place.path(results).join(format!("{table}/as_of=2026-10-09T08-00-00Z/part-0.parquet"))).unwrap()
        };
        assert!(read("results") == read("alone"), "{table}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn whole_runs_are_predicted_scored_and_skipped() {
    let place = Workplace::sample();
    let server = Server::start();
    if let Some(server) = &server {
        place.use_postgres(server);
    }
    place.run("results", &LATER).outcome(0);
    if let Some(server) = &server {
        same_rows(server, &place.store("results")).await;
    }
    let frame = as_of(&place, "predictions", LATER);
    let [workflows, steps, targets] = ["workflow_id", "step", "target"].map(|column| texts(&frame, column));
    let [points, lowers, uppers] = ["point", "lower", "upper"].map(|column| numbers(&frame, column));
    let whole = |row: &usize| steps[*row].is_empty() && targets[*row] == "duration_ms";
    let rows: Vec<usize> = (0..frame.height()).filter(whole).collect();
    let predicted: Vec<&str> = rows.iter().map(|&row| workflows[row].as_str()).collect();
    eprintln!("whole runs: {predicted:?}");
    assert!(!predicted.is_empty());
    for row in rows {
        assert!(lowers[row] < points[row] && points[row] < uppers[row] && uppers[row] < 20.0 * lowers[row]);
    }
    let scores = as_of(&place, "model_scores", LATER);
    let [engines, models, groups, states] =
        ["engine", "model", "group_id", "coverage_state"].map(|column| texts(&scores, column));
    let targets = texts(&scores, "target");
    let of = |model: &str, column: &str| {
        let is_it = |row: &usize| {
            engines[*row] == "run_prediction"
                && models[*row] == model
                && groups[*row] == "*"
                && targets[*row] == "duration_ms"
        };
        let row = (0..scores.height()).find(is_it).unwrap();
        numbers(&scores, column)[row]
    };
    eprintln!(
        "whole runs held out: {}, coverage {:.3}, mdape {:.3} beside {:.3} (median of recent) and {:.3} (last)",
        of("replay", "n"),
        of("replay", "coverage"),
        of("replay", "mdape"),
        of("recent_median", "mdape"),
        of("last_run", "mdape")
    );
    assert!(of("replay", "n") >= 40.0 && of("replay", "coverage") > 0.8);
    let with_interval = numbers(&scores, "coverage");
    for (row, engine) in engines.iter().enumerate() {
        let has_state = matches!(states[row].as_str(), "held" | "low" | "high");
        assert_eq!(
            has_state,
            !matches!(engine.as_str(), "forecast" | "anomaly") && with_interval[row].is_finite(),
            "row {row}"
        );
    }
    let told = reasons(&place, LATER);
    let skipped = as_of(&place, "skips", LATER);
    let n_skipped = texts(&skipped, "analysis").iter().filter(|analysis| *analysis == "run_prediction").count();
    let n_workflows = workflows.iter().collect::<std::collections::BTreeSet<_>>().len();
    assert_eq!(predicted.len() + n_skipped, n_workflows, "each is predicted or told of: {told:?}");
}
