//! A results folder with plausible tables, written as a run writes them.

use chrono::{DateTime, TimeZone, Utc};
use paceline::io::Store;
use paceline::publish::ledger::{Event, Run, Slot, State, append};
use paceline::publish::parquet::{write_rows, write_table};
use paceline::pure::samples::{UNKNOWN, Vocabulary};
use paceline::pure::series::Metric;
use paceline::pure::stats::sketch::Sketch;
use paceline::pure::units::DAY_US;
use paceline::tables::published::{
    AnomalyRow, BottleneckRow, CapacityPlanRow, ChangePointRow, ComparisonRow, ExperimentResultRow, ForecastRow,
    Instant, Json, ModelScoreRow, OutcomeRow, ROLLUPS, RecommendationRow, RejectRow, RollupColumns, Row, SkipRow,
    SpreadChangeRow, StepTimesRow, TrendRow,
};
use std::collections::BTreeMap;

/// Monday morning.
pub(crate) fn as_of() -> DateTime<Utc> {
    Utc.with_ymd_and_hms(2026, 10, 5, 6, 0, 0).unwrap()
}

pub(crate) fn as_of_us() -> i64 {
    as_of().timestamp_micros()
}

/// Start of the day `days` before the as-of's.
pub(crate) fn day_us(days: i64) -> i64 {
    (as_of_us().div_euclid(DAY_US) - days) * DAY_US
}

pub(crate) async fn put<R: Row>(store: &Store, rows: Vec<R>) {
    let path = format!("{}/as_of=2026-10-05T06-00-00Z/part-0.parquet", R::SPEC.name);
    store.put(&path, write_rows(rows).unwrap()).await.unwrap();
}

/// The entry that commits what has been put.
pub(crate) async fn commit(store: &Store) {
    let slot = Slot {
        job: "nightly".to_owned(),
        as_of: as_of(),
        stages: Vec::new(),
        config_hash: String::new(),
        seed: 7,
        inputs: Vec::new(),
        champions: BTreeMap::new(),
        accepted: Vec::new(),
        earlier_changes: None,
        decided: None,
    };
    let (version, models) = ("0.1.0".to_owned(), BTreeMap::new());
    let run = Run { run_id: slot.run_id(), slot, version, models, files: Vec::new() };
    append(store, &mut State::default(), Event::RunCommitted(run)).await.unwrap();
}

/// Values between 0 and 1 that look random and are always the same.
struct Noise(u64);

impl Noise {
    fn next(&mut self) -> f64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 11) as f64 / (1_u64 << 53) as f64
    }
}

/// A row of the rollups: the values of one bucket of one series.
pub(crate) struct RollupRow<'a> {
    pub(crate) start_us: i64,
    pub(crate) workflow: &'a str,
    pub(crate) step: Option<&'a str>,
    pub(crate) provider: Option<&'a str>,
    pub(crate) metric: Metric,
    pub(crate) values: Vec<f64>,
    pub(crate) errors: i64,
}

pub(crate) async fn put_rollups(store: &Store, period: &str, rows: Vec<RollupRow<'_>>) {
    let mut by_date: BTreeMap<i64, Vec<RollupRow<'_>>> = BTreeMap::new();
    for row in rows {
        by_date.entry(row.start_us.div_euclid(DAY_US)).or_default().push(row);
    }
    for (date, rows) in by_date {
        let date = DateTime::from_timestamp_micros(date * DAY_US).unwrap().format("%Y-%m-%d");
        let mut words = Vocabulary::default();
        let columns = rollup_columns(rows, &mut words);
        let bytes = write_table(&columns.into_batch(words.words()).unwrap(), &ROLLUPS).unwrap();
        store.put(&format!("rollups/period={period}/date={date}/part-0.parquet"), bytes).await.unwrap();
    }
}

