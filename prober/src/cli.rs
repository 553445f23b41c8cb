//! Every flag of the program; the doc comments are the help text. Only the form of the flags is
//! checked here; `plan` checks their values.

mod connection;
mod foreign;
mod request;
mod targets;
mod tls;
mod values;
pub(crate) mod version;
mod watch;

use std::path::PathBuf;

use clap::{ArgAction, Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;
use usage::count;

pub(crate) use connection::{ConnectionArgs, ProxyHeader};
pub(crate) use request::{BodyArgs, BodyPart, DataFlag, HeaderArg};
use targets::TargetArgs;
pub(crate) use tls::{PassPhrase, TlsArgs, TlsSession, TlsVersion};
pub(crate) use watch::WatchArgs;

const AFTER_HELP: &str = "\
Examples:
  prober localhost:8080
  prober istio1.example.com/echo2 --resolve '*:80:34.82.246.2' \\
         --expect 'exactly kops,gke1'
  prober matrix mesh.yaml

Expectations:
  errors = 0             every request is answered. This must hold, too, unless
                         error-rate, lost or failover say how many may fail
  error-rate <= 0.1%     at most 0.1 % of the requests fail
  retried = 0            Envoy retries no request
  only kops              no cluster other than kops answers
  reaches kops,gke1      each of these clusters answers
  exactly kops,gke1      each of these clusters answers, and no other
  balanced ± 5%          the share of each cluster is within 5 points of an even
                         share (two clusters: 45 to 55 %). 'balanced kops,gke1
                         ± 5%' also fails if one of them never answers
  shares kops=90%,gke1=10% ± 3%    each share is within 3 points of its own
  share{pod=NAME} >= 20%           or <=
  p99 < 80ms             or p50, p99.9, p99{cluster=gke1}
  throughput >= 500/s    answers per second
  failover < 5s          after a fault (--at); also failback < 60s, lost <= 20
  Add 'by pod' (or zone, node, region, namespace, version, address) after the
  names to compare those instead. +- means ±. More: prober explain EXPR

Exit codes:
  0 every expectation is met
  1 an expectation is missed    2 wrong usage, or prober could not run
  3 inconclusive                130 interrupted";

const ABOUT: &str = "\
Sends many requests to a URL and proves which clusters and pods answer.

Each request uses a new connection, because a load balancer can send every
request of a reused connection to the same backend. The report counts answers
and latency per cluster and pod. The exit code says whether all expectations
are met.";

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
    #[command(subcommand)]
    pub command: Option<Command>,
    #[command(flatten)]
    pub run: RunArgs,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Probe all sources × targets of a YAML file
    Matrix(MatrixArgs),
    /// Probe continuously, judge the last minutes, and serve metrics and a live page
    #[command(mut_arg("urls", |arg| arg.hide(true)))]
    Watch(Box<WatchArgs>),
    /// Explain what expectations assert, and how many requests they need
    Explain(ExplainArgs),
    /// Calculate how many requests prove given shares, without sending any
    Plan(PlanArgs),
    /// Judge answers that something else collected, such as a shell loop with curl
    Judge(CollectedArgs),
    /// Compare two JSON reports: shares, latency, errors
    Compare(CompareArgs),
    /// Merge JSON reports on the same targets, such as from several machines
    Merge(MergeArgs),
    /// Print a JSON report again, in any format
    Report(ReportArgs),
    /// Explain at which hop a skew arose, from the JSON report of a run with --explain
    ExplainRun(ExplainRunArgs),
    /// Wait for SIGTERM: keeps a client pod running, so that 'kubectl exec' can probe from it
    Wait,
    /// Print a completion script for a shell
    Completions {
        /// Shell of the script
        shell: Shell,
    },
    /// Print the man page of prober or of a command: prober man matrix | man -l -
    Man {
        /// Command to describe
        command: Option<String>,
    },
}

