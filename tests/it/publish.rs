//! Publishing: committed once, in one state whatever happens on the way, and the same rows in Postgres.

use crate::postgres::Server;
use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use arrow::datatypes::{Float64Type, Int16Type, Int64Type, TimestampMicrosecondType};
use chrono::{DateTime, NaiveDate, NaiveDateTime, TimeZone, Utc};
use paceline::cli::ledger::{LedgerArgs, LedgerCommand, LedgerTarget};
use paceline::cli::migrate::{MigrateArgs, MigrateCommand, MigrateTarget, migrate};
use paceline::cli::output::Format;
use paceline::io::Store;
use paceline::publish::ledger::{self, InputFile, LATEST, Slot, State, entry_path};
use paceline::publish::parquet::read_table;
use paceline::publish::postgres::Database;
use paceline::publish::{Batch, Output, commit, dictionary, prepare, write};
use paceline::pure::samples::{UNKNOWN, Vocabulary};
use paceline::pure::series::Metric;
use paceline::tables::published::{
    AnomalyRow, BaselineRow, BottleneckRow, CapacityPlanRow, ChangePointRow, ColumnKind, ColumnSpec, ComparisonRow,
    DegradationRow, ExperimentResultRow, ForecastRow, Instant, Json, ModelScoreRow, OutcomeRow, Partition,
    PredictionRow, RecommendationRow, RejectRow, RollupColumns, SkipRow, SpreadChangeRow, StepTimesRow, TABLES,
    TableSpec, TrendRow,
};
use sqlx::{AssertSqlSafe, Connection, PgConnection, Row};
use std::collections::{BTreeMap, BTreeSet};
use tempfile::TempDir;

/// What people give their workflows as names, sooner or later.
const HOSTILE: &str = "a\"b'c,\\d\n\t<script>../é\u{1F600}\0";

fn as_of(day: u32) -> DateTime<Utc> {
    Utc.with_ymd_and_hms(2026, 3, day, 6, 0, 0).unwrap()
}

fn slot(job: &str, day: u32) -> Slot {
    Slot {
        job: job.to_owned(),
        as_of: as_of(day),
        stages: vec!["rollup".to_owned(), "analysis".to_owned()],
        config_hash: "c0ffee".to_owned(),
        seed: 7,
        inputs: vec![InputFile {
            path: format!("steps/date=2026-03-{day:02}/a.parquet"),
            size: 10,
            digest: "d1".into(),
        }],
        champions: BTreeMap::new(),
        accepted: Vec::new(),
        earlier_changes: None,
        decided: None,
    }
}

/// A run with a file for every table; the rollups of each day are those of one date, as when late rows arrive.
pub(crate) fn batch(job: &str, day: u32) -> Batch {
    let mut outputs = vec![rollups(day)];
    outputs.extend(tables(day));
    Batch {
        slot: slot(job, day),
        backfill: false,
        models: BTreeMap::from([("duration_ms".to_owned(), "m1".to_owned())]),
        outputs,
        written: Vec::new(),
    }
}

fn rollups(day: u32) -> Output {
    let mut vocabulary = Vocabulary::default();
    let (workflow, step) = (vocabulary.intern(HOSTILE), vocabulary.intern("align"));
    let value = f64::from(day);
    let measures = vec![value, f64::NAN, f64::INFINITY];
    let columns = RollupColumns {
        bucket_start_us: vec![0, 3_600_000_000, -1],
        workflow_id: vec![workflow; 3],
        workflow_type: vec![step; 3],
        step: vec![step, UNKNOWN, step],
        provider: vec![UNKNOWN; 3],
        platform: vec![workflow; 3],
        metric: vec![Metric::ExecutionTime, Metric::Throughput, Metric::QueueTime],
        count: vec![i64::from(day), 0, 1],
        error_count: vec![0, 0, i64::MAX],
        sum: measures.clone(),
        mean: measures.clone(),
        std: measures.clone(),
        min: measures.clone(),
        max: measures.clone(),
        p50: measures.clone(),
        p90: measures.clone(),
        p95: measures.clone(),
        p99: measures,
        bin_offsets: vec![0, 2, 2, 3],
        bins: vec![-3, 7, i16::MIN],
        bin_counts: vec![1, 2, i64::MAX],
    };
    let date = NaiveDate::from_ymd_opt(2026, 2, 28).unwrap();
    Output::of_rollups("1h", date, columns, vocabulary.words()).unwrap()
}

pub(crate) fn rejects() -> Vec<RejectRow> {
    let reject = |row| RejectRow {
        file: "a.csv".into(),
        row,
        column: Some("duration_ms".into()),
        value: Some(HOSTILE.into()),
        reason: "negative".into(),
    };
    vec![reject(Some(4)), reject(None), reject(Some(4))]
}

