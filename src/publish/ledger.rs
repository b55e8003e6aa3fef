//! The ledger: an append-only, hash-chained log whose entries are the commit points of whatever they tell.
//!
//! Entry `n` lies at `_ledger/` + twenty digits + `.json`, is written by create-if-absent, and holds the blake3 of the
//! bytes of entry `n − 1`. Nothing in it depends on the moment or the process that wrote it: a run that is repeated
//! after a crash writes the same bytes. State is the fold of all entries; `latest.json` is a hint for readers.

use super::applications::RecommendationDecision;
use super::decisions::{ChangePointKey, Decision};
use crate::error::{Error, Result};
use crate::io::Store;
use bytes::Bytes;
use chrono::{DateTime, SecondsFormat, Utc};
use futures::{StreamExt, TryStreamExt};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// The folder of the entries.
pub const FOLDER: &str = "_ledger";
/// The pointer to the last entry, for readers that only want the newest results.
pub const LATEST: &str = "_ledger/latest.json";
/// What files of models are called among the files of a run: they are no table.
pub const REGISTRY: &str = "registry";
/// Requests to the store at a time.
pub(super) const CONCURRENCY: usize = 8;

/// What a run is: two runs of one slot produce the same results, and only one of them is committed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Slot {
    /// Name of the job.
    pub job: String,
    /// Its cutoff.
    pub as_of: DateTime<Utc>,
    /// The stages that ran, in the order of the flow.
    pub stages: Vec<String>,
    /// blake3 of the configuration.
    pub config_hash: String,
    /// Every random choice follows from it.
    pub seed: u64,
    /// What was read.
    pub inputs: Vec<InputFile>,
    /// Digests of the models that stood when it began, by name: earlier runs have left them, and they have a say in what
    /// is predicted.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub champions: BTreeMap<String, String>,
    /// Change points that were accepted as the new normal when it began.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub accepted: Vec<ChangePointKey>,
    /// Digest of the change points that the job's run before told of: they stay where they were, or it is said why not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub earlier_changes: Option<String>,
    /// Digest of what had been decided on recommendations when it began, and of what the job's run before told of their
    /// outcomes: both have a say in what is recommended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decided: Option<String>,
}

/// A file that a run read.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct InputFile {
    /// Path in the lake.
    pub path: String,
    /// Bytes.
    pub size: u64,
    /// blake3 of what was read of it.
    pub digest: String,
}

/// A file that a run published.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileRef {
    /// The published table.
    pub table: String,
    /// Path in the results.
    pub path: String,
    /// Bytes.
    pub size: u64,
    /// blake3 of its bytes.
    pub digest: String,
    /// Rows.
    pub rows: u64,
}

/// A finished run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Run {
    /// Derived from the slot: see [`Slot::run_id`].
    pub run_id: String,
    /// What ran.
    #[serde(flatten)]
    pub slot: Slot,
    /// Version of paceline.
    pub version: String,
    /// Digests of the models that were used, by name.
    pub models: BTreeMap<String, String>,
    /// What it published.
    pub files: Vec<FileRef>,
}

/// What an entry tells.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Event {
    /// A scheduled or manual run.
    RunCommitted(Run),
    /// A run over a past slot.
    Backfilled(Run),
    /// A change point is the new normal.
    ChangePointAccepted(Decision),
    /// It is not, after all.
    ChangePointReopened(Decision),
    /// Somebody has made the change that a recommendation proposes.
    RecommendationApplied(RecommendationDecision),
    /// Somebody has taken it back.
    RecommendationRolledBack(RecommendationDecision),
    /// Nobody will make it.
    RecommendationDismissed(RecommendationDecision),
    /// What was decided last did not happen, or no longer holds.
    RecommendationReopened(RecommendationDecision),
    /// Something that a later version of paceline wrote. It is part of the chain, and nothing is made of it.
    #[serde(other)]
    Unknown,
}

