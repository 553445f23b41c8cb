//! The ingress of each cluster, by Istio's own resources or by the Gateway API.

use super::{GATEWAYS, ISTIO_GATEWAYS, Walk, delete};
use crate::checks::Check;
use crate::error::Result;
use crate::settings::{Api, Cluster};

/// The Service of the ingress.
pub(crate) fn service(api: Api) -> &'static str {
    match api {
        Api::Istio => "istio-ingressgateway",
        Api::Gateway => "echo-istio",
    }
}

/// Leads the host names to the services. What the other API has as ingress goes once this one is
/// there.
pub(crate) fn install(walk: Walk<'_>) -> Result<()> {
    let api = walk.settings.api;
    walk.overlays(None)?;
    // A Gateway of the other API brings its Service itself.
    let needed = Some(service(api)).filter(|_| api == Api::Istio);
    walk.checks().of_ingress(needed).need(&[Check::Contexts, Check::Istio])?;
    for cluster in walk.clusters() {
        match api {
            Api::Istio => {
                walk.apply(cluster, "ingress")?;
                walk.wait_address(cluster, service(api))?;
                remove_gateway(walk, cluster)?;
            }
            Api::Gateway => {
                walk.gateway_api(cluster)?;
                walk.apply(cluster, "ingress")?;
                walk.wait_programmed(cluster, "echo")?;
                walk.wait_address(cluster, service(api))?;
                remove_istio(walk, cluster)?;
            }
        }
    }
    Ok(())
}

fn remove_istio(walk: Walk<'_>, cluster: &Cluster) -> Result<()> {
    let what = format!("{ISTIO_GATEWAYS},virtualservices.networking.istio.io echo");
    walk.if_known(cluster, ISTIO_GATEWAYS, &[delete(cluster, "istio-system", &what)])
}

fn remove_gateway(walk: Walk<'_>, cluster: &Cluster) -> Result<()> {
    let route = |namespace, name| {
        delete(cluster, namespace, &format!("httproutes.gateway.networking.k8s.io {name}"))
    };
    let gateway = delete(cluster, "istio-system", &format!("{GATEWAYS} echo"));
    let commands = [route("istio-disabled", "echo1"), route("istio-enabled", "echo2"), gateway];
    walk.if_known(cluster, GATEWAYS, &commands)
}

/// Removes the ingress of both kinds from a cluster.
pub(super) fn remove(walk: Walk<'_>, cluster: &Cluster) -> Result<()> {
    remove_istio(walk, cluster)?;
    remove_gateway(walk, cluster)
}

pub(crate) fn uninstall(walk: Walk<'_>) -> Result<()> {
    walk.checks().need(&[Check::Contexts])?;
    walk.clusters().iter().try_for_each(|cluster| remove(walk, cluster))
}
