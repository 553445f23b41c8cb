//! Istio in each cluster, joined into one mesh; its state; its removal.

use super::{GATEWAYS, ISTIO_GATEWAYS, OF_A_GATEWAY, Walk, delete, ingress, sample};
use crate::checks::{Check, Patience};
use crate::command::Command;
use crate::error::Result;
use crate::settings::{Api, Cluster};

const NAMESPACE: &str = "istio-system";

/// Joins the clusters into one mesh.
pub(crate) fn install(walk: Walk<'_>) -> Result<()> {
    walk.overlays(None)?;
    walk.checks().need(&[
        Check::Tools,
        Check::Contexts,
        Check::Permissions,
        Check::Networks,
        Check::ApiServers,
        Check::Certs,
    ])?;
    walk.clusters().iter().try_for_each(|cluster| install_into(walk, cluster))?;
    walk.settings.pairs().try_for_each(|(one, other)| remote_secret(walk, one, other))?;
    walk.checks().synced(Patience::Wait)
}

fn install_into(walk: Walk<'_>, cluster: &Cluster) -> Result<()> {
    let settings = walk.settings;
    walk.apply(cluster, "namespace")?;
    if [settings.east_west, settings.api].contains(&Api::Gateway) {
        walk.gateway_api(cluster)?;
    }
    istioctl_install(walk, cluster, "control-plane")?;
    walk.wait_rollout(cluster, NAMESPACE, &settings.istiod())?;
    match settings.east_west {
        Api::Istio => east_west_istio(walk, cluster),
        Api::Gateway => east_west_gateway(walk, cluster),
    }
}

/// `istioctl install` of what an overlay makes.
fn istioctl_install(walk: Walk<'_>, cluster: &Cluster, overlay: &str) -> Result<()> {
    let folder = walk.settings.overlay(cluster, overlay);
    let file = folder.with_extension("yaml");
    let kustomize = Command::new("kubectl").words("kustomize").word(folder.display().to_string());
    walk.shell.write(&kustomize, &file)?;
    let words = format!("install -y --readiness-timeout={}s", walk.settings.deadline);
    let install = Command::istioctl(cluster, words).word("-f").word(file.display().to_string());
    walk.shell.run(&install)
}

/// What the other API has as east-west gateway goes once this one is there.
fn east_west_istio(walk: Walk<'_>, cluster: &Cluster) -> Result<()> {
    istioctl_install(walk, cluster, "east-west")?;
    walk.apply(cluster, "expose-services")?;
    walk.wait_address(cluster, "istio-eastwestgateway")?;
    remove_east_west_gateway(walk, cluster)
}

fn east_west_gateway(walk: Walk<'_>, cluster: &Cluster) -> Result<()> {
    walk.apply(cluster, "east-west")?;
    walk.wait_programmed(cluster, "istio-eastwestgateway")?;
    walk.wait_address(cluster, "istio-eastwestgateway-istio")?;
    remove_exposed_services(walk, cluster)?;
    let gateway = format!("{OF_A_GATEWAY} --selector=istio=eastwestgateway");
    walk.shell.run(&delete(cluster, NAMESPACE, &gateway))
}

fn remove_east_west_gateway(walk: Walk<'_>, cluster: &Cluster) -> Result<()> {
    let gateway = delete(cluster, NAMESPACE, &format!("{GATEWAYS} istio-eastwestgateway"));
    walk.if_known(cluster, GATEWAYS, &[gateway])
}

fn remove_exposed_services(walk: Walk<'_>, cluster: &Cluster) -> Result<()> {
    let gateway = delete(cluster, NAMESPACE, &format!("{ISTIO_GATEWAYS} cross-network-gateway"));
    walk.if_known(cluster, ISTIO_GATEWAYS, &[gateway])
}

/// The secret of `one`, for `other` to read it.
fn remote_secret(walk: Walk<'_>, one: &Cluster, other: &Cluster) -> Result<()> {
    let mut secret = Command::istioctl(one, "create-remote-secret");
    secret = secret.word(format!("--name={}", one.name));
    if let Some(server) = &one.api_server {
        secret = secret.word(format!("--server={server}"));
    }
    walk.apply_from(&secret, other)
}

