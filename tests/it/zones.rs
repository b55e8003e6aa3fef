//! The walls of the house, as ARCHITECTURE.md lists them: which code may know of what.
//!
//! The sources are read as text, without comments and test code. A test that fails names file, line and word.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// Everything that [`paceline::pure`] may be built with. None of these opens a file, a socket or a clock unasked.
const PURE_DEPENDENCIES: [&str; 13] = [
    "chrono",
    "linfa",
    "linfa-linear",
    "ndarray",
    "rand",
    "rand_xoshiro",
    "rayon",
    "serde",
    "serde_json",
    "sha2",
    "smartcore",
    "statrs",
    "thiserror",
];

/// What reaches out of the process, or waits.
const OUTSIDE: [&str; 12] = [
    "std::fs",
    "std::env",
    "std::net",
    "std::process",
    "tokio",
    "sqlx",
    "object_store",
    "reqwest",
    "indicatif",
    "async fn",
    ".await",
    "crate::io",
];

/// What makes two runs differ.
const UNREPEATABLE: [&str; 9] = [
    "SystemTime",
    "Instant::now",
    "Utc::now",
    "Local::now",
    "rand::rng()",
    "rand::random",
    "thread_rng",
    "OsRng",
    "from_entropy",
];

/// The files of `src/ingest` that reach the lake and the sources; all others turn bytes and frames into frames.
const INGEST_EDGE: [&str; 5] = ["mod.rs", "lake.rs", "merge.rs", "dates.rs", "sources.rs"];

/// Systems whose files can be read, or will be.
const ENGINES: [&str; 13] = [
    "nextflow",
    "wfformat",
    "wfcommons",
    "airflow",
    "snakemake",
    "prefect",
    "dagster",
    "github-actions",
    "otlp",
    "jaeger",
    "dify",
    "langfuse",
    "opentelemetry",
];

/// A source file as it counts: without tests.
struct Source {
    /// From the root of the repository, with `/`.
    path: String,
    /// Lines with their numbers, comments among them.
    lines: Vec<(usize, String)>,
}

impl Source {
    fn code(&self) -> impl Iterator<Item = &(usize, String)> {
        self.lines.iter().filter(|(_, line)| !line.trim_start().starts_with("//"))
    }

    fn is_in(&self, folders: &[&str]) -> bool {
        folders.iter().any(|folder| self.path.starts_with(folder))
    }

    fn is_table(&self) -> bool {
        let in_ingest = self.path.strip_prefix("src/ingest/").is_some_and(|name| !INGEST_EDGE.contains(&name));
        in_ingest || self.is_in(&["src/tables/", "src/rollup/"])
    }
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn rust_files(folder: &Path, into: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
        let path = entry.path();
        if path.is_dir() {
            rust_files(&path, into);
        } else if path.extension().is_some_and(|end| end == "rs") {
            into.push(path);
        }
    }
}

/// The library's sources. Modules under `#[cfg(test)]` are left out: files of their own, and what ends a file.
fn sources() -> Vec<Source> {
    let mut paths = Vec::new();
    rust_files(&root().join("src"), &mut paths);
    paths.sort();
    let mut test_files = BTreeSet::new();
    let mut sources = Vec::new();
    for path in paths {
        let text = fs::read_to_string(&path).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        let mut end = lines.len();
        for (at, _) in lines.iter().enumerate().filter(|(_, line)| **line == "#[cfg(test)]") {
            match test_module(&path, &lines[at + 1..]) {
                Some(file) => drop(test_files.insert(file)),
                None => end = end.min(at),
            }
        }
        let lines = (1..).zip(lines[..end].iter().map(|line| (*line).to_owned())).collect();
        let path = path.strip_prefix(root()).unwrap().components();
        let path = path.map(|part| part.as_os_str().to_str().unwrap()).collect::<Vec<_>>().join("/");
        sources.push(Source { path, lines });
    }
    sources.retain(|source| !test_files.contains(&root().join(&source.path)));
    assert!(sources.len() > 100, "only {} sources were found", sources.len());
    sources
}

/// The file of a module that is declared at the beginning of `lines`; none where the module stands there itself.
fn test_module(parent: &Path, lines: &[&str]) -> Option<PathBuf> {
    let folder = parent.parent().unwrap();
    if let Some(path) = lines[0].strip_prefix("#[path = \"") {
        return Some(folder.join(path.trim_end_matches("\"]")));
    }
    let name = lines[0].strip_suffix(';')?.split_whitespace().last()?;
    let stem = parent.file_stem().unwrap();
    let own_folder = if stem == "mod" || stem == "lib" { folder.to_owned() } else { folder.join(stem) };
    Some(own_folder.join(name).with_extension("rs"))
}

/// Fails with every line of `sources` in which one of `words` stands.
fn forbid<'a>(sources: impl Iterator<Item = &'a Source>, words: &[&str]) {
    let mut breaches = Vec::new();
    for source in sources {
        for (number, line) in source.code() {
            let found = words.iter().filter(|word| line.contains(**word));
            breaches.extend(found.map(|word| format!("{}:{number}: {word}", source.path)));
        }
    }
    assert!(breaches.is_empty(), "{breaches:#?}");
}

