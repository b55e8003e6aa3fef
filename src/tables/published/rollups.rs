//! Rollups: many rows, so columns of codes go straight into columns of the file, with nothing allocated per row.

use super::column::known;
use super::spec::{ColumnKind, ColumnSpec, Partition, TableSpec};
use crate::pure::series::Metric;
use arrow::array::{
    Array, ArrayRef, DictionaryArray, Float64Array, Int16Array, Int64Array, ListArray, PrimitiveArray, RecordBatch,
    StringArray, TimestampMicrosecondArray,
};
use arrow::buffer::OffsetBuffer;
use arrow::buffer::ScalarBuffer;
use arrow::datatypes::{Field, Schema, UInt32Type};
use arrow::error::ArrowError;
use std::sync::Arc;

/// What happened, by period and bucket. `period` and `date` are folders of the path.
pub const ROLLUPS: TableSpec = TableSpec {
    name: "rollups",
    meaning: "What happened in each bucket of time. Buckets of a longer period are the exact merge of the shorter ones': \
              add bin_counts of equal bins.",
    grain: "period × bucket × workflow × step (null = the run) × provider × platform × metric",
    columns: &[
        column("bucket_start", ColumnKind::Timestamp, "", "Start of the bucket; it lasts one period."),
        column("workflow_id", ColumnKind::Text, "", "The workflow."),
        column("workflow_type", ColumnKind::Text, "", "The workflow's type."),
        nullable("step", ColumnKind::Text, "", "The derived step, null for the run."),
        nullable("provider", ColumnKind::Text, "", "Who executed it, null where unknown."),
        nullable("platform", ColumnKind::Text, "", "Where it ran, null where unknown."),
        column("metric", ColumnKind::Text, "", "What is measured; the unit of all values follows from it."),
        column("count", ColumnKind::Int, "executions", "Values in the bucket."),
        column("error_count", ColumnKind::Int, "executions", "Executions in the bucket that failed."),
        nullable("sum", ColumnKind::Float, "", "Sum of the values."),
        nullable("mean", ColumnKind::Float, "", "Mean of the values."),
        nullable("std", ColumnKind::Float, "", "Sample standard deviation, null below two values."),
        nullable("min", ColumnKind::Float, "", "Smallest value."),
        nullable("max", ColumnKind::Float, "", "Largest value."),
        nullable("p50", ColumnKind::Float, "", "Median, from the histogram: within 1 %."),
        nullable("p90", ColumnKind::Float, "", "90 % quantile, from the histogram: within 1 %."),
        nullable("p95", ColumnKind::Float, "", "95 % quantile, from the histogram: within 1 %."),
        nullable("p99", ColumnKind::Float, "", "99 % quantile, from the histogram: within 1 %."),
        column(
            "bins",
            ColumnKind::ShortList,
            "",
            "Histogram bins that hold values, ascending: floor(51 · ln value), -32768 for zero.",
        ),
        column("bin_counts", ColumnKind::IntList, "executions", "Values in each of the bins."),
    ],
    key: &["workflow_id", "workflow_type", "step", "provider", "platform", "metric", "bucket_start"],
    repeats: false,
    partition: Partition::PeriodAndDate,
};

const fn column(name: &'static str, kind: ColumnKind, unit: &'static str, meaning: &'static str) -> ColumnSpec {
    ColumnSpec { name, kind, nullable: false, unit, meaning }
}

const fn nullable(name: &'static str, kind: ColumnKind, unit: &'static str, meaning: &'static str) -> ColumnSpec {
    ColumnSpec { name, kind, nullable: true, unit, meaning }
}

/// The rollups of one period and one date, column by column. All vectors have one length, except for the histogram:
/// row `i` owns `bins[bin_offsets[i]..bin_offsets[i + 1]]` and the same range of `bin_counts`, and `bin_offsets` is
/// one longer (empty stands for `[0]` where there are no rows). Text is given by codes into a vocabulary;
/// [`crate::pure::samples::UNKNOWN`] is null. NaN is null.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct RollupColumns {
    /// Start of the bucket.
    pub bucket_start_us: Vec<i64>,
    /// Code of the workflow.
    pub workflow_id: Vec<u32>,
    /// Code of the workflow's type.
    pub workflow_type: Vec<u32>,
    /// Code of the derived step.
    pub step: Vec<u32>,
    /// Code of the provider.
    pub provider: Vec<u32>,
    /// Code of the platform.
    pub platform: Vec<u32>,
    /// What is measured.
    pub metric: Vec<Metric>,
    /// Values in the bucket.
    pub count: Vec<i64>,
    /// Failed executions.
    pub error_count: Vec<i64>,
    /// Sum of the values.
    pub sum: Vec<f64>,
    /// Mean.
    pub mean: Vec<f64>,
    /// Sample standard deviation.
    pub std: Vec<f64>,
    /// Smallest value.
    pub min: Vec<f64>,
    /// Largest value.
    pub max: Vec<f64>,
    /// Median.
    pub p50: Vec<f64>,
    /// 90 % quantile.
    pub p90: Vec<f64>,
    /// 95 % quantile.
    pub p95: Vec<f64>,
    /// 99 % quantile.
    pub p99: Vec<f64>,
    /// Where each row's histogram starts, and the end of the last.
    pub bin_offsets: Vec<i32>,
    /// Bins that hold values.
    pub bins: Vec<i16>,
    /// Values in each of `bins`.
    pub bin_counts: Vec<i64>,
}

