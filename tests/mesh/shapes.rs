//! Other shapes of the mesh: each topology file that the project ships, brought up with real
//! Envoy and asked by its own matrix; and what files are refused.

use std::path::PathBuf;
use std::process::Command;
use std::sync::{Mutex, PoisonError};

use serde_json::Value;

use crate::harness::{self, finish};

/// Addresses of their own, which no other topic uses.
mod block {
    pub(super) const TWO_CLUSTERS: u8 = 140;
    pub(super) const THREE_CLUSTERS: u8 = 141;
    pub(super) const SHARED_NETWORK: u8 = 142;
    pub(super) const ZONES: u8 = 143;
    pub(super) const TWO_GATEWAYS: u8 = 144;
    pub(super) const REFUSED: u8 = 145;
}

fn localmesh(subcommand: &str, block: u8) -> Command {
    let mut command = harness::command("localmesh");
    command.args([subcommand, "--block", &block.to_string()]);
    let installed = harness::workspace().join(localmesh::envoy::INSTALLED);
    if installed.is_file() {
        command.arg("--envoy").arg(installed);
    }
    command
}

/// A topology that the project ships.
fn shipped(name: &str) -> PathBuf {
    harness::workspace().join("localmesh/topologies").join(name)
}

/// Requests of each row: on a busy machine answers of one cluster follow each other, and count for
/// less than they are many.
const REQUESTS: &str = "300";

/// Brings a shipped topology up, asks it by its matrix, and returns the rows, all of which met
/// their expectations.
///
/// One at a time: every file that an Envoy watches takes one of a user's inotify instances, of
/// which Linux gives 128, and these meshes are large.
#[track_caller]
fn asked(name: &str, block: u8, more: &[&str]) -> Vec<Value> {
    static ONE: Mutex<()> = Mutex::new(());
    let _one = ONE.lock().unwrap_or_else(PoisonError::into_inner);
    let mut demo = localmesh("demo", block);
    demo.arg("--topology").arg(shipped(name)).args(more).args(["--", "-n", REQUESTS]);
    demo.args(["-o", "json", "--quiet"]);
    let said = finish(&mut demo);
    let report: Value = serde_json::from_str(&said.stdout).unwrap_or_default();
    let rows = report["rows"].as_array().cloned().unwrap_or_default();
    let missed = rows.iter().filter(|row| row["verdict"] != "pass");
    let missed: Vec<_> = missed.map(|row| (&row["target"], &row["expectations"])).collect();
    assert_eq!(said.code, 0, "{}{missed:#?}", said.stderr);
    rows
}

/// The row of this source and target.
#[track_caller]
fn row<'a>(rows: &'a [Value], source: &str, target: &str) -> &'a Value {
    let is = |row: &&Value| {
        row["source"].as_str().unwrap_or("here") == source && row["target"] == target
    };
    rows.iter().find(is).unwrap_or_else(|| panic!("no row {source} {target}: {rows:?}"))
}

/// Who answered: the values of one field of the backends, sorted, each once.
fn answered<'a>(row: &'a Value, field: &str) -> Vec<&'a str> {
    let backends = row["backends"].as_array().expect("backends").iter();
    let mut names: Vec<_> = backends.filter_map(|backend| backend[field].as_str()).collect();
    names.sort_unstable();
    names.dedup();
    names
}

#[test]
fn shapes_the_default_is_the_shipped_file() {
    let rows = asked("two-clusters.yaml", block::TWO_CLUSTERS, &[]);
    assert_eq!(rows.len(), 8);
}

#[test]
fn shapes_three_clusters_share_their_load() {
    let rows = asked("three-clusters.yaml", block::THREE_CLUSTERS, &[]);
    assert_eq!(rows.len(), 10, "aks1 has no echo1 to ask");
    for cluster in ["kops", "gke1", "aks1"] {
        let row = row(&rows, &format!("{cluster}:istio-enabled"), "echo2:8080");
        assert_eq!(answered(row, "cluster"), ["aks1", "gke1", "kops"]);
    }
}

#[test]
fn shapes_clusters_of_one_network_reach_each_other_directly() {
    let rows = asked("shared-network.yaml", block::SHARED_NETWORK, &[]);
    assert_eq!(rows.len(), 12);
    // Without a sidecar there is no mTLS, which a gateway would need.
    let of = |target: &str| answered(row(&rows, "here", target), "cluster").join(",");
    assert_eq!(of("istio1.xiaowenx.com/echo1"), "eks1,kops");
    assert_eq!(of("istio3.xiaowenx.com/echo1"), "gke1");
    assert_eq!(of("istio3.xiaowenx.com/echo2"), "eks1,gke1,kops");
}

#[test]
fn shapes_pods_are_in_the_zones_that_the_file_says() {
    let rows = asked("zones.yaml", block::ZONES, &[]);
    let row = row(&rows, "kops:istio-enabled", "echo2:8080");
    let zones = ["us-west-2a", "us-west-2b", "us-west-2c", "us-west1-a", "us-west1-b"];
    // A gateway's pooled connection may be pinned to one of its pods.
    let seen = answered(row, "zone");
    assert!(seen.len() >= 4 && seen.iter().all(|zone| zones.contains(zone)), "{row}");
    assert!(seen.iter().filter(|zone| zone.starts_with("us-west-2")).count() == 3, "{row}");
}

#[test]
fn shapes_several_gateways_divide_the_load() {
    // On port 8080 the way in is another flag of prober.
    let rows = asked("two-gateways.yaml", block::TWO_GATEWAYS, &["--ingress-port", "8080"]);
    let row = row(&rows, "here", "istio1.xiaowenx.com/echo2");
    let addresses = row["addresses"].as_array().expect("addresses");
    assert_eq!(addresses.len(), 2, "both ingress gateways were asked: {row}");
    for address in addresses {
        assert_eq!(address["answers"], 150, "{row}");
    }
}

#[test]
fn shapes_a_file_that_is_none_is_refused_in_one_line() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("mesh.yaml");
    let text = std::fs::read_to_string(shipped("three-clusters.yaml")).expect("a file");
    let refused = |subcommand: &str, text: &str, parts: &[&str]| {
        std::fs::write(&file, text).expect("written");
        finish(localmesh(subcommand, block::REFUSED).arg("--topology").arg(&file)).refused(parts);
    };
    refused("up", &text.replace("name: gke1", "nmae: gke1"), &["mesh.yaml:8: unknown key 'nmae'"]);
    refused("demo", &text.replace("name: gke1", "name: kops"), &["used twice", "'kops'"]);
    refused("up", &text.replace("echo2: 2", "echo2: 99"), &["mesh.yaml:9: 99 pods of 'echo2'"]);
    refused("up", "", &["mesh.yaml:1: the file is empty"]);
    let none = folder.path().join("none.yaml");
    finish(localmesh("up", block::REFUSED).arg("--topology").arg(none))
        .refused(&["none.yaml: No such file"]);
}
