//! Runs scenarios: each on a new mesh with prober beside it, then judges the report.

use std::fmt::Write as _;
use std::fs::File;
use std::io::{BufRead as _, BufReader, Read as _};
use std::path::Path;
use std::process::{Child, Stdio};
use std::time::Duration;

use serde_json::Value;

use super::file::{SERVICE, Scenario, Way};
use crate::error::Error;
use crate::mesh::files;
use crate::mesh::running::{Mesh, Options};
use crate::process::guard::guarded_in;
use crate::process::tools::Tools;
use crate::topology::SERVICE_PORT;

/// The most bytes of prober's report, as prober itself reads one.
const MOST_REPORT: u64 = 64 << 20;
/// The interval of checks whether prober has ended.
const POLL: Duration = Duration::from_millis(20);

/// Where scenarios run.
#[derive(Clone, Copy, Debug)]
pub struct Place<'a> {
    /// The second byte of the addresses.
    pub block: u8,
    pub tools: &'a Tools,
    /// A directory that keeps reports and logs.
    pub keep: Option<&'a Path>,
}

#[derive(Clone, Debug)]
pub struct Outcome {
    pub name: String,
    /// The row of prober's report.
    pub row: Value,
    /// Missed expectations: what was expected, and what was seen.
    pub missed: Vec<(String, String)>,
}

impl Outcome {
    /// Whether all expectations were met.
    #[must_use]
    pub fn passed(&self) -> bool {
        self.missed.is_empty()
    }

    /// The heading above [`Outcome::line`].
    #[must_use]
    pub fn heading() -> String {
        format!(
            "{:<24} {:>8} {:>5} {:>8} {:>8}  {:<23} VERDICT",
            "SCENARIO", "REQUESTS", "LOST", "FAILOVER", "FAILBACK", "CAUSE"
        )
    }

    /// The line in the table, and a line per missed expectation.
    #[must_use]
    pub fn line(&self) -> String {
        let times = &self.row["failover"];
        let lost = times["lost"].as_u64().or(self.row["failed"].as_u64()).unwrap_or(0);
        let time = |field: &str, there: bool| match times[field].as_f64() {
            Some(us) => format!("{:.2} s", us / 1e6),
            None if there => "never".to_owned(),
            None => "–".to_owned(),
        };
        let mut text = format!(
            "{:<24} {:>8} {:>5} {:>8} {:>8}  {:<23} {}",
            self.name,
            self.row["requests"].as_u64().unwrap_or(0),
            lost,
            time("failover_us", times.is_object()),
            time("failback_us", times["recovery_us"].is_u64()),
            causes(&self.row).first().map_or("–", String::as_str),
            if self.passed() { "PASS" } else { "FAIL" },
        );
        for (expected, seen) in &self.missed {
            let _ = write!(text, "\n    expected {expected}; seen: {seen}");
        }
        text
    }
}

/// Runs one scenario. `interrupted` is called regularly; `true` ends the run.
///
/// # Errors
/// If the mesh does not start, an action fails, or prober writes no report.
pub fn run(
    scenario: &Scenario,
    place: &Place<'_>,
    interrupted: &dyn Fn() -> bool,
) -> Result<Outcome, Error> {
    let dir = place.keep.map(|keep| keep.join(&scenario.name));
    let options = Options {
        shape: scenario.shape.clone(),
        isolate: scenario.isolate,
        block: place.block,
        dir: dir.clone(),
        ..Options::default()
    };
    let mut mesh = Mesh::start(&options, place.tools, interrupted)?;
    for words in &scenario.setup {
        mesh.act(words)?;
    }
    let row = probe(scenario, &mut mesh, place, interrupted)?;
    let counter = |envoy: &str, name: &str| {
        let pattern: String =
            name.chars().map(|c| if c == '.' { "\\.".into() } else { c.to_string() }).collect();
        let found = mesh.counters(envoy, &format!("{pattern}$")).ok()?;
        Some(found.values().sum::<u64>() as f64)
    };
    let missed = scenario.expect.iter().filter_map(|expect| {
        expect.judge(&row, &counter).err().map(|seen| (expect.to_string(), seen))
    });
    let missed = missed.chain(other_causes(&scenario.causes, &causes(&row))).collect();
    if let Some(dir) = dir {
        files::replace(&dir.join("story.txt"), format!("{}\n", scenario.story).as_bytes())?;
    }
    mesh.stop();
    Ok(Outcome { name: scenario.name.clone(), row, missed })
}

/// Runs prober beside the mesh, and returns the row of its report. The mesh serves the
/// commands of the events meanwhile.
fn probe(
    scenario: &Scenario,
    mesh: &mut Mesh,
    place: &Place<'_>,
    interrupted: &dyn Fn() -> bool,
) -> Result<Value, Error> {
    let failed = |wrong: String| Error::Scenario { file: scenario.name.clone(), wrong };
    let report = mesh.dir().join("report.json");
    let log = mesh.dir().join("prober.log");
    let create = |path: &Path| File::create(path).map_err(Error::file(path));
    let outside = (scenario.from.way == Way::Ingress).then(|| mesh.internet());
    let namespace = outside.unwrap_or_else(|| mesh.namespace(&scenario.from.cluster));
    let mut prober = guarded_in(&place.tools.launcher, namespace, &place.tools.prober)
        .args(arguments(scenario, mesh, place)?)
        .stdin(Stdio::null())
        .stdout(create(&report)?)
        .stderr(create(&log)?)
        .spawn()
        .map(Running)
        .map_err(|reason| Error::Spawn { name: "prober".into(), reason })?;
    while prober.0.try_wait().map_err(Error::file("prober"))?.is_none() {
        if interrupted() {
            return Err(Error::Interrupted);
        }
        mesh.serve(POLL).map_err(Error::file("the mesh's socket"))?;
        mesh.ended();
    }
    let bytes = usage::file::read(&report, MOST_REPORT).map_err(Error::file(report.as_path()))?;
    let document: Value = serde_json::from_slice(&bytes)
        .map_err(|_| failed(format!("prober wrote no report: {}", first_line(&log))))?;
    let row = document["rows"][0].clone();
    for event in row["events"].as_array().into_iter().flatten() {
        if event["end"]["exit"] != 0 {
            let (command, end) = (&event["command"], &event["end"]);
            return Err(failed(format!("{command}: {end}: {}", event["output"])));
        }
    }
    Ok(row)
}

