//! What can be done to a running mesh, as words: `localmesh do WORDS`, and the steps of a
//! scenario. Pure: reads words, does nothing.

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
    /// End at once, as a crash or a lost node does; nobody takes it from the endpoints
    Kill {
        /// Cluster, pod, gateway or process
        target: String,
    },
    /// End in order
    Stop {
        /// Cluster, pod, gateway or process
        target: String,
    },
    /// Start what has ended, and wait until it is ready
    Start {
        /// Cluster, pod, gateway or process
        target: String,
    },
    /// Let it hang: it takes connections and answers nothing
    Freeze {
        /// Cluster, pod, gateway or process
        target: String,
    },
    /// Let what was frozen go on
    Thaw {
        /// Cluster, pod, gateway or process
        target: String,
    },
    /// Let it run for a part of each tenth of a second only, as a CPU limit does
    Throttle {
        /// Cluster, pod, gateway or process
        target: String,
        /// How much of the time it stands still, in percent; 0 ends it
        #[arg(value_parser = clap::value_parser!(u8).range(0..=99))]
        percent: u8,
    },
    /// Take a pod from all endpoints, as a failing readiness probe does
    Unready {
        /// Pod or gateway
        pod: String,
    },
    /// Put it back
    Ready {
        /// Pod or gateway
        pod: String,
    },
    /// End a pod as its deletion does: from the endpoints, drained, ended
    Drain {
        /// Pod
        pod: String,
    },
    /// Give a workload so many pods in a cluster
    Scale {
        /// Workload, such as gke1/echo2
        workload: String,
        /// Pods
        #[arg(value_parser = clap::value_parser!(u8).range(0..=i64::from(crate::topology::MAX_REPLICAS)))]
        replicas: u8,
    },
    /// Replace a workload's pods one after the other, as `kubectl rollout restart` does
    Restart {
        /// Workload, such as gke1/echo2
        workload: String,
        /// End each pod before anybody was told
        #[arg(long)]
        abrupt: bool,
    },
    /// Split a service by a VirtualService's weights: kops=90,gke1=10, or off
    Split {
        /// Service, such as echo2
        service: String,
        /// Weights by cluster
        #[arg(value_parser = weights)]
        weights: Weights,
    },
    /// Share a service out by locality: kops=80,gke1=20, or off
    Distribute {
        /// Service
        service: String,
        /// Shares by cluster, wherever the client is
        #[arg(value_parser = weights)]
        weights: Weights,
    },
    /// Prefer near endpoints (acts beside outlier detection only), or not
    Failover {
        /// Service
        service: String,
        /// on or off
        switch: Switch,
    },
    /// Say where a pod, or every pod of a cluster, is
    Locality {
        /// Cluster or pod
        target: String,
        /// REGION/ZONE
        #[arg(value_parser = locality)]
        locality: Locality,
    },
    /// Eject endpoints that fail, or not
    Outlier(OutlierArgs),
    /// How one of several endpoints is chosen
    Balancer {
        /// Service
        service: String,
        /// The policy
        policy: Balancer,
    },
    /// What the sidecars of a service take: mTLS only, or plaintext too
    Mtls {
        /// Service
        service: String,
        /// The mode
        mode: Mtls,
    },
    /// How often the nearest Envoy tries again
    Retries {
        /// Service
        service: String,
        /// Attempts after the first
        #[arg(value_parser = clap::value_parser!(u32).range(0..=10))]
        times: u32,
    },
    /// Which SPIFFE account the clients of a service demand: ACCOUNT, or off
    San {
        /// Service
        service: String,
        /// The service account's name in the service's namespace
        account: String,
    },
    /// Give a pod a certificate of another service account
    Account {
        /// Pod
        pod: String,
        /// The service account's name
        account: String,
    },
    /// Give a cluster a root of its own
    SwapRoot {
        /// Cluster
        cluster: String,
        /// Trust the old root too, as in the middle of a rotation
        #[arg(long)]
        both_roots: bool,
    },
    /// Take from a cluster the remote secret of another, or give it back
    RemoteSecret {
        /// The cluster whose istiod loses sight
        cluster: String,
        /// The cluster that it no longer sees
        of: String,
        /// on or off
        switch: Switch,
    },
    /// Let all packets between the networks of two clusters vanish (up --isolate)
    Cut {
        /// Cluster
        one: String,
        /// Cluster of another network
        other: String,
    },
    /// Let them through again
    Mend {
        /// Cluster
        one: String,
        /// Cluster of another network
        other: String,
    },
    /// Let an application answer later; 0ms ends it
    Delay {
        /// Pod
        pod: String,
        /// How much later, such as 200ms
        #[arg(value_parser = duration)]
        delay: Duration,
        /// Of so many requests, in percent
        #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=100))]
        percent: u32,
    },
    /// Let an application fail with a status; 200 ends it
    Abort {
        /// Pod
        pod: String,
        /// HTTP status, such as 503
        #[arg(value_parser = clap::value_parser!(u16).range(200..=599))]
        status: u16,
        /// Of so many requests, in percent
        #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=100))]
        percent: u32,
    },
}