/// The flags of a plain run.
#[derive(Clone, Debug, Args)]
pub struct RunArgs {
    #[command(flatten)]
    pub targets: TargetArgs,
    #[command(flatten)]
    pub load: LoadArgs,
    #[command(flatten)]
    pub request: RequestArgs,
    #[command(flatten)]
    pub body: BodyArgs,
    #[command(flatten)]
    pub network: NetworkArgs,
    #[command(flatten)]
    pub connection: ConnectionArgs,
    #[command(flatten)]
    pub tls: TlsArgs,
    /// How to identify the backend of an answer, if the target is not an echo:
    /// LABEL=header:NAME, LABEL=json:/POINTER, LABEL=regex:PATTERN, or LABEL=address (of
    /// the connection) with a LABEL such as pod or cluster. Presets: whoami, podinfo,
    /// echo-basic, istio-echo, helloworld; repeatable
    #[arg(long, value_name = "LABEL=SOURCE", help_heading = "Identity")]
    pub identify: Vec<String>,
    #[command(flatten)]
    pub events: EventArgs,
    #[command(flatten)]
    pub envoys: EnvoyArgs,
    #[command(flatten)]
    pub judge: JudgeArgs,
    /// Print the first N answers as they were received
    #[arg(long, value_name = "N", help_heading = "Output", value_parser = count::parse)]
    pub show: Option<u64>,
    /// Write this id into the JSON report: 'prober merge' judges reports with the same id
    /// as one sample
    #[arg(long, value_name = "ID", help_heading = "Output")]
    pub run_id: Option<String>,
    #[command(flatten)]
    pub output: OutputArgs,
}

/// Events during a run, and how a fault is measured.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Events")]
pub struct EventArgs {
    /// Run a shell command at this time of the run, such as --at 5s 'kubectl …';
    /// repeatable. The first command is the fault, the last of several is the recovery;
    /// the report measures failover and lost requests
    #[arg(long, num_args = 2, value_names = ["TIME", "COMMAND"], allow_hyphen_values = true)]
    pub at: Vec<String>,
    /// File with more of them: TIME COMMAND on each line
    #[arg(long, value_name = "FILE")]
    pub event_file: Option<PathBuf>,
    /// Record each SIGUSR1 as such an event, for a fault from outside: pkill -USR1
    /// prober
    #[arg(long)]
    pub marks: bool,
    /// Time limit of each command
    #[arg(long, value_name = "DURATION", default_value = "30s")]
    pub event_timeout: String,
    /// Clusters that take over after the fault, such as kops or kops=70%,gke1=30%
    /// [default: any]
    #[arg(long, value_name = "SHARES")]
    pub failover_to: Option<String>,
    /// The fault is over once no request has failed for this long
    #[arg(long, value_name = "DURATION", default_value = "1s")]
    pub hold: String,
}

/// Which Envoys are read, to explain a skew.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Explanation")]
pub struct EnvoyArgs {
    /// Read the client's Envoy before and after the run, and explain at which hop a
    /// skew or a failure arose
    #[arg(long)]
    pub explain: bool,
    /// Admin interface of the client's Envoy, one for all targets or one for each; with
    /// NAME=, of another Envoy on the way; repeatable [default: http://127.0.0.1:15000]
    #[arg(long, value_name = "[NAME=]URL", requires = "explain")]
    pub envoy_admin: Vec<String>,
}

/// What must hold, and how sure a verdict is.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Verdict")]
pub struct JudgeArgs {
    /// Expectation, such as 'exactly kops,gke1'; repeatable. errors = 0 must hold, too,
    /// unless one says how many requests may fail: error-rate, lost or failover
    #[arg(short, long = "expect", value_name = "EXPR")]
    pub expectations: Vec<String>,
    /// File with an expectation on each line; '#' starts a comment; repeatable
    #[arg(long = "expect-file", value_name = "FILE")]
    pub expect_files: Vec<PathBuf>,
    /// Confidence of each verdict [default: 99.9%]
    #[arg(long, value_name = "PERCENT")]
    pub confidence: Option<String>,
    /// Most requests of a run until decided, without -n and -d [default: 20000]
    #[arg(long, value_name = "N", value_parser = count::parse)]
    pub max_requests: Option<u64>,
    /// Least time of a run without -d: its first requests are spread over it [default:
    /// 1s without -n, 0 with -n]
    #[arg(long, value_name = "DURATION")]
    pub min_time: Option<String>,
    /// Verdicts hold beyond the run if an answer depends on at most N others; a larger N
    /// needs more requests [default: 100]
    #[arg(long, value_name = "N", value_parser = count::parse)]
    pub dependence: Option<u64>,
    /// A group with a smaller share counts as one that does not answer [default: 1%]
    #[arg(long, value_name = "PERCENT")]
    pub min_share: Option<String>,
    /// Clusters that 'balanced' compares, even if they do not answer
    #[arg(long, value_name = "NAME[,NAME…]", value_delimiter = ',')]
    pub clusters: Vec<String>,
    /// Most backends that are told apart; further ones are added up, and no verdict about
    /// who answers passes then [default: 10000]
    #[arg(long, value_name = "N", value_parser = count::parse)]
    pub max_backends: Option<u64>,
}

