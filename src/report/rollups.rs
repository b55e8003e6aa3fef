//! Reads from the rollups what the report draws: of most rows only the step is decoded.

use super::history::{Bucket, History, SeriesId};
use super::read::check_columns;
use crate::error::{Error, Result};
use crate::io::{FetchError, Object, Store};
use crate::pure::series::Metric;
use crate::pure::units::DAY_US;
use crate::tables::published::ROLLUPS;
use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, RecordBatch};
use arrow::datatypes::{Float64Type, Int16Type, Int64Type, TimestampMicrosecondType};
use arrow::error::ArrowError;
use bytes::Bytes;
use chrono::NaiveDate;
use futures::{StreamExt, TryStreamExt};
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{ArrowPredicateFn, ParquetRecordBatchReaderBuilder, RowFilter};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

/// Files fetched at a time.
const CONCURRENCY: usize = 8;
/// What the report needs of a row.
const COLUMNS: [&str; 11] = [
    "bucket_start",
    "workflow_id",
    "step",
    "metric",
    "count",
    "error_count",
    "sum",
    "min",
    "max",
    "bins",
    "bin_counts",
];

/// Which series are read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Wanted {
    /// These metrics of every run-level series.
    pub run_metrics: BTreeSet<Metric>,
    /// And these series.
    pub series: BTreeSet<SeriesId>,
}

impl Wanted {
    fn includes(&self, id: &SeriesId) -> bool {
        (id.step.is_none() && self.run_metrics.contains(&id.metric)) || self.series.contains(id)
    }

    fn steps(&self) -> BTreeSet<String> {
        self.series.iter().filter_map(|id| id.step.clone()).collect()
    }
}

/// The buckets of `period` (`1d`, `1h`, …) that start within `span_us`, or none where no rollups of that period are
/// published at all.
///
/// # Errors
/// When the store can't be read, or a file is not one of the rollups.
pub async fn read(store: &Store, period: &str, span_us: Range<i64>, wanted: &Wanted) -> Result<Option<History>> {
    let objects = store.list(&format!("{}/period={period}", ROLLUPS.name)).await?;
    if objects.is_empty() {
        return Ok(None);
    }
    let objects: Vec<Object> = objects.into_iter().filter(|object| overlaps(&object.path, &span_us)).collect();
    let reads = futures::stream::iter(objects.iter().map(|object| async move {
        let fetched = store.fetch_columns(object, &COLUMNS).await.map_err(|e| unreadable(store, object, e))?;
        Ok::<_, Error>((object, fetched.bytes))
    }));
    let mut history = History::new();
    let mut reads = reads.buffered(CONCURRENCY);
    while let Some((object, bytes)) = reads.try_next().await? {
        add_file(&mut history, bytes, &store.locate(&object.path), &span_us, wanted)?;
    }
    Ok(Some(history))
}

fn unreadable(store: &Store, object: &Object, error: FetchError) -> Error {
    match error {
        FetchError::NotParquet(why) => Error::Verification(format!("{}: {why}", store.locate(&object.path))),
        FetchError::Store(error) => error,
    }
}

/// Whether the file's date touches the span: buckets lie in the folder of the UTC date on which they start.
fn overlaps(path: &str, span_us: &Range<i64>) -> bool {
    let date = path.split('/').find_map(|part| part.strip_prefix("date=")).and_then(|d| d.parse::<NaiveDate>().ok());
    let Some(start) = date.and_then(|date| date.and_hms_opt(0, 0, 0)).map(|midnight| midnight.and_utc()) else {
        return false;
    };
    let start_us = start.timestamp_micros();
    path.ends_with(".parquet") && start_us < span_us.end && start_us.saturating_add(DAY_US) > span_us.start
}

