//! The system's own files: the hosts file and resolv.conf.

use std::fs;
use std::net::IpAddr;
use std::path::Path;

use hickory_resolver::Hosts;
use hickory_resolver::proto::op::Query;
use hickory_resolver::proto::rr::{Name, RecordType};

use super::resolv_conf::{self, ResolvConf};

/// The largest hosts file and `resolv.conf`, in bytes: lists that block advertisements are long.
const MOST_BYTES: u64 = 64 << 20;

pub(super) struct HostsFile(Hosts);

impl HostsFile {
    /// Reads the file; a file that cannot be read counts as empty.
    pub(super) fn read(path: &Path) -> Self {
        let mut hosts = Hosts::default();
        if let Ok(text) = usage::file::read(path, MOST_BYTES) {
            // Otherwise all lines after one that is not UTF-8 would be lost.
            let _ = hosts.read_hosts_conf(String::from_utf8_lossy(&text).as_bytes());
        }
        Self(hosts)
    }

    /// The addresses of exactly this name; search domains are only for DNS.
    pub(super) fn addresses(&self, name: &str) -> Vec<IpAddr> {
        let Ok(name) = Name::from_str_relaxed(name) else { return Vec::new() };
        [RecordType::A, RecordType::AAAA]
            .into_iter()
            .filter_map(|kind| self.0.lookup_static_host(&Query::query(name.clone(), kind)))
            .flat_map(|found| found.answers().to_vec())
            .filter_map(|record| record.data.ip_addr())
            .collect()
    }
}

/// Servers, search domains and options. With `own_servers`, the file may be missing or without a
/// server.
///
/// # Errors
/// Why there is no server, in one line.
pub(super) fn read_resolv_conf(path: &Path, own_servers: bool) -> Result<ResolvConf, String> {
    let text = match usage::file::read(path, MOST_BYTES) {
        Ok(text) => text,
        Err(_) if own_servers => Vec::new(),
        Err(error) => return Err(format!("{}: {}", path.display(), usage::system_error(&error))),
    };
    let conf = ResolvConf::parse(&String::from_utf8_lossy(&text), interface);
    if conf.servers.is_empty() && !own_servers {
        return Err(format!("{}: it names no server ('nameserver 10.0.0.1')", path.display()));
    }
    Ok(conf)
}

/// The index of a network interface.
fn interface(name: &str) -> Option<u32> {
    if name.contains('/') {
        return None;
    }
    fs::read_to_string(format!("/sys/class/net/{name}/ifindex")).ok()?.trim().parse().ok()
}

/// The part of this machine's name after its first dot, which glibc searches by default.
pub(super) fn local_domain() -> Option<Name> {
    let host = rustix::system::uname();
    resolv_conf::domain(host.nodename().to_str().ok()?.split_once('.')?.1)
}
