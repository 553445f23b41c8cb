//! The order of commands, recorded by stand-ins; golden files hold it. What is wrong is
//! said in one line, before anything is changed.

use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use super::{Overlays, kube_tools, make};
use crate::harness::{Said, bin, finish, run, workspace};
use crate::servers::{Server, text_echo};

/// What recipes and scripts use of the system; no kubectl, no istioctl, no docker.
const SYSTEM: [&str; 23] = [
    "awk", "base64", "cat", "cmp", "cut", "date", "dirname", "echo", "git", "grep", "head", "ls",
    "make", "mkdir", "rm", "sed", "seq", "sh", "sleep", "tail", "tr", "true", "xargs",
];
/// What changes nothing in a cluster; all else does.
const ASKS: [&str; 10] = [
    " get ",
    " version ",
    " config ",
    " auth ",
    "kustomize",
    " wait ",
    " rollout ",
    "remote-clusters",
    "manifest inspect",
    "create secret",
];

/// Stand-ins for all programs, and the clusters that they speak for.
struct Walk {
    dir: TempDir,
    overlays: Overlays,
}

impl Walk {
    /// Clusters in which nothing is, and all tools.
    fn new(clusters: &[&str]) -> Self {
        let dir = tempfile::tempdir().expect("a folder");
        let walk = Self { dir, overlays: Overlays::new() };
        let bin = walk.path("bin");
        fs::create_dir_all(&bin).expect("a folder");
        let path = std::env::var_os("PATH").expect("a PATH");
        for program in SYSTEM {
            let found = std::env::split_paths(&path).map(|folder| folder.join(program));
            let found = found.into_iter().find(|file| file.exists());
            symlink(found.expect(program), bin.join(program)).expect("a link");
        }
        for program in ["kubectl", "istioctl", "docker"] {
            let stand_in = workspace().join("tests/kubernetes/stand-in");
            symlink(stand_in, bin.join(program)).expect("a link");
        }
        walk.write("kubectl-version", "v1.37.1");
        walk.write("istioctl-version", "1.31.1");
        for cluster in clusters {
            walk.holds(cluster, "uid", &format!("uid-of-{cluster}"));
            walk.holds(cluster, "version", "v1.35.4-gke.100");
            walk.holds(cluster, "server", &format!("https://{cluster}.example.com:6443"));
            walk.holds(cluster, "can-i", "yes");
        }
        walk
    }

    /// Two clusters that are ready for `make install`.
    fn with_certificates() -> Self {
        let walk = Self::new(&["kops", "gke1"]);
        for (cluster, other) in [("kops", "gke1"), ("gke1", "kops")] {
            walk.holds(cluster, "root", "cm9vdA==");
            walk.holds(cluster, "address", "34.82.246.2");
            let synced = format!(
                "NAME     SECRET                                    STATUS     ISTIOD\n\
                 {cluster}                                             synced     istiod-x\n\
                 {other}     istio-system/istio-remote-secret-{other}     synced     istiod-x\n"
            );
            walk.holds(cluster, "remote-clusters", &synced);
        }
        walk
    }

    /// Two clusters with all that the walk brings.
    fn installed() -> Self {
        let walk = Self::with_certificates();
        for (cluster, network) in [("kops", "network1"), ("gke1", "network2")] {
            walk.holds(cluster, "network", network);
            walk.holds(cluster, "istiod", "deployment.apps/istiod");
            walk.holds(cluster, "clients", "1");
            walk.holds(
                cluster,
                "crds",
                "customresourcedefinition.apiextensions.k8s.io/gateways.networking.istio.io\n\
                 customresourcedefinition.apiextensions.k8s.io/destinationrules.networking.istio.io\n\
                 customresourcedefinition.apiextensions.k8s.io/peerauthentications.security.istio.io\n\
                 customresourcedefinition.apiextensions.k8s.io/gateways.gateway.networking.k8s.io\n\
                 customresourcedefinition.apiextensions.k8s.io/gatewayclasses.gateway.networking.k8s.io\n\
                 customresourcedefinition.apiextensions.k8s.io/others.example.com\n",
            );
        }
        walk
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        fs::write(path, text).expect("can be written");
    }

