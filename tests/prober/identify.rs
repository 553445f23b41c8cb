//! `prober --identify`: other applications than an echo, measured as they are.

use std::io::Write as _;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use flate2::Compression;
use flate2::write::{GzEncoder, ZlibEncoder};
use serde_json::Value;

use super::probing::{all_fail, row};
use crate::harness::{self, run};
use crate::servers::{self, Server, answering, common_port, line, response, response_of_bytes};

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

fn gzip(text: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(text).expect("memory");
    encoder.finish().expect("memory")
}

fn zlib(text: &[u8]) -> Vec<u8> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(text).expect("memory");
    encoder.finish().expect("memory")
}

#[test]
fn identify_decodes_bodies_as_their_encoding_says() {
    let whoami = b"Hostname: w-0\nIP: 127.0.0.1\n";
    let brotli = [b"\x8b\x0d\x80", &whoami[..], b"\x03"].concat();
    let api = "\u{feff}{\"hostname\":\"w-0\"}".as_bytes();
    let chunks = |body: &[u8]| {
        let (a, b) = body.split_at(7);
        let head =
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ncontent-encoding: gzip\r\n\r\n7\r\n";
        let middle = format!("\r\n{:x}\r\n", b.len());
        [head.as_bytes(), a, middle.as_bytes(), b, b"\r\n0\r\n\r\n"].concat()
    };
    for answer in [
        response_of_bytes("200 OK", "content-encoding: gzip\r\n", &gzip(whoami)),
        response_of_bytes("200 OK", "Content-Encoding: Deflate\r\n", &zlib(whoami)),
        response_of_bytes("200 OK", "content-encoding: br\r\n", &brotli),
        response_of_bytes("200 OK", "", api),
        response_of_bytes("200 OK", "content-encoding: gzip\r\n", &gzip(api)),
        chunks(&gzip(whoami)),
    ] {
        let server = Server::start(answering(answer));
        let (code, found) = row(&["-t", &server.target(), "-n", "4", "--identify=whoami"]);
        assert_eq!((code, backends(&found)), (0, vec![("w-0", "<unknown>", 4)]), "{found}");
    }
    let echo = "content-encoding: gzip\r\nx-echo-pod: p\r\nx-echo-cluster: c\r\n";
    for headers in [echo, "content-encoding: gzip\r\n"] {
        let body = gzip(line("p", "c").as_bytes());
        let server = Server::start(answering(response_of_bytes("200 OK", headers, &body)));
        let (code, found) = row(&["-t", &server.target(), "-n", "4", "--show=1"]);
        assert_eq!((code, backends(&found)), (0, vec![("p", "c", 4)]), "{found}");
        assert_eq!(found["shown"]["0"], line("p", "c").trim_end(), "legible");
    }
}

#[test]
fn identify_names_an_encoding_that_it_does_not_decode() {
    let text = "Hostname: w-0\n";
    let fails = |kind: &str, headers: &str, body: &[u8], status: &str| {
        let server = Server::start(answering(response_of_bytes(status, headers, body)));
        all_fail(kind, &["-t", &server.target(), "--identify=whoami"])
    };
    let said = fails("unidentified", "content-encoding: zstd\r\n", text.as_bytes(), "200 OK");
    assert_eq!(
        said,
        "200, but the body is encoded with zstd, which prober does not decode; it decodes gzip, \
         deflate and br"
    );
    let said = fails("unidentified", "content-encoding: gzip\r\n", text.as_bytes(), "200 OK");
    assert_eq!(said, "200, but the body is not valid gzip, as its Content-Encoding says");
    // 10 MB of nothing in 10 kB.
    let bomb = gzip(&vec![0; 10_000_000]);
    let said = fails("protocol", "content-encoding: gzip\r\n", &bomb, "200 OK");
    assert_eq!(said, "the decoded body is longer than 65536 bytes (--max-body)");
    let page = gzip(b"<h1>database is down</h1>");
    let said = fails("status", "content-encoding: gzip\r\n", &page, "500 Oops");
    assert_eq!(said, "500 Internal Server Error: \"<h1>database is down</h1>\"");
    let said = fails("unidentified", "", b"{\"hostname\":\"p\xf6d\"}", "200 OK");
    assert!(said.contains("found nothing; the body is not UTF-8: "), "{said}");
    // A label that is not in the body needs no body.
    let headers = "content-encoding: zstd\r\nx-pod: p\r\n";
    let server = Server::start(answering(response("200 OK", headers, text)));
    let (code, _) = row(&["-t", &server.target(), "-n", "4", "--identify=pod=header:x-pod"]);
    assert_eq!(code, 0);
}

#[test]
fn identify_prints_the_beginning_of_a_body_on_one_line() {
    let body = format!("<html>\r\n  <b>{}</b>\n", "x".repeat(5_000));
    let server = Server::start(answering(response("200 OK", "", &body)));
    let what = all_fail("unidentified", &["-t", &server.target(), "--identify=podinfo"]);
    let quoted = format!("\"<html> <b>{}…\"", "x".repeat(90));
    assert_eq!(what, format!("200, but --identify podinfo found nothing: {quoted}"));
    let shown = ["-n", "4", "--show=1", "--identify=pod=address"];
    let (_, found) = row(&[&["-t", &server.target()][..], &shown].concat());
    let shown = found["shown"]["0"].as_str().expect("a text");
    assert_eq!(shown, format!("<html> <b>{}…", "x".repeat(190)));
}

