//! A folder with a lake and a configuration, and runs of the command over them.

use crate::postgres::Server;
use crate::publish::snapshot;
use paceline::ingest::raw;
use paceline::io::Store;
use paceline::publish::ledger::{self, State};
use polars::prelude::{DataFrame, ParquetWriter};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use tempfile::TempDir;

/// Gone with everything in it when dropped.
pub(crate) struct Workplace {
    folder: TempDir,
}

/// How the command ended.
#[derive(Debug)]
pub(crate) struct Ended {
    /// Its exit code; none if it was killed.
    pub(crate) code: Option<i32>,
    /// What it printed.
    pub(crate) stdout: String,
    /// What it logged.
    pub(crate) stderr: String,
}

impl Ended {
    pub(crate) fn of(output: Output) -> Self {
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        Self { code: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) }
    }

    /// The outcome of the run, which must have ended with `code`.
    pub(crate) fn outcome(&self, code: i32) -> serde_json::Value {
        assert_eq!(self.code, Some(code), "{self:?}");
        let last = self.stdout.lines().last().unwrap_or_default();
        serde_json::from_str(last).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

impl Workplace {
    /// With an empty lake and the default configuration, as of the newest run.
    pub(crate) fn empty() -> Self {
        let workplace = Self { folder: tempfile::tempdir().unwrap() };
        fs::create_dir_all(workplace.path("tmp")).unwrap();
        fs::create_dir_all(workplace.path("lake")).unwrap();
        workplace.configure("as_of: latest\n");
        workplace
    }

    /// With the sample lake and its configuration.
    pub(crate) fn sample() -> Self {
        let workplace = Self::empty();
        // A lake without its truth is somebody's own, which `init` leaves alone.
        fs::remove_dir(workplace.path("lake")).unwrap();
        let made = workplace.command(&["init", "--sample", "--force"]).arg(workplace.folder.path()).output().unwrap();
        assert!(made.status.success(), "{made:?}");
        workplace
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Replaces the configuration; lake and results are `lake` and `results` in the folder.
    pub(crate) fn configure(&self, more: &str) {
        fs::write(self.path("paceline.yaml"), format!("job: test\nlake: ./lake\nresults: ./results\n{more}")).unwrap();
    }

    /// Replaces what stands in the configuration.
    pub(crate) fn reconfigure(&self, from: &str, to: &str) {
        let path = self.path("paceline.yaml");
        let config = fs::read_to_string(&path).unwrap();
        assert!(config.contains(from), "{from:?} is not in the configuration");
        fs::write(&path, config.replace(from, to)).unwrap();
    }

    /// Has the sample's configuration name a database that is migrated.
    pub(crate) fn use_postgres(&self, server: &Server) {
        let path = self.path("paceline.yaml");
        let config =
            fs::read_to_string(&path).unwrap().replace("postgres: null", "postgres: env:PACELINE_TEST_DATABASE");
        fs::write(&path, config).unwrap();
        fs::write(self.path("database"), server.url()).unwrap();
        let migrated = self.command(&["migrate", "up", "--config"]).arg(path).output().unwrap();
        assert!(migrated.status.success(), "{migrated:?}");
    }

    pub(crate) fn store(&self, name: &str) -> Store {
        Store::open(self.path(name).to_str().unwrap()).unwrap()
    }

    /// The command with this folder as its place for temporary files, and nothing of the tests' own environment that
    /// it might heed.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_paceline"));
        command.args(arguments).env("TMPDIR", self.path("tmp")).env_remove("RUST_LOG").current_dir(self.folder.path());
        if let Ok(url) = fs::read_to_string(self.path("database")) {
            command.env("PACELINE_TEST_DATABASE", url);
        }
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// `paceline run` into the folder `results`.
    pub(crate) fn run_command(&self, results: &str, arguments: &[&str]) -> Command {
        let mut command = self.command(&["run", "--format", "json", "--config"]);
        command.arg(self.path("paceline.yaml")).arg("--results").arg(self.path(results)).args(arguments);
        command
    }

    pub(crate) fn run(&self, results: &str, arguments: &[&str]) -> Ended {
        Ended::of(self.run_command(results, arguments).output().unwrap())
    }

    /// What everybody can see of the results, with its bytes; `_state/` is the job's own.
    pub(crate) async fn published(&self, results: &str) -> BTreeMap<String, Vec<u8>> {
        let mut objects = snapshot(&self.store(results)).await;
        objects.retain(|path, _| !path.starts_with("_state/"));
        objects
    }

    /// Entries in the ledger, which must verify with all that it tells of.
    pub(crate) async fn verified_entries(&self, results: &str) -> usize {
        ledger::verify(&self.store(results)).await.unwrap().entries
    }

    /// All current rows of a published table; without columns where there are none.
    pub(crate) async fn table(&self, results: &str, name: &str) -> DataFrame {
        let store = self.store(results);
        let state = State::load(&store).await.unwrap();
        let mut rows = DataFrame::empty();
        for file in state.current_files().values().filter(|file| file.table == name) {
            let more = raw::parquet(&store.get(&file.path).await.unwrap().unwrap(), |_| true).unwrap();
            if rows.width() == 0 {
                rows = more;
            } else {
                rows.vstack_mut(&more).unwrap();
            }
        }
        rows
    }

    /// Writes a file of the lake.
    pub(crate) fn put(&self, path: &str, bytes: impl AsRef<[u8]>) {
        let path = self.path("lake").join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }

    /// Moves the partitions of the lake's days that come after `date` to the folder `later`, or back again.
    pub(crate) fn set_aside(&self, date: &str) {
        self.move_days("lake", "later", |day| day > date);
    }

    /// Brings back what was set aside, up to `date`.
    pub(crate) fn bring_back(&self, date: &str) {
        self.move_days("later", "lake", |day| day <= date);
    }

    fn move_days(&self, from: &str, to: &str, wanted: impl Fn(&str) -> bool) {
        for table in ["runs", "steps"] {
            let (from, to) = (self.path(from).join(table), self.path(to).join(table));
            fs::create_dir_all(&to).unwrap();
            for folder in fs::read_dir(from).unwrap() {
                let folder = folder.unwrap();
                let name = folder.file_name().into_string().unwrap();
                if name.strip_prefix("date=").is_some_and(&wanted) {
                    fs::rename(folder.path(), to.join(name)).unwrap();
                }
            }
        }
    }
}

/// The frame as Parquet.
pub(crate) fn parquet_bytes(frame: &DataFrame) -> Vec<u8> {
    let mut bytes = Vec::new();
    ParquetWriter::new(&mut bytes).finish(&mut frame.clone()).unwrap();
    bytes
}

/// Texts of a column, with nothing for null.
pub(crate) fn texts(frame: &DataFrame, column: &str) -> Vec<String> {
    let Ok(column) = frame.column(column) else { return Vec::new() };
    column.str().unwrap().iter().map(|text| text.unwrap_or_default().to_owned()).collect()
}

/// Numbers of a column, NaN for null.
pub(crate) fn numbers(frame: &DataFrame, column: &str) -> Vec<f64> {
    let Ok(column) = frame.column(column) else { return Vec::new() };
    let column = column.cast(&polars::prelude::DataType::Float64).unwrap();
    column.f64().unwrap().iter().map(|value| value.unwrap_or(f64::NAN)).collect()
}

/// Fails naming the first file that differs, rather than printing megabytes.
pub(crate) fn same_bytes(found: &BTreeMap<String, Vec<u8>>, expected: &BTreeMap<String, Vec<u8>>, what: &str) {
    let names = |files: &BTreeMap<String, Vec<u8>>| files.keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(found), names(expected), "{what}: other files");
    let differ: Vec<&String> =
        found.iter().filter(|(name, bytes)| expected[*name] != **bytes).map(|(n, _)| n).collect();
    assert!(differ.is_empty(), "{what}: {differ:?} differ");
}

/// Whether a path names a file of one of these tables.
pub(crate) fn is_of(path: &str, tables: &[&str]) -> bool {
    Path::new(path).iter().next().is_some_and(|first| tables.iter().any(|table| first == *table))
}
