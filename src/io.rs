//! Where files lie: one object store and a prefix in it, whatever the URL scheme.

use crate::error::{Error, Result};
use bytes::Bytes;
use futures::TryStreamExt;
use object_store::path::{Path, PathPart};
use object_store::{GetOptions, GetRange, ObjectMeta, ObjectStore, ObjectStoreExt, PutMode, PutOptions, PutPayload};
use parquet::file::metadata::{ColumnChunkMetaData, ParquetMetaData, ParquetMetaDataReader};
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;
use url::Url;

/// Bytes read from the end of a Parquet file at first; most footers fit.
const FOOTER_GUESS: u64 = 64 * 1024;
/// Environment variables that may hold the options of a store start with one of these, in lower case.
const CLOUD_PREFIXES: [&str; 4] = ["aws_", "google_", "azure_", "allow_http"];

/// A folder in an object store. Paths given to its methods are relative to it.
#[derive(Debug, Clone)]
pub struct Store {
    inner: Arc<dyn ObjectStore>,
    prefix: Path,
    url: String,
    folder: Option<PathBuf>,
}

impl Store {
    /// Opens `file:///…`, a plain path (made if missing), `s3://…`, `gs://…` or `az://…`. Credentials, endpoint and
    /// region come from the environment by the names the cloud's own tools use.
    ///
    /// # Errors
    /// [`Error::Usage`] for a URL that no store understands; [`Error::Disk`] for a folder that can't be made.
    pub fn open(location: &str) -> Result<Self> {
        // Only names that belong to a cloud: a variable such as TOKEN or REGION would be read as an option, too.
        let ours = |key: &str| CLOUD_PREFIXES.iter().any(|prefix| key.starts_with(prefix));
        let environment = std::env::vars_os()
            .filter_map(|(key, value)| Some((key.into_string().ok()?.to_ascii_lowercase(), value.into_string().ok()?)));
        Self::open_with(location, environment.filter(|(key, _)| ours(key)))
    }

    /// Opens a location with options given by name (`aws_endpoint_url`, `aws_allow_http`, …) and none from the
    /// environment. Unknown names are passed over.
    ///
    /// # Errors
    /// As [`Store::open`].
    pub fn open_with(location: &str, options: impl IntoIterator<Item = (String, String)>) -> Result<Self> {
        let url = to_url(location)?;
        let folder = if url.scheme() == "file" { Some(made_folder(&url, location)?) } else { None };
        let (inner, prefix) = object_store::parse_url_opts(&url, options).map_err(|source| {
            let shown = redacted(&url);
            let why = source.to_string().replace(url.as_str(), &shown);
            Error::Usage(format!("{shown} is no location: {why}; write file:///…, s3://…, gs://… or az://…"))
        })?;
        Ok(Self { inner: Arc::from(inner), prefix, url: redacted(&url), folder })
    }

    /// The location as it may be shown: without user, password and query.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The folder on the local disk, none for stores elsewhere.
    #[must_use]
    pub fn folder(&self) -> Option<&std::path::Path> {
        self.folder.as_deref()
    }

    /// Where `path` lies, for messages.
    #[must_use]
    pub fn locate(&self, path: &str) -> String {
        format!("{}/{path}", self.url.trim_end_matches('/'))
    }

    fn full(&self, path: &str) -> Path {
        path.split('/').filter(|part| !part.is_empty()).fold(self.prefix.clone(), |at, part| at.join(as_is(part)))
    }

    fn relative(&self, path: &Path) -> String {
        path.prefix_match(&self.prefix).map_or_else(
            || path.to_string(),
            |parts| parts.map(|p| p.as_ref().to_owned()).collect::<Vec<_>>().join("/"),
        )
    }

    fn failed(&self, action: &'static str, path: &str, source: object_store::Error) -> Error {
        Error::Store { action, location: self.locate(path), source }
    }

    /// Every object below `folder`, sorted by path, with paths relative to this store.
    ///
    /// # Errors
    /// When the store can't be listed.
    pub async fn list(&self, folder: &str) -> Result<Vec<Object>> {
        let prefix = self.full(folder);
        let metas: Vec<ObjectMeta> =
            self.inner.list(Some(&prefix)).try_collect().await.map_err(|e| self.failed("listing", folder, e))?;
        let mut objects: Vec<Object> = metas
            .into_iter()
            .map(|meta| Object { path: self.relative(&meta.location), size: meta.size, tag: tag_of(&meta) })
            .collect();
        objects.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(objects)
    }

    /// The names of the folders right below `folder`, sorted.
    ///
    /// # Errors
    /// When the store can't be listed.
    pub async fn folders(&self, folder: &str) -> Result<Vec<String>> {
        let prefix = self.full(folder);
        let listed =
            self.inner.list_with_delimiter(Some(&prefix)).await.map_err(|e| self.failed("listing", folder, e))?;
        let mut names: Vec<String> =
            listed.common_prefixes.iter().filter_map(|p| p.filename().map(str::to_owned)).collect();
        names.sort();
        Ok(names)
    }

