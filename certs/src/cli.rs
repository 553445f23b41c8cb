//! Every flag of `certs`; the doc comments are the help.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};

use crate::error::Error;
use crate::generate::Request;
use crate::key::KeyKind;
use crate::spiffe::SpiffeId;
use crate::validity;

/// The certificates of an Istio mesh over several clusters.
///
/// Clusters trust each other only if the certificates of their workloads lead
/// to one root. 'generate' makes that root and an intermediate authority for
/// each cluster, in the four files that Istio reads from the secret 'cacerts'.
#[derive(Debug, Parser)]
#[command(name = "certs", version, max_term_width = 80, after_help = EXAMPLES)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

const EXAMPLES: &str = "\
Examples:
  certs generate --out certificates --cluster kops --cluster gke1
  certs workload --ca certificates/kops --out me \\
      --id spiffe://cluster.local/ns/istio-enabled/sa/sleep
  certs show certificates

Exit code: 0 done, 2 wrong usage or could not be done (nothing was changed).";

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Make a shared root, and an intermediate authority for each cluster.
    ///
    /// Into DIR go root-cert.pem and root-key.pem, and for each cluster a folder
    /// with ca-cert.pem, ca-key.pem, root-cert.pem and cert-chain.pem. A root that
    /// is there is used again, and clusters that are there and fit it are kept, so
    /// a second run changes nothing and a new cluster can be added at any time.
    Generate(Generate),
    /// Make a workload certificate with a SPIFFE id.
    ///
    /// Into the folder go cert-chain.pem (the certificate, then the intermediate),
    /// key.pem and root-cert.pem. A certificate of the same id that is there is
    /// renewed.
    Workload(Workload),
    /// Show what stands in certificates, and whether they have one root.
    ///
    /// A certificate that is in several files is shown once, below all of them.
    Show(Show),
    /// Print a completion script for a shell
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
}

/// The flags of `certs generate`.
#[derive(Debug, Args)]
pub struct Generate {
    /// The folder to make, or to complete
    #[arg(long, value_name = "DIR")]
    pub out: PathBuf,
    /// A cluster's name; give it once for each cluster
    #[arg(long = "cluster", value_name = "NAME", required = true)]
    pub clusters: Vec<String>,
    /// The kind of the new private keys, of root and clusters
    #[arg(long, value_name = "KIND", default_value = "rsa4096")]
    pub key: KeyKind,
    /// Start anew: replace the root and all clusters in DIR
    #[arg(long)]
    pub force: bool,
}

/// The flags of `certs workload`.
#[derive(Debug, Args)]
pub struct Workload {
    /// The folder of the cluster's authority, made by 'certs generate'
    #[arg(long, value_name = "DIR")]
    pub ca: PathBuf,
    /// The folder to write to
    #[arg(long, value_name = "DIR")]
    pub out: PathBuf,
    /// Who the workload is: spiffe://TRUST-DOMAIN/ns/NAMESPACE/sa/ACCOUNT
    #[arg(long, value_name = "SPIFFE-ID", conflicts_with_all = ["namespace", "service_account"])]
    pub id: Option<String>,
    /// Its namespace, if --id is not given
    #[arg(long, value_name = "NAME", required_unless_present = "id")]
    pub namespace: Option<String>,
    /// Its service account, if --id is not given
    #[arg(long, value_name = "NAME", required_unless_present = "id")]
    pub service_account: Option<String>,
    /// Its trust domain, if --id is not given
    #[arg(long, value_name = "DOMAIN", default_value = "cluster.local", conflicts_with = "id")]
    pub trust_domain: String,
    /// How long it is valid, such as 24h or 90m; never longer than its authority
    #[arg(long, value_name = "TIME", default_value = "24h", value_parser = validity::parse)]
    pub validity: Duration,
    /// The kind of the new private key
    #[arg(long, value_name = "KIND", default_value = "rsa2048")]
    pub key: KeyKind,
}

/// The arguments of `certs show`.
#[derive(Debug, Args)]
pub struct Show {
    /// Files, or folders as 'certs generate' makes them
    #[arg(value_name = "FILE|DIR", required = true)]
    pub paths: Vec<PathBuf>,
}

impl From<Generate> for Request {
    fn from(flags: Generate) -> Self {
        let Generate { out, clusters, key, force } = flags;
        Self { out, clusters, key, force }
    }
}

impl Workload {
    /// The id, however it was given.
    ///
    /// # Errors
    /// If it is none.
    pub fn spiffe_id(&self) -> Result<SpiffeId, Error> {
        match &self.id {
            Some(id) => SpiffeId::parse(id),
            None => {
                let part = |part: &Option<String>| part.clone().unwrap_or_default();
                let (namespace, account) = (part(&self.namespace), part(&self.service_account));
                SpiffeId::new(&self.trust_domain, &namespace, &account)
            }
        }
    }
}
