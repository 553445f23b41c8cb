//! The programs of the mesh: topology → names, command lines, directories. Pure.

use std::ffi::OsString;
use std::net::SocketAddrV4;
use std::path::{Path, PathBuf};

use super::isolation::Isolation;
use super::tools::Tools;
use crate::topology::{Cluster, ECHO_ADMIN_PORT, Pod, Role, SERVICE_PORT, Topology};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A gateway or a sidecar.
    Envoy,
    Echo,
}

#[derive(Clone, Debug)]
pub struct Program {
    /// `gke1/echo2 app`, `gke1/echo2 sidecar`, `gke1/eastwestgateway`.
    pub name: String,
    pub kind: Kind,
    pub cluster: String,
    /// The pod's label.
    pub pod: String,
    pub listens: SocketAddrV4,
    /// The address of its admin interface.
    pub admin: SocketAddrV4,
    /// The directory of its pod's files.
    pub folder: PathBuf,
    pub log: PathBuf,
    /// The path of its network namespace; `None` for that of this process.
    pub(crate) namespace: Option<PathBuf>,
    pub(crate) executable: PathBuf,
    pub(crate) args: Vec<OsString>,
    pub(crate) env: Vec<(&'static str, String)>,
}

impl Program {
    /// Makes it run in its pod's network namespace.
    pub(crate) fn put_into(&mut self, isolation: &Isolation) {
        self.namespace = Some(isolation.path(*self.listens.ip()).to_owned());
    }
}

/// All programs of the mesh; `dir` is the directory of all files.
pub(crate) fn programs(topology: &Topology, tools: &Tools, dir: &Path) -> Vec<Program> {
    let mut programs = Vec::new();
    for cluster in &topology.clusters {
        for pod in &cluster.pods {
            programs.extend(of_pod(topology, cluster, pod, tools, dir));
        }
    }
    programs
}

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

/// The directory of a pod's files.
pub(crate) fn folder(dir: &Path, cluster: &Cluster, pod: &Pod) -> PathBuf {
    dir.join(&cluster.name).join(&pod.label)
}

/// The bootstrap file of an Envoy in its directory.
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
    // One worker thread: a second one would have its own connections and load balancer.
    args.extend(["--disable-hot-restart", "--concurrency", "1"].map(Into::into));
    // As Istio's agent does: during a drain, every response closes its connection.
    args.extend(["--drain-time-s", "45", "--drain-strategy", "immediate"].map(Into::into));
    // Writes access logs almost at once; Envoy's default is 10 s.
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
