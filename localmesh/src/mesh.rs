//! A running mesh: started as one, changed by actions, stopped as one.

pub mod action;
mod authorities;
mod control;
pub(crate) mod files;
mod find;
mod history;
mod http;
mod lock;
mod matrix;
mod perform;
mod ports;
mod publish;
mod ready;
pub mod remote;
mod restore;
pub(crate) mod running;
pub mod state;
pub mod summary;

pub use authorities::Trust;
pub use running::{Mesh, Options};
