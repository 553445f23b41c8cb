//! Which programs the mesh consists of: topology → names, command lines,
//! folders. Pure.

use std::ffi::OsString;
use std::net::SocketAddrV4;
use std::path::{Path, PathBuf};

use super::isolation::Isolation;
use super::tools::Tools;
use crate::topology::{Cluster, ECHO_ADMIN_PORT, Pod, Role, SERVICE_PORT, Topology};

/// What kind of program it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// An Envoy: a gateway or a sidecar.
    Envoy,
    /// An echo.
    Echo,
}

/// One program of the mesh, and how to start it.
#[derive(Clone, Debug)]
pub struct Program {
    /// Its name: `gke1/echo2 app`, `gke1/echo2 sidecar`, `gke1/eastwestgateway`.
    pub name: String,
    /// Its kind.
    pub kind: Kind,
    /// Its cluster's name.
    pub cluster: String,
    /// Its pod's label.
    pub pod: String,
    /// Where it takes requests.
    pub listens: SocketAddrV4,
    /// Where its admin interface is.
    pub admin: SocketAddrV4,
    /// The folder of its pod's files.
    pub folder: PathBuf,
    /// Its log.
    pub log: PathBuf,
    /// The network namespace that it runs in, if not in this process's: what leads there.
    pub(crate) namespace: Option<PathBuf>,
    pub(crate) executable: PathBuf,
    pub(crate) args: Vec<OsString>,
    pub(crate) env: Vec<(&'static str, String)>,
}

impl Program {
    /// Lets it run where its pod is.
    pub(crate) fn put_into(&mut self, isolation: &Isolation) {
        self.namespace = Some(isolation.path(*self.listens.ip()).to_owned());
    }
}

/// All programs of the mesh; `dir` is the folder of all files.
pub(crate) fn programs(topology: &Topology, tools: &Tools, dir: &Path) -> Vec<Program> {
    let mut programs = Vec::new();
    for cluster in &topology.clusters {
        for pod in &cluster.pods {
            programs.extend(of_pod(topology, cluster, pod, tools, dir));
        }
    }
    programs
}

/// The programs of one pod.
pub(crate) fn of_pod(
    topology: &Topology,
    cluster: &Cluster,
    pod: &Pod,
    tools: &Tools,
    dir: &Path,
) -> Vec<Program> {
    let envoy = envoy(topology, cluster, pod, tools, dir);
    envoy.into_iter().chain(echo(cluster, pod, tools, dir)).collect()
}

/// The folder of a pod's files.
pub(crate) fn folder(dir: &Path, cluster: &Cluster, pod: &Pod) -> PathBuf {
    dir.join(&cluster.name).join(&pod.label)
}

/// The file of an Envoy's bootstrap in its folder.
pub(crate) fn bootstrap_file(folder: &Path) -> PathBuf {
    folder.join("envoy.json")
}

fn envoy(
    topology: &Topology,
    cluster: &Cluster,
    pod: &Pod,
    tools: &Tools,
    dir: &Path,
) -> Option<Program> {
    let name = match pod.role {
        Role::Echo { behind_sidecar: None, .. } => return None,
        Role::Echo { .. } | Role::Client => format!("{}/{} sidecar", cluster.name, pod.label),
        Role::IngressGateway | Role::EastWestGateway => format!("{}/{}", cluster.name, pod.label),
    };
    let folder = folder(dir, cluster, pod);
    let mut args: Vec<OsString> = vec!["-c".into(), bootstrap_file(&folder).into()];
    // One worker: a second one would have connections and a balancer of its own.
    args.extend(["--disable-hot-restart", "--concurrency", "1"].map(Into::into));
    // As Istio's agent starts it: once asked to drain, every answer ends its connection.
    args.extend(["--drain-time-s", "45", "--drain-strategy", "immediate"].map(Into::into));
    // Access logs come at once; Envoy's default is 10 s.
    args.extend(["--file-flush-interval-msec", "50", "--log-level", "info"].map(Into::into));
    Some(Program {
        name,
        kind: Kind::Envoy,
        cluster: cluster.name.clone(),
        pod: pod.label.clone(),
        listens: pod.listens(topology.ingress_port),
        admin: pod.envoy_admin(),
        log: folder.join("envoy.log"),
        folder,
        namespace: None,
        executable: tools.envoy.path.clone(),
        args,
        env: Vec::new(),
    })
}

fn echo(cluster: &Cluster, pod: &Pod, tools: &Tools, dir: &Path) -> Option<Program> {
    let address = pod.app()?;
    let folder = folder(dir, cluster, pod);
    let flags = [
        ("--host", address.to_string()),
        ("--port", SERVICE_PORT.to_string()),
        ("--admin-port", ECHO_ADMIN_PORT.to_string()),
    ];
    Some(Program {
        name: format!("{}/{} app", cluster.name, pod.label),
        kind: Kind::Echo,
        cluster: cluster.name.clone(),
        pod: pod.label.clone(),
        listens: SocketAddrV4::new(address, SERVICE_PORT),
        admin: SocketAddrV4::new(address, ECHO_ADMIN_PORT),
        log: folder.join("echo.log"),
        folder,
        namespace: None,
        executable: tools.echo.clone(),
        args: flags.into_iter().flat_map(|(flag, value)| [flag.into(), value.into()]).collect(),
        env: vec![
            ("CLUSTER", cluster.name.clone()),
            ("POD_NAME", pod.name.clone()),
            ("POD_NAMESPACE", pod.namespace.clone()),
            ("NODE_NAME", format!("node1.{}", cluster.name)),
            ("REGION", pod.locality.region.clone()),
            ("ZONE", pod.locality.zone.clone()),
            ("NETWORK", cluster.network.clone()),
            ("VERSION", "v1".into()),
        ],
    })
}
