//! Published tables as Parquet files: sorted by key, described, and the same bytes for the same rows.

use crate::error::{Error, Result};
use crate::tables::published::{ColumnKind, ColumnSpec, Row, TableSpec, to_batch};
use arrow::array::{ArrayRef, RecordBatch, RecordBatchOptions};
use arrow::compute::{SortColumn, SortOptions, lexsort_to_indices, take_record_batch};
use arrow::datatypes::{DataType, Field, Schema};
use arrow::row::{RowConverter, SortField};
use bytes::Bytes;
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::{ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder};
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::metadata::{KeyValue, SortingColumn};
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::schema::types::ColumnPath;
use std::cmp::Ordering;
use std::sync::Arc;

/// Rows of a row group: small enough that the statistics of a large file let readers pass over most of it.
const ROW_GROUP_ROWS: usize = 128 * 1024;
/// Rows that are decoded at a time.
const BATCH_ROWS: usize = 8 * 1024;
/// Level 3 is zstd's own default: higher ones cost more time than they save in size on columns this narrow.
const ZSTD_LEVEL: i32 = 3;

/// The file of these rows, sorted by the table's key.
///
/// # Errors
/// [`Error::Internal`] when two rows share a key that names one row.
pub fn write_rows<R: Row>(rows: Vec<R>) -> Result<Vec<u8>> {
    write_table(&to_batch(rows)?, &R::SPEC)
}

/// The file of a batch whose columns are those of `spec` (texts may be dictionaries), sorted by its key. A batch that
/// is sorted already is not sorted again.
///
/// # Errors
/// [`Error::Internal`] when columns are not those of the table, or two rows share a key that names one row.
pub fn write_table(batch: &RecordBatch, spec: &TableSpec) -> Result<Vec<u8>> {
    check_columns(batch, spec)?;
    let sorted = sorted_by_key(batch, spec)?;
    let mut writer = ArrowWriter::try_new(Vec::new(), spec.schema(), Some(properties(spec)?))?;
    writer.write(&with_plain_schema(&sorted, spec)?)?;
    Ok(writer.into_inner()?)
}

/// Reads a published file back, a batch at a time.
///
/// # Errors
/// [`Error::Verification`] when the bytes are no Parquet file.
pub fn read_table(bytes: Bytes) -> Result<ParquetRecordBatchReader> {
    let unreadable = |e| Error::Verification(format!("a published file is no readable Parquet file: {e}"));
    let builder = ParquetRecordBatchReaderBuilder::try_new(bytes).map_err(unreadable)?;
    builder.with_batch_size(BATCH_ROWS).build().map_err(unreadable)
}

fn properties(spec: &TableSpec) -> Result<WriterProperties> {
    let sorting = spec.key_indices().into_iter().filter_map(|idx| leaf_of(spec, idx)).map(|column_idx| SortingColumn {
        column_idx,
        descending: false,
        nulls_first: true,
    });
    let about = |key: &str, value: &str| KeyValue::new(format!("paceline:{key}"), value.to_owned());
    let metadata = vec![
        about("table", spec.name),
        about("meaning", spec.meaning),
        about("grain", spec.grain),
        about("key", &spec.key.join(",")),
    ];
    // Measures rarely repeat: a dictionary of them overflows, and the file was up to twice as large with it.
    let measures = spec.columns.iter().filter(|column| column.kind == ColumnKind::Float);
    let builder = measures.fold(WriterProperties::builder(), |builder, column| {
        builder.set_column_dictionary_enabled(ColumnPath::from(column.name), false)
    });
    Ok(builder
        .set_compression(Compression::ZSTD(ZstdLevel::try_new(ZSTD_LEVEL)?))
        .set_statistics_enabled(EnabledStatistics::Page)
        .set_max_row_group_row_count(Some(ROW_GROUP_ROWS))
        .set_sorting_columns(Some(sorting.collect()))
        .set_key_value_metadata(Some(metadata))
        .set_created_by("paceline".to_owned())
        .build())
}

/// Parquet counts leaves; every published column has exactly one.
fn leaf_of(spec: &TableSpec, column: usize) -> Option<i32> {
    (column < spec.columns.len()).then(|| i32::try_from(column).ok()).flatten()
}

fn check_columns(batch: &RecordBatch, spec: &TableSpec) -> Result<()> {
    let fits = |(column, field): (&ColumnSpec, &Arc<Field>)| {
        column.name == field.name() && file_type(field.data_type()) == &column.kind.arrow()
    };
    let schema = batch.schema();
    if schema.fields().len() == spec.columns.len() && spec.columns.iter().zip(schema.fields()).all(fits) {
        return Ok(());
    }
    Err(Error::Internal(format!("the columns of {} are {schema}, expected {}", spec.name, spec.schema())))
}

/// The type that a column in memory has in the file: a dictionary is a way to hold text.
fn file_type(in_memory: &DataType) -> &DataType {
    match in_memory {
        DataType::Dictionary(_, value) => value,
        other => other,
    }
}

