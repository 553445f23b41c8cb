//! The flags of `prober watch`; the doc comments are the help text.

use std::path::PathBuf;

use clap::Args;

use super::RunArgs;

/// The flags of `prober watch`: those of a plain run, or a matrix file, and its own.
#[derive(Debug, Args)]
pub struct WatchArgs {
    /// A matrix file to watch instead of --target; of the flags of a plain run, -n goes
    /// with it
    #[arg(
        value_name = "FILE",
        conflicts_with_all = [
            "RequestArgs", "NetworkArgs", "TlsArgs", "EventArgs", "JudgeArgs", "EnvoyArgs",
            "targets", "identify", "concurrency", "duration", "rate", "arrivals", "seed",
            "warmup", "reuse", "streams", "connection_lifetime", "timeline", "threads",
        ],
    )]
    pub file: Option<PathBuf>,
    /// Begin a round of requests to each target every so often
    #[arg(long, value_name = "SECONDS", default_value = "10", help_heading = "Watch")]
    pub interval: String,
    /// Judge the rounds of the last SECONDS, or minutes: 5m
    #[arg(long, value_name = "SECONDS", default_value = "5m", help_heading = "Watch")]
    pub window: String,
    /// Serve /metrics, /healthz, /readyz and a live page here
    #[arg(
        long,
        value_name = "ADDRESS:PORT",
        default_value = "127.0.0.1:9464",
        help_heading = "Watch"
    )]
    pub listen: String,
    /// What is asked, and what must hold.
    #[command(flatten)]
    pub run: RunArgs,
}
