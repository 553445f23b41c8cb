//! The actions on a running mesh: `localmesh do ACTION`, and the steps of a scenario. Pure:
//! parses words, changes nothing.

mod arguments;
mod help;
mod names;
mod settings;

use std::time::Duration;

use clap::{Parser, Subcommand};
use usage::whole::within;

use crate::topology::{Locality, Mtls, OutboundTraffic};

pub(crate) use arguments::duration;
pub use arguments::{
    BalancerArgs, BalancerName, BreakerArgs, MirrorArgs, MirrorTo, OutlierArgs, Switch, Weights,
};
pub use help::{help, see};
pub(crate) use settings::{cluster_settings, settings};

use arguments::{account, locality, weights};

/// One change of a running mesh. TARGET is a cluster (`gke1`), a pod (`gke1/echo2`), a
/// gateway (`gke1/eastwestgateway`) or one process of a pod (`gke1/echo2/app`,
/// `gke1/echo2/sidecar`).
#[derive(Clone, Debug, PartialEq, Eq, Subcommand)]
#[command(disable_help_subcommand = true)]
pub enum Action {
    /// Kill processes, as a crash or a lost node does; they stay in the endpoints
    #[command(after_help = "Example:\n  localmesh do kill gke1/echo2/app")]
    Kill {
        /// Cluster, pod, gateway or process
        target: String,
    },
    /// Stop processes with SIGTERM
    #[command(after_help = "Example:\n  localmesh do stop gke1/eastwestgateway")]
    Stop {
        /// Cluster, pod, gateway or process
        target: String,
    },
    /// Start stopped processes, and wait until they are ready
    #[command(after_help = "Example:\n  localmesh do start gke1")]
    Start {
        /// Cluster, pod, gateway or process
        target: String,
    },
    /// Freeze processes: they accept connections but do not answer
    #[command(after_help = "Example:\n  localmesh do freeze gke1/eastwestgateway")]
    Freeze {
        /// Cluster, pod, gateway or process
        target: String,
    },
    /// Continue frozen processes
    #[command(after_help = "Example:\n  localmesh do thaw gke1/eastwestgateway")]
    Thaw {
        /// Cluster, pod, gateway or process
        target: String,
    },
    /// Stop processes for a part of every 100 ms, as a CPU limit does
    #[command(after_help = "Example:\n  localmesh do throttle gke1/eastwestgateway 90")]
    Throttle {
        /// Cluster, pod, gateway or process
        target: String,
        /// How long they are stopped, in percent of the time; 0 ends it
        #[arg(value_parser = within(0_u8..=99))]
        percent: u8,
    },
    /// Remove a pod from all endpoints, as a failing readiness probe does
    #[command(after_help = "Example:\n  localmesh do unready gke1/echo2")]
    Unready {
        /// Pod or gateway
        pod: String,
    },
    /// Add a pod to the endpoints again
    #[command(after_help = "Example:\n  localmesh do ready gke1/echo2")]
    Ready {
        /// Pod or gateway
        pod: String,
    },
    /// Stop a pod as its deletion does: remove it from the endpoints, drain it, stop it
    #[command(after_help = "Example:\n  localmesh do drain gke1/echo2")]
    Drain {
        /// Pod
        pod: String,
    },
    /// Set the number of pods of a workload in a cluster
    #[command(after_help = "Example:\n  localmesh do scale gke1/echo2 3")]
    Scale {
        /// Workload, such as gke1/echo2
        workload: String,
        /// Pods
        #[arg(value_parser = within(0..=crate::topology::MAX_REPLICAS))]
        replicas: u8,
    },
    /// Restart the pods of a workload one by one, as `kubectl rollout restart` does
    #[command(after_help = "Example:\n  localmesh do restart gke1/echo2 --abrupt")]
    Restart {
        /// Workload, such as gke1/echo2
        workload: String,
        /// Stop each pod while it is still in the endpoints
        #[arg(long)]
        abrupt: bool,
    },
    /// Set the weights of a service in a VirtualService: kops=90,gke1=10, or off
    #[command(after_help = "Example:\n  localmesh do split echo2 kops=90,gke1=10")]
    Split {
        /// Service, such as echo2
        service: String,
        /// Weights by cluster
        #[arg(value_parser = weights)]
        weights: Weights,
    },
    /// Set the shares of a service by locality (`distribute`): kops=80,gke1=20, or off
    #[command(after_help = "Example:\n  localmesh do distribute echo2 kops=80,gke1=20")]
    Distribute {
        /// Service
        service: String,
        /// Shares by cluster, for clients everywhere
        #[arg(value_parser = weights)]
        weights: Weights,
    },
    /// Turn locality failover on or off; it needs outlier detection
    #[command(after_help = "Example:\n  localmesh do failover echo2 off")]
    Failover {
        /// Service
        service: String,
        /// on or off
        switch: Switch,
    },
    /// Set the locality of a pod, or of every pod of a cluster
    #[command(after_help = "Example:\n  localmesh do locality gke1 us-west-2/us-west-2b")]
    Locality {
        /// Cluster or pod
        target: String,
        /// REGION/ZONE
        #[arg(value_parser = locality)]
        locality: Locality,
    },
    /// Turn outlier detection on or off: it ejects endpoints that fail
    #[command(
        after_help = "Example:\n  localmesh do outlier echo2 on --consecutive 3 --max-percent 100"
    )]
    Outlier(OutlierArgs),
    /// Set the load-balancing policy of a service; ringhash keeps a key on one endpoint
    #[command(after_help = "Example:\n  localmesh do balancer echo2 ringhash --header x-user")]
    Balancer(BalancerArgs),
    /// Limit connections and requests to a service; what exceeds a limit fails with 503
    ///
    /// Each Envoy counts for itself, and the sidecars of the service apply the limits too.
    /// Limits that are not given do not exist, as by default in Istio.
    #[command(
        after_help = "Example:\n  localmesh do breaker echo2 on --max-connections 1 --max-pending-requests 1"
    )]
    Breaker(BreakerArgs),
    /// Copy requests to another service, whose answers are dropped
    #[command(after_help = "Example:\n  localmesh do mirror echo2 gke1/echo2 --percent 50")]
    Mirror(MirrorArgs),
    /// Set the mTLS mode of a service: strict, or permissive (plaintext too)
    #[command(after_help = "Example:\n  localmesh do mtls echo2 strict")]
    Mtls {
        /// Service
        service: String,
        /// The mode
        mode: Mtls,
    },
    /// Set the number of retries by the nearest Envoy
    #[command(after_help = "Example:\n  localmesh do retries echo2 0")]
    Retries {
        /// Service
        service: String,
        /// Retries after the first attempt
        #[arg(value_parser = within(0_u32..=10))]
        times: u32,
    },
    /// Set the service account that clients of a service accept: ACCOUNT, or off
    #[command(after_help = "Example:\n  localmesh do san echo2 other")]
    San {
        /// Service
        service: String,
        /// A service account in the namespace of the service
        #[arg(value_parser = account)]
        account: String,
    },
    /// Give a pod a certificate for another service account
    #[command(after_help = "Example:\n  localmesh do account gke1/echo2 other")]
    Account {
        /// Pod
        pod: String,
        /// Service account
        #[arg(value_parser = account)]
        account: String,
    },
    /// Give a cluster a root certificate of its own
    #[command(after_help = "Example:\n  localmesh do swap-root gke1 --both-roots")]
    SwapRoot {
        /// Cluster
        cluster: String,
        /// Also trust the old root, as during a rotation
        #[arg(long)]
        both_roots: bool,
    },
    /// Remove the remote secret of one cluster from another, or add it again
    #[command(after_help = "Example:\n  localmesh do remote-secret kops gke1 off")]
    RemoteSecret {
        /// The cluster whose istiod loses the secret
        cluster: String,
        /// The cluster whose pods it then does not know
        of: String,
        /// on or off
        switch: Switch,
    },
    /// Remove the DestinationRule of a service from one cluster, or add it again
    ///
    /// The cluster then has Istio's defaults instead of the service's subsets, balancer, breaker,
    /// outlier detection, shares and accepted accounts. What a VirtualService sets stays: split,
    /// mirror and retries.
    #[command(after_help = "Example:\n  localmesh do destination-rule gke1 echo2 off")]
    DestinationRule {
        /// The cluster that lacks it
        cluster: String,
        /// Service
        service: String,
        /// on or off
        switch: Switch,
    },
    /// Set what sidecars of a cluster do with hosts that are not services: allow-any, registry-only
    #[command(after_help = "Example:\n  localmesh do outbound-traffic kops registry-only")]
    OutboundTraffic {
        /// Cluster
        cluster: String,
        /// The policy
        policy: OutboundTraffic,
    },
    /// Drop all packets between the networks of two clusters (needs up --isolate)
    #[command(after_help = "Example:\n  localmesh do cut kops gke1")]
    Cut {
        /// Cluster
        one: String,
        /// Cluster of another network
        other: String,
    },
    /// End a cut
    #[command(after_help = "Example:\n  localmesh do mend kops gke1")]
    Mend {
        /// Cluster
        one: String,
        /// Cluster of another network
        other: String,
    },
    /// Delay the answers of an application; 0ms ends it
    #[command(after_help = "Example:\n  localmesh do delay gke1/echo2 200ms --percent 5")]
    Delay {
        /// Pod
        pod: String,
        /// The delay, such as 200ms
        #[arg(value_parser = duration)]
        delay: Duration,
        /// How many requests are affected, in percent
        #[arg(long, default_value_t = 100, value_parser = within(1_u32..=100))]
        percent: u32,
    },
    /// Make an application fail with a status; 200 ends it
    #[command(after_help = "Example:\n  localmesh do abort gke1/echo2 503")]
    Abort {
        /// Pod
        pod: String,
        /// HTTP status, such as 503
        #[arg(value_parser = within(200_u16..=599))]
        status: u16,
        /// How many requests are affected, in percent
        #[arg(long, default_value_t = 100, value_parser = within(1_u32..=100))]
        percent: u32,
    },
    /// Undo the last change; each further undo takes back the change before it
    ///
    /// Pods, settings, certificates and networks become what they were before that change.
    /// Processes too: what has been killed, stopped, frozen or throttled since runs again, and
    /// what has been started or thawed since is stopped or frozen again. Actions that changed
    /// nothing do not count. The last 100 changes are kept. Prints the action that it has undone.
    #[command(after_help = "Example:\n  localmesh do undo")]
    Undo,
    /// Undo everything: the mesh is as it was when it started
    ///
    /// All processes run, whether they were killed, stopped, frozen or throttled, or have ended
    /// by themselves. Pods, settings, certificates and networks are those of the start. Returns
    /// once requests succeed on every path. A reset cannot be undone.
    #[command(after_help = "Example:\n  localmesh do reset")]
    Reset,
}