    fn holds(&self, cluster: &str, name: &str, text: &str) {
        self.write(&format!("clusters/{cluster}/{name}"), text);
    }

    fn holds_not(&self, cluster: &str, name: &str) {
        fs::remove_file(self.path(&format!("clusters/{cluster}/{name}"))).expect("it was there");
    }

    fn without(&self, program: &str) {
        fs::remove_file(self.path("bin").join(program)).expect("it was there");
    }

    /// Runs a target; what was recorded before is forgotten.
    fn make(&self, arguments: &[&str]) -> Said {
        let _ = fs::remove_file(self.path("log"));
        let path = OsString::from(self.path("bin"));
        let mut command = make(&self.overlays, &path, arguments);
        command.env("WALK", self.dir.path()).env("KUBECTL", kube_tools().join("bin/kubectl"));
        finish(&mut command)
    }

    #[track_caller]
    fn makes(&self, arguments: &[&str]) -> String {
        let said = self.make(arguments);
        assert_eq!(said.code, 0, "{said:?}");
        self.log()
    }

    /// The commands recorded, with the overlays' folder by name.
    fn log(&self) -> String {
        let log = fs::read_to_string(self.path("log")).unwrap_or_default();
        self.plain(&log)
    }

    fn plain(&self, text: &str) -> String {
        let folder = self.dir.path().to_string_lossy();
        text.replace(&self.overlays.relative, "OVERLAYS").replace(&*folder, "FOLDER")
    }

    /// Asserts that a target is refused: not 0, one line beside make's own that holds all
    /// of `parts`, and nothing changed in any cluster.
    #[track_caller]
    fn refused(&self, arguments: &[&str], parts: &[&str]) {
        let said = self.make(arguments);
        assert_eq!(said.code, 2, "{said:?}");
        let own = |line: &&str| !line.starts_with("make: ***") || line.contains(".mk: ");
        let own = |line: &&str| own(line) && !line.starts_with("doctor: note: ");
        let lines: Vec<_> = said.stderr.lines().filter(own).collect();
        assert_eq!(lines.len(), 1, "{said:?}");
        for part in parts {
            assert!(lines[0].contains(part), "{part:?} is missing: {}", lines[0]);
        }
        let changed: Vec<_> = changes(&self.log());
        assert!(changed.is_empty(), "{changed:#?}");
    }
}

/// The commands that change something.
fn changes(log: &str) -> Vec<String> {
    let changing = |line: &&str| !ASKS.iter().any(|asks| line.contains(asks));
    log.lines().filter(changing).map(str::to_owned).collect()
}

#[test]
fn the_order_of_the_install() {
    let walk = Walk::with_certificates();
    insta::assert_snapshot!(walk.makes(&["install"]));
    assert_eq!(walk.log(), walk.makes(&["install"]), "a second run is the same");
}

#[test]
fn the_order_of_the_install_with_the_gateway_api_and_a_revision() {
    let walk = Walk::with_certificates();
    insta::assert_snapshot!(walk.makes(&["install", "EAST_WEST=gateway", "ISTIO_REVISION=1-31"]));
}

#[test]
fn every_cluster_reads_every_other_one() {
    let walk = Walk::new(&["kops", "gke1", "west"]);
    for cluster in ["kops", "gke1", "west"] {
        walk.holds(cluster, "root", "cm9vdA==");
        walk.holds(cluster, "address", "34.82.246.2");
        let synced = ["kops", "gke1", "west"].map(|name| format!("{name}  secret  synced  x\n"));
        walk.holds(cluster, "remote-clusters", &synced.concat());
    }
    let log = walk.makes(&["install", "CLUSTERS=kops gke1 west", "API_SERVER_west=https://west"]);
    let secrets: Vec<_> = log.lines().filter(|line| line.contains("remote-secret")).collect();
    assert_eq!(secrets.len(), 6, "{log}");
    let server = secrets.iter().filter(|line| line.ends_with("--name=west --server=https://west"));
    assert_eq!(server.count(), 2, "{log}");
    assert!(log.contains("kubectl --context=west apply --server-side"), "{log}");
}

