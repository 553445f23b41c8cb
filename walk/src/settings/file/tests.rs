//! Tests of the reader of settings.

use std::path::Path;

use super::*;

fn parsed(text: &str, set: &[&str]) -> Result<Settings> {
    let set: Vec<_> = set.iter().map(|&one| one.to_owned()).collect();
    parse("mine.yaml", text, &set)
}

const TWO: &str = "clusters:\n  - name: kops\n  - name: gke1\n";

#[test]
fn what_is_not_given_has_a_default() {
    let settings = parsed(TWO, &[]).expect("valid");
    let gke1 = &settings.clusters[1];
    assert_eq!((&*gke1.context, &*gke1.network), ("gke1", "network2"));
    assert_eq!(gke1.host, "istio2.xiaowenx.com");
    assert_eq!((settings.load.pods, settings.deadline), (2, 300));
    assert_eq!((settings.api, settings.ingress), (Api::Istio, Ingress::Address));
    assert_eq!(settings.prober_image, "docker.io/xiaowenx/prober:0.1.0");
    assert_eq!((settings.istio_revision, settings.tls_secret), (None, None));
    assert!(!settings.strict_mtls && !settings.images_pushed);
}

#[test]
fn the_file_of_the_repository_says_what_the_defaults_say() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../clusters.yaml");
    let text = std::fs::read_to_string(file).expect("clusters.yaml");
    assert_eq!(parsed(&text, &[]), parsed(TWO, &[]));
    // The examples in its comments are settings, too.
    let uncommented = |line: &str| match line.strip_prefix('#') {
        Some(example) if example.starts_with("   ") => example[1..].to_owned() + "\n",
        _ => line.to_owned() + "\n",
    };
    let open: String = text.lines().map(uncommented).collect();
    assert_eq!(parsed(&open, &[]).expect("valid").clusters.len(), 3);
}

#[test]
fn the_file_of_the_document_is_valid() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/kubernetes.md");
    let text = std::fs::read_to_string(file).expect("docs/kubernetes.md");
    let block = text.split("```yaml\n").nth(1).and_then(|rest| rest.split("```").next());
    let settings = parsed(block.expect("a block of YAML"), &[]).expect("valid");
    assert_eq!(settings.names(","), "east,west");
    assert_eq!(settings.clusters[1].host, "istio2.example.com");
}

#[test]
fn values_are_read_as_they_are_written() {
    let text = format!(
        "{TWO}istio-version: 1.30\ntag: 1.20\nstrict-mtls: true\nimages-pushed: 1\n\
         istio-revision: 1-31\npods: 4\nrate: 2.5\nmesh-id:\ndocker-flags: --a 'b c'\n"
    );
    let settings = parsed(&text, &[]).expect("valid");
    assert_eq!(settings.istio_version, "1.30");
    assert_eq!(settings.echo_image, "docker.io/xiaowenx/echo:1.20");
    assert!(settings.strict_mtls && settings.images_pushed);
    assert_eq!(settings.istiod(), "istiod-1-31");
    assert_eq!((settings.load.pods, settings.load.rate), (4, 2.5));
    assert_eq!(settings.mesh_id, "mesh1");
    assert_eq!(settings.docker.flags, ["--a", "b c"]);
}

#[test]
fn the_command_line_comes_over_the_file() {
    let text = "clusters:\n- {name: kops, context: own}\n- {name: gke1, host: h}\npods: 3\n";
    let set = ["west.context=gke_w", "clusters=kops west", "pods=5", "kops.ingress-ip=::1"];
    let settings = parsed(text, &set).expect("valid");
    assert_eq!(settings.names(","), "kops,west");
    let [kops, west] = &settings.clusters[..] else { panic!("two") };
    assert_eq!((&*kops.context, kops.ingress_ip.as_deref()), ("own", Some("::1")));
    assert_eq!((&*west.context, &*west.network), ("gke_w", "network2"));
    assert_eq!(settings.load.pods, 5);
    // An empty value is the default.
    let settings = parsed(text, &["kops.context=", "strict-mtls="]).expect("valid");
    assert_eq!(settings.clusters[0].context, "kops");
}

