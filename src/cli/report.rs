//! `paceline report`: the weekly report as one HTML file.

use super::output::print;
use super::results::{Results, ResultsArgs};
use crate::config::Config;
use crate::error::{Error, Result};
use crate::report::{ViewParams, html, load, view};
use clap::Args;
use std::io::Write;
use std::path::{Path, PathBuf};

/// Writes the report: one HTML file that needs nothing else, from published tables only.
#[derive(Debug, Clone, Args)]
pub struct ReportArgs {
    /// Which results
    #[command(flatten)]
    pub results: ResultsArgs,
    /// The file to write [default: stdout]
    #[arg(long, value_name = "F")]
    pub out: Option<PathBuf>,
}

/// Runs the command; says the exit code.
///
/// # Errors
/// [`Error::Usage`] for a wrong config, location or as-of; [`Error::Input`] where nothing was published; what
/// [`load`] says; [`Error::Disk`] when the file can't be written.
pub async fn report(args: &ReportArgs) -> Result<u8> {
    let Results { store, as_of, config } = args.results.open().await?;
    let published = load(&store, as_of).await?;
    let page = html(&view(&published, &view_params(&config)));
    match &args.out {
        None => print(&page)?,
        Some(path) => {
            write(path, &page)?;
            tracing::info!(out = %path.display(), %as_of, bytes = page.len(), "report written");
        }
    }
    Ok(0)
}

/// What the configuration wants to see.
#[must_use]
pub fn view_params(config: &Config) -> ViewParams {
    let reporting = &config.reporting;
    let trends = reporting.performance_trends.enabled;
    ViewParams {
        timezone: config.timezone,
        include_recommendations: reporting.include_recommendations,
        include_trends: reporting.include_trends && trends,
        include_forecasts: trends,
    }
}

/// Replaces the file as a whole: whoever reads it meanwhile sees the old report or the new one.
fn write(path: &Path, page: &str) -> Result<()> {
    let failed = |source| Error::Disk { action: "writing", path: path.to_owned(), source };
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut file = tempfile::NamedTempFile::new_in(folder).map_err(failed)?;
    file.write_all(page.as_bytes()).map_err(failed)?;
    readable_by_others(file.as_file()).map_err(failed)?;
    file.persist(path).map_err(|error| failed(error.error))?;
    Ok(())
}

/// Temporary files are private; a report is for reading.
#[cfg(unix)]
fn readable_by_others(file: &std::fs::File) -> std::io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    file.set_permissions(std::fs::Permissions::from_mode(0o644))
}

#[cfg(not(unix))]
fn readable_by_others(_file: &std::fs::File) -> std::io::Result<()> {
    Ok(())
}
