//! The actions on a running mesh: `localmesh do ACTION`, and the steps of a scenario. Pure:
//! parses words, changes nothing.

use std::time::Duration;

use clap::{Args, CommandFactory as _, Parser, Subcommand};
use usage::duration::{DurationError, parse_within};

use crate::topology::{Balancer, Locality, MAX_REPLICAS, Mtls, Topology};

/// One change of a running mesh. TARGET is a cluster (`gke1`), a pod (`gke1/echo2`), a
/// gateway (`gke1/eastwestgateway`) or one process of a pod (`gke1/echo2/app`,
/// `gke1/echo2/sidecar`).
#[derive(Clone, Debug, PartialEq, Eq, Subcommand)]
#[command(disable_help_subcommand = true)]
pub enum Action {
    /// Kill processes, as a crash or a lost node does; they stay in the endpoints
    Kill {
        /// Cluster, pod, gateway or process
        target: String,
    },
    /// Stop processes with SIGTERM
    Stop {
        /// Cluster, pod, gateway or process
        target: String,
    },
    /// Start stopped processes, and wait until they are ready
    Start {
        /// Cluster, pod, gateway or process
        target: String,
    },
    /// Freeze processes: they accept connections but do not answer
    Freeze {
        /// Cluster, pod, gateway or process
        target: String,
    },
    /// Continue frozen processes
    Thaw {
        /// Cluster, pod, gateway or process
        target: String,
    },
    /// Stop processes for a part of every 100 ms, as a CPU limit does
    Throttle {
        /// Cluster, pod, gateway or process
        target: String,
        /// How long they are stopped, in percent of the time; 0 ends it
        #[arg(value_parser = clap::value_parser!(u8).range(0..=99))]
        percent: u8,
    },
    /// Remove a pod from all endpoints, as a failing readiness probe does
    Unready {
        /// Pod or gateway
        pod: String,
    },
    /// Add a pod to the endpoints again
    Ready {
        /// Pod or gateway
        pod: String,
    },
    /// Stop a pod as its deletion does: remove it from the endpoints, drain it, stop it
    Drain {
        /// Pod
        pod: String,
    },
    /// Set the number of pods of a workload in a cluster
    Scale {
        /// Workload, such as gke1/echo2
        workload: String,
        /// Pods
        #[arg(value_parser = clap::value_parser!(u8).range(0..=i64::from(crate::topology::MAX_REPLICAS)))]
        replicas: u8,
    },
    /// Restart the pods of a workload one by one, as `kubectl rollout restart` does
    Restart {
        /// Workload, such as gke1/echo2
        workload: String,
        /// Stop each pod while it is still in the endpoints
        #[arg(long)]
        abrupt: bool,
    },
    /// Set the weights of a service in a VirtualService: kops=90,gke1=10, or off
    Split {
        /// Service, such as echo2
        service: String,
        /// Weights by cluster
        #[arg(value_parser = weights)]
        weights: Weights,
    },
    /// Set the shares of a service by locality (`distribute`): kops=80,gke1=20, or off
    Distribute {
        /// Service
        service: String,
        /// Shares by cluster, for clients everywhere
        #[arg(value_parser = weights)]
        weights: Weights,
    },
    /// Turn locality failover on or off; it needs outlier detection
    Failover {
        /// Service
        service: String,
        /// on or off
        switch: Switch,
    },
    /// Set the locality of a pod, or of every pod of a cluster
    Locality {
        /// Cluster or pod
        target: String,
        /// REGION/ZONE
        #[arg(value_parser = locality)]
        locality: Locality,
    },
    /// Turn outlier detection on or off: it ejects endpoints that fail
    Outlier(OutlierArgs),
    /// Set the load-balancing policy of a service
    Balancer {
        /// Service
        service: String,
        /// The policy
        policy: Balancer,
    },
    /// Set the mTLS mode of a service: strict, or permissive (plaintext too)
    Mtls {
        /// Service
        service: String,
        /// The mode
        mode: Mtls,
    },
    /// Set the number of retries by the nearest Envoy
    Retries {
        /// Service
        service: String,
        /// Retries after the first attempt
        #[arg(value_parser = clap::value_parser!(u32).range(0..=10))]
        times: u32,
    },
    /// Set the service account that clients of a service accept: ACCOUNT, or off
    San {
        /// Service
        service: String,
        /// A service account in the namespace of the service
        account: String,
    },
    /// Give a pod a certificate for another service account
    Account {
        /// Pod
        pod: String,
        /// Service account
        account: String,
    },
    /// Give a cluster a root certificate of its own
    SwapRoot {
        /// Cluster
        cluster: String,
        /// Also trust the old root, as during a rotation
        #[arg(long)]
        both_roots: bool,
    },
    /// Remove the remote secret of one cluster from another, or add it again
    RemoteSecret {
        /// The cluster whose istiod loses the secret
        cluster: String,
        /// The cluster whose pods it then does not know
        of: String,
        /// on or off
        switch: Switch,
    },
    /// Drop all packets between the networks of two clusters (needs up --isolate)
    Cut {
        /// Cluster
        one: String,
        /// Cluster of another network
        other: String,
    },
    /// End a cut
    Mend {
        /// Cluster
        one: String,
        /// Cluster of another network
        other: String,
    },
    /// Delay the answers of an application; 0ms ends it
    Delay {
        /// Pod
        pod: String,
        /// The delay, such as 200ms
        #[arg(value_parser = duration)]
        delay: Duration,
        /// How many requests are affected, in percent
        #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=100))]
        percent: u32,
    },
    /// Make an application fail with a status; 200 ends it
    Abort {
        /// Pod
        pod: String,
        /// HTTP status, such as 503
        #[arg(value_parser = clap::value_parser!(u16).range(200..=599))]
        status: u16,
        /// How many requests are affected, in percent
        #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=100))]
        percent: u32,
    },
}

