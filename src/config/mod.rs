//! The configuration file: one struct a section, checked once, then only valid values travel.
//!
//! [`load`] reads a file; [`Config::default`] is what an empty file says. Every key of the schema acts, or belongs to a
//! part that is not built yet and is then refused unless it stands at its default ([`unbuilt`]); a key that nobody
//! knows, a value out of range, a contradiction between two keys: each is an error that names the key, its line, what
//! was found and what to write. All of them are reported at once.
//!
//! The file is parsed by serde into a tree whose nodes know their lines, and each section reads its keys from that
//! tree. Deriving the structs straight from the file would stop at the first mistake and lose its place.

mod analytics;
mod capacity;
mod cron;
mod document;
mod experiments;
mod ingest;
mod locations;
mod models;
mod monitoring;
mod optimization;
mod reporting;
mod section;
mod size;
mod unbuilt;

pub use analytics::Analytics;
pub use capacity::{Capacity, Limit};
pub use cron::{Cron, CronError};
pub use experiments::{ArmStat, Desired, Experiment, Guardrail, Measure, Method, Primary, Unit};
pub use locations::{Database, is_url};
pub use models::{BottleneckDetection, Feature, Models, PerformancePrediction};
pub use monitoring::{DegradationAlert, Monitoring, Severity};
pub use optimization::{
    Caching, LoadBalancing, Optimization, ParallelProcessing, ProviderSelection, ResourceAllocation,
};
pub use reporting::{PerformanceTrends, Reporting};

use crate::error::{Error, Result};
use crate::ingest::Source;
use chrono::{DateTime, DurationRound, TimeDelta, Utc};
use chrono_tz::Tz;
use document::Node;
use section::{Problem, Section};
use serde::Serialize;
use std::cell::RefCell;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The commented file that `paceline init` writes: every key with its default.
pub const COMMENTED: &str = include_str!("paceline.yaml");

/// Everything that a job needs to know, checked.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// Name of the job: part of the run's identity.
    pub job: String,
    /// Where the history lies.
    pub lake: String,
    /// Where results go.
    pub results: String,
    /// The database that results are projected to, none for files alone.
    pub postgres: Option<Database>,
    /// Seed of everything random.
    pub seed: u64,
    /// The cutoff.
    pub as_of: AsOf,
    /// For schedules, weeks and days in reports.
    pub timezone: Tz,
    /// Sources brought into the lake before a run.
    pub ingest: Vec<Source>,
    /// What is analysed, and how far back.
    pub analytics: Analytics,
    /// What is recommended.
    pub optimization: Optimization,
    /// What is learned.
    pub models: Models,
    /// What is judged.
    pub experiments: Vec<Experiment>,
    /// What is planned for.
    pub capacity: Capacity,
    /// What is told at once.
    pub monitoring: Monitoring,
    /// What the report shows.
    pub reporting: Reporting,
    /// When the job runs.
    pub schedule: Cron,
    /// What ends a run early or badly.
    pub limits: Limits,
}

/// The cutoff of a run: nothing that ended after it is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AsOf {
    /// The present instant, on the grid of `analysis_interval`.
    Now,
    /// The latest end in the lake.
    Latest,
    /// An instant.
    At(DateTime<Utc>),
}

impl AsOf {
    /// Parses `now`, `latest` or an RFC 3339 instant.
    ///
    /// # Errors
    /// What to write instead.
    pub fn parse(text: &str) -> std::result::Result<Self, String> {
        match text {
            "now" => Ok(Self::Now),
            "latest" => Ok(Self::Latest),
            _ => parse_instant(text).map(Self::At),
        }
    }

    /// The instant meant, none for [`AsOf::Latest`], which the lake alone knows. The present is rounded down to
    /// `interval`, so that two runs started within one interval mean the same slot and the second has nothing to do.
    #[must_use]
    pub fn resolve(self, now: DateTime<Utc>, interval: Duration) -> Option<DateTime<Utc>> {
        match self {
            Self::Now => {
                let grid = TimeDelta::from_std(interval).ok();
                Some(grid.and_then(|grid| now.duration_trunc(grid).ok()).unwrap_or(now))
            }
            Self::Latest => None,
            Self::At(instant) => Some(instant),
        }
    }
}

