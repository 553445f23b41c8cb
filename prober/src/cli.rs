//! Every flag of the program; the doc comments are the help text.
//! Only the shape is checked here; what the values mean is `plan`'s to say.

pub(crate) mod version;
mod watch;

use std::path::PathBuf;

use clap::{ArgAction, Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;

pub(crate) use watch::WatchArgs;

const AFTER_HELP: &str = "\
Examples:
  prober --target istio1.xiaowenx.com/echo2
  prober --target istio1.xiaowenx.com/echo2 --resolve '*:80:34.82.246.2' \\
         --expect 'exactly kops,gke1'
  prober matrix mesh.yaml

Expectations:
  errors = 0             every request was answered by an echo
  error-rate <= 0.1%     at most that part of the requests fails
  retried = 0            the mesh needed no second attempt
  only kops              nobody but kops answers
  reaches kops,gke1      each of these answers
  exactly kops,gke1      each of these answers, and nobody else
  balanced ± 5%          each cluster's share is within 5 points of an even one
                         (two clusters: 45 to 55 %); balanced kops,gke1 ± 5%
                         names them, so that one that is dead is missed
  shares kops=90%,gke1=10% ± 3%    each within 3 points of its share
  share{pod=NAME} >= 20%           or <=
  p99 < 80ms             or p50, p99.9, p99{cluster=gke1}
  throughput >= 500/s    answers each second
  Put 'by pod' (or zone, node, region, namespace, version, address) behind the
  names to mean those instead of clusters; +- is ±. 'prober explain EXPR' says more.

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
    version = crate::cli::version::text(),
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
    /// Probe on and on, judge the last minutes, and serve metrics and a live page
    Watch(Box<WatchArgs>),
    /// Say in words what expectations assert, and how many requests they take
    Explain(ExplainArgs),
    /// Say how many requests prove what, before sending any
    Plan(PlanArgs),
    /// Compare two JSON reports: shares, latency, errors
    Compare(CompareArgs),
    /// Add up JSON reports of the same targets, exactly: parts of one run on many machines
    Merge(MergeArgs),
    /// Show a JSON report again, in any form
    Report(ReportArgs),
    /// Say at which hop a skew arose, from a JSON report of a run with --explain
    ExplainRun(ExplainRunArgs),
    /// Do nothing until SIGTERM: what a client pod runs, so that others can be run in it
    Wait,
    /// Print a completion script for a shell
    Completions {
        /// The shell
        shell: Shell,
    },
    /// Print the man page, or that of a command: prober man matrix | man -l -
    Man {
        /// The command
        command: Option<String>,
    },
}

/// The flags of a plain run.
#[derive(Clone, Debug, Args)]
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
    /// How another application than an echo says who it is: LABEL=header:NAME,
    /// LABEL=json:/POINTER or LABEL=regex:PATTERN, LABEL such as pod or cluster; or
    /// whoami, podinfo, echo-basic, istio-echo, helloworld; repeatable
    #[arg(long, value_name = "LABEL=SOURCE", help_heading = "Identity")]
    pub identify: Vec<String>,
    /// What happens while the run goes on.
    #[command(flatten)]
    pub events: EventArgs,
    /// Which Envoys tell at which hop a skew arose.
    #[command(flatten)]
    pub envoys: EnvoyArgs,
    /// What must hold, and how sure a verdict is.
    #[command(flatten)]
    pub judge: JudgeArgs,
    /// Print the first N answers verbatim [default: 4]
    #[arg(long, value_name = "N", help_heading = "Output")]
    pub show: Option<u64>,
    /// How results are printed.
    #[command(flatten)]
    pub output: OutputArgs,
}

/// What happens while a run goes on, and how that is measured.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Events")]
pub struct EventArgs {
    /// Run a shell command at this instant of the run, such as --at 5s 'kubectl …';
    /// repeatable. The first is taken for the fault, the last of several for the
    /// recovery, and the report says how the fault was survived
    #[arg(long, num_args = 2, value_names = ["TIME", "COMMAND"], allow_hyphen_values = true)]
    pub at: Vec<String>,
    /// More of them, a line each: TIME COMMAND
    #[arg(long, value_name = "FILE")]
    pub event_file: Option<PathBuf>,
    /// Note the instant of each SIGUSR1 as such an event, for a fault that somebody else
    /// brings about: pkill -USR1 prober
    #[arg(long)]
    pub marks: bool,
    /// Longest time that a command may take
    #[arg(long, value_name = "SECONDS", default_value = "30")]
    pub event_timeout: String,
    /// Who answers after the fault, such as kops or kops=70%,gke1=30% [default:
    /// anybody]
    #[arg(long, value_name = "SHARES")]
    pub failover_to: Option<String>,
    /// How long there must be no failure for the fault to be over
    #[arg(long, value_name = "SECONDS", default_value = "1")]
    pub hold: String,
}

