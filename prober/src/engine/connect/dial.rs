//! From a plan's target to a TCP connection: which addresses are tried, and in which order.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::time::timeout;

use super::opening::{Opening, Wait};
use crate::clock;
use crate::plan::{ProbePlan, Select};
use crate::resolve::Names;
use crate::tally::outcome::{Failure, FailureKind};

/// `connect` and `socket` fail with it when this process has no file descriptor left.
/// Written out, since `std::io::ErrorKind` has no names for these.
const EMFILE: i32 = 24;
/// The same for the whole machine.
const ENFILE: i32 = 23;
/// No local port is left, or the address does not exist here.
const EADDRNOTAVAIL: i32 = 99;

fn out_of_descriptors(error: &std::io::Error) -> bool {
    matches!(error.raw_os_error(), Some(EMFILE | ENFILE))
}

/// The addresses that the run's connection with this number tries, in order.
pub(super) async fn addresses(
    plan: &ProbePlan,
    names: &Names,
    host: &str,
    port: u16,
    number: u64,
) -> Result<Vec<IpAddr>, Failure> {
    match &plan.select {
        Select::Only(address) => Ok(vec![*address]),
        Select::Nowhere(why) => Err(Failure::new(FailureKind::Dns, why.as_str())),
        select => Ok(select.order(found(plan, names, host, port).await?, number)),
    }
}

/// All addresses of `host`: those that an override gives, else those that the name resolves to.
async fn found(
    plan: &ProbePlan,
    names: &Names,
    host: &str,
    port: u16,
) -> Result<Vec<IpAddr>, Failure> {
    // As in curl, an override without an address of the requested family does not count.
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

/// Connects to the first address that accepts, as curl does. The remaining time is divided
/// among the remaining addresses, so that a dead first one leaves time for the others.
/// `limit` is the connect timeout, `left` what the look-up left of it.
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
            // Nagle's algorithm stays on: a request is one write, which it does not delay.
            Ok(Ok(stream)) => {
                opening.remote = Some(address);
                return Ok(stream);
            }
            // Not the fault of the address, so the next one would fail too.
            Ok(Err(error)) if out_of_descriptors(&error) => {
                return Err(Failure::new(FailureKind::Connect, usage::local_limit(&error)));
            }
            Ok(Err(error)) => refused(address, &error),
            Err(_) => format!("{} within its share of {limit:?}", wait.missing()),
        };
        opening.passed_over.push((address, why));
    }
    // The last one gets all the remaining time; the caller enforces it.
    let address = SocketAddr::new(*last, port);
    *wait = Wait::Accept(address);
    let connected = TcpStream::connect(address).await;
    opening.remote = connected.is_ok().then_some(address);
    connected.map_err(|error| Failure::new(FailureKind::Connect, refused(address, &error)))
}

/// Why an address gave no connection, with the remedy where this machine's limits are the cause.
fn refused(address: SocketAddr, error: &std::io::Error) -> String {
    match error.raw_os_error() {
        Some(EMFILE | ENFILE) => usage::local_limit(error),
        Some(EADDRNOTAVAIL) => {
            format!("{address}: no local port left, or the address does not exist here")
        }
        _ => match error.kind() {
            std::io::ErrorKind::ConnectionRefused => format!("{address} refused the connection"),
            _ => format!("{address}: {}", usage::system_error(error)),
        },
    }
}
