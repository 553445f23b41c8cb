//! Two Istio clusters on loopback addresses, with real Envoy: what they are (`topology`), how
//! each Envoy is configured (`envoy_config`), and a running [`Mesh`]. No shipped program
//! depends on this crate.

mod envoy_config;
mod error;
mod mesh;
mod process;
pub mod scenario;
pub mod topology;

pub use error::Error;
pub use mesh::{Mesh, Options, Trust, action, remote, state, summary};
pub use process::{Companion, Kind, Program, Tools, envoy, guard};
