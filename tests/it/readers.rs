//! What analysts read with: every published table in DuckDB, Polars and pandas, by `tests/readers.py`.

use paceline::io::Store;
use paceline::publish::{commit, dictionary};
use std::process::Command;

/// A Python that has all three; `PACELINE_PYTHON` names one that is not first in PATH.
pub(crate) fn python() -> Option<String> {
    let named = std::env::var("PACELINE_PYTHON").ok();
    let mut candidates = named.into_iter().chain(["python3".to_owned()]);
    let complete = |python: &String| {
        Command::new(python)
            .args(["-c", "import duckdb, pandas, polars, pyarrow"])
            .output()
            .is_ok_and(|o| o.status.success())
    };
    candidates.find(complete)
}

#[tokio::test]
async fn published_tables_read_in_duckdb_polars_and_pandas() {
    let Some(python) = python() else {
        eprintln!("skipped: no Python with duckdb, polars, pandas and pyarrow in PATH or PACELINE_PYTHON");
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path().to_str().unwrap()).unwrap();
    for day in [1, 2] {
        commit(&store, None, crate::publish::batch("nightly", day)).await.unwrap();
    }
    dictionary::write(&store).await.unwrap();
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/readers.py");
    let output = Command::new(python).arg(script).arg(folder.path()).output().unwrap();
    let report = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{report}{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(report.lines().count(), paceline::tables::published::TABLES.len(), "{report}");
}
