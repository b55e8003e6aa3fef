//! Rollups of the sample: percentiles within 1 % of exact ones, and each period the merge of the finer ones.

use crate::readers::python;
use crate::workplace::Workplace;
use paceline::ingest::raw;
use polars::prelude::{AnyValue, DataFrame};
use std::collections::BTreeMap;
use std::process::Command;

const KEY: [&str; 6] = ["workflow_id", "workflow_type", "step", "provider", "platform", "metric"];

#[tokio::test(flavor = "multi_thread")]
async fn percentiles_are_within_one_percent_of_exact_ones() {
    let Some(python) = python() else {
        eprintln!("skipped: no Python with duckdb, polars, pandas and pyarrow in PATH or PACELINE_PYTHON");
        return;
    };
    let place = Workplace::sample();
    place.run("results", &["--as-of", "2026-10-12T06:00:00Z"]).outcome(0);
    for period in ["1d", "5m"] {
        let mut script = Command::new(&python);
        script.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/percentiles.py")).args(["--period", period]);
        script.arg("--lake").arg(place.path("lake")).arg("--results").arg(place.path("results"));
        let output = script.output().unwrap();
        let report = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "{report}{}", String::from_utf8_lossy(&output.stderr));
        eprintln!("{period}: {report}");
    }
}

/// One bucket, as it can be merged.
#[derive(Debug, Clone, Default, PartialEq)]
struct Bucket {
    count: i64,
    error_count: i64,
    sum: f64,
    extremes: Option<(f64, f64)>,
    bins: BTreeMap<i64, i64>,
}

impl Bucket {
    fn merge(&mut self, later: &Self) {
        self.count += later.count;
        self.error_count += later.error_count;
        self.sum += later.sum;
        self.extremes = match (self.extremes, later.extremes) {
            (Some((a, b)), Some((c, d))) => Some((a.min(c), b.max(d))),
            (known, None) | (None, known) => known,
        };
        for (bin, n) in &later.bins {
            *self.bins.entry(*bin).or_default() += n;
        }
    }
}

/// Buckets by key and start.
type Buckets = BTreeMap<(Vec<String>, i64), Bucket>;

fn buckets(rollups: &DataFrame) -> Buckets {
    let row = |idx| {
        let cell = |name: &str| rollups.column(name).unwrap().get(idx).unwrap().into_static();
        let number = |name: &str| cell(name).try_extract::<f64>().ok();
        let whole = |name: &str| cell(name).try_extract::<i64>().unwrap();
        let list = |name: &str| match cell(name) {
            AnyValue::List(items) => {
                items.cast(&polars::prelude::DataType::Int64).unwrap().i64().unwrap().iter().flatten().collect()
            }
            _ => Vec::new(),
        };
        let key = KEY.map(|name| format!("{:?}", cell(name))).to_vec();
        let start_us =
            rollups.column("bucket_start").unwrap().to_physical_repr().get(idx).unwrap().try_extract().unwrap();
        let bucket = Bucket {
            count: whole("count"),
            error_count: whole("error_count"),
            sum: number("sum").unwrap(),
            extremes: number("min").zip(number("max")),
            bins: list("bins").into_iter().zip(list("bin_counts")).collect(),
        };
        ((key, start_us), bucket)
    };
    (0..rollups.height()).map(row).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn longer_buckets_are_the_merge_of_5m_buckets_to_the_last_bit() {
    let place = Workplace::sample();
    place.run("results", &["--as-of", "2026-10-12T00:00:00Z"]).outcome(0);
    let folder = place.path("results/rollups");
    let mut compared = 0;
    for date in std::fs::read_dir(folder.join("period=5m")).unwrap() {
        let date = date.unwrap().file_name();
        let read = |period: &str| {
            let path = folder.join(format!("period={period}")).join(&date).join("part-0.parquet");
            buckets(&raw::parquet(&std::fs::read(path).unwrap(), |_| true).unwrap())
        };
        let finest = read("5m");
        for (period, length_us) in [("15m", 900_000_000_i64), ("1h", 3_600_000_000), ("1d", 86_400_000_000)] {
            let mut merged = Buckets::new();
            // In order of time, as keys are sorted by start: sums are folds in that order.
            for ((key, start_us), bucket) in &finest {
                let start_us = start_us.div_euclid(length_us) * length_us;
                merged.entry((key.clone(), start_us)).or_default().merge(bucket);
            }
            let published = read(period);
            let differing = published.iter().find(|(key, bucket)| merged.get(*key) != Some(bucket));
            assert!(
                differing.is_none(),
                "{period} of {date:?}: {differing:?} is merged {:?}",
                merged.get(differing.unwrap().0)
            );
            assert_eq!(merged.len(), published.len(), "{period} of {date:?}");
            compared += published.len();
        }
    }
    eprintln!("{compared} buckets are the merge of their 5m buckets");
    assert!(compared > 5_000);
}
