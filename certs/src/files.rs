//! Writes files completely or not at all: under another name first, with their final mode,
//! then renamed. Keys are never readable by others.

use std::ffi::OsString;
use std::fs::{self, DirBuilder, File, Metadata, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Component, Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use rustix::fs::OFlags;

use crate::error::Error;

/// The four files of Istio's secret `cacerts`.
pub(crate) const CA_CERT: &str = "ca-cert.pem";
/// The authority's private key.
pub(crate) const CA_KEY: &str = "ca-key.pem";
/// The shared root, in each cluster's directory and beside them.
pub(crate) const ROOT_CERT: &str = "root-cert.pem";
/// The authority's certificate, then its issuers up to the root.
pub(crate) const CERT_CHAIN: &str = "cert-chain.pem";
/// All of them, the key first.
pub(crate) const CLUSTER_FILES: [&str; 4] = [CA_KEY, CA_CERT, ROOT_CERT, CERT_CHAIN];
/// The root's private key, beside the clusters' directories.
pub(crate) const ROOT_KEY: &str = "root-key.pem";
/// The private key of a workload.
pub(crate) const WORKLOAD_KEY: &str = "key.pem";

/// The prefix of temporary directories.
const STAGING: &str = ".certs-new-";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A private key: mode 0600.
    Secret,
    /// A certificate: mode 0644, less the umask.
    Public,
}

/// The largest file that is read, in bytes: thousands of certificates.
const MAX_FILE: u64 = 4 << 20;
/// The most links that Linux follows.
const MOST_LINKS: usize = 40;

/// Reads a file of certificates, which may be a pipe.
pub(crate) fn read(path: &Path) -> Result<Vec<u8>, Error> {
    usage::file::read(path, MAX_FILE).map_err(|reason| failed(path, reason))
}

fn failed(path: &Path, reason: io::Error) -> Error {
    match reason.kind() {
        io::ErrorKind::FileTooLarge => Error::TooLong { path: path.into(), most: MAX_FILE },
        _ => Error::Read { path: path.into(), reason },
    }
}

/// Reads a private key; refused if anybody but its owner may read it or put another in its place. What
/// is checked is what is read: the file is opened once.
pub(crate) fn read_secret(path: &Path) -> Result<Vec<u8>, Error> {
    check_way(path)?;
    let unreadable = |reason| Error::Read { path: path.into(), reason };
    // Without this flag, opening a pipe waits for its writer.
    let flags = OFlags::NONBLOCK.bits().cast_signed();
    let opened = OpenOptions::new().read(true).custom_flags(flags).open(path);
    let file = opened.map_err(unreadable)?;
    check_mode(path, &file.metadata().map_err(unreadable)?)?;
    usage::file::read_all(file, MAX_FILE).map_err(|reason| failed(path, reason))
}

/// Checks who may read a private key that is not needed, and perhaps cannot be read. Links are followed,
/// as in volumes of Kubernetes.
pub(crate) fn check_secret(path: &Path) -> Result<(), Error> {
    check_way(path)?;
    let found = fs::metadata(path).map_err(|reason| Error::Read { path: path.into(), reason })?;
    check_mode(path, &found)
}

fn check_mode(path: &Path, found: &Metadata) -> Result<(), Error> {
    if !found.is_file() {
        return Err(Error::NotAFile { path: path.into() });
    }
    let mode = found.permissions().mode() & 0o777;
    if mode & 0o077 != 0 {
        return Err(Error::OpenKey { path: path.into(), mode });
    }
    Ok(())
}

/// Refuses a directory in which anybody could replace a key, or one of those above it.
pub(crate) fn check_folder(dir: &Path) -> Result<(), Error> {
    // A name in it, which need not exist.
    check_way(&dir.join(ROOT_KEY))
}

/// Checks each directory in which a name is looked up on the way to a file, from the root on, also those
/// of links. A group that may write is trusted: many systems have one per user. In a sticky directory,
/// such as /tmp, only owners replace files.
fn check_way(path: &Path) -> Result<(), Error> {
    let unreadable = |reason| Error::Read { path: path.into(), reason };
    let whole = std::path::absolute(path).map_err(unreadable)?;
    let mut names = components(&whole);
    let mut dir = PathBuf::from("/");
    let mut links = 0;
    while let Some(name) = names.pop() {
        if name == ".." {
            dir.pop();
            continue;
        }
        if !check_own_mode(&dir)? {
            return Ok(());
        }
        let next = dir.join(name);
        match fs::read_link(&next) {
            Ok(_) if links == MOST_LINKS => return Ok(()),
            Ok(to) => {
                links += 1;
                if to.is_absolute() {
                    dir = PathBuf::from("/");
                }
                names.extend(components(&to));
            }
            // Not a link, or missing.
            Err(_) => dir = next,
        }
    }
    Ok(())
}

/// The names of a path, the last one first.
fn components(path: &Path) -> Vec<OsString> {
    let names = path
        .components()
        .rev()
        .filter(|name| matches!(name, Component::Normal(_) | Component::ParentDir));
    names.map(|name| name.as_os_str().to_owned()).collect()
}

/// Whether the directory can be reached. If not, who uses the path is told why.
fn check_own_mode(dir: &Path) -> Result<bool, Error> {
    let Ok(found) = fs::metadata(dir) else { return Ok(false) };
    let mode = found.permissions().mode() & 0o7777;
    if mode & 0o1002 == 0o002 {
        return Err(Error::OpenFolder { path: dir.into(), mode });
    }
    Ok(true)
}

