//! The command line; doc comments are the help.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use localmesh::topology::DEFAULT_BLOCK;

/// Two Istio clusters on this machine, with real Envoy and no Kubernetes
///
/// The clusters kops and gke1, or others (--topology), live on loopback addresses. A request takes the
/// path that it takes in a real mesh: sidecar, the other cluster's east-west
/// gateway, sidecar, with mTLS. Needs Envoy (`make envoy`), no privilege.
#[derive(Debug, Parser)]
#[command(name = "localmesh", version, max_term_width = 80)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Start the mesh, print where everything is, run until ctrl-c
    Up(MeshArgs),
    /// Start the mesh, test it with `prober matrix`, stop it
    ///
    /// The exit code is prober's: 0 if the load is distributed as it should
    /// be, 1 if not, 2 if something could not run, 3 if undecided.
    Demo {
        #[command(flatten)]
        mesh: MeshArgs,
        /// Further arguments for `prober matrix`, such as `-- -n 20 --show 2`
        #[arg(last = true, value_name = "PROBER_ARGS")]
        prober: Vec<OsString>,
    },
    /// Change the mesh that runs, as istiod or the kubelet would
    ///
    /// Returns once the change is in force. Exit code 2 and one line if it
    /// cannot be made.
    Do {
        #[command(flatten)]
        which: BlockArgs,
        /// Such as `kill gke1/echo2`; `localmesh do help` lists all
        #[arg(
            trailing_var_arg = true,
            allow_hyphen_values = true,
            required = true,
            value_name = "ACTION"
        )]
        words: Vec<String>,
    },
    /// Run scenarios, each on a mesh of its own, and print how each was survived
    ///
    /// Exit code 0 if all showed what they should, 1 if one did not, 2 if one
    /// could not run.
    Run {
        #[command(flatten)]
        mesh: ScenarioArgs,
        /// Files of scenarios, or folders of them
        #[arg(required = true, value_name = "SCENARIO")]
        scenarios: Vec<PathBuf>,
    },
    /// Show what each Envoy of the mesh that runs holds, beside what it was told
    State {
        #[command(flatten)]
        which: BlockArgs,
        /// Form of what is printed
        #[arg(short, long, value_enum, default_value = "text")]
        output: Form,
    },
    /// Print a completion script for a shell
    Completions {
        /// Which shell
        shell: clap_complete::Shell,
    },
    /// Become another program that ends when its parent does
    #[command(hide = true)]
    Guard {
        /// The parent's process id
        #[arg(long)]
        parent: u32,
        /// The program and its arguments
        #[arg(last = true, required = true)]
        command: Vec<OsString>,
    },
}

#[derive(Debug, Args)]
pub(crate) struct ScenarioArgs {
    /// Use the addresses 127.N.0.0/16
    #[arg(long, value_name = "N", default_value_t = DEFAULT_BLOCK,
          value_parser = clap::value_parser!(u8).range(1..=254))]
    pub(crate) block: u8,
    /// The Envoy to run [default: $ENVOY, what `make envoy` installed, PATH]
    #[arg(long, value_name = "FILE")]
    pub(crate) envoy: Option<PathBuf>,
    /// Where echo and prober are [default: beside localmesh]
    #[arg(long, value_name = "DIR")]
    pub(crate) bin_dir: Option<PathBuf>,
    /// Keep reports, files and logs here, a folder for each scenario
    #[arg(long, value_name = "DIR")]
    pub(crate) keep: Option<PathBuf>,
    /// Tell each scenario's story before its line
    #[arg(long)]
    pub(crate) stories: bool,
}

/// Form of what is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Form {
    /// For eyes
    Text,
    /// For programs
    Json,
}

#[derive(Debug, Args)]
pub(crate) struct BlockArgs {
    /// The mesh on 127.N.0.0/16
    #[arg(long, value_name = "N", default_value_t = DEFAULT_BLOCK,
          value_parser = clap::value_parser!(u8).range(1..=254))]
    pub(crate) block: u8,
}

#[derive(Debug, Args)]
pub(crate) struct MeshArgs {
    /// The clusters and services, a YAML file such as those in
    /// localmesh/topologies [default: kops and gke1]
    #[arg(long, value_name = "FILE")]
    pub(crate) topology: Option<PathBuf>,
    /// Make each network a network namespace of its own, so that networks reach
    /// each other by gateways only and can be cut (`do cut`); takes root
    #[arg(long)]
    pub(crate) isolate: bool,
    /// Use the addresses 127.N.0.0/16; meshes on different ones do not meet
    #[arg(long, value_name = "N", default_value_t = DEFAULT_BLOCK,
          value_parser = clap::value_parser!(u8).range(1..=254))]
    pub(crate) block: u8,
    /// Port of the ingress gateways [default: 80 if it can be bound, else 8080]
    #[arg(long, value_name = "PORT", value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) ingress_port: Option<u16>,
    /// The Envoy to run [default: $ENVOY, what `make envoy` installed, PATH]
    #[arg(long, value_name = "FILE")]
    pub(crate) envoy: Option<PathBuf>,
    /// Where echo and prober are [default: beside localmesh]
    #[arg(long, value_name = "DIR")]
    pub(crate) bin_dir: Option<PathBuf>,
    /// Put files and logs here and keep them [default: a temporary folder]
    #[arg(long, value_name = "DIR")]
    pub(crate) dir: Option<PathBuf>,
}
