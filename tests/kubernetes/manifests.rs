//! Everything that is rendered, for two and three clusters and all options: valid by the
//! schemas of Kubernetes, Istio and the Gateway API, and by rules of our own.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::LazyLock;

use jsonschema::Validator;
use serde_json::{Value, json};

use super::{Overlays, kube_tools, write_overlays};
use crate::harness::{finish, workspace};

/// The settings that are rendered: two clusters, three, and every option.
const SETTINGS: [&[&str]; 5] = [
    &[],
    &["clusters=kops gke1 west-3", "kops.region=eu", "kops.zone=eu-1"],
    &["api=gateway", "east-west=gateway", "istio-revision=1-31", "tls-secret=echo-tls"],
    &["outlier-detection=1", "strict-mtls=1", "tls-secret=echo-tls", "istio-revision=1-31"],
    &["image-repository=registry.example.com:5000/mesh", "tag=1.2.3", "domain=example.com"],
];

/// One resource, and where it was rendered.
struct Resource {
    place: String,
    value: Value,
}

impl Resource {
    fn text(&self, pointer: &str) -> &str {
        self.value.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
    }

    fn kind(&self) -> &str {
        self.text("/kind")
    }

    fn at(&self, pointer: &str) -> &Value {
        self.value.pointer(pointer).unwrap_or(&Value::Null)
    }

    /// The template of its pods, if it makes any.
    fn pods(&self) -> Option<&Value> {
        match self.kind() {
            "Deployment" | "Job" => self.value.pointer("/spec/template"),
            "CronJob" => self.value.pointer("/spec/jobTemplate/spec/template"),
            _ => None,
        }
    }
}

fn array(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

/// What `kubectl kustomize` makes of a folder.
fn rendered(folder: &Path) -> Vec<Resource> {
    let mut command = Command::new(kube_tools().join("bin/kubectl"));
    let said = finish(command.arg("kustomize").arg(folder));
    assert_eq!(said.code, 0, "{}: {}", folder.display(), said.stderr);
    let values: Vec<Value> = serde_saphyr::from_multiple(&said.stdout).expect("YAML");
    assert!(!values.is_empty(), "{} renders nothing", folder.display());
    let place = folder.display().to_string();
    values.into_iter().map(|value| Resource { place: place.clone(), value }).collect()
}

/// All resources of one cluster.
fn of_cluster(overlays: &Overlays, cluster: &str) -> Vec<Resource> {
    let folders = fs::read_dir(overlays.path().join(cluster)).expect("the overlays");
    let mut folders: Vec<_> = folders.map(|entry| entry.expect("an entry").path()).collect();
    folders.sort();
    folders.iter().flat_map(|folder| rendered(folder)).collect()
}

/// The resources of each cluster, for each of the settings.
fn all() -> &'static [(String, Vec<Resource>)] {
    static ALL: LazyLock<Vec<(String, Vec<Resource>)>> = LazyLock::new(|| {
        let mut all = Vec::new();
        for settings in SETTINGS {
            let overlays = write_overlays(settings);
            let clusters = fs::read_dir(overlays.path()).expect("the overlays");
            for cluster in clusters.map(|entry| entry.expect("an entry").file_name()) {
                let cluster = cluster.to_string_lossy().into_owned();
                let resources = of_cluster(&overlays, &cluster);
                all.push((format!("{cluster} of {settings:?}"), resources));
            }
        }
        assert_eq!(all.len(), 2 + 3 + 2 + 2 + 2);
        all
    });
    &ALL
}

fn each(mut check: impl FnMut(&Resource)) {
    for (_, resources) in all() {
        resources.iter().for_each(&mut check);
    }
}

/// The validators of one kind of resource: by `apiVersion kind`.
struct Schemas {
    validators: BTreeMap<String, Validator>,
}

