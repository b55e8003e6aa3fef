//! Which files a source names, and their bytes.

use crate::error::{Error, Result};
use crate::io::Store;
use bytes::Bytes;
use std::path::{Path, PathBuf};

/// Folders nested deeper than this are taken for a loop of links.
const MAX_DEPTH: usize = 32;

/// A file of a source.
#[derive(Debug, Clone)]
pub struct SourceFile {
    /// As the caller wrote it, for messages and for the ids that it gives.
    pub name: String,
    place: Place,
}

#[derive(Debug, Clone)]
enum Place {
    Local(PathBuf),
    Remote { store: Store, path: String },
}

impl SourceFile {
    /// The bytes, or why that file can't be had.
    ///
    /// # Errors
    /// When a store fails; a local file that can't be read is the inner error.
    pub async fn read(&self) -> Result<std::result::Result<Bytes, String>> {
        match &self.place {
            Place::Local(path) => {
                Ok(std::fs::read(path).map(Bytes::from).map_err(|error| format!("can't be read: {error}")))
            }
            Place::Remote { store, path } => Ok(store.get(path).await?.ok_or_else(|| "is gone".to_owned())),
        }
    }
}

/// The files that `location` names: one file, all below a folder whose name ends in one of `endings`, or all that a glob
/// (`*` and `?` within a name, `**` over folders) matches; sorted by name. Names that start with `.` or `_` are passed
/// over unless they are named in full.
///
/// # Errors
/// [`Error::Input`] when there is no such file or folder; the store's own error when it can't be listed. A glob that
/// matches nothing gives no files.
pub async fn find(location: &str, endings: &[&str]) -> Result<Vec<SourceFile>> {
    let mut files = match location.strip_prefix("file://").or_else(|| location.strip_prefix("file:")) {
        Some(path) => find_local(path, endings)?,
        None if location.contains("://") => find_remote(location, endings).await?,
        None => find_local(location, endings)?,
    };
    files.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(files)
}

fn find_local(location: &str, endings: &[&str]) -> Result<Vec<SourceFile>> {
    let path = Path::new(location);
    if path.is_file() {
        return Ok(vec![local(path.to_owned())]);
    }
    if path.is_dir() {
        let files = walk(path, 0)?.into_iter().filter(|file| has_ending(&file.to_string_lossy(), endings));
        return Ok(files.map(local).collect());
    }
    let (base, pattern) = split_glob(location);
    if pattern.is_empty() {
        return Err(Error::Input(format!("{location:?}: no such file or folder; check the path")));
    }
    let root = Path::new(if base.is_empty() { "." } else { base });
    if !root.is_dir() {
        return Err(Error::Input(format!("{location:?}: no such folder as {base:?}; check the path")));
    }
    let files = walk(root, 0)?.into_iter().filter(|file| {
        file.strip_prefix(root).is_ok_and(|below| matches(pattern, &below.to_string_lossy().replace('\\', "/")))
    });
    Ok(files
        .map(|file| local(if base.is_empty() { file.strip_prefix(".").unwrap_or(&file).to_owned() } else { file }))
        .collect())
}

fn local(path: PathBuf) -> SourceFile {
    SourceFile { name: path.to_string_lossy().into_owned(), place: Place::Local(path) }
}

fn walk(folder: &Path, depth: usize) -> Result<Vec<PathBuf>> {
    let failed = |source| Error::Disk { action: "listing", path: folder.to_owned(), source };
    let mut files = Vec::new();
    if depth > MAX_DEPTH {
        return Ok(files);
    }
    for entry in std::fs::read_dir(folder).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let path = entry.path();
        if is_hidden(&entry.file_name().to_string_lossy()) {
            continue;
        }
        if path.is_dir() {
            files.extend(walk(&path, depth + 1)?);
        } else {
            files.push(path);
        }
    }
    Ok(files)
}

