//! The settings of the walk: a typed value, checked before anything runs. Pure, except [`read`].

mod file;

use std::io;
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};

/// Which resources make a gateway.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Api {
    Istio,
    /// The Gateway API of Kubernetes.
    Gateway,
}

/// How the ingress is reached from here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ingress {
    /// At the external address of its Service.
    Address,
    /// By its host name.
    Dns,
    /// Not at all.
    None,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Cluster {
    /// Its name in the mesh.
    pub(crate) name: String,
    /// Of kubectl.
    pub(crate) context: String,
    pub(crate) network: String,
    /// The host name of its ingress.
    pub(crate) host: String,
    /// Where its nodes are, if Kubernetes does not tell the pods.
    pub(crate) region: Option<String>,
    pub(crate) zone: Option<String>,
    /// Its API server as the other clusters reach it, if kubectl's address is another.
    pub(crate) api_server: Option<String>,
    /// The address of its ingress, if it is not to be asked of the cluster.
    pub(crate) ingress_ip: Option<String>,
}

/// What `walk load` does.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Load {
    /// In each cluster.
    pub(crate) pods: u32,
    /// Requests per second of all pods in all clusters.
    pub(crate) rate: f64,
    pub(crate) duration: String,
    pub(crate) target: String,
}

/// How images are built and pushed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Docker {
    /// The program, perhaps with words before its command.
    pub(crate) program: Vec<String>,
    /// Of `docker build`.
    pub(crate) flags: Vec<String>,
    /// Empty: the machine's own.
    pub(crate) platforms: String,
    /// The image of the builder, if it is not that of the Dockerfile.
    pub(crate) builder: Option<String>,
    pub(crate) tag: String,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Settings {
    /// The name of the file, for messages.
    pub(crate) file: String,
    pub(crate) clusters: Vec<Cluster>,
    pub(crate) mesh_id: String,
    pub(crate) echo_image: String,
    pub(crate) prober_image: String,
    /// A release such as `1.31`.
    pub(crate) istio_version: String,
    pub(crate) istio_revision: Option<String>,
    pub(crate) certs: PathBuf,
    /// Of the ingress.
    pub(crate) api: Api,
    pub(crate) east_west: Api,
    pub(crate) gateway_api_version: String,
    pub(crate) tls_secret: Option<String>,
    pub(crate) tls_cacert: Option<String>,
    pub(crate) outlier_detection: bool,
    pub(crate) strict_mtls: bool,
    pub(crate) images_pushed: bool,
    pub(crate) ingress: Ingress,
    pub(crate) load: Load,
    /// How long to wait for anything, in seconds.
    pub(crate) deadline: u64,
    /// Where overlays are written: below the current folder, for they name the bases in `k8s/`.
    pub(crate) overlays: PathBuf,
    pub(crate) docker: Docker,
}

impl Settings {
    /// The folder of an overlay of a cluster.
    pub(crate) fn overlay(&self, cluster: &Cluster, name: &str) -> PathBuf {
        self.overlays.join(&cluster.name).join(name)
    }

    /// The names of all clusters, with a text between them.
    pub(crate) fn names(&self, between: &str) -> String {
        let names: Vec<_> = self.clusters.iter().map(|cluster| cluster.name.as_str()).collect();
        names.join(between)
    }

    /// Each cluster with each other one.
    pub(crate) fn pairs(&self) -> impl Iterator<Item = (&Cluster, &Cluster)> {
        let others = |one| self.clusters.iter().filter(move |other| *other != one);
        self.clusters.iter().flat_map(move |one| others(one).map(move |other| (one, other)))
    }

    /// The name of istiod's Deployment.
    pub(crate) fn istiod(&self) -> String {
        match &self.istio_revision {
            Some(revision) => format!("istiod-{revision}"),
            None => "istiod".to_owned(),
        }
    }
}

/// Reads the settings file, with the settings of the command line over it (`KEY=VALUE` or
/// `CLUSTER.KEY=VALUE`).
///
/// # Errors
/// If the file cannot be read, or a setting is unknown or cannot be right.
pub(crate) fn read(path: &Path, set: &[String]) -> Result<Settings> {
    let name = path.display().to_string();
    if path.extension().is_some_and(|end| end == "mk") {
        let line = format!("{name}: settings are written in YAML now; see clusters.yaml");
        return Err(Error::ToCorrect(line));
    }
    let text = usage::file::read_text(path).map_err(|error| {
        let why = usage::system_error(&error);
        let advice = match error.kind() {
            io::ErrorKind::NotFound => {
                "; run this in the folder of the repository, or name another file with --settings"
            }
            _ => "",
        };
        Error::ToCorrect(format!("cannot read the settings {name}: {why}{advice}"))
    })?;
    file::parse(&name, &text, set).map_err(Error::ToCorrect)
}

#[cfg(test)]
pub(crate) fn sample(text: &str, set: &[&str]) -> Settings {
    let set: Vec<_> = set.iter().map(|&one| one.to_owned()).collect();
    file::parse("clusters.yaml", text, &set).expect("valid settings")
}