/// An entry.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    /// Its number, from 1.
    pub number: u64,
    /// blake3 of the bytes of the entry before; none for the first.
    pub previous: Option<String>,
    /// blake3 of what is told: whoever finds it has been here before, also when the answer to a write was lost.
    pub token: String,
    /// What it tells.
    #[serde(flatten)]
    pub event: Event,
}

/// An entry with the digest of its bytes.
#[derive(Debug, Clone, PartialEq)]
pub struct Sealed {
    /// The entry.
    pub entry: Entry,
    /// blake3 of its bytes.
    pub digest: String,
}

/// Where `latest.json` points.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Latest {
    /// Number of the last entry.
    pub number: u64,
    /// Its path.
    pub entry: String,
    /// blake3 of its bytes.
    pub digest: String,
}

/// All that the ledger says, in order.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct State {
    entries: Vec<Sealed>,
}

/// What a ledger that verifies consists of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Verified {
    /// Entries in the chain.
    pub entries: usize,
    /// Files whose bytes were compared with their digests.
    pub files: usize,
}

impl Slot {
    /// The id of a run of this slot: the same for the same job, cutoff, stages, configuration, seed and inputs.
    #[must_use]
    pub fn run_id(&self) -> String {
        let mut hasher = blake3::Hasher::new();
        hasher.update(&to_json(self));
        hasher.finalize().to_hex().chars().take(32).collect()
    }
}

impl Event {
    /// The run that it tells of.
    #[must_use]
    pub fn run(&self) -> Option<&Run> {
        match self {
            Self::RunCommitted(run) | Self::Backfilled(run) => Some(run),
            Self::ChangePointAccepted(_)
            | Self::ChangePointReopened(_)
            | Self::RecommendationApplied(_)
            | Self::RecommendationRolledBack(_)
            | Self::RecommendationDismissed(_)
            | Self::RecommendationReopened(_)
            | Self::Unknown => None,
        }
    }

    /// The word that stands for it in the file.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::RunCommitted(_) => "run_committed",
            Self::Backfilled(_) => "backfilled",
            Self::ChangePointAccepted(_) => "change_point_accepted",
            Self::ChangePointReopened(_) => "change_point_reopened",
            Self::RecommendationApplied(_) => "recommendation_applied",
            Self::RecommendationRolledBack(_) => "recommendation_rolled_back",
            Self::RecommendationDismissed(_) => "recommendation_dismissed",
            Self::RecommendationReopened(_) => "recommendation_reopened",
            Self::Unknown => "unknown",
        }
    }

    fn token(&self) -> String {
        blake3::hash(&to_json(self)).to_hex().to_string()
    }

    fn files(&self) -> &[FileRef] {
        self.run().map_or(&[], |run| &run.files)
    }
}

/// The folder name of an instant: sorts by time, and holds nothing that a URL or a file system would escape.
#[must_use]
pub fn as_of_folder(as_of: DateTime<Utc>) -> String {
    as_of.to_rfc3339_opts(SecondsFormat::Secs, true).replace(':', "-")
}

/// The path of an entry.
#[must_use]
pub fn entry_path(number: u64) -> String {
    format!("{FOLDER}/{number:020}.json")
}

impl State {
    /// Reads the whole ledger. An empty folder is an empty ledger.
    ///
    /// # Errors
    /// [`Error::Verification`] for a gap, an entry that can't be read, or one that does not continue the chain.
    pub async fn load(store: &Store) -> Result<Self> {
        let numbers = entry_numbers(store).await?;
        let reads = futures::stream::iter(numbers.into_iter().map(|number| read_entry(store, number)));
        let entries: Vec<Sealed> = reads.buffered(CONCURRENCY).try_collect().await?;
        let state = Self { entries };
        state.check_chain(store)?;
        Ok(state)
    }

    /// The entries, oldest first.
    #[must_use]
    pub fn entries(&self) -> &[Sealed] {
        &self.entries
    }

    /// The last entry.
    #[must_use]
    pub fn head(&self) -> Option<&Sealed> {
        self.entries.last()
    }