impl Schemas {
    /// Of a release of Kubernetes: of each kind that `all` has.
    fn kubernetes(release: &str) -> Self {
        let path = kube_tools().join("schemas").join(release).join("_definitions.json");
        let document = fs::read_to_string(path).expect("the schemas");
        let document: Value = serde_json::from_str(&document).expect("JSON");
        let definitions = document["$defs"].as_object().expect("definitions");
        let mut validators = BTreeMap::new();
        for (name, definition) in definitions {
            for known in array(&definition["x-kubernetes-group-version-kind"]) {
                let group = known["group"].as_str().unwrap_or_default();
                let slash = if group.is_empty() { "" } else { "/" };
                let version = known["version"].as_str().unwrap_or_default();
                let key = format!(
                    "{group}{slash}{version} {}",
                    known["kind"].as_str().unwrap_or_default()
                );
                if is_rendered(&key) {
                    let reference = format!("#/$defs/{name}");
                    let schema = json!({"$ref": reference, "$defs": document["$defs"]});
                    validators.insert(key, jsonschema::validator_for(&schema).expect("a schema"));
                }
            }
        }
        Self { validators }
    }

    /// Of the resource definitions of Istio and of the Gateway API.
    fn definitions() -> Self {
        let mut validators = BTreeMap::new();
        for entry in fs::read_dir(kube_tools().join("crds")).expect("the definitions") {
            let text = fs::read_to_string(entry.expect("an entry").path()).expect("text");
            let documents: Vec<Value> = serde_saphyr::from_multiple(&text).expect("YAML");
            for document in documents {
                let spec = &document["spec"];
                for version in array(&spec["versions"]) {
                    let group = spec["group"].as_str().unwrap_or_default();
                    let name = version["name"].as_str().unwrap_or_default();
                    let kind = spec["names"]["kind"].as_str().unwrap_or_default();
                    let mut schema = version["schema"]["openAPIV3Schema"].clone();
                    close(&mut schema, true);
                    let validator = jsonschema::validator_for(&schema).expect("a schema");
                    validators.insert(format!("{group}/{name} {kind}"), validator);
                }
            }
        }
        Self { validators }
    }

    /// What is wrong with a resource; `None` if its kind is not known here.
    fn wrong(&self, resource: &Resource) -> Option<Vec<String>> {
        let key = format!("{} {}", resource.text("/apiVersion"), resource.kind());
        let errors = self.validators.get(&key)?.iter_errors(&resource.value);
        let line = |error: jsonschema::ValidationError<'_>| {
            format!("{} {key} at {}: {error}", resource.place, error.instance_path())
        };
        Some(errors.map(line).collect())
    }
}

fn is_rendered(key: &str) -> bool {
    let mut found = false;
    each(|resource| {
        found |= format!("{} {}", resource.text("/apiVersion"), resource.kind()) == key;
    });
    found
}

/// Structural schemas drop what they do not name; here that is an error. What all resources
/// have is Kubernetes' own, and named nowhere.
fn close(schema: &mut Value, top: bool) {
    let Some(object) = schema.as_object_mut() else { return };
    if top {
        let properties = object.entry("properties").or_insert_with(|| json!({}));
        for name in ["apiVersion", "kind", "metadata"] {
            properties[name] = json!({});
        }
    }
    let open = object.get("x-kubernetes-preserve-unknown-fields") == Some(&Value::Bool(true));
    if object.get("properties").is_some() && !open {
        object.entry("additionalProperties").or_insert(Value::Bool(false));
    }
    if let Some(properties) = object.get_mut("properties").and_then(Value::as_object_mut) {
        for property in properties.values_mut() {
            close(property, false);
        }
    }
    for key in ["items", "additionalProperties"] {
        if let Some(inner) = object.get_mut(key) {
            close(inner, false);
        }
    }
}

/// The IstioOperator is no resource of a cluster, and has no schema: its fields are held here.
fn is_operator(resource: &Resource) -> bool {
    resource.text("/apiVersion") == "install.istio.io/v1alpha1"
}

