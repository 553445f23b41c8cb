//! Networks that reach each other only through gateways: a network namespace for each, and
//! one between them, the internet, which routes to gateways only.
//!
//! A namespace has no name in the file system. It exists as long as a process that holds it,
//! and that process ends with localmesh: nothing is left to clean up.

use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::net::Ipv4Addr;
use std::os::fd::AsFd as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::geteuid;
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use super::guard::{ENTER, guarded};
use super::tools::Tools;
use crate::error::Error;
use crate::topology::{ENVOY_ADMIN_PORT, Network, Topology};

/// The most bytes of the stderr of `unshare` that are read.
const MOST_SAID: u64 = 16 << 10;
/// The time limit for making a namespace.
const PATIENCE: Duration = Duration::from_secs(10);
const POLL: Duration = Duration::from_millis(2);
/// The network namespace of the calling thread.
const OWN: &str = "/proc/thread-self/ns/net";

#[derive(Debug)]
pub(crate) struct Isolation {
    /// The namespace of localmesh itself.
    home: File,
    internet: Namespace,
    networks: Vec<(Network, Namespace)>,
}

/// A network namespace, and the process that holds it.
#[derive(Debug)]
struct Namespace {
    holder: Child,
    path: PathBuf,
    link: File,
}

impl Isolation {
    /// Makes a namespace for each network, and links them.
    ///
    /// # Errors
    /// If this user is not root, a program is missing, or the kernel refuses.
    pub(crate) fn make(topology: &Topology, tools: &Tools) -> Result<Self, Error> {
        if !geteuid().is_root() {
            return Err(Error::NotRoot);
        }
        for (program, package) in
            [("ip", "iproute2"), ("unshare", "util-linux"), (ENTER, "util-linux")]
        {
            let asked = Command::new(program).arg("-V").stdin(Stdio::null()).output();
            asked.map_err(|_| Error::NoProgram { program, package })?;
        }
        let home = File::open(OWN).map_err(Error::file(OWN))?;
        let internet = Namespace::make(tools)?;
        let mut networks = Vec::new();
        for network in topology.networks() {
            networks.push((network, Namespace::make(tools)?));
        }
        let made = Self { home, internet, networks };
        made.link()?;
        Ok(made)
    }

    fn link(&self) -> Result<(), Error> {
        let forward = "/proc/sys/net/ipv4/ip_forward";
        let forwarding = self.visit(&self.internet, || fs::write(forward, "1"))?;
        forwarding.map_err(Error::file(forward))?;
        let pids = self.networks.iter().map(|(network, space)| (network, space.holder.id()));
        self.ip(&self.internet, &internet(&pids.collect::<Vec<_>>()))?;
        self.networks.iter().try_for_each(|(network, space)| self.ip(space, &inside(network)))
    }

    /// Runs `ip` commands in a namespace.
    fn ip(&self, space: &Namespace, commands: &[String]) -> Result<(), Error> {
        let run = || -> io::Result<_> {
            let mut ip = Command::new("ip");
            ip.args(["-batch", "-"]).stdin(Stdio::piped()).stdout(Stdio::null());
            let mut child = ip.stderr(Stdio::piped()).spawn()?;
            if let Some(mut stdin) = child.stdin.take() {
                writeln!(stdin, "{}", commands.join("\n"))?;
            }
            child.wait_with_output()
        };
        let output = self.visit(space, run)?.map_err(Error::file("ip"))?;
        match output.status.success() {
            true => Ok(()),
            false => {
                let said = String::from_utf8_lossy(&output.stderr);
                Err(Error::Isolation(said.lines().collect::<Vec<_>>().join(" ")))
            }
        }
    }

    /// Calls `act` in the namespace of the pod with this address.
    pub(crate) fn with<T>(&self, address: Ipv4Addr, act: impl FnOnce() -> T) -> Result<T, Error> {
        match self.networks.iter().find(|(network, _)| network.holds(address)) {
            Some((_, space)) => self.visit(space, act),
            None => self.visit(&self.internet, act),
        }
    }

    /// Calls `act` in each namespace.
    pub(crate) fn everywhere(
        &self,
        mut act: impl FnMut() -> Result<(), Error>,
    ) -> Result<(), Error> {
        let networks = self.networks.iter().map(|(_, space)| space);
        networks.chain([&self.internet]).try_for_each(|space| self.visit(space, &mut act)?)
    }