#[test]
fn a_failure_in_the_middle_keeps_what_was_done_and_a_second_run_completes_it() {
    let walk = Walk::with_certificates();
    let whole = walk.makes(&["install"]);
    // Each command of the install once.
    for failing in changes(&whole) {
        let failing = failing.replace("OVERLAYS", &walk.overlays.relative);
        walk.write("fail", &failing);
        let said = walk.make(&["install"]);
        assert_eq!(said.code, 2, "{failing}: {said:?}");
        let log = walk.log();
        assert!(whole.starts_with(log.trim_end()) || log.contains("create-remote-secret"), "{log}");
        let undone =
            log.lines().filter(|line| line.contains("delete") || line.contains("uninstall"));
        assert_eq!(undone.count(), 0, "{log}");
        walk.write("fail", "");
        assert_eq!(walk.makes(&["install"]), whole, "after {failing}");
    }
}

#[test]
fn an_uninstall_that_fails_in_the_middle_is_completed_by_a_second_run() {
    let walk = Walk::installed();
    let whole = walk.makes(&["uninstall"]);
    let changes = changes(&whole);
    assert!(changes.len() > 15, "{whole}");
    for failing in changes {
        walk.write("fail", &failing);
        let said = walk.make(&["uninstall"]);
        assert_eq!(said.code, 2, "{failing}: {said:?}");
        let log = walk.log();
        assert!(whole.starts_with(log.trim_end()), "{log}");
        walk.write("fail", "");
        assert_eq!(walk.makes(&["uninstall"]), whole, "after {failing}");
    }
}

#[test]
fn the_order_of_the_uninstall() {
    let walk = Walk::installed();
    insta::assert_snapshot!(walk.makes(&["uninstall"]));
}

/// Beside it the default revision goes on, with its gateway, its ingress and its samples.
#[test]
fn the_uninstall_of_one_revision_leaves_what_others_use() {
    let walk = Walk::installed();
    let log = walk.makes(&["uninstall", "ISTIO_REVISION=1-31"]);
    for cluster in ["kops", "gke1"] {
        let uninstalled = format!("istioctl uninstall -y --revision=1-31 --context={cluster}");
        assert!(log.contains(&uninstalled), "{log}");
    }
    let deleted: Vec<_> = log.lines().filter(|line| line.contains(" delete ")).collect();
    assert_eq!(deleted.len(), 4, "{log}");
    for line in deleted {
        assert!(line.contains(" --selector=istio.io/rev=1-31 "), "{line}");
    }
    assert!(!log.contains("--purge"), "{log}");
    let said = walk.make(&["uninstall", "ISTIO_REVISION=1-31"]);
    assert!(said.stdout.contains("make install brings back"), "{said:?}");
}

/// What an option or the other API brought in an earlier run goes.
#[test]
fn options_and_apis_that_are_not_wanted_any_more_are_taken_back() {
    let walk = Walk::installed();
    let deletes = |arguments: &[&str]| -> Vec<String> {
        let log = walk.makes(arguments);
        let place = |text: &str| log.lines().position(|line| line.contains(text));
        let (new, old) = (place(" apply ").expect("the new"), place(" delete "));
        assert!(old.is_none_or(|old| new < old), "first the new, then the old: {log}");
        let ours = |line: &&str| line.contains(" delete ") && line.contains("--context=kops");
        log.lines().filter(ours).map(str::to_owned).collect()
    };
    let plain = deletes(&["echo-install"]).concat();
    assert!(plain.contains("destinationrules.networking.istio.io echo2 "), "{plain}");
    assert!(plain.contains("peerauthentications.security.istio.io default "), "{plain}");
    let both = deletes(&["echo-install", "OUTLIER_DETECTION=1", "STRICT_MTLS=1"]);
    assert_eq!(both, [""; 0]);
    let istio = deletes(&["ingress-install"]).concat();
    assert!(istio.contains("gateways.gateway.networking.k8s.io echo "), "{istio}");
    assert!(!istio.contains("virtualservices"), "{istio}");
    let gateway = deletes(&["ingress-install", "API=gateway"]).concat();
    assert!(gateway.contains("virtualservices.networking.istio.io echo "), "{gateway}");
    assert!(!gateway.contains("httproutes"), "{gateway}");
    let istio = deletes(&["install"]).concat();
    assert!(istio.contains("gateways.gateway.networking.k8s.io istio-eastwestgateway "), "{istio}");
    let gateway = deletes(&["install", "EAST_WEST=gateway"]).concat();
    assert!(gateway.contains("gateways.networking.istio.io cross-network-gateway "), "{gateway}");
    assert!(gateway.contains(" --selector=istio=eastwestgateway "), "{gateway}");
}

