//! A running mesh: starts and stops all of its processes together. `control` and `perform`
//! change it while it runs.

use std::collections::BTreeMap;
use std::net::SocketAddrV4;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::authorities::Authorities;
use super::files::{self, Folder};
use super::history::History;
use super::http::Http;
use super::lock::Lock;
use super::matrix::{INTERNET, Place, matrix};
use super::ports;
use super::ready;
use crate::error::Error;
use crate::process::child::{Process, stop_all};
use crate::process::guard::ENTER;
use crate::process::isolation::Isolation;
use crate::process::programs::{Program, programs};
use crate::process::tools::Tools;
use crate::topology::{DEFAULT_BLOCK, INGRESS_PORT, Shape, Topology, UNPRIVILEGED_INGRESS_PORT};

#[derive(Clone, Debug)]
pub struct Options {
    pub shape: Shape,
    /// The second byte of all addresses.
    pub block: u8,
    /// The port of the ingress gateways; by default 80 if it can be bound, else 8080.
    pub ingress_port: Option<u16>,
    /// Whether each network is a network namespace of its own; needs root.
    pub isolate: bool,
    /// A directory for files and logs, which is kept; by default a temporary one.
    pub dir: Option<PathBuf>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            shape: Shape::two_clusters(),
            block: DEFAULT_BLOCK,
            ingress_port: None,
            isolate: false,
            dir: None,
        }
    }
}

/// A running mesh. It stops when dropped.
///
/// The kernel kills its processes when the thread that started the mesh ends: keep that
/// thread as long as the mesh.
pub struct Mesh {
    pub(crate) topology: Topology,
    pub(crate) authorities: Authorities,
    pub(crate) processes: Vec<Process>,
    pub(crate) http: Http,
    pub(crate) tools: Tools,
    pub(crate) folder: Folder,
    matrix_path: PathBuf,
    startup: Duration,
    pub(crate) isolation: Option<Arc<Isolation>>,
    pub(super) history: History,
    pub(crate) lock: Lock,
}

impl Mesh {
    /// Starts all processes. Returns once requests succeed on every path. `interrupted` is
    /// called regularly; `true` ends the start.
    ///
    /// # Errors
    /// If another mesh uses the addresses, or a process does not start. No process is left
    /// running then.
    pub fn start(
        options: &Options,
        tools: &Tools,
        interrupted: &dyn Fn() -> bool,
    ) -> Result<Self, Error> {
        let begin = Instant::now();
        let mut lock = Lock::take(options.block)?;
        let topology = lay_out(options);
        files::check_watched(&topology)?;
        let folder = Folder::make(options.dir.as_deref(), options.block)?;
        let mut programs = programs(&topology, tools, folder.path());
        let isolation = match options.isolate {
            true => Some(Arc::new(Isolation::make(&topology, tools)?)),
            false => None,
        };
        match &isolation {
            Some(isolation) => {
                isolation.everywhere(|| lock.listen_too(options.block))?;
                programs.iter_mut().for_each(|program| program.put_into(isolation));
            }
            None => {
                ports::check(programs.iter().flat_map(|program| [program.listens, program.admin]))?;
            }
        }

        let authorities = Authorities::new(&topology)?;
        files::write_all(&topology, &authorities, folder.path())?;
        let matrix_path = folder.path().join("matrix.yaml");
        files::replace(
            &matrix_path,
            matrix(&topology, places(&topology, isolation.as_deref(), tools).as_ref()).as_bytes(),
        )?;

        let names = programs.iter().map(|program| program.name.clone());
        let history = History::new(topology.clone(), authorities.clone(), names);
        // From here on, dropping the mesh stops its processes.
        let mut mesh = Self {
            topology,
            authorities,
            processes: Vec::with_capacity(programs.len()),
            http: Http::new(isolation.clone())?,
            tools: tools.clone(),
            folder,
            matrix_path,
            startup: Duration::ZERO,
            isolation,
            history,
            lock,
        };
        for program in programs {
            mesh.processes.push(Process::start(&tools.launcher, program)?);
        }
        ready::wait_for_processes(&mut mesh.processes, &mesh.http, interrupted)?;
        ready::wait_for_paths(&mesh.topology, &mesh.http, interrupted)?;
        mesh.startup = begin.elapsed();
        Ok(mesh)
    }

    #[must_use]
    pub fn topology(&self) -> &Topology {
        &self.topology
    }

    /// The programs, with the process id of those that run.
    pub fn programs(&self) -> impl Iterator<Item = (&Program, Option<u32>)> {
        self.processes.iter().map(|process| (&process.program, process.pid()))
    }

    /// Whether every process has ended unexpectedly.
    #[must_use]
    pub fn died_out(&self) -> bool {
        self.processes.iter().all(|process| process.pid().is_none() && !process.asked_to_end())
    }

