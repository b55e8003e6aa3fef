//! What is kept of one day: small, exact, and enough for every analysis, so that a later run reads only new days.

use super::arms::{ArmCell, ArmKey, arm_statistics};
use super::buckets::{CellKey, DailyCell};
use super::executions::Day;
use super::graphs::{RunIssue, Selection, run_graphs};
use super::levels::day_levels;
use super::samples::step_samples;
use super::usage::day_usage;
use crate::error::{Error, Result};
use crate::pure::graph::RunGraph;
use crate::pure::levels::DayLevels;
use crate::pure::samples::{Samples, Vocabulary};
use crate::pure::stats::sketch::Sketches;
use crate::pure::usage::DayUsage;
use crate::tables::Reject;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Grows whenever the meaning or the layout of a digest changes: older digests are made anew.
const FORMAT: u32 = 13;

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

/// What a digest was made from: enough to tell whether it still holds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DigestHead {
    format: u32,
    budget: u64,
    /// The cutoff it was made at.
    pub as_of_us: i64,
    /// The latest instant in the partition, whatever the cutoff.
    pub latest_us: i64,
    /// What it was made from, sorted by path.
    pub inputs: Vec<InputFile>,
}

/// One day of the lake, reduced.
#[derive(Debug, Clone, PartialEq)]
pub struct DayDigest {
    /// What it was made from.
    pub head: DigestHead,
    /// What it says.
    pub body: DigestBody,
    /// Runs for replay: the larger part, of which only that of the newest days is needed.
    pub graphs: PackedGraphs,
}

/// Runs as they are kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PackedGraphs(Vec<u8>);

impl PackedGraphs {
    fn pack(graphs: &[RunGraph]) -> Result<Self> {
        pack(&graphs).map(Self)
    }

    /// The runs, by start.
    ///
    /// # Errors
    /// Where these are no bytes of this version's; [`DayDigest::from_bytes`] has held them against their digest.
    pub fn unpack(&self) -> Result<Vec<RunGraph>> {
        unpack(&self.0).ok_or_else(|| Error::Internal("the kept runs of a day can't be read".to_owned()))
    }
}

fn pack(part: &impl Serialize) -> Result<Vec<u8>> {
    let keeping = |e: &dyn std::fmt::Display| Error::Internal(format!("keeping a day: {e}"));
    let plain = postcard::to_stdvec(part).map_err(|e| keeping(&e))?;
    zstd::bulk::compress(&plain, 1).map_err(|e| keeping(&e))
}

fn unpack<T: for<'a> Deserialize<'a>>(bytes: &[u8]) -> Option<T> {
    // The frame says how long the whole is, so that nothing has to grow.
    let length = usize::try_from(zstd::zstd_safe::get_frame_content_size(bytes).ok()??).ok()?;
    postcard::from_bytes(&zstd::bulk::decompress(bytes, length).ok()?).ok()
}

/// What is known of a day.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DigestBody {
    /// Runs and step rows that were accepted.
    pub rows: (u64, u64),
    /// What was refused.
    pub rejects: Vec<Reject>,
    /// Words behind the codes of `cells` and `levels`.
    pub vocabulary: Vocabulary,
    /// What each of `sketches` is about: one a series.
    pub cells: Vec<CellKey>,
    /// The day's distributions over all providers and platforms.
    pub sketches: Sketches,
    /// Means over all executions of each step.
    pub levels: DayLevels,
    /// Executions for learning.
    pub samples: Samples,
    /// How many runs of each workflow are kept for replay.
    pub n_graphs: BTreeMap<String, usize>,
    /// What can't be of their declared dependencies.
    pub graph_issues: Vec<RunIssue>,
    /// What experiments see.
    pub arms: BTreeMap<ArmKey, ArmCell>,
    /// What its runs used.
    pub usage: DayUsage,
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
///
/// # Errors
/// Never in practice: all of it can be serialised.
pub fn digest(day: Day, cells: Vec<DailyCell>, provenance: Provenance) -> Result<DayDigest> {
    let Provenance { as_of_us, mut inputs, mut rejects, sample_budget } = provenance;
    inputs.sort_by(|a, b| a.path.cmp(&b.path));
    rejects.sort();
    let (mut vocabulary, cells, sketches) = own_words(&day, &cells);
    let levels = day_levels(&day, &mut vocabulary);
    let (graphs, graph_issues) = run_graphs(&day, Selection::Sample);
    let mut n_graphs: BTreeMap<String, usize> = BTreeMap::new();
    for graph in &graphs {
        *n_graphs.entry(graph.workflow_id.clone()).or_default() += 1;
    }
    let head = DigestHead { format: FORMAT, budget: sample_budget as u64, as_of_us, latest_us: day.latest_us, inputs };
    let body = DigestBody {
        rows: (day.runs.len() as u64, day.steps.len() as u64),
        rejects,
        vocabulary,
        cells,
        sketches,
        levels,
        samples: step_samples(&day, sample_budget),
        n_graphs,
        graph_issues,
        arms: arm_statistics(&day),
        usage: day_usage(&day),
    };
    Ok(DayDigest { head, body, graphs: PackedGraphs::pack(&graphs)? })
}

