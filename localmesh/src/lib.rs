//! Two Istio clusters on loopback addresses, with real Envoy: what they are
//! (`topology`), what Envoy is told (`envoy_config`), and a running [`Mesh`].
//! Nothing that is shipped depends on this crate.

pub mod action;
mod authorities;
mod companion;
mod control;
pub mod envoy;
pub mod envoy_config;
mod error;
mod files;
pub mod guard;
mod http;
mod isolation;
mod lock;
pub mod matrix;
mod mesh;
mod perform;
mod ports;
mod process;
mod programs;
mod ready;
pub mod remote;
pub mod scenario;
pub mod state;
pub mod summary;
mod tools;
pub mod topology;

pub use authorities::Trust;
pub use companion::Companion;
pub use error::Error;
pub use mesh::{Mesh, Options};
pub use programs::{Kind, Program};
pub use tools::Tools;