fn rollup_columns(rows: Vec<RollupRow<'_>>, words: &mut Vocabulary) -> RollupColumns {
    let mut columns = RollupColumns { bin_offsets: vec![0], ..RollupColumns::default() };
    for RollupRow { start_us, workflow, step, provider, metric, mut values, errors } in rows {
        let sketch = Sketch::of(&mut values);
        let mut code = |word: Option<&str>| word.map_or(UNKNOWN, |word| words.intern(word));
        columns.bucket_start_us.push(start_us);
        columns.workflow_id.push(code(Some(workflow)));
        columns.workflow_type.push(code(Some(workflow)));
        columns.step.push(code(step));
        columns.provider.push(code(provider));
        columns.platform.push(UNKNOWN);
        columns.metric.push(metric);
        columns.count.push(sketch.count().try_into().unwrap());
        columns.error_count.push(errors);
        columns.sum.push(sketch.sum());
        columns.mean.push(sketch.mean());
        columns.std.push(sketch.std());
        columns.min.push(sketch.min());
        columns.max.push(sketch.max());
        for (column, q) in
            [(&mut columns.p50, 0.5), (&mut columns.p90, 0.9), (&mut columns.p95, 0.95), (&mut columns.p99, 0.99)]
        {
            column.push(sketch.quantile(q));
        }
        columns.bins.extend(sketch.bins().iter().map(|(bin, _)| *bin));
        columns.bin_counts.extend(sketch.bins().iter().map(|(_, n)| i64::from(*n)));
        columns.bin_offsets.push(columns.bins.len().try_into().unwrap());
    }
    columns
}

/// Ten weeks of two workflows at two providers; `align` of the first is slower since five days ago.
pub(crate) async fn put_history(store: &Store) {
    let mut noise = Noise(7);
    let mut rows = Vec::new();
    for (workflow, base_ms, per_day) in [("rnaseq", 4.2e6, 12), ("nightly-etl", 9.1e5, 24)] {
        for day in (0..70).rev() {
            let start_us = day_us(day);
            let weekend = matches!(day % 7, 1 | 2);
            let slower = if workflow == "rnaseq" && day <= 5 { 1.3 } else { 1.0 };
            for provider in ["aws", "gcp"] {
                let n = if weekend { per_day / 4 } else { per_day / 2 };
                let mut draw = |centre: f64| (0..n).map(|_| centre * (0.85 + 0.3 * noise.next())).collect::<Vec<f64>>();
                let times = draw(base_ms * slower);
                let costs = draw(base_ms * slower / 1e6 * 0.31);
                let align = draw(base_ms * 0.4 * if slower > 1.0 { 1.75 } else { 1.0 });
                let failed = usize::from(day % 11 == 0);
                let errors: Vec<f64> = (0..n).map(|i| if i < failed { 1.0 } else { 0.0 }).collect();
                let mut row = |step, metric, values| {
                    rows.push(RollupRow {
                        start_us,
                        workflow,
                        step,
                        provider: Some(provider),
                        metric,
                        values,
                        errors: 0,
                    });
                };
                row(None, Metric::Throughput, vec![1.0; n]);
                row(None, Metric::ExecutionTime, times);
                row(None, Metric::Cost, costs);
                row(None, Metric::ErrorRate, errors);
                row(Some("align"), Metric::ExecutionTime, align);
            }
        }
    }
    put_rollups(store, "1d", rows).await;
}

pub(crate) fn change_point(
    workflow: &str,
    step: Option<&str>,
    metric: Metric,
    days: i64,
    ratio: f64,
) -> ChangePointRow {
    let before = if metric == Metric::ErrorRate { 0.02 } else { 1.68e6 };
    ChangePointRow {
        workflow_id: workflow.to_owned(),
        workflow_type: workflow.to_owned(),
        step: step.map(str::to_owned),
        metric: metric.to_string(),
        unit: metric.unit().to_owned(),
        changed_at: Instant(day_us(days)),
        before,
        after: before * ratio,
        effect_ratio: ratio,
        effect_lower: ratio * 0.93,
        effect_upper: ratio * 1.08,
        level: 0.95,
        p_value: 1e-6,
        state: "open".to_owned(),
    }
}

pub(crate) fn spread_change(workflow: &str, step: &str, days: i64, ratio: f64) -> SpreadChangeRow {
    SpreadChangeRow {
        workflow_id: workflow.to_owned(),
        workflow_type: workflow.to_owned(),
        step: Some(step.to_owned()),
        metric: Metric::ExecutionTime.to_string(),
        changed_at: Instant(day_us(days)),
        before: 1.5,
        after: 1.5 * ratio,
        effect_ratio: ratio,
        effect_lower: ratio * 0.9,
        effect_upper: ratio * 1.1,
        level: 0.95,
        p_value: 1e-6,
    }
}