/// One row of every table but the rollups, with all that is awkward: names, nulls, infinities, empty lists.
fn tables(day: u32) -> Vec<Output> {
    let text = |text: &str| text.to_owned();
    let (workflow_id, workflow_type, step) = (text(HOSTILE), text("etl"), Some(text("align")));
    let instant = Instant(i64::from(day) * 1_000_003);
    let at = as_of(day);
    let outputs = [
        Output::of_rows(
            at,
            vec![AnomalyRow {
                run_id: text("r1"),
                step_id: None,
                attempt: Some(2),
                workflow_id: workflow_id.clone(),
                workflow_type: workflow_type.clone(),
                step: step.clone(),
                started_at: Some(instant),
                ended_at: None,
                score: 0.9,
                direction: text("slow"),
                severity: text("high"),
                metric: text("duration_ms"),
                observed: 1e300,
                expected: -0.0,
                expected_lower: f64::NEG_INFINITY,
                expected_upper: f64::INFINITY,
                level: 0.95,
                reasons: vec![text(HOSTILE), text("")],
            }],
        ),
        Output::of_rows(
            at,
            vec![DegradationRow {
                workflow_id: workflow_id.clone(),
                workflow_type: workflow_type.clone(),
                step: text(HOSTILE),
                metric: text("execution_time"),
                severity: text("medium"),
                window_start: Instant(0),
                window_end: instant,
                n: 8,
                n_before: i64::MAX,
                observed_ms: 1_500.0,
                expected_ms: 1_000.0,
                ratio: 1.5,
                ratio_lower: 1.2,
                ratio_upper: f64::INFINITY,
                level: 0.95,
                p_value: 0.0,
            }],
        ),
        Output::of_rows(
            at,
            vec![BaselineRow {
                workflow_id: workflow_id.clone(),
                workflow_type: workflow_type.clone(),
                step: None,
                metric: text("cost"),
                unit: text("usd"),
                value: f64::NAN,
                value_lower: 1.0,
                value_upper: 2.0,
                level: 0.95,
                spread: 0.1,
                normal_lower: 0.5,
                normal_upper: 3.0,
                normal_level: 0.9,
                method: text("mean"),
                sample_size: i64::from(day),
                regime_started_at: instant,
                version: 1,
            }],
        ),
        Output::of_rows(
            at,
            vec![BottleneckRow {
                rank: 1,
                bottleneck_id: text("b1"),
                workflow_id: workflow_id.clone(),
                step: step.clone(),
                r#type: text("slow_step"),
                severity: text("high"),
                impact: 0.3,
                impact_lower: 0.2,
                impact_upper: 0.4,
                level: 0.9,
                saving_ms: 1200.0,
                description: text(""),
                causes: Vec::new(),
                evidence: vec![text("baselines:x")],
                status: text("open"),
                opened_at: instant,
                inferred_confidence: None,
            }],
        ),
        Output::of_rows(
            at,
            vec![ChangePointRow {
                workflow_id: workflow_id.clone(),
                workflow_type: workflow_type.clone(),
                step,
                metric: text("cost"),
                unit: text("usd"),
                changed_at: instant,
                before: 1.0,
                after: 2.0,
                effect_ratio: f64::NAN,
                effect_lower: 1.5,
                effect_upper: 2.5,
                level: 0.95,
                p_value: 1e-12,
                state: text("open"),
            }],
        ),
        Output::of_rows(
            at,
            vec![SpreadChangeRow {
                workflow_id: workflow_id.clone(),
                workflow_type: workflow_type.clone(),
                step: None,
                metric: text("execution_time"),
                changed_at: instant,
                before: 1.5,
                after: 3.0,
                effect_ratio: 2.0,
                effect_lower: f64::NEG_INFINITY,
                effect_upper: f64::NAN,
                level: 0.95,
                p_value: 1e-12,
            }],
        ),
        Output::of_rows(
            at,
            vec![StepTimesRow {
                workflow_id: workflow_id.clone(),
                step: text(HOSTILE),
                n_runs: 40,
                n_executions: 2.5,
                duration_ms: 1.5,
                wait_ms: f64::NAN,
                slack_ms: 0.0,
                blocking_ms: 3.0,
                blocking_share: 1.0,
                typical_run_id: text(HOSTILE),
                typical_ready_ms: None,
                typical_start_ms: Some(0.5),
                typical_end_ms: Some(f64::INFINITY),
                is_on_critical_path: true,
                inferred_confidence: Some(0.99),
            }],
        ),
        Output::of_rows(
            at,
            vec![ComparisonRow {
                workflow_type: workflow_type.clone(),
                dimension: text("provider"),
                a: text("x"),
                b: text("y"),
                metric: text("cost"),
                ratio: 0.5,
                ratio_lower: 0.4,
                ratio_upper: 0.6,
                level: 0.95,
                n_a: 10,
                n_b: 11,
            }],
        ),
        Output::of_rows(
            at,
            vec![ExperimentResultRow {
                experiment_id: text("e1"),
                workflow_type: workflow_type.clone(),
                metric: text("cost"),
                arm: text("B"),
                n: 5,
                estimate: 1.0,
                effect: None,
                effect_lower: Some(f64::NAN),
                effect_upper: Some(1.0),
                relative_effect: None,
                relative_lower: None,
                relative_upper: None,
                level: 0.95,
                p_value: Some(0.5),
                method: text("sequential"),
                srm_p_value: 0.7,
                decision: text("keep_running"),
                looks: 3,
                first_look_at: instant,
                role: Some("primary".into()),
                stat: Some("log_ratio".into()),
                reason: Some("better at any look".into()),
                e_value: None,
                srm_sequential_p_value: None,
                probability_best: Some(0.9),
                expected_loss: None,
                detectable_effect: None,
                units_to_decision: None,
                days_to_decision: None,
            }],
        ),
        Output::of_rows(
            at,
            vec![CapacityPlanRow {
                resource: text("api_calls"),
                provider: Some(text("openai")),
                unit: text("calls"),
                growth: 1.5,
                horizon: 1,
                ds: instant,
                demand_p50: 3.0,
                demand_p80: 4.0,
                demand_p95: 6.0,
                demand_lower: 1.0,
                demand_upper: 7.0,
                level: 0.95,
                capacity: Some(5.0),
                shortage_probability: Some(0.1),
                exhausted_on: Some(instant),
                exhausted_lower: None,
                exhausted_upper: None,
                cutoff: instant,
            }],
        ),
        Output::of_rows(
            at,
            vec![ForecastRow {
                workflow_id: workflow_id.clone(),
                workflow_type: workflow_type.clone(),
                step: None,
                metric: text("throughput"),
                unit: text("executions"),
                horizon: 1,
                ds: instant,
                model: text("seasonal_naive"),
                point: 3.0,
                lower: 1.0,
                upper: 5.0,
                level: 0.8,
                cutoff: instant,
            }],
        ),
        Output::of_rows(
            at,
            vec![ModelScoreRow {
                engine: text("prediction"),
                target: text("duration_ms"),
                group_id: text("*"),
                model: text("ols"),
                is_rival: false,
                n: 100,
                in20: Some(0.8),
                mdape: Some(0.1),
                wape: None,
                mase: None,
                coverage: Some(f64::NAN),
                width_ratio: None,
                level: Some(0.9),
                coverage_state: Some(text("low")),
            }],
        ),
        Output::of_rows(
            at,
            [None, Some(text("align"))]
                .map(|step| PredictionRow {
                    workflow_id: workflow_id.clone(),
                    workflow_type: workflow_type.clone(),
                    step,
                    provider: None,
                    size_bucket: text("typical"),
                    input_bytes: Some(1e9),
                    target: text("duration_ms"),
                    point: 1.0,
                    lower: 0.5,
                    upper: 2.0,
                    level: 0.9,
                    n_seen: 0,
                })
                .to_vec(),
        ),
        Output::of_rows(at, vec![recommendation(&workflow_id)]),
        Output::of_rows(at, vec![outcome(&workflow_id)]),
        Output::of_rows(at, rejects()),
        Output::of_rows(
            at,
            vec![SkipRow {
                analysis: text("trends"),
                workflow: workflow_id,
                workflow_type: None,
                step: None,
                metric: None,
                reason: text("needed 14 buckets, found 3"),
            }],
        ),
        Output::of_rows::<TrendRow>(at, Vec::new()),
    ];
    outputs.into_iter().map(Result::unwrap).collect()
}

