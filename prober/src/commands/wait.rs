//! `prober wait`: waits for SIGTERM or Ctrl-c.

use tokio::runtime::Builder;
use tokio_util::sync::CancellationToken;

use super::Error;

/// Returns the exit code.
pub(crate) fn run(stop: &CancellationToken) -> Result<u8, Error> {
    let runtime = Builder::new_current_thread().build().map_err(Error::Wait)?;
    runtime.block_on(stop.cancelled());
    Ok(0)
}
