//! The flags of `prober watch`; the doc comments are the help text.

use std::path::PathBuf;

use clap::Args;

use super::RunArgs;

#[derive(Debug, Args)]
pub struct WatchArgs {
    /// Matrix file to watch instead of --target; of the flags about load, only -n can be
    /// given with it
    #[arg(
        value_name = "FILE",
        conflicts_with_all = [
            "RequestArgs", "NetworkArgs", "ConnectionArgs", "TlsArgs", "EventArgs", "JudgeArgs", "EnvoyArgs",
            "targets", "urls", "data", "data_binary", "wait", "identify", "concurrency", "duration", "rate", "arrivals", "seed",
            "warmup", "reuse", "streams", "connection_lifetime", "timeline", "threads",
        ],
    )]
    pub file: Option<PathBuf>,
    /// Time between the starts of two rounds; a round sends -n requests to each target
    #[arg(long, value_name = "DURATION", default_value = "10s", help_heading = "Watch")]
    pub interval: String,
    /// Judge the rounds of this time until now
    #[arg(long, value_name = "DURATION", default_value = "5m", help_heading = "Watch")]
    pub window: String,
    /// Address of /metrics, /healthz, /readyz and the live page
    #[arg(
        long,
        value_name = "ADDRESS:PORT",
        default_value = "127.0.0.1:9464",
        help_heading = "Watch"
    )]
    pub listen: String,
    /// Name by which browsers and Prometheus may ask for them, such as watch.example.com;
    /// repeatable. IP addresses, localhost, the name of this machine and names that cannot be
    /// public, such as those of Kubernetes Services, need no flag
    #[arg(long, value_name = "NAME", help_heading = "Watch")]
    pub allow_host: Vec<String>,
    #[command(flatten)]
    pub run: RunArgs,
}