/// Makes a directory for keys (mode 0700) and its parents. Existing ones are not changed, but refused if
/// anybody may write to them.
pub(crate) fn make_folder(dir: &Path) -> Result<(), Error> {
    check_folder(dir)?;
    DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(unwritable(dir))
}

/// Locks the directory against a second run until the returned file is closed. Waits for the
/// other run. Some file systems do not support locks.
pub(crate) fn lock(dir: &Path) -> Result<File, Error> {
    let folder = File::open(dir).map_err(unwritable(dir))?;
    let _ = folder.lock();
    Ok(folder)
}

/// Removes the unused keys that killed runs left in a locked directory.
pub(crate) fn sweep(dir: &Path) {
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        if entry.file_name().to_string_lossy().starts_with(STAGING) {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

/// Writes several files to a directory: all of them, or none if one fails.
pub(crate) fn write_together(dir: &Path, files: &[(&str, &str, Kind)]) -> Result<(), Error> {
    let staging = Staging::new(dir)?;
    for (name, text, kind) in files {
        staging.write(name, text, *kind)?;
    }
    staging.publish(files.iter().map(|(name, ..)| PathBuf::from(name)))
}

/// A hidden temporary directory inside another; deleted when dropped.
pub(crate) struct Staging {
    dir: PathBuf,
    path: PathBuf,
}

impl Staging {
    pub(crate) fn new(dir: &Path) -> Result<Self, Error> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let path = dir.join(format!("{STAGING}{}-{number}", std::process::id()));
        // A killed process with the same id may have left it.
        let _ = fs::remove_dir_all(&path);
        DirBuilder::new().mode(0o700).create(&path).map_err(unwritable(dir))?;
        Ok(Self { dir: dir.into(), path })
    }

    /// Makes a directory in it (mode 0700).
    pub(crate) fn folder(&self, name: &str) -> Result<(), Error> {
        let made = DirBuilder::new().mode(0o700).create(self.path.join(name));
        made.map_err(unwritable(&self.dir.join(name)))
    }

    /// Writes a file to it and syncs it to the disk.
    pub(crate) fn write(&self, name: &str, text: &str, kind: Kind) -> Result<(), Error> {
        let mode = if kind == Kind::Secret { 0o600 } else { 0o644 };
        let write = || -> io::Result<()> {
            let mut options = OpenOptions::new();
            options.write(true).create_new(true).mode(mode);
            let mut file = options.open(self.path.join(name))?;
            file.write_all(text.as_bytes())?;
            file.sync_all()
        };
        write().map_err(unwritable(&self.dir.join(name)))
    }

    /// Moves files or directories to their final places, in the given order.
    /// If one fails, the earlier ones are moved back and what they replaced is restored.
    pub(crate) fn publish(self, names: impl IntoIterator<Item = PathBuf>) -> Result<(), Error> {
        let mut undo: Vec<(PathBuf, PathBuf)> = Vec::new();
        for (number, name) in names.into_iter().enumerate() {
            let (from, to) = (self.path.join(&name), self.dir.join(&name));
            let aside = self.path.join(format!(".old-{number}"));
            let result = match fs::rename(&to, &aside) {
                Ok(()) => {
                    undo.push((aside, to.clone()));
                    fs::rename(&from, &to)
                }
                Err(error) if error.kind() == io::ErrorKind::NotFound => fs::rename(&from, &to),
                Err(error) => Err(error),
            };
            if let Err(reason) = result {
                for (from, to) in undo.into_iter().rev() {
                    let _ = fs::rename(from, to);
                }
                return Err(Error::Write { path: to, reason });
            }
            undo.push((to, from));
        }
        Ok(())
    }
}

impl Drop for Staging {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.path);
    }
}

/// Turns an error of the system into one that names the path.
pub(crate) fn unwritable(path: &Path) -> impl FnOnce(io::Error) -> Error {
    let path = path.to_owned();
    move |reason| Error::Write { path, reason }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn secrets_are_for_the_owner_only_and_nothing_else_is_left() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("a/b");
        make_folder(&folder).unwrap();
        assert_eq!(mode(&folder), 0o700);
        write_together(&folder, &[("k", "1", Kind::Secret), ("c", "2", Kind::Public)]).unwrap();
        assert_eq!(mode(&folder.join("k")), 0o600);
        assert_eq!(mode(&folder.join("c")) & 0o644, 0o644);
        assert_eq!(fs::read_dir(&folder).unwrap().count(), 2);
    }

    #[test]
    fn a_failure_while_renaming_is_undone() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("a"), "old").unwrap();
        let staging = Staging::new(dir.path()).unwrap();
        staging.write("a", "new", Kind::Public).unwrap();
        staging.write("b", "new", Kind::Public).unwrap();
        assert!(staging.publish(["a", "b", "absent"].map(PathBuf::from)).is_err());
        assert_eq!(fs::read_to_string(dir.path().join("a")).unwrap(), "old");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn what_a_killed_run_left_is_swept() {
        let dir = tempfile::tempdir().unwrap();
        std::mem::forget(Staging::new(dir.path()).unwrap());
        fs::write(dir.path().join("kept"), "").unwrap();
        sweep(dir.path());
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_failure_changes_nothing() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("a"), "old").unwrap();
        let files = [("a", "new", Kind::Public), ("no/such/folder", "x", Kind::Public)];
        assert!(write_together(dir.path(), &files).is_err());
        assert_eq!(fs::read_to_string(dir.path().join("a")).unwrap(), "old");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }
}