    /// Size and tag of an object, or none where there is no such object.
    ///
    /// # Errors
    /// For everything but absence.
    pub async fn head(&self, path: &str) -> Result<Option<Object>> {
        match self.inner.head(&self.full(path)).await {
            Ok(meta) => Ok(Some(Object { path: path.to_owned(), size: meta.size, tag: tag_of(&meta) })),
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(source) => Err(self.failed("reading", path, source)),
        }
    }

    /// The whole object, or none where there is no such object.
    ///
    /// # Errors
    /// For everything but absence.
    pub async fn get(&self, path: &str) -> Result<Option<Bytes>> {
        let read = async { self.inner.get(&self.full(path)).await?.bytes().await };
        match read.await {
            Ok(bytes) => Ok(Some(bytes)),
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(source) => Err(self.failed("reading", path, source)),
        }
    }

    /// Writes the whole object, replacing what was there, atomically.
    ///
    /// # Errors
    /// When the store can't be written.
    pub async fn put(&self, path: &str, bytes: impl Into<Bytes>) -> Result<()> {
        let payload = PutPayload::from_bytes(bytes.into());
        self.inner.put(&self.full(path), payload).await.map_err(|e| self.failed("writing", path, e))?;
        Ok(())
    }

    /// Writes the object unless there is one already; says whether it was written.
    ///
    /// # Errors
    /// When the store can't be written.
    pub async fn put_if_absent(&self, path: &str, bytes: impl Into<Bytes>) -> Result<bool> {
        let options = PutOptions { mode: PutMode::Create, ..PutOptions::default() };
        let payload = PutPayload::from_bytes(bytes.into());
        match self.inner.put_opts(&self.full(path), payload, options).await {
            Ok(_) => Ok(true),
            Err(object_store::Error::AlreadyExists { .. } | object_store::Error::Precondition { .. }) => Ok(false),
            Err(source) => Err(self.failed("writing", path, source)),
        }
    }

    /// Removes the object if it is there.
    ///
    /// # Errors
    /// When the store refuses.
    pub async fn delete(&self, path: &str) -> Result<()> {
        match self.inner.delete(&self.full(path)).await {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
            Err(source) => Err(self.failed("deleting", path, source)),
        }
    }

    async fn range(&self, path: &str, range: GetRange) -> Result<Bytes> {
        let options = GetOptions { range: Some(range), ..GetOptions::default() };
        let read = async { self.inner.get_opts(&self.full(path), options).await?.bytes().await };
        read.await.map_err(|e| self.failed("reading", path, e))
    }

    /// Reads the footer of a Parquet file.
    ///
    /// # Errors
    /// [`FetchError::NotParquet`] when the bytes are none; the store's error when they can't be had.
    pub async fn parquet_metadata(&self, object: &Object) -> std::result::Result<ParquetMetaData, FetchError> {
        let (tail, _) = self.parquet_tail(object).await?;
        parse_footer(&tail, object.size)
    }

    async fn parquet_tail(&self, object: &Object) -> std::result::Result<(Bytes, u64), FetchError> {
        if object.size < 12 {
            return Err(FetchError::NotParquet(format!(
                "the file has {} bytes; a Parquet file has 12 or more",
                object.size
            )));
        }
        let guess = FOOTER_GUESS.min(object.size);
        let tail = self.range(&object.path, GetRange::Suffix(guess)).await?;
        let needed = footer_length(&tail)?.saturating_add(8);
        if needed > object.size {
            return Err(FetchError::NotParquet(format!(
                "its footer claims {needed} bytes of {}: it is truncated",
                object.size
            )));
        }
        let tail = if needed > guess { self.range(&object.path, GetRange::Suffix(needed)).await? } else { tail };
        let start = object.size - tail.len() as u64;
        Ok((tail, start))
    }

    /// Reads of a Parquet file only its footer and the chunks of `columns` (top-level names; unknown ones are passed
    /// over). The bytes returned are as long as the file, zero where nothing was needed.
    ///
    /// # Errors
    /// [`FetchError::NotParquet`] when it is no Parquet file; the store's error when it can't be read.
    pub async fn fetch_columns(
        &self,
        object: &Object,
        columns: &[&str],
    ) -> std::result::Result<FetchedColumns, FetchError> {
        let (tail, tail_start) = self.parquet_tail(object).await?;
        let metadata = parse_footer(&tail, object.size)?;
        let ranges = chunk_ranges(&metadata, columns, object.size)?;
        let parts = self
            .inner
            .get_ranges(&self.full(&object.path), &ranges)
            .await
            .map_err(|e| self.failed("reading", &object.path, e))?;
        let mut hasher = blake3::Hasher::new();
        let mut bytes = vec![0_u8; position(object.size)];
        copy_into(&mut bytes, 0, b"PAR1");
        copy_into(&mut bytes, tail_start, &tail);
        hasher.update(&tail);
        for (range, part) in ranges.iter().zip(&parts) {
            copy_into(&mut bytes, range.start, part);
            hasher.update(part);
        }
        Ok(FetchedColumns { bytes: bytes.into(), digest: hasher.finalize().to_hex().to_string(), metadata })
    }
}