fn recommendation(workflow_id: &str) -> RecommendationRow {
    RecommendationRow {
        recommendation_id: "rec1".to_owned(),
        rank: 1,
        workflow_id: workflow_id.to_owned(),
        target: "align".to_owned(),
        r#type: "RESOURCE_ALLOCATION".to_owned(),
        category: "performance".to_owned(),
        title: "More memory".to_owned(),
        impact: 0.1,
        impact_lower: 0.0,
        impact_upper: 0.2,
        level: 0.95,
        saving_ms: 10.0,
        saving_ms_lower: 5.0,
        saving_ms_upper: 15.0,
        saving_usd: None,
        saving_usd_lower: None,
        saving_usd_upper: None,
        feasibility: 0.9,
        effort: "low".to_owned(),
        risk: "low".to_owned(),
        probability: 0.5,
        actions: Json("[{\"op\":\"set\",\"path\":\"/a\\u0000b\",\"from\":null,\"to\":1.50}]".to_owned()),
        evidence: vec!["bottlenecks:b1".to_owned()],
        status: "open".to_owned(),
        portfolio_rank: 1,
        portfolio_saving_ms: 10.0,
        inferred_confidence: None,
        workflow_type: None,
        propensity: Some(1.0),
    }
}

fn outcome(workflow_id: &str) -> OutcomeRow {
    OutcomeRow {
        recommendation_id: "rec1".to_owned(),
        applied_at: Instant(1_790_000_000_000_000),
        rolled_back_at: None,
        workflow_id: workflow_id.to_owned(),
        workflow_type: Some("w".to_owned()),
        target: "align".to_owned(),
        r#type: "RESOURCE_ALLOCATION".to_owned(),
        category: "performance".to_owned(),
        verdict: "unclear".to_owned(),
        reason: "needs 5 runs after, found 0".to_owned(),
        metric: "execution_time".to_owned(),
        measured_share: None,
        measured_share_lower: None,
        measured_share_upper: None,
        level: 0.95,
        n_before: 100,
        n_after: 0,
        measured_from: Instant(1_780_000_000_000_000),
        measured_until: Instant(1_790_000_000_000_000),
        before_ms: Some(10.0),
        measured_saving_ms: Some(-1.0),
        measured_saving_ms_lower: Some(-2.0),
        measured_saving_ms_upper: Some(1.0),
        before_usd: None,
        measured_saving_usd: None,
        measured_saving_usd_lower: None,
        measured_saving_usd_upper: None,
        predicted_share: Some(0.1),
        predicted_saving_ms: Some(10.0),
        predicted_saving_ms_lower: Some(5.0),
        predicted_saving_ms_upper: Some(15.0),
        predicted_saving_usd: None,
        predicted_saving_usd_lower: None,
        predicted_saving_usd_upper: None,
        predicted_level: Some(0.95),
        probability: Some(0.5),
        propensity: Some(1.0),
        was_first: true,
    }
}

