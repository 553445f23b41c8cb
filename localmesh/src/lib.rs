//! Two Istio clusters on loopback addresses, with real Envoy: what they are
//! (`topology`), and what Envoy is told (`envoy_config`).

pub mod envoy_config;
pub mod matrix;
pub mod topology;
