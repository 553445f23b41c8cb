//! The system's own files: the hosts file and resolv.conf.

use std::fs;
use std::path::Path;

use hickory_resolver::proto::rr::Name;

use super::hosts::Hosts;
use super::resolv_conf::{self, ResolvConf};

/// The largest hosts file, in bytes: lists that block advertisements are long.
const MOST_HOSTS: u64 = 32 << 20;
/// The largest resolv.conf, in bytes: search domains are unlimited in glibc.
const MOST_CONF: u64 = 1 << 20;

/// Reads the hosts file; a file that cannot be read counts as empty.
pub(super) fn read_hosts(path: &Path) -> Hosts {
    let text = usage::file::read(path, MOST_HOSTS).unwrap_or_default();
    let lossy = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Hosts::parse(String::from_utf8(text).unwrap_or_else(|error| lossy(error.as_bytes())))
}

/// Servers, search domains and options. With `own_servers`, the file may be missing or without a
/// server.
///
/// # Errors
/// Why there is no server, in one line.
pub(super) fn read_resolv_conf(path: &Path, own_servers: bool) -> Result<ResolvConf, String> {
    let text = match usage::file::read(path, MOST_CONF) {
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
