//! Which configuration a command means.

use crate::config::{self, Config};
use crate::error::{Error, Result};
use std::path::Path;

/// The configuration that was given, else `paceline.yaml` of the current folder; `instead` names the option that would
/// have done without.
///
/// # Errors
/// [`Error::Usage`] when there is none, or it is wrong.
pub(super) fn configured(given: Option<&Path>, instead: &str) -> Result<Config> {
    let standard = config::default_path();
    match given {
        Some(path) => config::load(path),
        None if standard.exists() => config::load(&standard),
        None => Err(Error::Usage(format!(
            "there is no {} in this folder; give --config F or {instead}, or write one with `paceline init`",
            standard.display()
        ))),
    }
}