/// Which Envoys are read to tell at which hop a skew arose.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Explanation")]
pub struct EnvoyArgs {
    /// Read the client's Envoy before and after the run, and say at which hop a skew
    /// or a failure arose, and why
    #[arg(long)]
    pub explain: bool,
    /// Its admin interface, one for all targets or one for each; of any other Envoy on
    /// the way as NAME=URL; repeatable [default: http://127.0.0.1:15000]
    #[arg(long, value_name = "[NAME=]URL", requires = "explain")]
    pub envoy_admin: Vec<String>,
}

/// What must hold, and how sure a verdict is.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Verdict")]
pub struct JudgeArgs {
    /// What must hold, such as 'exactly kops,gke1'; repeatable [default:
    /// errors = 0]
    #[arg(short, long = "expect", value_name = "EXPR")]
    pub expectations: Vec<String>,
    /// File with an expectation on each line, '#' begins a comment; repeatable
    #[arg(long = "expect-file", value_name = "FILE")]
    pub expect_files: Vec<PathBuf>,
    /// How sure each verdict is [default: 99.9%]
    #[arg(long, value_name = "PERCENT")]
    pub confidence: Option<String>,
    /// Requests until a run without -n and -d gives up [default: 20000]
    #[arg(long, value_name = "N")]
    pub max_requests: Option<u64>,
    /// Share below which a group counts as one that does not answer [default: 1%]
    #[arg(long, value_name = "PERCENT")]
    pub min_share: Option<String>,
    /// Clusters that 'balanced' is about, whether or not they answer
    #[arg(long, value_name = "NAME[,NAME…]", value_delimiter = ',')]
    pub clusters: Vec<String>,
}

impl EventArgs {
    /// Whether anything is to happen.
    #[must_use]
    pub fn any(&self) -> bool {
        !self.at.is_empty() || self.event_file.is_some() || self.marks
    }
}

/// How many requests, and how many at once.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Load")]
pub struct LoadArgs {
    /// Requests to each target [default: 100, or until every expectation of
    /// shares, latency or who answered is decided]
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
    /// Seed of --arrivals poisson and of --select random
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub seed: u64,
    /// Send for this long before counting anything
    #[arg(long, value_name = "SECONDS")]
    pub warmup: Option<String>,
    /// Requests on each connection: never, always, N, or N:M for a number between
    /// [default: never: a connection each]
    #[arg(long, value_name = "N")]
    pub reuse: Option<String>,
    /// Requests under way at once on each HTTP/2 connection; -c then counts
    /// connections [default: 1]
    #[arg(long, value_name = "N")]
    pub streams: Option<u64>,
    /// Open a new connection once one is this old
    #[arg(long, value_name = "SECONDS")]
    pub connection_lifetime: Option<String>,
    /// Report what came over time too, in bins of this width, such as 100ms; when
    /// there are too many, the width doubles
    #[arg(long, value_name = "SECONDS")]
    pub timeline: Option<String>,
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
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Request")]
pub struct RequestArgs {
    /// Header to send; repeatable
    #[arg(short = 'H', long = "header", value_name = "NAME: VALUE")]
    pub headers: Vec<String>,
    /// Method [default: GET]
    #[arg(short = 'X', long = "request", value_name = "METHOD")]
    pub method: Option<String>,
    /// Body to send, by POST unless -X says otherwise; @FILE is what a file holds
    /// without its line ends; of several, all with '&' between. (-d is the duration)
    #[arg(long, value_name = "DATA", allow_hyphen_values = true)]
    pub data: Vec<String>,
    /// The body, once its files were read.
    #[arg(skip)]
    pub body: Option<Vec<u8>>,
    /// Ask over HTTP/1.1: the default
    #[arg(long = "http1.1", group = "protocol")]
    pub http1: bool,
    /// Ask over HTTP/2, negotiated by TLS; where it is not had, requests fail
    #[arg(long, group = "protocol")]
    pub http2: bool,
    /// Ask over HTTP/2 without negotiation
    #[arg(long, group = "protocol")]
    pub http2_prior_knowledge: bool,
    /// Call a gRPC service over HTTP/2 instead: the echo's, or grpc.health.v1
    /// [default: echo]
    #[arg(
        long,
        value_name = "SERVICE",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "echo",
        conflicts_with_all = ["http1", "method", "data"]
    )]
    pub grpc: Option<GrpcService>,
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

/// A gRPC service that can be called without knowing more of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum GrpcService {
    /// The echo's own: who answered
    Echo,
    /// The standard health check of the whole server: it must say SERVING
    Health,
}

/// Where connections go, spelled as curl spells it.
#[derive(Clone, Debug, Args)]
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
    /// Which of a name's addresses each connection goes to; if it is dead, the ones
    /// after it follow [default: first]
    #[arg(long, value_enum)]
    pub select: Option<SelectForm>,
    /// Look the name up anew for every connection, not only when its TTL is over
    #[arg(long)]
    pub re_resolve: bool,
    /// Use IPv4 addresses only
    #[arg(short = '4', long, conflicts_with = "ipv6")]
    pub ipv4: bool,
    /// Use IPv6 addresses only
    #[arg(short = '6', long)]
    pub ipv6: bool,
}

/// Which of a name's addresses a connection goes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum SelectForm {
    /// The first, as curl does
    First,
    /// The next one for each connection
    RoundRobin,
    /// One drawn by --seed
    Random,
    /// Every one, each as a row of its own
    Each,
}

