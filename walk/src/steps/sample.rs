//! The sample: echo1, echo2 and the clients of each cluster; who answers; its removal.

use std::path::Path;

use super::{Walk, delete, ingress};
use crate::checks::Check;
use crate::command::{Command, write_file};
use crate::error::{Error, Result};
use crate::matrix;
use crate::settings::{Cluster, Ingress};

/// Brings the sample to each cluster. Options of an earlier run that are not wanted any more go.
pub(crate) fn install(walk: Walk<'_>) -> Result<()> {
    walk.overlays(None)?;
    let checks = [Check::Contexts, Check::Istio, Check::Images];
    let checks = if walk.settings.images_pushed { &checks[..2] } else { &checks[..] };
    walk.checks().need(checks)?;
    for cluster in walk.clusters() {
        walk.apply(cluster, "echo")?;
        for (wanted, kind, name) in [
            (walk.settings.outlier_detection, "destinationrules.networking.istio.io", "echo2"),
            (walk.settings.strict_mtls, "peerauthentications.security.istio.io", "default"),
        ] {
            if !wanted {
                let gone = delete(cluster, "istio-enabled", &format!("{kind} {name}"));
                walk.if_known(cluster, kind, &[gone])?;
            }
        }
    }
    for cluster in walk.clusters() {
        for (namespace, deployment) in [
            ("istio-disabled", "echo1"),
            ("istio-disabled", "sleep"),
            ("istio-enabled", "echo2"),
            ("istio-enabled", "sleep"),
        ] {
            walk.wait_rollout(cluster, namespace, deployment)?;
        }
    }
    Ok(())
}

/// Asks everything from everywhere; prober says who answers, and ends with its own exit code.
pub(crate) fn status(walk: Walk<'_>, prober: &Path) -> Result<()> {
    walk.checks().need(&[Check::Contexts, Check::Clients])?;
    let mut addresses = Vec::new();
    for cluster in walk.clusters() {
        addresses.push(address(walk, cluster)?);
    }
    let file = walk.settings.overlays.join("matrix.yaml");
    if walk.shell.dry_run {
        walk.shell.remark(&format!("walk writes {} with what was answered", file.display()));
    } else {
        write_file(&file, matrix::text(walk.settings, &addresses).as_bytes())?;
    }
    let prober = Command::new(prober.display().to_string());
    run_prober(walk, &prober.word("matrix").word(file.display().to_string()))
}

/// The address of a cluster's ingress, if it is reached by one.
fn address(walk: Walk<'_>, cluster: &Cluster) -> Result<Option<String>> {
    if walk.settings.ingress != Ingress::Address {
        return Ok(None);
    }
    if cluster.ingress_ip.is_some() {
        return Ok(cluster.ingress_ip.clone());
    }
    let service = ingress::service(walk.settings.api);
    let words = format!(
        "--namespace=istio-system get service {service} --ignore-not-found \
         --output=jsonpath={{.status.loadBalancer.ingress[0].ip}}\
         {{.status.loadBalancer.ingress[0].hostname}}"
    );
    let address = walk.shell.ask(&Command::kubectl(cluster, words))?;
    if address.is_empty() && !walk.shell.dry_run {
        let (name, file) = (&cluster.name, &walk.settings.file);
        return Err(Error::ToCorrect(format!(
            "{name}: service {service} has no external address; run make ingress-install, set \
             ingress-ip of {name} in {file}, or leave it out with INGRESS=none"
        )));
    }
    Ok(Some(address))
}

/// Runs prober. It says itself what is wrong.
pub(super) fn run_prober(walk: Walk<'_>, command: &Command) -> Result<()> {
    match walk.shell.status(command)? {
        Some(status) if !status.success() => {
            let code = status.code().and_then(|code| u8::try_from(code).ok());
            Err(Error::Ended(code.unwrap_or(1)))
        }
        _ => Ok(()),
    }
}

/// Removes the sample from a cluster.
pub(super) fn remove(walk: Walk<'_>, cluster: &Cluster) -> Result<()> {
    let deadline = walk.settings.deadline;
    let namespaces = "istio-disabled istio-enabled";
    let words = format!("delete namespace {namespaces} --ignore-not-found --timeout={deadline}s");
    walk.kubectl(cluster, words)
}

pub(crate) fn uninstall(walk: Walk<'_>) -> Result<()> {
    walk.checks().need(&[Check::Contexts])?;
    walk.clusters().iter().try_for_each(|cluster| remove(walk, cluster))
}