/// The settings of outlier detection. Istio's defaults apply to what is not given.
#[derive(Clone, Debug, PartialEq, Eq, Args)]
pub struct OutlierArgs {
    /// Service
    pub service: String,
    /// on or off
    pub switch: Switch,
    /// Consecutive 5xx responses that eject an endpoint [default: 5]
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..))]
    pub consecutive: Option<u32>,
    /// Interval of the checks that end an ejection [default: 10s]
    #[arg(long, value_parser = duration)]
    pub interval: Option<Duration>,
    /// Ejection time, multiplied by the number of ejections so far [default: 30s]
    #[arg(long, value_parser = duration)]
    pub ejection_time: Option<Duration>,
    /// The largest share of ejected endpoints, in percent [default: 10]
    #[arg(long, value_parser = clap::value_parser!(u32).range(0..=100))]
    pub max_percent: Option<u32>,
    /// Use all endpoints if fewer than this are healthy, in percent [default: 0, never]
    #[arg(long, value_parser = clap::value_parser!(u32).range(0..=100))]
    pub panic_percent: Option<u32>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Switch {
    On,
    Off,
}

/// Weights by cluster; empty for `off`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Weights(pub Vec<(String, u32)>);

#[derive(Parser)]
#[command(name = "do", no_binary_name = true, disable_help_flag = true)]
struct Line {
    #[command(subcommand)]
    action: Action,
}

impl Action {
    /// Reads an action from its words.
    ///
    /// # Errors
    /// One line that says what is wrong.
    pub fn parse<S: AsRef<str>>(words: &[S]) -> Result<Self, String> {
        if words.is_empty() {
            return Err("the action is missing; write for example kill gke1/echo2".into());
        }
        let words = words.iter().map(|word| word.as_ref().to_owned());
        match Line::try_parse_from(words) {
            Ok(line) => Ok(line.action),
            Err(error) => Err(usage::one_line(&error)),
        }
    }

    /// Reads an action from a line such as `kill gke1/echo2`.
    ///
    /// # Errors
    /// One line that says what is wrong.
    pub fn parse_line(line: &str) -> Result<Self, String> {
        Self::parse(&line.split_whitespace().collect::<Vec<_>>())
    }
}

