//! Names that would be markup, labels, quotes or commands: the page and the metrics of watch, HTML
//! reports, NDJSON, and --explain.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use rustix::process::Signal;
use serde_json::Value;

use crate::harness::{Background, DEADLINE, command, finish, wait_until};
use crate::servers::{Server, line, read_head, response};

/// Each has this word, which stands nowhere else.
const WORD: &str = "alert";
/// Cluster and pod.
const NAMES: [(&str, &str); 4] = [
    ("\"><script>alert(1)</script>", "' onload='alert(2)'"),
    ("</script><!--<script>alert", "--></style></title><b>&lt;alert&amp;"),
    ("a\"} 1\\", "\\\"} alert 1 # HELP"),
    ("::error", "file=alert::x"),
];

fn hostile_server() -> Server {
    Server::start(|mut stream, number| {
        if read_head(&stream).is_empty() {
            return;
        }
        let place = usize::try_from(number).expect("few") % (NAMES.len() + 1);
        let answer = match NAMES.get(place) {
            Some((cluster, pod)) => response("200 OK", "", &line(pod, cluster)),
            None => response("503 Bad", "", "<script>alert(3)</script>\" onload='alert'"),
        };
        let _ = stream.write_all(answer.as_bytes());
    })
}

#[track_caller]
fn inert(text: &str) {
    for line in text.lines() {
        let start = line.trim_start().strip_prefix("::");
        assert!(!start.is_some_and(|rest| rest.contains("::")), "{line}");
        assert!(!line.contains("##[") && !line.contains('\u{1b}'), "{line}");
    }
}

/// Asserts that no name became a tag, a comment, an attribute, or left its place in one.
#[track_caller]
fn no_markup(page: &str) {
    inert(page);
    let mut rest = page;
    let mut shown = 0;
    while let Some((before, tag)) = rest.split_once('<') {
        shown += before.matches(WORD).count();
        assert!(!before.contains('>'), "a bare sign in {before}");
        let (tag, after) = tag.split_once('>').expect("a whole tag");
        assert!(!tag.starts_with("!--") && !tag.contains(WORD) || in_quotes(tag), "<{tag}>");
        let name: String = tag.chars().take_while(char::is_ascii_alphanumeric).collect();
        rest = match name.as_str() {
            "style" | "script" => {
                let (content, after) = after.split_once(&format!("</{name}>")).expect("its end");
                assert!(!content.contains('<') || !content.contains(WORD), "{content}");
                after
            }
            _ => after,
        };
    }
    assert!(shown > 0, "the names are shown: {page}");
}

/// Whether the words of a tag stand within double quotes.
fn in_quotes(tag: &str) -> bool {
    let outside = tag.split('"').step_by(2);
    tag.matches('"').count().is_multiple_of(2)
        && outside.into_iter().all(|part| !part.contains(WORD))
}

/// The labels of a sample; `None` if it is not in the text format of Prometheus.
fn labels(sample: &str) -> Option<Vec<(String, String)>> {
    let (name, mut rest) = sample.split_at(sample.find(['{', ' '])?);
    if !name.chars().all(|c| c.is_ascii_lowercase() || c == '_') {
        return None;
    }
    let mut all = Vec::new();
    if let Some(inside) = rest.strip_prefix('{') {
        rest = inside;
        loop {
            let (label, after) = rest.split_once("=\"")?;
            let mut value = String::new();
            let mut characters = after.char_indices();
            let end = loop {
                match characters.next()? {
                    (_, '\\') => value.push(match characters.next()?.1 {
                        'n' => '\n',
                        c @ ('\\' | '"') => c,
                        _ => return None,
                    }),
                    (place, '"') => break place,
                    (_, c) => value.push(c),
                }
            };
            label
                .chars()
                .all(|c| c.is_ascii_lowercase() || c == '_')
                .then(|| all.push((label.to_owned(), value)))?;
            rest = &after[end + 1..];
            match rest.strip_prefix(',') {
                Some(more) => rest = more,
                None => break,
            }
        }
        rest = rest.strip_prefix('}')?;
    }
    rest.strip_prefix(' ')?.parse::<f64>().ok().map(|_| all)
}

#[track_caller]
fn exposed(text: &str) {
    inert(text);
    let samples = text.lines().filter(|line| !line.starts_with("# "));
    let all: Vec<_> =
        samples.map(|line| labels(line).unwrap_or_else(|| panic!("{line}"))).collect();
    let known = |label: &str, value: &str| {
        all.iter().flatten().any(|(name, is)| name == label && is == value)
    };
    for (cluster, pod) in &NAMES[..3] {
        assert!(
            known("backend_cluster", cluster) && known("backend_pod", pod),
            "{cluster}: {text}"
        );
    }
    assert!(known("backend_cluster", "\\u{3a}:error"), "{text}");
}

fn get(address: &str, path: &str) -> String {
    let mut stream = TcpStream::connect(address).expect("it listens");
    stream.set_read_timeout(Some(DEADLINE)).expect("a socket");
    let request = format!("GET {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).expect("it reads");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("it answers");
    answer.split_once("\r\n\r\n").expect("a head").1.to_owned()
}

#[test]
fn no_name_becomes_markup_or_a_label_of_watch() {
    let server = hostile_server();
    let mut prober = command("prober");
    prober.args([
        "watch",
        "--target",
        &server.target(),
        "-n",
        "20",
        "-c",
        "1",
        "--interval=1s",
        "--window=10m",
    ]);
    prober.args(["--listen=127.0.0.1:0", "--expect", "only \"</b><script>alert(4)</script>\""]);
    let mut prober = Background::start(&mut prober);
    let address = prober.wait_for("the address", |line| {
        let (_, rest) = line.split_once(" are at http://")?;
        Some(rest.trim_end_matches('/').to_owned())
    });
    let metrics = wait_until("a round", || {
        let text = get(&address, "/metrics");
        text.contains("file=alert").then_some(text)
    });
    exposed(&metrics);
    no_markup(&get(&address, "/"));
    prober.signal(Signal::TERM);
    prober.wait();
    inert(&prober.said_all());
}

#[test]
fn no_name_becomes_markup_or_a_label_of_a_report() {
    let (folder, server) = (tempfile::tempdir().expect("a folder"), hostile_server());
    let words = [
        "-n",
        "100",
        "-c",
        "1",
        "--output=ndjson",
        "--show=2",
        "--report=r.html",
        "--report=r.prom",
    ];
    let expect = ["--report=r.json", "--expect", "only \"</b><script>alert(4)</script>\""];
    let mut prober = command("prober");
    let said =
        finish(prober.args(words).args(expect).arg(server.target()).current_dir(folder.path()));
    let read = |name: &str| fs::read_to_string(folder.path().join(name)).expect("text");
    exposed(&read("r.prom"));
    let page = read("r.html");
    no_markup(&page);
    let (_, json) = page.split_once("id=\"prober-report\">").expect("the report in it");
    let embedded: Value =
        serde_json::from_str(json.split_once("</script>").expect("its end").0).expect("JSON");
    assert_eq!(embedded, serde_json::from_str::<Value>(&read("r.json")).expect("JSON"));
    assert!(!said.stdout.is_empty());
    for line in said.stdout.lines() {
        inert(line);
        serde_json::from_str::<Value>(line).expect("each line is JSON");
    }
}