/// What a run may cost and spoil.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Limits {
    /// Share of rows that may be refused before the run exits 3.
    pub max_rejects_ratio: f64,
    /// Memory that the run may use.
    pub memory_bytes: u64,
}

impl Limits {
    fn read(section: &mut Section<'_>) -> Self {
        Self {
            max_rejects_ratio: section.ratio("max_rejects_ratio", 0.01),
            memory_bytes: section.parsed("memory", 2_000_000_000, size::EXPECTED, |text| size::parse(text, 1)),
        }
    }
}

/// Reads and checks a configuration file. Local paths in it are meant from the folder in which it lies.
///
/// # Errors
/// [`Error::Usage`] naming every key that is wrong, or the file when it can't be read.
pub fn load(path: &Path) -> Result<Config> {
    let text = std::fs::read_to_string(path).map_err(|error| {
        let advice = "write one with `paceline init`, or name another with --config";
        Error::Usage(format!("{}: {error}; {advice}", path.display()))
    })?;
    let mut config = parse(&text, &path.display().to_string())?;
    config.settle_in(path.parent().unwrap_or(Path::new("")));
    Ok(config)
}

/// Checks the text of a configuration file; `name` is what errors call it. Paths stay as they are written.
///
/// # Errors
/// [`Error::Usage`] naming every key that is wrong.
pub fn parse(text: &str, name: &str) -> Result<Config> {
    let node = document::parse(text).map_err(|error| {
        let line = error.line.map(|line| format!(":{line}")).unwrap_or_default();
        Error::Usage(format!("{name}{line}: this is no YAML: {}; mend the line or the one before it", error.message))
    })?;
    Config::try_from(&node).map_err(|problems| Error::Usage(problems.describe(name)))
}

/// Everything that is wrong in one file.
#[derive(Debug)]
struct Problems(Vec<Problem>);

impl Problems {
    fn describe(&self, name: &str) -> String {
        let lines: Vec<String> = self.0.iter().map(|problem| describe(problem, name)).collect();
        lines.join("\n")
    }
}

fn describe(problem: &Problem, name: &str) -> String {
    let line = problem.line.map(|line| format!(":{line}")).unwrap_or_default();
    let colon = if problem.path.is_empty() { "" } else { ": " };
    format!("{name}{line}{colon}{}: {}", problem.path, problem.sentence)
}

impl TryFrom<&Node> for Config {
    type Error = Problems;

    fn try_from(node: &Node) -> std::result::Result<Self, Problems> {
        let problems = RefCell::new(Vec::new());
        let config = Section::root(node, &problems, Self::read);
        let mut problems = problems.into_inner();
        if problems.is_empty() {
            return Ok(config);
        }
        // In the order of the file; what isn't in it comes last.
        problems.sort_by_key(|problem| problem.line.unwrap_or(u64::MAX));
        Err(Problems(problems))
    }
}

impl Default for Config {
    /// What an empty file says.
    fn default() -> Self {
        let empty = Node { value: document::Value::Null, line: 1 };
        // An absent key is never refused but where it is required, and those stand in lists that are empty here.
        let ignored = RefCell::new(Vec::new());
        Section::root(&empty, &ignored, Self::read)
    }
}

impl Config {
    fn read(file: &mut Section<'_>) -> Self {
        let job = file.parsed("job", "nightly".to_owned(), "a name of letters, digits, -, _ and .", parse_name);
        let lake = locations::read(file, "lake", "file:./lake");
        let results = locations::read(file, "results", "file:./results");
        let postgres = Database::read(file);
        let seed = file.whole("seed", 7, 0..=i128::from(u64::MAX));
        let as_of = file.parsed("as_of", AsOf::Now, "now, latest or an RFC 3339 instant", AsOf::parse);
        let timezone = file.parsed("timezone", Tz::UTC, "the name of a time zone", parse_timezone);
        let ingest = file.sections("ingest", ingest::read);
        let engine = file.section("performance_optimization", Engine::read);
        let schedule = file.section("schedule", |section| {
            section.parsed("run", Cron::hourly(), "a five-field cron expression", |text| {
                Cron::parse(text).map_err(|error| error.to_string())
            })
        });
        let limits = file.section("limits", Limits::read);
        let Engine { analytics, optimization, models, experiments, capacity, monitoring, reporting } = engine;
        Self {
            job,
            lake,
            results,
            postgres,
            seed,
            as_of,
            timezone,
            ingest,
            analytics,
            optimization,
            models,
            experiments,
            capacity,
            monitoring,
            reporting,
            schedule,
            limits,
        }
    }

