//! Everything that can go wrong with a mesh, each in one line that names what
//! to look at.

use std::io;
use std::net::SocketAddrV4;
use std::path::PathBuf;
use std::process::ExitStatus;
use std::time::Duration;

/// Why a mesh did not start, or could not be changed. Each message is whole: no
/// variant has a `source`, which would be printed after it a second time.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Somebody else runs a mesh on these addresses.
    #[error("a mesh on 127.{block}.0.0/16 already runs{}; stop it or choose another --block", who(.pid))]
    Taken {
        /// The block.
        block: u8,
        /// Who runs it, where that can be known.
        pid: Option<u32>,
    },
    /// An address is in use by a stranger, or by what an earlier mesh left.
    #[error("{address} is in use{}", held_by(.holder))]
    Busy {
        /// The address.
        address: SocketAddrV4,
        /// Who listens there, such as `envoy (pid 7)`, where that can be known.
        holder: Option<String>,
    },
    /// An address cannot be bound, for another reason.
    #[error("cannot listen on {address}: {reason}")]
    Bind {
        /// The address.
        address: SocketAddrV4,
        /// Why.
        reason: io::Error,
    },
    /// There is no Envoy.
    #[error("Envoy not found ({looked}); run `make envoy`, or name one with --envoy")]
    NoEnvoy {
        /// Where it was looked for.
        looked: String,
    },
    /// The program called Envoy does not say its version as Envoy does.
    #[error("{} is not a working Envoy: {said}; run `make envoy`", path.display())]
    NotEnvoy {
        /// The program.
        path: PathBuf,
        /// What it said instead.
        said: String,
    },
    /// A program of this workspace is missing.
    #[error("{name} is missing in {}; build it, or name its folder with --bin-dir", dir.display())]
    NoBinary {
        /// The program.
        name: &'static str,
        /// Where it should be.
        dir: PathBuf,
    },
    /// A program could not be started.
    #[error("{name} did not start: {reason}")]
    Spawn {
        /// The process.
        name: String,
        /// Why.
        reason: io::Error,
    },
    /// A program ended while the mesh started.
    #[error("{name} ended while starting ({status}): {last}; all of its log: {}", log.display())]
    Died {
        /// The process.
        name: String,
        /// How it ended.
        status: ExitStatus,
        /// The last line of its log that tells something.
        last: String,
        /// Its log.
        log: PathBuf,
    },
    /// Not ready in time.
    #[error("not ready after {}: {what}", seconds(.after))]
    NotReady {
        /// What was waited for, and what it said last.
        what: String,
        /// How long.
        after: Duration,
    },
    /// Asked to stop while starting.
    #[error("interrupted")]
    Interrupted,
    /// A file or folder.
    #[error("{}: {reason}", path.display())]
    File {
        /// The file or folder.
        path: PathBuf,
        /// Why.
        reason: io::Error,
    },
    /// A certificate could not be made.
    #[error("certificates: {0}")]
    Certificates(certs::Error),
    /// No process has this name.
    #[error("no process is called {name:?}; there are: {known}")]
    NoSuchProcess {
        /// The name asked for.
        name: String,
        /// All names.
        known: String,
    },
    /// No cluster has this name.
    #[error("no cluster is called {0:?}")]
    NoSuchCluster(String),
    /// Nothing has this name.
    #[error("nothing is called {name:?}; there are: {known}")]
    NoSuchTarget {
        /// The name asked for.
        name: String,
        /// All clusters and pods.
        known: String,
    },
    /// No workload has this name.
    #[error("no workload is called {name:?}; there are: {known}")]
    NoSuchWorkload {
        /// The name asked for.
        name: String,
        /// All workloads.
        known: String,
    },
    /// No service has this name.
    #[error("no service is called {name:?}; there are: {known}")]
    NoSuchService {
        /// The name asked for.
        name: String,
        /// All services.
        known: String,
    },
    /// A cluster needs no remote secret of itself.
    #[error("{0} sees itself without a remote secret; name another cluster")]
    OwnSecret(String),
    /// Faults are made by a sidecar.
    #[error("{0} has no sidecar in front of an application, which faults need")]
    NoSidecar(String),
    /// An Envoy refused what it was told.
    #[error("{envoy} refused its configuration: {said}")]
    Refused {
        /// The Envoy.
        envoy: String,
        /// The last line of its log.
        said: String,
    },
    /// No mesh runs there.
    #[error("no mesh runs on 127.{0}.0.0/16; start one with `localmesh up`, or name its --block")]
    NotRunning(u8),
    /// The running mesh did not answer, or not in a form that is known.
    #[error("the mesh on 127.{block}.0.0/16 does not answer: {why}")]
    Silent {
        /// Its block.
        block: u8,
        /// Why not.
        why: String,
    },
    /// The mesh belongs to somebody else.
    #[error("the mesh on 127.{0}.0.0/16 belongs to another user")]
    Foreign(u8),
    /// What was asked of a running mesh was not done; the mesh's own words.
    #[error("{0}")]
    NotDone(String),
    /// A scenario file is none.
    #[error("{file}: {wrong}")]
    Scenario {
        /// The file.
        file: String,
        /// What is wrong.
        wrong: String,
    },
    /// A topology file is none.
    #[error("{file}:{line}: {wrong}")]
    Topology {
        /// The file.
        file: String,
        /// The line.
        line: u64,
        /// What is wrong.
        wrong: String,
    },
    /// Namespaces are root's.
    #[error("--isolate makes network namespaces, which takes root; run it as root, or without")]
    NotRoot,
    /// A program of the system is missing.
    #[error("--isolate needs `{program}`; install it (Debian's package {package})")]
    NoProgram {
        /// The program.
        program: &'static str,
        /// What to install.
        package: &'static str,
    },
    /// The kernel or `ip` refused.
    #[error("networks cannot be isolated here: {0}")]
    Isolation(String),
    /// On loopback addresses there is nothing to cut.
    #[error("only networks of an isolated mesh can be cut; start it with --isolate")]
    NotIsolated,
    /// In one network there is nothing to cut.
    #[error("{one} and {other} share the network {network}; name clusters of two networks")]
    SameNetwork {
        /// A cluster.
        one: String,
        /// A cluster.
        other: String,
        /// Their network.
        network: String,
    },
    /// The Envoys would watch more files than the kernel lets one user watch.
    #[error(
        "the Envoys of this mesh watch {needed} files, and fs.inotify.max_user_instances is \
         {limit}; raise it by sysctl, or take fewer pods"
    )]
    Watched {
        /// How many files.
        needed: usize,
        /// How many may be watched.
        limit: usize,
    },
    /// An Envoy has no statistic of this name.
    #[error("{envoy} has no statistic {name:?}")]
    NoSuchStatistic {
        /// The Envoy.
        envoy: String,
        /// The statistic.
        name: String,
    },
    /// A process of the mesh could not be asked.
    #[error("{url}: {why}")]
    Http {
        /// What was asked.
        url: String,
        /// Why there was no answer, or what was wrong with it.
        why: String,
    },
}

impl From<certs::Error> for Error {
    fn from(error: certs::Error) -> Self {
        Self::Certificates(error)
    }
}

impl Error {
    /// Makes an [`Error::File`] of an I/O error at `path`.
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
