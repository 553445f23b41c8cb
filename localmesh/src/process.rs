//! The processes of a mesh: which programs it needs, and children that never outlive it.

pub(crate) mod child;
mod companion;
pub mod envoy;
pub mod guard;
pub(crate) mod isolation;
pub(crate) mod programs;
pub(crate) mod tools;

pub use companion::Companion;
pub use programs::{Kind, Program};
pub use tools::Tools;