pub(crate) fn bottleneck(rank: i64, workflow: &str, step: &str, impact: f64) -> BottleneckRow {
    BottleneckRow {
        rank,
        bottleneck_id: format!("bn-{rank:04}"),
        workflow_id: workflow.to_owned(),
        step: Some(step.to_owned()),
        r#type: "slow_step".to_owned(),
        severity: if impact > 0.2 { "high" } else { "medium" }.to_owned(),
        impact,
        impact_lower: impact * 0.7,
        impact_upper: impact * 1.25,
        level: 0.95,
        saving_ms: impact * 4.2e6,
        description: format!("{step} takes 1.75 times its baseline."),
        causes: vec!["more input per run".to_owned(), "fewer cores than before".to_owned()],
        evidence: vec![format!("change_points:{workflow}/{step}/execution_time"), "baselines:x".to_owned()],
        status: "open".to_owned(),
        opened_at: Instant(day_us(5)),
        inferred_confidence: None,
    }
}

/// A step of a run of 100 minutes: ready, started and ended at these minutes, or not at all.
pub(crate) fn step_times(workflow: &str, step: &str, share: f64, minutes: Option<[f64; 3]>) -> StepTimesRow {
    let ms = |at: usize| minutes.map(|minutes| minutes[at] * 60e3);
    StepTimesRow {
        workflow_id: workflow.to_owned(),
        step: step.to_owned(),
        n_runs: 40,
        n_executions: 1.0,
        duration_ms: ms(2).zip(ms(1)).map_or(1.0, |(end, start)| end - start),
        wait_ms: ms(1).zip(ms(0)).map_or(0.0, |(start, ready)| start - ready),
        slack_ms: 0.0,
        blocking_ms: share * 6.0e6,
        blocking_share: share,
        typical_run_id: format!("{workflow}-0417"),
        typical_ready_ms: ms(0),
        typical_start_ms: ms(1),
        typical_end_ms: ms(2),
        is_on_critical_path: minutes.is_some() && share > 0.0,
        inferred_confidence: None,
    }
}

pub(crate) fn recommendation(rank: i64, workflow: &str, target: &str) -> RecommendationRow {
    let saving = 2.2e6 / rank as f64;
    RecommendationRow {
        recommendation_id: format!("rec-{rank:012x}"),
        rank,
        workflow_id: workflow.to_owned(),
        target: target.to_owned(),
        r#type: "RESOURCE_ALLOCATION".to_owned(),
        category: "performance".to_owned(),
        title: format!("Give {target} 8 cores in place of 4"),
        impact: saving / 4.2e6,
        impact_lower: saving * 0.7 / 4.2e6,
        impact_upper: saving * 1.2 / 4.2e6,
        level: 0.95,
        saving_ms: saving,
        saving_ms_lower: saving * 0.7,
        saving_ms_upper: saving * 1.2,
        saving_usd: (rank == 1).then_some(0.42),
        saving_usd_lower: (rank == 1).then_some(0.3),
        saving_usd_upper: (rank == 1).then_some(0.55),
        feasibility: 0.9,
        effort: "low".to_owned(),
        risk: "low".to_owned(),
        probability: 0.7,
        actions: Json(format!(
            r#"[{{"op":"set","path":"/steps/{target}/resources/cpu","from":4,"to":8}},{{"op":"add","path":"/steps/{target}/cache","from":null,"to":{{"ttl_s":3600}}}}]"#
        )),
        evidence: vec!["bottlenecks:bn-0001".to_owned(), "predictions:rnaseq/align".to_owned()],
        status: "open".to_owned(),
        portfolio_rank: rank,
        portfolio_saving_ms: 2.2e6 * (1.0 - 0.5_f64.powi(rank.try_into().unwrap())) * 1.5,
        inferred_confidence: None,
        workflow_type: Some("genomics".to_owned()),
        propensity: Some(if rank == 1 { 0.92 } else { 0.02 }),
    }
}

