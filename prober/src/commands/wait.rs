//! `prober wait`: does nothing until it is told to stop.

use tokio::runtime::Builder;
use tokio_util::sync::CancellationToken;

use super::Error;

/// Waits for `stop`; returns the exit code.
pub(crate) fn run(stop: &CancellationToken) -> Result<u8, Error> {
    let runtime = Builder::new_current_thread().build().map_err(Error::Wait)?;
    runtime.block_on(stop.cancelled());
    Ok(0)
}
