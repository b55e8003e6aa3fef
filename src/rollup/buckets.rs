//! Rollups: every metric by workflow, step, provider, platform and bucket.
//!
//! | metric | executions that count |
//! |---|---|
//! | `execution_time`, `cpu_usage`, `memory_usage` | succeeded and not answered from a cache |
//! | `api_calls`, `network`, `tokens`, `cost` | succeeded or failed: what was used was used |
//! | `error_rate` | succeeded or failed; 1 where failed |
//! | `cache_hit_rate` | succeeded or failed, with a cache key or a hit; 1 where hit |
//! | `throughput`, `queue_time` | all that started |
//!
//! `error_count` stands beside every metric: failed executions of the same group and bucket. A bucket in which all have
//! failed is there, too, with a count of 0, if the metric has a value anywhere in the group's day: so errors add up, too.
//! Sums are folded over the 5m buckets in time order at every level, so that a 1d bucket equals the merge of its 5m
//! buckets to the last bit.

use super::executions::{Day, Executions, Status};
use crate::pure::samples::UNKNOWN;
use crate::pure::series::Metric;
use crate::pure::stats::sketch::Sketch;
use crate::pure::units::{DAY_US, SECOND_US};
use crate::tables::published::RollupColumns;
use serde::{Deserialize, Serialize};

/// Length of a bucket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Period {
    /// Five minutes.
    #[serde(rename = "5m")]
    FiveMinutes,
    /// A quarter of an hour.
    #[serde(rename = "15m")]
    QuarterHour,
    /// An hour.
    #[serde(rename = "1h")]
    Hour,
    /// A UTC day.
    #[serde(rename = "1d")]
    Day,
}

impl Period {
    /// All, finest first; each divides the next.
    pub const ALL: [Self; 4] = [Self::FiveMinutes, Self::QuarterHour, Self::Hour, Self::Day];

    /// As in paths and configuration.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::FiveMinutes => "5m",
            Self::QuarterHour => "15m",
            Self::Hour => "1h",
            Self::Day => "1d",
        }
    }

    /// Its length.
    #[must_use]
    pub fn length_us(self) -> i64 {
        match self {
            Self::FiveMinutes => 300 * SECOND_US,
            Self::QuarterHour => 900 * SECOND_US,
            Self::Hour => 3_600 * SECOND_US,
            Self::Day => DAY_US,
        }
    }
}

fn push(rows: &mut RollupColumns, group: &Group, metric: Metric, bucket_start_us: i64, failed: i64, sketch: &Sketch) {
    let known = |value: f64| if has_distribution(metric) { value } else { f64::NAN };
    rows.workflow_id.push(group.workflow_id);
    rows.workflow_type.push(group.workflow_type);
    rows.step.push(group.step);
    rows.provider.push(group.provider);
    rows.platform.push(group.platform);
    rows.metric.push(metric);
    rows.bucket_start_us.push(bucket_start_us);
    rows.count.push(i64::try_from(sketch.count()).unwrap_or(i64::MAX));
    rows.error_count.push(failed);
    rows.sum.push(sketch.sum());
    rows.mean.push(if metric == Metric::Throughput { f64::NAN } else { sketch.mean() });
    rows.std.push(known(sketch.std()));
    rows.min.push(known(sketch.min()));
    rows.max.push(known(sketch.max()));
    rows.p50.push(known(sketch.quantile(0.50)));
    rows.p90.push(known(sketch.quantile(0.90)));
    rows.p95.push(known(sketch.quantile(0.95)));
    rows.p99.push(known(sketch.quantile(0.99)));
    if rows.bin_offsets.is_empty() {
        rows.bin_offsets.push(0);
    }
    if has_distribution(metric) {
        rows.bins.extend(sketch.bins().iter().map(|&(bin, _)| bin));
        rows.bin_counts.extend(sketch.bins().iter().map(|&(_, n)| i64::from(n)));
    }
    rows.bin_offsets.push(i32::try_from(rows.bins.len()).unwrap_or(i32::MAX));
}

