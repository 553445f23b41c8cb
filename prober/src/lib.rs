//! prober.

pub mod resolve;
