//! One conformance suite for every kind of store: the local disk, and S3 over the network (a real server on loopback).

use paceline::io::{FetchError, Object, Store};
use paceline::publish::{self, ledger};
use paceline::tables::published::RejectRow;
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use tempfile::TempDir;

/// An S3 server (moto) with an empty bucket; ends when dropped.
pub(crate) struct S3 {
    process: Child,
    address: String,
}

impl S3 {
    /// None, with the reason printed, where there is no `moto_server` (`pip install 'moto[server,s3]'`).
    pub(crate) fn start() -> Option<Self> {
        let Some(program) = moto_server() else {
            eprintln!("skipped: no moto_server in PATH or PACELINE_MOTO_SERVER");
            return None;
        };
        let mut process = Command::new(program)
            .args(["-H", "127.0.0.1", "-p", "0"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut log = BufReader::new(process.stderr.take().unwrap()).lines().map_while(Result::ok);
        let address = log.find_map(|line| Some(line.split_once("http://")?.1.trim().to_owned())).unwrap();
        // The server writes a line a request, and must not find its pipe full.
        std::thread::spawn(move || log.for_each(drop));
        let server = Self { process, address };
        server.create_bucket();
        Some(server)
    }

    fn create_bucket(&self) {
        let mut socket = TcpStream::connect(&self.address).unwrap();
        let request =
            format!("PUT /bucket HTTP/1.1\r\nHost: {}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n", self.address);
        socket.write_all(request.as_bytes()).unwrap();
        let mut response = String::new();
        socket.read_to_string(&mut response).unwrap();
        assert!(response.starts_with("HTTP/1.1 200"), "{response}");
    }

    /// What leads to the server, by the names that the environment uses, too.
    pub(crate) fn options(&self) -> [(String, String); 5] {
        let endpoint = format!("http://{}", self.address);
        let options = [
            ("aws_endpoint_url", endpoint.as_str()),
            ("aws_allow_http", "true"),
            ("aws_access_key_id", "conformance"),
            ("aws_secret_access_key", "not-a-secret"),
            ("aws_region", "us-east-1"),
        ];
        options.map(|(key, value)| (key.to_owned(), value.to_owned()))
    }

    fn store(&self) -> Store {
        Store::open_with("s3://bucket/some/prefix", self.options()).unwrap()
    }
}

impl Drop for S3 {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn moto_server() -> Option<PathBuf> {
    let named = std::env::var_os("PACELINE_MOTO_SERVER").map(PathBuf::from);
    let path = std::env::var_os("PATH").unwrap_or_default();
    let in_path = std::env::split_paths(&path).map(|folder| folder.join("moto_server"));
    named.into_iter().chain(in_path).find(|program| program.is_file())
}

fn file_store(folder: &TempDir) -> Store {
    Store::open(folder.path().join("results").to_str().unwrap()).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn local_disk_conforms() {
    let folder = tempfile::tempdir().unwrap();
    conforms(&file_store(&folder)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn s3_conforms() {
    let Some(server) = S3::start() else { return };
    conforms(&server.store()).await;
}

async fn conforms(store: &Store) {
    objects_are_put_and_got(store).await;
    what_is_there_is_not_created_again(store).await;
    names_come_back_as_they_are(store).await;
    only_columns_that_are_needed_are_fetched(store).await;
    damaged_files_are_told_from_a_broken_store(store).await;
    a_run_is_committed(store).await;
}

async fn objects_are_put_and_got(store: &Store) {
    assert_eq!(store.get("put/none").await.unwrap(), None);
    assert_eq!(store.head("put/none").await.unwrap(), None);
    store.put("put/b/2", "two").await.unwrap();
    store.put("put/a/1", "one").await.unwrap();
    store.put("put/a/1", "uno").await.unwrap();
    assert_eq!(store.get("put/a/1").await.unwrap().unwrap(), "uno");
    assert_eq!(store.head("put/a/1").await.unwrap().unwrap().size, 3);
    let listed: Vec<String> = store.list("put").await.unwrap().into_iter().map(|object| object.path).collect();
    assert_eq!(listed, ["put/a/1", "put/b/2"]);
    assert_eq!(store.folders("put").await.unwrap(), ["a", "b"]);
    store.delete("put/a/1").await.unwrap();
    store.delete("put/a/1").await.unwrap();
    assert_eq!(store.get("put/a/1").await.unwrap(), None);
}

async fn what_is_there_is_not_created_again(store: &Store) {
    assert!(store.put_if_absent("create/once", "mine").await.unwrap());
    assert!(!store.put_if_absent("create/once", "theirs").await.unwrap());
    assert_eq!(store.get("create/once").await.unwrap().unwrap(), "mine");
}

async fn names_come_back_as_they_are(store: &Store) {
    for name in ["names/a b.txt", "names/date=2026-01-02/ü.txt", "names/trace~1 (copy) [2].txt", "names/50%.txt"] {
        store.put(name, name.to_owned()).await.unwrap();
        let listed = store.list("names").await.unwrap();
        let object = listed.iter().find(|object| object.path == name);
        assert!(object.is_some(), "{name} beside {listed:?}");
        assert_eq!(store.get(name).await.unwrap().unwrap(), name);
        store.delete(name).await.unwrap();
    }
}

async fn only_columns_that_are_needed_are_fetched(store: &Store) {
    // Longer than what is read of any file's end at once.
    let value = |row: u64| blake3::hash(&row.to_le_bytes()).to_hex().to_string();
    let reject = |row| RejectRow { value: Some(value(row)), ..crate::publish::rejects().remove(0) };
    let whole = publish::parquet::write_rows((0..3000).map(reject).collect()).unwrap();
    store.put("columns/part.parquet", whole.clone()).await.unwrap();
    let object = store.head("columns/part.parquet").await.unwrap().unwrap();
    let fetched = store.fetch_columns(&object, &["reason", "no such column"]).await.unwrap();
    assert_eq!(fetched.bytes.len(), whole.len());
    assert!(fetched.bytes != whole, "all columns were fetched");
    let reasons = publish::parquet::read_table(fetched.bytes.clone());
    assert!(reasons.is_ok(), "its footer is whole");
    assert_eq!(store.parquet_metadata(&object).await.unwrap().file_metadata().num_rows(), 3000);
    let again = store.fetch_columns(&object, &["reason"]).await.unwrap();
    assert_eq!(fetched.digest, again.digest);
    assert_ne!(fetched.digest, store.fetch_columns(&object, &["file"]).await.unwrap().digest);
}

async fn damaged_files_are_told_from_a_broken_store(store: &Store) {
    let whole = publish::parquet::write_rows(crate::publish::rejects()).unwrap();
    let cut_off = whole[..whole.len() - 5].to_vec();
    let beheaded = whole[whole.len() / 2..].to_vec();
    let mut huge_footer = whole.clone();
    let at = huge_footer.len() - 8;
    huge_footer[at..at + 4].copy_from_slice(&u32::MAX.to_le_bytes());
    let mut scrambled = whole.clone();
    let at = scrambled.len() - 200;
    scrambled[at..at + 40].fill(0xff);
    let damaged: [(&str, Vec<u8>); 7] = [
        ("EMPTY", Vec::new()),
        ("CSV", b"a,b\n1,2\n3,4\n5,6\n".to_vec()),
        ("MAGIC_ONLY", b"PAR1PAR1".to_vec()),
        ("CUT_OFF", cut_off),
        ("BEHEADED", beheaded),
        ("HUGE_FOOTER", huge_footer),
        ("SCRAMBLED_FOOTER", scrambled),
    ];
    for (name, bytes) in damaged {
        store.put("damaged", bytes).await.unwrap();
        let object = store.head("damaged").await.unwrap().unwrap();
        let fetched = store.fetch_columns(&object, &["file", "reason"]).await;
        assert!(matches!(fetched, Err(FetchError::NotParquet(_))), "{name}: {fetched:?}");
    }
    let gone = Object { path: "no/such.parquet".to_owned(), size: 1000, tag: String::new() };
    assert!(matches!(store.fetch_columns(&gone, &["file"]).await, Err(FetchError::Store(_))));
}

async fn a_run_is_committed(store: &Store) {
    let batch = || crate::publish::batch("nightly", 1);
    let committed = publish::commit(store, None, batch()).await.unwrap();
    assert!(!committed.already && committed.behind.is_none());
    let verified = ledger::verify(store).await.unwrap();
    assert_eq!((verified.entries, verified.files), (1, batch().outputs.len()));
    assert!(publish::commit(store, None, batch()).await.unwrap().already);
    assert_eq!(ledger::verify(store).await.unwrap().entries, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn both_stores_publish_the_same_bytes() {
    let Some(server) = S3::start() else { return };
    let disk = tempfile::tempdir().unwrap();
    let mut published: Vec<BTreeMap<String, Vec<u8>>> = Vec::new();
    for store in [file_store(&disk), server.store()] {
        publish::commit(&store, None, crate::publish::batch("nightly", 1)).await.unwrap();
        published.push(crate::publish::snapshot(&store).await);
    }
    assert_eq!(published[0].keys().collect::<Vec<_>>(), published[1].keys().collect::<Vec<_>>());
    assert_eq!(published[0], published[1]);
}

#[tokio::test]
async fn locations_that_are_none_are_refused_without_their_secrets() {
    for location in ["ftp://user:hunter2@host/x", "s3://user:hunter2@/?token=hunter2", "http//user:hunter2@x://"] {
        let error = Store::open_with(location, []).map(|store| store.url().to_owned()).unwrap_err();
        assert_eq!(error.exit_code(), 2, "{location}");
        assert!(!error.to_string().contains("hunter2"), "{error}");
    }
}