/// Something that an action names.
enum Named<'a> {
    /// A cluster, a pod or a process.
    Target(&'a str),
    Pod(&'a str),
    /// A service in one cluster.
    Workload(&'a str),
    Service(&'a str),
    Cluster(&'a str),
}

impl Action {
    /// Checks that everything it names can exist in a mesh of this shape, including pods that a
    /// workload can be scaled to.
    ///
    /// # Errors
    /// One line that names what does not exist.
    pub fn check(&self, topology: &Topology) -> Result<(), String> {
        self.named().into_iter().try_for_each(|named| known(&named, topology))
    }

    fn named(&self) -> Vec<Named<'_>> {
        match self {
            Self::Kill { target }
            | Self::Stop { target }
            | Self::Start { target }
            | Self::Freeze { target }
            | Self::Thaw { target }
            | Self::Throttle { target, .. }
            | Self::Locality { target, .. } => vec![Named::Target(target)],
            Self::Unready { pod }
            | Self::Ready { pod }
            | Self::Drain { pod }
            | Self::Account { pod, .. }
            | Self::Delay { pod, .. }
            | Self::Abort { pod, .. } => vec![Named::Pod(pod)],
            Self::Scale { workload, .. } | Self::Restart { workload, .. } => {
                vec![Named::Workload(workload)]
            }
            Self::Split { service, weights } | Self::Distribute { service, weights } => {
                let clusters = weights.0.iter().map(|(name, _)| Named::Cluster(name));
                std::iter::once(Named::Service(service)).chain(clusters).collect()
            }
            Self::Failover { service, .. }
            | Self::Balancer { service, .. }
            | Self::Mtls { service, .. }
            | Self::Retries { service, .. }
            | Self::San { service, .. } => vec![Named::Service(service)],
            Self::Outlier(args) => vec![Named::Service(&args.service)],
            Self::SwapRoot { cluster, .. } => vec![Named::Cluster(cluster)],
            Self::Cut { one, other } | Self::Mend { one, other } => {
                vec![Named::Cluster(one), Named::Cluster(other)]
            }
            Self::RemoteSecret { cluster, of, .. } => {
                vec![Named::Cluster(cluster), Named::Cluster(of)]
            }
        }
    }
}

fn known(named: &Named<'_>, topology: &Topology) -> Result<(), String> {
    let service = |name: &str| topology.services.iter().any(|service| service.name == name);
    let replica = |label: &str| {
        let number = label.rsplit_once('-').and_then(|(name, n)| Some((name, n.parse().ok()?)));
        number.is_some_and(|(name, n): (&str, u8)| service(name) && (2..=MAX_REPLICAS).contains(&n))
    };
    let pod = |path: &str| {
        path.split_once('/').is_some_and(|(cluster, label)| {
            topology.cluster(cluster).is_some_and(|cluster| {
                cluster.pods.iter().any(|pod| pod.label == label) || replica(label)
            })
        })
    };
    match named {
        Named::Cluster(name) if topology.cluster(name).is_none() => {
            Err(format!("unknown cluster '{name}'"))
        }
        Named::Service(name) if !service(name) => Err(format!("unknown service '{name}'")),
        Named::Workload(name) => match name.split_once('/') {
            Some((cluster, of)) if topology.cluster(cluster).is_some() && service(of) => Ok(()),
            _ => Err(format!("unknown workload '{name}'")),
        },
        Named::Pod(name) if !pod(name) => Err(format!("unknown cluster, pod or process '{name}'")),
        Named::Target(name) => {
            let part = name.rsplit_once('/').filter(|(_, end)| ["app", "sidecar"].contains(end));
            let whole = part.map_or(*name, |(pod, _)| pod);
            match topology.cluster(whole).is_some() || pod(whole) {
                true => Ok(()),
                false => Err(format!("unknown cluster, pod or process '{name}'")),
            }
        }
        Named::Cluster(_) | Named::Service(_) | Named::Pod(_) => Ok(()),
    }
}

/// The help text of all actions.
#[must_use]
pub fn help() -> String {
    let mut text = String::new();
    let line = Line::command();
    for action in line.get_subcommands().filter(|action| action.get_name() != "help") {
        let about = action.get_about().map(ToString::to_string).unwrap_or_default();
        let usage = action.clone().disable_help_flag(true).render_usage().to_string();
        let usage = usage.trim_start_matches("Usage: ").trim_start_matches("do ").to_owned();
        text.push_str(&format!("{usage}\n    {about}\n"));
    }
    text
}

/// Reads `kops=90,gke1=10`, or `off`.
fn weights(text: &str) -> Result<Weights, String> {
    const FORM: &str = "write CLUSTER=WEIGHT[,CLUSTER=WEIGHT…] or off";
    if text == "off" {
        return Ok(Weights::default());
    }
    let mut found: Vec<(String, u32)> = Vec::new();
    for part in text.split(',') {
        let (name, weight) = part.split_once('=').ok_or_else(|| FORM.to_owned())?;
        let weight = weight.parse().map_err(|_| format!("'{weight}' is not a weight; {FORM}"))?;
        if name.is_empty() {
            return Err(FORM.to_owned());
        }
        if found.iter().any(|(other, _)| other == name) {
            return Err(format!("'{name}' is given twice"));
        }
        found.push((name.to_owned(), weight));
    }
    match found.iter().map(|(_, weight)| u64::from(*weight)).sum::<u64>() {
        100 => Ok(Weights(found)),
        sum => Err(format!("the weights add up to {sum}; they must add up to 100")),
    }
}

/// Reads `us-west1/us-west1-b`.
fn locality(text: &str) -> Result<Locality, String> {
    match text.split_once('/') {
        Some((region, zone)) if !region.is_empty() && !zone.is_empty() && !zone.contains('/') => {
            Ok(Locality { region: region.into(), zone: zone.into() })
        }
        _ => Err("write REGION/ZONE".into()),
    }
}

/// Reads a duration of at most an hour.
pub(crate) fn duration(text: &str) -> Result<Duration, DurationError> {
    parse_within(text, Duration::ZERO..=Duration::from_hours(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn actions_are_read_from_their_words() {
        let read = |line: &str| Action::parse_line(line).unwrap();
        assert_eq!(read("kill gke1/echo2/app"), Action::Kill { target: "gke1/echo2/app".into() });
        assert_eq!(
            read("split echo2 kops=90,gke1=10"),
            Action::Split {
                service: "echo2".into(),
                weights: Weights(vec![("kops".into(), 90), ("gke1".into(), 10)]),
            }
        );
        assert_eq!(
            read("split echo2 off"),
            Action::Split { service: "echo2".into(), weights: Weights::default() }
        );
        let Action::Outlier(outlier) = read("outlier echo2 on --interval 1.5s --max-percent 100")
        else {
            panic!("an outlier action")
        };
        assert_eq!(outlier.interval, Some(Duration::from_millis(1500)));
        assert_eq!((outlier.max_percent, outlier.consecutive), (Some(100), None));
        assert_eq!(
            read("delay gke1/echo2 200ms --percent 5"),
            Action::Delay {
                pod: "gke1/echo2".into(),
                delay: Duration::from_millis(200),
                percent: 5
            }
        );
    }

    #[test]
    fn an_invalid_action_is_refused_in_one_line() {
        for (line, part) in [
            ("", "the action is missing"),
            ("kil gke1", "kill"),
            ("kill", "<TARGET>"),
            ("scale gke1/echo2 6", "0..=5"),
            ("split echo2 kops=90,gke1=9", "add up to 99; they must add up to 100"),
            ("split echo2 kops=50,kops=50", "given twice"),
            ("split echo2 kops", "CLUSTER=WEIGHT"),
            ("distribute echo2 kops=x", "is not a weight"),
            ("delay gke1/echo2 soon", "for example 250ms"),
            ("delay gke1/echo2 2h", "from 0s to 1h"),
            ("locality gke1 west", "REGION/ZONE"),
            ("throttle gke1/echo2 100", "0..=99"),
            ("mtls echo2 lax", "strict"),
            ("failover echo2 maybe", "on"),
            ("abort gke1/echo2 99", "200..=599"),
            ("cut kops", "<OTHER>"),
        ] {
            let said = Action::parse_line(line).expect_err(line);
            assert!(said.contains(part), "{line}: {said}");
            assert_eq!(said.lines().count(), 1, "{said}");
        }
    }
}
