//! Any table, whatever its columns are called: columns by name, typed by what they hold.
//!
//! In Parquet a column has its type. A text file has none, so there a column is of numbers if all of its texts are.

use super::raw::{self, Unreadable};
use super::time;
use crate::error::{Error, Result};
use crate::pure::columns::{Clock, Column, Instants, Words};
use polars::prelude::{Column as FrameColumn, DataFrame, DataType, StringChunked, TimeUnit};

/// What stands for an unknown number in a text file.
const UNKNOWN_NUMBER: [&str; 7] = ["NA", "N/A", "NaN", "nan", "null", "NULL", "None"];
const PARQUET_ENDING: &str = ".parquet";

/// A table whose columns are asked for by name.
#[derive(Debug)]
pub struct AnyTable {
    source: String,
    frame: DataFrame,
    /// Whether columns have types of their own.
    is_typed: bool,
}

/// What a column holds, before anything is converted.
enum Values<'a> {
    Texts(&'a StringChunked),
    Typed(&'a FrameColumn),
}

impl AnyTable {
    /// Reads Parquet, or text with commas or tabs and a header line, told apart by content. `source` is the file's name
    /// for messages. Parquet columns that are not `wanted` are known by name only, and not decoded.
    ///
    /// # Errors
    /// [`Error::Input`] when the bytes are neither, corrupt, or without a column.
    pub fn read(bytes: &[u8], source: &str, wanted: impl Fn(&str) -> bool) -> Result<Self> {
        let is_typed = raw::looks_like_parquet(bytes) || source.ends_with(PARQUET_ENDING);
        let frame = if is_typed { raw::parquet(bytes, wanted) } else { raw::delimited(bytes) };
        let unreadable = |why: Unreadable| Error::Input(format!("{source}: {why}"));
        Ok(Self { source: source.to_owned(), frame: frame.map_err(unreadable)?, is_typed })
    }

    /// Number of rows.
    #[must_use]
    pub fn height(&self) -> usize {
        self.frame.height()
    }

    /// The file's name, for messages.
    #[must_use]
    pub fn source(&self) -> &str {
        &self.source
    }

    /// Names of all columns in the file's order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.frame.columns().iter().map(|column| column.name().as_str())
    }

    /// Whether there is such a column.
    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        self.frame.column(name).is_ok()
    }

    /// A column as it should be learned from: numbers, or words.
    ///
    /// # Errors
    /// [`Error::Usage`] when there is none, or its type is neither.
    pub fn column(&self, name: &str) -> Result<Column> {
        match self.values(name)? {
            Values::Texts(texts) if self.is_typed => Ok(Column::Words(Words::of(texts.iter()))),
            Values::Texts(texts) => Ok(inferred(texts)),
            Values::Typed(column) => match column.dtype() {
                DataType::Boolean | DataType::Categorical(..) | DataType::Enum(..) => {
                    self.words(name).map(Column::Words)
                }
                _ => self.numbers(name).map(Column::Numbers),
            },
        }
    }

    /// A column of numbers: NaN is unknown, true is 1, instants are seconds since the epoch, durations are seconds.
    ///
    /// # Errors
    /// [`Error::Usage`] when there is none, or some value is no number; says the first such row.
    pub fn numbers(&self, name: &str) -> Result<Vec<f64>> {
        match self.values(name)? {
            Values::Texts(texts) => texts
                .iter()
                .enumerate()
                .map(|(row, text)| number(text).ok_or_else(|| self.unfit(name, row, text, "a number")))
                .collect(),
            Values::Typed(column) => {
                let per_second = match column.dtype() {
                    DataType::Datetime(unit, _) | DataType::Duration(unit) => per_second(*unit),
                    DataType::Date => 1.0 / 86_400.0,
                    dtype if dtype.is_primitive_numeric() || dtype.is_bool() || dtype.is_null() => 1.0,
                    other => return Err(self.wrong_type(name, other, "numbers")),
                };
                let physical = column.to_physical_repr().cast(&DataType::Float64)?;
                Ok(physical.f64()?.iter().map(|value| value.map_or(f64::NAN, |value| value / per_second)).collect())
            }
        }
    }

    /// A column of words: what groups rows. Numbers are taken as they are written.
    ///
    /// # Errors
    /// [`Error::Usage`] when there is none, or it holds lists or records.
    pub fn words(&self, name: &str) -> Result<Words> {
        match self.values(name)? {
            Values::Texts(texts) => Ok(Words::of(texts.iter().map(|text| text.filter(|text| !is_blank(text))))),
            Values::Typed(column) if column.dtype().is_nested() => {
                Err(self.wrong_type(name, column.dtype(), "texts, numbers or truth values"))
            }
            Values::Typed(column) => Ok(Words::of(column.cast(&DataType::String)?.str()?.iter())),
        }
    }

    /// A column by which rows are ordered in time: dates and times of any unit and zone, or numbers.
    ///
    /// # Errors
    /// [`Error::Usage`] when there is none, or some value is neither; says the first such row.
    pub fn instants(&self, name: &str) -> Result<Instants> {
        match self.values(name)? {
            Values::Texts(texts) => self.parsed_instants(name, texts),
            Values::Typed(column) => match column.dtype() {
                DataType::Datetime(_, zone) => {
                    let clock = Clock::Time { zoned: zone.is_some() };
                    let micros = column.cast(&DataType::Datetime(TimeUnit::Microseconds, zone.clone()))?;
                    Ok(Instants { values: whole(&micros.to_physical_repr())?, clock })
                }
                DataType::Date => {
                    let micros = column.cast(&DataType::Datetime(TimeUnit::Microseconds, None))?;
                    Ok(Instants { values: whole(&micros.to_physical_repr())?, clock: Clock::Time { zoned: false } })
                }
                dtype if dtype.is_integer() => Ok(Instants { values: whole(column)?, clock: Clock::Integer }),
                dtype if dtype.is_float() || dtype.is_null() => Ok(counted(&self.numbers(name)?)),
                other => Err(self.wrong_type(name, other, "dates with times, or numbers")),
            },
        }
    }

    fn parsed_instants(&self, name: &str, texts: &StringChunked) -> Result<Instants> {
        let numbers: Option<Vec<f64>> = texts.iter().map(number).collect();
        if let Some(numbers) = numbers {
            return Ok(counted(&numbers));
        }
        let mut zoned = false;
        let read = |(row, text): (usize, Option<&str>)| match text.filter(|text| !is_blank(text)) {
            None => Ok(None),
            Some(text) => match instant(text) {
                Some((micros, with_zone)) => {
                    zoned |= with_zone;
                    Ok(Some(micros))
                }
                None => {
                    Err(self.unfit(name, row, Some(text), "a number, or a date and time such as 2026-01-31T09:00:00Z"))
                }
            },
        };
        let values = texts.iter().enumerate().map(read).collect::<Result<Vec<_>>>()?;
        Ok(Instants { values, clock: Clock::Time { zoned } })
    }

    fn values(&self, name: &str) -> Result<Values<'_>> {
        let column = self.frame.column(name).map_err(|_absent| self.missing(name))?;
        Ok(if column.dtype().is_string() { Values::Texts(column.str()?) } else { Values::Typed(column) })
    }

    fn missing(&self, name: &str) -> Error {
        let mut names: Vec<&str> = self.names().collect();
        names.sort_by_key(|other| distance(other, name));
        let shown: Vec<String> = names.iter().take(MAX_SHOWN).map(|name| format!("{name:?}")).collect();
        let more = if names.len() > MAX_SHOWN { ", …" } else { "" };
        Error::Usage(format!(
            "{}: there is no column {name:?}; its {} columns are {}{more} (nearest name first)",
            self.source,
            names.len(),
            shown.join(", ")
        ))
    }

    fn unfit(&self, name: &str, row: usize, text: Option<&str>, expected: &str) -> Error {
        let found = text.unwrap_or_default();
        Error::Usage(format!("{}: column {name:?}, row {row}: {found:?} is not {expected}", self.source))
    }

    fn wrong_type(&self, name: &str, found: &DataType, expected: &str) -> Error {
        Error::Usage(format!("{}: column {name:?} has type {found}; expected {expected}", self.source))
    }
}