    /// Makes local paths absolute, taken from `folder`.
    fn settle_in(&mut self, folder: &Path) {
        let settle = |location: &mut String| *location = locations::settled(location, folder);
        settle(&mut self.lake);
        settle(&mut self.results);
        self.ingest.iter_mut().for_each(|source| settle(&mut source.path));
    }

    /// blake3 of everything that changes what is published, as canonical JSON. Locations, the database, the schedule
    /// and its time zone don't: the same history analysed elsewhere is the same analysis. Memory does, for it bounds how
    /// many executions are learned from. Job and as-of count on their own in a run's identity, sources by the digests of
    /// what they brought.
    #[must_use]
    pub fn hash(&self) -> String {
        // Destructured, so that a new field must say on which side it stands.
        let Self {
            job: _,
            lake: _,
            results: _,
            postgres: _,
            seed,
            as_of: _,
            timezone: _,
            ingest: _,
            analytics,
            optimization,
            models,
            experiments,
            capacity,
            monitoring,
            reporting,
            schedule: _,
            limits: Limits { max_rejects_ratio: _, memory_bytes },
        } = self;
        #[derive(Serialize)]
        struct WhatCounts<'a> {
            seed: u64,
            memory_bytes: u64,
            analytics: &'a Analytics,
            optimization: &'a Optimization,
            models: &'a Models,
            experiments: &'a [Experiment],
            capacity: &'a Capacity,
            monitoring: &'a Monitoring,
            reporting: &'a Reporting,
        }
        let (seed, memory_bytes) = (*seed, *memory_bytes);
        let counts = WhatCounts {
            seed,
            memory_bytes,
            analytics,
            optimization,
            models,
            experiments,
            capacity,
            monitoring,
            reporting,
        };
        #[expect(clippy::expect_used, reason = "structs of numbers, words and word-keyed maps are always JSON")]
        let json = serde_json::to_vec(&counts).expect("settings are JSON");
        blake3::hash(&json).to_hex().to_string()
    }
}

/// The section `performance_optimization`.
struct Engine {
    analytics: Analytics,
    optimization: Optimization,
    models: Models,
    experiments: Vec<Experiment>,
    capacity: Capacity,
    monitoring: Monitoring,
    reporting: Reporting,
}

impl Engine {
    fn read(section: &mut Section<'_>) -> Self {
        let experiments = section.sections("experiments", Experiment::read);
        experiments::refuse_equal_ids(section, &experiments);
        Self {
            analytics: section.section("analytics", Analytics::read),
            optimization: section.section("optimization", Optimization::read),
            models: section.section("ml_models", Models::read),
            experiments,
            capacity: section.section("capacity", Capacity::read),
            monitoring: section.section("monitoring", Monitoring::read),
            reporting: section.section("reporting", Reporting::read),
        }
    }
}

fn parse_name(text: &str) -> std::result::Result<String, String> {
    let is_name = !text.is_empty()
        && text.len() <= 100
        && text.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c))
        && !text.starts_with('.');
    if is_name { Ok(text.to_owned()) } else { Err("at most 100 of them, not beginning with a dot".to_owned()) }
}

fn parse_timezone(text: &str) -> std::result::Result<Tz, String> {
    text.parse().map_err(|_unknown| {
        let names = chrono_tz::TZ_VARIANTS.iter().map(|zone| zone.name());
        section::nearest_or(text, names, "write an IANA name such as Europe/Berlin or UTC")
    })
}

fn parse_instant(text: &str) -> std::result::Result<DateTime<Utc>, String> {
    DateTime::parse_from_rfc3339(text)
        .map(|instant| instant.with_timezone(&Utc))
        .map_err(|error| format!("write it with its offset, like 2026-10-01T00:00:00Z ({error})"))
}

/// Where a configuration lies when nobody says.
#[must_use]
pub fn default_path() -> PathBuf {
    PathBuf::from("paceline.yaml")
}

#[cfg(test)]
mod tests;
