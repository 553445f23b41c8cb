//! What a topology file means, and every way in which it is refused.

use proptest::prelude::*;

use super::*;
use crate::topology::{DEFAULT_BLOCK, INGRESS_PORT, Topology};

const WHOLE: &str = "\
services:
  - {name: echo1, namespace: istio-disabled, sidecar: false}
  - {name: echo2, namespace: istio-enabled}
clusters:
  - name: kops
    network: west
    region: us-west-2
    zone: us-west-2a
    pods: {echo1: 1, echo2: [us-west-2a, us-west-2b]}
    ingress-gateways: 2
  - name: gke1
    region: us-west1
    zone: us-west1-b
    host: b.example.com
    subnet: 9
    pods: {echo2: 3}
    east-west-gateways: 0
";

fn read(text: &str) -> Result<Shape, Error> {
    parse("mesh.yaml", text)
}

#[test]
fn a_file_says_what_the_mesh_consists_of() {
    let shape = read(WHOLE).unwrap();
    let [kops, gke1] = &shape.clusters[..] else { panic!("two clusters") };
    assert_eq!((kops.network.as_str(), kops.host.as_str()), ("west", "istio1.xiaowenx.com"));
    assert_eq!((gke1.network.as_str(), gke1.host.as_str()), ("network2", "b.example.com"));
    assert_eq!((kops.ingress_gateways, kops.east_west_gateways, kops.subnet), (2, 1, 1));
    assert_eq!((gke1.ingress_gateways, gke1.east_west_gateways, gke1.subnet), (1, 0, 9));
    assert_eq!((&kops.replicas[..], &gke1.replicas[..]), (&[1, 2][..], &[0, 3][..]));
    assert!(!shape.services[0].sidecar && shape.services[1].sidecar);

    let topology = Topology::new(&shape, DEFAULT_BLOCK, INGRESS_PORT);
    let zones: Vec<_> =
        topology.clusters[0].echoes(1).map(|pod| pod.locality.zone.as_str()).collect();
    assert_eq!(zones, ["us-west-2a", "us-west-2b"]);
    assert_eq!(topology.clusters[1].pods[0].address.to_string(), "127.10.9.2");
}

#[test]
fn whatever_is_wrong_is_refused_with_its_line() {
    let many: String = (0..18).map(|n| format!("  - {{name: s{n}, namespace: n}}\n")).collect();
    for (old, new, said) in [
        (WHOLE, "", "1: the file is empty"),
        ("name: gke1", "name: kops", "11: the cluster name 'kops' is used twice"),
        ("name: echo2,", "name: echo1,", "3: the service name 'echo1' is used twice"),
        ("subnet: 9", "subnet: 1", "15: the addresses of clusters 'kops' and 'gke1' overlap"),
        ("subnet: 9", "subnet: 251", "15: subnet: 251 is out of range; write 1 to 250"),
        ("subnet: 9", "subnet: 0", "15: subnet: 0 is out of range; write 1 to 250"),
        ("echo2: 3", "echo2: 6", "16: 6 pods of 'echo2' is out of range; write 0 to 5"),
        ("echo2: 3", "echo2: -1", "16: -1 pods of 'echo2' is out of range; write 0 to 5"),
        ("echo2: 3", "echo2: [a, b, c, d, e, f]", "16: 6 pods of 'echo2'"),
        ("echo2: 3", "echo2: some", "16: write a number of pods, or a list"),
        ("echo2: 3", "echo3: 3", "16: unknown service 'echo3'; did you mean 'echo"),
        ("{echo1: 1, ", "{", "2: service 'echo1' has no pod in any cluster; write how many"),
        ("    zone: us-west1-b\n", "", "12: cluster 'gke1' has a region but no zone; write one"),
        ("    region: us-west1\n", "", "11: cluster 'gke1' has no region"),
        ("zone: us-west1-b", "zone: a/b", "13: 'a/b' is not a zone name"),
        ("zone: us-west1-b", "zone: ''", "13: '' is not a zone name"),
        ("subnet:", "subnte:", "15: unknown key 'subnte'; did you mean 'subnet'?"),
        ("ingress-gateways", "ingress_gateways", "10: unknown key 'ingress_gateways'; did you"),
        (
            "ingress-gateways: 2",
            "ingress-gateways: 5",
            "10: ingress-gateways: 5 is out of range; write 0 to 4",
        ),
        ("gateways: 0", "gateways: many", "17: 'east-west-gateways' must be a whole number"),
        ("name: kops", "name: ../kops", "5: '../kops' is not a cluster name"),
        ("name: kops", "name: Kops", "5: 'Kops' is not a cluster name"),
        ("network: west", "network: -west", "6: '-west' is not a network name"),
        ("host: b.example.com", "host: b..com", "14: 'b..com' is not a host name"),
        ("b.example.com", "istio1.xiaowenx.com", "14: cluster 'kops' already has the host 'istio1"),
        ("name: echo1,", "name: client,", "2: service 'client' conflicts with a pod"),
        ("name: echo1,", "name: echo2-3,", "3: service 'echo2' conflicts with echo2-3"),
        ("name: echo1,", "name: echo2-gke1,", "3: service 'echo2' conflicts with echo2-gke1"),
        ("clusters:\n", "x: 1\nclusters:\n", "4: unknown key 'x'; write one of services, clusters"),
        ("  - {name: echo2,", &format!("{many}  - {{name: echo2,"), "2: 20 services of up"),
        ("  - name: gke1\n", "  - nam: gke1\n", "11: unknown key 'nam'; did you mean 'name'?"),
        ("  - name: gke1\n    region", "  - region", "'name' is missing; add it"),
    ] {
        assert!(WHOLE.contains(old), "{old}");
        let error = read(&WHOLE.replacen(old, new, 1)).expect_err(said).to_string();
        assert!(error.starts_with("mesh.yaml:") && error.contains(said), "{said}: {error}");
        assert_eq!(error.lines().count(), 1, "{error}");
    }
    let (head, _) = WHOLE.split_once("clusters:").unwrap();
    let error = read(&format!("{head}clusters: []\n")).unwrap_err().to_string();
    assert!(error.starts_with("mesh.yaml:4: the list of clusters is empty"), "{error}");
    let (_, tail) = WHOLE.split_once("clusters:").unwrap();
    let error = read(&format!("services: []\nclusters:{tail}")).unwrap_err().to_string();
    assert!(error.starts_with("mesh.yaml:1: the list of services is empty"), "{error}");
    assert!(read(head).unwrap_err().to_string().contains("'clusters' is missing"));
}