#[test]
fn settings_that_cannot_be_right_name_their_line() {
    for (text, said) in [
        ("", "mine.yaml: clusters is empty; name at least two clusters"),
        ("clusters:\n", "mine.yaml: clusters is empty; name at least two clusters"),
        ("clusters: [{name: a}]", "mine.yaml:1: clusters has only 'a'; name at least two clusters"),
        ("clusters: 5", "mine.yaml:1: 'clusters' must be a list; write '- …' lines, or [ … ]"),
        (
            "clusters: [a, b]",
            "mine.yaml:1: 'clusters' must have keys with values; write 'KEY: VALUE' below it",
        ),
        ("clusters:\n- context: a", "mine.yaml:2: 'name' is missing; add it"),
        (
            "clusters:\n- name: a\n  contxt: b",
            "mine.yaml:3: unknown key 'contxt'; did you mean 'context'?",
        ),
        (
            "clusters: []\nistio_version: 1.31",
            "mine.yaml:2: unknown key 'istio_version'; did you mean 'istio-version'?",
        ),
        ("clusters:\n- name: a\n- name: a", "mine.yaml:3: clusters names 'a' twice; remove one"),
        (
            "clusters:\n- name: Gke_1\n- name: b",
            "mine.yaml:2: 'Gke_1' is not a name for a cluster; use a-z, 0-9 and -",
        ),
        (
            "clusters:\n- name: a\n- name: b\n  network: network1",
            "mine.yaml:4: two clusters have the network 'network1'; give b a 'network' of its own",
        ),
        (
            "clusters:\n- {name: a, context: x}\n- {name: b, context: x}",
            "mine.yaml:3: two clusters have the context 'x'; give b a 'context' of its own",
        ),
        (
            "clusters:\n- {name: a, host: x}\n- {name: b, host: x}",
            "mine.yaml:3: two clusters have the host 'x'; give b a 'host' of its own",
        ),
        (
            "clusters:\n- {name: a}\n- {name: b}\npods: 1\npods: 2",
            "mine.yaml:5: the key 'pods' is given twice; remove one",
        ),
    ] {
        assert_eq!(parsed(text, &[]).expect_err(text), said, "{text}");
    }
}

#[test]
fn values_that_cannot_be_right_are_refused() {
    for (set, said) in [
        ("pods=0", "--set: pods is '0'; write how many pods each cluster has, as in 2"),
        ("pods=many", "--set: pods is 'many'; write how many pods each cluster has, as in 2"),
        ("rate=0", "--set: rate is '0'; write the requests per second, as in 100"),
        ("rate=1e3", "--set: rate is '1e3'; write the requests per second, as in 100"),
        ("rate=inf", "--set: rate is 'inf'; write the requests per second, as in 100"),
        ("deadline=5m", "--set: deadline is '5m'; write a number of seconds"),
        ("strict-mtls=yes", "--set: strict-mtls is 'yes'; write true or false"),
        ("api=ingress", "--set: api is 'ingress'; write one of istio, gateway"),
        ("ingress=no", "--set: ingress is 'no'; write one of address, dns, none"),
        ("istio-revision=1.31", "--set: istio-revision is '1.31'; use a-z, 0-9 and -, as in 1-31"),
        (
            "istio-version=1.31.2",
            "--set: istio-version is '1.31.2'; write the release without its last number, as in 1.31",
        ),
        ("tag=", "--set: tag is empty"),
        (
            "mesh-id=a\"b",
            "--set: mesh-id is 'a\\\"b'; remove the quotes, backslashes and control characters",
        ),
        (
            "kops.network=a\\b",
            "--set: network is 'a\\\\b'; remove the quotes, backslashes and control characters",
        ),
        (
            "overlays=/tmp",
            "--set: overlays is '/tmp'; the folder must be below the repository's, without '..'",
        ),
        (
            "overlays=a/../..",
            "--set: overlays is 'a/../..'; the folder must be below the repository's, without '..'",
        ),
        ("docker-flags='a", "--set: docker-flags is '\\'a'; close the quote"),
        ("pod=3", "--set: unknown key 'pod'; did you mean 'pods'?"),
        ("kops.zoen=a", "--set: unknown key 'zoen'; did you mean 'zone'?"),
        // A shell sees nothing but a comment.
        ("docker=# podman", "--set: docker is empty"),
        ("mars.zone=a", "--set: unknown cluster 'mars'; write one of kops, gke1"),
        ("pods", "--set pods: write KEY=VALUE, such as pods=4"),
        ("clusters=kops", "--set: clusters has only 'kops'; name at least two clusters"),
        ("clusters=kops kops", "--set: clusters names 'kops' twice; remove one"),
        (
            "gke1.context=kops",
            "--set: two clusters have the context 'kops'; give gke1 a 'context' of its own",
        ),
    ] {
        assert_eq!(parsed(TWO, &[set]).expect_err(set), said, "{set}");
    }
    let error = parsed(TWO, &["duration=long"]).expect_err("not a duration");
    assert!(error.starts_with("--set: duration is 'long'; "), "{error}");
}
