//! Reports read by what others wrote: a schema and a reader of JUnit XML, a reader of
//! HdrHistograms (`tools/install-report-readers`).

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use super::reports;
use crate::harness::{Said, command, finish, workspace};
use crate::servers::{Server, answering, line, linger, read_head, response, text_echo};

fn read(what: &str, files: &[&Path]) -> Said {
    let mut reader = Command::new(workspace().join("tools/install-report-readers"));
    reader.arg("--run").arg(workspace().join("tests/prober/reports/read.py")).arg(what).args(files);
    finish(reader.env("PYTHONDONTWRITEBYTECODE", "1"))
}

fn found(said: &Said) -> Value {
    assert_eq!(said.code, 0, "{said:?}");
    serde_json::from_str(&said.stdout).expect("JSON")
}

#[test]
fn junit_is_valid_and_read_as_it_is_meant() {
    let folder = tempfile::tempdir().expect("a folder");
    let well = Server::start(text_echo("echo2-a", "kops"));
    let failing = Server::start(answering(response("503 Service Unavailable", "", "<&\u{1}>")));
    let matrix = folder.path().join("mesh.yaml");
    let text = format!(
        "sources: [{{name: 'far \"<&>\"', command: [/nonexistent/shell]}}]\n\
         defaults: {{requests: 20, min-share: 70%}}\n\
         targets:\n\
         - {{url: '{0}', expect: [errors = 0, only kops]}}\n\
         - {{url: '{1}'}}\n\
         - {{from: 'far \"<&>\"', url: '{0}'}}\n\
         - {{url: '{0}', requests: 2, expect: ['exactly kops,gke1', errors = 0]}}\n",
        well.target(),
        failing.target()
    );
    fs::write(&matrix, text).expect("written");
    let mut prober = command("prober");
    prober.arg("matrix").arg(&matrix).arg("--quiet").args(reports(folder.path(), &["run.xml"]));
    let said = finish(&mut prober);
    assert_eq!(said.code, 2, "a command that is not installed: {said:?}");
    let schema = workspace().join("tests/prober/reports/junit.xsd");
    let xml = folder.path().join("run.xml");
    let suites = found(&read("junit", &[&schema, &xml]));
    let counts: Vec<_> = suites
        .as_array()
        .expect("suites")
        .iter()
        .map(|suite| ["tests", "failures", "errors"].map(|name| suite[name].as_u64()))
        .collect();
    let some = |counts: [u64; 3]| counts.map(Some);
    assert_eq!(counts, [[2, 0, 0], [1, 1, 0], [1, 0, 1], [2, 0, 1]].map(some), "{suites:#}");
    assert_eq!(suites[0]["properties"]["answers"], "20");
    assert_eq!(suites[0]["properties"]["share.kops"], "1.000000");
    assert_eq!(
        suites[0]["cases"][1],
        json!({"name": "only kops", "class":
        format!("curl {}", well.target()), "results": []})
    );
    let result = |suite: usize, case: usize| &suites[suite]["cases"][case]["results"][0];
    assert_eq!((&result(1, 0)["is"], &result(1, 0)["type"]), (&"Failure".into(), &"missed".into()));
    let unreachable = result(2, 0);
    assert_eq!(
        (&unreachable["is"], &unreachable["type"]),
        (&"Error".into(), &"unreachable".into())
    );
    assert!(unreachable["message"].as_str().expect("text").contains("/nonexistent/shell"));
    assert_eq!(suites[2]["properties"]["source"], "far \"<&>\"");
    let open = result(3, 0);
    assert_eq!((&open["is"], &open["type"]), (&"Error".into(), &"inconclusive".into()));
    // The schema does refuse: without it, all of the above would say little.
    let text = fs::read_to_string(&xml).expect("text");
    for (good, bad) in [
        ("type=\"missed\"", "kind=\"missed\""),
        ("<properties>", "<properties/><properties>"),
        ("<system-out>", "<system-err/><system-out>"),
        ("errors=\"0\"", "errors=\"none\""),
        ("id=\"1\"", "id=\"0\""),
    ] {
        let broken = text.replacen(good, bad, 1);
        assert_ne!(broken, text, "{good} is not there");
        fs::write(&xml, broken).expect("written");
        assert_ne!(read("junit", &[&schema, &xml]).code, 0, "{bad} is valid");
    }
}

#[test]
fn histograms_are_read_by_another_implementation() {
    let folder = tempfile::tempdir().expect("a folder");
    // Latencies that differ: every third answer takes 30 ms longer.
    let echo = Server::start(|mut stream, connection| {
        read_head(&stream);
        if connection % 3 == 0 {
            std::thread::sleep(std::time::Duration::from_millis(30));
        }
        let pod = ["a", "b"][(connection % 2) as usize];
        let answer = response("200 OK", "", &line(pod, "kops"));
        let _ = std::io::Write::write_all(&mut stream, answer.as_bytes());
        linger(&stream);
    });
    let mut prober = command("prober");
    prober.args(["-n", "120", "--quiet", "-t", &echo.target()]);
    let said = finish(prober.args(reports(folder.path(), &["run.json"])));
    assert_eq!(said.code, 0, "{said:?}");
    let file = folder.path().join("run.json");
    let report: Value = serde_json::from_slice(&fs::read(&file).expect("written")).expect("JSON");
    let ours = report["rows"][0]["backends"].as_array().expect("backends");
    let theirs = found(&read("histograms", &[&file]));
    assert_eq!((ours.len(), theirs.as_array().map(Vec::len)), (2, Some(2)), "{theirs}");
    for (ours, theirs) in ours.iter().zip(theirs.as_array().expect("histograms")) {
        let latency = &ours["latency"];
        assert_eq!((&theirs["pod"], &theirs["count"]), (&ours["pod"], &ours["answers"]));
        assert_eq!(theirs["max_us"], latency["max_us"]);
        assert!(latency["max_us"].as_u64() >= Some(30_000), "{latency}");
        // Libraries differ in how they round a rank; what was counted is the same.
        for (name, quantile) in [("p50_us", 0.5), ("p90_us", 0.9), ("p99_us", 0.99)] {
            assert_eq!(latency[name], at_rank(&theirs["recorded"], quantile), "{name}: {theirs}");
        }
    }
}

/// The least value that this part of all counts does not exceed.
fn at_rank(recorded: &Value, quantile: f64) -> u64 {
    let counts = recorded.as_array().expect("pairs").iter();
    let counts: Vec<_> =
        counts.map(|pair| [0, 1].map(|place| pair[place].as_u64().expect("a number"))).collect();
    let all: u64 = counts.iter().map(|[_, count]| count).sum();
    let rank = (quantile * all as f64).ceil() as u64;
    let mut so_far = 0;
    for [value, count] in counts {
        so_far += count;
        if so_far >= rank {
            return value;
        }
    }
    panic!("nothing was recorded: {recorded}")
}
