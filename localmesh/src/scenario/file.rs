//! Scenario files: YAML → a checked scenario. `run` runs it, `expect` judges it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;

use super::expect::Expect;
use crate::error::Error;
use crate::mesh::action::{self, Action};
use crate::topology::{self, MAX_REPLICAS, Shape, Topology};

/// A scenario, checked: every name in it exists.
#[derive(Clone, Debug)]
pub struct Scenario {
    /// The name of its file.
    pub name: String,
    /// What breaks, what users see, and why.
    pub story: String,
    pub shape: Shape,
    /// Whether each network is a network namespace of its own.
    pub isolate: bool,
    /// Actions before the load.
    pub setup: Vec<Vec<String>>,
    pub from: From,
    /// Flags for prober.
    pub load: Vec<String>,
    /// Actions during the load, by the time since its start.
    pub events: Vec<(Duration, Vec<Vec<String>>)>,
    pub expect: Vec<Expect>,
    /// The causes that prober must find: all of these, one of them first. If empty, any.
    pub causes: Vec<String>,
}

/// Where requests come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct From {
    pub cluster: String,
    pub way: Way,
}

/// How requests get into the mesh.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// From a pod with a sidecar.
    Sidecar,
    /// From outside, through the ingress gateway.
    Ingress,
    /// From a pod with a sidecar, by the address of the service's first pod in the same cluster
    /// instead of the service's name.
    ByAddress,
    /// From a pod without a sidecar, to the service's first pod in the same cluster.
    Plain,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct File {
    story: String,
    /// A topology file, relative to the scenario's directory; by default two clusters.
    topology: Option<PathBuf>,
    #[serde(default)]
    isolate: bool,
    #[serde(default)]
    replicas: BTreeMap<String, u8>,
    #[serde(default)]
    setup: Vec<String>,
    from: String,
    load: String,
    #[serde(default)]
    events: Vec<EventEntry>,
    expect: Vec<String>,
    #[serde(default)]
    cause: Causes,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Causes {
    One(String),
    Several(Vec<String>),
}

impl Default for Causes {
    fn default() -> Self {
        Self::Several(Vec::new())
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct EventEntry {
    at: String,
    #[serde(rename = "do")]
    actions: Vec<String>,
}

/// The service that all scenarios probe.
pub(crate) const SERVICE: &str = "echo2";

/// Reads scenarios from files and directories, in order of name.
///
/// # Errors
/// If a file cannot be read or is invalid.
pub fn read(paths: &[PathBuf]) -> Result<Vec<Scenario>, Error> {
    let mut files = Vec::new();
    for path in paths {
        if !path.is_dir() {
            files.push(path.clone());
            continue;
        }
        let entries = std::fs::read_dir(path).map_err(Error::file(path))?;
        let mut found: Vec<_> = entries
            .filter_map(Result::ok)
            .map(|entry| entry.path())
            .filter(|path| path.extension().is_some_and(|e| e == "yaml"))
            .collect();
        if found.is_empty() {
            return Err(wrong(path, "does not contain a scenario (*.yaml)".into()));
        }
        found.sort();
        files.append(&mut found);
    }
    files
        .iter()
        .map(|path| {
            let text = usage::file::read_text(path).map_err(Error::file(path))?;
            parse(path, &text)
        })
        .collect()
}

fn wrong(path: &Path, wrong: String) -> Error {
    let wrong = wrong.lines().map(str::trim).collect::<Vec<_>>().join(" ");
    Error::Scenario { file: path.display().to_string(), wrong }
}

/// Reads one scenario from its text.
///
/// # Errors
/// One line that says what is wrong and where.
pub(super) fn parse(path: &Path, text: &str) -> Result<Scenario, Error> {
    let fail = |why: String| wrong(path, why);
    let file: File = serde_saphyr::from_str(text).map_err(|error| {
        let (line, wrong) = usage::yaml::problem(text, &error, "'from:', 'load:' and 'expect:'");
        Error::Scenario { file: format!("{}:{line}", path.display()), wrong }
    })?;
    let mut shape = match &file.topology {
        None => Shape::two_clusters(),
        Some(topology) => {
            let folder = path.parent().unwrap_or(Path::new(""));
            let read = topology::file::read(&folder.join(topology));
            read.map_err(|error| fail(format!("topology: {error}")))?
        }
    };
    let known = shape.services.iter().position(|service| service.name == SERVICE);
    let at = known.ok_or_else(|| fail(format!("topology: the service '{SERVICE}' is missing")))?;
    for (cluster, replicas) in &file.replicas {
        let Some(found) = shape.clusters.iter_mut().find(|c| c.name == *cluster) else {
            return Err(fail(format!("replicas: unknown cluster '{cluster}'")));
        };
        if !(1..=MAX_REPLICAS).contains(replicas) {
            return Err(fail(format!(
                "replicas: {replicas} is out of range; write 1 to {MAX_REPLICAS}"
            )));
        }
        found.replicas[at] = *replicas;
    }
    let topology = Topology::new(&shape, 1, 80);
    let words = |line: &String| -> Result<Vec<String>, Error> {
        let action = Action::parse_line(line).map_err(|why| fail(format!("'{line}': {why}")))?;
        action.check(&topology).map_err(|why| fail(format!("'{line}': {why}")))?;
        Ok(line.split_whitespace().map(str::to_owned).collect())
    };
    let setup = file.setup.iter().map(words).collect::<Result<_, _>>()?;
    let mut events = Vec::new();
    for EventEntry { at, actions } in &file.events {
        let instant = action::duration(at).map_err(|why| fail(format!("at {at}: {why}")))?;
        events.push((instant, actions.iter().map(words).collect::<Result<_, _>>()?));
    }
    let expect = file
        .expect
        .iter()
        .map(|line| Expect::parse(line).map_err(|why| fail(format!("expect '{line}': {why}"))));
    let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    Ok(Scenario {
        name,
        story: file.story.split_whitespace().collect::<Vec<_>>().join(" "),
        from: from(&file.from, &topology).map_err(fail)?,
        load: file.load.split_whitespace().map(str::to_owned).collect(),
        expect: expect.collect::<Result<_, _>>()?,
        causes: match file.cause {
            Causes::One(cause) => vec![cause],
            Causes::Several(causes) => causes,
        },
        shape,
        isolate: file.isolate,
        setup,
        events,
    })
}

/// Reads `kops sidecar`, `kops ingress`, `kops by-address` or `kops plain`.
fn from(text: &str, topology: &Topology) -> Result<From, String> {
    let (cluster, way) = text.split_once(' ').unwrap_or((text, ""));
    let way = match way.trim() {
        "sidecar" => Way::Sidecar,
        "ingress" => Way::Ingress,
        "by-address" => Way::ByAddress,
        "plain" => Way::Plain,
        other => {
            return Err(format!(
                "from: '{other}' is not a way into the mesh; write sidecar, ingress, by-address or \
                 plain"
            ));
        }
    };
    match topology.cluster(cluster) {
        Some(_) => Ok(From { cluster: cluster.to_owned(), way }),
        None => Err(format!("from: unknown cluster '{cluster}'")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "story: a\n  b\nfrom: kops sidecar\nload: -n 10\nsetup: [kill gke1/echo2]\n\
        events:\n  - {at: 2s, do: [start gke1/echo2, unready kops/echo2]}\nexpect: [lost <= 2]\n";

    #[test]
    fn a_scenario_is_read() {
        let scenario = parse(Path::new("x/some-name.yaml"), GOOD).unwrap();
        assert_eq!((scenario.name.as_str(), scenario.story.as_str()), ("some-name", "a b"));
        assert_eq!(scenario.from, From { cluster: "kops".into(), way: Way::Sidecar });
        assert_eq!(scenario.setup, [["kill", "gke1/echo2"]]);
        assert_eq!(scenario.events[0].0, Duration::from_secs(2));
        assert_eq!(scenario.events[0].1.len(), 2);
        assert_eq!(scenario.expect.len(), 1);
        assert!(scenario.causes.is_empty());
        let causes =
            |line: &str| parse(Path::new("x.yaml"), &format!("{GOOD}{line}\n")).unwrap().causes;
        assert_eq!(causes("cause: root mismatch"), ["root mismatch"]);
        assert_eq!(causes("cause: [ejected, weights]"), ["ejected", "weights"]);
    }

    #[test]
    fn an_invalid_scenario_is_refused_in_one_line() {
        for (old, new, part) in [
            ("story", "tale", "x.yaml:1: unknown key 'tale'; write one of story, topology"),
            ("expect:", "expect: x\nexpects:", "'expect' must be a list"),
            ("kill gke1/echo2", "kill gke1/echo3", "unknown cluster, pod or process 'gke1/echo3'"),
            ("kill gke1/echo2", "scale gke1/echo9 2", "unknown workload 'gke1/echo9'"),
            ("kill gke1/echo2", "mtls echo9 strict", "unknown service 'echo9'"),
            ("kill gke1/echo2", "swap-root eks1", "unknown cluster 'eks1'"),
            ("kill gke1/echo2", "kil gke1/echo2", "kill"),
            ("start gke1/echo2", "start gke2", "gke2"),
            ("at: 2s", "at: soon", "for example 250ms"),
            ("kops sidecar", "kops side", "sidecar, ingress, by-address or plain"),
            ("kops sidecar", "eks1 sidecar", "unknown cluster 'eks1'"),
            ("lost <= 2", "lots <= 2", "lots"),
            ("from:", "topology: none.yaml\nfrom:", "topology: none.yaml: No such file"),
        ] {
            let text = GOOD.replacen(old, new, 1);
            let said = parse(Path::new("x.yaml"), &text).expect_err(part).to_string();
            assert!(said.starts_with("x.yaml:") && said.contains(part), "{part}: {said}");
            assert_eq!(said.lines().count(), 1, "{said}");
        }
    }

    #[test]
    fn the_scenarios_of_the_project_are_whole() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios");
        let scenarios = read(&[folder.join("isolated"), folder]).unwrap();
        assert!(scenarios.len() >= 15, "{}", scenarios.len());
        assert_eq!(scenarios.iter().filter(|scenario| scenario.isolate).count(), 2);
        for scenario in scenarios {
            assert!(scenario.story.len() > 80, "the story of {} is too short", scenario.name);
            assert!(!scenario.expect.is_empty(), "{} has no expectation", scenario.name);
        }
    }
}
