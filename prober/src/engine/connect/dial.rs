//! From a plan's target to a TCP connection: which addresses, and in which order
//! they are tried.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::time::timeout;

use super::{Opening, Wait};
use crate::clock;
use crate::plan::{ProbePlan, Select};
use crate::resolve::Names;
use crate::tally::outcome::{Failure, FailureKind};

/// The error of `connect` and `socket` when this process has no file descriptor left.
const EMFILE: i32 = 24;
/// The same of the whole machine.
const ENFILE: i32 = 23;
const EADDRNOTAVAIL: i32 = 99;

/// Whether an error says that there is no file descriptor left.
fn out_of_descriptors(error: &std::io::Error) -> bool {
    matches!(error.raw_os_error(), Some(EMFILE | ENFILE))
}

/// The addresses that connection number `turn` of the run tries, in order.
pub(super) async fn addresses(
    plan: &ProbePlan,
    names: &Names,
    host: &str,
    port: u16,
    turn: u64,
) -> Result<Vec<IpAddr>, Failure> {
    match &plan.select {
        Select::Only(address) => Ok(vec![*address]),
        Select::Nowhere(why) => Err(Failure::new(FailureKind::Dns, why.as_str())),
        select => Ok(select.order(found(plan, names, host, port).await?, turn)),
    }
}

/// All addresses of `host`: the overrides', else what the name resolves to.
async fn found(
    plan: &ProbePlan,
    names: &Names,
    host: &str,
    port: u16,
) -> Result<Vec<IpAddr>, Failure> {
    // As in curl, an override without an address of the family asked for is none.
    let given = plan.overrides.addresses(host, port).unwrap_or_default();
    let wanted = plan.names.family.of(given.iter().copied());
    if !wanted.is_empty() {
        return Ok(wanted);
    }
    let found = names.lookup(host).await;
    let found = found.map_err(|error| Failure::new(FailureKind::Dns, error.to_string()))?;
    Ok(plan.select.arranged(found.to_vec()))
}

/// All addresses of a plan's target.
pub(crate) async fn of_target(plan: &ProbePlan, names: &Names) -> Result<Vec<IpAddr>, Failure> {
    let (host, port) = plan.overrides.connect_to(&plan.target.host, plan.target.port);
    found(plan, names, &host, port).await
}

/// Connects to the first address that accepts, as curl does; the time left is
/// shared among the addresses left, so that a dead first one leaves time for the rest.
/// Of the connect limit, the look-up has left `left`.
pub(super) async fn tcp(
    (limit, left): (Duration, Duration),
    addresses: &[IpAddr],
    port: u16,
    wait: &mut Wait,
    opening: &mut Opening,
) -> Result<TcpStream, Failure> {
    let Some((last, others)) = addresses.split_last() else {
        return Err(Failure::new(FailureKind::Dns, "the name has no address"));
    };
    let start = clock::now();
    for (n, address) in others.iter().enumerate() {
        let address = SocketAddr::new(*address, port);
        *wait = Wait::Accept(address);
        let left = left.saturating_sub(clock::now() - start);
        let share = left / u32::try_from(addresses.len() - n).unwrap_or(u32::MAX);
        let why = match timeout(share, TcpStream::connect(address)).await {
            // Nagle's delay is left on: a request is one write, and waits for nothing.
            Ok(Ok(stream)) => {
                opening.remote = Some(address);
                return Ok(stream);
            }
            // Not the address's fault, and no better at the next one.
            Ok(Err(error)) if out_of_descriptors(&error) => {
                return Err(Failure::new(FailureKind::Connect, usage::local_limit(&error)));
            }
            Ok(Err(error)) => refused(address, &error),
            Err(_) => {
                format!("{} within its share of {limit:?}", unaccepted(address))
            }
        };
        opening.passed_over.push((address, why));
    }
    // The last one has all the time that is left, which the caller measures.
    let address = SocketAddr::new(*last, port);
    *wait = Wait::Accept(address);
    let connected = TcpStream::connect(address).await;
    opening.remote = connected.is_ok().then_some(address);
    connected.map_err(|error| Failure::new(FailureKind::Connect, refused(address, &error)))
}

/// What the system said, with what to do where it is this machine's limit.
fn refused(address: SocketAddr, error: &std::io::Error) -> String {
    match error.raw_os_error() {
        Some(EMFILE | ENFILE) => usage::local_limit(error),
        Some(EADDRNOTAVAIL) => format!("{address}: no local port left, or no such address here"),
        _ => match error.kind() {
            std::io::ErrorKind::ConnectionRefused => format!("{address} refused the connection"),
            _ => format!("{address}: {error}"),
        },
    }
}

pub(super) fn unaccepted(address: SocketAddr) -> String {
    format!("{address} did not accept a connection")
}
