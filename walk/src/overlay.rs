//! Settings → the kustomize overlays of a cluster, over the bases in `k8s/`. Pure.

use std::path::Path;
use std::time::Duration;

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::settings::{Api, Cluster, Settings};

/// The file `kustomization.yaml` of an overlay.
#[derive(Debug)]
pub(crate) struct Overlay {
    /// The name of its folder.
    pub(crate) name: &'static str,
    pub(crate) text: String,
}

/// What the pods of one load have in common.
pub(crate) struct Run {
    /// By which `prober merge` knows that their reports are one sample.
    id: String,
    /// When all of them begin, in RFC 3339.
    start_at: String,
}

impl Run {
    /// How long pods have to come up before the load begins.
    pub(crate) const AHEAD: Duration = Duration::from_secs(20);

    pub(crate) fn of(now: OffsetDateTime) -> Self {
        let at = (now + Self::AHEAD).replace_nanosecond(0).unwrap_or(now);
        Self {
            id: format!("load-{}", now.unix_timestamp()),
            start_at: at.format(&Rfc3339).unwrap_or_default(),
        }
    }
}

/// All overlays of a cluster, that of the load for one run of it.
pub(crate) fn of_cluster(
    settings: &Settings,
    cluster: &Cluster,
    run: Option<&Run>,
) -> Vec<Overlay> {
    let writer = Writer { settings, cluster, up: up(&settings.overlay(cluster, "x")) };
    let mut overlays = vec![writer.namespace(), writer.control_plane(), writer.east_west()];
    if settings.east_west == Api::Istio {
        overlays.push(writer.overlay("expose-services", &["istio/expose-services"], ""));
    }
    overlays.extend([
        writer.echo(),
        writer.ingress(),
        writer.load(run),
        writer.check(),
        writer.watch(),
        writer.overlay("monitoring", &["watch/monitoring"], ""),
    ]);
    overlays
}

/// The way from a folder up to the current one.
fn up(folder: &Path) -> String {
    vec![".."; folder.components().count()].join("/")
}

/// A text in double quotes, as YAML and JSON read it.
pub(crate) fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// An operation of a patch.
fn operation(op: &str, path: &str, value: &str) -> String {
    format!("{{op: {op}, path: {path}, value: {value}}}")
}

fn replace(path: &str, value: &str) -> String {
    operation("replace", path, value)
}

fn add(path: &str, value: &str) -> String {
    operation("add", path, value)
}

/// A patch of the resources that `target` selects; nothing without operations.
fn patch(target: &str, operations: &[String]) -> String {
    if operations.is_empty() {
        return String::new();
    }
    let lines: String = operations.iter().map(|line| format!("      - {line}\n")).collect();
    format!("  - target: {{{target}}}\n    patch: |\n{lines}")
}

fn patches(all: &[String]) -> String {
    format!("patches:\n{}", all.concat())
}

/// An entry of `images`. A registry may have a port; a digest is not a tag.
fn image(name: &str, image: &str) -> String {
    let (own, key, value) = match image.split_once('@') {
        Some((own, digest)) => (own, "digest", digest),
        None => {
            let (own, tag) = image.rsplit_once(':').unwrap_or((image, "latest"));
            (own, "newTag", tag)
        }
    };
    let (own, value) = (quoted(own), quoted(value));
    format!("  - {{name: {name}, newName: {own}, {key}: {value}}}\n")
}

struct Writer<'a> {
    settings: &'a Settings,
    cluster: &'a Cluster,
    /// From an overlay to the repository.
    up: String,
}

