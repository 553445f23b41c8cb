//! The order of commands, recorded by stand-ins; golden files hold it. What is wrong is
//! said in one line, before anything is changed.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use super::{Overlays, kube_tools, program, walk};
use crate::harness::{Said, bin, finish, run, workspace};
use crate::servers::{Server, text_echo};

/// What the walk, make and the stand-ins use of the system; no kubectl, no istioctl, no docker.
const SYSTEM: [&str; 11] =
    ["cat", "false", "git", "grep", "ls", "make", "rm", "sed", "sh", "tr", "true"];
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

    /// Runs a step; what was recorded before is forgotten.
    fn run(&self, arguments: &[&str]) -> Said {
        self.finish(walk(&self.overlays, self.path("bin").as_os_str(), arguments))
    }

    /// Runs a target of the Makefile.
    fn make(&self, arguments: &[&str]) -> Said {
        let mut command = program(Path::new("make"), self.path("bin").as_os_str());
        command.arg(format!("WALK_PROGRAM={}", bin("walk").display()));
        command.arg(format!("OVERLAYS={}", self.overlays.relative)).args(arguments);
        self.finish(command)
    }

    fn finish(&self, mut command: Command) -> Said {
        let _ = fs::remove_file(self.path("log"));
        command.env("WALK", self.dir.path()).env("KUBECTL", kube_tools().join("bin/kubectl"));
        finish(&mut command)
    }

    #[track_caller]
    fn runs(&self, arguments: &[&str]) -> String {
        let said = self.run(arguments);
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

    /// Asserts that a step is refused: exit 2, one line beside notes that holds all of `parts`,
    /// and nothing changed in any cluster.
    #[track_caller]
    fn refused(&self, arguments: &[&str], parts: &[&str]) {
        let said = self.run(arguments);
        assert_eq!(said.code, 2, "{said:?}");
        let own = |line: &&str| !line.starts_with("walk: note: ");
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
    insta::assert_snapshot!(walk.runs(&["install"]));
    assert_eq!(walk.log(), walk.runs(&["install"]), "a second run is the same");
}

#[test]
fn the_order_of_the_install_with_the_gateway_api_and_a_revision() {
    let walk = Walk::with_certificates();
    insta::assert_snapshot!(walk.runs(&[
        "install",
        "--set=east-west=gateway",
        "--set=istio-revision=1-31"
    ]));
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
    let log = walk.runs(&[
        "install",
        "--set=clusters=kops gke1 west",
        "--set=west.api-server=https://west",
    ]);
    let secrets: Vec<_> = log.lines().filter(|line| line.contains("remote-secret")).collect();
    assert_eq!(secrets.len(), 6, "{log}");
    let server = secrets.iter().filter(|line| line.ends_with("--name=west --server=https://west"));
    assert_eq!(server.count(), 2, "{log}");
    assert!(log.contains("kubectl --context=west apply --server-side"), "{log}");
}

#[test]
fn a_failure_in_the_middle_keeps_what_was_done_and_a_second_run_completes_it() {
    let walk = Walk::with_certificates();
    let whole = walk.runs(&["install"]);
    // Each command of the install once.
    for failing in changes(&whole) {
        let failing = failing.replace("OVERLAYS", &walk.overlays.relative);
        walk.write("fail", &failing);
        let said = walk.run(&["install"]);
        assert_eq!(said.code, 1, "{failing}: {said:?}");
        let own = said.stderr.lines().filter(|line| line.starts_with("walk: "));
        let own: Vec<_> = own.collect();
        let again =
            "failed, as it says above; 'make install' can be run again once that is corrected";
        assert!(own.len() == 1 && own[0].contains(again), "{failing}: {said:?}");
        let log = walk.log();
        assert!(whole.starts_with(log.trim_end()), "{log}");
        let undone =
            log.lines().filter(|line| line.contains("delete") || line.contains("uninstall"));
        assert_eq!(undone.count(), 0, "{log}");
        walk.write("fail", "");
        assert_eq!(walk.runs(&["install"]), whole, "after {failing}");
    }
}

#[test]
fn an_uninstall_that_fails_in_the_middle_is_completed_by_a_second_run() {
    let walk = Walk::installed();
    let whole = walk.runs(&["uninstall"]);
    let changes = changes(&whole);
    assert!(changes.len() > 15, "{whole}");
    for failing in changes {
        walk.write("fail", &failing);
        let said = walk.run(&["uninstall"]);
        assert_eq!(said.code, 1, "{failing}: {said:?}");
        let log = walk.log();
        assert!(whole.starts_with(log.trim_end()), "{log}");
        walk.write("fail", "");
        assert_eq!(walk.runs(&["uninstall"]), whole, "after {failing}");
    }
}

#[test]
fn the_order_of_the_uninstall() {
    let walk = Walk::installed();
    insta::assert_snapshot!(walk.runs(&["uninstall"]));
}

/// Beside it the default revision goes on, with its gateway, its ingress and its samples.
#[test]
fn the_uninstall_of_one_revision_leaves_what_others_use() {
    let walk = Walk::installed();
    let log = walk.runs(&["uninstall", "--set=istio-revision=1-31"]);
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
    let said = walk.run(&["uninstall", "--set=istio-revision=1-31"]);
    assert!(said.stdout.contains("make install brings back"), "{said:?}");
}

/// What an option or the other API brought in an earlier run goes.
#[test]
fn options_and_apis_that_are_not_wanted_any_more_are_taken_back() {
    let walk = Walk::installed();
    let deletes = |arguments: &[&str]| -> Vec<String> {
        let log = walk.runs(arguments);
        let place = |text: &str| log.lines().position(|line| line.contains(text));
        let (new, old) = (place(" apply ").expect("the new"), place(" delete "));
        assert!(old.is_none_or(|old| new < old), "first the new, then the old: {log}");
        let ours = |line: &&str| line.contains(" delete ") && line.contains("--context=kops");
        log.lines().filter(ours).map(str::to_owned).collect()
    };
    let plain = deletes(&["echo-install"]).concat();
    assert!(plain.contains("destinationrules.networking.istio.io echo2 "), "{plain}");
    assert!(plain.contains("peerauthentications.security.istio.io default "), "{plain}");
    let both = deletes(&["echo-install", "--set=outlier-detection=1", "--set=strict-mtls=1"]);
    assert_eq!(both, [""; 0]);
    let istio = deletes(&["ingress-install"]).concat();
    assert!(istio.contains("gateways.gateway.networking.k8s.io echo "), "{istio}");
    assert!(!istio.contains("virtualservices"), "{istio}");
    let gateway = deletes(&["ingress-install", "--set=api=gateway"]).concat();
    assert!(gateway.contains("virtualservices.networking.istio.io echo "), "{gateway}");
    assert!(!gateway.contains("httproutes"), "{gateway}");
    let istio = deletes(&["install"]).concat();
    assert!(istio.contains("gateways.gateway.networking.k8s.io istio-eastwestgateway "), "{istio}");
    let gateway = deletes(&["install", "--set=east-west=gateway"]).concat();
    assert!(gateway.contains("gateways.networking.istio.io cross-network-gateway "), "{gateway}");
    assert!(gateway.contains(" --selector=istio=eastwestgateway "), "{gateway}");
}

#[test]
fn an_ingress_that_was_not_installed_is_said_before_anything_is_changed() {
    let walk = Walk::installed();
    walk.holds("gke1", "no-ingress", "");
    let parts = ["gke1: there is no service istio-ingressgateway", "run: make install"];
    walk.refused(&["ingress-install"], &parts);
    walk.runs(&["ingress-install", "--set=api=gateway"]);
}

#[test]
fn a_revision_with_a_dot_is_refused_before_anything_is_changed() {
    let walk = Walk::with_certificates();
    for target in ["install", "uninstall", "echo-install"] {
        let parts = ["istio-revision is '1.31'", "a-z, 0-9 and -, as in 1-31"];
        walk.refused(&[target, "--set=istio-revision=1.31"], &parts);
    }
}

#[test]
fn an_image_in_a_registry_without_tls_is_found() {
    let walk = Walk::installed();
    walk.write("registry", "no such manifest: localhost:5000/mesh/echo:1.0.0\n");
    walk.refused(&["echo-install"], &["is not pushed", "IMAGES_PUSHED=1"]);
    assert!(walk.runs(&["echo-install", "--set=images-pushed=1"]).contains(" apply "));
    walk.write("registry-without-tls", "");
    assert!(walk.runs(&["echo-install"]).contains(" apply "));
}

#[test]
fn the_uninstall_of_nothing_is_well() {
    let walk = Walk::new(&["kops", "gke1"]);
    let log = walk.runs(&["uninstall"]);
    // Kinds that a cluster does not know cannot be deleted, not even with --ignore-not-found.
    let deleted = |line: &str| line.contains(" delete ") && line.contains(".istio.io ");
    assert!(!log.lines().any(deleted), "{log}");
    for line in log.lines().filter(|line| line.contains(" delete ")) {
        assert!(line.contains("--ignore-not-found"), "{line}");
    }
    walk.runs(&["certs-uninstall"]);
    walk.runs(&["ingress-uninstall"]);
    walk.runs(&["echo-uninstall"]);
    walk.runs(&["check-uninstall"]);
}

#[test]
fn only_resource_definitions_of_istio_go() {
    let log = Walk::installed().runs(&["uninstall"]);
    assert!(!log.contains("others.example.com"), "{log}");
    assert!(log.contains("gateways.networking.istio.io"), "{log}");
}

#[test]
fn dry_runs_print_what_a_person_could_type() {
    let walk = Walk::with_certificates();
    let mut all = String::new();
    for target in [
        "doctor",
        "certs",
        "certs-install",
        "install",
        "status",
        "ingress-install",
        "echo-install",
        "echo-status",
        "load",
        "watch-install",
        "uninstall",
    ] {
        let prober = ["--prober=true"];
        let prober = if ["echo-status", "load"].contains(&target) { &prober[..] } else { &[] };
        let said = walk.run(&[&[target, "--dry-run"], prober].concat());
        assert_eq!(said.code, 0, "{said:?}");
        assert_eq!(walk.log(), "", "nothing is run");
        assert!(fs::read_dir(walk.overlays.path()).expect("a folder").next().is_none(), "{target}");
        all.push_str(&format!("$ walk {target} --dry-run\n{}", walk.plain(&said.stdout)));
    }
    insta::assert_snapshot!(all);
}

#[test]
fn the_rest_of_the_walk() {
    let walk = Walk::installed();
    let mut all = String::new();
    for arguments in [
        &["ingress-install"][..],
        &["ingress-install", "--set=api=gateway"],
        &["echo-install"],
        &["status"],
        &["check-install"],
    ] {
        all.push_str(&format!("$ walk {}\n{}", arguments.join(" "), walk.runs(arguments)));
    }
    insta::assert_snapshot!(all);
}

#[test]
fn images_are_built_and_pushed_by_their_names() {
    let walk = Walk::new(&["kops", "gke1"]);
    let git = |arguments: &[&str]| {
        let said = finish(Command::new("git").current_dir(workspace()).args(arguments));
        said.stdout.trim().to_owned()
    };
    let (commit, time) = (git(&["rev-parse", "HEAD"]), git(&["log", "-1", "--format=%ct"]));
    let mut all = String::new();
    for arguments in [
        &["docker"][..],
        &["docker-push"],
        &["docker-push", "--set=platforms=linux/amd64,linux/arm64", "--set=tag=1.2.3"],
        &["docker", "--set=docker-flags=--network=host --label 'a b'", "--set=builder=own"],
    ] {
        let log = walk.runs(arguments).replace(&commit, "COMMIT").replace(&time, "TIME");
        all.push_str(&format!("$ walk {}\n{log}", arguments.join(" ")));
    }
    insta::assert_snapshot!(all);
}

#[test]
fn make_passes_its_variables_on() {
    let walk = Walk::installed();
    let said = walk.make(&["watch-install", "DRY_RUN=1"]);
    assert_eq!((said.code, walk.log().as_str()), (0, ""), "{said:?}");
    assert!(said.stdout.contains("\nkubectl --context=kops apply "), "{said:?}");
    let said = walk.make(&["install", "STRICT_MTLS=1", "DEADLINE=7", "CLUSTERS=kops gke1"]);
    assert_eq!(said.code, 0, "{said:?}");
    assert!(walk.log().contains("--readiness-timeout=7s --context=kops"), "{said:?}");
    let said = walk.make(&["install", "CONTEXT_gke1=it's", "API_SERVER_gke1=https://a"]);
    assert_eq!(said.code, 2, "{said:?}");
    assert!(said.stderr.contains("kubectl has no context 'it's' for cluster gke1"), "{said:?}");
    let said = walk.make(&["load", "PODS=0", "PROBER=true"]);
    assert!(said.stderr.contains("walk: --set: pods is '0'"), "{said:?}");
    let file = walk.path("mine.yaml");
    fs::write(&file, "clusters: [{name: kops}, {name: mars}]\n").expect("can be written");
    let said = walk.make(&["install", &format!("SETTINGS={}", file.display())]);
    assert!(said.stderr.contains("no context 'mars' for cluster mars"), "{said:?}");
    let mut command = program(Path::new("make"), walk.path("bin").as_os_str());
    command.env("DEADLINE", "soon").args(["status", "DRY_RUN=1"]);
    let said = walk.finish({
        command.arg(format!("WALK_PROGRAM={}", bin("walk").display()));
        command
    });
    assert!(said.stderr.contains("deadline is 'soon'"), "{said:?}");
}

#[test]
fn watching_comes_with_alerts_where_the_operator_is() {
    let walk = Walk::installed();
    let crd = "customresourcedefinition.apiextensions.k8s.io/servicemonitors.monitoring.coreos.com";
    walk.holds("gke1", "crds", crd);
    let mut all = String::new();
    for target in ["watch-install", "watch-uninstall"] {
        all.push_str(&format!("$ walk {target}\n{}", walk.runs(&[target])));
    }
    insta::assert_snapshot!(all);
    walk.holds_not("gke1", "clients");
    walk.refused(&["watch-install"], &["gke1"]);
}

#[test]
fn settings_that_cannot_be_right_are_refused_before_anything_runs() {
    let walk = Walk::new(&["kops", "gke1"]);
    for (arguments, part) in [
        (&["install", "--set=clusters=kops kops"][..], "clusters names 'kops' twice"),
        (&["install", "--set=clusters=kops"], "name at least two clusters"),
        (&["install", "--set=gke1.network=network1"], "two clusters have the network 'network1'"),
        (&["certs", "--set=gke1.context=kops"], "two clusters have the context 'kops'"),
        (&["install", "--set=gke1.host=istio1.xiaowenx.com"], "two clusters have the host"),
        (&["install", "--set=clusters=kops Gke_1"], "'Gke_1' is not a name for a cluster"),
        (
            &["ingress-install", "--set=api=ingress"],
            "api is 'ingress'; write one of istio, gateway",
        ),
        (&["echo-status", "--set=ingress=no"], "ingress is 'no'"),
        (&["echo-install", "--set=tag="], "tag is empty"),
        (&["load", "--set=pods=0"], "pods is '0'; write how many pods each cluster has"),
        (&["load", "--set=pods=many"], "pods is 'many'"),
        (&["load", "--set=rate=0"], "rate is '0'; write the requests per second"),
        (&["load", "--set=rate=1e3"], "rate is '1e3'"),
        (&["install", "--set=deadline=5m"], "deadline is '5m'; write a number of seconds"),
        (&["echo-install", "--set=strict-mtls=yes"], "strict-mtls is 'yes'; write true or false"),
        (&["echo-status", "--set=outlier-detection=0"], "outlier-detection is '0'"),
    ] {
        walk.refused(arguments, &[part, "--set: "]);
        assert_eq!(walk.log(), "", "nothing was asked");
    }
    let file = walk.path("mine.yaml");
    fs::write(&file, "clusters:\n- name: a\n- name: b\npodz: 2\n").expect("can be written");
    let settings = format!("--settings={}", file.display());
    walk.refused(&["install", &settings], &["mine.yaml:4: unknown key 'podz'", "'pods'?"]);
    walk.refused(&["install", "--settings=mine.mk"], &["mine.mk: settings are written in YAML"]);
    walk.refused(&["install", "--settings=none.yaml"], &["settings none.yaml: No such file"]);
}

#[test]
fn tools_that_are_missing_or_old_are_said() {
    let walk = Walk::with_certificates();
    walk.write("istioctl-version", "1.24.0");
    walk.refused(&["install"], &["istioctl is 1.24", "istio-version: 1.31"]);
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
    let said = walk.run(&["doctor"]);
    let own: Vec<_> = said.stderr.lines().filter(|line| line.starts_with("walk: ")).collect();
    assert_eq!(own.len(), 2, "both are missing, and nothing is said of the clusters: {said:?}");
}

#[test]
fn clusters_that_are_not_what_the_settings_say_are_refused() {
    let walk = Walk::with_certificates();
    walk.refused(
        &["install", "--set=gke1.context=gke_x"],
        &[
            "no context 'gke_x' for cluster gke1",
            "gke1 kops",
            "set context of gke1 in clusters.yaml",
        ],
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
    walk.refused(
        &["install"],
        &["https://127.0.0.1:38671, which no other", "set api-server of gke1"],
    );
    walk.runs(&["install", "--set=gke1.api-server=https://10.0.0.2:6443"]);
    walk.holds("gke1", "uid", "uid-of-kops");
    walk.refused(&["install"], &["kops and gke1 are the same cluster"]);
    walk.holds("gke1", "unreachable", "");
    walk.refused(&["install"], &["gke1: its API server does not answer", "i/o timeout"]);
}

#[test]
fn certificates_of_another_root_are_refused() {
    let walk = Walk::new(&["kops", "gke1"]);
    let folder = walk.path("certificates");
    let certs = format!("--set=certs={}", folder.display());
    let install = ["certs-install", certs.as_str()];
    walk.refused(&install, &["kops/ca-cert.pem is not there; run: make certs"]);
    walk.refused(&["install"], &["kops: there is no secret cacerts", "make certs certs-install"]);
    let out = folder.to_str().expect("UTF-8");
    let flags = ["generate", "--key=ecdsa-p256", "--cluster=kops", "--cluster=gke1", "--out", out];
    assert_eq!(run("certs", flags).code, 0);
    insta::assert_snapshot!(walk.runs(&install));
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
    walk.refused(
        &["echo-status", "--prober=true"],
        &["kops: no client is ready in istio-disabled"],
    );
    walk.refused(&["load", "--prober=true"], &["kops: no client is ready", "make echo-install"]);
    let walk = Walk::installed();
    walk.refused(&["ingress-install", "--set=tls-secret=echo-tls"], &["no secret echo-tls"]);
}

#[test]
fn an_image_that_is_not_pushed_is_said_and_a_registry_that_cannot_be_asked_is_no_error() {
    let walk = Walk::installed();
    walk.write("registry", "no such manifest: docker.io/xiaowenx/echo:0.1.0");
    let parts = ["docker.io/xiaowenx/echo:0.1.0 is not pushed", "make docker docker-push"];
    walk.refused(&["echo-install"], &parts);
    walk.write("registry", "unauthorized: authentication required");
    let said = walk.run(&["echo-install"]);
    assert_eq!(said.code, 0, "{said:?}");
    assert!(said.stderr.contains("is not known: unauthorized"), "{said:?}");
}

#[test]
fn what_does_not_come_in_time_is_said() {
    let walk = Walk::with_certificates();
    walk.holds_not("kops", "address");
    let said = walk.run(&["install", "--set=deadline=1"]);
    assert_eq!(said.code, 1, "{said:?}");
    let line = "walk: kops: service/istio-eastwestgateway got no external address in 1 s";
    assert_eq!(said.stderr.lines().filter(|said| said.starts_with(line)).count(), 1, "{said:?}");
    let line =
        "\nkops: waiting for the external address of service/istio-eastwestgateway, at most 1 s\n";
    assert!(said.stdout.contains(line), "{said:?}");

    let walk = Walk::with_certificates();
    walk.holds("gke1", "remote-clusters", "NAME  SECRET  STATUS  ISTIOD\nkops  x  timeout  y\n");
    let said = walk.run(&["install", "--set=deadline=1"]);
    assert_eq!(said.code, 1, "{said:?}");
    assert!(said.stderr.contains("walk: gke1: istiod does not read kops after 1 s"), "{said:?}");
    assert!(said.stdout.contains("gke1: waiting until istiod reads kops"), "{said:?}");

    let walk = Walk::installed();
    walk.write("fail", "rollout status --timeout=300s deployment/echo2");
    let said = walk.run(&["echo-install"]);
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
    let certs = format!("--set=certs={out}");
    let said = walk.run(&["doctor", &certs]);
    assert_eq!((said.code, said.stderr.as_str()), (0, ""), "{said:?}");
    assert!(said.stdout.ends_with("all is ready\n"), "{said:?}");
    walk.write("reach-once", "pod default/prober-doctor terminated (Error)\n");
    let said = walk.run(&["doctor"]);
    assert!(said.stdout.contains("ok: gke1's API server is reachable from kops"), "{said:?}");
    walk.write("registry", "manifest unknown");
    let said = walk.run(&["doctor", &certs]);
    assert!(said.stdout.ends_with("nothing is wrong; to do: 2\n"), "{said:?}");

    walk.write("istioctl-version", "1.30.2");
    walk.holds("gke1", "can-i", "no");
    walk.write("registry", "manifest unknown");
    walk.write("reach", &report("no route to host").replace("KIND", "connect"));
    let said = walk.run(&["doctor", &certs]);
    assert_eq!(said.code, 1, "{said:?}");
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

/// What depends on an answer of the clusters is then not asked.
#[test]
fn the_doctor_ends_where_nothing_more_can_be_asked() {
    let walk = Walk::with_certificates();
    let ended = |arguments: &[&str], part: &str| {
        let said = walk.run(arguments);
        assert_eq!(said.code, 1, "{said:?}");
        let own: Vec<_> = said.stderr.lines().filter(|line| line.starts_with("walk: ")).collect();
        assert!(own.len() == 1 && own[0].contains(part), "{said:?}");
        assert!(!walk.log().contains("can-i"), "{}", walk.log());
    };
    ended(&["doctor", "--set=gke1.context=x"], "kubectl has no context 'x' for cluster gke1");
    walk.holds("gke1", "unreachable", "");
    ended(&["doctor"], "gke1: its API server does not answer");
}

/// Its reader decides by it what to do next.
#[test]
fn the_exit_code_of_prober_is_passed_on() {
    let walk = Walk::installed();
    for (prober, code) in [("true", 0), ("false", 1)] {
        let said = walk.run(&["echo-status", &format!("--prober={prober}")]);
        assert_eq!((said.code, said.stderr.as_str()), (code, ""), "{said:?}");
    }
    walk.refused(&["load", "--prober=none/prober"], &["no program none/prober; build it"]);
}

#[test]
fn the_matrix_asks_everything_from_everywhere() {
    let walk = Walk::installed();
    walk.holds("gke1", "address", "lb.example.com");
    let dry = |arguments: &[&str]| {
        walk.runs(arguments);
        let file = walk.overlays.path().join("matrix.yaml");
        let said = run("prober", [Path::new("matrix"), Path::new("--dry-run"), &file]);
        assert_eq!(said.code, 0, "{said:?}");
        fs::read_to_string(file).expect("text") + &said.stdout
    };
    insta::assert_snapshot!(dry(&[
        "echo-status",
        "--prober=true",
        "--set=kops.ingress-ip=fd00::1"
    ]));
    let none = dry(&["echo-status", "--prober=true", "--set=ingress=none"]);
    assert!(!none.contains("xiaowenx.com"), "{none}");
    let dns = dry(&["echo-status", "--prober=true", "--set=ingress=dns", "--set=tls-secret=x"]);
    assert!(dns.contains("https://istio2.xiaowenx.com/echo2") && !dns.contains("resolve"), "{dns}");
    let tls =
        dry(&["echo-status", "--prober=true", "--set=tls-secret=x", "--set=tls-cacert=root.pem"]);
    assert!(tls.contains("--resolve=istio1.xiaowenx.com:443:34.82.246.2"), "{tls}");
    assert_eq!(tls.matches("--cacert=root.pem").count(), 4, "{tls}");
    walk.holds_not("gke1", "address");
    let parts = [
        "gke1: service istio-ingressgateway has no external address",
        "set ingress-ip of gke1 in clusters.yaml",
    ];
    walk.refused(&["echo-status", "--prober=true"], &parts);
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
    let prober = format!("--prober={}", bin("prober").display());
    let said = walk.run(&["load", &prober, "--set=pods=2", "--set=rate=100", "--set=duration=10s"]);
    assert_eq!(said.code, 0, "{said:?}");
    assert!(said.stdout.contains("180 requests on 180 connections, 0 failed"), "{said:?}");
    assert!(said.stdout.contains("kops: 2 of 2 pods have ended"), "{said:?}");
    assert!(
        said.stdout.contains(
            "\n2 pods in each cluster ask echo2:8080 for 10s, each 25 times a second, 20 s"
        )
    );
    let overlay = walk.overlays.path().join("gke1/load/kustomization.yaml");
    let overlay = fs::read_to_string(overlay).expect("text");
    assert!(overlay.contains("\"--rate=25\", \"--duration=10s\", \"--run-id=load-"), "{overlay}");
    // All pods begin together.
    assert!(overlay.contains("\"--start-at=20"), "{overlay}");

    walk.holds("gke1", "job", "1");
    let said = walk.run(&["load", &prober, "--set=pods=2", "--set=deadline=0"]);
    assert!(said.stderr.contains("gke1: 1 of 2 pods have ended"), "{said:?}");
    walk.holds("gke1", "job", "0 2");
    walk.holds("gke1", "report-1.json", "prober: no such host\n");
    let said = walk.run(&["load", &prober, "--set=pods=2"]);
    assert!(
        said.stderr.contains("pod/load-1 printed no report; it said: prober: no such"),
        "{said:?}"
    );
}