#[test]
fn an_ingress_that_was_not_installed_is_said_before_anything_is_changed() {
    let walk = Walk::installed();
    walk.holds("gke1", "no-ingress", "");
    let parts = ["gke1: there is no service istio-ingressgateway", "run: make install"];
    walk.refused(&["ingress-install"], &parts);
    walk.makes(&["ingress-install", "API=gateway"]);
}

#[test]
fn a_revision_with_a_dot_is_refused_before_anything_is_changed() {
    let walk = Walk::with_certificates();
    for target in ["install", "uninstall", "echo-install"] {
        let parts = ["ISTIO_REVISION is '1.31'", "a-z, 0-9 and -, as in 1-31"];
        walk.refused(&[target, "ISTIO_REVISION=1.31"], &parts);
    }
}

#[test]
fn an_image_in_a_registry_without_tls_is_found() {
    let walk = Walk::installed();
    walk.write("registry", "no such manifest: localhost:5000/mesh/echo:1.0.0\n");
    walk.refused(&["echo-install"], &["is not pushed", "IMAGES_PUSHED=1"]);
    assert!(walk.makes(&["echo-install", "IMAGES_PUSHED=1"]).contains(" apply "));
    walk.write("registry-without-tls", "");
    assert!(walk.makes(&["echo-install"]).contains(" apply "));
}

#[test]
fn the_uninstall_of_nothing_is_well() {
    let walk = Walk::new(&["kops", "gke1"]);
    let log = walk.makes(&["uninstall"]);
    // Kinds that a cluster does not know cannot be deleted, not even with --ignore-not-found.
    let deleted = |line: &str| line.contains(" delete ") && line.contains(".istio.io ");
    assert!(!log.lines().any(deleted), "{log}");
    assert!(!log.contains("xargs"), "{log}");
    for line in log.lines().filter(|line| line.contains(" delete ")) {
        assert!(line.contains("--ignore-not-found"), "{line}");
    }
    walk.makes(&["certs-uninstall"]);
    walk.makes(&["ingress-uninstall"]);
    walk.makes(&["echo-uninstall"]);
    walk.makes(&["check-uninstall"]);
}

#[test]
fn only_resource_definitions_of_istio_go() {
    let log = Walk::installed().makes(&["uninstall"]);
    assert!(!log.contains("others.example.com"), "{log}");
    assert!(log.contains("gateways.networking.istio.io"), "{log}");
}

#[test]
fn dry_runs_print_what_a_person_could_type() {
    let walk = Walk::with_certificates();
    let mut all = String::new();
    for target in ["certs", "certs-install", "install", "ingress-install", "echo-install"] {
        let said = walk.make(&["-n", target]);
        assert_eq!(said.code, 0, "{said:?}");
        assert_eq!(walk.log(), "", "nothing is run");
        all.push_str(&format!("$ make -n {target}\n{}", walk.plain(&said.stdout)));
    }
    insta::assert_snapshot!(all);
}

#[test]
fn the_rest_of_the_walk() {
    let walk = Walk::installed();
    let mut all = String::new();
    for arguments in [
        &["ingress-install"][..],
        &["ingress-install", "API=gateway"],
        &["echo-install"],
        &["status"],
        &["check-install"],
    ] {
        all.push_str(&format!("$ make {}\n{}", arguments.join(" "), walk.makes(arguments)));
    }
    insta::assert_snapshot!(all);
}

