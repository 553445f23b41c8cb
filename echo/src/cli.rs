//! Every flag of `echo`; the doc comments are the help. An empty environment variable
//! counts as not set.

use std::net::IpAddr;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

use clap::builder::{BoolishValueParser, EnumValueParser};
use clap::{ArgMatches, Args, Command, CommandFactory, FromArgMatches, Parser, ValueEnum};

use crate::call::Allowed;

pub(crate) mod identity;
mod values;
use values::{
    Named, address, allowed, bytes, count, drain_time, head_bytes, identity_value, idle_time, port,
    threads,
};

/// Says which pod in which cluster answered.
///
/// Every path and every method gets one line:
///
///   [URL: http://echo1:8080/hello] on [pod: echo1-x] in [cluster: kops]
///
/// The x-echo-* response headers hold the same facts. A request with
/// 'Accept: application/json' gets everything that echo knows about it as JSON.
/// The admin port serves health and metrics: /healthz, /readyz, /metrics.
///
/// The same port answers gRPC (echo.v1.EchoService, health, reflection) and
/// WebSockets, which get the line first and then their own messages back.
///
/// On SIGTERM or Ctrl-C, echo becomes unready, finishes the requests in flight
/// and exits with 0. A second signal stops it at once. The exit code is 2 for
/// wrong usage and for a port that echo cannot listen on.
#[derive(Debug, Parser)]
#[command(name = "echo", version, max_term_width = 80, verbatim_doc_comment)]
struct Flags {
    #[command(flatten)]
    listen: ListenFlags,
    #[command(flatten)]
    tls: TlsFlags,
    #[command(flatten)]
    identity: IdentityFlags,
    #[command(flatten)]
    request: RequestFlags,
    #[command(flatten)]
    limits: LimitFlags,
    #[command(flatten)]
    running: RunningFlags,
    #[command(flatten)]
    log: LogFlags,
}

#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Listening")]
pub(crate) struct ListenFlags {
    /// The address to listen on, such as 127.0.0.1 or ::.
    #[arg(long, env = "HOST", value_name = "ADDRESS", default_value = "0.0.0.0")]
    #[arg(value_parser = Named(address))]
    pub host: IpAddr,
    /// The port to answer on; 0 takes any free port.
    #[arg(long, env = "PORT", default_value = "8080", value_parser = Named(port))]
    pub port: u16,
    /// The port for health and metrics; 0 takes any free port.
    #[arg(long, env = "ADMIN_PORT", value_name = "PORT", default_value = "8081")]
    #[arg(value_parser = Named(port))]
    pub admin_port: u16,
    /// A plain TCP port that sends the line and then echoes all data; 0 takes any
    /// free port [default: none].
    #[arg(long, env = "TCP_PORT", value_name = "PORT", value_parser = Named(port))]
    pub tcp_port: Option<u16>,
    /// Require a PROXY protocol header, version 1 or 2, at the start of each
    /// connection to the echo port and the TLS port, as a load balancer sends it.
    /// The client is then the one that it names.
    #[arg(long, env = "PROXY_PROTOCOL", value_parser = Named(BoolishValueParser::new()))]
    pub proxy_protocol: bool,
}

