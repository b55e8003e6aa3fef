//! A throw-away Postgres on a Unix socket in a temporary folder.

use std::fs;
use std::os::unix::fs::{MetadataExt, chown};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use tempfile::TempDir;

/// Stopped and removed when dropped.
pub(crate) struct Server {
    folder: TempDir,
    binaries: PathBuf,
    as_other_user: bool,
}

impl Server {
    /// None, with the reason printed, where no Postgres is installed.
    pub(crate) fn start() -> Option<Self> {
        let Some(binaries) = binaries() else {
            eprintln!("skipped: no Postgres (initdb, pg_ctl) in /usr/lib/postgresql or PATH");
            return None;
        };
        let folder = tempfile::Builder::new().prefix("paceline-pg").tempdir_in("/tmp").unwrap();
        // Postgres refuses to run as root.
        let as_other_user = fs::metadata(folder.path()).unwrap().uid() == 0;
        let server = Self { folder, binaries, as_other_user };
        if as_other_user {
            let Some((user, group)) = postgres_ids() else {
                eprintln!("skipped: running as root, and there is no user postgres to run the server as");
                return None;
            };
            chown(server.folder.path(), Some(user), Some(group)).unwrap();
        }
        let data = server.data();
        server.run("initdb", &["-D", &data, "-U", "paceline", "-A", "trust", "-E", "UTF8", "--no-sync"]);
        let socket = server.folder.path().display();
        let options = format!("-k {socket} -c listen_addresses='' -c fsync=off -c shared_buffers=16MB");
        let log = server.folder.path().join("log").display().to_string();
        server.run("pg_ctl", &["-D", &data, "-w", "-s", "-l", &log, "-o", &options, "start"]);
        Some(server)
    }

    /// The connection URL of its one database.
    pub(crate) fn url(&self) -> String {
        format!("postgres://paceline@{}/postgres", self.folder.path().display().to_string().replace('/', "%2F"))
    }

    fn data(&self) -> String {
        self.folder.path().join("data").display().to_string()
    }

    fn run(&self, program: &str, arguments: &[&str]) {
        let status = self.command(program).args(arguments).status().unwrap();
        assert!(status.success(), "{program} {arguments:?}: {status}");
    }

    fn command(&self, program: &str) -> Command {
        let program = self.binaries.join(program);
        let mut command = if self.as_other_user {
            let mut command = Command::new("setpriv");
            command.args(["--reuid", "postgres", "--regid", "postgres", "--clear-groups"]).arg(program);
            command
        } else {
            Command::new(program)
        };
        command.current_dir("/tmp").stdin(Stdio::null()).stdout(Stdio::null());
        command
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.command("pg_ctl").args(["-D", &self.data(), "-w", "-s", "-m", "immediate", "stop"]).status();
    }
}

fn binaries() -> Option<PathBuf> {
    let mut candidates: Vec<PathBuf> = fs::read_dir("/usr/lib/postgresql")
        .map(|versions| versions.flatten().map(|version| version.path().join("bin")).collect())
        .unwrap_or_default();
    candidates.sort();
    candidates.reverse();
    let path = std::env::var_os("PATH").unwrap_or_default();
    candidates.extend(std::env::split_paths(&path));
    let complete = |folder: &Path| ["initdb", "pg_ctl", "postgres"].iter().all(|name| folder.join(name).is_file());
    candidates.into_iter().find(|folder| complete(folder))
}

fn postgres_ids() -> Option<(u32, u32)> {
    let id = |flag: &str| {
        let output = Command::new("id").args([flag, "postgres"]).output().ok()?;
        String::from_utf8(output.stdout).ok()?.trim().parse().ok()
    };
    Some((id("-u")?, id("-g")?))
}
