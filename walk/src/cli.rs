//! The command line. The doc comments are the help.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

/// From two empty Kubernetes clusters to one Istio mesh, its verdict, and back
///
/// Prints every command of kubectl and istioctl before it runs. Each step waits for
/// what it started, ends with one line that says what to correct, and can be run
/// again. Runs in the folder of the repository.
#[derive(Debug, Parser)]
#[command(name = "walk", version, max_term_width = 80, after_help = EXAMPLES)]
pub(crate) struct Cli {
    /// The file with the settings
    #[arg(long, global = true, value_name = "FILE", default_value = "clusters.yaml")]
    pub(crate) settings: PathBuf,
    /// A setting that replaces that of the file; repeat it for each
    #[arg(long, global = true, value_name = "[CLUSTER.]KEY=VALUE")]
    pub(crate) set: Vec<String>,
    /// Print the commands, but ask nothing and change nothing
    #[arg(long, global = true)]
    pub(crate) dry_run: bool,
    #[command(subcommand)]
    pub(crate) command: Command,
}

const EXAMPLES: &str = "\
Examples:
  walk doctor
  walk install --dry-run --set strict-mtls=true
  walk echo-status --settings mine.yaml --set gke1.ingress-ip=34.82.246.2

Exit code: 0 success, 1 a command failed or doctor found a problem, 2 something
to correct before anything was changed. echo-status and load end with the exit
code of prober.";

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Check tools, contexts, permissions, API servers; name every problem
    Doctor,
    /// Make a root, and an authority for each cluster
    Certs,
    /// Give each cluster its authority, before 'install'
    CertsInstall,
    /// Take the authorities out of the clusters
    CertsUninstall,
    /// Join the clusters into one Istio mesh
    Install,
    /// Show how Istio is in each cluster, and which clusters it reads
    Status,
    /// Take Istio and the samples out of the clusters, or one revision of Istio
    Uninstall,
    /// Lead the host names to the services
    IngressInstall,
    /// Take the ingress away
    IngressUninstall,
    /// Build both images
    Docker,
    /// Push both images; with platforms, build them for all of these
    DockerPush,
    /// Bring echo1, echo2 and the clients to each cluster
    EchoInstall,
    /// Ask everything from everywhere, and show who answers
    EchoStatus(WithProber),
    /// Take the sample out of the clusters
    EchoUninstall,
    /// Load from pods in each cluster, and merge their reports
    Load(WithProber),
    /// Check the expectations in each cluster every five minutes
    CheckInstall,
    /// Stop these checks
    CheckUninstall,
    /// Probe continuously in each cluster, with metrics, alerts and a dashboard
    WatchInstall,
    /// Stop that
    WatchUninstall,
    /// Write the kustomize overlays of all clusters
    Overlays,
    /// Print a completion script for a shell
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
}

#[derive(Debug, Args)]
pub(crate) struct WithProber {
    /// The program prober [default: the one beside this program]
    #[arg(long, value_name = "PATH")]
    pub(crate) prober: Option<PathBuf>,
}

impl Command {
    /// The name of the step, which is also that of the target of make.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Doctor => "doctor",
            Self::Certs => "certs",
            Self::CertsInstall => "certs-install",
            Self::CertsUninstall => "certs-uninstall",
            Self::Install => "install",
            Self::Status => "status",
            Self::Uninstall => "uninstall",
            Self::IngressInstall => "ingress-install",
            Self::IngressUninstall => "ingress-uninstall",
            Self::Docker => "docker",
            Self::DockerPush => "docker-push",
            Self::EchoInstall => "echo-install",
            Self::EchoStatus(_) => "echo-status",
            Self::EchoUninstall => "echo-uninstall",
            Self::Load(_) => "load",
            Self::CheckInstall => "check-install",
            Self::CheckUninstall => "check-uninstall",
            Self::WatchInstall => "watch-install",
            Self::WatchUninstall => "watch-uninstall",
            Self::Overlays => "overlays",
            Self::Completions { .. } => "completions",
        }
    }
}
