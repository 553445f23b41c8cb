//! The files of the mesh and their directory. Files are replaced by rename: Envoy reloads a
//! file only then.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::authorities::Authorities;
use crate::envoy_config::{
    ConfigFile, bootstrap, certificate, certificate_file, dynamic, roots_file,
};
use crate::error::Error;
use crate::process::programs::{bootstrap_file, folder};
use crate::topology::{Cluster, Pod, Role, Topology};

/// The directory of a mesh's files. A temporary one is deleted when dropped.
#[derive(Debug)]
pub(crate) enum Folder {
    Temporary(tempfile::TempDir),
    /// Given by the user, and kept.
    Kept(PathBuf),
}

impl Folder {
    /// Makes the directory: `asked`, or a temporary one.
    pub(crate) fn make(asked: Option<&Path>, block: u8) -> Result<Self, Error> {
        let Some(asked) = asked else {
            let made = tempfile::Builder::new().prefix(&format!("localmesh-{block}-")).tempdir();
            return made.map(Self::Temporary).map_err(Error::file(std::env::temp_dir()));
        };
        make_folder(asked)?;
        Ok(Self::Kept(asked.canonicalize().map_err(Error::file(asked))?))
    }

    /// The absolute path.
    pub(crate) fn path(&self) -> &Path {
        match self {
            Self::Temporary(folder) => folder.path(),
            Self::Kept(path) => path,
        }
    }
}

/// The most bytes of a file that an Envoy watches: thousands of pods.
const MOST_CONFIG: u64 = 64 << 20;

/// Refuses a mesh whose Envoys watch more files than the kernel allows per user: each file
/// needs an inotify instance, and Envoy aborts without one.
pub(crate) fn check_watched(topology: &Topology) -> Result<(), Error> {
    let limit = fs::read_to_string("/proc/sys/fs/inotify/max_user_instances").ok();
    let limit = limit.and_then(|limit| limit.trim().parse().ok());
    match (watched(topology), limit) {
        (needed, Some(limit)) if needed > limit => Err(Error::Watched { needed, limit }),
        _ => Ok(()),
    }
}

/// The number of files that the Envoys watch: configuration and secrets.
fn watched(topology: &Topology) -> usize {
    let pods = topology.clusters.iter().flat_map(|cluster| {
        cluster.pods.iter().map(move |pod| {
            let told = dynamic(topology, cluster, pod, Path::new("")).len();
            told + usize::from(needs_secrets(pod))
        })
    });
    pods.sum()
}

/// Whether an Envoy watches the file of its certificate. An east-west gateway does not terminate TLS.
pub(crate) fn needs_secrets(pod: &Pod) -> bool {
    pod.has_envoy() && pod.role != Role::EastWestGateway
}

/// Writes everything that the Envoys read.
pub(crate) fn write_all(
    topology: &Topology,
    authorities: &Authorities,
    dir: &Path,
) -> Result<(), Error> {
    for cluster in &topology.clusters {
        for pod in &cluster.pods {
            write_pod(topology, authorities, cluster, pod, dir)?;
        }
    }
    Ok(())
}

/// Writes everything that the Envoy in `pod` reads.
pub(crate) fn write_pod(
    topology: &Topology,
    authorities: &Authorities,
    cluster: &Cluster,
    pod: &Pod,
    dir: &Path,
) -> Result<(), Error> {
    let folder = folder(dir, cluster, pod);
    make_folder(&folder)?;
    if let Some(config) = bootstrap(topology, cluster, pod, &folder) {
        write_json(&bootstrap_file(&folder), &config)?;
    }
    for file in dynamic(topology, cluster, pod, &folder) {
        write_json(&folder.join(&file.name), &file.content)?;
    }
    write_secrets(authorities, cluster, pod, dir)
}

/// Whether the file in `folder` is up to date. One that is too large is not.
pub(crate) fn holds(file: &ConfigFile, folder: &Path) -> bool {
    let bytes = usage::file::read(&folder.join(&file.name), MOST_CONFIG).ok();
    let old: Option<Value> = bytes.and_then(|bytes| serde_json::from_slice(&bytes).ok());
    old.as_ref() == Some(&file.content)
}

/// Replaces the files that are not up to date. Returns the prefixes of Envoy's update
/// statistics of those files.
pub(crate) fn write_changed(files: &[ConfigFile], folder: &Path) -> Result<Vec<String>, Error> {
    let differ = files.iter().filter(|file| !holds(file, folder));
    differ
        .map(|file| {
            write_json(&folder.join(&file.name), &file.content)?;
            Ok(file.statistics.clone())
        })
        .collect()
}

/// Writes new secrets for the Envoy in `pod`, if it needs any.
pub(crate) fn write_secrets(
    authorities: &Authorities,
    cluster: &Cluster,
    pod: &Pod,
    dir: &Path,
) -> Result<(), Error> {
    if !needs_secrets(pod) {
        return Ok(());
    }
    let folder = folder(dir, cluster, pod);
    let workload = authorities.issue(&cluster.name, pod)?;
    replace(&roots_file(&folder), workload.root_pem.as_bytes())?;
    write_json(&certificate_file(&folder), &certificate(&workload.chain_pem, &workload.key_pem))
}

fn write_json(path: &Path, content: &Value) -> Result<(), Error> {
    replace(path, format!("{content:#}\n").as_bytes())
}

/// Replaces a file by rename. Only its owner can read it, because some files hold keys.
pub(crate) fn replace(path: &Path, content: &[u8]) -> Result<(), Error> {
    let new = path.with_extension("new");
    let write = || {
        let mut options = fs::File::options();
        let mut file = options.write(true).create(true).truncate(true).mode(0o600).open(&new)?;
        file.write_all(content)?;
        fs::rename(&new, path)
    };
    write().map_err(Error::file(path))
}

fn make_folder(path: &Path) -> Result<(), Error> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(Error::file(path))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::topology::{DEFAULT_BLOCK, INGRESS_PORT, Shape};

    #[test]
    fn a_file_without_an_end_is_not_up_to_date() {
        let folder = tempfile::tempdir().unwrap();
        let file = ConfigFile {
            name: "a.json".into(),
            content: serde_json::json!({}),
            statistics: String::new(),
        };
        assert!(!holds(&file, folder.path()));
        write_json(&folder.path().join("a.json"), &file.content).unwrap();
        assert!(holds(&file, folder.path()));
        fs::remove_file(folder.path().join("a.json")).unwrap();
        std::os::unix::fs::symlink("/dev/zero", folder.path().join("a.json")).unwrap();
        assert!(!holds(&file, folder.path()));
    }

    #[test]
    fn every_file_that_an_envoy_watches_is_counted() {
        let mut shape = Shape::two_clusters();
        let count = |shape: &Shape| watched(&Topology::new(shape, DEFAULT_BLOCK, INGRESS_PORT));
        // A client and an ingress gateway: clusters, routes, two services, the certificate. An
        // east-west gateway: clusters, listener, one service. A server: clusters, listener, routes,
        // the certificate.
        assert_eq!(count(&shape), 2 * (5 + 5 + 3 + 4));
        shape.clusters[1].replicas = vec![1, 5];
        shape.clusters[1].east_west_gateways = 2;
        assert_eq!(count(&shape), 2 * (5 + 5 + 3 + 4) + 4 * 4 + 3);
    }
}
