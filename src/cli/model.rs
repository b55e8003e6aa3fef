//! `paceline model show`: the card of a model.

use super::model_file;
use super::output::{Format, print, table};
use super::train::scores;
use crate::error::{Error, Result};
use crate::pure::learn::tabular::Card;
use crate::pure::learn::tabular::VERSION;
use crate::pure::learn::tabular::card::{NamedPlane, Part};
use serde::Serialize;
use std::path::PathBuf;

/// What a model is.
#[derive(Debug, Clone, clap::Args)]
pub struct ModelArgs {
    #[command(subcommand)]
    command: ModelCommand,
}

#[derive(Debug, Clone, clap::Subcommand)]
enum ModelCommand {
    /// The card: data, features, coefficients with standard errors, scores beside rivals, groups with too few rows.
    Show {
        /// A model that `train` wrote.
        model: PathBuf,
        /// How it is printed.
        #[arg(long, value_enum, default_value_t)]
        format: Format,
    },
}

/// Runs the command; says the exit code.
///
/// # Errors
/// [`Error::Input`] for a file that is no model, or damaged.
pub async fn model(args: &ModelArgs) -> Result<u8> {
    let ModelCommand::Show { model, format } = &args.command;
    let loaded = model_file::load(model)?;
    print(&match format {
        Format::Json => json_of(&loaded.model.card, &loaded.digest, loaded.version)?,
        Format::Table => card(&loaded.model.card, &loaded.digest),
    })?;
    Ok(0)
}

/// The card with what the file says of itself.
#[derive(Serialize)]
struct Shown<'a> {
    digest: &'a str,
    version: u32,
    #[serde(flatten)]
    card: &'a Card,
}

/// The card of a model that was just written, as JSON.
pub(super) fn json(card: &Card, digest: &str) -> Result<String> {
    json_of(card, digest, VERSION)
}

fn json_of(card: &Card, digest: &str, version: u32) -> Result<String> {
    let shown = Shown { digest, version, card };
    serde_json::to_string_pretty(&shown).map_err(|e| Error::Internal(format!("a card can't be shown: {e}")))
}

fn card(card: &Card, digest: &str) -> String {
    let mut parts = vec![facts(card, digest)];
    parts.extend(card.parts.iter().map(part));
    parts.extend(card.planes.iter().map(plane));
    parts.push(scores(&card.scores));
    if !card.skips.is_empty() {
        let rows = card.skips.iter().map(|skip| vec![skip.group.clone(), skip.reason.clone()]);
        parts.push(table(&["group", "why it has no say of its own"], rows));
    }
    parts.join("\n\n")
}

fn facts(card: &Card, digest: &str) -> String {
    let optional = |value: &Option<String>| value.clone().unwrap_or_else(|| "-".to_owned());
    let window = card.window_s.map_or_else(|| "-".to_owned(), |(first, last)| format!("{first} to {last} s"));
    let rows = [
        ("target", card.target.clone()),
        ("features", card.features.join(", ")),
        ("group", optional(&card.group)),
        ("time", optional(&card.time)),
        ("window", window),
        ("rows", card.n_rows.to_string()),
        ("rows without target", card.n_without_target.to_string()),
        ("groups", card.n_groups.to_string()),
        ("configurations", card.n_configurations.to_string()),
        ("learner", card.learner.clone()),
        ("scale", card.scale.clone()),
        ("size", optional(&card.size)),
        ("seed", card.seed.to_string()),
        ("digest", digest.to_owned()),
    ];
    table(&["model", ""], rows.into_iter().map(|(name, value)| vec![name.to_owned(), value]))
}

fn part(part: &Part) -> String {
    let shares: Vec<String> = part.shares.iter().map(|(s, share)| format!("{} {:.2}", s.as_str(), share)).collect();
    let head = format!("{}: share {}", part.learner, shares.join(", "));
    let values = part.settings.iter().chain(&part.coefficients);
    let rows: Vec<Vec<String>> = values.map(|(name, value)| vec![name.clone(), format!("{value:.6}")]).collect();
    if rows.is_empty() { head } else { format!("{head}\n{}", table(&["", "value"], rows)) }
}

fn plane(plane: &NamedPlane) -> String {
    let ols = &plane.ols;
    let name = plane.group.as_deref().unwrap_or("all rows");
    let rows = ols.coefficients.iter().map(|c| {
        vec![c.name.clone(), format!("{:.12e}", c.value), format!("{:.12e}", c.std_error), format!("{:.3e}", c.p_value)]
    });
    let mut text = format!(
        "ordinary least squares, {name}: n {}, residual standard deviation {:.12e} on {} degrees of freedom, R² {:.12}\n{}",
        ols.n,
        ols.residual_std,
        ols.degrees_of_freedom,
        ols.r_squared,
        table(&["", "estimate", "standard error", "p"], rows)
    );
    if !ols.collinear.is_empty() {
        text.push_str(&format!("\nleft out, as they repeat others: {}", ols.collinear.join(", ")));
    }
    text
}