/// How TLS targets are verified, spelled as curl spells it.
#[derive(Clone, Debug, Args)]
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
    /// Write the report to this file, too; its ending says in which form: .csv, .html,
    /// .json, .md, .prom, .xml; repeatable
    #[arg(long = "report", value_name = "FILE")]
    pub reports: Vec<PathBuf>,
    /// Append the report, as Markdown, to the summary of a step of GitHub Actions
    /// ($GITHUB_STEP_SUMMARY)
    #[arg(long)]
    pub summary: bool,
    /// When to use colour
    #[arg(long, value_enum, default_value = "auto")]
    pub color: When,
    /// Text and progress in ASCII: the default where the locale is not of UTF-8
    #[arg(long)]
    pub ascii: bool,
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
    /// The same on one line, behind a line each second of what was done until then
    Ndjson,
    /// For spreadsheets: a line for each backend
    Csv,
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
    /// Print the first N answers verbatim [default: 4]
    #[arg(long, value_name = "N", help_heading = "Output")]
    pub show: Option<u64>,
    /// Read the Envoys before and after each row, and say at which hop a skew arose:
    /// those that the file names (envoy-admin, envoys), else a command source's own by
    /// pilot-agent
    #[arg(long)]
    pub explain: bool,
    /// How results are printed.
    #[command(flatten)]
    pub output: OutputArgs,
}

/// The flags of `prober explain`.
#[derive(Debug, Args)]
pub struct ExplainArgs {
    /// Expectations, such as 'balanced ± 5%'
    #[arg(required = true, value_name = "EXPR")]
    pub expectations: Vec<String>,
    /// How sure each verdict is [default: 99.9%]
    #[arg(long, value_name = "PERCENT")]
    pub confidence: Option<String>,
    /// Share below which a group counts as one that does not answer [default: 1%]
    #[arg(long, value_name = "PERCENT")]
    pub min_share: Option<String>,
    /// How many groups there are, where the expectation does not name them
    #[arg(long, value_name = "N", default_value_t = 2)]
    pub backends: u64,
}

/// The flags of `prober explain-run`.
#[derive(Debug, Args)]
pub struct ExplainRunArgs {
    /// The report (--output json)
    pub file: PathBuf,
    /// When to use colour
    #[arg(long, value_enum, default_value = "auto")]
    pub color: When,
}

/// The flags of `prober plan`.
#[derive(Debug, Args)]
pub struct PlanArgs {
    /// Backends, or clusters, with even shares
    #[arg(long, value_name = "N", conflicts_with = "shares")]
    pub backends: Option<u64>,
    /// Shares instead, in percent, such as 90,10
    #[arg(long, value_name = "PERCENT,PERCENT…", value_delimiter = ',')]
    pub shares: Vec<f64>,
    /// How far a share may be from its own, in points of share
    #[arg(long, value_name = "PERCENT", default_value = "5%")]
    pub tolerance: String,
    /// How sure a verdict is
    #[arg(long, value_name = "PERCENT", default_value = "99.9%")]
    pub confidence: String,
    /// How often what is true shall be proven
    #[arg(long, value_name = "PERCENT", default_value = "99%")]
    pub power: String,
    /// Chance that some backend is never seen though it answers
    #[arg(long, value_name = "RISK", default_value_t = 1e-6)]
    pub miss: f64,
    /// Say what so many requests prove, instead
    #[arg(short = 'n', long, value_name = "N")]
    pub requests: Option<u64>,
}

/// The flags of `prober compare`.
#[derive(Debug, Args)]
pub struct CompareArgs {
    /// The report of before (--output json)
    pub before: PathBuf,
    /// The report of after
    pub after: PathBuf,
    /// What may be worse: shares=5% and errors=0.1% in points, latency=10% of what it
    /// was; repeatable [default: these, errors=0%]
    #[arg(long, value_name = "WHAT=PERCENT")]
    pub tolerate: Vec<String>,
    /// What shares are shares of: cluster, pod, zone, …
    #[arg(long, value_name = "LABEL", default_value = "cluster")]
    pub by: String,
    /// How sure a verdict is
    #[arg(long, value_name = "PERCENT", default_value = "99.9%")]
    pub confidence: String,
}

/// The flags of `prober merge`.
#[derive(Debug, Args)]
pub struct MergeArgs {
    /// Reports, as --output json prints them
    #[arg(required = true, value_name = "FILE")]
    pub files: Vec<PathBuf>,
    /// How sure each verdict on the whole is [default: 99.9%]
    #[arg(long, value_name = "PERCENT")]
    pub confidence: Option<String>,
    /// Share below which a group counts as one that does not answer [default: 1%]
    #[arg(long, value_name = "PERCENT")]
    pub min_share: Option<String>,
    /// How results are printed.
    #[command(flatten)]
    pub output: OutputArgs,
}

/// The flags of `prober report`.
#[derive(Debug, Args)]
pub struct ReportArgs {
    /// The report, as --output json prints it
    pub file: PathBuf,
    /// How results are printed.
    #[command(flatten)]
    pub output: OutputArgs,
}