fn results() -> (TempDir, Store) {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path().to_str().unwrap()).unwrap();
    (folder, store)
}

/// Every object of a store with its bytes.
pub(crate) async fn snapshot(store: &Store) -> BTreeMap<String, Vec<u8>> {
    let mut objects = BTreeMap::new();
    for object in store.list("").await.unwrap() {
        let bytes = store.get(&object.path).await.unwrap().unwrap();
        objects.insert(object.path, bytes.to_vec());
    }
    objects
}

async fn undisturbed() -> BTreeMap<String, Vec<u8>> {
    let (_folder, store) = results();
    commit(&store, None, batch("nightly", 1)).await.unwrap();
    commit(&store, None, batch("nightly", 2)).await.unwrap();
    snapshot(&store).await
}

#[tokio::test]
async fn publishing_twice_is_publishing_once() {
    let (_folder, store) = results();
    for day in [1, 2] {
        let committed = commit(&store, None, batch("nightly", day)).await.unwrap();
        assert!(!committed.already && committed.behind.is_none());
    }
    let state = prepare(&store, None).await.unwrap();
    let run_id = slot("nightly", 2).run_id();
    assert_eq!(state.committed(&run_id).unwrap().entry.number, 2);
    assert_eq!(state.previous_as_of("nightly", as_of(3)), Some(as_of(2)));
    assert_eq!(state.previous_as_of("other", as_of(3)), None);
    let again = commit(&store, None, batch("nightly", 2)).await.unwrap();
    assert!(again.already);
    assert_eq!(snapshot(&store).await, undisturbed().await);
}

