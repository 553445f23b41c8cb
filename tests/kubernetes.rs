//! The walk on Kubernetes without a cluster: what is rendered is valid, and the Makefile's
//! commands come in the right order. Stand-ins record what kubectl and istioctl are told.

mod manifests;
mod monitoring;
mod walk;

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Once;

use crate::harness::{Said, finish, workspace};

/// The folder of what tools/install-kube-tools fetches, once it has.
fn kube_tools() -> PathBuf {
    static FETCHED: Once = Once::new();
    FETCHED.call_once(|| {
        let said = finish(&mut Command::new(workspace().join("tools/install-kube-tools")));
        assert_eq!(said.code, 0, "{}", said.stderr);
    });
    workspace().join(".tools/kube")
}

/// A folder for overlays below the workspace's, as tools/k8s-overlay wants it; it goes with
/// the value.
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

/// Runs a target of the Makefile; settings stand on the command line.
fn make(overlays: &Overlays, path: &std::ffi::OsStr, settings: &[&str]) -> Command {
    let mut command = Command::new("make");
    command.current_dir(workspace()).env_clear().env("PATH", path).env("LC_ALL", "C");
    command.arg(format!("OVERLAYS={}", overlays.relative)).args(settings);
    command
}

/// Writes all overlays with these settings.
#[track_caller]
fn write_overlays(settings: &[&str]) -> Overlays {
    let overlays = Overlays::new();
    let path = std::env::var_os("PATH").expect("a PATH");
    let said: Said = finish(make(&overlays, &path, settings).arg("overlays"));
    assert_eq!(said.code, 0, "{said:?}");
    overlays
}