pub(crate) fn outcome(workflow: &str, target: &str, verdict: &str, share: Option<f64>) -> OutcomeRow {
    OutcomeRow {
        recommendation_id: format!("rec-{target}"),
        applied_at: Instant(day_us(12)),
        rolled_back_at: (verdict == "worse").then(|| Instant(day_us(6))),
        workflow_id: workflow.to_owned(),
        workflow_type: Some("genomics".to_owned()),
        target: target.to_owned(),
        r#type: "CACHING".to_owned(),
        category: "performance".to_owned(),
        verdict: verdict.to_owned(),
        reason: "all of the interval is a saving".to_owned(),
        metric: "execution_time".to_owned(),
        measured_share: share,
        measured_share_lower: share.map(|share| share - 0.04),
        measured_share_upper: share.map(|share| share + 0.04),
        level: 0.95,
        n_before: 200,
        n_after: 90,
        measured_from: Instant(day_us(40)),
        measured_until: Instant(day_us(0)),
        before_ms: Some(4.2e6),
        measured_saving_ms: share.map(|share| share * 4.2e6),
        measured_saving_ms_lower: share.map(|share| (share - 0.04) * 4.2e6),
        measured_saving_ms_upper: share.map(|share| (share + 0.04) * 4.2e6),
        before_usd: None,
        measured_saving_usd: None,
        measured_saving_usd_lower: None,
        measured_saving_usd_upper: None,
        predicted_share: Some(0.21),
        predicted_saving_ms: Some(8.8e5),
        predicted_saving_ms_lower: Some(6e5),
        predicted_saving_ms_upper: Some(1.1e6),
        predicted_saving_usd: None,
        predicted_saving_usd_lower: None,
        predicted_saving_usd_upper: None,
        predicted_level: Some(0.95),
        probability: Some(0.7),
        propensity: Some(0.95),
        was_first: true,
    }
}

pub(crate) fn anomaly(run: &str, step_id: &str, score: f64, severity: &str) -> AnomalyRow {
    AnomalyRow {
        run_id: run.to_owned(),
        step_id: Some(step_id.to_owned()),
        attempt: Some(1),
        workflow_id: "rnaseq".to_owned(),
        workflow_type: "rnaseq".to_owned(),
        step: Some("align".to_owned()),
        started_at: Some(Instant(day_us(1) + 3_600_000_000)),
        ended_at: Some(Instant(day_us(1) + 9_600_000_000)),
        score,
        direction: "slow".to_owned(),
        severity: severity.to_owned(),
        metric: "duration_ms".to_owned(),
        observed: 6.1e6,
        expected: 1.7e6,
        expected_lower: 1.3e6,
        expected_upper: 2.4e6,
        level: 0.95,
        reasons: vec!["duration_ms ×3.6".to_owned(), "memory_mb ×2.1".to_owned()],
    }
}

/// Thirty days ahead at two levels.
pub(crate) fn forecast(workflow: &str, metric: Metric, centre: f64) -> Vec<ForecastRow> {
    let mut rows = Vec::new();
    for horizon in 1..=30_i64 {
        let weekend = if matches!(horizon % 7, 5 | 6) { 0.8 } else { 1.0 };
        let point = centre * weekend;
        let spread = 0.03 * (horizon as f64).sqrt();
        for (level, z) in [(0.8, 1.28), (0.95, 1.96)] {
            rows.push(ForecastRow {
                workflow_id: workflow.to_owned(),
                workflow_type: workflow.to_owned(),
                step: None,
                metric: metric.to_string(),
                unit: metric.unit().to_owned(),
                horizon,
                ds: Instant(day_us(1 - horizon)),
                model: "ets".to_owned(),
                point,
                lower: point * (1.0 - z * spread),
                upper: point * (1.0 + z * spread),
                level,
                cutoff: Instant(day_us(0)),
            });
        }
    }
    rows
}

/// Thirty days of demand that grows by 2 a day from 100 on, with 130 there to be had, or nobody knows how many.
fn capacity_plan(resource: &str, unit: &str, growth: f64, capacity: Option<f64>) -> Vec<CapacityPlanRow> {
    let short = |ahead: i64| capacity.map(|_| Instant(day_us(1 - ahead)));
    let row = |horizon: i64| {
        let demand = growth * (100.0 + 2.0 * horizon as f64);
        CapacityPlanRow {
            resource: resource.to_owned(),
            provider: None,
            unit: unit.to_owned(),
            growth,
            horizon,
            ds: Instant(day_us(1 - horizon)),
            demand_p50: demand,
            demand_p80: 1.04 * demand,
            demand_p95: 1.08 * demand,
            demand_lower: 0.9 * demand,
            demand_upper: 1.1 * demand,
            level: 0.95,
            capacity,
            shortage_probability: capacity.map(|_| horizon as f64 / 31.0),
            exhausted_on: short(16),
            exhausted_lower: short(9),
            exhausted_upper: None,
            cutoff: Instant(day_us(0)),
        }
    };
    (1..=30).map(row).collect()
}