async fn find_remote(location: &str, endings: &[&str]) -> Result<Vec<SourceFile>> {
    let (base, pattern) = split_glob(location);
    let store = Store::open(base)?;
    let listed = store.list("").await?;
    let visible = |path: &str| !path.split('/').any(is_hidden);
    let below = listed.into_iter().map(|object| object.path).filter(|path| visible(path));
    let remote = |store: &Store, path: String| SourceFile {
        name: store.locate(&path),
        place: Place::Remote { store: store.clone(), path },
    };
    if !pattern.is_empty() {
        return Ok(below.filter(|path| matches(pattern, path)).map(|path| remote(&store, path)).collect());
    }
    let files: Vec<SourceFile> =
        below.filter(|path| has_ending(path, endings)).map(|path| remote(&store, path)).collect();
    let parent = location.trim_end_matches('/').rsplit_once('/').filter(|(parent, _)| !parent.ends_with('/'));
    match parent {
        Some((parent, name)) if files.is_empty() => {
            let store = Store::open(parent)?;
            Ok(store.get(name).await?.is_some().then(|| remote(&store, name.to_owned())).into_iter().collect())
        }
        _ => Ok(files),
    }
}

fn is_hidden(name: &str) -> bool {
    name.starts_with(['.', '_'])
}

fn has_ending(path: &str, endings: &[&str]) -> bool {
    let path = path.to_ascii_lowercase();
    endings.iter().any(|ending| path.ends_with(ending))
}

/// The folder before the first part with a wildcard, and the rest.
fn split_glob(location: &str) -> (&str, &str) {
    let Some(wildcard) = location.find(['*', '?']) else {
        return (location, "");
    };
    let start = location.get(..wildcard).and_then(|before| before.rfind('/')).map_or(0, |slash| slash + 1);
    (location.get(..start).unwrap_or_default(), location.get(start..).unwrap_or_default())
}

/// Whether a path with `/` between its parts matches a glob.
fn matches(pattern: &str, path: &str) -> bool {
    let pattern: Vec<&str> = pattern.split('/').collect();
    let path: Vec<&str> = path.split('/').collect();
    match_parts(&pattern, &path)
}

fn match_parts(pattern: &[&str], path: &[&str]) -> bool {
    match (pattern, path) {
        ([], []) => true,
        (["**", rest @ ..], _) => {
            (0..=path.len()).any(|skipped| match_parts(rest, path.get(skipped..).unwrap_or_default()))
        }
        ([part, rest @ ..], [name, names @ ..]) => {
            match_name(part.as_bytes(), name.as_bytes()) && match_parts(rest, names)
        }
        _ => false,
    }
}

/// Greedy with one step back to the last star: linear in all but contrived patterns.
fn match_name(pattern: &[u8], name: &[u8]) -> bool {
    let (mut at, mut seen, mut star) = (0, 0, None);
    while seen < name.len() {
        match pattern.get(at) {
            Some(b'*') => {
                star = Some((at, seen));
                at += 1;
            }
            Some(&letter) if letter == b'?' || name.get(seen) == Some(&letter) => (at, seen) = (at + 1, seen + 1),
            _ => match star {
                Some((back, from)) => {
                    star = Some((back, from + 1));
                    (at, seen) = (back + 1, from + 1);
                }
                None => return false,
            },
        }
    }
    pattern.get(at..).is_some_and(|rest| rest.iter().all(|&letter| letter == b'*'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn globs() {
        for (pattern, path, expected) in [
            ("*.txt", "a.txt", true),
            ("*.txt", "b/a.txt", false),
            ("**/*.txt", "a.txt", true),
            ("**/*.txt", "b/c/a.txt", true),
            ("*/trace_?.csv", "x/trace_1.csv", true),
            ("*/trace_?.csv", "x/trace_12.csv", false),
            ("a*b*c", "aXbXbc", true),
            ("a*b*c", "aXbX", false),
            ("*", "", true),
            ("?", "", false),
        ] {
            assert_eq!(matches(pattern, path), expected, "{pattern} {path}");
        }
    }

    #[test]
    fn a_glob_begins_below_its_last_plain_folder() {
        assert_eq!(split_glob("s3://b/t/*/x-*.txt"), ("s3://b/t/", "*/x-*.txt"));
        assert_eq!(split_glob("*.txt"), ("", "*.txt"));
        assert_eq!(split_glob("a/b.txt"), ("a/b.txt", ""));
    }
}