#[test]
fn images_are_built_and_pushed_by_their_names() {
    let walk = Walk::new(&["kops", "gke1"]);
    let mut all = String::new();
    for arguments in [
        &["docker", "revision=abc", "epoch=1795000000"][..],
        &["docker-push"],
        &[
            "docker-push",
            "revision=abc",
            "epoch=1795000000",
            "PLATFORMS=linux/amd64,linux/arm64",
            "TAG=1.2.3",
        ],
    ] {
        all.push_str(&format!("$ make {}\n{}", arguments.join(" "), walk.makes(arguments)));
    }
    insta::assert_snapshot!(all);
}

#[test]
fn watching_comes_with_alerts_where_the_operator_is() {
    let walk = Walk::installed();
    let crd = "customresourcedefinition.apiextensions.k8s.io/servicemonitors.monitoring.coreos.com";
    walk.holds("gke1", "crds", crd);
    let mut all = String::new();
    for target in ["watch-install", "watch-uninstall"] {
        all.push_str(&format!("$ make {target}\n{}", walk.makes(&[target])));
    }
    insta::assert_snapshot!(all);
    walk.holds_not("gke1", "clients");
    walk.refused(&["watch-install"], &["gke1"]);
}

#[test]
fn settings_that_cannot_be_right_are_refused_before_anything_runs() {
    let walk = Walk::new(&["kops", "gke1"]);
    for (arguments, part) in [
        (&["install", "CLUSTERS=kops kops"][..], "CLUSTERS names 'kops' twice"),
        (&["install", "CLUSTERS=kops"], "name at least two clusters"),
        (&["install", "NETWORK_gke1=network1"], "two clusters have the network 'network1'"),
        (&["certs", "CONTEXT_gke1=kops"], "two clusters have the context 'kops'"),
        (&["install", "HOST_gke1=istio1.xiaowenx.com"], "two clusters have the host"),
        (&["install", "CLUSTERS=kops Gke_1"], "'Gke_1' is no name for a cluster"),
        (&["ingress-install", "API=ingress"], "API is 'ingress'; it is istio or gateway"),
        (&["echo-status", "INGRESS=no"], "INGRESS is 'no'"),
        (&["echo-install", "TAG="], "TAG is empty"),
        (&["load", "PODS=0"], "PODS is '0'; it is how many pods each cluster has"),
        (&["load", "PODS=many"], "PODS is 'many'"),
        (&["load", "RATE=0"], "RATE is '0'; it is requests per second"),
        (&["load", "RATE=1e3"], "RATE is '1e3'"),
        (&["install", "DEADLINE=5m"], "DEADLINE is '5m'; it is a number of seconds"),
        (&["echo-install", "STRICT_MTLS=yes"], "STRICT_MTLS is 'yes'; it is 1 or empty"),
        (&["echo-status", "OUTLIER_DETECTION=0"], "OUTLIER_DETECTION is '0'"),
    ] {
        walk.refused(arguments, &[part, "clusters.mk: "]);
        assert_eq!(walk.log(), "", "nothing was asked");
    }
    let file = walk.path("mine.mk");
    fs::write(&file, "CLUSTERS := a\nDOMAIN := x\nMESH_ID := m\n").expect("can be written");
    walk.refused(&["install", &format!("SETTINGS={}", file.display())], &["mine.mk: CLUSTERS"]);
}