/// The day's vocabulary holds every run id; the cells need a handful of names.
fn own_words(day: &Day, cells: &[DailyCell]) -> (Vocabulary, Vec<CellKey>, Sketches) {
    let (mut words, mut keys) = (Vocabulary::default(), Vec::with_capacity(cells.len()));
    let mut sketches = Sketches::with_capacity(cells.len(), cells.iter().map(|cell| cell.sketch.bins().len()).sum());
    for DailyCell { key, sketch } in cells {
        let mut key = *key;
        for code in [&mut key.workflow_id, &mut key.workflow_type, &mut key.step] {
            *code = words.intern_opt(day.vocabulary.word(*code));
        }
        keys.push(key);
        sketches.push(sketch);
    }
    (words, keys, sketches)
}

impl DigestHead {
    /// Whether the digest says of the files `listed` (path, size, tag), at `as_of_us`, what a new one would say.
    #[must_use]
    pub fn holds_for(&self, listed: &[(String, u64, String)], as_of_us: i64, sample_budget: usize) -> bool {
        let same_files = self.inputs.len() == listed.len()
            && self
                .inputs
                .iter()
                .zip(listed)
                .all(|(i, (path, size, tag))| (&i.path, i.size, &i.tag) == (path, *size, tag));
        let cutoff_beyond = self.latest_us <= as_of_us && self.latest_us <= self.as_of_us;
        self.budget == sample_budget as u64 && same_files && (cutoff_beyond || self.as_of_us == as_of_us)
    }

    /// The head of what [`DayDigest::to_bytes`] kept; none where the bytes are of another format or damaged: the digest
    /// is then made anew.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        split(bytes).map(|(head, ..)| head)
    }
}

impl DayDigest {
    /// For keeping: the head as it is, so that it can be read alone, then the rest, compressed, with its blake3. The same
    /// bytes for the same digest.
    ///
    /// # Errors
    /// Never in practice: all of it can be serialised.
    pub fn to_bytes(&self) -> Result<Vec<u8>> {
        let mut rest = pack(&self.body)?;
        let n_body = rest.len() as u64;
        rest.extend_from_slice(&self.graphs.0);
        let digest = blake3::hash(&rest);
        let front = (&self.head, digest.as_bytes(), n_body);
        let mut bytes = postcard::to_stdvec(&front).map_err(|e| Error::Internal(format!("keeping a day: {e}")))?;
        bytes.extend(rest);
        Ok(bytes)
    }

    /// What [`Self::to_bytes`] kept; none where the bytes are of another format or damaged.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (head, body, graphs) = split(bytes)?;
        Some(Self { head, body: unpack(body)?, graphs: PackedGraphs(graphs.to_vec()) })
    }
}

/// The head, and the bytes of body and runs if they are whole.
fn split(bytes: &[u8]) -> Option<(DigestHead, &[u8], &[u8])> {
    let (format, _) = postcard::take_from_bytes::<u32>(bytes).ok()?;
    if format != FORMAT {
        return None;
    }
    let front = postcard::take_from_bytes::<(DigestHead, [u8; blake3::OUT_LEN], u64)>(bytes).ok()?;
    let ((head, digest, n_body), rest) = front;
    let (body, graphs) = rest.split_at_checked(usize::try_from(n_body).ok()?)?;
    (blake3::hash(rest).as_bytes() == &digest).then_some((head, body, graphs))
}
