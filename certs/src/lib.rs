//! The certificates of an Istio mesh over several clusters: one root, an intermediate
//! authority per cluster, workload certificates with SPIFFE ids. The fields and files are
//! those of Istio's own `tools/certs`. Nothing here prints; `main` does.

mod authority;
mod certificate;
mod cli;
mod error;
mod files;
mod generate;
mod issue;
mod key;
mod show;
mod spiffe;
mod validity;
mod workload;

pub use authority::Authority;
pub use certificate::Certificate;
pub use cli::{Cli, Command};
pub use error::Error;
pub use generate::{Request, generate};
pub use issue::issue;
pub use key::KeyKind;
pub use show::show;
pub use spiffe::SpiffeId;
pub use workload::{WORKLOAD_VALIDITY, Workload};