#[derive(Parser)]
#[command(
    name = "do",
    bin_name = "localmesh do",
    no_binary_name = true,
    disable_help_subcommand = true,
    max_term_width = 80
)]
struct Line {
    /// The mesh on 127.N.0.0/16 [default: 10]
    #[arg(long, global = true, value_name = "N", value_parser = within(1_u8..=254))]
    block: Option<u8>,
    #[command(subcommand)]
    action: Action,
}

/// What the words after `localmesh do` ask for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Asked {
    /// An action, and the block of the mesh if it is among its words.
    Action(Action, Option<u8>),
    /// This text.
    Help(String),
}

impl Asked {
    /// Reads `ACTION`, `ACTION --help`, `help` or `help ACTION`.
    ///
    /// # Errors
    /// One line that says what is wrong.
    pub fn parse<S: AsRef<str>>(words: &[S]) -> Result<Self, String> {
        let words: Vec<_> = words.iter().map(AsRef::as_ref).collect();
        match words.as_slice() {
            [] => return Err("the action is missing; write for example kill gke1/echo2".into()),
            ["help"] | ["help", "help" | "-h" | "--help", ..] | ["-h" | "--help", ..] => {
                return Ok(Self::Help(help()));
            }
            _ => {}
        }
        let asks = |word: &&str| matches!(*word, "-h" | "--help");
        let words = match words.as_slice() {
            ["help", name, ..] => vec![*name, "--help"],
            [name, rest @ ..] if rest.iter().any(asks) => vec![*name, "--help"],
            _ => words,
        };
        match usage::try_parse_from(&words) {
            Ok(Line { block, action }) => {
                action.check_arguments().map(|()| Self::Action(action, block))
            }
            Err(error) => help::read(&error, words[0]).map(Self::Help),
        }
    }
}