impl Writer<'_> {
    fn overlay(&self, name: &'static str, bases: &[&str], rest: &str) -> Overlay {
        let up = &self.up;
        let bases: String = bases.iter().map(|base| format!("  - {up}/k8s/{base}\n")).collect();
        let text = format!(
            "# Written by walk; change the settings instead.\n\
             apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\n\
             resources:\n{bases}{rest}"
        );
        Overlay { name, text }
    }

    fn network(&self) -> String {
        quoted(&self.cluster.network)
    }

    /// `add` of Istio's revision at a path, if there is one.
    fn revision(&self, path: &str) -> Option<String> {
        self.settings.istio_revision.as_ref().map(|revision| add(path, &quoted(revision)))
    }

    fn prober_image(&self) -> String {
        format!("images:\n{}", image("prober", &self.settings.prober_image))
    }

    fn namespace(&self) -> Overlay {
        let path = "/metadata/labels/topology.istio.io~1network";
        let label = patch("kind: Namespace, name: istio-system", &[replace(path, &self.network())]);
        self.overlay("namespace", &["istio/namespace"], &patches(&[label]))
    }

    fn control_plane(&self) -> Overlay {
        let mut operations = vec![
            replace("/spec/values/global/meshID", &quoted(&self.settings.mesh_id)),
            replace("/spec/values/global/multiCluster/clusterName", &quoted(&self.cluster.name)),
            replace("/spec/values/global/network", &self.network()),
        ];
        operations.extend(self.revision("/spec/revision"));
        // With the Gateway API, each Gateway brings its own load balancer.
        if self.settings.api == Api::Gateway {
            let none = "{ingressGateways: [{name: istio-ingressgateway, enabled: false}]}";
            operations.push(add("/spec/components", none));
        }
        let patch = patch("kind: IstioOperator, name: control-plane", &operations);
        self.overlay("control-plane", &["istio/control-plane"], &patches(&[patch]))
    }

    fn east_west(&self) -> Overlay {
        let network = self.network();
        if self.settings.east_west == Api::Gateway {
            let path = "/metadata/labels/topology.istio.io~1network";
            let mut operations = vec![replace(path, &network)];
            operations.extend(self.revision("/metadata/labels/istio.io~1rev"));
            let patch = patch("kind: Gateway, name: istio-eastwestgateway", &operations);
            return self.overlay("east-west", &["istio/east-west-gateway-api"], &patches(&[patch]));
        }
        let gateway = "/spec/components/ingressGateways/0";
        let mut operations = vec![
            replace("/spec/values/global/network", &network),
            replace(&format!("{gateway}/label/topology.istio.io~1network"), &network),
            replace(&format!("{gateway}/k8s/env/0/value"), &network),
        ];
        operations.extend(self.revision("/spec/revision"));
        let patch = patch("kind: IstioOperator, name: eastwest", &operations);
        self.overlay("east-west", &["istio/east-west"], &patches(&[patch]))
    }

    fn echo(&self) -> Overlay {
        let (settings, cluster) = (self.settings, self.cluster);
        let mut bases = vec!["echo"];
        if settings.outlier_detection {
            bases.push("options/outlier-detection");
        }
        if settings.strict_mtls {
            bases.push("options/strict-mtls");
        }
        let labels = "/metadata/labels";
        let injection = self.revision(&format!("{labels}/istio.io~1rev"));
        let injection =
            injection.unwrap_or_else(|| add(&format!("{labels}/istio-injection"), "enabled"));
        let mut all = vec![patch("kind: Namespace, name: istio-enabled", &[injection])];
        for (label, place) in [("region", &cluster.region), ("zone", &cluster.zone)] {
            let path = format!("/spec/template{labels}/topology.kubernetes.io~1{label}");
            let labelled = place.iter().map(|place| add(&path, &quoted(place)));
            all.push(patch("kind: Deployment", &labelled.collect::<Vec<_>>()));
        }
        let pairs = [("CLUSTER", &cluster.name), ("NETWORK", &cluster.network)];
        let literals = pairs.map(|(key, value)| quoted(&format!("{key}={value}"))).join(", ");
        let map = |namespace: &str| {
            format!("  - name: cluster\n    namespace: {namespace}\n    literals: [{literals}]\n")
        };
        let rest = format!(
            "configMapGenerator:\n{}{}images:\n{}{}{}",
            map("istio-disabled"),
            map("istio-enabled"),
            image("echo", &settings.echo_image),
            image("prober", &settings.prober_image),
            patches(&all)
        );
        self.overlay("echo", &bases, &rest)
    }

    fn ingress(&self) -> Overlay {
        match self.settings.api {
            Api::Istio => self.ingress_istio(),
            Api::Gateway => self.ingress_gateway(),
        }
    }

    fn ingress_istio(&self) -> Overlay {
        let host = quoted(&self.cluster.host);
        let mut operations = vec![replace("/spec/servers/0/hosts/0", &host)];
        operations.extend(self.settings.tls_secret.iter().map(|secret| {
            let server = format!(
                "{{port: {{number: 443, name: https, protocol: HTTPS}}, \
                 tls: {{mode: SIMPLE, credentialName: {}}}, hosts: [{host}]}}",
                quoted(secret)
            );
            add("/spec/servers/-", &server)
        }));
        let gateway = patch("kind: Gateway, name: echo", &operations);
        let service = patch("kind: VirtualService, name: echo", &[replace("/spec/hosts/0", &host)]);
        self.overlay("ingress", &["ingress/istio"], &patches(&[gateway, service]))
    }

    fn ingress_gateway(&self) -> Overlay {
        let host = quoted(&self.cluster.host);
        let mut operations = vec![replace("/spec/listeners/0/hostname", &host)];
        if let Some(revision) = &self.settings.istio_revision {
            let labels = format!("{{istio.io/rev: {}}}", quoted(revision));
            operations.push(add("/metadata/labels", &labels));
        }
        operations.extend(self.settings.tls_secret.iter().map(|secret| {
            let listener = format!(
                "{{name: https, hostname: {host}, port: 443, protocol: HTTPS, \
                 tls: {{mode: Terminate, certificateRefs: [{{name: {}}}]}}, \
                 allowedRoutes: {{namespaces: {{from: Selector, selector: {{matchExpressions: \
                 [{{key: kubernetes.io/metadata.name, operator: In, \
                 values: [istio-disabled, istio-enabled]}}]}}}}}}}}",
                quoted(secret)
            );
            add("/spec/listeners/-", &listener)
        }));
        let gateway = patch("kind: Gateway, name: echo", &operations);
        let routes = patch("kind: HTTPRoute", &[replace("/spec/hostnames/0", &host)]);
        self.overlay("ingress", &["ingress/gateway"], &patches(&[gateway, routes]))
    }

    fn load(&self, run: Option<&Run>) -> Overlay {
        let load = &self.settings.load;
        let rate = rate_per_pod(self.settings);
        let mut words = vec![
            format!("--target={}", load.target),
            format!("--rate={rate}"),
            format!("--duration={}", load.duration),
        ];
        if let Some(Run { id, start_at }) = run {
            words.extend([format!("--run-id={id}"), format!("--start-at={start_at}")]);
        }
        words.extend(["--output=json", "--quiet"].map(str::to_owned));
        let words: Vec<_> = words.iter().map(|word| quoted(word)).collect();
        let pods = load.pods.to_string();
        let operations = [
            replace("/spec/completions", &pods),
            replace("/spec/parallelism", &pods),
            replace("/spec/maxFailedIndexes", &pods),
            replace("/spec/template/spec/containers/0/args", &format!("[{}]", words.join(", "))),
        ];
        let job = patch("kind: Job, name: load", &operations);
        self.overlay("load", &["load"], &(self.prober_image() + &patches(&[job])))
    }

    fn check(&self) -> Overlay {
        // With outlier detection Istio prefers the cluster that asks.
        let answering = match self.settings.outlier_detection {
            true => self.cluster.name.clone(),
            false => self.settings.names(","),
        };
        let expect = quoted(&format!("--expect=exactly {answering}"));
        let words = format!(
            "[--target=echo2:8080, --requests=1000, \"--expect=errors = 0\", {expect}, \
             --output=json, --quiet]"
        );
        let path = "/spec/jobTemplate/spec/template/spec/containers/0/args";
        let job = patch("kind: CronJob, name: check", &[replace(path, &words)]);
        self.overlay("check", &["check"], &(self.prober_image() + &patches(&[job])))
    }

    fn watch(&self) -> Overlay {
        let expect = quoted(&format!("--expect=exactly {}", self.settings.names(",")));
        let words = format!(
            "[watch, --target=echo2:8080, --listen=0.0.0.0:9464, \
             \"--expect=error-rate <= 1%\", {expect}]"
        );
        let path = "/spec/template/spec/containers/0/args";
        let watch = patch("kind: Deployment, name: watch", &[replace(path, &words)]);
        self.overlay("watch", &["watch/prober"], &(self.prober_image() + &patches(&[watch])))
    }
}

