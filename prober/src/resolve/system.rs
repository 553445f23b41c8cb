//! The system's own files: the hosts file and resolv.conf.

use std::fs;
use std::net::IpAddr;
use std::path::Path;

use hickory_resolver::Hosts;
use hickory_resolver::config::{ResolverConfig, ResolverOpts};
use hickory_resolver::proto::op::Query;
use hickory_resolver::proto::rr::{Name, RecordType};

/// The hosts file.
pub(super) struct HostsFile(Hosts);

impl HostsFile {
    /// Reads the file; what cannot be read is as if it were not there.
    pub(super) fn read(path: &Path) -> Self {
        let mut hosts = Hosts::default();
        if let Ok(text) = fs::read(path) {
            // Lines past one that is not UTF-8 would be lost otherwise.
            let _ = hosts.read_hosts_conf(String::from_utf8_lossy(&text).as_bytes());
        }
        Self(hosts)
    }

    /// The addresses of exactly this name; search domains are for DNS alone.
    pub(super) fn addresses(&self, name: &str) -> Vec<IpAddr> {
        let Ok(name) = Name::from_str_relaxed(name) else { return Vec::new() };
        [RecordType::A, RecordType::AAAA]
            .into_iter()
            .filter_map(|kind| self.0.lookup_static_host(&Query::query(name.clone(), kind)))
            .flat_map(|found| super::dns::addresses(&found))
            .collect()
    }
}

/// Servers, search domains and options. With `own_servers`, those of the file do not
/// matter, and neither does whether there are any; without, there must be one.
/// An error is the reason why there is no server, in words.
#[cfg(all(unix, not(any(target_os = "android", target_vendor = "apple"))))]
pub(super) fn read_resolv_conf(
    path: &Path,
    own_servers: bool,
) -> Result<(ResolverConfig, ResolverOpts), String> {
    let mut text = match fs::read(path) {
        Ok(text) => text,
        Err(_) if own_servers => Vec::new(),
        Err(error) => return Err(format!("{}: {error}", path.display())),
    };
    if own_servers {
        // hickory refuses a file without a server, and with it the search domains.
        text.extend_from_slice(b"\nnameserver 127.0.0.1\n");
    }
    hickory_resolver::system_conf::parse_resolv_conf(&text)
        .map_err(|error| format!("{}: {}", path.display(), reason(&error)))
}

/// The system's configuration, wherever it keeps it.
#[cfg(not(all(unix, not(any(target_os = "android", target_vendor = "apple")))))]
pub(super) fn read_resolv_conf(
    _path: &Path,
    own_servers: bool,
) -> Result<(ResolverConfig, ResolverOpts), String> {
    match hickory_resolver::system_conf::read_system_conf() {
        Err(_) if own_servers => {
            Ok((ResolverConfig::from_parts(None, vec![], vec![]), ResolverOpts::default()))
        }
        read => read.map_err(|error| error.to_string()),
    }
}

/// The error without hickory's own prefix.
#[cfg(all(unix, not(any(target_os = "android", target_vendor = "apple"))))]
fn reason(error: &hickory_resolver::net::NetError) -> String {
    let text = error.to_string();
    text.strip_prefix("io error: ").map_or(text.clone(), str::to_owned)
}