fn experiment(arm: &str, effect: Option<f64>) -> ExperimentResultRow {
    ExperimentResultRow {
        experiment_id: "provider-switch".to_owned(),
        workflow_type: "rnaseq".to_owned(),
        metric: "execution_time".to_owned(),
        arm: arm.to_owned(),
        n: 420,
        estimate: 4.2e6 * (1.0 + effect.unwrap_or(0.0)),
        effect: effect.map(|e| e * 4.2e6),
        effect_lower: effect.map(|e| (e - 0.04) * 4.2e6),
        effect_upper: effect.map(|e| (e + 0.04) * 4.2e6),
        relative_effect: effect,
        relative_lower: effect.map(|e| e - 0.04),
        relative_upper: effect.map(|e| e + 0.04),
        level: 0.95,
        p_value: effect.map(|_| 0.001),
        method: "sequential".to_owned(),
        srm_p_value: 0.6,
        decision: "ship".to_owned(),
        looks: 9,
        first_look_at: Instant(day_us(20)),
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
    }
}

/// A group whose intervals hold less than they promise.
fn too_narrow() -> ModelScoreRow {
    ModelScoreRow {
        group_id: "rnaseq".to_owned(),
        n: 400,
        coverage: Some(0.71),
        coverage_state: Some("low".to_owned()),
        ..score("prediction", "duration_ms", "size_regression", 0.64)
    }
}

fn score(engine: &str, target: &str, model: &str, in20: f64) -> ModelScoreRow {
    let is_prediction = engine != "forecast";
    ModelScoreRow {
        engine: engine.to_owned(),
        target: target.to_owned(),
        group_id: if is_prediction { "*" } else { "rnaseq//execution_time" }.to_owned(),
        model: model.to_owned(),
        is_rival: model.contains("median") || model == "last_run",
        n: 18_234,
        in20: is_prediction.then_some(in20),
        mdape: is_prediction.then_some((1.0 - in20) / 3.0),
        wape: is_prediction.then_some((1.0 - in20) / 2.0),
        mase: (!is_prediction).then_some(in20),
        coverage: (model != "last_run").then_some(if is_prediction { 0.885 } else { 0.93 }),
        width_ratio: is_prediction.then_some(2.4),
        level: Some(if is_prediction { 0.9 } else { 0.95 }),
        coverage_state: (is_prediction && model != "last_run").then(|| "held".to_owned()),
    }
}

pub(crate) fn trend(workflow: &str, step: Option<&str>, metric: Metric, window_days: i64, direction: &str) -> TrendRow {
    let change = match direction {
        "degrading" => 0.24,
        "improving" => -0.12,
        _ => 0.004,
    };
    TrendRow {
        workflow_id: workflow.to_owned(),
        workflow_type: workflow.to_owned(),
        step: step.map(str::to_owned),
        metric: metric.to_string(),
        unit: metric.unit().to_owned(),
        window_days,
        change,
        change_lower: change - 0.05,
        change_upper: change + 0.06,
        level: 0.95,
        slope_per_day: 1_200.0,
        strength: 0.4,
        direction: direction.to_owned(),
        sample_size: window_days,
    }
}

pub(crate) fn skip(analysis: &str, workflow: &str, reason: &str) -> SkipRow {
    SkipRow {
        analysis: analysis.to_owned(),
        workflow: workflow.to_owned(),
        workflow_type: Some(workflow.to_owned()),
        step: Some("qc".to_owned()),
        metric: Some("cost".to_owned()),
        reason: reason.to_owned(),
    }
}

