//! `certs` as people use it, with openssl as the second opinion.

mod generate;
mod permissions;
mod refusals;
mod usage;
mod workload;

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use crate::harness::{Said, finish};

const ID: &str = "spiffe://cluster.local/ns/istio-enabled/sa/echo2";

/// A folder for one test.
struct Room(TempDir);

impl Room {
    fn new() -> Self {
        Self(tempfile::tempdir().expect("a temporary folder"))
    }

    /// A room whose `out` holds clusters with quickly made keys.
    fn with(clusters: &[&str]) -> Self {
        let room = Self::new();
        room.generate(clusters, &[]).done();
        room
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn certs(&self, args: &[&str]) -> Said {
        let mut command = crate::harness::command("certs");
        finish(command.current_dir(self.0.path()).args(args))
    }

    fn generate(&self, clusters: &[&str], more: &[&str]) -> Said {
        let mut args = vec!["generate", "--out", "out", "--key", "ecdsa-p256"];
        clusters.iter().for_each(|cluster| args.extend(["--cluster", cluster]));
        args.extend(more);
        self.certs(&args)
    }

    fn workload(&self, more: &[&str]) -> Said {
        let mut args = vec!["workload", "--key", "ecdsa-p256"];
        args.extend(more);
        self.certs(&args)
    }

    fn openssl(&self, args: &str) -> Said {
        finish(Command::new("openssl").current_dir(self.0.path()).args(args.split_whitespace()))
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).expect("writes");
    }

    fn copy(&self, from: &str, to: &str) {
        fs::copy(self.path(from), self.path(to)).expect("copies");
    }

    fn remove(&self, name: &str) {
        fs::remove_file(self.path(name)).expect("removes");
    }

    /// Every file below `out`, its mode and bytes.
    fn contents(&self) -> BTreeMap<PathBuf, (u32, Vec<u8>)> {
        let mut found = BTreeMap::new();
        collect(&self.path("out"), &mut found);
        found
    }

    /// Asserts that a run is refused and leaves `out` as it is.
    #[track_caller]
    fn refuses(&self, said: impl FnOnce() -> Said, parts: &[&str]) {
        let before = self.contents();
        said().refused(parts);
        assert_eq!(self.contents(), before, "nothing may change");
    }
}

fn collect(dir: &Path, found: &mut BTreeMap<PathBuf, (u32, Vec<u8>)>) {
    for entry in fs::read_dir(dir).into_iter().flatten() {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            collect(&path, found);
        } else {
            let (mode, bytes) = (mode(&path), fs::read(&path).expect("reads"));
            found.insert(path, (mode, bytes));
        }
    }
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).expect("is there").permissions().mode() & 0o777
}

impl Said {
    /// Asserts success, and returns what was printed.
    #[track_caller]
    fn done(self) -> String {
        assert_eq!(self.code, 0, "{self:?}");
        self.stdout
    }
}
