//! The command line. The doc comments are the help.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use usage::whole::within;

use localmesh::topology::DEFAULT_BLOCK;

/// Two Istio clusters on this machine, with real Envoy and without Kubernetes
///
/// The clusters kops and gke1 (or those of --topology) use loopback addresses. A
/// request takes the same path as in a real mesh: sidecar, east-west gateway of
/// the other cluster, sidecar, with mTLS. Needs Envoy (`make envoy`), but no root.
#[derive(Debug, Parser)]
#[command(name = "localmesh", version, max_term_width = 80)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Start the mesh, print its addresses, run until Ctrl-C
    Up(MeshArgs),
    /// Start the mesh, test it with `prober matrix`, stop it
    ///
    /// The exit code is that of prober: 0 if the load is distributed as expected,
    /// 1 if not, 2 if something could not run, 3 if inconclusive.
    Demo {
        #[command(flatten)]
        mesh: MeshArgs,
        /// More arguments for `prober matrix`, such as `-- -n 20 --show 2`
        #[arg(last = true, value_name = "PROBER_ARGS")]
        prober: Vec<OsString>,
    },
    /// Change the running mesh, as istiod or the kubelet would
    ///
    /// Returns once the change is in force. If it fails, prints one line and exits
    /// with 2. `localmesh do help` lists the actions, `localmesh do ACTION --help`
    /// explains one, `localmesh do undo` and `do reset` take changes back.
    Do {
        #[command(flatten)]
        which: BlockArgs,
        /// An action such as `kill gke1/echo2`
        #[arg(
            trailing_var_arg = true,
            allow_hyphen_values = true,
            required = true,
            value_name = "ACTION"
        )]
        words: Vec<String>,
    },
    /// Run scenarios, each on a mesh of its own, and print a result per scenario
    ///
    /// Exits with 0 if all expectations are met, 1 if one is missed, 2 if a
    /// scenario could not run.
    Run {
        #[command(flatten)]
        mesh: ScenarioArgs,
        /// Scenario files, or directories of them
        #[arg(required = true, value_name = "SCENARIO")]
        scenarios: Vec<PathBuf>,
    },
    /// Show the endpoints that each Envoy uses, beside its configuration
    State {
        #[command(flatten)]
        which: BlockArgs,
        /// The output format
        #[arg(short, long, value_enum, default_value = "text")]
        output: Form,
    },
    /// Print a completion script for a shell
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
    /// Replace this process by a program that ends with its parent
    #[command(hide = true)]
    Guard {
        /// The process id of the parent
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
          value_parser = within(1_u8..=254))]
    pub(crate) block: u8,
    /// The Envoy to run [default: $ENVOY, what `make envoy` installed, PATH]
    #[arg(long, value_name = "FILE")]
    pub(crate) envoy: Option<PathBuf>,
    /// The directory of echo and prober [default: that of localmesh]
    #[arg(long, value_name = "DIR")]
    pub(crate) bin_dir: Option<PathBuf>,
    /// Keep reports, files and logs here, in a directory per scenario
    #[arg(long, value_name = "DIR")]
    pub(crate) keep: Option<PathBuf>,
    /// Print the story of each scenario before its result
    #[arg(long)]
    pub(crate) stories: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Form {
    /// For people
    Text,
    /// For programs
    Json,
}

#[derive(Debug, Args)]
pub(crate) struct BlockArgs {
    /// The mesh on 127.N.0.0/16
    #[arg(long, value_name = "N", default_value_t = DEFAULT_BLOCK,
          value_parser = within(1_u8..=254))]
    pub(crate) block: u8,
}

#[derive(Debug, Args)]
pub(crate) struct MeshArgs {
    /// A YAML file with clusters and services, such as those in
    /// localmesh/topologies [default: kops and gke1]
    #[arg(long, value_name = "FILE")]
    pub(crate) topology: Option<PathBuf>,
    /// Put each network into a network namespace of its own, so that networks
    /// reach each other only through gateways and can be cut (`do cut`); needs root
    #[arg(long)]
    pub(crate) isolate: bool,
    /// Use the addresses 127.N.0.0/16; meshes on different blocks are independent
    #[arg(long, value_name = "N", default_value_t = DEFAULT_BLOCK,
          value_parser = within(1_u8..=254))]
    pub(crate) block: u8,
    /// Port of the ingress gateways [default: 80 if it can be bound, else 8080]
    #[arg(long, value_name = "PORT", value_parser = within(1_u16..=65535))]
    pub(crate) ingress_port: Option<u16>,
    /// The Envoy to run [default: $ENVOY, what `make envoy` installed, PATH]
    #[arg(long, value_name = "FILE")]
    pub(crate) envoy: Option<PathBuf>,
    /// The directory of echo and prober [default: that of localmesh]
    #[arg(long, value_name = "DIR")]
    pub(crate) bin_dir: Option<PathBuf>,
    /// Keep files and logs here [default: a temporary directory]
    #[arg(long, value_name = "DIR")]
    pub(crate) dir: Option<PathBuf>,
}
