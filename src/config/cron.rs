//! When a job runs: a five-field cron expression.

use croner::parser::{CronParser, Seconds, Year};
use serde::{Serialize, Serializer};
use std::fmt;

/// A checked cron expression that comes due at some time.
#[derive(Debug, Clone, PartialEq)]
pub struct Cron {
    text: String,
    pattern: croner::Cron,
    /// Whether hour and minute are single values. When the clock is put back, such a job runs once, others go on.
    is_fixed_time: bool,
}

/// Why an expression is none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CronError {
    /// Not five fields.
    #[error("it has {found} fields: write minute, hour, day of month, month and day of week")]
    Fields {
        /// How many there are.
        found: usize,
    },
    /// A field that can't be read.
    #[error("{0}")]
    Field(String),
    /// A date that there is not, such as 30 February.
    #[error("it never comes due: check day and month")]
    Never,
}

impl Cron {
    /// Parses five fields: minute, hour, day of month, month, day of week (0 and 7 are Sunday). As everywhere in cron,
    /// a day has to match only one of day of month and day of week where both are given.
    ///
    /// # Errors
    /// [`CronError`] when it is no such expression, or one that never comes due.
    pub fn parse(text: &str) -> Result<Self, CronError> {
        match text.split_whitespace().count() {
            5 => Self::checked(text, &format!("0 {text}")),
            found => Err(CronError::Fields { found }),
        }
    }

    /// Every full hour: the default.
    #[must_use]
    pub fn hourly() -> Self {
        #[expect(clippy::expect_used, reason = "a constant, which a test reads")]
        Self::parse("0 * * * *").expect("it is five fields")
    }

    /// Parses six fields, seconds first: for tests, that can't wait for minutes.
    ///
    /// # Errors
    /// As [`Cron::parse`].
    pub fn parse_with_seconds(text: &str) -> Result<Self, CronError> {
        Self::checked(text, text)
    }

    fn checked(text: &str, with_seconds: &str) -> Result<Self, CronError> {
        let parser = CronParser::builder().seconds(Seconds::Required).year(Year::Disallowed).build();
        let pattern = parser.parse(with_seconds).map_err(|e| CronError::Field(e.to_string()))?;
        let is_fixed_time = with_seconds.split_whitespace().take(3).all(|f| f.bytes().all(|b| b.is_ascii_digit()));
        // Eight years hold every calendar date, also around a century without leap day.
        let epoch = chrono::DateTime::UNIX_EPOCH;
        pattern.find_next_occurrence(&epoch, true).map_err(|_beyond_the_search| CronError::Never)?;
        Ok(Self { text: text.to_owned(), pattern, is_fixed_time })
    }

    /// The expression as it was written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The parsed pattern, seconds included.
    #[must_use]
    pub fn pattern(&self) -> &croner::Cron {
        &self.pattern
    }

    /// Whether it names one time of day.
    #[must_use]
    pub fn is_fixed_time(&self) -> bool {
        self.is_fixed_time
    }
}

impl fmt::Display for Cron {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Serialize for Cron {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn five_fields_and_no_others() {
        assert!(!Cron::hourly().is_fixed_time());
        assert!(Cron::parse("0 9 * * 1").unwrap().is_fixed_time());
        assert!(!Cron::parse("*/15 9 * * 1").unwrap().is_fixed_time());
        assert_eq!(Cron::parse("0 0 9 * * 1"), Err(CronError::Fields { found: 6 }));
        assert_eq!(Cron::parse(""), Err(CronError::Fields { found: 0 }));
        assert!(matches!(Cron::parse("61 9 * * 1"), Err(CronError::Field(_))));
        assert!(matches!(Cron::parse("a b c d e"), Err(CronError::Field(_))));
    }

    #[test]
    fn a_date_that_there_is_not_never_comes_due() {
        assert_eq!(Cron::parse("0 0 30 2 *"), Err(CronError::Never));
        assert!(Cron::parse("0 0 29 2 *").is_ok());
    }
}