/// Rates and counts have no percentiles worth the name.
fn has_distribution(metric: Metric) -> bool {
    !metric.is_ratio() && metric != Metric::Throughput
}

/// What a day of a series is about.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct CellKey {
    /// Code of the workflow in the digest's vocabulary.
    pub workflow_id: u32,
    /// Code of its type.
    pub workflow_type: u32,
    /// Code of the step, or [`UNKNOWN`] for the run.
    pub step: u32,
    /// What is measured.
    pub metric: Metric,
}

/// One day of one series: what is kept of a day for analysis.
#[derive(Debug, Clone, PartialEq)]
pub struct DailyCell {
    /// What it is about.
    pub key: CellKey,
    /// The day's distribution over all providers and platforms.
    pub sketch: Sketch,
}

struct Group {
    workflow_id: u32,
    workflow_type: u32,
    step: u32,
    provider: u32,
    platform: u32,
}

/// A 5m bucket of one group and metric: where its values lie, and their sums.
struct FiveMinutes {
    start_us: i64,
    values: std::ops::Range<usize>,
    sum: f64,
    sum_sq: f64,
    failed: i64,
}

/// The rollups of one period.
#[must_use]
pub fn rollups(day: &Day, period: Period, metrics: &[Metric]) -> RollupColumns {
    let mut level = RollupColumns::default();
    reduce(day, metrics, |group, metric, _is_new_series, work| emit(period, &mut level, group, metric, work));
    level
}

/// One cell a series: its day over all providers and platforms.
#[must_use]
pub fn daily_cells(day: &Day, metrics: &[Metric]) -> Vec<DailyCell> {
    let (mut cells, mut first_of_series) = (Vec::new(), 0);
    reduce(day, metrics, |group, metric, is_new_series, work| {
        if is_new_series {
            first_of_series = cells.len();
        }
        keep_daily(&mut cells, first_of_series, group, metric, work);
    });
    cells
}

/// Buffers that are used again for every group.
#[derive(Default)]
struct Work {
    values: Vec<f64>,
    sorted: Vec<f64>,
    cells: Vec<FiveMinutes>,
}

/// Hands every group's metrics, laid out in 5m buckets, to `take`, in the order of the published key. The flag says
/// that a new series (workflow and step) begins.
fn reduce(day: &Day, metrics: &[Metric], mut take: impl FnMut(&Group, Metric, bool, &mut Work)) {
    let ranks = lexical_ranks(day.vocabulary.words());
    // In the order of their names: that is the order of the file.
    let mut metrics = metrics.to_vec();
    metrics.sort_unstable_by_key(|metric| metric.as_str());
    let orders = [&day.runs, &day.steps].map(|rows| (rows, key_order(rows, &ranks)));
    let mut all_series: Vec<_> = orders.iter().flat_map(|(rows, order)| by_series(rows, order, &ranks)).collect();
    // The series of a run comes before those of its steps.
    all_series.sort_by_key(|(key, ..)| *key);
    let mut work = Work::default();
    for (_, rows, of_series) in all_series {
        let mut is_new_series = true;
        for members in of_series.chunk_by(|&a, &b| group_key(rows, a, &ranks) == group_key(rows, b, &ranks)) {
            let Some(&first) = members.first() else { continue };
            let group = Group {
                workflow_id: rows.workflow_id[first],
                workflow_type: rows.workflow_type[first],
                step: rows.step[first],
                provider: rows.provider[first],
                platform: rows.platform[first],
            };
            for &metric in &metrics {
                five_minutes(rows, members, metric, &mut work);
                if work.values.is_empty() {
                    continue;
                }
                take(&group, metric, is_new_series, &mut work);
                is_new_series = false;
            }
        }
    }
}

/// Ranks of workflow, type and step.
type Place = [u32; 3];

