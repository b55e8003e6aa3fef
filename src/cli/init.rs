//! `paceline init`: a commented configuration, and a small sample lake to try it on.

use crate::config;
use crate::error::{Error, Result};
use crate::io::Store;
use crate::sample::{self, PlantedExperiment, Sample};
use polars::prelude::*;
use std::io::Write;
use std::path::{Path, PathBuf};

/// Writes a commented paceline.yaml.
#[derive(Debug, Clone, clap::Args)]
pub struct InitArgs {
    /// Folder to write to; made if missing.
    #[arg(default_value = ".")]
    pub dir: PathBuf,
    /// Write a small sample lake, too (lake/ and truth.json), and a configuration that fits it.
    #[arg(long)]
    pub sample: bool,
    /// Overwrite what is there.
    #[arg(long)]
    pub force: bool,
}

const CONFIG: &str = "paceline.yaml";
const LAKE: &str = "lake";
const TRUTH: &str = "truth.json";

/// Writes the files and says what comes next. Tables are worked on in here, for which the runtime must have more than
/// one thread.
///
/// # Errors
/// [`Error::Usage`] when something is there already and `--force` isn't given, [`Error::Disk`] when the folder can't be
/// written.
pub async fn init(args: &InitArgs) -> Result<u8> {
    let InitArgs { dir, sample, force } = args;
    let names = if *sample { &[CONFIG, LAKE, TRUTH][..] } else { &[CONFIG][..] };
    if !force {
        refuse_existing(dir, names)?;
    }
    std::fs::create_dir_all(dir).map_err(|source| disk("creating", dir, source))?;
    if *sample {
        let sample = sample::generate(sample::DEFAULT_SEED)?;
        clear(&dir.join(LAKE), &dir.join(TRUTH))?;
        write_lake(&Store::open(&dir.join(LAKE).display().to_string())?, &sample).await?;
        write(&dir.join(TRUTH), &truth_json(&sample)?)?;
        write(&dir.join(CONFIG), &for_sample(&sample.truth.experiment))?;
    } else {
        write(&dir.join(CONFIG), config::COMMENTED)?;
    }
    say(dir, names)?;
    Ok(0)
}

fn refuse_existing(dir: &Path, names: &[&str]) -> Result<()> {
    match names.iter().map(|name| dir.join(name)).find(|path| path.exists()) {
        Some(path) => Err(Error::Usage(format!(
            "{} is there already; name another folder, or overwrite it with --force",
            path.display()
        ))),
        None => Ok(()),
    }
}

/// Removes an earlier sample lake, as it may have had other days, which must not stay beside the new ones. A lake
/// without its truth is somebody's own: `--force` is not meant for that.
fn clear(lake: &Path, truth: &Path) -> Result<()> {
    if !lake.exists() {
        return Ok(());
    }
    if !truth.exists() {
        return Err(Error::Usage(format!(
            "{} holds a lake that is no sample ({} is missing); name another folder, or move it away",
            lake.display(),
            truth.display()
        )));
    }
    std::fs::remove_dir_all(lake).map_err(|source| disk("clearing", lake, source))
}

fn write(path: &Path, text: &str) -> Result<()> {
    std::fs::write(path, text).map_err(|source| disk("writing", path, source))
}

fn disk(action: &'static str, path: &Path, source: std::io::Error) -> Error {
    Error::Disk { action, path: path.to_owned(), source }
}

fn say(dir: &Path, names: &[&str]) -> Result<()> {
    let config = dir.join(CONFIG);
    let mut out = std::io::stdout().lock();
    let written: Vec<String> = names.iter().map(|name| dir.join(name).display().to_string()).collect();
    writeln!(out, "wrote {}\nnext: paceline run --config {}", written.join(", "), config.display())
        .map_err(|source| disk("writing", Path::new("stdout"), source))
}

/// The commented configuration with the settings that the sample needs: its history ends in the past, and it holds
/// an experiment.
#[must_use]
pub fn for_sample(experiment: &PlantedExperiment) -> String {
    let PlantedExperiment { id, workflow_type, control, start, .. } = experiment;
    let start = start.to_rfc3339_opts(chrono::SecondsFormat::Secs, true);
    let experiments = format!(
        "  experiments:\n    - id: {id}\n      workflow_type: {workflow_type}\n      variant_column: variant\n      \
         control: {control}\n      unit: run_id\n      primary: {{ metric: execution_time, stat: mean, direction: \
         decrease }}\n      method: sequential\n      level: 0.95\n      start: {start}\n      end: null\n"
    );
    config::COMMENTED
        .replace("job: nightly ", "job: sample  ")
        .replace("as_of: now   ", "as_of: latest")
        .replace("  experiments: []\n", &experiments)
}

fn truth_json(sample: &Sample) -> Result<String> {
    let json = serde_json::to_string_pretty(&sample.truth);
    json.map(|text| text + "\n").map_err(|error| Error::Internal(format!("writing the truth of the sample: {error}")))
}

/// Writes both tables, partitioned by the UTC date on which the run started.
///
/// # Errors
/// When the store can't be written.
pub async fn write_lake(store: &Store, sample: &Sample) -> Result<()> {
    let date = col("started_at").dt().date().cast(DataType::String).alias("date");
    let runs = sample.runs.clone().lazy().with_column(date).collect()?;
    let dates = runs.clone().lazy().select([col("run_id"), col("date")]);
    let left = JoinArgs { maintain_order: MaintainOrderJoin::Left, ..JoinArgs::new(JoinType::Inner) };
    let steps = sample.steps.clone().lazy().join(dates, [col("run_id")], [col("run_id")], left).collect()?;
    write_table(store, "runs", &runs).await?;
    write_table(store, "steps", &steps).await
}

async fn write_table(store: &Store, table: &str, rows: &DataFrame) -> Result<()> {
    for day in rows.partition_by_stable(["date"], true)? {
        let date = day.column("date")?.str()?.get(0).unwrap_or_default().to_owned();
        let mut day = day.drop("date")?;
        let mut bytes = Vec::new();
        ParquetWriter::new(&mut bytes).with_compression(ParquetCompression::Zstd(None)).finish(&mut day)?;
        store.put(&format!("{table}/date={date}/part-0.parquet"), bytes).await?;
    }
    Ok(())
}