#[tokio::test]
async fn a_crash_between_any_two_steps_leaves_the_same_state() {
    let expected = undisturbed().await;
    for n_files in 0..=batch("nightly", 2).outputs.len() {
        let (_folder, store) = results();
        commit(&store, None, batch("nightly", 1)).await.unwrap();
        let interrupted = batch("nightly", 2);
        for output in interrupted.outputs.iter().take(n_files) {
            write(&store, output).await.unwrap();
        }
        commit(&store, None, interrupted).await.unwrap();
        assert_eq!(snapshot(&store).await, expected, "after {n_files} files");
    }
    // After the entry, before the pointer: the next run only makes up for it.
    let (_folder, store) = results();
    commit(&store, None, batch("nightly", 1)).await.unwrap();
    let pointer = store.get(LATEST).await.unwrap().unwrap();
    commit(&store, None, batch("nightly", 2)).await.unwrap();
    store.put(LATEST, pointer).await.unwrap();
    let state = prepare(&store, None).await.unwrap();
    assert!(state.committed(&slot("nightly", 2).run_id()).is_some());
    assert_eq!(snapshot(&store).await, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn many_started_together_commit_once() {
    for _ in 0..20 {
        let (_folder, store) = results();
        let runs = (0..6).map(|_| {
            let store = store.clone();
            tokio::spawn(async move { commit(&store, None, batch("nightly", 1)).await.unwrap() })
        });
        let committed: Vec<_> = futures::future::join_all(runs).await.into_iter().map(Result::unwrap).collect();
        assert_eq!(committed.iter().filter(|committed| !committed.already).count(), 1);
        assert_eq!(ledger::verify(&store).await.unwrap().entries, 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn jobs_that_commit_together_all_find_a_place_in_the_chain() {
    let (_folder, store) = results();
    let runs = (1..=8).map(|day| {
        let store = store.clone();
        let mut batch = batch(&format!("job{day}"), day);
        batch.outputs.remove(0);
        tokio::spawn(async move { commit(&store, None, batch).await.unwrap() })
    });
    for run in futures::future::join_all(runs).await {
        assert!(!run.unwrap().already);
    }
    assert_eq!(ledger::verify(&store).await.unwrap().entries, 8);
}

#[tokio::test]
async fn a_slot_that_another_run_overwrote_is_not_committed() {
    let (_folder, store) = results();
    commit(&store, None, batch("nightly", 1)).await.unwrap();
    let mut other = batch("nightly", 1);
    other.slot.config_hash = "other".to_owned();
    let other_id = other.slot.run_id();
    other.outputs.retain(|output| output.table == "baselines");
    other.outputs = vec![Output { bytes: b"other rows".to_vec(), ..other.outputs.remove(0) }];
    commit(&store, None, other).await.unwrap();
    let state = State::load(&store).await.unwrap();
    assert!(state.committed(&other_id).is_some());
    assert!(state.committed(&slot("nightly", 1).run_id()).is_none());
}

#[test]
fn a_run_id_depends_on_all_of_the_slot() {
    let base = slot("nightly", 1);
    let mut others = vec![slot("weekly", 1), slot("nightly", 2)];
    let changes: [fn(&mut Slot); 4] =
        [|s| s.seed = 8, |s| s.config_hash.push('x'), |s| s.inputs[0].digest.push('x'), |s| s.stages.truncate(1)];
    others.extend(changes.map(|change| {
        let mut changed = base.clone();
        change(&mut changed);
        changed
    }));
    let ids: BTreeSet<String> =
        others.iter().map(Slot::run_id).chain([base.run_id(), slot("nightly", 1).run_id()]).collect();
    assert_eq!(ids.len(), 7);
}

#[tokio::test]
async fn verification_names_the_first_fault() {
    let file = "baselines/as_of=2026-03-01T06-00-00Z/part-0.parquet";
    let edit =
        |bytes: &[u8], from: &str, to: &str| String::from_utf8(bytes.to_vec()).unwrap().replace(from, to).into_bytes();
    type Damage = Box<dyn Fn(&[u8]) -> Option<Vec<u8>>>;
    let damages: Vec<(&str, String, Damage)> = vec![
        ("is missing", file.to_owned(), Box::new(|_| None)),
        ("bytes, expected", file.to_owned(), Box::new(|bytes| Some(bytes[1..].to_vec()))),
        ("has digest", file.to_owned(), Box::new(|bytes| Some(bytes.iter().rev().copied().collect()))),
        ("is missing", entry_path(1), Box::new(|_| None)),
        ("can't be read", entry_path(1), Box::new(|bytes| Some(bytes[2..].to_vec()))),
        (
            "says that it is entry",
            entry_path(2),
            Box::new(move |bytes| Some(edit(bytes, "\"number\": 2", "\"number\": 3"))),
        ),
        ("names", entry_path(1), Box::new(move |bytes| Some(edit(bytes, "nightly", "n1ghtly")))),
        ("says that entry 2 has digest", entry_path(2), Box::new(move |bytes| Some(edit(bytes, "nightly", "n1ghtly")))),
        ("points at entry 2, which is missing", entry_path(2), Box::new(|_| None)),
    ];
    for (what, path, damage) in damages {
        let (_folder, store) = results();
        commit(&store, None, batch("nightly", 1)).await.unwrap();
        commit(&store, None, batch("nightly", 2)).await.unwrap();
        assert!(ledger::verify(&store).await.is_ok());
        match damage(&store.get(&path).await.unwrap().unwrap()) {
            Some(bytes) => store.put(&path, bytes).await.unwrap(),
            None => store.delete(&path).await.unwrap(),
        }
        let error = ledger::verify(&store).await.unwrap_err();
        assert!(error.to_string().contains(what), "{path}: {error}, expected {what}");
        assert_eq!(error.exit_code(), 6);
    }
}

#[tokio::test]
async fn entries_of_later_versions_are_part_of_the_chain() {
    let (_folder, store) = results();
    let later = "{\"number\": 1, \"previous\": null, \"token\": \"t\", \"kind\": \"approved\", \"by\": \"ann\"}";
    store.put(&entry_path(1), later).await.unwrap();
    let committed = commit(&store, None, batch("nightly", 1)).await.unwrap();
    assert_eq!(committed.sealed.entry.number, 2);
    assert_eq!(committed.sealed.entry.previous.unwrap(), blake3::hash(later.as_bytes()).to_hex().as_str());
    assert_eq!(ledger::verify(&store).await.unwrap().entries, 2);
}

#[tokio::test]
async fn the_ledger_command_shows_and_verifies() {
    let (folder, store) = results();
    commit(&store, None, batch("nightly", 1)).await.unwrap();
    let target = |results: Option<String>| LedgerTarget { results, config: None, format: Format::Json };
    let here = Some(folder.path().display().to_string());
    for command in [LedgerCommand::Show(target(here.clone())), LedgerCommand::Verify(target(here.clone()))] {
        assert_eq!(paceline::cli::ledger::ledger(&LedgerArgs { command }).await.unwrap(), 0);
    }
    let nowhere = LedgerArgs { command: LedgerCommand::Show(target(None)) };
    assert_eq!(paceline::cli::ledger::ledger(&nowhere).await.unwrap_err().exit_code(), 2);
    store.delete("skips/as_of=2026-03-01T06-00-00Z/part-0.parquet").await.unwrap();
    let broken = LedgerArgs { command: LedgerCommand::Verify(target(here)) };
    assert_eq!(paceline::cli::ledger::ledger(&broken).await.unwrap_err().exit_code(), 6);
}

#[tokio::test]
async fn the_dictionary_describes_every_column_and_is_written_once() {
    let (folder, store) = results();
    dictionary::write(&store).await.unwrap();
    let written = std::fs::metadata(folder.path().join("data_dictionary.md")).unwrap().modified().unwrap();
    dictionary::write(&store).await.unwrap();
    assert_eq!(std::fs::metadata(folder.path().join("data_dictionary.md")).unwrap().modified().unwrap(), written);
    let page = dictionary::markdown().unwrap();
    for spec in TABLES {
        assert!(spec.columns.iter().all(|column| !column.meaning.is_empty()), "{}", spec.name);
        assert!(spec.columns.iter().all(|column| page.contains(&format!("| `{}` | ", column.name))), "{}", spec.name);
        assert_eq!(spec.key_indices().len(), spec.key.len(), "the key of {} names its columns", spec.name);
    }
    let rows: usize = read_table(store.get("data_dictionary.parquet").await.unwrap().unwrap())
        .unwrap()
        .map(|batch| batch.unwrap().num_rows())
        .sum();
    assert_eq!(rows, TABLES.iter().map(|spec| spec.columns.len()).sum::<usize>());
}

// Postgres

async fn fresh(server: &Server) -> Database {
    let database = Database::from_setting(&server.url()).unwrap();
    database.migrate_down().await.unwrap();
    database.migrate_up().await.unwrap();
    database
}

#[tokio::test]
async fn postgres_holds_exactly_the_rows_of_the_files() {
    let Some(server) = Server::start() else { return };
    let database = fresh(&server).await;
    let (_folder, store) = results();
    for day in [1, 2, 3] {
        let committed = commit(&store, Some(&database), batch("nightly", day)).await.unwrap();
        assert!(committed.behind.is_none(), "{:?}", committed.behind);
        same_rows_of_all(&server, &store).await;
    }
    commit(&store, Some(&database), batch("nightly", 3)).await.unwrap();
    prepare(&store, Some(&database)).await.unwrap();
    same_rows_of_all(&server, &store).await;
}

#[tokio::test]
async fn postgres_catches_up_and_survives_its_migrations() {
    let Some(server) = Server::start() else { return };
    let (_folder, store) = results();
    commit(&store, None, batch("nightly", 1)).await.unwrap();
    commit(&store, None, batch("nightly", 2)).await.unwrap();
    let database = fresh(&server).await;
    prepare(&store, Some(&database)).await.unwrap();
    same_rows_of_all(&server, &store).await;

    let target = || MigrateTarget { postgres: Some(server.url()), config: None, format: Format::Table };
    for command in [MigrateCommand::Down(target()), MigrateCommand::Down(target()), MigrateCommand::Status(target())] {
        assert_eq!(migrate(&MigrateArgs { command }).await.unwrap(), 0);
    }
    let refused = prepare(&store, Some(&database)).await.unwrap_err();
    assert!(refused.exit_code() == 2 && refused.to_string().contains("paceline migrate up"), "{refused}");
    assert_eq!(migrate(&MigrateArgs { command: MigrateCommand::Up(target()) }).await.unwrap(), 0);
    prepare(&store, Some(&database)).await.unwrap();
    same_rows_of_all(&server, &store).await;
}

#[tokio::test]
async fn a_run_that_was_killed_before_its_entry_does_not_stop_the_database() {
    let Some(server) = Server::start() else { return };
    let database = fresh(&server).await;
    let (_folder, store) = results();
    commit(&store, None, batch("nightly", 1)).await.unwrap();
    write(&store, &rollups(2)).await.unwrap();
    prepare(&store, Some(&database)).await.unwrap();
    let committed = commit(&store, Some(&database), batch("nightly", 2)).await.unwrap();
    assert!(committed.behind.is_none());
    same_rows_of_all(&server, &store).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn writers_of_one_database_do_not_mix() {
    let Some(server) = Server::start() else { return };
    let database = fresh(&server).await;
    let (_folder, store) = results();
    let runs = (1..=5).map(|day| {
        let (store, database) = (store.clone(), database.clone());
        let mut batch = batch(&format!("job{day}"), day);
        if day > 1 {
            batch.outputs.remove(0);
        }
        tokio::spawn(async move { commit(&store, Some(&database), batch).await.unwrap() })
    });
    for run in futures::future::join_all(runs).await {
        assert!(run.unwrap().behind.is_none());
    }
    same_rows_of_all(&server, &store).await;
}

#[tokio::test]
async fn results_of_another_ledger_are_not_mixed_in() {
    let Some(server) = Server::start() else { return };
    let database = fresh(&server).await;
    let ((_a, ours), (_b, theirs)) = (results(), results());
    commit(&theirs, Some(&database), batch("theirs", 1)).await.unwrap();
    let error = commit(&ours, Some(&database), batch("ours", 1)).await.unwrap_err();
    assert!(error.exit_code() == 2 && error.to_string().contains("another ledger"), "{error}");
    assert!(snapshot(&ours).await.is_empty());
}

#[tokio::test]
async fn nothing_is_published_when_the_database_is_away() {
    let (folder, store) = results();
    let url = format!("postgres://ann:hunter2@{}/x", folder.path().display().to_string().replace('/', "%2F"));
    let database = Database::from_setting(&url).unwrap();
    let error = commit(&store, Some(&database), batch("nightly", 1)).await.unwrap_err();
    assert_eq!(error.exit_code(), 5);
    assert!(!format!("{error} {error:?} {database:?}").contains("hunter2"), "{error:?}");
    assert!(snapshot(&store).await.is_empty());
}

#[test]
fn settings_that_name_no_database_are_refused_without_showing_them() {
    let settings =
        ["env:PACELINE_NO_SUCH_VARIABLE", "mysql://a:hunter2@h/d", "hunter2", "postgres://a:hunter2@h/d?token=hunter2"];
    for setting in settings {
        let error = Database::from_setting(setting).unwrap_err();
        assert_eq!(error.exit_code(), 2, "{setting}");
        assert!(!error.to_string().contains("hunter2"), "{error}");
    }
}

async fn same_rows_of_all(server: &Server, store: &Store) {
    let rows = same_rows(server, store).await;
    assert!(
        rows.iter().all(|(table, rows)| *rows > 0 || *table == "trends"),
        "every table has rows to compare: {rows:?}"
    );
}

/// Every table of the database holds the rows of the current files, and nothing else; says how many.
pub(crate) async fn same_rows(server: &Server, store: &Store) -> BTreeMap<&'static str, usize> {
    let mut n_rows = BTreeMap::new();
    let state = State::load(store).await.unwrap();
    let mut connection = PgConnection::connect(&server.url()).await.unwrap();
    let applied: i64 = sqlx::query("SELECT version FROM paceline.applied_version")
        .fetch_one(&mut connection)
        .await
        .and_then(|row| row.try_get(0))
        .unwrap();
    assert_eq!(applied, i64::try_from(state.entries().len()).unwrap());
    for spec in TABLES {
        let mut published = Vec::new();
        for file in state.current_files().values().filter(|file| file.table == spec.name) {
            let folder = folder_values(spec, &file.path);
            for batch in read_table(store.get(&file.path).await.unwrap().unwrap()).unwrap() {
                published.extend(rows_of(&batch.unwrap(), &folder));
            }
        }
        published.sort();
        let held = rows_in(&mut connection, spec).await;
        assert!(held == published, "{}: {} rows in the database, {} in files", spec.name, held.len(), published.len());
        n_rows.insert(spec.name, published.len());
    }
    n_rows
}

fn folder_values(spec: &TableSpec, path: &str) -> Vec<String> {
    let values = path.split('/').filter_map(|part| Some(part.split_once('=')?.1.to_owned()));
    match spec.partition {
        Partition::PeriodAndDate => values.collect(),
        Partition::AsOf => values
            .map(|value| NaiveDateTime::parse_from_str(&value, "%Y-%m-%dT%H-%M-%SZ").unwrap().and_utc().to_rfc3339())
            .collect(),
    }
}

fn rows_of(batch: &RecordBatch, folder: &[String]) -> Vec<Vec<String>> {
    let row = |row| folder.iter().cloned().chain(batch.columns().iter().map(|column| cell(column, row))).collect();
    (0..batch.num_rows()).map(row).collect()
}

fn cell(column: &ArrayRef, row: usize) -> String {
    use arrow::datatypes::DataType::{Boolean, Float64, Int16, Int64, List, Timestamp, Utf8};
    if column.is_null(row) {
        return "NULL".to_owned();
    }
    match column.data_type() {
        Utf8 => column.as_string::<i32>().value(row).replace('\0', "\u{fffd}"),
        Float64 => format!("{:?}", column.as_primitive::<Float64Type>().value(row)),
        Int64 => column.as_primitive::<Int64Type>().value(row).to_string(),
        Int16 => column.as_primitive::<Int16Type>().value(row).to_string(),
        Boolean => column.as_boolean().value(row).to_string(),
        Timestamp(..) => {
            let micros = column.as_primitive::<TimestampMicrosecondType>().value(row);
            DateTime::from_timestamp_micros(micros).unwrap().to_rfc3339()
        }
        List(_) => {
            let items = column.as_list::<i32>().value(row);
            format!("{:?}", (0..items.len()).map(|idx| cell(&items, idx)).collect::<Vec<_>>())
        }
        other => panic!("no published column has the type {other}"),
    }
}

async fn rows_in(connection: &mut PgConnection, spec: &TableSpec) -> Vec<Vec<String>> {
    let folder = match spec.partition {
        Partition::AsOf => "as_of",
        Partition::PeriodAndDate => "period, date::text",
    };
    let columns = spec.columns.iter().map(|column| match column.kind {
        ColumnKind::Json => format!("\"{}\"::text", column.name),
        _ => format!("\"{}\"", column.name),
    });
    let sql = format!("SELECT {folder}, {} FROM paceline.{}", columns.collect::<Vec<_>>().join(", "), spec.name);
    let rows = sqlx::query(AssertSqlSafe(sql)).fetch_all(connection).await.unwrap();
    let mut rows: Vec<Vec<String>> = rows.iter().map(|row| held_row(row, spec)).collect();
    rows.sort();
    rows
}

fn held_row(row: &sqlx::postgres::PgRow, spec: &TableSpec) -> Vec<String> {
    let mut cells = match spec.partition {
        Partition::AsOf => vec![row.get::<DateTime<Utc>, _>(0).to_rfc3339()],
        Partition::PeriodAndDate => vec![row.get(0), row.get(1)],
    };
    let start = cells.len();
    cells.extend(spec.columns.iter().enumerate().map(|(idx, column)| held_cell(row, start + idx, column)));
    cells
}

fn held_cell(row: &sqlx::postgres::PgRow, idx: usize, column: &ColumnSpec) -> String {
    let shown = match column.kind {
        ColumnKind::Text | ColumnKind::Json => row.get::<Option<String>, _>(idx),
        ColumnKind::Float => row.get::<Option<f64>, _>(idx).map(|value| format!("{value:?}")),
        ColumnKind::Int => row.get::<Option<i64>, _>(idx).map(|value| value.to_string()),
        ColumnKind::Bool => row.get::<Option<bool>, _>(idx).map(|value| value.to_string()),
        ColumnKind::Timestamp => row.get::<Option<DateTime<Utc>>, _>(idx).map(|value| value.to_rfc3339()),
        ColumnKind::TextList => row.get::<Option<Vec<String>>, _>(idx).map(|list| format!("{list:?}")),
        ColumnKind::ShortList => row.get::<Option<Vec<i16>>, _>(idx).map(|list| texts(&list)),
        ColumnKind::IntList => row.get::<Option<Vec<i64>>, _>(idx).map(|list| texts(&list)),
    };
    shown.unwrap_or_else(|| "NULL".to_owned())
}

fn texts<T: ToString>(list: &[T]) -> String {
    format!("{:?}", list.iter().map(T::to_string).collect::<Vec<_>>())
}