impl RollupColumns {
    /// How many rows.
    #[must_use]
    pub fn len(&self) -> usize {
        self.bucket_start_us.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.bucket_start_us.is_empty()
    }

    /// The columns as one batch in the order of [`ROLLUPS`]; text columns are dictionaries over `vocabulary`.
    ///
    /// # Errors
    /// When the vectors do not fit together, or a key that can't be unknown is.
    pub fn into_batch(self, vocabulary: &[String]) -> Result<RecordBatch, ArrowError> {
        let words: ArrayRef = Arc::new(StringArray::from_iter_values(vocabulary));
        let metrics: ArrayRef = Arc::new(StringArray::from_iter_values(Metric::ALL.map(Metric::as_str)));
        let text = |codes: Vec<u32>| dictionary(codes, &words);
        let metric = self.metric.into_iter().map(metric_code).collect();
        let offsets = offsets(self.bin_offsets, self.bins.len())?;
        let bins = list(Arc::new(Int16Array::from(self.bins)), offsets.clone())?;
        let bin_counts = list(Arc::new(Int64Array::from(self.bin_counts)), offsets)?;
        let columns: Vec<ArrayRef> = vec![
            Arc::new(TimestampMicrosecondArray::from(self.bucket_start_us).with_timezone("UTC")),
            text(self.workflow_id)?,
            text(self.workflow_type)?,
            text(self.step)?,
            text(self.provider)?,
            text(self.platform)?,
            dictionary(metric, &metrics)?,
            Arc::new(Int64Array::from(self.count)),
            Arc::new(Int64Array::from(self.error_count)),
            floats(self.sum),
            floats(self.mean),
            floats(self.std),
            floats(self.min),
            floats(self.max),
            floats(self.p50),
            floats(self.p90),
            floats(self.p95),
            floats(self.p99),
            bins,
            bin_counts,
        ];
        RecordBatch::try_new(dictionary_schema(&columns), columns)
    }
}

/// The schema of [`ROLLUPS`] with the types that the columns have in memory.
fn dictionary_schema(columns: &[ArrayRef]) -> Arc<Schema> {
    let fields = ROLLUPS.columns.iter().zip(columns);
    Arc::new(Schema::new(
        fields.map(|(spec, array)| spec.field().with_data_type(array.data_type().clone())).collect::<Vec<Field>>(),
    ))
}

fn metric_code(metric: Metric) -> u32 {
    (0..).zip(Metric::ALL).find_map(|(code, known)| (known == metric).then_some(code)).unwrap_or(u32::MAX)
}

/// Codes beyond the vocabulary are null, and so refused where the column can't be.
fn dictionary(codes: Vec<u32>, words: &ArrayRef) -> Result<ArrayRef, ArrowError> {
    let known = words.len();
    let is_word = |code: u32| usize::try_from(code).is_ok_and(|code| code < known);
    let keys: PrimitiveArray<UInt32Type> = if codes.iter().all(|&code| is_word(code)) {
        codes.into()
    } else {
        codes.into_iter().map(|code| is_word(code).then_some(code)).collect()
    };
    Ok(Arc::new(DictionaryArray::<UInt32Type>::try_new(keys, Arc::clone(words))?))
}

fn floats(values: Vec<f64>) -> ArrayRef {
    if values.iter().any(|value| value.is_nan()) {
        Arc::new(values.into_iter().map(known).collect::<Float64Array>())
    } else {
        Arc::new(Float64Array::from(values))
    }
}

/// Arrow's own constructor panics on offsets that fall.
fn offsets(mut offsets: Vec<i32>, length: usize) -> Result<OffsetBuffer<i32>, ArrowError> {
    if offsets.is_empty() {
        offsets.push(0);
    }
    let ascending = offsets.first() == Some(&0) && offsets.is_sorted();
    let complete = offsets.last().is_some_and(|&last| usize::try_from(last) == Ok(length));
    if ascending && complete {
        Ok(OffsetBuffer::new(ScalarBuffer::from(offsets)))
    } else {
        Err(ArrowError::InvalidArgumentError(format!("bin offsets must rise from 0 to {length}")))
    }
}

fn list(values: ArrayRef, offsets: OffsetBuffer<i32>) -> Result<ArrayRef, ArrowError> {
    let item = Field::new("item", values.data_type().clone(), false);
    Ok(Arc::new(ListArray::try_new(Arc::new(item), offsets, values, None)?))
}
