//! The outcomes that an execution is judged by, on the scale on which they are judged.

use crate::samples::Samples;

/// An outcome of an execution.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Column {
    /// Name in the tables.
    pub(crate) name: &'static str,
    /// Words for more and for less than expected.
    pub(crate) directions: (&'static str, &'static str),
    /// Whether 0 is an ordinary value: then one is added before the logarithm.
    counts_from_zero: bool,
    values: fn(&Samples) -> &[f64],
}

/// Which of [`COLUMNS`] says how long executions took.
pub(crate) const DURATION: usize = 0;
/// How many columns.
pub(crate) const N_COLUMNS: usize = 6;

/// All of them.
pub(crate) const COLUMNS: [Column; N_COLUMNS] = [
    Column {
        name: "duration_ms",
        directions: ("slow", "fast"),
        counts_from_zero: false,
        values: |samples| &samples.duration_ms,
    },
    Column {
        name: "memory_mb",
        directions: ("heavy", "light"),
        counts_from_zero: false,
        values: |samples| &samples.memory_mb,
    },
    Column {
        name: "cpu_pct",
        directions: ("busy", "idle"),
        counts_from_zero: true,
        values: |samples| &samples.cpu_pct,
    },
    Column {
        name: "network_bytes",
        directions: ("chatty", "quiet"),
        counts_from_zero: true,
        values: |samples| &samples.network_bytes,
    },
    Column {
        name: "api_calls",
        directions: ("chatty", "quiet"),
        counts_from_zero: true,
        values: |samples| &samples.api_calls,
    },
    Column {
        name: "cost_usd",
        directions: ("costly", "cheap"),
        counts_from_zero: false,
        values: |samples| &samples.cost_usd,
    },
];

impl Column {
    /// The value itself; NaN where unknown.
    pub(crate) fn observed(self, samples: &Samples, row: usize) -> f64 {
        (self.values)(samples).get(row).copied().unwrap_or(f64::NAN)
    }

    /// The value on the scale of judgement, NaN where it has none.
    pub(crate) fn log(self, samples: &Samples, row: usize) -> f64 {
        let value = self.observed(samples, row);
        match (self.counts_from_zero, value.is_finite()) {
            (true, true) if value >= 0.0 => value.ln_1p(),
            (false, true) if value > 0.0 => value.ln(),
            _ => f64::NAN,
        }
    }

    /// Back from the scale of judgement to the column's unit.
    pub(crate) fn natural(self, log: f64) -> f64 {
        if self.counts_from_zero { log.exp_m1().max(0.0) } else { log.exp() }
    }
}
