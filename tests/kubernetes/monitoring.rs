//! Alert rules and dashboard: read by promtool, tried on made-up series, and about nothing but
//! what the prober exposes.

use std::collections::BTreeSet;
use std::fs;

use serde_json::{Value, json};

use crate::harness::workspace;
use crate::prober::watch::{exposition, promtool};

const FOLDER: &str = "k8s/watch/monitoring";

/// The rules as Prometheus reads them from a file: what the operator makes of the resource.
fn rules() -> Value {
    let text = fs::read_to_string(workspace().join(FOLDER).join("rules.yaml")).expect("rules");
    let resource: Value = serde_saphyr::from_str(&text).expect("YAML");
    json!({"groups": resource["spec"]["groups"]})
}

fn dashboard() -> Value {
    let path = workspace().join(FOLDER).join("dashboard.json");
    serde_json::from_str(&fs::read_to_string(path).expect("a dashboard")).expect("JSON")
}

fn array(value: &Value) -> &[Value] {
    value.as_array().expect("a list")
}

fn text(value: &Value) -> &str {
    value.as_str().expect("a text")
}

/// The expressions of the alerts.
fn alerts() -> Vec<String> {
    let rules = rules();
    let groups = array(&rules["groups"]).iter();
    groups.flat_map(|group| array(&group["rules"])).map(|rule| text(&rule["expr"]).into()).collect()
}

/// The expressions of the dashboard, as Grafana sends them.
fn queries() -> Vec<String> {
    let dashboard = dashboard();
    let panels = array(&dashboard["panels"]).iter();
    let targets = panels.flat_map(|panel| array(&panel["targets"]));
    let sent = |target: &Value| {
        let expression = text(&target["expr"]);
        expression
            .replace("$__rate_interval", "1m")
            .replace("$source", ".*")
            .replace("$target", ".*")
    };
    targets.map(sent).collect()
}

/// Puts texts into files, and runs promtool on the first.
#[track_caller]
fn run_promtool(words: &[&str], files: &[(&str, String)]) -> crate::harness::Said {
    let folder = tempfile::tempdir().expect("a folder");
    for (name, text) in files {
        fs::write(folder.path().join(name), text).expect("written");
    }
    let first = folder.path().join(files[0].0);
    promtool(&[words, &[first.to_str().expect("UTF-8")]].concat(), "")
}

#[test]
fn prometheus_takes_the_rules_and_they_alert_as_they_should() {
    // JSON is YAML.
    let rules = rules().to_string();
    let said = run_promtool(&["check", "rules"], &[("rules.yaml", rules.clone())]);
    assert_eq!(said.code, 0, "{said:?}");
    assert!(said.stdout.contains("SUCCESS: 6 rules found"), "{said:?}");
    let path = workspace().join("tests/kubernetes/alerts.yaml");
    let tests = fs::read_to_string(path).expect("the tests of the rules");
    let files = [("alerts.yaml", tests), ("rules.yaml", rules.clone())];
    let said = run_promtool(&["test", "rules"], &files);
    assert_eq!(said.code, 0, "{said:?}");
    // Rules that wait too long are seen to do so.
    let [tests, _] = files;
    let late = rules.replace("\"for\":\"5m\"", "\"for\":\"50m\"");
    assert_ne!(late, rules);
    let said = run_promtool(&["test", "rules"], &[tests, ("rules.yaml", late)]);
    assert_ne!(said.code, 0, "{said:?}");
}

#[test]
fn every_expression_of_the_dashboard_is_promql() {
    let queries = queries();
    assert!(queries.len() >= 14, "{queries:#?}");
    let record = |(n, expression): (usize, &String)| json!({"record": format!("panel:{n}"), "expr": expression});
    let records: Vec<_> = queries.iter().enumerate().map(record).collect();
    let of = |rules: Value| json!({"groups": [{"name": "panels", "rules": rules}]}).to_string();
    let said = run_promtool(&["check", "rules"], &[("panels.yaml", of(json!(records)))]);
    assert_eq!(said.code, 0, "{said:?}");
    let bad = json!([{"record": "bad", "expr": "sum by (rate(a_total[1m]))"}]);
    let said = run_promtool(&["check", "rules"], &[("panels.yaml", of(bad))]);
    assert_ne!(said.code, 0, "{said:?}");
}

/// The names of metrics in expressions.
fn metrics_in(expressions: &[String]) -> BTreeSet<String> {
    let word = |c: char| !c.is_ascii_alphanumeric() && c != '_';
    let words = expressions.iter().flat_map(|text| text.split(word));
    words.filter(|word| word.starts_with("prober_")).map(str::to_owned).collect()
}

#[test]
fn rules_and_dashboard_are_about_what_the_prober_exposes() {
    let exposition = exposition();
    let series = exposition.lines().filter(|line| !line.starts_with('#'));
    let name = |line: &str| line.split(['{', ' ']).next().expect("a name").to_owned();
    let exposed: BTreeSet<_> = series.map(name).collect();
    let used = metrics_in(&[alerts(), queries()].concat());
    assert!(used.len() >= 12, "{used:?}");
    let unknown: Vec<_> = used.difference(&exposed).collect();
    assert!(unknown.is_empty(), "the prober does not expose {unknown:?}, but {exposed:?}");
    let dashboard = dashboard().to_string();
    for label in ["source", "target", "backend_cluster", "backend_pod", "kind", "verdict"] {
        assert!(
            dashboard.contains(label) && exposition.contains(&format!("{label}=\"")),
            "{label}"
        );
    }
}

#[test]
fn every_panel_has_a_place_of_its_own_and_says_what_it_shows() {
    let dashboard = dashboard();
    let mut places = BTreeSet::new();
    let mut ids = BTreeSet::new();
    for panel in array(&dashboard["panels"]) {
        assert!(ids.insert(panel["id"].as_u64().expect("an id")), "{panel}");
        assert!(!text(&panel["title"]).is_empty() && !text(&panel["description"]).is_empty());
        let place = |key: &str| panel["gridPos"][key].as_u64().expect(key);
        assert!(place("x") + place("w") <= 24, "{panel}");
        for x in place("x")..place("x") + place("w") {
            for y in place("y")..place("y") + place("h") {
                assert!(places.insert((x, y)), "two panels at {x},{y}: {panel}");
            }
        }
    }
    let variables = array(&dashboard["templating"]["list"]).iter();
    let names: Vec<_> = variables.map(|variable| text(&variable["name"])).collect();
    assert_eq!(names, ["datasource", "source", "target"]);
}
