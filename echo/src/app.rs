//! What every answer is made with: who answers, the counters, the readiness, and what the
//! flags allow.

use std::sync::Arc;
use std::time::Duration;

use crate::access_log::AccessLog;
use crate::body;
use crate::call::client::Caller;
use crate::call::{self, List};
use crate::cli::Cli;
use crate::describe::Describer;
use crate::grpc;
use crate::metrics::Metrics;
use crate::readiness::Readiness;

#[derive(Debug)]
pub(crate) struct App {
    pub describer: Arc<Describer>,
    pub metrics: Metrics,
    pub readiness: Readiness,
    pub(crate) grpc: grpc::Services,
    pub(crate) log: AccessLog,
    pub(crate) options: Options,
    pub(crate) caller: Option<Caller>,
}

/// What the flags say about answers.
#[derive(Clone, Debug)]
pub(crate) struct Options {
    /// Whether requests may ask for faults.
    pub faults: bool,
    /// Whom `/call` may call. If empty, `/call` is an ordinary path.
    pub allow_call: Vec<call::Allowed>,
    /// In bytes.
    pub max_body: u64,
    /// In bytes.
    pub max_head: usize,
    /// How long a WebSocket may be idle.
    pub idle_timeout: Duration,
    /// One of this many requests is logged.
    pub log_sample: u64,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            faults: false,
            allow_call: Vec::new(),
            max_body: body::MAX_BODY,
            max_head: 64 << 10,
            idle_timeout: Duration::from_mins(65),
            log_sample: 1,
        }
    }
}

impl From<&Cli> for Options {
    fn from(cli: &Cli) -> Self {
        Self {
            faults: cli.request.faults,
            allow_call: cli.request.allow_call.clone(),
            max_body: cli.limits.max_body,
            max_head: cli.limits.max_head,
            idle_timeout: cli.limits.idle_timeout,
            log_sample: cli.log.log_sample,
        }
    }
}

impl App {
    /// An app that is not ready yet.
    #[must_use]
    pub(crate) fn new(describer: Describer, options: Options) -> Self {
        let (describer, readiness) = (Arc::new(describer), Readiness::default());
        let list = options.allow_call.clone();
        Self {
            grpc: grpc::Services::new(Arc::clone(&describer), readiness.clone()),
            describer,
            metrics: Metrics::default(),
            readiness,
            log: AccessLog::new(options.log_sample),
            caller: (!list.is_empty()).then(|| Caller::new(List::new(list))),
            options,
        }
    }
}
