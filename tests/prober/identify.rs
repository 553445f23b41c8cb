//! `prober --identify`: other applications than an echo, measured as they are.

use std::io::Write as _;

use serde_json::Value;

use super::probing::{all_fail, row};
use crate::harness::{self, run};
use crate::servers::{self, Server, answering, line, response};

/// Pod, cluster and answers of each backend.
fn backends<'a>(row: &'a Value) -> Vec<(&'a str, &'a str, u64)> {
    let backend = |backend: &'a Value| {
        let text = |name: &str| backend[name].as_str().expect("a name");
        (text("pod"), text("cluster"), backend["answers"].as_u64().expect("a number"))
    };
    row["backends"].as_array().expect("a list").iter().map(backend).collect()
}

#[test]
fn identify_tells_the_pods_of_a_strange_application_apart() {
    let server = Server::start(|mut stream, connection| {
        servers::read_head(&stream);
        let body = format!("Hello version: v1, instance: helloworld-v1-{}\n", connection % 2);
        let _ = stream.write_all(response("200 OK", "", &body).as_bytes());
        servers::linger(&stream);
    });
    let target = server.target();
    let args = ["-t", &target, "-n", "20", "--min-share", "40%", "--identify", "helloworld"];
    let (code, found) = row(&[&args[..], &["-e", "exactly v1 by version"]].concat());
    assert_eq!(code, 0, "every answer says v1: {found}");
    let found = backends(&found);
    let both = [("helloworld-v1-0", "<unknown>", 10), ("helloworld-v1-1", "<unknown>", 10)];
    assert_eq!(found, both);

    let said = run("prober", ["-t", &target, "-n", "2", "--identify", "podinfo"]);
    assert_eq!(said.code, 1);
    assert!(said.stderr.contains("advice: ") && said.stderr.contains("--identify"), "{said:?}");
}

#[test]
fn identify_reads_headers_and_leaves_the_rest_to_the_echos_own() {
    let headers = "X-Cluster: gke1\r\nx-echo-pod: p\r\nx-echo-cluster: kops\r\nx-echo-attempt: 2\r\n\
                   x-echo-zone: z\r\n";
    let server = Server::start(answering(response("200 OK", headers, "any body")));
    let target = server.target();
    let (code, found) = row(&["-t", &target, "-n", "6", "--identify=cluster=header:x-cluster"]);
    assert_eq!((code, backends(&found)), (0, vec![("p", "gke1", 6)]), "{found}");
    assert_eq!((&found["retried"], &found["backends"][0]["zone"]), (&6.into(), &"z".into()));
    let absent = "--identify=cluster=header:x-absent";
    let what = all_fail("unidentified", &["-t", &target, absent]);
    let said = "200, but --identify cluster=header:x-absent found nothing: \"any body\"";
    assert_eq!(what, said);
}

#[test]
fn identify_says_which_pattern_found_nothing_and_in_what() {
    let server = Server::start(answering(response("200 OK", "", "{\"pod\": null}")));
    let args = ["-t", &server.target(), "--identify=whoami", "--identify=pod=json:/pod"];
    let what = all_fail("unidentified", &args);
    assert_eq!(what, "200, but --identify pod=json:/pod found nothing: \"{\"pod\": null}\"");
}

#[test]
fn identify_takes_no_answer_to_another_request() {
    let headers = "x-echo-probe: somebody-elses\r\n";
    let server = Server::start(answering(response("200 OK", headers, "Hostname: w\n")));
    let what = all_fail("unidentified", &["-t", &server.target(), "--identify=whoami"]);
    assert!(what.contains("another request"), "{what}");
}

#[test]
fn identify_trusts_no_name_that_would_steer_a_terminal() {
    let server = Server::start(answering(response("200 OK", "", "Hostname: \u{1b}[2Jw\n")));
    let what = all_fail("unidentified", &["-t", &server.target(), "--identify=whoami"]);
    assert!(
        what.starts_with("200, but --identify whoami matched text that is not a name"),
        "{what}"
    );
    assert!(!what.contains('\u{1b}'), "{what:?}");
}

#[test]
fn identify_without_it_all_is_as_it_was() {
    let server = Server::start(answering(response("200 OK", "", "Hostname: w\n")));
    let what = all_fail("unidentified", &["-t", &server.target()]);
    assert_eq!(what, "200, but not an echo: \"Hostname: w\"");
}

#[test]
fn identify_in_a_matrix_goes_with_the_row_behind_its_command() {
    let text = line("echo2-x", "gke1");
    let server = Server::start(answering(response("200 OK", "", &text)));
    let dir = tempfile::tempdir().expect("a folder");
    let file = dir.path().join("mesh.yaml");
    let matrix = format!(
        "defaults: {{requests: 4, identify: [whoami]}}\n\
         sources:\n  - {{name: far, command: [env], prober: '{}'}}\n\
         targets:\n  - {{from: far, url: '{}', identify: ['pod=regex:pod: (\\S+)\\]']}}\n",
        harness::bin("prober").display(),
        server.target()
    );
    std::fs::write(&file, matrix).expect("written");
    let file = file.to_str().expect("UTF-8");
    let said = run("prober", ["matrix", file, "--output=json", "--quiet"]);
    let report: Value = serde_json::from_str(&said.stdout).expect("a JSON report");
    assert_eq!(backends(&report["rows"][0]), [("echo2-x", "<unknown>", 4)], "{said:?}");
}

#[test]
fn identify_refuses_wrong_words_in_one_line() {
    for (given, parts) in [
        ("pood=json:/x", ["--identify 'pood=json:/x'", "did you mean 'pod'?"]),
        ("pod=json:x", ["starts with '/'", "pod=json:/x"]),
        ("pod=regex:[", ["not a regular expression", "unclosed character class"]),
        ("whoamy", ["unknown preset", "did you mean 'whoami'?"]),
    ] {
        run("prober", ["-t", "a", "--identify", given]).refused(&parts);
    }
}