/// The words of an action without `--block N`, which tells the client whom to ask.
#[must_use]
pub fn without_block(words: &[String]) -> Vec<String> {
    let mut words = words.iter();
    let mut kept = Vec::new();
    while let Some(word) = words.next() {
        if word == "--block" {
            words.next();
        } else if !word.starts_with("--block=") {
            kept.push(word.clone());
        }
    }
    kept
}

impl Action {
    /// Reads an action from its words.
    ///
    /// # Errors
    /// One line that says what is wrong.
    pub fn parse<S: AsRef<str>>(words: &[S]) -> Result<Self, String> {
        match Asked::parse(words)? {
            Asked::Action(action, None) => Ok(action),
            Asked::Action(_, Some(_)) => Err("--block is not possible here; remove it".into()),
            Asked::Help(_) => Err("help is not an action".into()),
        }
    }

    /// Reads an action from a line such as `kill gke1/echo2`.
    ///
    /// # Errors
    /// One line that says what is wrong.
    pub fn parse_line(line: &str) -> Result<Self, String> {
        Self::parse(&line.split_whitespace().collect::<Vec<_>>())
    }

    /// Checks that the arguments fit each other.
    fn check_arguments(&self) -> Result<(), String> {
        match self {
            Self::Outlier(args) => args.outlier().map(|_| ()),
            Self::Balancer(args) => args.balancer().map(|_| ()),
            Self::Breaker(args) => args.limits().map(|_| ()),
            Self::Mirror(args) => args.mirror().map(|_| ()),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests;
