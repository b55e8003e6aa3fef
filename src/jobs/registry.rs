//! The models that stand: kept among the results, named by the ledger, held against their digests before they are read.
//!
//! `models/registry/<job>/<target>/<version>-<digest>/model.bin` is plain data (postcard behind zstd): nothing in it is
//! run. `card.json` beside it says for people what it is. A path holds one model for ever, so a run that is killed and
//! repeated, or two that meet, can't spoil what is committed.

use super::settings::Settings;
use crate::config::Config;
use crate::error::{Error, Result};
use crate::io::Store;
use crate::publish::Output;
use crate::publish::ledger::{FileRef, REGISTRY, Run, State};
use crate::pure::detect::Skip;
use crate::pure::learn::ModelScore;
use crate::pure::learn::champion::{Champion, Contest, Decision, Elected, FORMAT, Kept, Standing, about};
use crate::pure::learn::dataset::{Features, Target};
use crate::pure::learn::train::LEARNER;
use chrono::{DateTime, SecondsFormat, Utc};
use serde::Serialize;
use std::collections::BTreeMap;

/// The folder of all registered models.
const FOLDER: &str = "models/registry";
/// The file that is read back.
const MODEL: &str = "model.bin";
/// Digits of the digest that a folder is named by.
const SHORT: usize = 16;

/// What earlier runs have left.
#[derive(Debug, Default)]
pub(crate) struct Registry {
    /// By target; without a model where it can't be used.
    pub(crate) champions: BTreeMap<Target, Champion>,
    /// Digests of those that can, by the name that the ledger knows them by.
    pub(crate) digests: BTreeMap<String, String>,
    /// Why the others can't.
    pub(crate) skips: Vec<Skip>,
}

/// The models that the ledger names as those of the job's last run before `as_of`. One whose file is gone, was changed,
/// or was written in another format is not used, and that is told.
///
/// # Errors
/// When the store fails.
pub(crate) async fn load(results: &Store, ledger: &State, job: &str, as_of: DateTime<Utc>) -> Result<Registry> {
    let mut registry = Registry::default();
    for target in Target::ALL {
        let Some((digest, file)) = standing(ledger, job, as_of, target) else { continue };
        let version = file.and_then(|file| version_of(&file.path)).unwrap_or(0);
        let kept = match read(results, digest, file).await? {
            Ok(kept) => {
                registry.digests.insert(name(target), digest.to_owned());
                Some(kept)
            }
            Err(why) => {
                tracing::warn!(model_of = target.as_str(), version, why, "a registered model is not used");
                registry.skips.push(about(target, &format!("version {version} is not used: {why}")));
                None
            }
        };
        registry.champions.insert(target, Champion { version, kept });
    }
    Ok(registry)
}

/// What the ledger calls the model of a target.
fn name(target: Target) -> String {
    format!("prediction.{}", target.as_str())
}

/// The digest that the job's last run before `as_of` names for a target, and the file that has it.
fn standing<'a>(
    ledger: &'a State,
    job: &str,
    as_of: DateTime<Utc>,
    target: Target,
) -> Option<(&'a str, Option<&'a FileRef>)> {
    let name = name(target);
    let runs = || ledger.entries().iter().filter_map(|sealed| sealed.entry.event.run());
    let named = |run: &&Run| run.slot.job == job && run.slot.as_of < as_of && run.models.contains_key(&name);
    // Of several runs of one instant the last in the ledger counts.
    let last = runs().filter(named).max_by_key(|run| run.slot.as_of)?;
    let digest = last.models.get(&name)?;
    let folder = format!("{FOLDER}/{job}/{}/", target.as_str());
    let is_it = |file: &&FileRef| file.digest == *digest && file.path.starts_with(&folder);
    Some((digest, runs().flat_map(|run| &run.files).find(is_it)))
}