fn add_file(history: &mut History, bytes: Bytes, location: &str, span_us: &Range<i64>, wanted: &Wanted) -> Result<()> {
    let unreadable = |e: String| Error::Verification(format!("{location}: no readable Parquet file: {e}"));
    let builder = ParquetRecordBatchReaderBuilder::try_new(bytes).map_err(|e| unreadable(e.to_string()))?;
    check_columns(builder.schema(), &ROLLUPS, location)?;
    let schema = builder.parquet_schema();
    let step_only = ProjectionMask::columns(schema, ["step"]);
    let all = ProjectionMask::columns(schema, COLUMNS);
    let steps = wanted.steps();
    let predicate = ArrowPredicateFn::new(step_only, move |batch| is_step_wanted(&batch, &steps));
    let filter = RowFilter::new(vec![Box::new(predicate)]);
    let reader = builder.with_projection(all).with_row_filter(filter).build().map_err(|e| unreadable(e.to_string()))?;
    for batch in reader {
        let batch = batch.map_err(|e| unreadable(e.to_string()))?;
        add_batch(history, &batch, span_us, wanted);
    }
    Ok(())
}

fn is_step_wanted(batch: &RecordBatch, steps: &BTreeSet<String>) -> std::result::Result<BooleanArray, ArrowError> {
    let column = batch.column(0).as_string_opt::<i32>();
    let texts = column.ok_or_else(|| ArrowError::SchemaError("step is no text".to_owned()))?;
    Ok(texts.iter().map(|step| Some(step.is_none_or(|step| steps.contains(step)))).collect())
}

/// The columns of a batch that [`check_columns`] has let pass.
struct Columns<'a>(&'a RecordBatch);

impl Columns<'_> {
    fn column(&self, name: &str) -> Option<&ArrayRef> {
        self.0.column_by_name(name)
    }

    fn text(&self, name: &str, row: usize) -> Option<String> {
        let texts = self.column(name)?.as_string_opt::<i32>()?;
        texts.is_valid(row).then(|| texts.value(row).to_owned())
    }

    fn number(&self, name: &str, row: usize) -> Option<f64> {
        let numbers = self.column(name)?.as_primitive_opt::<Float64Type>()?;
        numbers.is_valid(row).then(|| numbers.value(row))
    }

    fn count(&self, name: &str, row: usize) -> u64 {
        let counts = self.column(name).and_then(|column| column.as_primitive_opt::<Int64Type>());
        counts.map_or(0, |counts| u64::try_from(counts.value(row)).unwrap_or(0))
    }

    fn start_us(&self, row: usize) -> Option<i64> {
        Some(self.column("bucket_start")?.as_primitive_opt::<TimestampMicrosecondType>()?.value(row))
    }

    fn bins(&self, row: usize) -> Option<BTreeMap<i16, u64>> {
        let (bins, counts) = (self.column("bins")?, self.column("bin_counts")?);
        let (bins, counts) = (bins.as_list_opt::<i32>()?.value(row), counts.as_list_opt::<i32>()?.value(row));
        let bins = bins.as_primitive_opt::<Int16Type>()?.values();
        let counts = counts.as_primitive_opt::<Int64Type>()?.values();
        Some(bins.iter().zip(counts.iter()).map(|(bin, n)| (*bin, u64::try_from(*n).unwrap_or(0))).collect())
    }

    fn id(&self, row: usize) -> Option<SeriesId> {
        let metric = self.text("metric", row)?.parse().ok()?;
        Some(SeriesId { workflow_id: self.text("workflow_id", row)?, step: self.text("step", row), metric })
    }

    fn bucket(&self, row: usize) -> Bucket {
        Bucket {
            count: self.count("count", row),
            errors: self.count("error_count", row),
            sum: self.number("sum", row).unwrap_or(0.0),
            min: self.number("min", row).unwrap_or(f64::INFINITY),
            max: self.number("max", row).unwrap_or(f64::NEG_INFINITY),
            bins: self.bins(row).unwrap_or_default(),
        }
    }
}

fn add_batch(history: &mut History, batch: &RecordBatch, span_us: &Range<i64>, wanted: &Wanted) {
    let columns = Columns(batch);
    for row in 0..batch.num_rows() {
        let Some(start_us) = columns.start_us(row).filter(|start| span_us.contains(start)) else { continue };
        let Some(id) = columns.id(row).filter(|id| wanted.includes(id)) else { continue };
        history.entry(id).or_default().entry(start_us).or_default().merge(&columns.bucket(row));
    }
}
