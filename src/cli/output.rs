//! What commands print: a table for people, JSON for programs. Both go to stdout, which is for data.

use crate::error::{Error, Result};
use comfy_table::{ContentArrangement, Table, presets};
use std::io::Write;
use std::path::PathBuf;

/// How a command prints its rows.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// Columns for people.
    #[default]
    Table,
    /// One JSON value for programs.
    Json,
}

/// Rows as a table with a header.
#[must_use]
pub fn table(header: &[&str], rows: impl IntoIterator<Item = Vec<String>>) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled).set_header(header);
    table.add_rows(rows);
    table.trim_fmt()
}

/// Writes `text` and a line end to stdout. A reader that has heard enough (`| head`) is no failure.
///
/// # Errors
/// [`Error::Disk`] when stdout can't be written.
pub fn print(text: &str) -> Result<()> {
    match writeln!(std::io::stdout().lock(), "{text}") {
        Err(source) if source.kind() != std::io::ErrorKind::BrokenPipe => {
            Err(Error::Disk { action: "writing", path: PathBuf::from("stdout"), source })
        }
        _ => Ok(()),
    }
}