#[test]
fn tools_that_are_missing_or_old_are_said() {
    let walk = Walk::with_certificates();
    walk.write("istioctl-version", "1.24.0");
    walk.refused(&["install"], &["istioctl is 1.24", "ISTIO_VERSION := 1.31"]);
    walk.write("kubectl-version", "v1.27.3");
    walk.refused(&["install"], &["kubectl is 1.27; 1.31 or later is needed"]);
    walk.write("kubectl-version", "v1.37.1");
    walk.without("istioctl");
    for target in ["install", "uninstall", "status"] {
        walk.refused(&[target], &["istioctl is missing; get that of Istio 1.31"]);
    }
    walk.without("kubectl");
    for target in ["install", "echo-install", "echo-uninstall"] {
        walk.refused(&[target], &["kubectl is missing"]);
    }
    let said = walk.make(&["doctor"]);
    let own: Vec<_> = said.stderr.lines().filter(|line| line.starts_with("doctor: ")).collect();
    assert_eq!(own.len(), 2, "both are missing, and nothing is said of the clusters: {said:?}");
}

#[test]
fn clusters_that_are_not_what_the_settings_say_are_refused() {
    let walk = Walk::with_certificates();
    walk.refused(
        &["install", "CONTEXT_gke1=gke_x"],
        &["no context 'gke_x' for cluster gke1", "gke1 kops", "set CONTEXT_gke1"],
    );
    walk.holds("gke1", "can-i", "no");
    walk.refused(&["install"], &["gke1: you may not do everything"]);
    walk.holds("gke1", "can-i", "yes");
    walk.holds("gke1", "version", "v1.28.1");
    walk.refused(&["install"], &["gke1: it runs Kubernetes 1.28; Istio 1.31 supports 1.32"]);
    walk.holds("gke1", "version", "v1.33.0+k3s1");
    walk.holds("gke1", "network", "elsewhere");
    walk.refused(&["install"], &["istio-system is on network 'elsewhere' already"]);
    walk.holds_not("gke1", "network");
    walk.holds("gke1", "server", "https://127.0.0.1:38671");
    walk.refused(&["install"], &["https://127.0.0.1:38671, which no other", "set API_SERVER_gke1"]);
    walk.makes(&["install", "API_SERVER_gke1=https://10.0.0.2:6443"]);
    walk.holds("gke1", "uid", "uid-of-kops");
    walk.refused(&["install"], &["kops and gke1 are the same cluster"]);
    walk.holds("gke1", "unreachable", "");
    walk.refused(&["install"], &["gke1: its API server does not answer", "i/o timeout"]);
}

#[test]
fn certificates_of_another_root_are_refused() {
    let walk = Walk::new(&["kops", "gke1"]);
    let folder = walk.path("certificates");
    let certs = format!("CERTS={}", folder.display());
    let install = ["certs-install", certs.as_str()];
    walk.refused(&install, &["kops/ca-cert.pem is not there; run: make certs"]);
    walk.refused(&["install"], &["kops: there is no secret cacerts", "make certs certs-install"]);
    let out = folder.to_str().expect("UTF-8");
    let flags = ["generate", "--key=ecdsa-p256", "--cluster=kops", "--cluster=gke1", "--out", out];
    assert_eq!(run("certs", flags).code, 0);
    insta::assert_snapshot!(walk.makes(&install));
    // As if istiod had been installed before.
    walk.holds("gke1", "istiod", "deployment.apps/istiod");
    walk.refused(&install, &["gke1: istiod runs without our certificates"]);
    walk.holds("gke1", "root", "b3RoZXI=");
    walk.refused(&install, &["gke1: another root is installed than", "root-cert.pem"]);
    walk.holds("kops", "root", "cm9vdA==");
    walk.refused(&["install"], &["kops and gke1 have different roots"]);
    fs::write(folder.join("gke1/root-cert.pem"), "other").expect("can be written");
    walk.refused(&install, &["gke1/root-cert.pem is not the root"]);
}

#[test]
fn what_is_not_there_yet_is_said_with_the_target_that_brings_it() {
    let walk = Walk::with_certificates();
    walk.refused(&["ingress-install"], &["kops: Istio is not installed; run: make install"]);
    walk.refused(&["echo-install"], &["kops: Istio is not installed; run: make install"]);
    walk.refused(&["echo-status", "PROBER=true"], &["kops: no client is ready in istio-disabled"]);
    walk.refused(&["load", "PROBER=true"], &["kops: no client is ready", "make echo-install"]);
    let walk = Walk::installed();
    walk.refused(&["ingress-install", "TLS_SECRET=echo-tls"], &["no secret echo-tls"]);
}