/// Among sorted words, the unknown first.
fn rank(ranks: &[u32], code: u32) -> u32 {
    ranks.get(code as usize).map_or(0, |r| r + 1)
}

fn series_key(rows: &Executions, i: usize, ranks: &[u32]) -> Place {
    [rows.workflow_id[i], rows.workflow_type[i], rows.step[i]].map(|code| rank(ranks, code))
}

fn group_key(rows: &Executions, i: usize, ranks: &[u32]) -> (Place, [u32; 2]) {
    (series_key(rows, i, ranks), [rows.provider[i], rows.platform[i]].map(|code| rank(ranks, code)))
}

/// Positions by group, and by time within it.
fn key_order(rows: &Executions, ranks: &[u32]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..rows.len()).collect();
    order.sort_by_cached_key(|&i| {
        let within = (rows.bucket_us[i], rank(ranks, rows.run[i]), rank(ranks, rows.step_id[i]), rows.attempt[i]);
        (group_key(rows, i, ranks), within)
    });
    order
}

fn by_series<'a>(
    rows: &'a Executions,
    order: &'a [usize],
    ranks: &[u32],
) -> impl Iterator<Item = (Place, &'a Executions, &'a [usize])> {
    let same = move |&a: &usize, &b: &usize| series_key(rows, a, ranks) == series_key(rows, b, ranks);
    order.chunk_by(same).filter_map(move |members| Some((series_key(rows, *members.first()?, ranks), rows, members)))
}

/// Fills `work` with the metric's values in time order and the 5m buckets they fall into.
fn five_minutes(rows: &Executions, members: &[usize], metric: Metric, work: &mut Work) {
    work.values.clear();
    work.cells.clear();
    let length = Period::FiveMinutes.length_us();
    for &i in members {
        let start_us = rows.bucket_us[i].div_euclid(length) * length;
        if work.cells.last().is_none_or(|cell| cell.start_us != start_us) {
            let at = work.values.len();
            work.cells.push(FiveMinutes { start_us, values: at..at, sum: 0.0, sum_sq: 0.0, failed: 0 });
        }
        let Some(cell) = work.cells.last_mut() else { continue };
        cell.failed += i64::from(rows.status[i] == Status::Failed);
        if let Some(value) = metric_value(rows, i, metric) {
            work.values.push(value);
            cell.values.end = work.values.len();
            cell.sum += value;
            cell.sum_sq += value * value;
        }
    }
}

fn emit(period: Period, level: &mut RollupColumns, group: &Group, metric: Metric, work: &mut Work) {
    let length = period.length_us();
    let Work { values, sorted, cells } = work;
    for bucket in cells.chunk_by(|a, b| a.start_us.div_euclid(length) == b.start_us.div_euclid(length)) {
        let Some((sketch, failed)) = merged(bucket, values, sorted) else { continue };
        let start_us = bucket.first().map_or(0, |cell| cell.start_us.div_euclid(length) * length);
        push(level, group, metric, start_us, failed, &sketch);
    }
}

/// The sketch of neighbouring 5m buckets and their failures; none where no execution has a value or has failed.
fn merged(bucket: &[FiveMinutes], values: &[f64], sorted: &mut Vec<f64>) -> Option<(Sketch, i64)> {
    let (from, to) = (bucket.first()?.values.start, bucket.last()?.values.end);
    let failed = bucket.iter().map(|cell| cell.failed).sum();
    let inside = values.get(from..to).filter(|v| !v.is_empty() || failed > 0)?;
    sorted.clear();
    sorted.extend_from_slice(inside);
    sorted.sort_unstable_by(f64::total_cmp);
    let sum = bucket.iter().map(|cell| cell.sum).sum();
    let sum_sq = bucket.iter().map(|cell| cell.sum_sq).sum();
    Some((Sketch::of_sorted(sorted, sum, sum_sq), failed))
}

