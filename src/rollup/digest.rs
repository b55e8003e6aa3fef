//! What is kept of one day: small, exact, and enough for every analysis, so that a later run reads only new days.

use super::arms::{ArmCell, ArmKey, arm_statistics};
use super::buckets::DailyCell;
use super::executions::Day;
use super::graphs::{RunIssue, Selection, run_graphs};
use super::samples::step_samples;
use crate::error::{Error, Result};
use crate::pure::graph::RunGraph;
use crate::pure::samples::{Samples, Vocabulary};
use crate::tables::Reject;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Grows whenever the meaning or the layout of [`DayDigest`] changes: older digests are made anew.
const FORMAT: u32 = 3;

/// A file of the lake as it was when the digest was made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InputFile {
    /// Path in the lake.
    pub path: String,
    /// Bytes.
    pub size: u64,
    /// The store's tag.
    pub tag: String,
    /// blake3 of what was read of it.
    pub digest: String,
}

/// One day of the lake, reduced.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DayDigest {
    format: u32,
    budget: u64,
    /// The cutoff it was made at.
    pub as_of_us: i64,
    /// The latest instant in the partition, whatever the cutoff.
    pub latest_us: i64,
    /// What it was made from, sorted by path.
    pub inputs: Vec<InputFile>,
    /// Runs and step rows that were accepted.
    pub rows: (u64, u64),
    /// What was refused.
    pub rejects: Vec<Reject>,
    /// Words behind the codes of `cells`.
    pub vocabulary: Vocabulary,
    /// One a series.
    pub cells: Vec<DailyCell>,
    /// Executions for learning.
    pub samples: Samples,
    /// Runs for replay.
    pub graphs: Vec<RunGraph>,
    /// What can't be of their declared dependencies.
    pub graph_issues: Vec<RunIssue>,
    /// What experiments see.
    pub arms: BTreeMap<ArmKey, ArmCell>,
}

/// What a digest is made from, beside the day's rows.
#[derive(Debug, Clone)]
pub struct Provenance {
    /// The cutoff.
    pub as_of_us: i64,
    /// The files that were read.
    pub inputs: Vec<InputFile>,
    /// What was refused of them.
    pub rejects: Vec<Reject>,
    /// Most executions to keep for learning.
    pub sample_budget: usize,
}

/// Reduces a day whose rollups have been made.
#[must_use]
pub fn digest(day: Day, cells: Vec<DailyCell>, provenance: Provenance) -> DayDigest {
    let Provenance { as_of_us, mut inputs, mut rejects, sample_budget } = provenance;
    inputs.sort_by(|a, b| a.path.cmp(&b.path));
    rejects.sort();
    let (vocabulary, cells) = own_words(&day, cells);
    let (graphs, graph_issues) = run_graphs(&day, Selection::Sample);
    DayDigest {
        format: FORMAT,
        budget: sample_budget as u64,
        as_of_us,
        latest_us: day.latest_us,
        inputs,
        rows: (day.runs.len() as u64, day.steps.len() as u64),
        rejects,
        vocabulary,
        cells,
        samples: step_samples(&day, sample_budget),
        graphs,
        graph_issues,
        arms: arm_statistics(&day),
    }
}

/// The day's vocabulary holds every run id; the cells need a handful of names.
fn own_words(day: &Day, mut cells: Vec<DailyCell>) -> (Vocabulary, Vec<DailyCell>) {
    let mut words = Vocabulary::default();
    for cell in &mut cells {
        for code in [&mut cell.workflow_id, &mut cell.workflow_type, &mut cell.step] {
            *code = words.intern_opt(day.vocabulary.word(*code));
        }
    }
    (words, cells)
}

impl DayDigest {
    /// Whether it says of the files `listed` (path, size, tag), at `as_of_us`, what a new one would say.
    #[must_use]
    pub fn holds_for(&self, listed: &[(String, u64, String)], as_of_us: i64, sample_budget: usize) -> bool {
        let same_files = self.inputs.len() == listed.len()
            && self
                .inputs
                .iter()
                .zip(listed)
                .all(|(i, (path, size, tag))| (&i.path, i.size, &i.tag) == (path, *size, tag));
        let cutoff_beyond = self.latest_us <= as_of_us && self.latest_us <= self.as_of_us;
        self.format == FORMAT
            && self.budget == sample_budget as u64
            && same_files
            && (cutoff_beyond || self.as_of_us == as_of_us)
    }

    /// For keeping: compressed, the same bytes for the same digest.
    ///
    /// # Errors
    /// Never in practice: all of it can be serialised.
    pub fn to_bytes(&self) -> Result<Vec<u8>> {
        let plain = postcard::to_stdvec(self).map_err(|e| Error::Internal(format!("keeping a day: {e}")))?;
        zstd::encode_all(plain.as_slice(), 1).map_err(|e| Error::Internal(format!("keeping a day: {e}")))
    }

    /// What [`Self::to_bytes`] kept; none where the bytes are of another format or damaged: it is then made anew.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let plain = zstd::decode_all(bytes).ok()?;
        postcard::from_bytes::<Self>(&plain).ok().filter(|digest| digest.format == FORMAT)
    }
}