/// Outlier detection's numbers. What is not given is Istio's default.
#[derive(Clone, Debug, PartialEq, Eq, Args)]
pub struct OutlierArgs {
    /// Service
    pub service: String,
    /// on or off
    pub switch: Switch,
    /// So many 5xx in a row eject [default: 5]
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..))]
    pub consecutive: Option<u32>,
    /// How often Envoy looks who may return [default: 10s]
    #[arg(long, value_parser = duration)]
    pub interval: Option<Duration>,
    /// For how long, times the number of ejections so far [default: 30s]
    #[arg(long, value_parser = duration)]
    pub ejection_time: Option<Duration>,
    /// At most this part of the endpoints, in percent [default: 10]
    #[arg(long, value_parser = clap::value_parser!(u32).range(0..=100))]
    pub max_percent: Option<u32>,
    /// Use all endpoints when fewer are healthy, in percent [default: 0, never]
    #[arg(long, value_parser = clap::value_parser!(u32).range(0..=100))]
    pub panic_percent: Option<u32>,
}

/// On or off.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Switch {
    /// On.
    On,
    /// Off.
    Off,
}

/// Weights by name; empty for `off`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Weights(pub Vec<(String, u32)>);

/// The parser of a line of words.
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
    /// One line that says what is wrong with them.
    pub fn parse<S: AsRef<str>>(words: &[S]) -> Result<Self, String> {
        if words.is_empty() {
            return Err("no action is given, such as kill gke1/echo2".into());
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
    /// One line that says what is wrong with it.
    pub fn parse_line(line: &str) -> Result<Self, String> {
        Self::parse(&line.split_whitespace().collect::<Vec<_>>())
    }
}

/// What an action names.
enum Named<'a> {
    /// A cluster, a pod or a process.
    Target(&'a str),
    /// A pod.
    Pod(&'a str),
    /// A workload of a cluster.
    Workload(&'a str),
    /// A service.
    Service(&'a str),
    /// A cluster.
    Cluster(&'a str),
}

impl Action {
    /// Whether everything that it names can exist in a mesh of this shape: pods that it may be
    /// scaled to exist too.
    ///
    /// # Errors
    /// One line that says what does not.
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
            Err(format!("no cluster is called '{name}'"))
        }
        Named::Service(name) if !service(name) => Err(format!("no service is called '{name}'")),
        Named::Workload(name) => match name.split_once('/') {
            Some((cluster, of)) if topology.cluster(cluster).is_some() && service(of) => Ok(()),
            _ => Err(format!("no workload is called '{name}'")),
        },
        Named::Pod(name) if !pod(name) => Err(format!("nothing is called '{name}'")),
        Named::Target(name) => {
            let part = name.rsplit_once('/').filter(|(_, end)| ["app", "sidecar"].contains(end));
            let whole = part.map_or(*name, |(pod, _)| pod);
            match topology.cluster(whole).is_some() || pod(whole) {
                true => Ok(()),
                false => Err(format!("nothing is called '{name}'")),
            }
        }
        Named::Cluster(_) | Named::Service(_) | Named::Pod(_) => Ok(()),
    }
}

/// All actions and their words, for people.
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
    const FORM: &str = "expected CLUSTER=WEIGHT[,CLUSTER=WEIGHT…] or off";
    if text == "off" {
        return Ok(Weights::default());
    }
    let mut found: Vec<(String, u32)> = Vec::new();
    for part in text.split(',') {
        let (name, weight) = part.split_once('=').ok_or_else(|| FORM.to_owned())?;
        let weight = weight.parse().map_err(|_| format!("'{weight}' is no weight; {FORM}"))?;
        if name.is_empty() {
            return Err(FORM.to_owned());
        }
        if found.iter().any(|(other, _)| other == name) {
            return Err(format!("'{name}' is named twice"));
        }
        found.push((name.to_owned(), weight));
    }
    match found.iter().map(|(_, weight)| u64::from(*weight)).sum::<u64>() {
        100 => Ok(Weights(found)),
        sum => Err(format!("the weights add up to {sum}, not 100")),
    }
}

/// Reads `us-west1/us-west1-b`.
fn locality(text: &str) -> Result<Locality, String> {
    match text.split_once('/') {
        Some((region, zone)) if !region.is_empty() && !zone.is_empty() && !zone.contains('/') => {
            Ok(Locality { region: region.into(), zone: zone.into() })
        }
        _ => Err("expected REGION/ZONE".into()),
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
    fn what_is_no_action_is_refused_in_one_line() {
        for (line, part) in [
            ("", "no action is given"),
            ("kil gke1", "kill"),
            ("kill", "<TARGET>"),
            ("scale gke1/echo2 6", "0..=5"),
            ("split echo2 kops=90,gke1=9", "add up to 99, not 100"),
            ("split echo2 kops=50,kops=50", "named twice"),
            ("split echo2 kops", "CLUSTER=WEIGHT"),
            ("distribute echo2 kops=x", "is no weight"),
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
