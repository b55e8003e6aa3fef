//! A folder with one table in it, for commands that take any.

/// Gone with everything in it when dropped.
pub(crate) struct Folder(tempfile::TempDir);

impl Folder {
    /// With `text` as `in.csv`.
    pub(crate) fn new(text: &str) -> Self {
        let folder = Self(tempfile::tempdir().unwrap());
        std::fs::write(folder.path("in.csv"), text).unwrap();
        folder
    }

    pub(crate) fn path(&self, name: &str) -> String {
        self.0.path().join(name).to_str().unwrap().to_owned()
    }
}