/// The writer's schema has plain text; its columns may be dictionaries all the same. Nullability is the table's.
fn with_plain_schema(batch: &RecordBatch, spec: &TableSpec) -> Result<RecordBatch> {
    let plain = spec.schema();
    let in_memory = batch.schema();
    let fields = plain.fields().iter().zip(in_memory.fields());
    let fields: Vec<_> =
        fields.map(|(to, from)| to.as_ref().clone().with_data_type(from.data_type().clone())).collect();
    let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    let columns = batch.columns().to_vec();
    Ok(RecordBatch::try_new_with_options(Arc::new(Schema::new(fields)), columns, &options)?)
}

fn sorted_by_key(batch: &RecordBatch, spec: &TableSpec) -> Result<RecordBatch> {
    match order_of(batch, spec)? {
        Order::Sorted => Ok(batch.clone()),
        Order::Unsorted => {
            let sorted = sort(batch, spec)?;
            match order_of(&sorted, spec)? {
                Order::Repeated(row) => Err(repeated(&sorted, spec, row)),
                Order::Sorted | Order::Unsorted => Ok(sorted),
            }
        }
        Order::Repeated(row) => Err(repeated(batch, spec, row)),
    }
}

enum Order {
    Sorted,
    Unsorted,
    /// This row and the one before it share a key that names one row.
    Repeated(usize),
}

fn key_columns(batch: &RecordBatch, spec: &TableSpec) -> Vec<ArrayRef> {
    spec.key_indices().into_iter().filter_map(|idx| batch.columns().get(idx)).map(Arc::clone).collect()
}

/// Compares neighbours a window at a time: the rows of a whole file as comparable bytes would take more memory than
/// the file.
fn order_of(batch: &RecordBatch, spec: &TableSpec) -> Result<Order> {
    let keys = key_columns(batch, spec);
    let fields = keys.iter().map(|key| SortField::new_with_options(key.data_type().clone(), NULLS_FIRST)).collect();
    let converter = RowConverter::new(fields)?;
    let mut start = 0;
    while start + 1 < batch.num_rows() {
        let length = (BATCH_ROWS + 1).min(batch.num_rows() - start);
        let window: Vec<_> = keys.iter().map(|key| key.slice(start, length)).collect();
        let rows = converter.convert_columns(&window)?;
        for (at, (row, next)) in rows.iter().zip(rows.iter().skip(1)).enumerate() {
            match row.cmp(&next) {
                Ordering::Less => {}
                Ordering::Greater => return Ok(Order::Unsorted),
                Ordering::Equal if spec.repeats => {}
                Ordering::Equal => return Ok(Order::Repeated(start + at + 1)),
            }
        }
        start += BATCH_ROWS;
    }
    Ok(Order::Sorted)
}

const NULLS_FIRST: SortOptions = SortOptions { descending: false, nulls_first: true };

/// By all of the key; rows that share one stay in an order that their other columns fix only where the key says so,
/// which is why tables that may repeat have every column in their key.
fn sort(batch: &RecordBatch, spec: &TableSpec) -> Result<RecordBatch> {
    let columns: Vec<SortColumn> =
        key_columns(batch, spec).into_iter().map(|values| SortColumn { values, options: Some(NULLS_FIRST) }).collect();
    Ok(take_record_batch(batch, &lexsort_to_indices(&columns, None)?)?)
}