#[test]
fn identify_reads_whoami_at_its_api_too() {
    let body =
        r#"{"hostname":"whoami-7","ip":["127.0.0.1"],"headers":{"Accept":["*/*"]},"url":"/api"}"#;
    let server = Server::start(answering(response("200 OK", "", body)));
    let target = format!("{}/api", server.target());
    let (code, found) = row(&["-t", &target, "-n", "4", "--identify=whoami"]);
    assert_eq!((code, backends(&found)), (0, vec![("whoami-7", "<unknown>", 4)]), "{found}");
}

#[test]
fn identify_finds_names_with_spaces_and_expectations_quote_them() {
    let server = Server::start(|mut stream, connection| {
        servers::read_head(&stream);
        let name = ["greetings from #1", "user@x.eksctl.io"][(connection % 2) as usize];
        let body = format!(r#"{{"hostname":"podinfo-{}","message":"{name}"}}"#, connection % 2);
        let _ = stream.write_all(response("200 OK", "", &body).as_bytes());
        servers::linger(&stream);
    });
    let dir = tempfile::tempdir().expect("a folder");
    let path = |name: &str| dir.path().join(name).to_str().expect("UTF-8").to_owned();
    let (lines, yaml, json) = (path("expectations"), path("mesh.yaml"), path("report.json"));
    let exactly = r#"exactly "greetings from #1",user@x.eksctl.io"#;
    std::fs::write(&lines, format!("{exactly} # both\n")).expect("written");
    let target = server.target();
    let flags = ["--identify=podinfo", "--identify=cluster=json:/message", "--min-share=40%"];
    let args = ["-t", &target, "-n", "40", "-e", "share{cluster='greetings from #1'} >= 10%"];
    let files = ["--expect-file", &lines, "--report", &json];
    let (code, found) = row(&[&args[..], &flags, &files].concat());
    assert_eq!((code, found["backends"].as_array().map(Vec::len)), (0, Some(2)), "{found}");
    let words: Vec<_> = found["expectations"].as_array().expect("a list").iter().collect();
    assert_eq!(words[0]["expectation"], "errors = 0");
    assert_eq!(words[1]["expectation"], r#"share{cluster="greetings from #1"} >= 10%"#);
    assert_eq!(words[2]["expectation"], exactly);
    // The report is read again, and a matrix has the same words.
    let said = run("prober", ["report", &json]);
    assert!(said.code == 0 && said.stdout.contains(exactly), "{said:?}");
    let matrix = format!(
        "defaults: {{requests: 40, min-share: 40%, identify: [podinfo, 'cluster=json:/message']}}\n\
         sources: [{{name: here, here: true}}]\n\
         targets:\n  - url: '{target}'\n    expect: ['{exactly}']\n"
    );
    std::fs::write(&yaml, matrix).expect("written");
    let said = run("prober", ["matrix", &yaml]);
    assert!(said.code == 0 && said.stdout.contains(exactly), "{said:?}");
    let said = run("prober", ["-t", "a", "-e", r#"only "a b"#]);
    let part = "column 6: the closing \" of this name is missing";
    assert!(said.code == 2 && said.stderr.contains(part), "{said:?}");
}

#[test]
fn identify_by_address_tells_pods_apart_that_say_nothing() {
    let addresses: Vec<IpAddr> = (2..=4).map(|n| Ipv4Addr::new(127, 0, 0, n).into()).collect();
    let port = common_port(&addresses);
    let start = |address: &IpAddr| {
        Server::start_at(SocketAddr::new(*address, port), answering(response("200 OK", "", "ok\n")))
    };
    let _servers: Vec<_> = addresses.iter().map(start).collect();
    let (target, resolve) =
        (format!("pods:{port}"), format!("pods:{port}:127.0.0.2,127.0.0.3,127.0.0.4"));
    let flags = ["--resolve", &resolve, "--select=round-robin", "--identify=pod=address"];
    let (code, found) = row(&[&["-t", &target, "-n", "6"], &flags[..]].concat());
    let unknown = |pod| (pod, "<unknown>", 2);
    let right = ["127.0.0.2", "127.0.0.3", "127.0.0.4"].map(unknown);
    assert_eq!((code, backends(&found)), (0, right.to_vec()), "{found}");
}

#[test]
fn identify_warns_of_pods_that_are_named_as_the_host() {
    let server = Server::start(|mut stream, _| {
        let head = servers::read_head(&stream);
        let host = head.iter().find_map(|line| line.strip_prefix("Host: ")).unwrap_or("-");
        let host = host.split(':').next().unwrap_or_default();
        let body = format!(r#"{{"host":{{"hostname":"{host}"}},"pod":"shop-1"}}"#);
        let _ = stream.write_all(response("200 OK", "", &body).as_bytes());
        servers::linger(&stream);
    });
    let (target, wrong) = (server.target(), "--identify=pod=json:/host/hostname");
    let advice = |args: &[&str]| {
        let said = run("prober", [&["-t", &target, "-n", "4"], args].concat());
        assert_eq!(said.code, 0, "it passes, which is the trap: {said:?}");
        said.stdout
    };
    let said = advice(&[wrong]);
    assert!(said.contains("the pod name 127.0.0.1 is the requested host"), "{said}");
    let said = advice(&[wrong, "-H", "Host: shop.example"]);
    assert!(said.contains("the pod name shop.example is the requested host"), "{said}");
    assert!(said.contains("curl -i -H \"Host: shop.example\""), "{said}");
    assert!(!advice(&["--identify=pod=json:/pod"]).contains("the pod name"));
}
