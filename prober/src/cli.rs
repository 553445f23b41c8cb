//! Every flag of the program; the doc comments are the help text.
//! Only the shape is checked here; what the values mean is `plan`'s to say.

use std::path::PathBuf;

use clap::{ArgAction, Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;

const AFTER_HELP: &str = "\
Examples:
  prober --target istio1.xiaowenx.com/echo2
  prober --target istio1.xiaowenx.com/echo2 --resolve '*:80:34.82.246.2' \\
         -n 400 --expect 'exactly kops,gke1'
  prober matrix mesh.yaml

Expectations:
  errors = 0             every request was answered by an echo
  only kops              nobody but kops answered
  reaches kops,gke1      each of these answered at least once
  exactly kops,gke1      each of these answered, and nobody else
  Append 'by pod' (or zone, node, region, namespace, version) to name those
  instead of clusters.

Exit codes:
  0 every expectation met (without --expect: errors = 0)    1 one missed
  2 wrong usage, or could not run    3 inconclusive    130 interrupted";

const ABOUT: &str = "\
Asks a URL many times and proves who answered.

Each request goes out on a connection of its own (a kept one can pin a
balancer); the answers are counted per cluster and pod, with latency, and
judged by expectations that CI can assert on.";

/// The command line.
#[derive(Debug, Parser)]
#[command(
    name = "prober",
    version,
    about = ABOUT,
    max_term_width = 80,
    after_help = AFTER_HELP,
    args_conflicts_with_subcommands = true,
    disable_help_flag = true
)]
pub struct Cli {
    /// Print this help
    // The short form for both flags: it fits on two screens and leaves nothing out.
    #[arg(short, long, global = true, action = ArgAction::HelpShort)]
    pub help: Option<bool>,
    /// What to do instead of probing the given targets.
    #[command(subcommand)]
    pub command: Option<Command>,
    /// The flags of a plain run.
    #[command(flatten)]
    pub run: RunArgs,
}

/// What to do instead of a plain run.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Probe every source × target of a YAML file: the whole `echo-status`
    Matrix(MatrixArgs),
    /// Print a completion script for a shell
    Completions {
        /// The shell
        shell: Shell,
    },
}

/// The flags of a plain run.
#[derive(Debug, Args)]
pub struct RunArgs {
    /// URL to ask; http:// if no scheme is given; repeatable
    #[arg(short, long = "target", value_name = "URL")]
    pub targets: Vec<String>,
    /// How many requests and how they are sent.
    #[command(flatten)]
    pub load: LoadArgs,
    /// What each request looks like.
    #[command(flatten)]
    pub request: RequestArgs,
    /// Where connections go.
    #[command(flatten)]
    pub network: NetworkArgs,
    /// How TLS targets are verified.
    #[command(flatten)]
    pub tls: TlsArgs,
    /// What must hold, such as 'exactly kops,gke1'; repeatable [default:
    /// errors = 0]
    #[arg(short, long = "expect", value_name = "EXPR", help_heading = "Verdict")]
    pub expectations: Vec<String>,
    /// How results are printed.
    #[command(flatten)]
    pub output: OutputArgs,
}

/// How many requests, and how many at once.
#[derive(Debug, Args)]
#[command(next_help_heading = "Load")]
pub struct LoadArgs {
    /// Requests to each target [default: 100]
    #[arg(short = 'n', long, value_name = "N")]
    pub requests: Option<u64>,
    /// Requests under way at once [default: 10, or -n if that is less]
    #[arg(short, long, value_name = "N")]
    pub concurrency: Option<u64>,
    /// Send for this long instead, such as 30s
    #[arg(short, long, value_name = "SECONDS")]
    pub duration: Option<String>,
    /// Start so many requests each second, whether or not others have ended; latency
    /// counts from the instant at which each should have started
    #[arg(short = 'q', long, value_name = "N")]
    pub rate: Option<String>,
    /// How the starts of --rate are spread [default: constant]
    #[arg(long, value_enum)]
    pub arrivals: Option<ArrivalForm>,
    /// Seed of --arrivals poisson
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub seed: u64,
    /// Send for this long before counting anything
    #[arg(long, value_name = "SECONDS")]
    pub warmup: Option<String>,
    /// Requests on each connection: never, always, N, or N:M for a number between
    /// [default: never: a connection each]
    #[arg(long, value_name = "N")]
    pub reuse: Option<String>,
    /// Open a new connection once one is this old
    #[arg(long, value_name = "SECONDS")]
    pub connection_lifetime: Option<String>,
    /// Threads that send [default: one per core]
    #[arg(long, value_name = "N")]
    pub threads: Option<u64>,
}