#[test]
fn everything_is_valid_by_the_schemas() {
    let all_of =
        [Schemas::kubernetes("v1.32.0"), Schemas::kubernetes("v1.36.0"), Schemas::definitions()];
    let mut wrong = Vec::new();
    each(|resource| {
        let found: Vec<_> = all_of.iter().filter_map(|schemas| schemas.wrong(resource)).collect();
        assert!(!found.is_empty() || is_operator(resource), "no schema: {}", resource.value);
        wrong.extend(found.into_iter().flatten());
    });
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn the_schemas_see_what_is_wrong() {
    let kubernetes = Schemas::kubernetes("v1.36.0");
    let definitions = Schemas::definitions();
    let mut seen = 0;
    for (kind, pointer, bad) in [
        ("Deployment", "/spec/replicas", json!("two")),
        ("Deployment", "/spec/template/spec/containers/0", json!({"name": "a", "imagee": "b"})),
        ("Service", "/spec/ports/0", json!({"name": "http"})),
        ("VirtualService", "/spec/http/0", json!({"routes": []})),
        ("HTTPRoute", "/spec/rules/0", json!({"backendRef": []})),
        ("PeerAuthentication", "/spec/mtls/mode", json!("VERY_STRICT")),
        ("DestinationRule", "/spec/trafficPolicy", json!({"outlierdetection": {}})),
        ("Job", "/spec", json!({"backOffLimit": 0, "template": {}})),
        ("ServiceMonitor", "/spec/endpoints/0", json!({"port": "http", "intervall": "15s"})),
        ("ServiceMonitor", "/spec/endpoints/0/interval", json!("often")),
        ("PrometheusRule", "/spec/groups/0/rules/0/for", json!("five minutes")),
    ] {
        let known = |r: &&Resource| r.kind() == kind && r.value.pointer(pointer).is_some();
        let good = all().iter().flat_map(|(_, resources)| resources).find(known).expect(kind);
        let mut value = good.value.clone();
        *value.pointer_mut(pointer).expect(pointer) = bad;
        let broken = Resource { place: good.place.clone(), value };
        let wrong = |it| kubernetes.wrong(it).or_else(|| definitions.wrong(it)).expect(kind);
        assert_eq!(wrong(good), Vec::<String>::new());
        assert!(!wrong(&broken).is_empty(), "{kind} {pointer} passes");
        seen += 1;
    }
    assert_eq!(seen, 11);
}

#[test]
fn istios_settings_are_those_of_the_cluster() {
    for (which, resources) in all() {
        let cluster = which.split(' ').next().expect("a name");
        let network = match cluster {
            "kops" => "network1",
            "gke1" => "network2",
            _ => "network3",
        };
        let operators: Vec<_> = resources.iter().filter(|r| is_operator(r)).collect();
        let revision = which.contains("istio-revision").then_some("1-31");
        for operator in &operators {
            assert_eq!(operator.text("/spec/values/global/network"), network);
            assert_eq!(operator.at("/spec/revision").as_str(), revision, "{which}");
        }
        let control_plane = operators.iter().find(|o| o.text("/metadata/name") == "control-plane");
        let components = control_plane.expect("it is there").at("/spec/components");
        let none = json!({"ingressGateways": [{"name": "istio-ingressgateway", "enabled": false}]});
        let gateway_api = which.contains("\"api=gateway\"");
        assert_eq!(*components == none, gateway_api, "{which}: {components}");
        let global = control_plane.expect("it is there").at("/spec/values/global");
        assert_eq!(global["multiCluster"]["clusterName"], cluster);
        assert_eq!(global["meshID"], "mesh1");
        let namespace = resources.iter().find(|r| r.text("/metadata/name") == "istio-system");
        let label = "/metadata/labels/topology.istio.io~1network";
        assert_eq!(namespace.expect("it is there").text(label), network);
        if which.contains("east-west") {
            let name = "istio-eastwestgateway";
            let gateway = resources.iter().find(|r| r.text("/metadata/name") == name);
            assert_eq!(gateway.expect("it is there").text(label), network, "{which}");
        } else {
            let east_west = operators.iter().find(|o| o.text("/metadata/name") == "eastwest");
            let gateway = east_west.expect("it is there").at("/spec/components/ingressGateways/0");
            assert_eq!(gateway["label"]["topology.istio.io/network"], network);
            assert_eq!(gateway["k8s"]["env"][0]["name"], "ISTIO_META_REQUESTED_NETWORK_VIEW");
            assert_eq!(gateway["k8s"]["env"][0]["value"], network);
            let ports = array(&gateway["k8s"]["service"]["ports"]);
            let ports: Vec<_> = ports.iter().map(|port| port["port"].as_u64()).collect();
            assert_eq!(ports, [15021, 15443].map(Some));
        }
    }
}

/// What `--explain` says to add where a sidecar does not keep its counters.
#[test]
fn the_sidecars_of_probers_keep_all_counters() {
    let mut probers = 0;
    each(|resource| {
        let Some(template) = resource.pods().filter(|_| resource.kind() == "Deployment") else {
            return;
        };
        let containers = array(&template["spec"]["containers"]);
        if containers.iter().any(|container| container["name"] == "prober") {
            probers += 1;
            let config = &template["metadata"]["annotations"]["proxy.istio.io/config"];
            assert_eq!(
                config, "{proxyStatsMatcher: {inclusionRegexps: [\".*\"]}}",
                "{}",
                resource.place
            );
        }
    });
    assert!(probers >= 3, "clients and watch: {probers}");
}

#[test]
fn every_container_is_restricted_bounded_and_probed() {
    let mut containers = 0;
    each(|resource| {
        let Some(template) = resource.pods() else { return };
        let (place, pod) = (format!("{} {}", resource.place, resource.kind()), &template["spec"]);
        assert_eq!(pod["automountServiceAccountToken"], false, "{place}");
        assert!(pod["serviceAccountName"].is_string(), "{place}: an account of its own");
        assert_eq!(pod["securityContext"]["runAsNonRoot"], true, "{place}");
        assert!(pod["securityContext"]["runAsUser"].as_u64() > Some(0), "{place}");
        assert_eq!(pod["securityContext"]["seccompProfile"]["type"], "RuntimeDefault", "{place}");
        for open in ["hostNetwork", "hostPID", "hostIPC", "volumes"] {
            assert!(pod.get(open).is_none(), "{place}: {open}");
        }
        for container in array(&pod["containers"]) {
            containers += 1;
            let image = container["image"].as_str().expect("an image");
            let (name, tag) = image.rsplit_once(':').expect("a tag");
            assert!(
                tag != "latest" && !tag.contains('/') && name.contains('/'),
                "{place}: {image}"
            );
            let rights = &container["securityContext"];
            assert_eq!(rights["allowPrivilegeEscalation"], false, "{place}");
            assert_eq!(rights["readOnlyRootFilesystem"], true, "{place}");
            assert_eq!(rights["capabilities"], json!({"drop": ["ALL"]}), "{place}");
            assert_eq!(rights.get("privileged"), None, "{place}");
            let resources = &container["resources"];
            for bound in ["/requests/cpu", "/requests/memory", "/limits/memory"] {
                assert!(resources.pointer(bound).is_some(), "{place}: {bound}");
            }
            // What ends by itself is not asked whether it still runs.
            for probe in ["startupProbe", "readinessProbe", "livenessProbe"] {
                assert_eq!(
                    container.get(probe).is_some(),
                    resource.kind() == "Deployment",
                    "{place}"
                );
            }
            let probed = container["readinessProbe"]["httpGet"]["port"].as_str();
            assert!(probed.is_none_or(|port| port == "admin"), "{place}");
        }
    });
    // Of each cluster: two echoes, two clients, the load, the check and the watch.
    assert_eq!(containers, 7 * all().len());
}

/// The kubelet reaches a pod all the same, for its probes.
#[test]
fn every_deployment_is_reached_on_the_ports_of_its_services_only() {
    const SIDECAR_METRICS: [u64; 2] = [15020, 15090];
    const HBONE: u64 = 15008;
    let numbers = |ports: &Value, key: &str| -> BTreeSet<u64> {
        array(ports).iter().filter_map(|port| port[key].as_u64()).collect()
    };
    for (which, resources) in all() {
        for deployment in resources.iter().filter(|r| r.kind() == "Deployment") {
            let pod = deployment.pods().expect("pods");
            let here = |kind: &'static str, selector: &'static str| {
                resources.iter().filter(move |r| {
                    r.kind() == kind
                        && r.text("/metadata/namespace") == deployment.text("/metadata/namespace")
                        && selects(r.at(selector), pod)
                })
            };
            let place = format!("{which}: {}", deployment.text("/metadata/name"));
            let policies: Vec<_> = here("NetworkPolicy", "/spec/podSelector/matchLabels").collect();
            let [policy] = policies[..] else { panic!("{place}: {} policies", policies.len()) };
            assert_eq!(policy.at("/spec/policyTypes"), &json!(["Ingress"]), "{place}");
            let mut open = numbers(policy.at("/spec/ingress/0/ports"), "port");
            assert!(SIDECAR_METRICS.iter().all(|port| open.remove(port)), "{place}");
            let served = here("Service", "/spec/selector").next();
            let served = served.map(|service| numbers(service.at("/spec/ports"), "port"));
            // Only echo is a server in the mesh.
            assert_eq!(open.remove(&HBONE), served == Some(BTreeSet::from([8080])), "{place}");
            assert_eq!(open, served.unwrap_or_default(), "{place}");
        }
    }
}

#[test]
fn selectors_match_labels_and_ports_are_there() {
    for (which, resources) in all() {
        let in_namespace = |namespace: &str| {
            let namespace = namespace.to_owned();
            resources.iter().filter(move |r| r.text("/metadata/namespace") == namespace)
        };
        let mut services = 0;
        for resource in resources {
            let namespace = resource.text("/metadata/namespace");
            let pods = || in_namespace(namespace).filter_map(Resource::pods);
            match resource.kind() {
                "Service" => {
                    services += 1;
                    let selector = resource.at("/spec/selector");
                    let pods: Vec<_> = pods().filter(|pod| selects(selector, pod)).collect();
                    assert_eq!(pods.len(), 1, "{which}: {}", resource.value);
                    for port in array(resource.at("/spec/ports")) {
                        let ports = array(&pods[0]["spec"]["containers"][0]["ports"]);
                        let target = ports.iter().find(|one| one["name"] == port["targetPort"]);
                        assert_eq!(target.expect("the port")["containerPort"], port["port"]);
                        assert_eq!(port["name"], "http", "Istio takes the protocol from it");
                    }
                }
                "Deployment" => {
                    let selector = resource.at("/spec/selector/matchLabels");
                    let own = resource.pods().expect("pods");
                    assert!(selects(selector, own), "{which}: {}", resource.value);
                    for spread in array(&own["spec"]["topologySpreadConstraints"]) {
                        let spread = &spread["labelSelector"]["matchLabels"];
                        assert_eq!(spread, selector, "{which}: pods of its own are spread");
                    }
                }
                "PodDisruptionBudget" => {
                    let selector = resource.at("/spec/selector/matchLabels");
                    let selected = pods().filter(|pod| selects(selector, pod)).count();
                    assert_eq!(selected, 1, "{which}: {}", resource.value);
                }
                _ => {}
            }
            if let Some(account) =
                resource.pods().and_then(|p| p["spec"]["serviceAccountName"].as_str())
            {
                let own = |r: &Resource| {
                    r.kind() == "ServiceAccount" && r.text("/metadata/name") == account
                };
                assert!(in_namespace(namespace).any(own), "{which}: no account {account}");
            }
            for from in
                resource.pods().map_or(&[][..], |p| array(&p["spec"]["containers"][0]["envFrom"]))
            {
                let name = from["configMapRef"]["name"].as_str().expect("a name");
                let own =
                    |r: &Resource| r.kind() == "ConfigMap" && r.text("/metadata/name") == name;
                let map = in_namespace(namespace).find(|r| own(r)).expect("the ConfigMap");
                let cluster = which.split(' ').next();
                assert_eq!(map.at("/data/CLUSTER").as_str(), cluster, "{which}");
            }
        }
        assert_eq!(services, 3, "{which}");
    }
}

fn selects(selector: &Value, template: &Value) -> bool {
    let labels = &template["metadata"]["labels"];
    let selector = selector.as_object().expect("a selector");
    !selector.is_empty() && selector.iter().all(|(key, value)| labels.get(key) == Some(value))
}

#[test]
fn what_is_drained_fits_into_the_grace_period() {
    let mut echoes = 0;
    each(|resource| {
        let Some(template) = resource.pods() else { return };
        let container = &template["spec"]["containers"][0];
        if container["name"] != "echo" {
            return;
        }
        echoes += 1;
        // The default of echo's --drain-timeout.
        let drain = 20;
        let sleep = container["lifecycle"]["preStop"]["sleep"]["seconds"].as_u64().expect("sleep");
        let grace = template["spec"]["terminationGracePeriodSeconds"].as_u64().expect("grace");
        assert!(sleep >= 1 && sleep + drain < grace, "{sleep} + {drain} in {grace}");
    });
    assert_eq!(echoes, 2 * all().len());
    let help = crate::harness::run("echo", ["--help"]).stdout;
    assert!(help.contains("[env: DRAIN_TIMEOUT]\n          [default: 20s]"), "{help}");
}

#[test]
fn hosts_have_a_gateway_and_routes_lead_to_services() {
    for (which, resources) in all() {
        let find = |kind: &str, name: &str| {
            let found = |r: &&Resource| r.kind() == kind && r.text("/metadata/name") == name;
            resources.iter().find(found)
        };
        let service = |name: &str, namespace: &str, port: &Value| {
            let service = find("Service", name).unwrap_or_else(|| panic!("{which}: no {name}"));
            assert_eq!(service.text("/metadata/namespace"), namespace, "{which}");
            assert!(
                array(service.at("/spec/ports")).iter().any(|one| one["port"] == *port),
                "{which}"
            );
        };
        let gateway = find("Gateway", "echo").expect("a gateway");
        let tls = which.contains("tls-secret");
        let mut routes = 0;
        if which.contains("api=gateway") {
            let listeners = array(gateway.at("/spec/listeners"));
            assert_eq!(listeners.len(), 1 + usize::from(tls), "{which}");
            for route in resources.iter().filter(|r| r.kind() == "HTTPRoute") {
                routes += 1;
                let host = route.at("/spec/hostnames/0");
                assert!(listeners.iter().all(|one| one["hostname"] == *host), "{which}");
                let parent = route.at("/spec/parentRefs/0");
                assert_eq!(parent["name"], "echo");
                assert_eq!(
                    parent["namespace"].as_str(),
                    gateway.at("/metadata/namespace").as_str()
                );
                let backend = route.at("/spec/rules/0/backendRefs/0");
                let name = backend["name"].as_str().expect("a name");
                service(name, route.text("/metadata/namespace"), &backend["port"]);
            }
        } else {
            let servers = array(gateway.at("/spec/servers"));
            assert_eq!(servers.len(), 1 + usize::from(tls), "{which}");
            let own = find("VirtualService", "echo").expect("a VirtualService");
            assert_eq!(own.at("/spec/gateways"), &json!(["echo"]));
            assert_eq!(own.text("/metadata/namespace"), gateway.text("/metadata/namespace"));
            for host in array(own.at("/spec/hosts")) {
                assert!(servers.iter().all(|one| array(&one["hosts"]).contains(host)), "{which}");
            }
            for route in array(own.at("/spec/http")) {
                routes += 1;
                let to = &route["route"][0]["destination"];
                let host: Vec<_> = to["host"].as_str().expect("a host").splitn(3, '.').collect();
                assert_eq!(host[2], "svc.cluster.local", "{which}");
                service(host[0], host[1], &to["port"]["number"]);
            }
        }
        assert_eq!(routes, 2, "{which}");
    }
}

#[test]
fn namespaces_are_injected_or_not() {
    for (which, resources) in all() {
        let labels = |name: &str| {
            let own = |r: &&Resource| r.kind() == "Namespace" && r.text("/metadata/name") == name;
            resources.iter().find(own).expect("a namespace").at("/metadata/labels").clone()
        };
        let (disabled, enabled) = (labels("istio-disabled"), labels("istio-enabled"));
        assert_eq!(disabled["istio-injection"], "disabled", "{which}");
        assert_eq!(disabled["pod-security.kubernetes.io/enforce"], "restricted", "{which}");
        assert_eq!(enabled["pod-security.kubernetes.io/warn"], "restricted", "{which}");
        assert_eq!(enabled["pod-security.kubernetes.io/audit"], "restricted", "{which}");
        if which.contains("istio-revision") {
            assert_eq!(enabled["istio.io/rev"], "1-31", "{which}");
            // Istio heeds this label before the revision's.
            assert_eq!(enabled.get("istio-injection"), None, "{which}");
        } else {
            assert_eq!(enabled["istio-injection"], "enabled", "{which}");
        }
    }
}

#[test]
fn options_are_in_when_asked_for() {
    for (which, resources) in all() {
        let has = |kind: &str| resources.iter().any(|resource| resource.kind() == kind);
        assert_eq!(has("DestinationRule"), which.contains("outlier-detection"), "{which}");
        assert_eq!(has("PeerAuthentication"), which.contains("strict-mtls"), "{which}");
        let region = "/spec/template/metadata/labels/topology.kubernetes.io~1region";
        let regions = resources.iter().filter(|resource| resource.text(region) == "eu").count();
        let asked = which.starts_with("kops of") && which.contains("kops.region");
        assert_eq!(regions, if asked { 4 } else { 0 }, "{which}");
        if let Some(rule) = resources.iter().find(|resource| resource.kind() == "DestinationRule") {
            let most = rule.at("/spec/trafficPolicy/outlierDetection/maxEjectionPercent");
            assert_eq!(most, 100, "Envoy's default never ejects one of two");
        }
    }
}

#[test]
fn the_images_are_those_of_the_settings() {
    let (_, resources) = &all().last().expect("the settings with another registry");
    let images: Vec<_> = resources
        .iter()
        .filter_map(Resource::pods)
        .map(|pods| &pods["spec"]["containers"][0]["image"])
        .collect();
    for (program, count) in [("echo", 2), ("prober", 5)] {
        let image = format!("registry.example.com:5000/mesh/{program}:1.2.3");
        assert_eq!(images.iter().filter(|one| ***one == image).count(), count, "{images:?}");
    }
}

#[test]
fn the_arguments_of_load_and_check_are_probers() {
    each(|resource| {
        let Some(pods) = resource.pods() else { return };
        let container = &pods["spec"]["containers"][0];
        let arguments = array(&container["args"]).iter().map(|word| word.as_str().expect("text"));
        if container["name"] == "prober" {
            // Parsed by the prober itself; nothing is sent, for no name is looked up.
            let words = arguments.chain(["--help"]);
            assert_eq!(crate::harness::run("prober", words).code, 0, "{}", resource.value);
        }
    });
}

#[test]
fn the_check_expects_whom_istio_lets_answer() {
    for (which, resources) in all() {
        let check = resources.iter().find(|one| one.kind() == "CronJob").expect("the check");
        let template = check.pods().expect("pods");
        let arguments = array(&template["spec"]["containers"][0]["args"]);
        let (cluster, rest) = which.split_once(' ').expect("the cluster and the settings");
        let answering = match rest {
            _ if rest.contains("outlier-detection") => cluster,
            _ if rest.contains("west-3") => "kops,gke1,west-3",
            _ => "kops,gke1",
        };
        let expected = json!(format!("--expect=exactly {answering}"));
        assert!(arguments.contains(&expected), "{which}: {arguments:?}");
        // The last reports are the logs of Jobs that are kept.
        for kept in ["/spec/successfulJobsHistoryLimit", "/spec/failedJobsHistoryLimit"] {
            assert!(check.at(kept).as_u64() >= Some(3), "{which}: {kept}");
        }
        assert_eq!(check.text("/spec/concurrencyPolicy"), "Forbid", "{which}");
    }
}

#[test]
fn the_dockerfile_passes_hadolint() {
    let mut command = Command::new(kube_tools().join("bin/hadolint"));
    let said = finish(command.arg(workspace().join("Dockerfile")));
    assert_eq!((said.code, said.stdout.as_str()), (0, ""), "{}", said.stderr);
}

#[test]
fn no_base_repeats_another_or_names_a_cluster() {
    let mut seen: BTreeMap<String, String> = BTreeMap::new();
    let mut folders = vec![workspace().join("k8s")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let text = fs::read_to_string(&path).expect("text");
            for own in ["kops", "gke1", "xiaowenx", "network1"] {
                assert!(!text.contains(own), "{} names {own}", path.display());
            }
            if text.contains("kind: Kustomization") {
                continue;
            }
            // Without numbers, so that a copy that differs in one is a copy.
            let text: String = text.chars().filter(|c| !c.is_ascii_digit()).collect();
            let name = path.display().to_string();
            if let Some(other) = seen.insert(text, name.clone()) {
                panic!("{name} is a copy of {other}");
            }
        }
    }
}
