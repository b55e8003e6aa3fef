//! What killed runs leave on a local disk: files that were being written, and tables of a slot that nobody committed.
//!
//! A file is written as `name#N` beside its place and then renamed; a kill in between leaves it for ever, hidden from
//! readers but not from the disk. Stores elsewhere show an object when it is whole, and drop what isn't by their own
//! rules, so they are left alone.

use super::days::on_cpu;
use crate::error::Result;
use crate::io::Store;
use crate::publish::ledger::{FOLDER, State, as_of_folder};
use crate::tables::published::TABLES;
use chrono::{DateTime, Utc};
use std::collections::BTreeSet;
use std::fs::DirEntry;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

/// No file takes this long to write: one that is older is no longer being written.
const UNFINISHED_AFTER: Duration = Duration::from_secs(3_600);
/// No run takes this long from its first file to its commit.
const UNCOMMITTED_AFTER: Duration = Duration::from_secs(24 * 3_600);
/// Folders of ours beside the tables.
const OTHER_FOLDERS: [&str; 3] = ["_state", FOLDER, "models"];
/// Endings of files of ours.
const ENDINGS: [&str; 4] = [".parquet", ".json", ".bin", ".md"];

/// What the ledger tells of folders.
struct Committed {
    /// As `table/as_of=…`.
    folders: BTreeSet<PathBuf>,
    /// Name of the newest folder; names sort by time.
    newest: Option<String>,
}

/// Removes what is left of killed runs. What can't be removed stays for another time: it harms nobody.
pub(crate) async fn sweep(results: &Store, ledger: &State, now: DateTime<Utc>) -> Result<()> {
    let Some(folder) = results.folder().map(Path::to_owned) else { return Ok(()) };
    let committed = Committed::of(ledger);
    let removed = on_cpu(move || {
        let now = SystemTime::from(now);
        remove_unfinished(&folder, now)
            + remove_uncommitted(&folder, &committed, now)
            + remove_unregistered(&folder, &committed, now)
    })
    .await?;
    if removed > 0 {
        tracing::info!(n_files = removed, "removed what killed runs had left");
    }
    Ok(())
}

impl Committed {
    fn of(ledger: &State) -> Self {
        let parent = |path: &str| Path::new(path).parent().map(Path::to_owned);
        let runs = ledger.entries().iter().filter_map(|sealed| sealed.entry.event.run());
        Self {
            folders: ledger.current_files().into_keys().filter_map(parent).collect(),
            newest: runs.map(|run| run.slot.as_of).max().map(|as_of| format!("as_of={}", as_of_folder(as_of))),
        }
    }
}

fn remove_unfinished(results: &Path, now: SystemTime) -> usize {
    let ours = TABLES.iter().map(|table| table.name).chain(OTHER_FOLDERS);
    let below = ours.flat_map(|name| files_below(results.join(name)));
    let unfinished = entries(results).chain(below).filter(|file| is_unfinished(&name(file)));
    unfinished.filter(|file| is_older(file, UNFINISHED_AFTER, now)).filter(remove).count()
}

fn remove_uncommitted(results: &Path, committed: &Committed, now: SystemTime) -> usize {
    let is_left = |table: &str, folder: &str| {
        folder.starts_with("as_of=")
            && committed.newest.as_deref().is_some_and(|newest| folder < newest)
            && !committed.folders.contains(&Path::new(table).join(folder))
    };
    let mut removed = 0;
    for table in TABLES.iter().map(|table| table.name) {
        for folder in entries(&results.join(table)).filter(|entry| is_left(table, &name(entry))) {
            let files: Vec<DirEntry> = entries(&folder.path()).collect();
            let is_ours = |file: &DirEntry| name(file).starts_with("part-") && is_older(file, UNCOMMITTED_AFTER, now);
            if files.iter().all(is_ours) {
                removed += files.iter().filter(|file| remove(file)).count();
                // Fails where something is left in it, which is then not ours to take.
                let _ = std::fs::remove_dir(folder.path());
            }
        }
    }
    removed
}

/// Models that were written and never committed: no entry names their folder, and no run takes as long as they are old.
fn remove_unregistered(results: &Path, committed: &Committed, now: SystemTime) -> usize {
    let is_left = |file: &DirEntry| {
        let path = file.path();
        let folder = path.strip_prefix(results).ok().and_then(Path::parent);
        matches!(name(file).as_str(), "model.bin" | "card.json")
            && folder.is_some_and(|folder| !committed.folders.contains(folder))
    };
    let left = files_below(results.join("models/registry")).filter(is_left);
    left.filter(|file| is_older(file, UNCOMMITTED_AFTER, now)).filter(remove).count()
}

/// What can't be listed is passed over.
fn entries(folder: &Path) -> impl Iterator<Item = DirEntry> + use<> {
    std::fs::read_dir(folder).into_iter().flatten().flatten()
}

fn files_below(folder: PathBuf) -> impl Iterator<Item = DirEntry> {
    let mut folders = vec![folder];
    let mut files: Vec<DirEntry> = Vec::new();
    std::iter::from_fn(move || {
        loop {
            if let Some(file) = files.pop() {
                return Some(file);
            }
            // Links are no folders here, so nothing outside is reached.
            let is_folder = |entry: &DirEntry| entry.file_type().is_ok_and(|kind| kind.is_dir());
            let (below, found): (Vec<_>, Vec<_>) = entries(&folders.pop()?).partition(is_folder);
            folders.extend(below.iter().map(DirEntry::path));
            files = found;
        }
    })
}

