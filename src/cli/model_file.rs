//! Models on disk: a line that says what follows, then the model. Loading one runs no code of it.
//!
//! ```text
//! {"format":"paceline-model","version":1,"digest":"<blake3 of what follows>"}⏎
//! zstd( postcard( Model ) )
//! ```

use super::table::write_whole;
use crate::error::{Error, Result};
use crate::pure::learn::tabular::{Model, VERSION};
use serde::{Deserialize, Serialize};
use std::io::{Read, Write};
use std::path::Path;

const FORMAT: &str = "paceline-model";
/// zstd's own default.
const ZSTD_LEVEL: i32 = 3;
/// No model is that large: what unpacks to more is damaged, or meant to do harm.
const MOST_BYTES: u64 = 4 << 30;

#[derive(Debug, Serialize, Deserialize)]
struct Header {
    format: String,
    version: u32,
    digest: String,
}

/// A model with the digest of its bytes.
#[derive(Debug)]
pub(super) struct Loaded {
    pub(super) model: Model,
    pub(super) digest: String,
    pub(super) version: u32,
}

/// Writes a model as a whole; says its digest.
///
/// # Errors
/// [`Error::Disk`] when the file can't be written.
pub(super) fn save(path: &Path, model: &Model) -> Result<String> {
    let failed = |source| Error::Disk { action: "writing", path: path.to_owned(), source };
    let plain = postcard::to_stdvec(model).map_err(|e| Error::Internal(format!("a model can't be written: {e}")))?;
    let body = zstd::bulk::compress(&plain, ZSTD_LEVEL).map_err(failed)?;
    let digest = blake3::hash(&body).to_hex().to_string();
    let header = Header { format: FORMAT.to_owned(), version: VERSION, digest: digest.clone() };
    let line =
        serde_json::to_string(&header).map_err(|e| Error::Internal(format!("a header can't be written: {e}")))?;
    write_whole(path, |file| {
        writeln!(file, "{line}").and_then(|()| file.write_all(&body)).map_err(failed)?;
        Ok(())
    })?;
    Ok(digest)
}

/// Reads a model and checks its digest.
///
/// # Errors
/// [`Error::Input`] when there is no such file, it is no model, damaged, or written by a later version.
pub(super) fn load(path: &Path) -> Result<Loaded> {
    let unfit = |why: String| Error::Input(format!("{}: {why}", path.display()));
    let bytes =
        std::fs::read(path).map_err(|e| unfit(format!("{e}; name a file that `paceline train --model` wrote")))?;
    let no_model = || unfit("this is no model; name a file that `paceline train --model` wrote".to_owned());
    let end = bytes.iter().position(|byte| *byte == b'\n').ok_or_else(no_model)?;
    let (line, body) = bytes.split_at(end);
    let body = body.get(1..).unwrap_or_default();
    let header: Header = serde_json::from_slice(line).map_err(|_not_json| no_model())?;
    if header.format != FORMAT {
        return Err(no_model());
    }
    let Header { version, digest, .. } = header;
    if version != VERSION {
        return Err(unfit(format!(
            "the model has format version {version}, this paceline reads {VERSION}; take one that does, or train anew"
        )));
    }
    let found = blake3::hash(body).to_hex().to_string();
    if found != digest {
        return Err(unfit(format!(
            "the model is damaged: its digest is {found}, expected {digest}; take it from where it was copied, or train \
             anew"
        )));
    }
    let damaged = |why: String| unfit(format!("the model can't be read: {why}; train anew"));
    let mut plain = Vec::new();
    let unpacking = zstd::stream::read::Decoder::new(body).map_err(|e| damaged(e.to_string()))?;
    unpacking.take(MOST_BYTES).read_to_end(&mut plain).map_err(|e| damaged(e.to_string()))?;
    let model = postcard::from_bytes(&plain).map_err(|e| damaged(e.to_string()))?;
    Ok(Loaded { model, digest, version })
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use crate::pure::columns::Column;
    use crate::pure::learn::tabular::{Choice, Table, TrainParams, train};

    fn saved(folder: &Path) -> std::path::PathBuf {
        let x: Vec<f64> = (1..30).map(f64::from).collect();
        let y: Vec<f64> = x.iter().map(|x| 3.0 * x + 1.0).collect();
        let table = Table { n_rows: 29, features: vec![("x".to_owned(), Column::Numbers(x))], ..Table::default() };
        let params = TrainParams { target: "y".to_owned(), group: None, time: None, choice: Choice::Auto, seed: 0 };
        let path = folder.join("m.model");
        save(&path, &train(&table, &y, &params).unwrap()).unwrap();
        path
    }

    #[test]
    fn what_was_written_is_read_and_damage_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let path = saved(folder.path());
        let loaded = load(&path).unwrap();
        assert_eq!((loaded.version, loaded.digest.len()), (VERSION, 64));
        let good = std::fs::read(&path).unwrap();
        let mut flipped = good.clone();
        *flipped.last_mut().unwrap() ^= 1;
        let text = String::from_utf8_lossy(good.split(|b| *b == b'\n').next().unwrap()).into_owned();
        let later = [text.replace(&format!("\"version\":{VERSION}"), "\"version\":99").as_bytes(), b"\nx"].concat();
        for (bytes, expected) in [
            (flipped, "the model is damaged"),
            (good[..good.len() / 2].to_vec(), "the model is damaged"),
            (later, "format version 99, this paceline reads 2"),
            (b"PAR1".to_vec(), "this is no model"),
            (b"{}\n".to_vec(), "this is no model"),
            (Vec::new(), "this is no model"),
        ] {
            std::fs::write(&path, bytes).unwrap();
            let error = load(&path).unwrap_err();
            assert_eq!(error.exit_code(), 4);
            assert!(error.to_string().contains(expected), "{error}");
        }
        assert_eq!(load(&folder.path().join("none")).unwrap_err().exit_code(), 4);
    }
}