    /// Moves only this thread into a namespace and back.
    fn visit<T>(&self, space: &Namespace, act: impl FnOnce() -> T) -> Result<T, Error> {
        let go = |to: &File| {
            move_into_link_name_space(to.as_fd(), Some(LinkNameSpaceType::Network))
                .map_err(|errno| Error::Isolation(format!("cannot enter a namespace: {errno}")))
        };
        go(&space.link)?;
        let done = act();
        go(&self.home)?;
        Ok(done)
    }

    /// The path of the namespace of the pod with this address, for `nsenter --net=`.
    pub(crate) fn path(&self, address: Ipv4Addr) -> &Path {
        let found = self.networks.iter().find(|(network, _)| network.holds(address));
        found.map_or(&self.internet.path, |(_, space)| &space.path)
    }

    /// The path of the namespace between the networks.
    pub(crate) fn internet(&self) -> &Path {
        &self.internet.path
    }

    /// Cuts or restores the connection of two networks. Packets are dropped without an error.
    pub(crate) fn cut(&self, one: &str, other: &str, cut: bool) -> Result<(), Error> {
        let subnets = |name: &str| {
            let found = self.networks.iter().find(|(network, _)| network.name == name);
            found.map_or(&[][..], |(network, _)| &network.subnets)
        };
        self.ip(&self.internet, &rules(subnets(one), subnets(other), cut))
    }
}

impl Namespace {
    /// Starts a process that makes a namespace and keeps it.
    fn make(tools: &Tools) -> Result<Self, Error> {
        let mut command = guarded(&tools.launcher, Path::new("unshare"));
        command.args(["--net", "--"]).arg(&tools.prober).arg("wait");
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let spawned = command.spawn();
        let holder = spawned.map_err(|reason| Error::Spawn { name: "unshare".into(), reason })?;
        let path = PathBuf::from(format!("/proc/{}/ns/net", holder.id()));
        let link = File::open(&path).map_err(Error::file(path.as_path()))?;
        // From here on, dropping it ends the process.
        let mut space = Self { holder, path, link };
        let own = fs::read_link(OWN).map_err(Error::file(OWN))?;
        let deadline = Instant::now() + PATIENCE;
        loop {
            if space.holder.try_wait().map_err(Error::file("unshare"))?.is_some() {
                let mut said = String::new();
                if let Some(stderr) = space.holder.stderr.take() {
                    let _ = stderr.take(MOST_SAID).read_to_string(&mut said);
                }
                return Err(Error::Isolation(said.lines().collect::<Vec<_>>().join(" ")));
            }
            // The link changes once the process has left this namespace.
            if fs::read_link(&space.path).is_ok_and(|to| to != own) {
                space.link = File::open(&space.path).map_err(Error::file(space.path.as_path()))?;
                return Ok(space);
            }
            if Instant::now() > deadline {
                let what = "a network namespace".into();
                return Err(Error::NotReady { what, after: PATIENCE });
            }
            std::thread::sleep(POLL);
        }
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        // Both fail without harm if it has ended.
        let _ = self.holder.kill();
        let _ = self.holder.wait();
    }
}

/// The routes to the admin interfaces of all Envoys: their own table, chosen by port.
const ADMIN_TABLE: u16 = ENVOY_ADMIN_PORT;
/// Rules with a lower number come first: a cut does not cut what is read of the Envoys.
const ADMIN_PRIORITY: u16 = 100;
const CUT_PRIORITY: u16 = 200;

/// The `ip` commands in the internet: a link to each network, and routes to gateways and to
/// the addresses that requests come from. All other packets are dropped, except those from and
/// to the admin interfaces of Envoys, as on a network for management.
fn internet(networks: &[(&Network, u32)]) -> Vec<String> {
    let mut commands = vec!["link set lo up".to_owned()];
    for (number, (network, pid)) in networks.iter().enumerate() {
        let Network { far, near, egress, gateways, .. } = network;
        commands
            .push(format!("link add name net{number} type veth peer name internet netns {pid}"));
        commands.push(format!("address add {far}/31 dev net{number}"));
        commands.push(format!("link set net{number} up"));
        let known = gateways.iter().chain([egress]);
        commands.extend(known.map(|address| format!("route add {address}/32 via {near}")));
        commands.extend(
            network
                .subnets
                .iter()
                .map(|subnet| format!("route add {subnet}/24 via {near} table {ADMIN_TABLE}")),
        );
    }
    for (port, table) in [("dport", ADMIN_TABLE.to_string()), ("sport", "main".to_owned())] {
        commands.push(format!(
            "rule add priority {ADMIN_PRIORITY} ipproto tcp {port} {ENVOY_ADMIN_PORT} lookup {table}"
        ));
    }
    commands.push("route add blackhole default".to_owned());
    commands
}