/// Requests per second of one pod, with six digits.
pub(crate) fn rate_per_pod(settings: &Settings) -> f64 {
    let pods = f64::from(settings.load.pods) * settings.clusters.len() as f64;
    let each = settings.load.rate / pods;
    // `{:e}` rounds to the digits; reading it back gives a number without an exponent.
    format!("{each:.5e}").parse().unwrap_or(each)
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::settings::sample;

    const CLUSTERS: &str = "clusters: [{name: kops}, {name: gke1, region: eu}]";

    fn text(set: &[&str], cluster: usize, name: &str) -> String {
        let settings = sample(CLUSTERS, set);
        let run = Run::of(OffsetDateTime::UNIX_EPOCH + Duration::from_millis(100_900));
        let all = of_cluster(&settings, &settings.clusters[cluster], Some(&run));
        all.into_iter().find(|overlay| overlay.name == name).expect(name).text
    }

    #[test]
    fn the_load_is_shared_by_all_pods() {
        let rate =
            |rate: &str, pods: &str| rate_per_pod(&sample(CLUSTERS, &[rate, pods])).to_string();
        assert_eq!(rate("rate=100", "pods=2"), "25");
        assert_eq!(rate("rate=100", "pods=3"), "16.6667");
        assert_eq!(rate("rate=20000000", "pods=1"), "10000000");
        assert_eq!(rate("rate=0.001", "pods=4"), "0.000125");
        let load = text(&["pods=8", "rate=160", "duration=1m", "target=a:1"], 0, "load");
        assert!(load.contains("/spec/completions, value: 8}"), "{load}");
        let words = "[\"--target=a:1\", \"--rate=10\", \"--duration=1m\", \"--run-id=load-100\", \"--start-at=1970-01-01T00:02:00Z\", ";
        assert!(load.contains(words), "{load}");
    }

    #[test]
    fn images_may_have_ports_and_digests() {
        let name = |repository: &str, tag: &str| {
            let set = [format!("image-repository={repository}"), format!("tag={tag}")];
            let text = text(&[&set[0], &set[1]], 0, "load");
            text.lines().find(|line| line.contains("newName")).expect("an image").trim().to_owned()
        };
        assert_eq!(
            name("localhost:5000/a", "1"),
            "- {name: prober, newName: \"localhost:5000/a/prober\", newTag: \"1\"}"
        );
        assert_eq!(
            name("a", "1@sha256:0"),
            "- {name: prober, newName: \"a/prober:1\", digest: \"sha256:0\"}"
        );
    }

    #[test]
    fn every_overlay_is_yaml_over_a_base_that_exists() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace");
        for set in [
            &[][..],
            &["api=gateway", "east-west=gateway", "tls-secret=t", "istio-revision=1-31"],
            &["strict-mtls=1", "outlier-detection=true", "tls-secret=t", "overlays=a"],
        ] {
            let settings = sample(CLUSTERS, set);
            for cluster in &settings.clusters {
                for overlay in of_cluster(&settings, cluster, None) {
                    let value: Value = serde_saphyr::from_str(&overlay.text)
                        .unwrap_or_else(|error| panic!("{error}: {}", overlay.text));
                    let folder = settings.overlay(cluster, overlay.name);
                    for base in value["resources"].as_array().expect("bases") {
                        let base = base.as_str().expect("text");
                        let up = "../".repeat(folder.components().count());
                        let base = base.strip_prefix(&up).expect("from the overlay up");
                        assert!(root.join(base).join("kustomization.yaml").exists(), "{base}");
                    }
                    for patch in value["patches"].as_array().into_iter().flatten() {
                        let patch = patch["patch"].as_str().expect("text");
                        let patch: Vec<Value> = serde_saphyr::from_str(patch).expect("YAML");
                        assert!(patch.iter().all(|one| one["path"].is_string()), "{patch:?}");
                    }
                }
            }
        }
    }

    #[test]
    fn regions_are_those_of_the_cluster() {
        assert!(!text(&[], 0, "echo").contains("topology.kubernetes.io"));
        let own = text(&[], 1, "echo");
        assert!(own.contains("topology.kubernetes.io~1region, value: \"eu\""), "{own}");
        assert!(!own.contains("~1zone"), "{own}");
    }
}