impl EventArgs {
    #[must_use]
    pub fn any(&self) -> bool {
        !self.at.is_empty() || self.event_file.is_some() || self.marks
    }
}

/// How many requests, and how many at once.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Load")]
pub struct LoadArgs {
    /// Requests to each target, such as 250 or 10k [default: 100, or until every expectation about shares,
    /// latency or clusters is decided]
    #[arg(short = 'n', long, value_name = "N", value_parser = count::parse)]
    pub requests: Option<u64>,
    /// Requests in flight at the same time [default: 10, or -n if that is less]
    #[arg(short, long, value_name = "N", value_parser = count::parse)]
    pub concurrency: Option<u64>,
    /// Send requests for this long, such as 30s, instead of -n
    #[arg(short, long, value_name = "DURATION")]
    pub duration: Option<String>,
    /// Requests to start per second, whether or not earlier ones have ended; latency
    /// counts from the scheduled start
    #[arg(short = 'q', long, value_name = "N")]
    pub rate: Option<String>,
    /// Distribution of the starts of --rate [default: constant]
    #[arg(long, value_enum)]
    pub arrivals: Option<ArrivalForm>,
    /// Seed of --arrivals poisson and --select random
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = count::parse)]
    pub seed: u64,
    /// Wait at most this long for the target's first answer, before the warm-up and the
    /// run; the requests until then are not counted
    #[arg(long, value_name = "DURATION")]
    pub wait: Option<String>,
    /// Send requests for this long before the run; they are not counted
    #[arg(long, value_name = "DURATION")]
    pub warmup: Option<String>,
    /// Begin the run, or its warm-up, at this time, such as 2026-11-28T03:00:00Z, so that
    /// several machines load together
    #[arg(long, value_name = "TIME")]
    pub start_at: Option<String>,
    /// Requests on each connection: never (a new connection for each request), always,
    /// N, or a random number N:M [default: never]
    #[arg(long, value_name = "N")]
    pub reuse: Option<String>,
    /// Requests in flight on each HTTP/2 connection; -c is then the number of
    /// connections [default: 1]
    #[arg(long, value_name = "N", value_parser = count::parse)]
    pub streams: Option<u64>,
    /// Replace a connection by a new one after this time
    #[arg(long, value_name = "DURATION")]
    pub connection_lifetime: Option<String>,
    /// Report results over time, in bins of this width, such as 100ms; if there are
    /// too many bins, the width doubles
    #[arg(long, value_name = "DURATION")]
    pub timeline: Option<String>,
    /// Threads that send requests [default: one per core]
    #[arg(long, value_name = "N", value_parser = count::parse)]
    pub threads: Option<u64>,
}

/// How the starts of an open loop are spread.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ArrivalForm {
    /// Evenly spaced
    Constant,
    /// Independent of each other
    Poisson,
}

/// The request; flags that curl has are spelled as in curl.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Request")]
pub struct RequestArgs {
    /// Header to send. 'NAME:' removes one that prober sends by itself, 'NAME;' sends one
    /// without a value, @FILE reads a file with one on each line; repeatable
    #[arg(short = 'H', long = "header", value_name = "NAME: VALUE")]
    pub headers: Vec<HeaderArg>,
    /// Method [default: GET]
    #[arg(short = 'X', long = "request", value_name = "METHOD")]
    pub method: Option<String>,
    /// Send paths as they are written: do not remove /./ and /../
    #[arg(long)]
    pub path_as_is: bool,
    /// Use HTTP/1.1: the default
    #[arg(long = "http1.1", group = "protocol")]
    pub http1: bool,
    /// Use HTTP/2, negotiated by TLS; requests fail if the server does not support it
    #[arg(long, group = "protocol")]
    pub http2: bool,
    /// Use HTTP/2 without negotiation
    #[arg(long, group = "protocol")]
    pub http2_prior_knowledge: bool,
    /// Call a gRPC service over HTTP/2: the echo's, or grpc.health.v1 [default: echo]
    #[arg(
        long,
        value_name = "SERVICE",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "echo",
        conflicts_with_all = ["http1", "method", "data", "data_binary"]
    )]
    pub grpc: Option<GrpcService>,
    /// Time limit of each request, from name look-up to the end of the body; 0 means no limit
    // Longer than Envoy's connect timeout of 10 s, so that the retry that follows it is measured.
    #[arg(short, long, value_name = "DURATION", default_value = "15s")]
    pub max_time: String,
    /// Time limit of name look-up, TCP and TLS together, within --max-time; 0 means 5m
    #[arg(long, value_name = "DURATION", default_value = "5s")]
    pub connect_timeout: String,
    /// Longest body to read; an answer with a longer one is a failure
    #[arg(long, value_name = "BYTES", default_value_t = 65_536, value_parser = count::parse)]
    pub max_body: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum GrpcService {
    /// The echo's own service
    Echo,
    /// The standard health check of the whole server, which must answer SERVING
    Health,
}