    /// The entry that committed this run, unless what it published has been replaced since: a slot whose tables
    /// another run of the same instant overwrote is not done. (Rollups are replaced as a matter of course.)
    #[must_use]
    pub fn committed(&self, run_id: &str) -> Option<&Sealed> {
        let current = self.current_files();
        let stands = |file: &FileRef| {
            file.table == crate::tables::published::ROLLUPS.name
                || current.get(file.path.as_str()).is_some_and(|now| now.digest == file.digest)
        };
        let found = self.entries.iter().rev().find(|sealed| is_run(sealed, run_id))?;
        found.entry.event.files().iter().all(stands).then_some(found)
    }

    /// The newest cutoff of this job before `as_of` that was committed.
    #[must_use]
    pub fn previous_as_of(&self, job: &str, as_of: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let runs = self.entries.iter().filter_map(|sealed| sealed.entry.event.run());
        runs.filter(|run| run.slot.job == job).map(|run| run.slot.as_of).filter(|earlier| *earlier < as_of).max()
    }

    /// Every published file by path, as the last entry that names it says.
    #[must_use]
    pub fn current_files(&self) -> BTreeMap<&str, &FileRef> {
        let files = self.entries.iter().flat_map(|sealed| sealed.entry.event.files());
        files.map(|file| (file.path.as_str(), file)).collect()
    }

    fn check_chain(&self, store: &Store) -> Result<()> {
        let mut previous: Option<&str> = None;
        for sealed in &self.entries {
            let Entry { number, previous: claimed, .. } = &sealed.entry;
            if claimed.as_deref() != previous {
                let (found, expected) = (claimed.as_deref().unwrap_or("none"), previous.unwrap_or("none"));
                return Err(broken(
                    store,
                    &entry_path(*number),
                    &format!("names {found} as the digest of the entry before, expected {expected}"),
                ));
            }
            previous = Some(&sealed.digest);
        }
        Ok(())
    }
}

fn is_run(sealed: &Sealed, run_id: &str) -> bool {
    sealed.entry.event.run().is_some_and(|run| run.run_id == run_id)
}

/// What became of an attempt to append.
#[derive(Debug, Clone, PartialEq)]
pub struct Appended {
    /// The entry as it stands in the ledger.
    pub sealed: Sealed,
    /// Whether it stood there already: written by a twin, or by this process before the answer was lost.
    pub already: bool,
}

/// Appends an event behind `state`, which is brought up to date where others were faster.
///
/// # Errors
/// When the store fails, or the ledger is broken.
pub async fn append(store: &Store, state: &mut State, event: Event) -> Result<Appended> {
    let token = event.token();
    loop {
        let number = state.head().map_or(1, |head| head.entry.number + 1);
        let previous = state.head().map(|head| head.digest.clone());
        let entry = Entry { number, previous, token: token.clone(), event: event.clone() };
        let bytes = to_json(&entry);
        if store.put_if_absent(&entry_path(number), bytes.clone()).await? {
            let sealed = Sealed { entry, digest: blake3::hash(&bytes).to_hex().to_string() };
            state.entries.push(sealed.clone());
            return Ok(Appended { sealed, already: false });
        }
        let theirs = read_entry(store, number).await?;
        state.entries.push(theirs.clone());
        state.check_chain(store)?;
        if theirs.entry.token == token {
            return Ok(Appended { sealed: theirs, already: true });
        }
    }
}

/// Points `latest.json` at the head, if it does not do so already.
///
/// # Errors
/// When the store fails.
pub async fn point_at_head(store: &Store, state: &State) -> Result<()> {
    let Some(head) = state.head() else { return Ok(()) };
    let number = head.entry.number;
    let bytes = to_json(&Latest { number, entry: entry_path(number), digest: head.digest.clone() });
    let now = store.get(LATEST).await?;
    // A twin that is ahead must not be turned back; one that then falls behind is put right by the next run.
    let ahead = now.as_deref().and_then(parse::<Latest>).is_some_and(|latest| latest.number > number);
    if ahead || now.is_some_and(|now| *now == *bytes) { Ok(()) } else { store.put(LATEST, bytes).await }
}