#[test]
fn an_image_that_is_not_pushed_is_said_and_a_registry_that_cannot_be_asked_is_no_error() {
    let walk = Walk::installed();
    walk.write("registry", "no such manifest: docker.io/xiaowenx/echo:0.1.0");
    let parts = ["docker.io/xiaowenx/echo:0.1.0 is not pushed", "make docker docker-push"];
    walk.refused(&["echo-install"], &parts);
    walk.write("registry", "unauthorized: authentication required");
    let said = walk.make(&["echo-install"]);
    assert_eq!(said.code, 0, "{said:?}");
    assert!(said.stderr.contains("is not known: unauthorized"), "{said:?}");
}

#[test]
fn what_does_not_come_in_time_is_said() {
    let walk = Walk::with_certificates();
    walk.holds_not("kops", "address");
    let said = walk.make(&["install", "DEADLINE=1"]);
    assert_eq!(said.code, 2, "{said:?}");
    let line = "kops: service/istio-eastwestgateway got no external address in 1 s";
    assert_eq!(said.stderr.lines().filter(|said| said.starts_with(line)).count(), 1, "{said:?}");
    let line =
        "\nkops: waiting for the external address of service/istio-eastwestgateway, at most 1 s\n";
    assert!(said.stdout.contains(line), "{said:?}");

    let walk = Walk::with_certificates();
    walk.holds("gke1", "remote-clusters", "NAME  SECRET  STATUS  ISTIOD\nkops  x  timeout  y\n");
    let said = walk.make(&["install", "DEADLINE=1"]);
    assert_eq!(said.code, 2, "{said:?}");
    assert!(said.stderr.contains("doctor: gke1: istiod does not read kops after 1 s"), "{said:?}");
    assert!(said.stdout.contains("gke1: waiting until istiod reads kops"), "{said:?}");

    let walk = Walk::installed();
    walk.write("fail", "rollout status --timeout=300s deployment/echo2");
    let said = walk.make(&["echo-install"]);
    assert!(said.stderr.contains("kops: deployment/echo2 did not come up in 300 s"), "{said:?}");
}

#[test]
fn the_doctor_says_every_problem() {
    let walk = Walk::with_certificates();
    let report = |what: &str| {
        format!(
            "{{\n  \"schema\": \"prober/1\",\n  \"what\": \"{what}\",\n  \"kind\": \"KIND\"\n}}"
        )
    };
    walk.write("reach", &report("403 Forbidden").replace("KIND", "status"));
    let certs = walk.path("certificates");
    let out = certs.to_str().expect("UTF-8");
    let flags = ["generate", "--key=ecdsa-p256", "--cluster=kops", "--cluster=gke1", "--out", out];
    assert_eq!(run("certs", flags).code, 0);
    let certs = format!("CERTS={out}");
    let said = walk.make(&["doctor", &certs]);
    assert_eq!((said.code, said.stderr.as_str()), (0, ""), "{said:?}");
    assert!(said.stdout.ends_with("all is ready\n"), "{said:?}");
    walk.write("reach-once", "pod default/prober-doctor terminated (Error)\n");
    let said = walk.make(&["doctor"]);
    assert!(said.stdout.contains("ok: gke1's API server is reachable from kops"), "{said:?}");
    walk.write("registry", "manifest unknown");
    let said = walk.make(&["doctor", &certs]);
    assert!(said.stdout.ends_with("nothing is wrong; to do: 2\n"), "{said:?}");

    walk.write("istioctl-version", "1.30.2");
    walk.holds("gke1", "can-i", "no");
    walk.write("registry", "manifest unknown");
    walk.write("reach", &report("no route to host").replace("KIND", "connect"));
    let said = walk.make(&["doctor", &certs]);
    assert_eq!(said.code, 2, "{said:?}");
    for part in [
        "istioctl is 1.30",
        "gke1: you may not do everything",
        "gke1's API server https://gke1.example.com:6443 does not answer to pods of kops: no route",
    ] {
        assert!(said.stderr.contains(part), "{part:?} is missing: {said:?}");
    }
    let to_do =
        "to do: docker.io/xiaowenx/prober:0.1.0 is not pushed; run: make docker docker-push";
    assert!(said.stdout.contains(to_do), "{said:?}");
    assert!(!said.stdout.contains("all is ready"), "{said:?}");
    let left = walk.log().lines().filter(|line| line.contains(" run prober-doctor ")).count();
    assert_eq!(left, 2);
}