/// The model, or why it can't be used.
async fn read(results: &Store, digest: &str, file: Option<&FileRef>) -> Result<std::result::Result<Kept, String>> {
    let Some(file) = file else { return Ok(Err(format!("the ledger names no file with digest {digest}"))) };
    let Some(bytes) = results.get(&file.path).await? else {
        return Ok(Err(format!("{} is missing", file.path)));
    };
    let found = blake3::hash(&bytes).to_hex().to_string();
    if found != digest {
        return Ok(Err(format!("{} has digest {found}, expected {digest}: it was changed or damaged", file.path)));
    }
    Ok(decode(&bytes).map_err(|why| format!("{} {why}", file.path)))
}

fn decode(bytes: &[u8]) -> std::result::Result<Kept, String> {
    let plain = zstd::decode_all(bytes).map_err(|e| format!("can't be unpacked: {e}"))?;
    let (format, rest) = postcard::take_from_bytes::<u32>(&plain).map_err(|e| format!("can't be read: {e}"))?;
    if format != FORMAT {
        return Err(format!("is of format {format}, this version of paceline reads {FORMAT}"));
    }
    postcard::from_bytes(rest).map_err(|e| format!("can't be read: {e}"))
}

fn encode(kept: &Kept) -> Result<Vec<u8>> {
    let plain = postcard::to_stdvec(&(FORMAT, kept)).map_err(|e| Error::Internal(format!("keeping a model: {e}")))?;
    zstd::encode_all(plain.as_slice(), 1).map_err(|e| Error::Internal(format!("keeping a model: {e}")))
}

/// The number in front of a folder's name.
fn version_of(path: &str) -> Option<u64> {
    path.rsplit('/').nth(1)?.split('-').next()?.parse().ok()
}

/// The files of new models, and the digests of all that predict, by name.
///
/// # Errors
/// Never in practice: all of it can be serialised.
pub(crate) fn outputs(
    registry: &Registry,
    elected: &[Elected],
    config: &Config,
    settings: &Settings,
    as_of: DateTime<Utc>,
) -> Result<(Vec<Output>, BTreeMap<String, String>)> {
    let (mut outputs, mut digests) = (Vec::new(), BTreeMap::new());
    for one in elected {
        let name = name(one.target);
        let before = registry.digests.get(&name);
        let Some(new) = &one.new else {
            digests.extend(before.map(|digest| (name, digest.clone())));
            continue;
        };
        let bytes = encode(new)?;
        let digest = blake3::hash(&bytes).to_hex().to_string();
        let short = digest.get(..SHORT).unwrap_or(&digest);
        let folder = format!("{FOLDER}/{}/{}/{:06}-{short}", config.job, one.target.as_str(), one.version);
        let file =
            File { path: format!("{folder}/{MODEL}"), size: bytes.len(), format: FORMAT, blake3: digest.clone() };
        let card = card(one, new, file, before.map(String::as_str), config, settings, as_of);
        let mut text = serde_json::to_vec_pretty(&card).map_err(|e| Error::Internal(format!("a model's card: {e}")))?;
        text.push(b'\n');
        outputs.push(Output { table: REGISTRY, path: card.model.path.clone(), bytes, rows: 0 });
        outputs.push(Output { table: REGISTRY, path: format!("{folder}/card.json"), bytes: text, rows: 0 });
        digests.insert(name, digest);
    }
    Ok((outputs, digests))
}

/// What a registered model is, for people. Numbers that could not be computed are null.
#[derive(Debug, Serialize)]
struct Card<'a> {
    job: &'a str,
    target: &'static str,
    version: u64,
    learner: &'static str,
    /// Version of paceline.
    paceline: &'static str,
    trained_as_of: String,
    decision: &'static str,
    /// Digest of the model that it took the place of.
    replaces: Option<&'a str>,
    contest: Option<Contest>,
    data_window: Window,
    executions: u64,
    features: Features,
    hyperparameters: Hyperparameters,
    groups: Vec<Group<'a>>,
    scores: &'a [ModelScore],
    model: File,
}

/// First and last end of what was learned from.
#[derive(Debug, Serialize)]
struct Window {
    first_ended_at: Option<String>,
    last_ended_at: Option<String>,
}

