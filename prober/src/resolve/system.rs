//! The system's own files: the hosts file and resolv.conf.

use std::fs;
use std::net::IpAddr;
use std::path::Path;

use hickory_resolver::Hosts;
use hickory_resolver::config::{ResolverConfig, ResolverOpts};
use hickory_resolver::proto::op::Query;
use hickory_resolver::proto::rr::{Name, RecordType};

pub(super) struct HostsFile(Hosts);

impl HostsFile {
    /// Reads the file; a file that cannot be read counts as empty.
    pub(super) fn read(path: &Path) -> Self {
        let mut hosts = Hosts::default();
        if let Ok(text) = fs::read(path) {
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
            .flat_map(|found| super::dns::addresses(&found))
            .collect()
    }
}

/// Servers, search domains and options. With `own_servers`, the servers of the file are not used, and
/// the file may be missing.
///
/// # Errors
/// Why there is no server, in one line.
pub(super) fn read_resolv_conf(
    path: &Path,
    own_servers: bool,
) -> Result<(ResolverConfig, ResolverOpts), String> {
    let mut text = match fs::read(path) {
        Ok(text) => text,
        Err(_) if own_servers => Vec::new(),
        Err(error) => return Err(format!("{}: {}", path.display(), usage::system_error(&error))),
    };
    if own_servers {
        // hickory refuses a file without a server, also if only the search domains are needed.
        text.extend_from_slice(b"\nnameserver 127.0.0.1\n");
    }
    hickory_resolver::system_conf::parse_resolv_conf(&text)
        .map_err(|error| format!("{}: {}", path.display(), reason(&error)))
}

/// The error without hickory's prefix.
fn reason(error: &hickory_resolver::net::NetError) -> String {
    let text = error.to_string();
    text.strip_prefix("io error: ").map_or(text.clone(), str::to_owned)
}
