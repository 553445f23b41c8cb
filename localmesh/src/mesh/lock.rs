//! The lock of a block of addresses: one mesh per block, across all users of the machine.

use std::io;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{SocketAddr, UnixListener, UnixStream};

use rustix::net::sockopt::socket_peercred;

use crate::error::Error;

/// Held while a mesh runs; also the socket that `remote` connects to. It is a socket in the
/// kernel's abstract name space: it ends with its process, needs no file, and belongs to the
/// network namespace, as the addresses do.
#[derive(Debug)]
pub(crate) struct Lock {
    sockets: Vec<UnixListener>,
}

pub(crate) fn name(block: u8) -> String {
    format!("localmesh/127.{block}")
}

impl Lock {
    /// Takes the block. The error names the process that has it.
    pub(crate) fn take(block: u8) -> Result<Self, Error> {
        let name = name(block);
        let failed = |reason| Error::File { path: format!("@{name}").into(), reason };
        let address = SocketAddr::from_abstract_name(&name).map_err(failed)?;
        match UnixListener::bind_addr(&address) {
            Ok(socket) => Ok(Self { sockets: vec![socket] }),
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
                Err(Error::Taken { block, pid: owner(&address) })
            }
            Err(error) => Err(failed(error)),
        }
    }

    /// Also listens in this thread's network namespace, so that `remote` works from there.
    pub(crate) fn listen_too(&mut self, block: u8) -> Result<(), Error> {
        self.sockets.append(&mut Self::take(block)?.sockets);
        Ok(())
    }

    pub(crate) fn listeners(&self) -> &[UnixListener] {
        &self.sockets
    }
}

/// The process that listens at `address`.
fn owner(address: &SocketAddr) -> Option<u32> {
    let stream = UnixStream::connect_addr(address).ok()?;
    let peer = socket_peercred(&stream).ok()?;
    u32::try_from(peer.pid.as_raw_nonzero().get()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_is_taken_once_and_free_again() {
        let lock = Lock::take(255).unwrap();
        let refused = Lock::take(255).unwrap_err().to_string();
        let own = format!("a mesh on 127.255.0.0/16 already runs (pid {})", std::process::id());
        assert!(refused.starts_with(&own), "{refused}");
        drop(lock);
        Lock::take(255).unwrap();
    }
}
