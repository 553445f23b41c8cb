//! A prober in each cluster that probes continuously, with metrics, alerts and a dashboard.

use super::{Walk, delete};
use crate::checks::Check;
use crate::error::Result;

/// A kind of the Prometheus operator, which not all clusters have.
const MONITORS: &str = "servicemonitors.monitoring.coreos.com";

pub(crate) fn install(walk: Walk<'_>) -> Result<()> {
    walk.overlays(None)?;
    walk.checks().need(&[Check::Contexts, Check::Clients])?;
    for cluster in walk.clusters() {
        walk.apply(cluster, "watch")?;
        walk.if_known(cluster, MONITORS, &[walk.applying(cluster, "monitoring")])?;
    }
    let mut clusters = walk.clusters().iter();
    clusters.try_for_each(|cluster| walk.wait_rollout(cluster, "istio-enabled", "watch"))
}

pub(crate) fn uninstall(walk: Walk<'_>) -> Result<()> {
    walk.checks().need(&[Check::Contexts])?;
    for cluster in walk.clusters() {
        let kinds = "deployment,service,serviceaccount,networkpolicy,configmap";
        let watch = delete(cluster, "istio-enabled", &format!("{kinds} --selector=app=watch"));
        walk.shell.run(&watch)?;
        let rules = format!("{MONITORS},prometheusrules.monitoring.coreos.com watch");
        let rules = delete(cluster, "istio-enabled", &rules);
        walk.if_known(cluster, MONITORS, &[rules])?;
    }
    Ok(())
}
