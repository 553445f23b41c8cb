//! Checks that the addresses are free, and finds out who listens on those that are not.

use std::fs;
use std::io;
use std::net::{Ipv4Addr, SocketAddrV4, TcpListener};

use crate::error::Error;

/// Checks that every address can be listened on.
pub(crate) fn check(addresses: impl IntoIterator<Item = SocketAddrV4>) -> Result<(), Error> {
    addresses.into_iter().try_for_each(|address| match TcpListener::bind(address) {
        Ok(_) => Ok(()),
        Err(reason) if reason.kind() == io::ErrorKind::AddrInUse => {
            Err(Error::Busy { address, holder: holder(address) })
        }
        Err(reason) => Err(Error::Bind { address, reason }),
    })
}

/// Whether this user can listen on every address.
pub(crate) fn can_listen(addresses: impl IntoIterator<Item = SocketAddrV4>) -> bool {
    check(addresses).is_ok()
}

/// The process that listens on `address`, or on its port on all addresses. Only root sees
/// the processes of other users.
fn holder(address: SocketAddrV4) -> Option<String> {
    let inode = listening_inode(address)?;
    let wanted = format!("socket:[{inode}]");
    let processes = fs::read_dir("/proc").ok()?.filter_map(Result::ok);
    for process in processes {
        let Ok(pid) = process.file_name().to_string_lossy().parse::<u32>() else { continue };
        let Ok(open) = fs::read_dir(process.path().join("fd")) else { continue };
        let holds = open.filter_map(Result::ok).any(|file| {
            fs::read_link(file.path()).is_ok_and(|target| target.as_os_str() == wanted.as_str())
        });
        if holds {
            let name = fs::read_to_string(process.path().join("comm")).unwrap_or_default();
            return Some(format!("{} (pid {pid})", name.trim()));
        }
    }
    None
}

fn listening_inode(address: SocketAddrV4) -> Option<u64> {
    let read = |path| fs::read_to_string(path).unwrap_or_default();
    inode_in(&read("/proc/net/tcp"), address).or_else(|| inode_in(&read("/proc/net/tcp6"), address))
}

/// Finds the listener in a table in the format of `/proc/net/tcp`.
fn inode_in(table: &str, address: SocketAddrV4) -> Option<u64> {
    const LISTEN: &str = "0A";
    table.lines().skip(1).find_map(|line| {
        let mut fields = line.split_whitespace().skip(1);
        let (local, state) = (fields.next()?, fields.nth(1)?);
        let (host, port) = local.split_once(':')?;
        let same_port = u16::from_str_radix(port, 16) == Ok(address.port());
        let same_host =
            host.bytes().all(|digit| digit == b'0') || ipv4(host) == Some(*address.ip());
        (state == LISTEN && same_port && same_host).then(|| fields.nth(5)?.parse().ok())?
    })
}

/// An address as the kernel prints it: four bytes in the machine's byte order; the last four
/// bytes of a mapped IPv6 address.
fn ipv4(hex: &str) -> Option<Ipv4Addr> {
    let word = hex.get(hex.len().checked_sub(8)?..)?;
    Some(Ipv4Addr::from(u32::from_str_radix(word, 16).ok()?.to_ne_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::{Duration, Instant};

    #[test]
    fn a_busy_address_is_named_with_its_holder() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let std::net::SocketAddr::V4(address) = listener.local_addr().unwrap() else {
            unreachable!("bound to IPv4")
        };
        let said = check([address]).unwrap_err().to_string();
        assert!(said.starts_with(&format!("{address} is in use by ")), "{said}");
        assert!(said.ends_with(&format!("(pid {})", std::process::id())), "{said}");
        drop(listener);
        // A process that another test starts holds it, too, until it runs its own program.
        let deadline = Instant::now() + Duration::from_secs(10);
        while let Err(error) = check([address]) {
            assert!(Instant::now() < deadline, "{error}");
            std::thread::yield_now();
        }
    }

    #[test]
    fn a_listener_at_every_address_holds_each_of_them() {
        let listener = TcpListener::bind("0.0.0.0:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let said = check([SocketAddrV4::new(Ipv4Addr::LOCALHOST, port)]).unwrap_err().to_string();
        assert!(said.contains(&format!("pid {}", std::process::id())), "{said}");
    }
}