/// A second port, with TLS.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "TLS")]
pub(crate) struct TlsFlags {
    /// The port to answer on with TLS (HTTP/1.1, HTTP/2 and gRPC); 0 takes any
    /// free port [default: none].
    #[arg(long, env = "TLS_PORT", value_name = "PORT", value_parser = Named(port))]
    pub tls_port: Option<u16>,
    /// The certificate and its chain (PEM); reloaded when the file changes, and on
    /// SIGHUP.
    #[arg(long, env = "TLS_CERT", value_name = "FILE")]
    pub tls_cert: Option<PathBuf>,
    /// The certificate's private key (PEM).
    #[arg(long, env = "TLS_KEY", value_name = "FILE")]
    pub tls_key: Option<PathBuf>,
    /// The CA certificates that verify clients (PEM). Clients must then present a
    /// certificate, unless --tls-client-auth says otherwise.
    #[arg(long, env = "TLS_CLIENT_CA", value_name = "FILE")]
    pub tls_client_ca: Option<PathBuf>,
    /// Whether clients must present a certificate.
    #[arg(long, env = "TLS_CLIENT_AUTH", value_name = "HOW")]
    #[arg(value_parser = Named(EnumValueParser::<ClientAuth>::new()))]
    pub tls_client_auth: Option<ClientAuth>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum ClientAuth {
    /// The handshake fails without a certificate.
    Require,
    /// A certificate is verified if the client presents one.
    Optional,
    /// No certificate is requested.
    None,
}

/// Who answers. Answers leave out what is not given.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Identity")]
pub struct IdentityFlags {
    /// The cluster that the pod runs in [default: <unknown>].
    #[arg(long, env = "CLUSTER", value_name = "NAME", value_parser = Named(identity_value))]
    pub cluster: Option<String>,
    /// The pod's name [default: the host name].
    #[arg(long, env = "POD_NAME", value_name = "NAME", value_parser = Named(identity_value))]
    pub pod: Option<String>,
    /// The pod's namespace.
    #[arg(long, env = "POD_NAMESPACE", value_name = "NAME", value_parser = Named(identity_value))]
    pub namespace: Option<String>,
    /// The node that the pod runs on.
    #[arg(long, env = "NODE_NAME", value_name = "NAME", value_parser = Named(identity_value))]
    pub node: Option<String>,
    /// The node's region.
    #[arg(long, env = "REGION", value_name = "NAME", value_parser = Named(identity_value))]
    pub region: Option<String>,
    /// The node's zone.
    #[arg(long, env = "ZONE", value_name = "NAME", value_parser = Named(identity_value))]
    pub zone: Option<String>,
    /// The Istio network that the pod is on.
    #[arg(long, env = "NETWORK", value_name = "NAME", value_parser = Named(identity_value))]
    pub network: Option<String>,
    /// The version of the workload (not of this program).
    #[arg(long, env = "VERSION", value_name = "NAME", value_parser = Named(identity_value))]
    pub app_version: Option<String>,
}

/// What requests may ask for beyond an answer.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "On request")]
pub(crate) struct RequestFlags {
    /// Inject the faults that a request asks for in its query or in the header
    /// x-echo-fault, in the same form: delay=100ms or delay=100ms-2s, status=503
    /// or status=500:10,200:90, abort=before, abort=body, drip=5s, size=BYTES,
    /// close, unready=10s.
    #[arg(long, env = "FAULTS", value_parser = Named(BoolishValueParser::new()))]
    pub faults: bool,
    /// A host that /call?to=URL&n=TIMES may call; without PORT, on any port. May be
    /// repeated. Only http:// URLs are called. One request causes at most 64 calls,
    /// however they are nested.
    #[arg(long, env = "ALLOW_CALL", value_name = "HOST[:PORT]", value_delimiter = ',')]
    #[arg(value_parser = Named(allowed))]
    pub allow_call: Vec<Allowed>,
}

/// What clients may cost.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Limits")]
pub(crate) struct LimitFlags {
    /// The maximum number of open connections. At the limit, the connection that has
    /// been quiet for longest is closed, so that a new one has room.
    #[arg(long, env = "MAX_CONNECTIONS", value_name = "N", default_value = "1500")]
    #[arg(value_parser = Named(count))]
    pub max_connections: u64,
    /// The largest request head, in bytes or such as 64KiB.
    #[arg(long, env = "MAX_HEAD", value_name = "BYTES", default_value = "64KiB")]
    #[arg(value_parser = Named(head_bytes))]
    pub max_head: usize,
    /// The largest request body, in bytes or such as 8MiB.
    #[arg(long, env = "MAX_BODY", value_name = "BYTES", default_value = "8MiB")]
    #[arg(value_parser = Named(bytes))]
    pub max_body: u64,
    /// How long a connection may be idle.
    #[arg(long, env = "IDLE_TIMEOUT", value_name = "DURATION", default_value = "65m")]
    #[arg(value_parser = Named(idle_time))]
    pub idle_timeout: Duration,
}

#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Running")]
pub struct RunningFlags {
    /// Worker threads [default: one per usable CPU].
    #[arg(long, env = "THREADS", value_name = "N", value_parser = Named(threads))]
    pub threads: Option<NonZeroUsize>,
    /// How long to keep serving, unready, after SIGTERM, so that load balancers
    /// notice before the port closes.
    #[arg(long, env = "DRAIN_DELAY", value_name = "DURATION", default_value = "0")]
    #[arg(value_parser = Named(drain_time))]
    pub drain_delay: Duration,
    /// How long requests in flight may then take to finish.
    #[arg(long, env = "DRAIN_TIMEOUT", value_name = "DURATION", default_value = "20s")]
    #[arg(value_parser = Named(drain_time))]
    pub drain_timeout: Duration,
}

#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Logging")]
pub struct LogFlags {
    /// How much to log to stderr; info logs one line per request.
    #[arg(long, env = "LOG_LEVEL", value_name = "LEVEL", default_value = "info")]
    #[arg(value_parser = Named(EnumValueParser::<LogLevel>::new()))]
    pub log: LogLevel,
    /// The format of log lines.
    #[arg(long, env = "LOG_FORMAT", value_name = "FORMAT", default_value = "text")]
    #[arg(value_parser = Named(EnumValueParser::<LogFormat>::new()))]
    pub log_format: LogFormat,
    /// Log one of every N requests.
    #[arg(long, env = "LOG_SAMPLE", value_name = "N", default_value = "1")]
    #[arg(value_parser = Named(count))]
    pub log_sample: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogLevel {
    /// Nothing.
    Off,
    /// Errors.
    Error,
    /// Warnings and errors.
    Warn,
    /// Start, stop and one line per request.
    Info,
    /// Connections as well.
    Debug,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// Human-readable lines.
    Text,
    /// One JSON object per line.
    Json,
}

/// The command line and the environment, parsed.
#[derive(Clone, Debug)]
pub struct Cli {
    pub(crate) listen: ListenFlags,
    pub(crate) tls: TlsFlags,
    pub identity: IdentityFlags,
    pub(crate) request: RequestFlags,
    pub(crate) limits: LimitFlags,
    pub running: RunningFlags,
    pub log: LogFlags,
}

/// Not derived: clap takes an empty variable for a value, whereas compose files and the
/// downward API leave a variable empty to mean "not set".
impl CommandFactory for Cli {
    fn command() -> Command {
        Flags::command().mut_args(|arg| {
            let empty = |name| std::env::var_os(name).is_some_and(|value| value.is_empty());
            let arg = arg.hide_env_values(true);
            if arg.get_env().is_some_and(empty) { arg.env(None::<&'static str>) } else { arg }
        })
    }

    fn command_for_update() -> Command {
        Self::command()
    }
}

impl FromArgMatches for Cli {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let Flags { listen, tls, identity, request, limits, running, log } =
            Flags::from_arg_matches(matches)?;
        Ok(Self { listen, tls, identity, request, limits, running, log })
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

impl Parser for Cli {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_flags_do_not_contradict_each_other() {
        Cli::command().debug_assert();
    }

    #[test]
    fn the_help_fits_80_columns_and_knows_every_flag() {
        let help = Cli::command().term_width(80).render_long_help().to_string();
        for line in help.lines() {
            assert!(line.chars().count() <= 80, "too wide: {line:?}");
        }
        for arg in Cli::command().get_arguments() {
            let flag = format!("--{}", arg.get_long().unwrap());
            assert!(help.contains(&flag), "{flag} is missing");
            assert!(arg.get_help().is_some(), "{flag} has no help");
        }
        assert!(help.contains("[URL: http://echo1:8080/hello] on [pod: echo1-x] in"), "{help}");
    }
}