/// Shows how Istio is in each cluster, and which clusters it reads.
pub(crate) fn status(walk: Walk<'_>) -> Result<()> {
    walk.checks().need(&[Check::Istioctl, Check::Contexts])?;
    for cluster in walk.clusters() {
        walk.kubectl(cluster, format!("--namespace={NAMESPACE} get deployments,services"))?;
        walk.shell.run(&Command::istioctl(cluster, "remote-clusters"))?;
        walk.shell.run(&Command::istioctl(cluster, "proxy-status"))?;
    }
    walk.checks().need(&[Check::Certs])?;
    walk.checks().synced(Patience::AtOnce)
}

/// Takes Istio and the samples out of the clusters, or one revision of Istio.
pub(crate) fn uninstall(walk: Walk<'_>) -> Result<()> {
    walk.checks().need(&[Check::Istioctl, Check::Contexts])?;
    if let Some(revision) = &walk.settings.istio_revision {
        return remove_revisions(walk, revision);
    }
    let mut clusters = walk.clusters().iter();
    clusters.try_for_each(|cluster| ingress::remove(walk, cluster))?;
    let mut clusters = walk.clusters().iter();
    clusters.try_for_each(|cluster| sample::remove(walk, cluster))?;
    for (one, other) in walk.settings.pairs() {
        let secret = format!("secret istio-remote-secret-{}", one.name);
        walk.shell.run(&delete(other, NAMESPACE, &secret))?;
    }
    for cluster in walk.clusters() {
        remove_exposed_services(walk, cluster)?;
        remove_east_west_gateway(walk, cluster)?;
        remove_all(walk, cluster)?;
    }
    Ok(())
}

/// Also removes what istiod made itself: its root in every namespace, classes of gateways.
fn remove_all(walk: Walk<'_>, cluster: &Cluster) -> Result<()> {
    walk.shell.run(&Command::istioctl(cluster, "uninstall -y --purge"))?;
    let deadline = walk.settings.deadline;
    let words = format!("delete namespace {NAMESPACE} --ignore-not-found --timeout={deadline}s");
    walk.kubectl(cluster, words)?;
    for map in ["istio-ca-root-cert", "istio-ca-crl"] {
        let words = format!(
            "delete configmap --all-namespaces --field-selector=metadata.name={map} \
             --ignore-not-found"
        );
        walk.kubectl(cluster, words)?;
    }
    let classes = "gatewayclasses.gateway.networking.k8s.io";
    let names = "istio istio-remote istio-waypoint istio-east-west";
    let words = format!("delete {classes} {names} --ignore-not-found");
    walk.if_known(cluster, classes, &[Command::kubectl(cluster, words)])?;
    remove_definitions(walk, cluster)
}

/// Removes the resource definitions of Istio.
fn remove_definitions(walk: Walk<'_>, cluster: &Cluster) -> Result<()> {
    let question = Command::kubectl(cluster, "get crd --output=name");
    let delete = Command::kubectl(cluster, "delete --ignore-not-found");
    if walk.shell.dry_run {
        let line = format!("{question} | grep '[.]istio[.]io$' | xargs -r {delete}");
        walk.shell.say(&line);
        return Ok(());
    }
    let known = walk.shell.ask(&question)?;
    let ours: Vec<_> = known.lines().filter(|name| name.ends_with(".istio.io")).collect();
    if ours.is_empty() { Ok(()) } else { walk.shell.run(&delete.words(ours.join(" "))) }
}

/// Other revisions stay with all that they use: the namespace, the kinds of resources, the secrets
/// of other clusters, the ingress and the samples.
fn remove_revisions(walk: Walk<'_>, revision: &str) -> Result<()> {
    for cluster in walk.clusters() {
        let istiod = walk.settings.istiod();
        let words = format!(
            "--namespace={NAMESPACE} get deployment {istiod} --ignore-not-found --output=name"
        );
        let uninstall = format!("uninstall -y --revision={revision}");
        walk.if_answered(
            &Command::kubectl(cluster, words),
            &[Command::istioctl(cluster, uninstall)],
        )?;
        let selector = format!("--selector=istio.io/rev={revision}");
        walk.shell.run(&delete(cluster, NAMESPACE, &format!("{OF_A_GATEWAY} {selector}")))?;
        let gateways = delete(cluster, NAMESPACE, &format!("{GATEWAYS} {selector}"));
        walk.if_known(cluster, GATEWAYS, &[gateways])?;
    }
    walk.shell.remark(&format!(
        "revision {revision} is gone; what all revisions use is left. If it had taken a gateway \
         over, make install brings back that of the other revision; without ISTIO_REVISION, make \
         uninstall takes all away"
    ));
    Ok(())
}
