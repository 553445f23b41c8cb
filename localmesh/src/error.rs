//! The errors of a mesh. Each is one line that says what to look at.

use std::io;
use std::net::SocketAddrV4;
use std::path::PathBuf;
use std::process::ExitStatus;
use std::time::Duration;

/// Why a mesh did not start or could not be changed. Each message is complete: no variant has
/// a `source`, which would be printed a second time.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("a mesh on 127.{block}.0.0/16 already runs{}; stop it or choose another --block", who(.pid))]
    Taken {
        block: u8,
        /// The process that runs it, if known.
        pid: Option<u32>,
    },
    /// Another program listens there, or a process of an earlier mesh.
    #[error("{address} is in use{}", held_by(.holder))]
    Busy {
        address: SocketAddrV4,
        /// The process that listens there, such as `envoy (pid 7)`, if known.
        holder: Option<String>,
    },
    #[error("cannot listen on {address}: {}", usage::why_not_listening(.reason))]
    Bind { address: SocketAddrV4, reason: io::Error },
    #[error("Envoy not found ({looked}); run `make envoy`, or give its path with --envoy")]
    NoEnvoy { looked: String },
    /// The program does not print its version as Envoy does.
    #[error("{} is not a working Envoy: {said}; run `make envoy`", path.display())]
    NotEnvoy { path: PathBuf, said: String },
    #[error("{name} is missing in {}; build it, or give its directory with --bin-dir", dir.display())]
    NoBinary { name: &'static str, dir: PathBuf },
    #[error("{name} did not start: {}", usage::system_error(.reason))]
    Spawn { name: String, reason: io::Error },
    /// A process ended while the mesh started.
    #[error("{name} ended while starting ({status}): {last}; full log: {}", log.display())]
    Died {
        name: String,
        status: ExitStatus,
        /// The last relevant line of its log.
        last: String,
        log: PathBuf,
    },
    #[error("not ready after {}: {what}", seconds(.after))]
    NotReady {
        /// What is not ready, and why.
        what: String,
        after: Duration,
    },
    #[error("interrupted")]
    Interrupted,
    #[error("{}: {}", path.display(), usage::system_error(.reason))]
    File { path: PathBuf, reason: io::Error },
    #[error("certificates: {0}")]
    Certificates(certs::Error),
    #[error("unknown process {name:?}; known: {known}")]
    NoSuchProcess {
        name: String,
        /// All processes.
        known: String,
    },
    #[error("unknown cluster {name:?}; known: {known}")]
    NoSuchCluster { name: String, known: String },
    #[error("unknown cluster, pod or process {name:?}; known: {known}")]
    NoSuchTarget {
        name: String,
        /// All clusters and pods.
        known: String,
    },
    #[error("unknown workload {name:?}; known: {known}")]
    NoSuchWorkload { name: String, known: String },
    #[error("unknown service {name:?}; known: {known}")]
    NoSuchService { name: String, known: String },
    #[error("{0} needs no remote secret for itself; name another cluster")]
    OwnSecret(String),
    #[error("there is nothing to undo: no action has changed this mesh")]
    NothingToUndo,
    /// The sidecar of an application injects its faults.
    #[error("{0} has no application behind a sidecar; choose a pod such as gke1/echo2")]
    NoSidecar(String),
    #[error("{0} has no sidecar, so it cannot use mTLS; choose a service with a sidecar")]
    NoMtls(String),
    #[error("{0} has no certificate; choose a pod with a sidecar, such as gke1/echo2")]
    NoCertificate(String),
    #[error("the Envoy {envoy:?} refused its configuration; its log says why: {}", log.display())]
    Refused { envoy: String, log: PathBuf },
    /// As [`Error::Refused`], and the mesh is again as it was.
    #[error("the Envoy {envoy:?} refused this change, so it was undone; its log says why: {}", log.display())]
    TakenBack { envoy: String, log: PathBuf },
    #[error("no mesh runs on 127.{0}.0.0/16; start one with `localmesh up`, or give its --block")]
    NotRunning(u8),
    /// The running mesh did not answer, or in an unknown format.
    #[error("the mesh on 127.{block}.0.0/16 does not answer: {why}")]
    Silent { block: u8, why: String },
    #[error("the mesh on 127.{0}.0.0/16 belongs to another user")]
    Foreign(u8),
    /// The error of a running mesh, as it was sent.
    #[error("{0}")]
    NotDone(String),
    /// A scenario file is invalid.
    #[error("{file}: {wrong}")]
    Scenario { file: String, wrong: String },
    /// A topology file is invalid.
    #[error("{file}:{line}: {wrong}")]
    Topology { file: String, line: u64, wrong: String },
    #[error(
        "--isolate makes network namespaces, which needs root; run as root, or without --isolate"
    )]
    NotRoot,
    #[error("--isolate needs `{program}`; install it (Debian package {package})")]
    NoProgram {
        program: &'static str,
        /// Debian's package that contains it.
        package: &'static str,
    },
    /// Reported by the kernel or `ip`.
    #[error("cannot isolate the networks: {0}")]
    Isolation(String),
    #[error("cut and mend need an isolated mesh; start it with --isolate")]
    NotIsolated,
    #[error("{one} and {other} are both in {network}; name clusters of two networks")]
    SameNetwork { one: String, other: String, network: String },
    /// The Envoys would watch more files than the kernel allows per user.
    #[error(
        "the Envoys of this mesh watch {needed} files, but fs.inotify.max_user_instances is \
         {limit}; raise it with sysctl, or use fewer pods"
    )]
    Watched { needed: usize, limit: usize },
    #[error("{envoy} has no statistic {name:?}")]
    NoSuchStatistic { envoy: String, name: String },
    /// A process of the mesh did not answer, or not as expected.
    #[error("{url}: {why}")]
    Http { url: String, why: String },
}

impl From<certs::Error> for Error {
    fn from(error: certs::Error) -> Self {
        Self::Certificates(error)
    }
}

impl Error {
    /// Makes an [`Error::NoSuchCluster`] from the names that exist.
    pub(crate) fn no_such_cluster<'a>(name: &str, known: impl Iterator<Item = &'a String>) -> Self {
        let known: Vec<_> = known.map(String::as_str).collect();
        Self::NoSuchCluster { name: name.to_owned(), known: known.join(", ") }
    }

    /// Makes an [`Error::File`] from an I/O error.
    pub(crate) fn file(path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |reason| Self::File { path, reason }
    }
}

fn who(pid: &Option<u32>) -> String {
    pid.map(|pid| format!(" (pid {pid})")).unwrap_or_default()
}

fn held_by(holder: &Option<String>) -> String {
    holder.as_ref().map(|holder| format!(" by {holder}")).unwrap_or_default()
}

fn seconds(after: &Duration) -> String {
    format!("{:.0} s", after.as_secs_f64())
}
