//! The certificates of an Istio mesh over several clusters: one root, an
//! intermediate authority per cluster, workload certificates with SPIFFE ids.
//! The fields and files are those of Istio's own `tools/certs`.
//! Nothing here prints; `main` does.

mod authority;
mod certificate;
pub mod cli;
mod error;
mod files;
pub mod generate;
mod key;
pub mod show;
mod spiffe;
mod validity;
pub mod workload;

pub use authority::{Authority, CA_VALIDITY, check_cluster_name};
pub use certificate::Certificate;
pub use error::Error;
pub use key::KeyKind;
pub use spiffe::SpiffeId;
pub use workload::{WORKLOAD_VALIDITY, Workload};
