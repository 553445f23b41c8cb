//! The matrix of `walk echo-status` for prober: each service from a client of its namespace in
//! each cluster, and through each ingress from here. Pure.

use std::net::Ipv6Addr;

use crate::overlay::quoted;
use crate::settings::{Cluster, Ingress, Settings};

const NAMESPACES: [&str; 2] = ["istio-disabled", "istio-enabled"];

/// The file. The addresses are those of the ingresses, in the order of the clusters; without one,
/// the ingress is reached by its name.
pub(crate) fn text(settings: &Settings, addresses: &[Option<String>]) -> String {
    let mut text = format!(
        "# Written by walk for prober: who must answer, asked from everywhere.\n\
         clusters: [{}]\n\
         defaults: {{requests: 250, min-share: 10%, show: 4}}\nsources:\n",
        settings.names(", ")
    );
    for Cluster { name, context, .. } in &settings.clusters {
        let (cluster, context) = (quoted(name), quoted(context));
        for namespace in NAMESPACES {
            let source = quoted(&format!("{name}:{namespace}"));
            text += &format!(
                "  - {{name: {source}, cluster: {cluster}, kubectl: {{context: {context}, \
                 namespace: {namespace}, workload: deploy/sleep, container: prober}}}}\n"
            );
        }
    }
    text += "targets:\n";
    for (cluster, address) in settings.clusters.iter().zip(addresses) {
        text += &rows(settings, cluster, address.as_deref()).concat();
    }
    text
}

/// The targets of a cluster.
fn rows(settings: &Settings, cluster: &Cluster, address: Option<&str>) -> Vec<String> {
    let name = &cluster.name;
    // With outlier detection Istio lets only the same cluster answer.
    let all = if settings.outlier_detection { name.clone() } else { settings.names(",") };
    let services = [("echo1", name.clone()), ("echo2", all)];
    let row = |entries: &str, answering: &str| {
        let exactly = quoted(&format!("exactly {answering}"));
        format!("  - {{{entries}, expect: [\"errors = 0\", {exactly}]}}\n")
    };
    let inside = services.iter().zip(NAMESPACES).map(|((service, answering), namespace)| {
        let from = quoted(&format!("{name}:{namespace}"));
        let entries =
            format!("from: {from}, url: \"{service}:8080/hello\", heading: \"{service}:8080\"");
        row(&entries, answering)
    });
    let mut rows: Vec<_> = inside.collect();
    if settings.ingress == Ingress::None {
        return rows;
    }
    let (scheme, port) = if settings.tls_secret.is_some() { ("https://", 443) } else { ("", 80) };
    let host = &cluster.host;
    let way = address.map(|address| way_in(host, port, address)).unwrap_or_default();
    let trust = settings.tls_cacert.as_ref().map(|file| format!(", cacert: {}", quoted(file)));
    let trust = trust.unwrap_or_default();
    rows.extend(services.iter().map(|(service, answering)| {
        let url = quoted(&format!("{scheme}{host}/{service}"));
        row(&format!("url: {url}{way}{trust}"), answering)
    }));
    rows
}

/// How the ingress is found: at an address, or by the name that a balancer has instead.
fn way_in(host: &str, port: u16, address: &str) -> String {
    let at =
        |address: &str| format!(", resolve: [{}]", quoted(&format!("{host}:{port}:{address}")));
    if address.parse::<Ipv6Addr>().is_ok() {
        at(&format!("[{address}]"))
    } else if address.contains(|c: char| !c.is_ascii_digit() && c != '.') {
        let to = quoted(&format!("{host}:{port}:{address}:{port}"));
        format!(", connect-to: [{to}]")
    } else {
        at(address)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::sample;

    #[test]
    fn the_ingress_is_found_at_an_address_or_by_a_name() {
        let way = |address| way_in("a.b", 80, address);
        assert_eq!(way("1.2.3.4"), ", resolve: [\"a.b:80:1.2.3.4\"]");
        assert_eq!(way("fd00::1"), ", resolve: [\"a.b:80:[fd00::1]\"]");
        assert_eq!(way("lb.c"), ", connect-to: [\"a.b:80:lb.c:80\"]");
    }

    #[test]
    fn each_cluster_has_rows_of_its_own() {
        let clusters = "clusters: [{name: a}, {name: b}]";
        let text = text(&sample(clusters, &["outlier-detection=1"]), &[None, None]);
        assert_eq!(text.matches("\"exactly a\"").count(), 4, "{text}");
        assert_eq!(text.matches("\"exactly b\"").count(), 4, "{text}");
        let text = super::text(&sample(clusters, &["ingress=none"]), &[None, None]);
        assert_eq!(text.matches("\"exactly a,b\"").count(), 2, "{text}");
        assert!(!text.contains("istio1"), "{text}");
    }
}