/// How the starts of an open loop are spread.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ArrivalForm {
    /// Evenly
    Constant,
    /// Independent of each other
    Poisson,
}

/// What each request looks like, spelled as curl spells it.
#[derive(Debug, Args)]
#[command(next_help_heading = "Request")]
pub struct RequestArgs {
    /// Header to send; repeatable
    #[arg(short = 'H', long = "header", value_name = "NAME: VALUE")]
    pub headers: Vec<String>,
    /// Method [default: GET]
    #[arg(short = 'X', long = "request", value_name = "METHOD")]
    pub method: Option<String>,
    /// Seconds that one request may take, from name look-up to the body's end
    // Longer than Envoy's connect timeout of 10 s, so that the retry after it is seen.
    #[arg(short, long, value_name = "SECONDS", default_value = "15")]
    pub max_time: String,
    /// Seconds that look-up, TCP and TLS may take of them
    #[arg(long, value_name = "SECONDS", default_value = "5")]
    pub connect_timeout: String,
    /// Longest body that is read; a longer one is a failure
    #[arg(long, value_name = "BYTES", default_value_t = 65_536)]
    pub max_body: u64,
}

/// Where connections go, spelled as curl spells it.
#[derive(Debug, Args)]
#[command(next_help_heading = "Network")]
pub struct NetworkArgs {
    /// Use these addresses for HOST:PORT; HOST may be '*'; repeatable
    #[arg(long, value_name = "HOST:PORT:ADDR[,ADDR]", allow_hyphen_values = true)]
    pub resolve: Vec<String>,
    /// Connect to HOST2:PORT2 instead of HOST1:PORT1; repeatable
    #[arg(long, value_name = "HOST1:PORT1:HOST2:PORT2")]
    pub connect_to: Vec<String>,
    /// DNS servers to ask instead of the system's
    #[arg(long, value_name = "IP[:PORT][,…]")]
    pub dns_servers: Vec<String>,
    /// Use IPv4 addresses only
    #[arg(short = '4', long, conflicts_with = "ipv6")]
    pub ipv4: bool,
    /// Use IPv6 addresses only
    #[arg(short = '6', long)]
    pub ipv6: bool,
}

/// How TLS targets are verified, spelled as curl spells it.
#[derive(Debug, Args)]
#[command(next_help_heading = "TLS")]
pub struct TlsArgs {
    /// Trust the certificates in this PEM file instead of the system's
    #[arg(long, value_name = "FILE")]
    pub cacert: Option<PathBuf>,
    /// Certificate chain to show to the server, PEM
    #[arg(long, value_name = "FILE", requires = "key")]
    pub cert: Option<PathBuf>,
    /// Private key of --cert, PEM
    #[arg(long, value_name = "FILE", requires = "cert")]
    pub key: Option<PathBuf>,
    /// Do not verify the server's certificate
    #[arg(short = 'k', long)]
    pub insecure: bool,
}

/// How results are printed.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Output")]
pub struct OutputArgs {
    /// Form of the report on stdout
    #[arg(short, long, value_enum, default_value = "text")]
    pub output: OutputForm,
    /// Print the first N answers verbatim [default: 4]
    #[arg(long, value_name = "N")]
    pub show: Option<u64>,
    /// When to use colour
    #[arg(long, value_enum, default_value = "auto")]
    pub color: When,
    /// No progress and no advice on stderr
    #[arg(long)]
    pub quiet: bool,
    /// Say more on stderr of what is done
    #[arg(short, long)]
    pub verbose: bool,
}

/// Form of the report on stdout.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum OutputForm {
    /// For eyes
    Text,
    /// For programs: schema prober/1
    Json,
}

/// When to use colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum When {
    /// On a terminal, unless NO_COLOR is set
    Auto,
    /// Always
    Always,
    /// Never
    Never,
}

/// The flags of `prober matrix`.
#[derive(Debug, Args)]
pub struct MatrixArgs {
    /// The matrix: clusters, sources, targets, expectations (YAML)
    pub file: PathBuf,
    /// Requests for each row, whatever the file says
    #[arg(short = 'n', long, value_name = "N")]
    pub requests: Option<u64>,
    /// Run only rows whose heading holds this text; repeatable
    #[arg(long, value_name = "TEXT")]
    pub only: Vec<String>,
    /// Print the commands that would run, and stop
    #[arg(long)]
    pub dry_run: bool,
    /// How results are printed.
    #[command(flatten)]
    pub output: OutputArgs,
}
