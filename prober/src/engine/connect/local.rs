//! This machine's end of a plan's connections: the interface or address that they start from, and the
//! zone of link-local addresses.

use std::io;
use std::net::{IpAddr, SocketAddr, SocketAddrV6};

use rustix::net::{AddressFamily, SocketType, netdevice};
use thiserror::Error;
use tokio::net::{TcpSocket, TcpStream};

use crate::descriptors;
use crate::plan::{ProbePlan, Source};
use crate::resolve::{LookupError, Names};
use crate::tally::outcome::{Failure, FailureKind};

/// Why connections cannot start from where the flags say.
#[derive(Debug, Error)]
pub enum LocalError {
    #[error("zone '{0}': this machine has no such network interface; 'ip link' lists them")]
    Zone(String),
    #[error("--interface '{0}': this machine has no such network interface; 'ip link' lists them")]
    NoDevice(String),
    #[error("--interface '{0}': no network interface of this machine has this address")]
    NoAddress(String),
    #[error(
        "--interface '{name}': neither a network interface of this machine nor a host: {error}"
    )]
    NoHost { name: String, error: LookupError },
    #[error(
        "--interface '{0}': the system does not allow connections from a named interface; write its \
         IP address"
    )]
    NotAllowed(String),
    #[error("--interface '{name}': {}", usage::system_error(.error))]
    System { name: String, error: io::Error },
}

/// Where connections start from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::engine) struct LocalEnd {
    /// The interface that link-local addresses are reached through; 0 without one.
    scope: u32,
    device: Option<String>,
    /// Empty is any.
    addresses: Vec<IpAddr>,
}

impl LocalEnd {
    /// What the plan says, checked on this machine.
    ///
    /// # Errors
    /// If an interface or address does not exist here.
    pub(in crate::engine) fn of(plan: &ProbePlan) -> Result<Self, LocalError> {
        let scope = plan.zone().map_or(Ok(0), scope)?;
        let mut local = Self { scope, ..Self::default() };
        let Some(source) = &plan.source else { return Ok(local) };
        if source.device {
            match bound(&source.name) {
                Ok(()) => {
                    local.device = Some(source.name.clone());
                    return Ok(local);
                }
                Err(error) if is_unknown(&error) => {}
                Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                    // As in curl: it may be an address.
                    if index(&source.name).is_some() {
                        return Err(LocalError::NotAllowed(source.name.clone()));
                    }
                }
                Err(error) => {
                    return Err(LocalError::System { name: source.name.clone(), error });
                }
            }
            if !source.host {
                return Err(LocalError::NoDevice(source.name.clone()));
            }
        }
        local.addresses = local.addresses_of(source, plan)?;
        Ok(local)
    }

    /// The addresses of a host name or literal that this machine has.
    fn addresses_of(&self, source: &Source, plan: &ProbePlan) -> Result<Vec<IpAddr>, LocalError> {
        let name = &source.name;
        let system = |error| LocalError::System { name: name.clone(), error };
        let found = match name.parse::<IpAddr>() {
            Ok(address) => vec![address],
            Err(_) => {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
                let runtime = runtime.map_err(system)?;
                // Its tasks run on this runtime.
                let found = runtime.block_on(async { Names::new(&plan.names).lookup(name).await });
                let found =
                    found.map_err(|error| LocalError::NoHost { name: name.clone(), error })?;
                found.to_vec()
            }
        };
        let here =
            |address: &IpAddr| std::net::UdpSocket::bind(self.socket_address(*address, 0)).is_ok();
        let here: Vec<_> = found.into_iter().filter(here).collect();
        if here.is_empty() { Err(LocalError::NoAddress(name.clone())) } else { Ok(here) }
    }

    /// The address with a port and, if it is of IPv6, with the zone.
    pub(in crate::engine) fn socket_address(&self, address: IpAddr, port: u16) -> SocketAddr {
        match address {
            IpAddr::V6(address) => SocketAddrV6::new(address, port, 0, self.scope).into(),
            IpAddr::V4(_) => SocketAddr::new(address, port),
        }
    }

    /// The addresses that connections from here can reach: as in curl, those of the same family.
    ///
    /// # Errors
    /// If there are addresses, but none of them is.
    pub(in crate::engine) fn reached(
        &self,
        mut addresses: Vec<IpAddr>,
    ) -> Result<Vec<IpAddr>, Failure> {
        let Some(first) = addresses.first().copied() else { return Ok(addresses) };
        addresses.retain(|to| self.addresses.is_empty() || self.source(to.is_ipv4()).is_some());
        if addresses.is_empty() {
            let family = if first.is_ipv4() { "IPv4" } else { "IPv6" };
            let what = format!("--interface has no {family} address to connect to {first} from");
            return Err(Failure::new(FailureKind::Connect, what));
        }
        Ok(addresses)
    }

    /// Why no connection to a link-local address is possible if its zone is missing.
    fn without_zone(&self, address: SocketAddr) -> Option<io::Error> {
        match address.ip() {
            IpAddr::V6(v6) if v6.is_unicast_link_local() && self.scope == 0 => {
                Some(io::Error::other(NO_ZONE))
            }
            _ => None,
        }
    }

    fn source(&self, ipv4: bool) -> Option<IpAddr> {
        self.addresses.iter().find(|own| own.is_ipv4() == ipv4).copied()
    }

    pub(in crate::engine) async fn connect(&self, address: SocketAddr) -> io::Result<TcpStream> {
        let v4 = address.is_ipv4();
        let socket = {
            let _taking = descriptors::one_of_many();
            if v4 { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?
        };
        if self.device.is_none() && self.addresses.is_empty() {
            let stream = socket.connect(address).await;
            return stream.map_err(|error| self.without_zone(address).unwrap_or(error));
        }
        if let Some(device) = &self.device {
            socket.bind_device(Some(device.as_bytes()))?;
        }
        if let Some(own) = self.source(v4) {
            // Otherwise ports in TIME_WAIT could not be used again.
            socket.set_reuseaddr(true)?;
            socket.bind(self.socket_address(own, 0))?;
        }
        socket.connect(address).await
    }
}

/// What the system calls an invalid argument.
const NO_ZONE: &str =
    "a link-local address needs its network interface, such as %25eth0 at its end";

/// Whether a socket can be bound to this interface.
fn bound(name: &str) -> io::Result<()> {
    // Its name has at most 15 bytes, so that a longer one is something else.
    if name.len() > 15 {
        return Err(io::ErrorKind::NotFound.into());
    }
    TcpSocket::new_v4()?.bind_device(Some(name.as_bytes()))
}

fn is_unknown(error: &io::Error) -> bool {
    const ENODEV: i32 = 19;
    error.kind() == io::ErrorKind::NotFound || error.raw_os_error() == Some(ENODEV)
}

/// The index of an interface.
fn index(name: &str) -> Option<u32> {
    let socket = rustix::net::socket(AddressFamily::INET, SocketType::DGRAM, None).ok()?;
    netdevice::name_to_index(&socket, name).ok()
}

/// The index of a zone, which is the name of an interface or its index.
fn scope(zone: &str) -> Result<u32, LocalError> {
    let by_number = || {
        let socket = rustix::net::socket(AddressFamily::INET, SocketType::DGRAM, None).ok()?;
        let number = zone.parse::<u32>().ok()?;
        netdevice::index_to_name(&socket, number).ok().map(|_| number)
    };
    index(zone).or_else(by_number).ok_or_else(|| LocalError::Zone(zone.to_owned()))
}
