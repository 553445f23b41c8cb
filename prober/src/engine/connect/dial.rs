//! From a plan's target to a TCP connection: which addresses are tried, and in which order.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::time::timeout;

use super::dead::{ATTEMPT_DELAY, DeadAddresses};
use super::local::LocalEnd;
use super::opening::Opening;
use crate::clock;
use crate::plan::{ProbePlan, Select};
use crate::race::staggered;
use crate::resolve::Names;
use crate::tally::outcome::{Failure, FailureKind};

/// `connect` fails with it if no local port is left, or the address does not exist here. Written out,
/// since `std::io::ErrorKind` has one name for it and others.
const EADDRNOTAVAIL: i32 = 99;

/// The most addresses that a failure describes.
const MOST_DESCRIBED: usize = 4;

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

/// What connects: where to, how, and for how long.
pub(super) struct Dial<'a> {
    /// In the order in which to try them.
    pub addresses: &'a [IpAddr],
    pub port: u16,
    pub select: &'a Select,
    pub dead: &'a Arc<DeadAddresses>,
    pub local: &'a LocalEnd,
    /// The connect timeout.
    pub limit: Duration,
    /// What the look-up left of it.
    pub left: Duration,
}

impl Dial<'_> {
    /// Connects to the first address that accepts, as curl does.
    pub(super) async fn connect(&self, opening: &mut Opening) -> Result<TcpStream, Failure> {
        let address = |ip: &IpAddr| self.local.socket_address(*ip, self.port);
        let (address, stream) = match self.addresses {
            [] => return Err(Failure::new(FailureKind::Dns, "the name has no address")),
            [only] => self.alone(address(only)).await?,
            several => self.race(several.iter().map(address).collect(), opening).await?,
        };
        opening.remote = Some(address);
        if of_both_families(self.addresses) {
            opening.transport.over_ipv6 += u64::from(address.is_ipv6());
            opening.transport.over_ipv4 += u64::from(address.is_ipv4());
        }
        Ok(stream)
    }

    async fn alone(&self, address: SocketAddr) -> Result<(SocketAddr, TcpStream), Failure> {
        let refusal = match timeout(self.left, attempt(self.local, address)).await {
            Ok(Ok(connected)) => return connected.map(|stream| (address, stream)),
            Ok(Err(refusal)) => refusal,
            Err(_) => Refusal::silent(address, self.limit),
        };
        Err(Failure::new(refusal.kind, refusal.what))
    }

    /// Tries the next address when the last one has failed, or was silent for a while. By default that
    /// is happy eyeballs (RFC 8305). `--select` chooses an address for each connection: that one has
    /// its share of the time, and no other connection's experience counts.
    async fn race(
        &self,
        addresses: Vec<SocketAddr>,
        opening: &mut Opening,
    ) -> Result<(SocketAddr, TcpStream), Failure> {
        let share = self.left / u32::try_from(addresses.len()).unwrap_or(u32::MAX);
        let (wait, dead) = match self.select {
            Select::First => {
                self.dead.check(self.local, &addresses, clock::now());
                (share.min(ATTEMPT_DELAY), self.dead.among(&addresses))
            }
            _ => (share, Vec::new()),
        };
        let order = dead_last(&addresses, &dead);
        let tries = (0..order.len()).map(|n| (attempt(self.local, order[n]), wait));
        let mut raced = staggered(self.left, tries).await;
        let (won, waited) = match raced.won.take() {
            Some((n, connected)) => (Some((n, connected?)), wait),
            None => (None, self.limit),
        };
        // An attempt that started after the winner's is no slower.
        let before = won.as_ref().map_or(raced.started, |(n, _)| *n);
        let silent = raced.unfinished().filter(|n| *n < before);
        let silent: Vec<_> = silent.map(|n| (n, Refusal::silent(order[n], waited))).collect();
        let refused: BTreeMap<_, _> = raced.failed.into_iter().chain(silent).collect();
        let Some((winner, stream)) = won else { return Err(all_failed(refused.into_values())) };
        for (n, Refusal { what, ours, .. }) in refused {
            if *self.select == Select::First && !ours {
                self.dead.add(order[n], what.clone(), clock::now());
            }
            opening.passed_over.push((order[n], what));
        }
        // Those that are preferred, and were not even tried.
        let preferred: Vec<_> = addresses.iter().take_while(|a| **a != order[winner]).collect();
        for (address, why) in dead {
            let tried = order[..raced.started].contains(&address);
            if !tried && preferred.contains(&&address) {
                opening.passed_over.push((address, why));
            }
        }
        self.dead.forget(order[winner]);
        Ok((order[winner], stream))
    }
}