/// Checks the chain, and that every published file is there with the size and digest that the ledger says.
///
/// # Errors
/// [`Error::Verification`] that names the first fault.
pub async fn verify(store: &Store) -> Result<Verified> {
    let state = State::load(store).await?;
    check_latest(store, &state).await?;
    let files = state.current_files();
    let n_files = files.len();
    let checks = files.into_values().cloned().map(|file| async move { check_file(store, &file).await });
    futures::stream::iter(checks.collect::<Vec<_>>()).buffered(CONCURRENCY).try_collect::<()>().await?;
    Ok(Verified { entries: state.entries.len(), files: n_files })
}

/// A pointer that lags behind is what a crash leaves; one that points elsewhere, or past the end, is not.
async fn check_latest(store: &Store, state: &State) -> Result<()> {
    let Some(bytes) = store.get(LATEST).await? else { return Ok(()) };
    let latest: Latest = parse(&bytes).ok_or_else(|| broken(store, LATEST, "can't be read"))?;
    let entry = state.entries.iter().find(|sealed| sealed.entry.number == latest.number);
    match entry {
        None => Err(broken(store, LATEST, &format!("points at entry {}, which is missing", latest.number))),
        Some(entry) if entry.digest != latest.digest => Err(broken(
            store,
            LATEST,
            &format!("says that entry {} has digest {}, found {}", latest.number, latest.digest, entry.digest),
        )),
        Some(_) => Ok(()),
    }
}

async fn check_file(store: &Store, file: &FileRef) -> Result<()> {
    let Some(bytes) = store.get(&file.path).await? else {
        return Err(broken(store, &file.path, "is missing"));
    };
    if bytes.len() as u64 != file.size {
        return Err(broken(store, &file.path, &format!("has {} bytes, expected {}", bytes.len(), file.size)));
    }
    let digest = blake3::hash(&bytes).to_hex().to_string();
    if digest == file.digest {
        Ok(())
    } else {
        Err(broken(store, &file.path, &format!("has digest {digest}, expected {}", file.digest)))
    }
}

async fn entry_numbers(store: &Store) -> Result<BTreeSet<u64>> {
    let objects = store.list(FOLDER).await?;
    let numbers: BTreeSet<u64> = objects.iter().filter_map(|object| number_of(&object.path)).collect();
    for (expected, &number) in (1_u64..).zip(&numbers) {
        if number != expected {
            return Err(broken(store, &entry_path(expected), "is missing"));
        }
    }
    Ok(numbers)
}

fn number_of(path: &str) -> Option<u64> {
    let name = path.strip_prefix(FOLDER)?.strip_prefix('/')?.strip_suffix(".json")?;
    if name.len() == 20 { name.parse().ok() } else { None }
}

async fn read_entry(store: &Store, number: u64) -> Result<Sealed> {
    let path = entry_path(number);
    let bytes: Bytes = store.get(&path).await?.ok_or_else(|| broken(store, &path, "is missing"))?;
    let entry: Entry =
        serde_json::from_slice(&bytes).map_err(|e| broken(store, &path, &format!("can't be read: {e}")))?;
    if entry.number != number {
        return Err(broken(store, &path, &format!("says that it is entry {}", entry.number)));
    }
    Ok(Sealed { entry, digest: blake3::hash(&bytes).to_hex().to_string() })
}

fn broken(store: &Store, path: &str, what: &str) -> Error {
    Error::Verification(format!("{} {what}", store.locate(path)))
}

fn parse<T: for<'de> Deserialize<'de>>(bytes: &[u8]) -> Option<T> {
    serde_json::from_slice(bytes).ok()
}

/// Structs of strings, numbers and maps with string keys always have a JSON form.
#[expect(clippy::expect_used, reason = "no value of these types can fail to serialise")]
fn to_json<T: Serialize>(value: &T) -> Vec<u8> {
    let mut bytes = serde_json::to_vec_pretty(value).expect("plain structs serialise");
    bytes.push(b'\n');
    bytes
}