/// Names that an error shows.
const MAX_SHOWN: usize = 30;

fn is_blank(text: &str) -> bool {
    text.trim().is_empty()
}

/// A text as a number, NaN where it says that there is none; none for any other text.
fn number(text: Option<&str>) -> Option<f64> {
    match text.map(str::trim) {
        None | Some("") => Some(f64::NAN),
        Some(text) if UNKNOWN_NUMBER.contains(&text) => Some(f64::NAN),
        Some(text) => text.parse().ok(),
    }
}

/// Microseconds since the epoch, and whether the text named its zone.
fn instant(text: &str) -> Option<(i64, bool)> {
    let date = || chrono::NaiveDate::parse_from_str(text.trim(), "%Y-%m-%d").ok()?.and_hms_opt(0, 0, 0);
    let naive = || Some((time::parse_naive(text).or_else(date)?.and_utc().timestamp_micros(), false));
    time::parse_instant(text).map(|micros| (micros, true)).or_else(naive)
}

/// The column of a text file: numbers if every text is one (and some is there), else instants, else words.
fn inferred(texts: &StringChunked) -> Column {
    let numbers: Option<Vec<f64>> = texts.iter().map(number).collect();
    if let Some(numbers) = numbers {
        return Column::Numbers(numbers);
    }
    let seconds = |text: Option<&str>| match text.filter(|text| !is_blank(text)) {
        None => Some(f64::NAN),
        Some(text) => instant(text).map(|(micros, _)| seconds(micros)),
    };
    let instants: Option<Vec<f64>> = texts.iter().map(seconds).collect();
    instants.map_or_else(
        || Column::Words(Words::of(texts.iter().map(|text| text.filter(|text| !is_blank(text))))),
        Column::Numbers,
    )
}

