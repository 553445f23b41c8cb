//! Files that appear whole or not at all, and keys that nobody else ever can
//! read: written beside under another name, with their mode from the start,
//! then renamed.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use crate::Error;

/// Who may read a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A private key: mode 0600.
    Secret,
    /// A certificate: mode 0644, less the umask.
    Public,
}

/// Reads a whole file.
pub(crate) fn read(path: &Path) -> Result<Vec<u8>, Error> {
    fs::read(path).map_err(|source| Error::Read { path: path.into(), source })
}

/// Makes a folder for keys, mode 0700, and those above it. One that is there is kept as it is.
pub(crate) fn make_folder(dir: &Path) -> Result<(), Error> {
    DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(unwritable(dir))
}

/// Locks a folder against a second run until the returned file is closed; waits.
pub(crate) fn lock(dir: &Path) -> Result<File, Error> {
    let folder = File::open(dir).map_err(unwritable(dir))?;
    folder.lock().map_err(unwritable(dir))?;
    Ok(folder)
}

/// Writes several files into a folder: first all of them under other names,
/// then renames them in the given order. On an error before the renames the
/// folder is as it was.
pub(crate) fn write_together(dir: &Path, files: &[(&str, &str, Kind)]) -> Result<(), Error> {
    let staging = Staging::new(dir)?;
    for (name, text, kind) in files {
        staging.write(name, text, *kind)?;
    }
    for (name, ..) in files {
        let to = dir.join(name);
        fs::rename(staging.path.join(name), &to).map_err(unwritable(&to))?;
    }
    Ok(())
}

/// A hidden folder inside another, for things half done; gone when dropped.
pub(crate) struct Staging {
    /// Where it is.
    pub(crate) path: PathBuf,
}

impl Staging {
    /// Makes one inside `dir`.
    pub(crate) fn new(dir: &Path) -> Result<Self, Error> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let path = dir.join(format!(".new-{}-{number}", std::process::id()));
        // What an interrupted process of the same id left.
        let _ = fs::remove_dir_all(&path);
        DirBuilder::new().mode(0o700).create(&path).map_err(unwritable(dir))?;
        Ok(Self { path })
    }

    /// Writes a file into it, to the disk.
    pub(crate) fn write(&self, name: &str, text: &str, kind: Kind) -> Result<(), Error> {
        let path = self.path.join(name);
        let mode = if kind == Kind::Secret { 0o600 } else { 0o644 };
        let write = || -> io::Result<()> {
            let mut file =
                OpenOptions::new().write(true).create_new(true).mode(mode).open(&path)?;
            file.write_all(text.as_bytes())?;
            file.sync_all()
        };
        write().map_err(unwritable(&path))
    }
}

impl Drop for Staging {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.path);
    }
}

/// Turns what the system said into an error that names the path.
pub(crate) fn unwritable(path: &Path) -> impl FnOnce(io::Error) -> Error {
    let path = path.to_owned();
    move |source| Error::Write { path, source }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

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
    fn a_failure_changes_nothing() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("a"), "old").unwrap();
        let files = [("a", "new", Kind::Public), ("no/such/folder", "x", Kind::Public)];
        assert!(write_together(dir.path(), &files).is_err());
        assert_eq!(fs::read_to_string(dir.path().join("a")).unwrap(), "old");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }
}
