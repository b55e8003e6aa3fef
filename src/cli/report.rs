//! `paceline report`: the weekly report as one HTML file.

use super::output::print;
use super::results::{Results, ResultsArgs};
use super::table::write_whole;
use crate::config::Config;
use crate::error::{Error, Result};
use crate::report::{ViewParams, html, load, view};
use clap::Args;
use std::io::Write;
use std::path::PathBuf;

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
            let failed = |source| Error::Disk { action: "writing", path: path.clone(), source };
            write_whole(path, |file| file.write_all(page.as_bytes()).map_err(failed))?;
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