#[derive(Debug, Serialize)]
struct Hyperparameters {
    level: f64,
    min_samples: usize,
    seed: u64,
    accuracy_threshold: f64,
    retrain_interval_s: u64,
}

#[derive(Debug, Serialize)]
struct Group<'a> {
    workflow_type: &'a str,
    executions: u64,
    data_window: Window,
    in20: f64,
    is_fit: bool,
}

/// The file of the model itself.
#[derive(Debug, Serialize)]
struct File {
    path: String,
    size: usize,
    format: u32,
    blake3: String,
}

fn card<'a>(
    elected: &Elected,
    new: &'a Kept,
    model: File,
    replaces: Option<&'a str>,
    config: &'a Config,
    settings: &Settings,
    as_of: DateTime<Utc>,
) -> Card<'a> {
    let prediction = &config.models.performance_prediction;
    let threshold = prediction.accuracy_threshold;
    let windows = || new.standings.iter().map(|standing| standing.window_us);
    Card {
        job: &config.job,
        target: elected.target.as_str(),
        version: elected.version,
        learner: LEARNER,
        paceline: env!("CARGO_PKG_VERSION"),
        trained_as_of: instant(as_of),
        decision: match elected.decision {
            Decision::First => "first",
            Decision::Promoted => "promoted",
            Decision::Refused => "refused",
            Decision::Stays => "stays",
        },
        replaces,
        contest: elected.contest,
        data_window: Window::of(windows().map(|window| window.0).min(), windows().map(|window| window.1).max()),
        executions: new.standings.iter().map(|standing| standing.n).sum(),
        features: settings.train.features,
        hyperparameters: Hyperparameters {
            level: settings.train.level.get(),
            min_samples: settings.train.min_samples,
            seed: settings.train.seed,
            accuracy_threshold: threshold,
            retrain_interval_s: prediction.retrain_interval.as_secs(),
        },
        groups: new.standings.iter().map(|standing| group(standing, threshold)).collect(),
        scores: &new.scores,
        model,
    }
}

fn group(standing: &Standing, threshold: f64) -> Group<'_> {
    let Standing { group, n, window_us: (first, last), in20 } = standing;
    let data_window = Window::of(Some(*first), Some(*last));
    Group { workflow_type: group, executions: *n, data_window, in20: *in20, is_fit: *in20 >= threshold }
}

impl Window {
    fn of(first_us: Option<i64>, last_us: Option<i64>) -> Self {
        let text = |us: Option<i64>| us.and_then(DateTime::from_timestamp_micros).map(instant);
        Self { first_ended_at: text(first_us), last_ended_at: text(last_us) }
    }
}

fn instant(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::AutoSi, true)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use crate::pure::learn::train::TrainParams;
    use crate::pure::learn::train::train;
    use crate::pure::samples::Samples;

    fn kept() -> Kept {
        let models = train(&Samples::default(), &TrainParams::default()).0;
        Kept { trained_us: 7, models, scores: Vec::new(), standings: Vec::new(), runs: None }
    }

    #[test]
    fn what_is_kept_is_read_back() {
        assert_eq!(decode(&encode(&kept()).unwrap()).unwrap(), kept());
    }

    #[test]
    fn what_is_not_a_model_of_this_format_is_refused_by_a_sentence() {
        let later = zstd::encode_all(postcard::to_stdvec(&(FORMAT + 1, 5_u8)).unwrap().as_slice(), 1).unwrap();
        let expected = format!("is of format {}, this version of paceline reads {FORMAT}", FORMAT + 1);
        assert_eq!(decode(&later).unwrap_err(), expected);
        let short = zstd::encode_all(postcard::to_stdvec(&FORMAT).unwrap().as_slice(), 1).unwrap();
        assert!(decode(&short).unwrap_err().starts_with("can't be read"));
        assert!(decode(b"nonsense").unwrap_err().starts_with("can't be unpacked"));
    }

    #[test]
    fn the_number_stands_in_the_folder() {
        assert_eq!(version_of("models/registry/j/duration_ms/000012-abc/model.bin"), Some(12));
        assert_eq!(version_of("model.bin"), None);
    }
}