fn keep_daily(daily: &mut Vec<DailyCell>, first_cell: usize, group: &Group, metric: Metric, work: &mut Work) {
    let Work { values, sorted, cells } = work;
    let Some((sketch, _)) = merged(cells, values, sorted) else { return };
    let sketch = if has_distribution(metric) { sketch } else { sketch.without_bins() };
    let known = daily.iter_mut().skip(first_cell).find(|cell| cell.key.metric == metric);
    if let Some(cell) = known {
        cell.sketch.merge(&sketch);
    } else {
        let Group { workflow_id, workflow_type, step, .. } = *group;
        daily.push(DailyCell { key: CellKey { workflow_id, workflow_type, step, metric }, sketch });
    }
}

fn metric_value(rows: &Executions, i: usize, metric: Metric) -> Option<f64> {
    let status = rows.status[i];
    let finished = matches!(status, Status::Succeeded | Status::Failed);
    let trusted = status == Status::Succeeded && !rows.cache_hit[i];
    let (counts, value) = match metric {
        Metric::ExecutionTime => (trusted, rows.duration_ms[i]),
        Metric::CpuUsage => (trusted, rows.cpu_pct[i]),
        Metric::MemoryUsage => (trusted, rows.memory_mb[i]),
        Metric::ApiCalls => (finished, rows.api_calls[i]),
        Metric::Network => (finished, rows.network_bytes[i]),
        Metric::Tokens => (finished, rows.tokens[i]),
        Metric::Cost => (finished, rows.cost_usd[i]),
        Metric::CacheHitRate => {
            (finished && (rows.cache_key[i] != 0 || rows.cache_hit[i]), f64::from(rows.cache_hit[i]))
        }
        Metric::ErrorRate => (finished, f64::from(status == Status::Failed)),
        Metric::Throughput => (true, 1.0),
        Metric::QueueTime => (true, rows.queue_ms[i]),
    };
    (counts && value.is_finite()).then_some(value)
}

/// For each code its place among the sorted words.
fn lexical_ranks(words: &[String]) -> Vec<u32> {
    let mut order: Vec<usize> = (0..words.len()).collect();
    order.sort_unstable_by_key(|&i| &words[i]);
    let mut ranks = vec![UNKNOWN; words.len()];
    for (rank, i) in (0..).zip(order) {
        ranks[i] = rank;
    }
    ranks
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Executions by codes of workflow, step and provider, all of which count for throughput alone.
    fn executions(codes: &[[u32; 3]]) -> Executions {
        let column = |at: usize| codes.iter().map(|code| code[at]).collect();
        let n = codes.len();
        Executions {
            run: vec![UNKNOWN; n],
            step_id: vec![UNKNOWN; n],
            workflow_id: column(0),
            workflow_type: column(0),
            step: column(1),
            provider: column(2),
            platform: vec![UNKNOWN; n],
            attempt: vec![1; n],
            bucket_us: vec![0; n],
            status: vec![Status::Failed; n],
            ..Executions::default()
        }
    }

    #[test]
    fn rows_come_in_the_order_of_the_key_and_series_are_told_apart() {
        let mut day = Day::default();
        let [b, a, y, x] = ["b", "a", "y", "x"].map(|word| day.vocabulary.intern(word));
        day.runs = executions(&[[b, UNKNOWN, x], [a, UNKNOWN, x]]);
        day.steps = executions(&[[b, y, x], [a, x, y], [a, x, x], [a, y, x]]);
        let rows = rollups(&day, Period::Day, &[Metric::Throughput]);
        let word = |code: &u32| day.vocabulary.word(*code);
        let keys = [&rows.workflow_id, &rows.step, &rows.provider].map(|codes| codes.iter().map(word));
        let [workflow, step, provider] = keys;
        let keys: Vec<_> = workflow.zip(step).zip(provider).collect();
        assert!(keys.len() == 6 && keys.is_sorted(), "{keys:?}");
        assert_eq!(daily_cells(&day, &[Metric::Throughput]).len(), 5, "one cell for both providers of a step");
    }
}