#[test]
fn the_default_is_a_shipped_file() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("topologies/two-clusters.yaml");
    let text = std::fs::read_to_string(file).unwrap();
    assert_eq!(parse("two-clusters.yaml", &text).unwrap(), {
        let mut shape = Shape::two_clusters();
        shape.clusters.iter_mut().for_each(|cluster| cluster.places = vec![Vec::new(); 2]);
        shape
    });
}

proptest! {
    #[test]
    fn no_text_makes_the_reader_panic(cut in 0..WHOLE.len(), junk in "\\PC{0,12}") {
        let text = format!("{}{junk}{}", &WHOLE[..cut], &WHOLE[cut..]);
        if let Err(error) = read(&text) {
            prop_assert_eq!(error.to_string().lines().count(), 1);
        }
    }

    #[test]
    fn what_is_read_fits_the_plan(
        clusters in prop::collection::vec((0_i64..=5, 0_i64..=5, 0_i64..=4, 0_i64..=4), 1..8)
    ) {
        let mut text = String::from("services:\n- {name: a, namespace: n, sidecar: false}\n\
            - {name: b, namespace: n}\nclusters:\n");
        for (number, (a, b, ingress, east_west)) in clusters.iter().enumerate() {
            text.push_str(&format!("- {{name: c{number}, region: r, zone: z, ingress-gateways: \
                {ingress}, east-west-gateways: {east_west}, pods: {{a: {a}, b: {b}}}}}\n"));
        }
        let some = |pick: fn(&(i64, i64, i64, i64)) -> i64| clusters.iter().any(|c| pick(c) > 0);
        let read = read(&text);
        prop_assert_eq!(read.is_ok(), some(|c| c.0) && some(|c| c.1));
        if let Ok(shape) = read {
            let topology = Topology::new(&shape, DEFAULT_BLOCK, INGRESS_PORT);
            let pods: Vec<_> = topology.clusters.iter().flat_map(|c| &c.pods).collect();
            let mut addresses: Vec<_> = pods.iter().map(|pod| pod.address).collect();
            let behind = pods.iter().filter_map(|pod| pod.app().filter(|a| *a != pod.address));
            addresses.extend(behind);
            let all = addresses.len();
            addresses.sort_unstable();
            addresses.dedup();
            prop_assert_eq!(addresses.len(), all);
        }
    }
}