/// Every table of a plausible week.
pub(crate) async fn put_week(store: &Store) {
    put_history(store).await;
    put(
        store,
        vec![
            change_point("rnaseq", Some("align"), Metric::ExecutionTime, 5, 1.75),
            change_point("rnaseq", None, Metric::ExecutionTime, 5, 1.3),
            change_point("nightly-etl", None, Metric::ErrorRate, 3, 2.4),
            change_point("nightly-etl", Some("align"), Metric::ExecutionTime, 19, 0.8),
        ],
    )
    .await;
    put(store, vec![spread_change("nightly-etl", "load", 9, 1.4)]).await;
    put(
        store,
        vec![
            bottleneck(1, "rnaseq", "align", 0.34),
            bottleneck(2, "rnaseq", "quantify", 0.12),
            bottleneck(3, "nightly-etl", "load", 0.08),
        ],
    )
    .await;
    put(
        store,
        vec![
            step_times("nightly-etl", "load", 1.0, Some([0.0, 0.0, 15.0])),
            step_times("rnaseq", "fetch", 0.1, Some([0.0, 0.0, 10.0])),
            step_times("rnaseq", "align", 0.7, Some([10.0, 22.0, 80.0])),
            step_times("rnaseq", "qc", 0.0, Some([10.0, 10.0, 31.5])),
            step_times("rnaseq", "quantify", 0.2, Some([80.0, 80.0, 100.0])),
            step_times("rnaseq", "rescue", 0.0, None),
        ],
    )
    .await;
    put(
        store,
        vec![
            recommendation(1, "rnaseq", "align"),
            recommendation(2, "rnaseq", "quantify"),
            recommendation(3, "nightly-etl", "load"),
        ],
    )
    .await;
    put(
        store,
        vec![
            anomaly("run-2026-10-04-17", "align/3", 0.91, "critical"),
            anomaly("run-2026-10-04-18", "align/1", 0.74, "medium"),
        ],
    )
    .await;
    let series = [
        forecast("rnaseq", Metric::ExecutionTime, 5.4e6),
        forecast("rnaseq", Metric::Throughput, 12.0),
        forecast("rnaseq", Metric::Cost, 1.7),
        forecast("nightly-etl", Metric::ExecutionTime, 9.1e5),
    ];
    put(store, series.concat()).await;
    let applied = [
        outcome("rnaseq", "align", "worked", Some(0.17)),
        outcome("nightly-etl", "load", "worse", Some(-0.3)),
        outcome("nightly-etl", "dump", "unclear", None),
    ];
    put(store, applied.to_vec()).await;
    let plans = [
        capacity_plan("memory_mb", "mb", 1.0, None),
        capacity_plan("slots", "executions", 1.0, Some(130.0)),
        capacity_plan("slots", "executions", 1.5, Some(130.0)),
    ];
    put(store, plans.concat()).await;
    put(store, vec![experiment("control", None), experiment("gcp", Some(-0.18))]).await;
    put(
        store,
        vec![ComparisonRow {
            workflow_type: "rnaseq".to_owned(),
            dimension: "provider".to_owned(),
            a: "aws".to_owned(),
            b: "gcp".to_owned(),
            metric: "execution_time".to_owned(),
            ratio: 0.82,
            ratio_lower: 0.79,
            ratio_upper: 0.86,
            level: 0.95,
            n_a: 420,
            n_b: 418,
        }],
    )
    .await;
    let mut trends = Vec::new();
    for (window, direction) in [(7, "unclear"), (30, "degrading"), (90, "stable")] {
        trends.push(trend("rnaseq", None, Metric::ExecutionTime, window, direction));
        trends.push(trend("nightly-etl", None, Metric::Cost, window, "improving"));
        trends.push(trend("rnaseq", Some("align"), Metric::ExecutionTime, window, "degrading"));
    }
    put(store, trends).await;
    put(
        store,
        vec![
            score("prediction", "duration_ms", "size_regression", 0.71),
            score("prediction", "duration_ms", "global_median", 0.21),
            score("prediction", "duration_ms", "step_median", 0.58),
            score("prediction", "duration_ms", "last_run", 0.52),
            too_narrow(),
            score("run_prediction", "duration_ms", "replay", 0.83),
            score("run_prediction", "duration_ms", "recent_median", 0.66),
            score("forecast", "execution_time", "ets", 0.82),
            score("forecast", "execution_time", "seasonal_naive", 0.97),
        ],
    )
    .await;
    put(
        store,
        vec![
            skip("trends", "rnaseq", "needs 14 buckets with data, found 3"),
            skip("trends", "nightly-etl", "needs 14 buckets with data, found 9"),
            skip("anomalies", "rnaseq", "needs 50 executions, found 12"),
        ],
    )
    .await;
    put(
        store,
        vec![RejectRow {
            file: "steps/date=2026-10-01/part-0.parquet".to_owned(),
            row: Some(17),
            column: Some("duration_ms".to_owned()),
            value: Some("-5".to_owned()),
            reason: "negative duration".to_owned(),
        }],
    )
    .await;
}