/// Fails with every path of `sources` that begins with `crate::` (or `prefix`) and goes on with none of `allowed`.
fn allow_only<'a>(sources: impl Iterator<Item = &'a Source>, prefix: &str, allowed: &[&str]) {
    let mut breaches = Vec::new();
    for source in sources {
        for (number, line) in source.code() {
            for rest in line.split(prefix).skip(1) {
                let name: String = rest.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
                if !allowed.contains(&name.as_str()) {
                    breaches.push(format!("{}:{number}: {prefix}{name}", source.path));
                }
            }
        }
    }
    assert!(breaches.is_empty(), "{breaches:#?}");
}

#[test]
fn pure_depends_on_nothing_that_reaches_outside() {
    let manifest = fs::read_to_string(root().join("src/pure/Cargo.toml")).unwrap();
    let (_, dependencies) = manifest.split_once("[dependencies]\n").unwrap();
    let names =
        dependencies.lines().take_while(|line| !line.starts_with('[')).filter_map(|line| line.split_once(" = "));
    let others: Vec<&str> = names.map(|(name, _)| name).filter(|name| !PURE_DEPENDENCIES.contains(name)).collect();
    assert!(others.is_empty(), "{others:?}: not among those that are known to stay inside");
}

#[test]
fn pure_knows_no_file_clock_or_chance() {
    let sources = sources();
    let pure = || sources.iter().filter(|source| source.is_in(&["src/pure/"]));
    forbid(pure(), &OUTSIDE);
    forbid(pure(), &UNREPEATABLE);
}

#[test]
fn tables_are_made_without_input_and_output() {
    let sources = sources();
    let table = || sources.iter().filter(|source| source.is_table());
    assert!(table().count() > 20);
    forbid(table(), &OUTSIDE);
    forbid(table(), &UNREPEATABLE);
    allow_only(table(), "crate::", &["error", "ingest", "pure", "tables"]);
    let shared = table().filter(|source| !source.is_in(&["src/ingest/"]));
    allow_only(shared, "crate::", &["error", "pure", "tables"]);
}

#[test]
fn the_clock_alone_knows_the_time() {
    let sources = sources();
    let others = sources.iter().filter(|source| source.path != "src/clock.rs");
    forbid(others, &["Utc::now", "Local::now", "SystemTime::now"]);
}

#[test]
fn frames_end_where_executions_begin() {
    let sources = sources();
    let past = [
        "src/pure/",
        "src/rollup/",
        "src/publish/",
        "src/report/",
        "src/jobs/",
        "src/config/",
        "src/tables/published/",
    ];
    let readers = ["src/rollup/executions.rs", "src/jobs/days.rs"];
    let past = sources.iter().filter(|source| source.is_in(&past) && !readers.contains(&source.path.as_str()));
    forbid(past, &["polars", "DataFrame"]);
}

#[test]
fn engines_are_named_in_ingest_and_its_configuration_alone() {
    let mut breaches = Vec::new();
    for source in sources().iter().filter(|source| !source.is_in(&["src/ingest/", "src/config/ingest.rs"])) {
        for (number, line) in &source.lines {
            let line = line.to_lowercase();
            let mut words = line.split(|c: char| !c.is_alphanumeric() && c != '-');
            breaches.extend(
                words.find(|word| ENGINES.contains(word)).map(|word| format!("{}:{number}: {word}", source.path)),
            );
        }
    }
    assert!(breaches.is_empty(), "{breaches:#?}");
}

#[test]
fn tables_of_the_database_are_made_by_migrations_alone() {
    let sources = sources();
    forbid(
        sources.iter(),
        &["CREATE TABLE", "ALTER TABLE", "DROP TABLE", "CREATE INDEX", "CREATE UNIQUE", "CREATE VIEW"],
    );
}

#[test]
fn pages_are_written_by_the_report_alone() {
    let sources = sources();
    let others = sources.iter().filter(|source| !source.is_in(&["src/report/"]));
    forbid(others, &["maud", "<!DOCTYPE", "<html", "<div", "<td", "<svg", "</"]);
}

#[test]
fn the_report_reads_what_is_published_and_calculates_nothing() {
    let sources = sources();
    let report = || sources.iter().filter(|source| source.is_in(&["src/report/"]));
    allow_only(report(), "crate::", &["error", "io", "publish", "pure", "report", "tables"]);
    allow_only(report(), "crate::pure::", &["series", "stats", "units"]);
    allow_only(report(), "crate::tables::", &["published"]);
    forbid(report(), &["commit(", ".put(", "put_if_absent("]);
    let view = sources.iter().filter(|source| source.is_in(&["src/report/view/", "src/report/html/"]));
    forbid(view, &OUTSIDE);
}

#[test]
fn jobs_never_call_jobs() {
    let sources = sources();
    let jobs = sources.iter().filter(|source| source.is_in(&["src/jobs/"]));
    forbid(jobs, &["super::run", "super::schedule", "jobs::run", "jobs::schedule", "crate::cli"]);
}
