//! Waits until a mesh is ready: every process reports it, the workers of every Envoy listen,
//! and a request succeeds on every path.

use std::net::SocketAddrV4;
use std::time::{Duration, Instant};

use super::http::Http;
use crate::error::Error;
use crate::process::child::Process;
use crate::process::programs::Kind;
use crate::topology::{SERVICE_PORT, Topology};

/// The time limit of the start.
const PATIENCE: Duration = Duration::from_secs(20);
const POLL: Duration = Duration::from_millis(10);

/// A path into the mesh, and the request to send there.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Entrance {
    to: SocketAddrV4,
    host: String,
    path: String,
}

/// Waits until `processes` are ready. `interrupted` ends the wait early.
pub(crate) fn wait_for_processes<'a>(
    processes: impl IntoIterator<Item = &'a mut Process>,
    http: &Http,
    interrupted: &dyn Fn() -> bool,
) -> Result<(), Error> {
    let mut waiting: Vec<_> = processes.into_iter().collect();
    let start = Instant::now();
    loop {
        let mut last = None;
        for process in &mut waiting {
            if let Some(status) = process.unexpected_end() {
                return Err(process.died(status));
            }
        }
        waiting.retain(|process| match ready(process, http) {
            Ok(()) => false,
            Err(why) => {
                last = Some(format!("{}: {why}", process.program.name));
                true
            }
        });
        let Some(what) = last else { return Ok(()) };
        pause(start, what, interrupted)?;
    }
}

/// Waits until an echo answers on every path into the mesh.
pub(crate) fn wait_for_paths(
    topology: &Topology,
    http: &Http,
    interrupted: &dyn Fn() -> bool,
) -> Result<(), Error> {
    let start = Instant::now();
    for Entrance { to, host, path } in entrances(topology) {
        loop {
            let answer = http.get(to, &path, Some(&host));
            let why = match answer {
                Ok(answer) if answer.status == 200 => break,
                Ok(answer) => format!("{} {}", answer.status, answer.body.trim()),
                Err(error) => error.to_string(),
            };
            pause(start, format!("{host}{path} at {to}: {why}"), interrupted)?;
        }
    }
    Ok(())
}

/// Waits briefly, or fails if the time is over.
fn pause(start: Instant, what: String, interrupted: &dyn Fn() -> bool) -> Result<(), Error> {
    if interrupted() {
        return Err(Error::Interrupted);
    }
    if start.elapsed() > PATIENCE {
        return Err(Error::NotReady { what, after: PATIENCE });
    }
    std::thread::sleep(POLL);
    Ok(())
}

/// Every ingress gateway with every service that it reaches, and every client sidecar with
/// every service that has sidecars.
fn entrances(topology: &Topology) -> Vec<Entrance> {
    let mut entrances = Vec::new();
    for cluster in &topology.clusters {
        let reached = |index: &usize| !topology.answering(cluster, *index).is_empty();
        for (_, service) in topology.services.iter().enumerate().filter(|(i, _)| reached(i)) {
            entrances.extend(cluster.ingress_gateways().map(|gateway| Entrance {
                to: gateway.listens(topology.ingress_port),
                host: cluster.host.clone(),
                path: format!("/{}", service.name),
            }));
            let inside = cluster.clients().filter(|_| service.sidecar);
            entrances.extend(inside.map(|client| Entrance {
                to: client.listens(topology.ingress_port),
                host: format!("{}:{SERVICE_PORT}", service.name),
                path: "/".into(),
            }));
        }
    }
    entrances
}

/// Whether one process is ready, or why not.
fn ready(process: &Process, http: &Http) -> Result<(), String> {
    let program = &process.program;
    let path = match program.kind {
        Kind::Echo => "/readyz",
        Kind::Envoy => "/ready",
    };
    let answer = http.get(program.admin, path, None).map_err(|error| error.to_string())?;
    if answer.status != 200 {
        return Err(format!("{} {}", answer.status, answer.body.trim()));
    }
    if program.kind == Kind::Envoy {
        // An Envoy is ready once its files are read; its sockets listen slightly later.
        let listening = "listener_manager.workers_started";
        let found = http.statistics(program.admin, listening).map_err(|e| e.to_string())?;
        if found.get(listening) != Some(&1) {
            return Err("its workers have not started".into());
        }
    }
    Ok(())
}