/// An object in a [`Store`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Object {
    /// Path relative to the store.
    pub path: String,
    /// Bytes.
    pub size: u64,
    /// Changes when the content does: the store's entity tag, or the time of the last change.
    pub tag: String,
}

/// What was read of a Parquet file.
#[derive(Debug)]
pub struct FetchedColumns {
    /// The file with holes.
    pub bytes: Bytes,
    /// blake3 of what was read.
    pub digest: String,
    /// Its footer.
    pub metadata: ParquetMetaData,
}

/// Why columns could not be had.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// The bytes are not those of a Parquet file: the file is at fault.
    #[error("not a readable Parquet file: {0}")]
    NotParquet(String),
    /// The store is at fault.
    #[error(transparent)]
    Store(#[from] Error),
}

/// A part of a path as it stands in the store: what was listed can be asked for again. Only what can't be a part
/// (`..`, control characters) is escaped.
fn as_is(part: &str) -> PathPart<'_> {
    PathPart::parse(part).unwrap_or_else(|_| PathPart::from(part))
}

fn to_url(location: &str) -> Result<Url> {
    if location.contains("://") {
        // What can't be parsed may hold a password all the same, so no message shows it.
        return Url::parse(location).map_err(|e| {
            Error::Usage(format!("the location is no URL: {e}; write file:///…, s3://…, gs://… or az://…"))
        });
    }
    let plain = location.strip_prefix("file:").unwrap_or(location);
    let path = std::path::absolute(plain).map_err(|e| Error::Usage(format!("{location:?} is no path: {e}")))?;
    Url::from_directory_path(&path).map_err(|()| Error::Usage(format!("{location:?} is no path that a URL can name")))
}

fn made_folder(url: &Url, location: &str) -> Result<PathBuf> {
    let path = url.to_file_path().map_err(|()| Error::Usage(format!("{location:?} is no local path")))?;
    match std::fs::create_dir_all(&path) {
        Ok(()) => Ok(path),
        Err(source) => Err(Error::Disk { action: "creating", path, source }),
    }
}

fn redacted(url: &Url) -> String {
    let mut shown = url.clone();
    // Both fail only for URLs that can hold no credentials, which then have nothing to hide.
    let _ = shown.set_username("");
    let _ = shown.set_password(None);
    shown.set_query(None);
    shown.to_string()
}

fn tag_of(meta: &ObjectMeta) -> String {
    meta.e_tag.clone().unwrap_or_else(|| meta.last_modified.to_rfc3339())
}

fn position(offset: u64) -> usize {
    usize::try_from(offset).unwrap_or(usize::MAX)
}

fn copy_into(bytes: &mut [u8], at: u64, part: &[u8]) {
    let at = position(at);
    if let Some(target) = bytes.get_mut(at..at.saturating_add(part.len())) {
        target.copy_from_slice(part);
    }
}

fn footer_length(tail: &[u8]) -> std::result::Result<u64, FetchError> {
    match tail.last_chunk::<8>() {
        Some([a, b, c, d, b'P', b'A', b'R', b'1']) => Ok(u64::from(u32::from_le_bytes([*a, *b, *c, *d]))),
        _ => Err(FetchError::NotParquet("it does not end in PAR1: it is truncated, or another format".to_owned())),
    }
}

fn parse_footer(tail: &Bytes, size: u64) -> std::result::Result<ParquetMetaData, FetchError> {
    let mut reader = ParquetMetaDataReader::new();
    reader.try_parse_sized(tail, size).map_err(|e| FetchError::NotParquet(e.to_string()))?;
    reader.finish().map_err(|e| FetchError::NotParquet(e.to_string()))
}

/// Where the chunks of `columns` lie.
fn chunk_ranges(
    metadata: &ParquetMetaData,
    columns: &[&str],
    size: u64,
) -> std::result::Result<Vec<Range<u64>>, FetchError> {
    let chunks = metadata.row_groups().iter().flat_map(|group| group.columns());
    chunks
        .filter(|chunk| chunk.column_path().parts().first().is_some_and(|root| columns.contains(&root.as_str())))
        .map(|chunk| {
            chunk_range(chunk).filter(|range| range.end <= size).ok_or_else(|| {
                FetchError::NotParquet(format!("column {} claims bytes beyond its end", chunk.column_path().string()))
            })
        })
        .collect()
}

/// The parquet crate's own `byte_range` panics on the negative offsets that a damaged footer may claim.
fn chunk_range(chunk: &ColumnChunkMetaData) -> Option<Range<u64>> {
    let start = u64::try_from(chunk.dictionary_page_offset().unwrap_or_else(|| chunk.data_page_offset())).ok()?;
    let length = u64::try_from(chunk.compressed_size()).ok()?;
    Some(start..start.checked_add(length)?)
}