/// Where connections go; flags that curl has are spelled as in curl.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Network")]
pub struct NetworkArgs {
    /// Connect to these addresses for HOST:PORT; HOST may be '*'; repeatable
    #[arg(long, value_name = "HOST:PORT:ADDR[,ADDR]", allow_hyphen_values = true)]
    pub resolve: Vec<String>,
    /// Connect to HOST2:PORT2 instead of HOST1:PORT1; repeatable
    #[arg(long, value_name = "HOST1:PORT1:HOST2:PORT2")]
    pub connect_to: Vec<String>,
    /// DNS servers to ask, in this order, instead of the system's
    #[arg(long, value_name = "IP[:PORT][,…]")]
    pub dns_servers: Vec<String>,
    /// Which of a name's addresses each connection tries first; if it does not accept
    /// the connection, the next ones follow [default: first]
    #[arg(long, value_enum)]
    pub select: Option<SelectForm>,
    /// Look the name up for every connection, not only when its TTL has expired
    #[arg(long)]
    pub re_resolve: bool,
    /// Use IPv4 addresses only
    #[arg(short = '4', long, conflicts_with = "ipv6")]
    pub ipv4: bool,
    /// Use IPv6 addresses only
    #[arg(short = '6', long)]
    pub ipv6: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum SelectForm {
    /// The first one, as curl does
    First,
    /// The next one for each connection
    RoundRobin,
    /// A random one, by --seed
    Random,
    /// All of them, each in a row of the report
    Each,
}

#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Output")]
pub struct OutputArgs {
    /// Format of the report on stdout
    #[arg(short, long, value_enum, default_value = "text")]
    pub output: OutputForm,
    /// Write the report to this file, too; its extension selects the format: .csv,
    /// .html, .json, .md, .prom, .xml (JUnit); repeatable
    #[arg(long = "report", value_name = "FILE")]
    pub reports: Vec<PathBuf>,
    /// Append the report as Markdown to the job summary of GitHub Actions
    /// ($GITHUB_STEP_SUMMARY)
    #[arg(long)]
    pub summary: bool,
    /// When to use color
    #[arg(long, value_enum, default_value = "auto")]
    pub color: When,
    /// Print text and progress in ASCII: the default unless the locale is UTF-8
    #[arg(long)]
    pub ascii: bool,
    /// Print no progress and no advice on stderr
    #[arg(long)]
    pub quiet: bool,
    /// Print details of the run on stderr
    #[arg(short, long)]
    pub verbose: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum OutputForm {
    /// For people
    Text,
    /// For programs, in the schema prober/1
    Json,
    /// JSON lines: progress every second, then the report
    Ndjson,
    /// For spreadsheets, with a line per backend
    Csv,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum When {
    /// On a terminal, unless NO_COLOR is set
    Auto,
    /// Always
    Always,
    /// Never
    Never,
}

#[derive(Debug, Args)]
pub struct MatrixArgs {
    /// YAML file with clusters, sources, targets and expectations; - is stdin
    pub file: PathBuf,
    /// Requests for each row, instead of those in the file
    #[arg(short = 'n', long, value_name = "N", value_parser = count::parse)]
    pub requests: Option<u64>,
    /// Run only rows whose heading contains this text; repeatable
    #[arg(long, value_name = "TEXT")]
    pub only: Vec<String>,
    /// Print the commands instead of running them
    #[arg(long)]
    pub dry_run: bool,
    /// Print the first N answers as they were received [default: 4]
    #[arg(long, value_name = "N", help_heading = "Output", value_parser = count::parse)]
    pub show: Option<u64>,
    /// Read Envoys before and after each row, and explain at which hop a skew arose.
    /// The file names them (envoy-admin, envoys); for a source with a command, the
    /// default is its own sidecar, read with pilot-agent
    #[arg(long)]
    pub explain: bool,
    #[command(flatten)]
    pub output: OutputArgs,
}

#[derive(Debug, Args)]
pub struct ExplainArgs {
    /// Expectations, such as 'balanced ± 5%'
    #[arg(required = true, value_name = "EXPR")]
    pub expectations: Vec<String>,
    /// Confidence of each verdict [default: 99.9%]
    #[arg(long, value_name = "PERCENT")]
    pub confidence: Option<String>,
    /// A group with a smaller share counts as one that does not answer [default: 1%]
    #[arg(long, value_name = "PERCENT")]
    pub min_share: Option<String>,
    /// Number of groups, for expectations that do not name them
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = count::parse)]
    pub backends: u64,
}

#[derive(Debug, Args)]
pub struct ExplainRunArgs {
    /// Report to explain (--output json)
    pub file: PathBuf,
    /// When to use color
    #[arg(long, value_enum, default_value = "auto")]
    pub color: When,
}

#[derive(Debug, Args)]
pub struct PlanArgs {
    /// Number of backends or clusters with even shares
    #[arg(long, value_name = "N", conflicts_with = "shares", value_parser = count::parse)]
    pub backends: Option<u64>,
    /// Shares in percent, such as 90,10, instead of --backends
    #[arg(
        long,
        value_name = "PERCENT,PERCENT…",
        value_delimiter = ',',
        value_parser = values::percent
    )]
    pub shares: Vec<f64>,
    /// How far each share may be off, in percentage points
    #[arg(long, value_name = "PERCENT", default_value = "5%")]
    pub tolerance: String,
    /// Confidence of each verdict
    #[arg(long, value_name = "PERCENT", default_value = "99.9%")]
    pub confidence: String,
    /// How often a run proves shares that are true
    #[arg(long, value_name = "PERCENT", default_value = "99%")]
    pub power: String,
    /// Probability that some backend is never seen although it answers
    #[arg(long, value_name = "RISK", default_value_t = 1e-6, value_parser = values::number)]
    pub miss: f64,
    /// Calculate instead what this number of requests proves
    #[arg(short = 'n', long, value_name = "N", value_parser = count::parse)]
    pub requests: Option<u64>,
}

