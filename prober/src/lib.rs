//! prober.

pub mod overrides;
pub mod resolve;
