//! The walk on Kubernetes without a cluster: what is rendered is valid, and the commands come in
//! the right order. Stand-ins record what kubectl and istioctl are told.

mod manifests;
mod monitoring;
mod walk;

use std::ffi::OsStr;
use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Once;

use crate::harness::{Said, bin, finish, workspace};

/// The folder of what tools/install-kube-tools fetches, once it has.
fn kube_tools() -> PathBuf {
    static FETCHED: Once = Once::new();
    FETCHED.call_once(|| {
        let said = finish(&mut Command::new(workspace().join("tools/install-kube-tools")));
        assert_eq!(said.code, 0, "{}", said.stderr);
    });
    workspace().join(".tools/kube")
}

/// A folder for overlays below the workspace's, as walk wants it; it goes with the
/// value.
struct Overlays {
    relative: String,
}

impl Overlays {
    fn new() -> Self {
        let folder = workspace().join("target/k8s-tests");
        fs::create_dir_all(&folder).expect("target/ can be written");
        let folder = tempfile::tempdir_in(&folder).expect("target/ can be written").keep();
        let name = folder.file_name().expect("it has a name").to_string_lossy().into_owned();
        Self { relative: format!("target/k8s-tests/{name}") }
    }

    fn path(&self) -> PathBuf {
        workspace().join(&self.relative)
    }
}

impl Drop for Overlays {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(self.path());
    }
}

/// The program walk, or make, in the workspace; the environment holds `PATH` only.
fn program(program: &std::path::Path, path: &OsStr) -> Command {
    let mut command = Command::new(program);
    command.current_dir(workspace()).env_clear().env("PATH", path).env("LC_ALL", "C");
    command
}

/// Runs a step of the walk.
fn walk(overlays: &Overlays, path: &OsStr, arguments: &[&str]) -> Command {
    let mut command = program(&bin("walk"), path);
    command.args(arguments).arg(format!("--set=overlays={}", overlays.relative));
    command
}

/// Writes all overlays with these settings.
#[track_caller]
fn write_overlays(settings: &[&str]) -> Overlays {
    let overlays = Overlays::new();
    let path = std::env::var_os("PATH").expect("a PATH");
    let settings = settings.iter().map(|setting| format!("--set={setting}"));
    let said: Said = finish(walk(&overlays, &path, &["overlays"]).args(settings));
    assert_eq!(said.code, 0, "{said:?}");
    overlays
}
