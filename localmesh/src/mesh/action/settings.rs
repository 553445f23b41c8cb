//! The settings of a service that differ from Istio's defaults, in the words of the actions
//! that make them. Pure.

use std::fmt::Display;

use usage::duration::format as time;

use crate::topology::{
    Balancer, Cluster, Destination, HashKey, Limits, LocalityLb, Mirror, Mtls, OutboundTraffic,
    Outlier, Policy, RingHash, Service,
};

/// One line per action, without the name of the service: `balancer ringhash --header x-user`.
#[must_use]
pub(crate) fn settings(service: &Service) -> Vec<String> {
    let default = Policy::default();
    let Policy { balancer, limits, mirror, outlier, locality, split, retries, sans, .. } =
        &service.policy;
    let mut all = Vec::new();
    all.extend(balancer_words(balancer).map(|words| format!("balancer {words}")));
    all.extend(limits_words(limits).map(|words| format!("breaker on{words}")));
    all.extend(mirror.as_ref().map(|mirror| format!("mirror {}", mirror_words(mirror))));
    all.extend(outlier.as_ref().map(|outlier| format!("outlier on{}", outlier_words(outlier))));
    match locality {
        LocalityLb::Failover => {}
        LocalityLb::Off => all.push("failover off".to_owned()),
        LocalityLb::Distribute(shares) => all.push(format!("distribute {}", weights(shares))),
    }
    all.extend((!split.is_empty()).then(|| format!("split {}", weights(split))));
    all.extend((*retries != default.retries).then(|| format!("retries {retries}")));
    all.extend((service.mtls == Mtls::Strict).then(|| "mtls strict".to_owned()));
    let accounts = sans.iter().flatten().filter_map(|id| id.rsplit('/').next());
    all.extend(accounts.map(|account| format!("san {account}")));
    all
}

/// The settings of a cluster, without its name: `remote-secret gke1 off`.
#[must_use]
pub(crate) fn cluster_settings(cluster: &Cluster) -> Vec<String> {
    let unseen = cluster.unseen.iter().map(|of| format!("remote-secret {of} off"));
    let missing = cluster.without_rule.iter();
    let missing = missing.map(|service| format!("destination-rule {service} off"));
    let registry_only = cluster.outbound_traffic == OutboundTraffic::RegistryOnly;
    let refused = registry_only.then(|| "outbound-traffic registry-only".to_owned());
    unseen.chain(missing).chain(refused).collect()
}

fn flag<T: Display>(name: &str, value: Option<T>) -> String {
    value.map(|value| format!(" --{name} {value}")).unwrap_or_default()
}

fn balancer_words(balancer: &Balancer) -> Option<String> {
    let RingHash { key, min_ring_size } = match balancer {
        Balancer::LeastRequest => return None,
        Balancer::RoundRobin => return Some("round-robin".to_owned()),
        Balancer::Random => return Some("random".to_owned()),
        Balancer::RingHash(ring) => ring,
    };
    let key = match key {
        HashKey::Header(name) => flag("header", Some(name)),
        HashKey::Cookie { name, ttl, path } => {
            flag("cookie", Some(name)) + &flag("ttl", ttl.map(time)) + &flag("path", path.as_ref())
        }
        HashKey::Query(name) => flag("query", Some(name)),
        HashKey::SourceIp => " --source-ip".to_owned(),
    };
    let size = Some(min_ring_size).filter(|size| **size != RingHash::MIN_RING_SIZE);
    Some(format!("ringhash{key}{}", flag("min-ring-size", size)))
}

/// `None` without a limit.
pub(crate) fn limits_words(limits: &Limits) -> Option<String> {
    let words = flag("max-connections", limits.connections)
        + &flag("max-pending-requests", limits.pending_requests)
        + &flag("max-requests", limits.requests)
        + &flag("max-retries", limits.retries);
    (!words.is_empty()).then_some(words)
}

fn mirror_words(mirror: &Mirror) -> String {
    let Mirror { to: Destination { service, subset }, percent } = mirror;
    let percent = flag("percent", Some(percent).filter(|percent| **percent != 100));
    match subset {
        Some(subset) => format!("{subset}/{service}{percent}"),
        None => format!("{service}{percent}"),
    }
}

fn outlier_words(outlier: &Outlier) -> String {
    let default = Outlier::default();
    let Outlier { consecutive, interval, ejection_time, max_percent, panic_percent } = outlier;
    let number = |name, value: u32, default| flag(name, (value != default).then_some(value));
    let duration = |name, value, default| flag(name, (value != default).then(|| time(value)));
    number("consecutive", *consecutive, default.consecutive)
        + &duration("interval", *interval, default.interval)
        + &duration("ejection-time", *ejection_time, default.ejection_time)
        + &number("max-percent", *max_percent, default.max_percent)
        + &number("panic-percent", *panic_percent, default.panic_percent)
}