fn repeated(batch: &RecordBatch, spec: &TableSpec, row: usize) -> Error {
    let shown =
        |column: &ArrayRef| arrow::util::display::array_value_to_string(column, row).unwrap_or_else(|e| e.to_string());
    let key: Vec<String> = key_columns(batch, spec).iter().map(shown).collect();
    Error::Internal(format!("two rows of {} share the key {} = {}", spec.name, spec.key.join(", "), key.join(", ")))
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use crate::pure::samples::{UNKNOWN, Vocabulary};
    use crate::pure::series::Metric;
    use crate::tables::published::{ROLLUPS, RejectRow, RollupColumns, SkipRow, TABLES};
    use arrow::array::{Array, AsArray};
    use arrow::datatypes::{Float64Type, Int16Type};
    use parquet::file::reader::{FileReader, SerializedFileReader};

    fn skip(workflow: &str, reason: &str) -> SkipRow {
        SkipRow {
            analysis: "trends".to_owned(),
            workflow: workflow.to_owned(),
            workflow_type: None,
            step: None,
            metric: None,
            reason: reason.to_owned(),
        }
    }

    fn read(bytes: Vec<u8>) -> Vec<RecordBatch> {
        read_table(bytes.into()).unwrap().map(|batch| batch.unwrap()).collect()
    }

    /// Rows 0 and 1 in the wrong order, one histogram empty, one text unknown.
    fn rollups() -> (RollupColumns, Vocabulary) {
        let mut vocabulary = Vocabulary::default();
        let (b, a) = (vocabulary.intern("b"), vocabulary.intern("a"));
        let columns = RollupColumns {
            bucket_start_us: vec![3_600_000_000, 0],
            workflow_id: vec![b, a],
            workflow_type: vec![a, a],
            step: vec![UNKNOWN, b],
            provider: vec![UNKNOWN; 2],
            platform: vec![UNKNOWN; 2],
            metric: vec![Metric::ExecutionTime, Metric::QueueTime],
            count: vec![2, 0],
            error_count: vec![0, 1],
            sum: vec![3.0, 0.0],
            mean: vec![1.5, f64::NAN],
            std: vec![0.5, f64::NAN],
            min: vec![1.0, f64::NAN],
            max: vec![2.0, f64::NAN],
            p50: vec![1.5, f64::NAN],
            p90: vec![1.9, f64::NAN],
            p95: vec![1.95, f64::NAN],
            p99: vec![1.99, f64::NAN],
            bin_offsets: vec![0, 2, 2],
            bins: vec![0, 35],
            bin_counts: vec![1, 1],
        };
        (columns, vocabulary)
    }

    #[test]
    fn rows_come_back_sorted_by_key_whatever_their_order() {
        let rows = vec![skip("b", "x"), skip("a", "y"), skip("a", "x")];
        let mut reversed = rows.clone();
        reversed.reverse();
        let bytes = write_rows(rows).unwrap();
        assert_eq!(bytes, write_rows(reversed).unwrap());
        let batch = read(bytes).remove(0);
        let column = |idx: usize| batch.column(idx).as_string::<i32>().iter().flatten().collect::<Vec<_>>().join("");
        assert_eq!((column(1), column(5)), ("aab".to_owned(), "xyx".to_owned()));
    }

    #[test]
    fn empty_tables_have_their_columns() {
        for spec in TABLES {
            let bytes = write_table(&RecordBatch::new_empty(spec.schema()), spec).unwrap();
            let reader = read_table(bytes.into()).unwrap();
            assert_eq!(
                arrow::array::RecordBatchReader::schema(&reader).fields(),
                spec.schema().fields(),
                "{}",
                spec.name
            );
            assert_eq!(reader.count(), 0);
        }
    }

    #[test]
    fn a_repeated_key_is_refused_unless_the_table_allows_it() {
        let (mut columns, vocabulary) = rollups();
        columns.bucket_start_us = vec![0, 0];
        for codes in [&mut columns.workflow_id, &mut columns.step] {
            *codes = vec![0, 0];
        }
        columns.metric = vec![Metric::Cost, Metric::Cost];
        let error = write_table(&columns.into_batch(vocabulary.words()).unwrap(), &ROLLUPS).unwrap_err().to_string();
        assert!(error.contains("two rows of rollups share the key") && error.contains("cost"), "{error}");
        let reject = |row| RejectRow { file: "f".into(), row, column: None, value: None, reason: "bad".into() };
        assert!(write_rows(vec![reject(Some(1)), reject(None), reject(Some(1))]).is_ok());
    }

    #[test]
    fn rollups_are_sorted_and_plain_in_the_file() {
        let (columns, vocabulary) = rollups();
        let bytes = write_table(&columns.into_batch(vocabulary.words()).unwrap(), &ROLLUPS).unwrap();
        let batch = read(bytes).remove(0);
        assert_eq!(batch.schema().fields(), ROLLUPS.schema().fields());
        let words: Vec<_> = batch.column(1).as_string::<i32>().iter().flatten().collect();
        assert_eq!(words, ["a", "b"]);
        assert!(batch.column(3).is_valid(0) && batch.column(3).is_null(1));
        assert!(batch.column_by_name("mean").unwrap().as_primitive::<Float64Type>().is_null(0));
        let histogram = batch.column_by_name("bins").unwrap().as_list::<i32>().value(1);
        assert_eq!(histogram.as_primitive::<Int16Type>().values(), &[0, 35]);
    }

    #[test]
    fn vectors_that_do_not_fit_are_refused() {
        for offsets in [vec![0, 3, 2], vec![0, 1, 1], vec![1, 2, 2], vec![0, 2], Vec::new()] {
            let (mut columns, vocabulary) = rollups();
            columns.bin_offsets = offsets.clone();
            assert!(columns.into_batch(vocabulary.words()).is_err(), "{offsets:?}");
        }
        let (mut columns, vocabulary) = rollups();
        columns.workflow_id = vec![UNKNOWN, 0];
        let written = columns.into_batch(vocabulary.words());
        assert!(written.is_err(), "a key that can't be unknown was");
        assert!(RollupColumns::default().into_batch(&[]).unwrap().num_rows() == 0);
    }

    #[test]
    fn files_say_what_they_are() {
        let (columns, vocabulary) = rollups();
        let bytes = write_table(&columns.into_batch(vocabulary.words()).unwrap(), &ROLLUPS).unwrap();
        let reader = SerializedFileReader::new(Bytes::from(bytes)).unwrap();
        let metadata = reader.metadata();
        let about = metadata.file_metadata().key_value_metadata().unwrap();
        let grain = about.iter().find(|kv| kv.key == "paceline:grain").unwrap().value.clone().unwrap();
        assert!(grain.starts_with("period"), "{grain}");
        assert!(metadata.row_groups()[0].columns().iter().all(|column| column.statistics().is_some()));
        assert!(metadata.row_groups()[0].column(0).column_index_offset().is_some(), "no page statistics");
    }
}