#[test]
fn the_matrix_asks_everything_from_everywhere() {
    let walk = Walk::installed();
    walk.holds("gke1", "address", "lb.example.com");
    let dry = |arguments: &[&str]| {
        walk.makes(arguments);
        let file = walk.overlays.path().join("matrix.yaml");
        let said = run("prober", [Path::new("matrix"), Path::new("--dry-run"), &file]);
        assert_eq!(said.code, 0, "{said:?}");
        fs::read_to_string(file).expect("text") + &said.stdout
    };
    insta::assert_snapshot!(dry(&["echo-status", "PROBER=true", "INGRESS_IP_kops=fd00::1"]));
    let none = dry(&["echo-status", "PROBER=true", "INGRESS=none"]);
    assert!(!none.contains("xiaowenx.com"), "{none}");
    let dns = dry(&["echo-status", "PROBER=true", "INGRESS=dns", "TLS_SECRET=x"]);
    assert!(dns.contains("https://istio2.xiaowenx.com/echo2") && !dns.contains("resolve"), "{dns}");
    let tls = dry(&["echo-status", "PROBER=true", "TLS_SECRET=x", "TLS_CACERT=root.pem"]);
    assert!(tls.contains("--resolve=istio1.xiaowenx.com:443:34.82.246.2"), "{tls}");
    assert_eq!(tls.matches("--cacert=root.pem").count(), 4, "{tls}");
    walk.holds_not("gke1", "address");
    let parts = ["gke1: service istio-ingressgateway has no external address", "INGRESS_IP_gke1"];
    walk.refused(&["echo-status", "PROBER=true"], &parts);
}

#[test]
fn the_load_of_many_pods_becomes_one_report() {
    let walk = Walk::installed();
    let echo = Server::start(text_echo("echo2-a", "kops"));
    for (cluster, requests) in [("kops", ["30", "40"]), ("gke1", ["50", "60"])] {
        for (index, requests) in requests.into_iter().enumerate() {
            let (target, to) = ("--target=echo2:8080", format!("echo2:8080:{}", echo.target()));
            let words = [
                target,
                "-n",
                requests,
                "--run-id=r",
                "--output=json",
                "--quiet",
                "--connect-to",
                &to,
            ];
            let said = run("prober", words);
            assert_eq!(said.code, 0, "{said:?}");
            walk.holds(cluster, &format!("report-{index}.json"), &said.stdout);
        }
        walk.holds(cluster, "job", "1 1");
    }
    let prober = format!("PROBER={}", bin("prober").display());
    let said = walk.make(&["load", &prober, "PODS=2", "RATE=100", "DURATION=10s"]);
    assert_eq!(said.code, 0, "{said:?}");
    assert!(said.stdout.contains("180 requests on 180 connections, 0 failed"), "{said:?}");
    assert!(said.stdout.contains("kops: 2 of 2 pods have ended"), "{said:?}");
    assert!(said.stdout.contains("--rate=25 --duration=10s"), "100/s over four pods: {said:?}");

    walk.holds("gke1", "job", "1");
    let said = walk.make(&["load", &prober, "PODS=2", "DEADLINE=0"]);
    assert!(said.stderr.contains("gke1: 1 of 2 pods have ended"), "{said:?}");
    walk.holds("gke1", "job", "0 2");
    walk.holds("gke1", "report-1.json", "prober: no such host\n");
    let said = walk.make(&["load", &prober, "PODS=2"]);
    assert!(
        said.stderr.contains("pod/load-1 printed no report; it said: prober: no such"),
        "{said:?}"
    );
}