fn weights(weights: &[(String, u32)]) -> String {
    let all: Vec<_> = weights.iter().map(|(name, weight)| format!("{name}={weight}")).collect();
    all.join(",")
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::option::of;
    use proptest::prelude::*;

    use super::super::{Action, MirrorArgs, OutlierArgs};
    use super::*;

    fn seconds() -> impl Strategy<Value = Duration> {
        (0..=3_600_000_u64).prop_map(Duration::from_millis)
    }

    fn balancer() -> impl Strategy<Value = Balancer> {
        let name = "[a-z][a-z0-9_-]{0,8}";
        let key = prop_oneof![
            name.prop_map(HashKey::Header),
            (name, of((seconds(), of("/[a-z/]{0,8}")))).prop_map(|(name, set)| {
                let (ttl, path) = set.map_or((None, None), |(ttl, path)| (Some(ttl), path));
                HashKey::Cookie { name, ttl, path }
            }),
            name.prop_map(HashKey::Query),
            Just(HashKey::SourceIp),
        ];
        let ring = (key, 1..=262_144_u64);
        prop_oneof![
            Just(Balancer::LeastRequest),
            Just(Balancer::RoundRobin),
            Just(Balancer::Random),
            ring.prop_map(|(key, min_ring_size)| Balancer::RingHash(RingHash {
                key,
                min_ring_size
            })),
        ]
    }

    fn policy() -> impl Strategy<Value = Policy> {
        let limit = || of(1..=i32::MAX.unsigned_abs());
        let limits = (limit(), limit(), limit(), limit()).prop_map(
            |(connections, pending_requests, requests, retries)| Limits {
                connections,
                pending_requests,
                requests,
                retries,
            },
        );
        let to = ("[a-np-z][a-z0-9-]{0,8}", of("[a-z][a-z0-9-]{0,8}"));
        let mirror = (to, 1..=100_u32).prop_map(|((service, subset), percent)| Mirror {
            to: Destination { service, subset },
            percent,
        });
        let percent = || 0..=100_u32;
        let outlier = (1..9_u32, seconds(), seconds(), percent(), percent()).prop_map(
            |(consecutive, interval, ejection_time, max_percent, panic_percent)| Outlier {
                consecutive,
                interval,
                ejection_time,
                max_percent,
                panic_percent,
            },
        );
        let weights = prop_oneof![
            Just(vec![]),
            percent().prop_map(|kops| vec![("kops".into(), kops), ("gke1".into(), 100 - kops)]),
        ];
        (balancer(), limits, of(mirror), of(outlier), weights, 0..=10_u32).prop_map(
            |(balancer, limits, mirror, outlier, split, retries)| Policy {
                balancer,
                limits,
                mirror,
                outlier,
                split,
                retries,
                ..Policy::default()
            },
        )
    }

    /// Does to `policy` what the actions in `settings` do to a mesh.
    fn applied(settings: &[String]) -> Policy {
        let mut policy = Policy::default();
        for setting in settings {
            let (action, rest) = setting.split_once(' ').expect("an action with a value");
            match Action::parse_line(&format!("{action} echo2 {rest}")).expect(setting) {
                Action::Balancer(args) => policy.balancer = args.balancer().unwrap(),
                Action::Breaker(args) => policy.limits = args.limits().unwrap(),
                Action::Mirror(args) => policy.mirror = MirrorArgs::mirror(&args).unwrap(),
                Action::Outlier(args) => policy.outlier = OutlierArgs::outlier(&args).unwrap(),
                Action::Split { weights, .. } => policy.split = weights.0,
                Action::Retries { times, .. } => policy.retries = times,
                other => panic!("{other:?}"),
            }
        }
        policy
    }

    proptest! {
        #[test]
        fn settings_are_read_back_as_what_they_were(policy in policy()) {
            let mut service = Service::new("echo2", "istio-enabled", true);
            service.policy = policy;
            prop_assert_eq!(applied(&settings(&service)), service.policy);
        }
    }

    #[test]
    fn only_what_differs_from_the_defaults_is_a_setting() {
        let mut service = Service::new("echo2", "istio-enabled", true);
        assert_eq!(settings(&service), [""; 0]);
        service.policy.outlier = Some(Outlier { max_percent: 100, ..Outlier::default() });
        service.policy.locality = LocalityLb::Distribute(vec![("kops".into(), 100)]);
        service.policy.sans = Some(vec![service.spiffe_of("other")]);
        service.mtls = Mtls::Strict;
        assert_eq!(
            settings(&service),
            ["outlier on --max-percent 100", "distribute kops=100", "mtls strict", "san other"]
        );
        service.policy = Policy { locality: LocalityLb::Off, ..Policy::default() };
        assert_eq!(settings(&service), ["failover off", "mtls strict"]);
    }
}