#[expect(clippy::cast_precision_loss, reason = "a double holds seconds of any year to the microsecond or nearly so")]
fn seconds(micros: i64) -> f64 {
    micros as f64 / 1e6
}

fn per_second(unit: TimeUnit) -> f64 {
    match unit {
        TimeUnit::Nanoseconds => 1e9,
        TimeUnit::Microseconds => 1e6,
        TimeUnit::Milliseconds => 1e3,
    }
}

fn whole(column: &FrameColumn) -> Result<Vec<Option<i64>>> {
    Ok(column.cast(&DataType::Int64)?.i64()?.iter().collect())
}

/// Numbers as instants: whole ones as they are, others in millionths.
#[expect(clippy::cast_possible_truncation, reason = "a cast that saturates; such numbers are no times")]
fn counted(numbers: &[f64]) -> Instants {
    let known = || numbers.iter().filter(|number| number.is_finite());
    let (scale, clock) =
        if known().all(|number| number.fract() == 0.0) { (1.0, Clock::Integer) } else { (1e6, Clock::Fraction) };
    let value = |number: &f64| number.is_finite().then(|| (number * scale).round() as i64);
    Instants { values: numbers.iter().map(value).collect(), clock }
}

/// Letters that must be changed, added or removed to make one name of the other (Levenshtein 1966), case aside.
fn distance(a: &str, b: &str) -> usize {
    let (a, b) = (a.to_lowercase(), b.to_lowercase());
    let mut row: Vec<usize> = (0..=b.chars().count()).collect();
    for (i, letter) in a.chars().enumerate() {
        let mut diagonal = i;
        let mut left = i + 1;
        for (j, other) in b.chars().enumerate() {
            let above = row.get(j + 1).copied().unwrap_or_default();
            let changed = diagonal + usize::from(letter != other);
            if let Some(cell) = row.get_mut(j) {
                *cell = left;
            }
            left = changed.min(above + 1).min(left + 1);
            diagonal = above;
        }
        if let Some(cell) = row.last_mut() {
            *cell = left;
        }
    }
    row.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, clippy::float_cmp, reason = "tests")]
    use super::*;
    use crate::pure::samples::UNKNOWN;
    use polars::df;
    use polars::prelude::{IntoColumn, ParquetWriter, TimeZone};

    fn csv(text: &str) -> AnyTable {
        AnyTable::read(text.as_bytes(), "t.csv", |_| true).unwrap()
    }

    fn parquet(mut frame: DataFrame) -> AnyTable {
        let mut bytes = Vec::new();
        ParquetWriter::new(&mut bytes).finish(&mut frame).unwrap();
        AnyTable::read(&bytes, "t.parquet", |_| true).unwrap()
    }

    #[test]
    fn a_text_column_is_of_numbers_if_all_its_texts_are() {
        let table = csv("n,w,t\n1,a,2026-01-01\n NA ,2,\n1e3,,2026-01-02T00:00:00Z\n");
        let Column::Numbers(numbers) = table.column("n").unwrap() else { unreachable!("numbers") };
        assert!(numbers[0] == 1.0 && numbers[1].is_nan() && numbers[2] == 1000.0);
        let Column::Words(words) = table.column("w").unwrap() else { unreachable!("words") };
        assert_eq!(words.codes, [1, 0, UNKNOWN]);
        let Column::Numbers(seconds) = table.column("t").unwrap() else { unreachable!("seconds") };
        assert!(seconds[2] - seconds[0] == 86_400.0 && seconds[1].is_nan());
        assert_eq!(table.words("n").unwrap().at(2), Some("1e3"));
    }

    #[test]
    fn a_parquet_column_has_its_type() {
        let time = |unit, zone| {
            let raw = df!("t" => [86_400_000_000_i64]).unwrap();
            let micros = raw.column("t").unwrap().cast(&DataType::Datetime(TimeUnit::Microseconds, zone)).unwrap();
            micros.cast(&DataType::Datetime(unit, None)).map(|c| c.with_name("t".into())).unwrap()
        };
        let nanos = time(TimeUnit::Nanoseconds, None);
        let millis = time(TimeUnit::Milliseconds, None).with_name("m".into());
        let zoned = {
            let micros = time(TimeUnit::Microseconds, None);
            let utc = DataType::Datetime(TimeUnit::Microseconds, Some(TimeZone::UTC));
            micros.cast(&utc).unwrap().with_name("z".into())
        };
        let flag = df!("f" => [true]).unwrap().column("f").unwrap().clone();
        let code = df!("c" => ["7"]).unwrap().column("c").unwrap().clone();
        let count = df!("i" => [7_i32]).unwrap().column("i").unwrap().clone();
        let table = parquet(DataFrame::new(1, vec![nanos, millis, zoned.into_column(), flag, code, count]).unwrap());
        for (name, zoned) in [("t", false), ("m", false), ("z", true)] {
            let expected = Instants { values: vec![Some(86_400_000_000)], clock: Clock::Time { zoned } };
            assert_eq!(table.instants(name).unwrap(), expected, "{name}");
            assert_eq!(table.numbers(name).unwrap(), [86_400.0], "{name}");
        }
        assert_eq!(table.instants("i").unwrap(), Instants { values: vec![Some(7)], clock: Clock::Integer });
        assert!(matches!(table.column("f").unwrap(), Column::Words(words) if words.words == ["true"]));
        assert!(matches!(table.column("c").unwrap(), Column::Words(_)), "a text stays a text");
        assert_eq!(table.column("i").unwrap(), Column::Numbers(vec![7.0]));
        assert_eq!(table.numbers("f").unwrap(), [1.0]);
    }

    #[test]
    fn times_of_text_files_may_be_numbers_or_dates() {
        let table = csv("i,f,t,bad\n3,0.5,2026-01-01 00:00:01,2026-01-01\n,2,,soon\n");
        assert_eq!(table.instants("i").unwrap(), Instants { values: vec![Some(3), None], clock: Clock::Integer });
        let fractions = Instants { values: vec![Some(500_000), Some(2_000_000)], clock: Clock::Fraction };
        assert_eq!(table.instants("f").unwrap(), fractions);
        assert_eq!(table.instants("t").unwrap().clock, Clock::Time { zoned: false });
        let error = table.instants("bad").unwrap_err();
        assert_eq!(error.exit_code(), 2);
        assert!(error.to_string().starts_with("t.csv: column \"bad\", row 1: \"soon\" is not a number, or a date"));
    }

    #[test]
    fn a_missing_column_is_told_with_those_that_exist() {
        let error = csv("started_at,input_bytes,y\n1,2,3\n").numbers("input_byte").unwrap_err();
        assert_eq!(error.exit_code(), 2);
        let said = error.to_string();
        assert!(said.contains("no column \"input_byte\"; its 3 columns are \"input_bytes\", "), "{said}");
        let said = csv("y\n1\nx\n").numbers("y").unwrap_err().to_string();
        assert_eq!(said, "t.csv: column \"y\", row 1: \"x\" is not a number");
    }

    #[test]
    fn what_is_no_table_is_unreadable_input() {
        for (bytes, name) in [(&b""[..], "t.csv"), (b"  \n", "t.csv"), (b"a,b\n1,2\n", "t.parquet"), (b"PAR1", "t.csv")]
        {
            let error = AnyTable::read(bytes, name, |_| true).unwrap_err();
            assert_eq!(error.exit_code(), 4, "{error}");
            assert!(error.to_string().starts_with(name), "{error}");
        }
        assert_eq!(csv("a,b\n").height(), 0);
    }

    #[test]
    fn distances_count_letters() {
        let found = [("kitten", "sitting"), ("", "abc"), ("abc", ""), ("Y", "y")].map(|(a, b)| distance(a, b));
        assert_eq!(found, [3, 3, 3, 0]);
    }
}
