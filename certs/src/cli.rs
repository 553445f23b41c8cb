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
/// Clusters trust each other only if the certificates of their workloads have
/// the same root. 'generate' makes that root and an intermediate CA for each
/// cluster, in the four files that Istio reads from the secret 'cacerts'.
#[derive(Debug, Parser)]
#[command(name = "certs", version, max_term_width = 80, after_help = EXAMPLES)]
pub struct Cli {
    #[command(subcommand)]
    pub command: Command,
}

const EXAMPLES: &str = "\
Examples:
  certs generate --out certificates --cluster kops --cluster gke1
  certs workload --ca certificates/kops --out me \\
      --id spiffe://cluster.local/ns/istio-enabled/sa/sleep
  certs show certificates

Exit code: 0 success, 2 wrong usage or failure (nothing was changed).";

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Make a shared root, and an intermediate CA for each cluster.
    ///
    /// Writes root-cert.pem and root-key.pem to DIR, and for each cluster a directory
    /// with ca-cert.pem, ca-key.pem, root-cert.pem and cert-chain.pem. An existing
    /// root is used again, and existing clusters that match it are kept: a second
    /// run changes nothing, and clusters can be added at any time.
    Generate(Generate),
    /// Make a workload certificate with a SPIFFE id.
    ///
    /// Writes cert-chain.pem (the certificate, then the intermediate), key.pem and
    /// root-cert.pem to the directory. An existing certificate of the same id is
    /// renewed.
    Workload(Workload),
    /// Show the fields of certificates, and whether they have the same root.
    ///
    /// A certificate in several files is shown once, below the names of all files.
    Show(Show),
    /// Print a completion script for a shell
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
}

#[derive(Debug, Args)]
pub struct Generate {
    /// The directory to make or to complete
    #[arg(long, value_name = "DIR")]
    pub out: PathBuf,
    /// The name of a cluster; repeat it for each cluster
    #[arg(long = "cluster", value_name = "NAME", required = true)]
    pub clusters: Vec<String>,
    /// The type of new private keys
    #[arg(long, value_name = "KIND", default_value = "rsa4096")]
    pub key: KeyKind,
    /// Replace the root and all clusters in DIR
    #[arg(long)]
    pub force: bool,
}

#[derive(Debug, Args)]
pub struct Workload {
    /// The directory of the cluster's CA, made by 'certs generate'
    #[arg(long, value_name = "DIR")]
    pub ca: PathBuf,
    /// The directory to write to
    #[arg(long, value_name = "DIR")]
    pub out: PathBuf,
    /// The SPIFFE id: spiffe://TRUST-DOMAIN/ns/NAMESPACE/sa/ACCOUNT
    #[arg(long, value_name = "SPIFFE-ID", conflicts_with_all = ["namespace", "service_account"])]
    pub id: Option<String>,
    /// The namespace, without --id
    #[arg(long, value_name = "NAME", required_unless_present = "id")]
    pub namespace: Option<String>,
    /// The service account, without --id
    #[arg(long, value_name = "NAME", required_unless_present = "id")]
    pub service_account: Option<String>,
    /// The trust domain, without --id
    #[arg(long, value_name = "DOMAIN", default_value = "cluster.local", conflicts_with = "id")]
    pub trust_domain: String,
    /// The validity, such as 24h or 90m; ends no later than that of the CA
    #[arg(long, value_name = "TIME", default_value = "24h", value_parser = validity::parse)]
    pub validity: Duration,
    /// The type of the new private key
    #[arg(long, value_name = "KIND", default_value = "rsa2048")]
    pub key: KeyKind,
}

#[derive(Debug, Args)]
pub struct Show {
    /// Files, or directories made by 'certs generate'
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
    /// The SPIFFE id, from --id or from its parts.
    ///
    /// # Errors
    /// If it is invalid.
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
