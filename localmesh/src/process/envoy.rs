//! Finds the Envoy program and reads its version. `envoy_config` makes its configuration.

use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::error::Error;

/// The version that the mesh was written for.
pub const EXPECTED_VERSION: &str = "1.40";
/// Where `make envoy` installs it, relative to the workspace.
pub const INSTALLED: &str = ".tools/envoy-1.40.0/envoy";

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Envoy {
    pub path: PathBuf,
    /// Such as `1.40.0`.
    pub version: String,
}

impl Envoy {
    /// Finds Envoy: `asked` (a flag), `$ENVOY`, what `make envoy` installed below the current
    /// directory or a parent of the running program, `$PATH`.
    ///
    /// # Errors
    /// If Envoy is not found, or the first one found does not work.
    pub fn find(asked: Option<&Path>) -> Result<Self, Error> {
        let named = std::env::var_os("ENVOY").filter(|name| !name.is_empty());
        if let Some(path) = asked.map(Path::to_owned).or_else(|| named.map(PathBuf::from)) {
            if !path.is_file() {
                let wrong = if path.exists() { "is not a file" } else { "does not exist" };
                return Err(Error::NoEnvoy { looked: format!("{} {wrong}", path.display()) });
            }
            return Self::at(path);
        }
        let path = installed().or_else(on_path).ok_or_else(|| Error::NoEnvoy {
            looked: format!("neither {INSTALLED} nor `envoy` on PATH"),
        })?;
        Self::at(path)
    }

    /// A warning if the version is not the expected one.
    #[must_use]
    pub fn warning(&self) -> Option<String> {
        let expected = self.version.strip_prefix(EXPECTED_VERSION);
        let same = expected.is_some_and(|rest| rest.is_empty() || rest.starts_with('.'));
        (!same).then(|| {
            format!(
                "{} is Envoy {}; localmesh is tested with {EXPECTED_VERSION} (run `make envoy`)",
                self.path.display(),
                self.version
            )
        })
    }

    fn at(path: PathBuf) -> Result<Self, Error> {
        // A name without '/' would be looked up in PATH.
        let program = std::path::absolute(&path).unwrap_or_else(|_| path.clone());
        let ran = Command::new(&program).arg("--version").stdin(Stdio::null()).output();
        let said = match ran {
            Ok(output) => String::from_utf8_lossy(&output.stdout).into_owned(),
            Err(error) => return Err(Error::NotEnvoy { path, said: why_not_run(&error) }),
        };
        match version(&said) {
            Some(version) => Ok(Self { version: version.to_owned(), path: program }),
            None => {
                let first = said.lines().find(|line| !line.trim().is_empty());
                let said = format!("--version prints {:?}", first.unwrap_or_default());
                Err(Error::NotEnvoy { path, said })
            }
        }
    }
}

/// Why the system does not run a file that exists.
fn why_not_run(error: &io::Error) -> String {
    /// The error of a file that is neither a program of this machine nor a script.
    const ENOEXEC: i32 = 8;
    match (error.kind(), error.raw_os_error()) {
        (_, Some(ENOEXEC)) => "it is not a program for this machine".into(),
        (io::ErrorKind::PermissionDenied, _) => "it is not executable".into(),
        (io::ErrorKind::NotFound, _) => "the interpreter or loader that it names is missing".into(),
        _ => usage::system_error(error),
    }
}

/// Reads `…/envoy  version: <commit>/1.40.0/Clean/RELEASE/BoringSSL`.
fn version(said: &str) -> Option<&str> {
    let (_, build) = said.split_once("version: ")?;
    let version = build.split('/').nth(1)?.trim();
    version.starts_with(|c: char| c.is_ascii_digit()).then_some(version)
}

fn installed() -> Option<PathBuf> {
    let here = std::env::current_dir().ok().map(|dir| dir.join(INSTALLED));
    let program = std::env::current_exe().ok();
    let above = program.iter().flat_map(|program| program.ancestors().skip(1));
    here.into_iter().chain(above.map(|dir| dir.join(INSTALLED))).find(|path| path.is_file())
}

fn on_path() -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|dir| dir.join("envoy")).find(|path| path.is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_does_not_run_is_refused_in_our_words() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("envoy");
        for (content, mode, part) in [
            ("hello\n", 0o644, "it is not executable"),
            ("#!/no/such/shell\n", 0o755, "interpreter or loader that it names is missing"),
            ("\u{7f}ELF\n", 0o755, "not a program for this machine"),
        ] {
            std::fs::write(&file, content).unwrap();
            std::fs::set_permissions(&file, std::fs::Permissions::from_mode(mode)).unwrap();
            let said = Envoy::find(Some(&file)).unwrap_err().to_string();
            assert!(said.contains(part), "{content:?}: {said}");
        }
        let said = Envoy::find(Some(folder.path())).unwrap_err().to_string();
        assert!(said.contains("is not a file"), "{said}");
    }

    #[test]
    fn the_version_is_read_and_judged() {
        let said = "\nenvoy  version: 9e5580/1.40.0/Clean/RELEASE/BoringSSL\n";
        assert_eq!(version(said), Some("1.40.0"));
        assert_eq!(version("envoy version: none"), None);
        assert_eq!(version("hello"), None);
        let envoy = |version: &str| Envoy { path: "envoy".into(), version: version.into() };
        assert_eq!(envoy("1.40.0").warning(), None);
        assert_eq!(envoy("1.40.7-dev").warning(), None);
        assert!(envoy("1.4.0").warning().is_some());
        assert!(envoy("1.400.0").warning().is_some());
    }
}