/// The first line of a log, of at most 16 KiB; empty if it cannot be read.
fn first_line(log: &Path) -> String {
    let mut line = Vec::new();
    if let Ok(file) = File::open(log) {
        // What was read before an error is shown.
        let _ = BufReader::new(file.take(16 << 10)).read_until(b'\n', &mut line);
    }
    String::from_utf8_lossy(&line).trim_end().to_owned()
}

/// The causes that prober found, the most important first.
fn causes(row: &Value) -> Vec<String> {
    let findings = row["explanation"]["findings"].as_array().into_iter().flatten();
    findings.filter_map(|finding| Some(finding["cause"].as_str()?.to_owned())).collect()
}

/// The expected and the found causes, if they differ.
fn other_causes(expected: &[String], found: &[String]) -> Option<(String, String)> {
    let first = found.first().is_some_and(|first| expected.contains(first));
    let met = first && expected.iter().all(|cause| found.contains(cause));
    (!expected.is_empty() && !met)
        .then(|| (format!("cause {}", expected.join(", ")), found.join(", ")))
}

/// prober; killed when dropped.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // Both fail without harm if it has ended.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn arguments(scenario: &Scenario, mesh: &Mesh, place: &Place<'_>) -> Result<Vec<String>, Error> {
    let mut arguments: Vec<String> = ["--output", "json", "--quiet"].map(Into::into).into();
    let cluster = &scenario.from.cluster;
    let clusters = &mesh.topology().clusters;
    let unknown = || Error::no_such_cluster(cluster, clusters.iter().map(|known| &known.name));
    let home = mesh.topology().cluster(cluster).ok_or_else(unknown)?;
    let port = mesh.topology().ingress_port;
    let service = mesh.topology().services.iter().position(|s| s.name == SERVICE);
    let pod = home.echoes(service.unwrap_or_default()).next();
    let (target, to) = match scenario.from.way {
        Way::Sidecar => (format!("{SERVICE}:{SERVICE_PORT}"), home.clients().next()),
        Way::Plain => (format!("{SERVICE}:{SERVICE_PORT}"), pod),
        Way::ByAddress => {
            (pod.ok_or_else(unknown)?.listens(port).to_string(), home.clients().next())
        }
        Way::Ingress => (format!("{}/{SERVICE}", home.host), home.ingress_gateways().next()),
    };
    let to = to.ok_or_else(unknown)?.listens(port);
    arguments.extend(["--target".into(), target, "--connect-to".into(), format!("::{to}")]);
    arguments.extend(scenario.load.iter().cloned());
    arguments.push("--explain".into());
    let chooses = match scenario.from.way {
        Way::Sidecar | Way::ByAddress => home.clients().next(),
        Way::Ingress => home.ingress_gateways().next(),
        // Without a sidecar, no Envoy chooses the endpoint.
        Way::Plain => None,
    };
    let client = chooses.map(|pod| ["--envoy-admin".into(), pod.envoy_admin().to_string()]);
    arguments.extend(client.into_iter().flatten());
    for (name, admin) in mesh.topology().envoys() {
        arguments.extend(["--envoy-admin".into(), format!("{name}={admin}")]);
    }
    for (at, actions) in &scenario.events {
        let launcher = place.tools.launcher.display().to_string().replace('\'', r"'\''");
        let commands = actions
            .iter()
            .map(|words| format!("'{launcher}' do --block {} {}", place.block, words.join(" ")));
        arguments.push("--at".into());
        arguments.push(format!("{}s", at.as_secs_f64()));
        arguments.push(commands.collect::<Vec<_>>().join(" && "));
    }
    Ok(arguments)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_line_without_an_end_is_cut() {
        let line = first_line(Path::new("/dev/zero"));
        assert_eq!(line.len(), 16 << 10);
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("log");
        std::fs::write(&log, "one\ntwo\n").unwrap();
        assert_eq!(first_line(&log), "one");
        assert_eq!(first_line(folder.path()), "");
    }

    #[test]
    fn all_expected_causes_are_found_and_one_of_them_first() {
        let row = json!({ "explanation": { "findings": [{ "cause": "a" }, { "cause": "b" }] } });
        let found = causes(&row);
        let missed = |expected: &[&str]| {
            let expected: Vec<_> = expected.iter().map(|cause| (*cause).to_owned()).collect();
            other_causes(&expected, &found)
        };
        for met in [&[][..], &["a"], &["b", "a"]] {
            assert_eq!(missed(met), None, "{met:?}");
        }
        for other in [&["b"][..], &["a", "c"], &["c"]] {
            let (expected, seen) = missed(other).expect("it is missed");
            assert_eq!((expected, seen.as_str()), (format!("cause {}", other.join(", ")), "a, b"));
        }
        assert_eq!(causes(&json!({})), [] as [&str; 0]);
    }
}
