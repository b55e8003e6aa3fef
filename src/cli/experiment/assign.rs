//! `paceline experiment assign`: which arm a unit belongs to.

use super::options::parse_pair;
use crate::cli::output::{Format, print, table};
use crate::cli::table::{Ending, ResultTable, read};
use crate::error::{Error, Result};
use crate::pure::experiment::assign::{arm_of, draw};
use serde_json::json;
use std::path::PathBuf;

/// The rule: draw = first 53 bits of SHA-256("experiment:unit") / 2^53; the arm is the first whose shares, added up in the
/// order given, exceed it.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct AssignArgs {
    /// Units to assign.
    units: Vec<String>,
    /// The experiment: units are drawn anew for each.
    #[arg(long, value_name = "ID")]
    experiment: String,
    /// The arms and their shares, of any sum.
    #[arg(long, value_name = "ARM=SHARE", value_delimiter = ',', value_parser = parse_pair, required = true)]
    arms: Vec<(String, f64)>,
    /// A table whose units are assigned: Parquet or CSV.
    #[arg(long, value_name = "F", requires = "unit", requires = "out", conflicts_with = "units")]
    from: Option<PathBuf>,
    /// Its column of units.
    #[arg(long, value_name = "COLUMN", requires = "from")]
    unit: Option<String>,
    /// Where its arms go: .parquet or .csv, a row for each of its rows.
    #[arg(long, value_name = "F", requires = "from")]
    out: Option<PathBuf>,
    /// How arms are printed.
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

/// Assigns, and prints or writes.
///
/// # Errors
/// [`Error::Usage`] without units or shares, what reading and writing say otherwise.
pub(super) fn assign(args: &AssignArgs) -> Result<u8> {
    if !args.arms.iter().any(|(_, share)| *share > 0.0) {
        return Err(Error::Usage("--arms: every share is 0; write control=50,treatment=50".to_owned()));
    }
    if let (Some(from), Some(unit), Some(out)) = (&args.from, &args.unit, &args.out) {
        Ending::of(out)?;
        let input = read(from, &[unit])?;
        let units = input.words(unit)?;
        let arm = |row: usize| units.at(row).and_then(|unit| arm_of(&args.experiment, unit, &args.arms));
        let height = input.height();
        ResultTable::default()
            .integers("row", (0..).take(height).map(Some))
            .texts("unit", (0..height).map(|row| units.at(row)))
            .texts("arm", (0..height).map(arm))
            .write(out)?;
        return Ok(0);
    }
    if args.units.is_empty() {
        return Err(Error::Usage(
            "assign: name units, or a table of them with --from F --unit COLUMN --out F".to_owned(),
        ));
    }
    let assigned: Vec<(&String, f64, &str)> = args
        .units
        .iter()
        .map(|unit| {
            (unit, draw(&args.experiment, unit), arm_of(&args.experiment, unit, &args.arms).unwrap_or_default())
        })
        .collect();
    print(&match args.format {
        Format::Json => {
            let rows: Vec<_> =
                assigned.iter().map(|(unit, draw, arm)| json!({ "unit": unit, "draw": draw, "arm": arm })).collect();
            serde_json::to_string_pretty(&rows).map_err(|error| Error::Internal(format!("arms as JSON: {error}")))?
        }
        Format::Table => {
            let rows =
                assigned.iter().map(|(unit, draw, arm)| vec![(*unit).clone(), format!("{draw:.6}"), (*arm).to_owned()]);
            table(&["unit", "draw", "arm"], rows)
        }
    })?;
    Ok(0)
}