fn name(entry: &DirEntry) -> String {
    entry.file_name().to_string_lossy().into_owned()
}

fn is_unfinished(name: &str) -> bool {
    name.rsplit_once('#').is_some_and(|(whole, number)| {
        let is_number = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
        is_number && ENDINGS.iter().any(|ending| whole.ends_with(ending))
    })
}

fn is_older(file: &DirEntry, age: Duration, now: SystemTime) -> bool {
    let changed = file.metadata().ok().filter(std::fs::Metadata::is_file).and_then(|about| about.modified().ok());
    changed.and_then(|changed| now.duration_since(changed).ok()).is_some_and(|since| since > age)
}

fn remove(file: &DirEntry) -> bool {
    std::fs::remove_file(file.path()).is_ok()
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    const DAY: u64 = 24 * 3_600;

    /// Writes files that were last changed so many seconds ago.
    fn results(files: &[(&str, u64)]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for (path, age_s) in files {
            let path = folder.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            let file = std::fs::File::create(&path).unwrap();
            file.set_modified(SystemTime::now() - Duration::from_secs(*age_s)).unwrap();
        }
        folder
    }

    fn left(folder: &tempfile::TempDir) -> Vec<String> {
        let files = files_below(folder.path().to_owned()).map(|file| file.path());
        let mut names: Vec<String> =
            files.map(|path| path.strip_prefix(folder.path()).unwrap().display().to_string()).collect();
        names.sort();
        names
    }

    #[test]
    fn files_that_were_being_written_go_when_they_are_old() {
        let stay = [
            ("_ledger/00000000000000000001.json#3", 60),
            ("_state/nightly/date=2026-01-01/day.bin", DAY),
            ("forecasts/as_of=2026-01-01T00-00-00Z/part-0.parquet", DAY),
            ("forecasts/as_of=2026-01-01T00-00-00Z/part-0.parquet#", DAY),
            ("forecasts/as_of=2026-01-01T00-00-00Z/remark.txt#1", DAY),
            ("notes/issue.md#12", DAY),
        ];
        let go = [
            ("_ledger/latest.json#1", 2 * 3_600),
            ("_state/nightly/date=2026-01-01/day.bin#1", DAY),
            ("data_dictionary.md#1", DAY),
            ("rollups/period=1h/date=2026-01-01/part-0.parquet#27", DAY),
        ];
        let folder = results(&[&stay[..], &go[..]].concat());
        assert_eq!(remove_unfinished(folder.path(), SystemTime::now()), go.len());
        assert_eq!(left(&folder), stay.map(|(path, _)| path.to_owned()));
        assert_eq!(remove_unfinished(Path::new("/no/such/results"), SystemTime::now()), 0);
    }

    #[test]
    fn models_that_nobody_committed_go() {
        let stay = [
            ("models/registry/nightly/cost_usd/000001-aa/card.json", 9 * DAY), // committed
            ("models/registry/nightly/cost_usd/000001-aa/model.bin", 9 * DAY), // committed
            ("models/registry/nightly/cost_usd/000002-bb/model.bin", 3_600),   // a run is at it
            ("models/registry/nightly/cost_usd/000002-cc/remark.txt", 9 * DAY),
        ];
        let go = [
            ("models/registry/nightly/cost_usd/000002-cc/card.json", 2 * DAY),
            ("models/registry/nightly/cost_usd/000002-cc/model.bin", 2 * DAY),
        ];
        let folder = results(&[&stay[..], &go[..]].concat());
        let committed =
            Committed { folders: BTreeSet::from(["models/registry/nightly/cost_usd/000001-aa".into()]), newest: None };
        assert_eq!(remove_unregistered(folder.path(), &committed, SystemTime::now()), go.len());
        assert_eq!(left(&folder), stay.map(|(path, _)| path.to_owned()));
    }

    #[test]
    fn tables_that_nobody_committed_go_when_a_later_slot_is_committed() {
        let stay = [
            ("forecasts/as_of=2026-01-01T00-00-00Z/part-0.parquet", 9 * DAY), // committed
            ("forecasts/as_of=2026-01-03T00-00-00Z/part-0.parquet", 3_600),   // a backfill is at it
            ("forecasts/as_of=2026-01-04T00-00-00Z/mine.parquet", 9 * DAY),   // somebody else's
            ("forecasts/as_of=2026-01-09T00-00-00Z/part-0.parquet", 9 * DAY), // newer than what is committed
            ("rollups/period=1d/date=2026-01-01/part-0.parquet", 9 * DAY),
        ];
        let go = [("forecasts/as_of=2026-01-02T00-00-00Z/part-0.parquet", 2 * DAY)];
        let folder = results(&[&stay[..], &go[..]].concat());
        let committed = Committed {
            folders: BTreeSet::from(["forecasts/as_of=2026-01-01T00-00-00Z".into()]),
            newest: Some("as_of=2026-01-08T00-00-00Z".to_owned()),
        };
        assert_eq!(remove_uncommitted(folder.path(), &committed, SystemTime::now()), go.len());
        assert_eq!(left(&folder), stay.map(|(path, _)| path.to_owned()));
        assert!(!folder.path().join("forecasts/as_of=2026-01-02T00-00-00Z").exists());
        let nothing = Committed { folders: BTreeSet::new(), newest: None };
        assert_eq!(remove_uncommitted(folder.path(), &nothing, SystemTime::now()), 0);
    }
}