/// The `ip` commands in a network: the addresses of its clusters are local, all others are
/// behind the link.
fn inside(network: &Network) -> Vec<String> {
    let Network { subnets, far, near, egress, .. } = network;
    let mut commands = vec!["link set lo up".to_owned()];
    commands.extend(subnets.iter().map(|subnet| {
        let [a, b, c, _] = subnet.octets();
        format!("address add {a}.{b}.{c}.1/24 dev lo")
    }));
    commands.push(format!("address add {near}/31 dev internet"));
    commands.push("link set internet up".to_owned());
    commands.push(format!("route add default via {far} src {egress}"));
    commands
}

/// The rules that drop packets between two networks, in both directions.
fn rules(one: &[Ipv4Addr], other: &[Ipv4Addr], cut: bool) -> Vec<String> {
    let verb = if cut { "add" } else { "delete" };
    let pairs = one.iter().flat_map(|a| other.iter().flat_map(move |b| [(a, b), (b, a)]));
    pairs
        .map(|(from, to)| {
            format!("rule {verb} priority {CUT_PRIORITY} from {from}/24 to {to}/24 blackhole")
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::topology::{INGRESS_PORT, Shape};

    #[test]
    fn the_internet_routes_to_gateways_and_admin_interfaces_only() {
        let topology = Topology::isolated(&Shape::two_clusters(), 7, INGRESS_PORT);
        let networks = topology.networks();
        let pids: Vec<_> = networks.iter().zip([11, 22]).collect();
        assert_eq!(
            internet(&pids),
            [
                "link set lo up",
                "link add name net0 type veth peer name internet netns 11",
                "address add 10.7.251.0/31 dev net0",
                "link set net0 up",
                "route add 10.7.1.2/32 via 10.7.251.1",
                "route add 10.7.1.3/32 via 10.7.251.1",
                "route add 10.7.1.1/32 via 10.7.251.1",
                "route add 10.7.1.0/24 via 10.7.251.1 table 15000",
                "link add name net1 type veth peer name internet netns 22",
                "address add 10.7.251.2/31 dev net1",
                "link set net1 up",
                "route add 10.7.2.2/32 via 10.7.251.3",
                "route add 10.7.2.3/32 via 10.7.251.3",
                "route add 10.7.2.1/32 via 10.7.251.3",
                "route add 10.7.2.0/24 via 10.7.251.3 table 15000",
                "rule add priority 100 ipproto tcp dport 15000 lookup 15000",
                "rule add priority 100 ipproto tcp sport 15000 lookup main",
                "route add blackhole default",
            ]
        );
        assert_eq!(
            inside(&networks[1]),
            [
                "link set lo up",
                "address add 10.7.2.1/24 dev lo",
                "address add 10.7.251.3/31 dev internet",
                "link set internet up",
                "route add default via 10.7.251.2 src 10.7.2.1",
            ]
        );
    }

    #[test]
    fn a_cut_works_both_ways_and_between_all_subnets() {
        let topology = Topology::isolated(&Shape::two_clusters(), 7, INGRESS_PORT);
        let [one, other] = &topology.networks()[..] else { panic!("two networks") };
        assert_eq!(
            rules(&one.subnets, &other.subnets, true),
            [
                "rule add priority 200 from 10.7.1.0/24 to 10.7.2.0/24 blackhole",
                "rule add priority 200 from 10.7.2.0/24 to 10.7.1.0/24 blackhole",
            ]
        );
        let many = [one.subnets[0], Ipv4Addr::new(10, 7, 3, 0)];
        assert_eq!(rules(&many, &other.subnets, false).len(), 4);
    }
}