fn of_both_families(addresses: &[IpAddr]) -> bool {
    addresses.iter().any(IpAddr::is_ipv4) && addresses.iter().any(IpAddr::is_ipv6)
}

/// The addresses in their order, but those that are dead after the others.
fn dead_last(addresses: &[SocketAddr], dead: &[(SocketAddr, String)]) -> Vec<SocketAddr> {
    let is_dead = |address: &SocketAddr| dead.iter().any(|(dead, _)| dead == address);
    let (last, first): (Vec<_>, Vec<_>) = addresses.iter().copied().partition(is_dead);
    [first, last].concat()
}

/// Why an address gave no connection.
#[derive(Debug, PartialEq, Eq)]
struct Refusal {
    kind: FailureKind,
    what: String,
    /// Whether this machine is to blame, and not the address.
    ours: bool,
}

impl Refusal {
    fn silent(address: SocketAddr, waited: Duration) -> Self {
        let waited = Duration::from_millis(u64::try_from(waited.as_millis()).unwrap_or(u64::MAX));
        let what = format!("{address} did not accept a connection within {waited:?}");
        Self { kind: FailureKind::Timeout, what, ours: false }
    }

    /// With the remedy where this machine's limits are the cause.
    fn error(address: SocketAddr, error: &std::io::Error) -> Self {
        let ours = error.raw_os_error() == Some(EADDRNOTAVAIL);
        let what = if ours {
            format!("{address}: no local port left, or the address does not exist here")
        } else if error.kind() == std::io::ErrorKind::ConnectionRefused {
            format!("{address} refused the connection")
        } else {
            format!("{address}: {}", usage::system_error(error))
        };
        Self { kind: FailureKind::Connect, what, ours }
    }
}

/// Connects to one address. Fails at once if every other address would fail in the same way.
async fn attempt(
    local: &LocalEnd,
    address: SocketAddr,
) -> Result<Result<TcpStream, Failure>, Refusal> {
    // Nagle's algorithm stays on: a request is one write, which it does not delay.
    match local.connect(address).await {
        Ok(stream) => Ok(Ok(stream)),
        Err(error) if usage::out_of_descriptors(&error) => {
            Ok(Err(Failure::new(FailureKind::Connect, usage::local_limit(&error))))
        }
        Err(error) => Err(Refusal::error(address, &error)),
    }
}

/// The failure of a connection for which no address accepted: what each of them did.
fn all_failed(refused: impl ExactSizeIterator<Item = Refusal>) -> Failure {
    let (count, mut kind) = (refused.len(), FailureKind::Connect);
    let mut texts = Vec::new();
    for refusal in refused {
        if refusal.kind == FailureKind::Timeout {
            kind = FailureKind::Timeout;
        }
        texts.push(refusal.what);
    }
    if count > MOST_DESCRIBED {
        texts.truncate(MOST_DESCRIBED - 1);
        texts.push(format!("and {} more", count - texts.len()));
    }
    Failure::new(kind, texts.join("; "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(n: u8) -> SocketAddr {
        SocketAddr::from(([10, 0, 0, n], 80))
    }

    #[test]
    fn dead_addresses_are_tried_after_the_others() {
        let all = [1, 2, 3].map(address);
        let dead = |these: &[u8]| -> Vec<_> {
            these.iter().map(|n| (address(*n), String::new())).collect()
        };
        assert_eq!(dead_last(&all, &[]), all);
        assert_eq!(dead_last(&all, &dead(&[1])), [2, 3, 1].map(address));
        assert_eq!(dead_last(&all, &dead(&[2, 1])), [3, 1, 2].map(address));
        assert_eq!(dead_last(&all, &dead(&[3, 2, 1])), all);
    }

    #[test]
    fn a_failure_says_what_each_address_did() {
        let second = Duration::from_secs(1);
        let refused = |n| Refusal {
            kind: FailureKind::Connect,
            what: format!("{} refused the connection", address(n)),
            ours: false,
        };
        let failure = all_failed(vec![refused(1), refused(2)].into_iter());
        let told = "10.0.0.1:80 refused the connection; 10.0.0.2:80 refused the connection";
        assert_eq!(failure, Failure::new(FailureKind::Connect, told));
        let silent = Refusal::silent(address(3), second / 3);
        let failure = all_failed(vec![refused(1), silent].into_iter());
        let told = "10.0.0.1:80 refused the connection; \
                    10.0.0.3:80 did not accept a connection within 333ms";
        assert_eq!(failure, Failure::new(FailureKind::Timeout, told));
        let many = all_failed((1..=9).map(refused).collect::<Vec<_>>().into_iter());
        assert!(many.what.ends_with("10.0.0.3:80 refused the connection; and 6 more"), "{many:?}");
    }
}
