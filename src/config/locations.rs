//! Where the lake, the results and the database are.

use super::document::{Node, Value};
use super::section::Section;
use crate::error::{Error, Result};
use std::path::Path;
use url::Url;

/// Schemes that a store understands.
const SCHEMES: [&str; 4] = ["file", "s3", "gs", "az"];
/// What a location looks like, for messages.
const EXPECTED: &str = "a path, file:…, s3://…, gs://… or az://…";

/// Reads the location at `key`: a path or a URL without credentials.
pub(super) fn read(section: &mut Section<'_>, key: &'static str, default: &str) -> String {
    let Some(node) = section.take(key) else { return default.to_owned() };
    let Value::Text(text) = &node.value else {
        section.refuse(key, "no text", EXPECTED, "write it as a text");
        return default.to_owned();
    };
    match check(text) {
        Ok(()) => text.clone(),
        Err(advice) => {
            // The value may hold a secret, so it is not shown.
            section.refuse(key, "a value that is none of these", EXPECTED, &advice);
            default.to_owned()
        }
    }
}

/// Whether a location names its scheme (`file:` alone counts as a path).
#[must_use]
pub fn is_url(location: &str) -> bool {
    location.contains("://")
}

fn check(location: &str) -> std::result::Result<(), String> {
    if location.trim().is_empty() {
        return Err("write one".to_owned());
    }
    if !is_url(location) {
        return Ok(());
    }
    let url = Url::parse(location).map_err(|error| format!("this is no URL ({error})"))?;
    if !SCHEMES.contains(&url.scheme()) {
        return Err(format!("no store understands {}://", url.scheme()));
    }
    if !url.username().is_empty() || url.password().is_some() || url.query().is_some() {
        return Err("remove user, password and query: credentials come from the environment".to_owned());
    }
    Ok(())
}

/// A location with a local path made absolute, taken from `folder`.
pub(super) fn settled(location: &str, folder: &Path) -> String {
    if is_url(location) {
        return location.to_owned();
    }
    let (scheme, path) = location.strip_prefix("file:").map_or(("", location), |path| ("file:", path));
    let joined = folder.join(path);
    // Only an empty path has no absolute form, and a location isn't one; and if: the store says so.
    let absolute = std::path::absolute(&joined).unwrap_or(joined);
    format!("{scheme}{}", absolute.display())
}

/// The Postgres database, by reference or without a secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Database {
    /// The environment variable that holds its URL.
    Env(String),
    /// A URL without a password, which then comes from a password file or isn't needed.
    Url(String),
}

impl Database {
    pub(super) fn read(file: &mut Section<'_>) -> Option<Self> {
        let node = file.take("postgres")?;
        match parse(node) {
            Ok(database) => Some(database),
            Err(advice) => {
                // The value may hold a secret, so it is not shown.
                let expected = "null, env:NAME or a postgres:// URL without a password";
                file.refuse("postgres", "a value that is none of these", expected, advice);
                None
            }
        }
    }

    /// The URL to connect to.
    ///
    /// # Errors
    /// [`Error::Usage`] when the environment variable isn't set.
    pub fn url(&self) -> Result<String> {
        match self {
            Self::Url(url) => Ok(url.clone()),
            Self::Env(name) => std::env::var(name).map_err(|_absent| {
                Error::Usage(format!(
                    "postgres: env:{name} names an environment variable that is not set; set it to postgres://…, or \
                     set postgres to null to do without a database"
                ))
            }),
        }
    }
}

fn parse(node: &Node) -> std::result::Result<Database, &'static str> {
    let Value::Text(text) = &node.value else { return Err("write it as a text") };
    if let Some(name) = text.strip_prefix("env:") {
        let is_name = !name.is_empty()
            && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
            && !name.starts_with(|c: char| c.is_ascii_digit());
        return if is_name { Ok(Database::Env(name.to_owned())) } else { Err("write env:DATABASE_URL, for example") };
    }
    let url = Url::parse(text).map_err(|_no_url| "write env:DATABASE_URL, for example")?;
    if !matches!(url.scheme(), "postgres" | "postgresql") {
        return Err("only Postgres is understood: postgres://host/database");
    }
    if url.password().is_some() || url.query_pairs().any(|(key, _)| key.eq_ignore_ascii_case("password")) {
        return Err("no secret stands in this file: put the URL into an environment variable and write env:NAME");
    }
    Ok(Database::Url(text.clone()))
}