#[derive(Debug, Args)]
pub struct CompareArgs {
    /// Earlier report (--output json)
    pub before: PathBuf,
    /// Later report
    pub after: PathBuf,
    /// How much worse a result may be: shares=5% and errors=0.1% in percentage points,
    /// latency=10% relative; repeatable [default: shares=5%, latency=10%, errors=1%]
    #[arg(long, value_name = "WHAT=PERCENT")]
    pub tolerate: Vec<String>,
    /// Label to compare the shares of: cluster, pod, zone, …
    #[arg(long, value_name = "LABEL", default_value = "cluster")]
    pub by: String,
    /// Confidence of each verdict
    #[arg(long, value_name = "PERCENT", default_value = "99.9%")]
    pub confidence: String,
}

#[derive(Debug, Args)]
pub struct CollectedArgs {
    /// Files with an answer on each line, or - for stdin: the line of an echo, a JSON
    /// object or CSV, with any of cluster, pod, namespace, node, zone, region, version,
    /// address, connection, attempt, latency_us, at_us, failed. A line such as 'from
    /// SOURCE: curl TARGET' or 'curl TARGET' starts a row
    #[arg(value_name = "FILE", default_value = "-")]
    pub files: Vec<PathBuf>,
    /// Read as a run without -n does: only until every verdict is decided
    #[arg(long)]
    pub until_decided: bool,
    #[command(flatten)]
    pub judge: JudgeArgs,
    #[command(flatten)]
    pub output: OutputArgs,
}

#[derive(Debug, Args)]
pub struct MergeArgs {
    /// Reports to merge (--output json). They are judged as one sample if they were planned
    /// as one (--run-id), or if --expect is given
    #[arg(required = true, value_name = "FILE")]
    pub files: Vec<PathBuf>,
    /// Expectation to judge, instead of those of the reports, with errors = 0 as in a run;
    /// repeatable
    #[arg(short, long = "expect", value_name = "EXPR")]
    pub expectations: Vec<String>,
    /// Confidence of each verdict on the merged report [default: 99.9%]
    #[arg(long, value_name = "PERCENT")]
    pub confidence: Option<String>,
    /// A group with a smaller share counts as one that does not answer [default: 1%]
    #[arg(long, value_name = "PERCENT")]
    pub min_share: Option<String>,
    #[command(flatten)]
    pub output: OutputArgs,
}

#[derive(Debug, Args)]
pub struct ReportArgs {
    /// Report to print (--output json)
    pub file: PathBuf,
    #[command(flatten)]
    pub output: OutputArgs,
}