    /// The file for `prober matrix`.
    #[must_use]
    pub fn matrix_path(&self) -> &Path {
        &self.matrix_path
    }

    /// The directory of all files and logs.
    #[must_use]
    pub fn dir(&self) -> &Path {
        self.folder.path()
    }

    /// The network namespace of a cluster's pods, for `nsenter --net=`; `None` if the mesh is
    /// not isolated or the cluster does not exist.
    #[must_use]
    pub fn namespace(&self, cluster: &str) -> Option<&Path> {
        let pod = self.topology.cluster(cluster)?.pods.first()?;
        Some(self.isolation.as_ref()?.path(pod.address))
    }

    /// The network namespace between the networks; `None` if the mesh is not isolated.
    #[must_use]
    pub fn internet(&self) -> Option<&Path> {
        Some(self.isolation.as_ref()?.internet())
    }

    /// How long the start took.
    #[must_use]
    pub fn startup(&self) -> Duration {
        self.startup
    }

    /// A counter or gauge of an Envoy, by its full name.
    ///
    /// # Errors
    /// If the Envoy or the statistic does not exist, or the Envoy does not answer.
    pub fn counter(&self, envoy: &str, name: &str) -> Result<u64, Error> {
        let pattern = format!("^{}$", escaped(name));
        let found = self.counters(envoy, &pattern)?;
        found.get(name).copied().ok_or_else(|| Error::NoSuchStatistic {
            envoy: envoy.to_owned(),
            name: name.to_owned(),
        })
    }

    /// All counters and gauges of an Envoy whose names match the regular expression `pattern`
    /// somewhere.
    ///
    /// # Errors
    /// If the Envoy does not exist or does not answer.
    pub fn counters(&self, envoy: &str, pattern: &str) -> Result<BTreeMap<String, u64>, Error> {
        self.http.statistics(self.process(envoy)?.program.admin, pattern)
    }

    /// The processes that have ended unexpectedly since the last call: name, exit status, and
    /// the last lines of the log.
    pub fn ended(&mut self) -> Vec<(String, ExitStatus, Vec<String>)> {
        self.processes
            .iter_mut()
            .filter_map(|process| {
                let status = process.unexpected_end()?;
                Some((process.program.name.clone(), status, process.log_tail(5)))
            })
            .collect()
    }

    /// Stops all processes within a few seconds.
    pub fn stop(self) {
        drop(self);
    }

    pub(crate) fn process(&self, name: &str) -> Result<&Process, Error> {
        self.processes
            .iter()
            .find(|process| process.program.name == name)
            .ok_or_else(|| self.no_such_process(name))
    }

    pub(crate) fn no_such_process(&self, name: &str) -> Error {
        let known: Vec<_> = self.programs().map(|(program, _)| program.name.as_str()).collect();
        Error::NoSuchProcess { name: name.to_owned(), known: known.join(", ") }
    }
}

impl Drop for Mesh {
    fn drop(&mut self) {
        stop_all(&mut self.processes);
    }
}

/// The topology, with an ingress port that this user can bind.
fn lay_out(options: &Options) -> Topology {
    if options.isolate {
        let port = options.ingress_port.unwrap_or(INGRESS_PORT);
        return Topology::isolated(&options.shape, options.block, port);
    }
    let with_port = |port| Topology::new(&options.shape, options.block, port);
    if let Some(port) = options.ingress_port {
        return with_port(port);
    }
    let topology = with_port(INGRESS_PORT);
    let gateways = topology.clusters.iter().flat_map(|cluster| cluster.ingress_gateways());
    let addresses: Vec<SocketAddrV4> = gateways.map(|pod| pod.listens(INGRESS_PORT)).collect();
    match ports::can_listen(addresses) {
        true => topology,
        false => with_port(UNPRIVILEGED_INGRESS_PORT),
    }
}

/// The places from which `prober matrix` probes an isolated mesh.
fn places(
    topology: &Topology,
    isolation: Option<&Isolation>,
    tools: &Tools,
) -> Option<BTreeMap<String, Place>> {
    let isolation = isolation?;
    let place = |path: &Path| Place {
        command: vec![ENTER.into(), format!("--net={}", path.display())],
        prober: tools.prober.display().to_string(),
    };
    let mut places = BTreeMap::from([(INTERNET.to_owned(), place(isolation.internet()))]);
    for cluster in &topology.clusters {
        if let Some(pod) = cluster.pods.first() {
            places.insert(cluster.name.clone(), place(isolation.path(pod.address)));
        }
    }
    Some(places)
}

/// A regular expression that matches only this name.
fn escaped(name: &str) -> String {
    name.chars().fold(String::new(), |mut pattern, c| {
        if !c.is_ascii_alphanumeric() && c != '_' {
            pattern.push('\\');
        }
        pattern.push(c);
        pattern
    })
}
