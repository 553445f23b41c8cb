//! Flags that curl has against the real curl, flag by flag: the same words, the same server, and what
//! arrived there is compared. `docs/curl.md` lists where prober differs; each row of it has a test.

use std::collections::BTreeSet;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};

use super::name_faults::own_network;
use crate::harness::{self, Said};
use crate::servers::{Server, line, linger, response};

/// What a server got.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Got {
    /// The bytes before the request, if it is a PROXY header.
    proxy: Option<String>,
    request_line: String,
    /// In lower case, with their values. The values of `user-agent` are those of the programs.
    headers: BTreeSet<(String, String)>,
    body: Vec<u8>,
    /// The address that it came from.
    from: String,
}

/// A server that keeps what it got.
struct Recorder {
    server: Server,
    got: Arc<Mutex<Vec<Got>>>,
}

impl Recorder {
    fn start() -> Self {
        let got = Arc::new(Mutex::new(Vec::new()));
        let all = Arc::clone(&got);
        let server = Server::start(move |mut stream, _| {
            if let Some(one) = read(&stream) {
                all.lock().expect("no panic holds it").push(one);
            }
            let headers = "x-echo-pod: p\r\nx-echo-cluster: kops\r\nconnection: close\r\n";
            let _ = stream.write_all(response("200 OK", headers, &line("p", "kops")).as_bytes());
            linger(&stream);
        });
        Self { server, got }
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.server.target())
    }

    /// What came since the last call.
    fn take(&self) -> Vec<Got> {
        std::mem::take(&mut *self.got.lock().expect("no panic holds it"))
    }
}

fn read(stream: &TcpStream) -> Option<Got> {
    let mut reader = BufReader::new(stream);
    let mut next = || {
        let mut line = Vec::new();
        reader.read_until(b'\n', &mut line).ok().filter(|length| *length > 0)?;
        Some(String::from_utf8_lossy(&line).trim_end_matches(['\r', '\n']).to_owned())
    };
    let mut got = Got { from: stream.peer_addr().ok()?.ip().to_string(), ..Got::default() };
    let mut first = next()?;
    if first.starts_with("PROXY ") {
        (got.proxy, first) = (Some(first), next()?);
    }
    got.request_line = first;
    let mut length = 0;
    while let Some(line) = next().filter(|line| !line.is_empty()) {
        let (name, value) = line.split_once(':')?;
        let (name, value) = (name.to_ascii_lowercase(), value.trim().to_owned());
        match name.as_str() {
            "x-probe-id" => continue,
            "content-length" => length = value.parse().ok()?,
            _ => {}
        }
        let own = ["curl/", "prober/"].iter().any(|own| value.starts_with(own));
        got.headers.insert((name, if own { "(own)".to_owned() } else { value }));
    }
    got.body = vec![0; length];
    reader.read_exact(&mut got.body).ok()?;
    Some(got)
}

/// A folder with the files that the cases name.
fn files() -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    for (name, content) in [
        ("text", &b"a=1\r\nb=2\n\nc"[..]),
        ("bytes", b"\x01\r\n\xff\n"),
        ("nulls", b"\0\x01\0\r\n"),
        ("empty", b""),
        ("headers", b"X-One: 1\r\n\r\nX-Two:2\nX-Empty;\nAccept:\nX-Bytes: \xe9"),
        ("colonless", b"X-One: 1\n\nX-Two\n"),
        ("mib", &vec![b'x'; 1 << 20]),
        ("more", &vec![b'x'; (1 << 20) + 1]),
    ] {
        std::fs::write(folder.path().join(name), content).expect("written");
    }
    folder
}

fn with_input(command: &mut Command, folder: &Path, input: &str) -> Said {
    command.current_dir(folder).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.stderr(Stdio::piped()).spawn().expect("the program starts");
    // A program that does not read its input may have ended.
    let _ = child.stdin.take().expect("piped").write_all(input.as_bytes());
    let output = child.wait_with_output().expect("it ends");
    Said {
        code: output.status.code().unwrap_or(-1),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

/// Both programs, with the same files and the same server.
struct Both {
    folder: tempfile::TempDir,
    recorder: Recorder,
}

impl Both {
    fn new() -> Self {
        Self { folder: files(), recorder: Recorder::start() }
    }

    /// What curl says and what arrives.
    fn curl(&self, words: &[&str]) -> (Said, Vec<Got>) {
        self.run(Command::new("curl").args(["-q", "-sS", "--max-time", "20"]), words)
    }

    fn prober(&self, words: &[&str]) -> (Said, Vec<Got>) {
        self.run(harness::command("prober").args(["-n", "1", "--quiet"]), words)
    }

    fn run(&self, command: &mut Command, words: &[&str]) -> (Said, Vec<Got>) {
        let url = self.recorder.url("/a/b?c=d");
        command.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
        let said = with_input(command.args(words).arg(&url), self.folder.path(), INPUT);
        (said, self.recorder.take())
    }

    /// Asserts that curl sends one request, and that prober refuses the words.
    #[track_caller]
    fn only_curl(&self, words: &[&str], parts: &[&str]) -> (Said, Got) {
        let (said, got) = self.curl(words);
        assert_eq!((said.code, got.len()), (0, 1), "curl {words:?}: {said:?}");
        self.refused(words, parts);
        (said, got[0].clone())
    }

    #[track_caller]
    fn refused(&self, words: &[&str], parts: &[&str]) {
        let (said, got) = self.prober(words);
        said.refused(parts);
        assert!(got.is_empty(), "{words:?} was sent: {got:?}");
    }
}

impl Got {
    fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.as_str())
    }
}

/// What both programs read from stdin.
const INPUT: &str = "from\nstdin: 1\n";

/// Words that mean the same to both.
#[rustfmt::skip]
const SAME: &[&[&str]] = &[
    &[],
    // Headers: own ones, replaced, removed, empty, from files.
    &["-H", "X-A: 1"],
    &["-H", "X-A:1"],
    &["-H", "X-A:   1  "],
    &["-H", "X-A: 1", "-H", "X-A: 2"],
    &["--header", "X-A: a;b:c"],
    &["-H", "X-Empty;"],
    &["-H", "X-Nothing:"],
    &["-H", "X-A: 1", "-H", "X-A:"],
    &["-H", "User-Agent: me"],
    &["-H", "user-agent:"],
    &["-H", "User-Agent;"],
    &["-H", "Accept:"],
    &["-H", "Accept;"],
    &["-H", "Accept: text/plain"],
    &["-H", "Accept:", "-H", "Accept: b"],
    &["-H", "Host: other:81"],
    &["-H", "Host:"],
    &["-H", "X-Value: ü"],
    &["-H", "@headers"],
    &["-H", "@empty"],
    &["-H", "X-Zero: 0", "-H", "@headers"],
    &["-H", "@headers", "-H", "X-One: again"],
    // Methods.
    &["-X", "PUT"],
    &["--request", "DELETE"],
    &["-X", "brew"],
    &["-X", "OPTIONS"],
    // Bodies.
    &["--data", "a=1"],
    &["--data", ""],
    &["--data", "a=1", "--data", "b=2"],
    &["--data", "ü\r\n\t"],
    &["--data", "-a"],
    &["--data", "@text"],
    &["--data", "@bytes"],
    &["--data", "@empty"],
    &["--data", "@-"],
    &["--data-binary", "@text"],
    &["--data-binary", "@bytes"],
    &["--data-binary", "@nulls"],
    &["--data-binary", "@-"],
    &["--data-binary", "a\n"],
    &["--data-binary", "@text", "--data", "@text", "--data", "x", "--data-binary", "@bytes"],
    &["--data", "x", "--data", "@empty", "--data", "y"],
    &["--data", "", "--data", "x"],
    &["--data-binary", "@mib"],
    &["--data", "@mib"],
    &["-X", "PATCH", "--data", "x"],
    &["--data", "{}", "-H", "Content-Type: application/json"],
    &["--data", "x", "-H", "Content-Type:"],
    &["--data", "x", "-H", "content-type;"],
    // Limits.
    &["-m", "0"],
    &["--max-time", "0", "--connect-timeout", "0"],
    &["-m", "2.5", "--connect-timeout", "1.5"],
    &["--http1.1"],
    &["-4"],
    &["-k"],
    // Where connections start, and with what.
    &["--interface", "lo"],
    &["--interface", "if!lo"],
    &["--interface", "127.0.0.7"],
    &["--interface", "host!127.0.0.8"],
    &["--interface", "localhost"],
    &["--haproxy-protocol"],
    &["--haproxy-protocol", "--interface", "127.0.0.7"],
];

#[test]
fn what_both_know_is_sent_as_curl_sends_it() {
    let both = Both::new();
    let mut differences = Vec::new();
    for words in SAME {
        let (by_curl, expected) = both.curl(words);
        assert_eq!((by_curl.code, expected.len()), (0, 1), "{words:?}: {by_curl:?}");
        let (by_prober, got) = both.prober(words);
        // The ports of the connections differ.
        let ports =
            |got: &[Got]| got[0].proxy.clone().map(|line| line.replace(char::is_numeric, ""));
        let strip = |got: &[Got]| Got { proxy: ports(got), ..got[0].clone() };
        if by_prober.code != 0 || got.len() != 1 || strip(&got) != strip(&expected) {
            differences.push(format!("{words:?}:\n{expected:?}\n{got:?}\n{by_prober:?}"));
        }
    }
    assert!(differences.is_empty(), "{}", differences.join("\n"));
}

#[test]
fn what_curl_refuses_is_refused_in_one_line() {
    let both = Both::new();
    for (words, parts) in [
        (&["-m", "x"][..], &["--max-time 'x'"][..]),
        (&["--max-time", "-1"], &["--max-time"]),
        (&["--interface", "if!nope"], &["--interface 'nope'", "no such network interface"]),
        (&["--interface", "if!127.0.0.1"], &["--interface '127.0.0.1'"]),
        (
            &["--interface", "192.0.2.99"],
            &["no network interface of this machine has this address"],
        ),
        (&["--interface", "host!nope.invalid"], &["--interface 'nope.invalid'"]),
        (&["--resolve", "a:80:[fe80::1%lo]"], &["is not an IP address"]),
    ] {
        let (said, got) = both.curl(words);
        assert!(said.code != 0 && got.is_empty(), "curl {words:?}: {said:?}");
        both.refused(words, parts);
    }
}

#[track_caller]
fn helps(parts: &[&str]) {
    let help = harness::run("prober", ["--help"]).stdout;
    let help = help.split_whitespace().collect::<Vec<_>>().join(" ");
    for part in parts {
        assert!(help.contains(part), "{part}: {help}");
    }
}

type Check = fn(&Both);

/// The rows of the first table of `docs/curl.md`, and what shows that each is true.
const DIFFERENCES: &[(&str, Check)] = &[
    ("`-d`", |both| {
        let (_, got) = both.curl(&["-d", "a=1"]);
        assert_eq!(got[0].body, b"a=1");
        harness::run("prober", ["a", "-d", "a=1"]).refused(&["write --data 'a=1'"]);
    }),
    ("no `-m`", |_| {
        helps(&["0 means no limit [default: 15s]"]);
    }),
    ("no `--connect-timeout`", |_| {
        helps(&["0 means 5m [default: 5s]"]);
    }),
    ("`http_proxy`, `https_proxy`, `all_proxy`", |_| {}),
    ("a redirect", |both| {
        let redirect =
            Server::start(crate::servers::answering(response("302 Found", "location: /b\r\n", "")));
        let url = format!("http://{}/", redirect.target());
        assert_eq!(both.curl(&["--fail", &url]).0.code, 0);
        let (said, _) = both.prober(&[&url]);
        assert!(said.code == 1 && said.stdout.contains("/b"), "{said:?}");
    }),
    ("`-H NAME` without a colon", |both| {
        let (_, got) = both.only_curl(&["-H", "X-A"], &["-H 'X-A': the colon is missing"]);
        assert_eq!(got.header("x-a"), None);
        both.refused(&["-H", "@colonless"], &["-H @colonless:3 'X-Two': the colon is missing"]);
        both.refused(&["-H", "@-"], &["-H @stdin:1 'from'"]);
    }),
    ("`-H 'NAME; TEXT'`", |both| {
        let (_, got) = both.only_curl(&["-H", "X-A; b"], &["-H 'X-A; b': the colon is missing"]);
        assert_eq!(got.header("x-a"), None);
    }),
    ("`-H` with a name that HTTP does not allow", |both| {
        both.only_curl(&["-H", "X-Ü: 1"], &["is not a header name"]);
    }),
    ("`-H @FILE`, but there is no such file", |both| {
        both.only_curl(&["-H", "@none"], &["cannot read -H @none: No such file"]);
    }),
    ("`-H 'Content-Length: N'` with `--data`", |both| {
        let words = ["--data", "a", "-H", "Content-Length: 1"];
        both.only_curl(&words, &["--data sets the length of the body itself; remove this header"]);
    }),
    ("`--data @FILE`, but there is no such file", |both| {
        let (_, got) = both.only_curl(&["--data", "@none"], &["cannot read --data @none: No such"]);
        assert!(got.body.is_empty());
        both.refused(&["--data-binary", "@none"], &["cannot read --data-binary @none: No such"]);
    }),
    ("`--data @FILE` with null bytes", |both| {
        let (_, got) = both.prober(&["--data", "@nulls"]);
        assert_eq!(got[0].body, b"\x01");
    }),
    ("`@-` twice", |both| {
        let words = ["--data", "@-", "--data-binary", "@-"];
        let (_, got) = both.only_curl(&words, &["--data and --data-binary both read stdin"]);
        assert_eq!(got.body, b"fromstdin: 1&");
        both.refused(&["-H", "@-", "--data", "@-"], &["-H and --data both read stdin"]);
    }),
    ("a body of more than 1 MiB", |both| {
        let (_, got) = both.only_curl(&["--data-binary", "@more"], &["send at most 1 MiB"]);
        assert_eq!(got.header("expect"), Some("100-continue"));
        both.refused(&["--data", "@mib", "--data", "x"], &["send at most 1 MiB"]);
        both.refused(&["--data", "@/dev/zero"], &["--data @/dev/zero: the file is too long"]);
    }),
    ("`-X` with a space or a number", |both| {
        let (_, got) = both.only_curl(&["-X", "A B"], &["is not an HTTP method"]);
        assert!(got.request_line.starts_with("A B /"), "{got:?}");
        both.only_curl(&["-X", "5"], &["for 5 requests write -n 5"]);
    }),
    ("`[ADDRESS%25ZONE]` in `--connect-to`", |both| {
        let to = format!("::[::1%25lo]:{}", both.recorder.server.port());
        assert_eq!(both.curl(&["--connect-to", &to]).0.code, 6);
        let (said, _) = both.prober(&["--connect-to", &to]);
        assert!(said.code == 1 && said.stdout.contains("[::1%"), "it connects: {said:?}");
    }),
    ("a zone that does not exist here", |both| {
        let (said, _) = both.curl(&["http://[::1%25nope]:1/"]);
        assert!(said.stderr.contains("connect to ::1 port 1"), "{said:?}");
        both.refused(&["http://[::1%25nope]:1/"], &["zone 'nope'", "no such network interface"]);
    }),
    ("`--interface` that does not exist here", |both| {
        assert_eq!(both.curl(&["--interface", "nope.invalid"]).0.code, 45);
        both.refused(&["--interface", "nope.invalid"], &["neither a network interface"]);
    }),
    ("`--interface ''`", |both| {
        both.only_curl(&["--interface", ""], &["--interface ''", "write an interface"]);
    }),
    ("`--haproxy-protocol=v2`", |both| {
        assert_eq!(both.curl(&["--haproxy-protocol=v2"]).0.code, 2);
        let (said, _) = both.prober(&["--haproxy-protocol=v3"]);
        said.refused(&["write one of v1, v2"]);
    }),
];

/// The rows after them, which the tests of their topics show: the file and the function.
#[rustfmt::skip]
const ELSEWHERE: &[(&str, &str, &str)] = &[
    ("`http:/host`, `http:///host`, `http//host`", "urls_vs_curl", "a_target_with_a_slash_too_few_or_too_many_is_refused_with_the_right_form"),
    ("`{a,b}` and `[1-9]` in a URL", "urls_vs_curl", "a_path_is_sent_as_curl_sends_it"),
    ("a path with `<` or `>`, over HTTP/2", "urls_vs_curl", "a_target_with_a_slash_too_few_or_too_many_is_refused_with_the_right_form"),
    ("`-H 'Host:' -H 'Host: a' -H 'Host: b'`", "urls_vs_curl", "headers_are_sent_as_curl_sends_them"),
    ("`--cert FILE:PASSWORD`", "tls_client", "a_pass_phrase_is_never_printed"),
    ("a key with PBE-SHA1-3DES or Camellia", "tls_client", "files_that_do_not_fit_are_refused"),
    ("`--tls-max 1.0`, `1.1`", "tls_words", "versions_and_suites_that_are_not_in_common_are_named"),
    ("CBC suites, RSA key exchange", "tls_words", "versions_and_suites_that_are_not_in_common_are_named"),
    ("name constraints with an X.509 v1 certificate, a CA as server, or more than 6 issuers", "tls_words", "what_issuers_allow_is_obeyed"),
    ("a fresh connection after another one", "tls_session", "sessions_are_resumed_only_if_asked_and_each_handshake_is_counted"),
    ("an address that did not accept", "eyeballs", "a_silent_address_costs_the_first_connections_a_quarter_of_a_second_and_others_nothing"),
];

/// The rows of a table under this heading: their cells.
fn table(heading: &str) -> Vec<Vec<String>> {
    let text = std::fs::read_to_string(harness::workspace().join("docs/curl.md")).expect("a page");
    let (_, rest) = text.split_once(&format!("\n## {heading}\n")).expect("the heading");
    let rest = rest.split("\n## ").next().expect("a section");
    let rows = rest.lines().filter(|line| line.starts_with('|')).skip(2);
    let cells =
        |row: &str| row.trim_matches('|').split('|').map(|cell| cell.trim().to_owned()).collect();
    rows.map(cells).collect()
}

#[test]
fn each_difference_in_the_documentation_is_one() {
    let documented: Vec<_> = table("Differences").into_iter().map(|row| row[0].clone()).collect();
    let elsewhere = ELSEWHERE.iter().map(|(name, ..)| *name);
    let tested: Vec<_> = DIFFERENCES.iter().map(|(name, _)| *name).chain(elsewhere).collect();
    assert_eq!(documented, tested, "each row of the page has a test, in this order");
    for (name, file, function) in ELSEWHERE {
        let path = harness::workspace().join(format!("tests/prober/{file}.rs"));
        let text = std::fs::read_to_string(path).expect("a file of tests");
        assert!(text.contains(&format!("#[test]\nfn {function}()")), "{name}: {file}: {function}");
    }
    let both = Both::new();
    for (name, check) in DIFFERENCES {
        println!("{name}");
        check(&both);
    }
}

#[test]
fn each_flag_that_is_not_there_is_told_with_what_to_write() {
    let rows = table("Flags that prober does not have");
    assert!(rows.len() > 10, "{rows:?}");
    for row in rows {
        for flag in row[0].split(", ").map(|flag| flag.trim_matches('`')) {
            let said = harness::run("prober", ["echo2:8080", flag]);
            said.refused(&[&format!("prober has no {flag}; ")]);
        }
    }
}

/// curl and prober with these variables, to a host that does not exist: whether curl asked the proxy, and
/// what prober noted.
fn with_proxy(recorder: &Recorder, variables: &[(&str, &str)], url: &str) -> (bool, Said) {
    let proxy = format!("http://{}", recorder.server.target());
    let run = |command: &mut Command, words: &[&str]| {
        command.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
        for (name, value) in variables {
            command.env(name, value.replace("PROXY", &proxy));
        }
        harness::finish(command.args(words).arg(url))
    };
    run(&mut Command::new("curl"), &["-q", "-sS", "--max-time", "5", "-k"]);
    let asked = !recorder.take().is_empty();
    (asked, run(&mut harness::command("prober"), &["-n", "1", "-m", "5", "-o", "json"]))
}

#[test]
fn a_proxy_that_curl_would_use_is_named_once() {
    let recorder = Recorder::start();
    let p = "PROXY";
    for (variables, url) in [
        (&[("http_proxy", p)][..], "http://127.0.0.1:1/"),
        (&[("HTTP_PROXY", p)], "http://127.0.0.1:1/"),
        (&[("HTTPS_PROXY", p)], "http://127.0.0.1:1/"),
        (&[("HTTPS_PROXY", p)], "https://127.0.0.1:1/"),
        (&[("https_proxy", p)], "https://127.0.0.1:1/"),
        (&[("ALL_PROXY", p)], "http://127.0.0.1:1/"),
        (&[("all_proxy", p)], "https://127.0.0.1:1/"),
        (&[("http_proxy", "")], "http://127.0.0.1:1/"),
        (&[("http_proxy", p), ("NO_PROXY", "*")], "http://127.0.0.1:1/"),
        (&[("http_proxy", p), ("NO_PROXY", "10.0.0.1,127.0.0.1")], "http://127.0.0.1:1/"),
        (&[("http_proxy", p), ("NO_PROXY", "127.0.0.0/8")], "http://127.0.0.1:1/"),
        (&[("http_proxy", p), ("NO_PROXY", "128.0.0.0/8")], "http://127.0.0.1:1/"),
        (&[("http_proxy", p), ("no_proxy", "x"), ("NO_PROXY", "*")], "http://127.0.0.1:1/"),
        (&[("http_proxy", p), ("NO_PROXY", ".localhost")], "http://a.LOCALHOST:1/"),
        (&[("http_proxy", p), ("NO_PROXY", "ocalhost")], "http://localhost:1/"),
        (&[("http_proxy", p), ("NO_PROXY", "::1")], "http://[::1]:1/"),
    ] {
        let (asked, said) = with_proxy(&recorder, variables, url);
        let notes: Vec<_> =
            said.stderr.lines().filter(|line| line.contains("use proxies")).collect();
        assert_eq!(notes.len(), usize::from(asked), "{variables:?} {url}: {said:?}");
        if let Some(note) = notes.first() {
            let (name, _) = variables[0];
            assert!(
                note.starts_with(&format!("prober: {name} is set")) && note.contains(url),
                "{note}"
            );
        }
        let report: serde_json::Value = serde_json::from_str(&said.stdout).expect("JSON alone");
        assert_eq!(report["schema"], "prober/1");
    }
    assert!(recorder.take().is_empty(), "prober asks no proxy");
    let mut quiet = harness::command("prober");
    quiet.env("http_proxy", "http://p:1").args([
        "-n",
        "1",
        "--quiet",
        "127.0.0.1:1",
        "127.0.0.1:2",
    ]);
    assert_eq!(harness::finish(&mut quiet).stderr, "");
    let mut two = harness::command("prober");
    two.env("http_proxy", "http://p:1").args(["-n", "1", "127.0.0.1:1", "127.0.0.1:2"]);
    assert_eq!(harness::finish(&mut two).stderr.matches("use proxies").count(), 1);
}

/// A server that answers each request without reading its body, where the system holds little of it.
const UNREAD: &str = "set -e
    ip link set lo up
    echo '4096 4096 4096' > /proc/sys/net/ipv4/tcp_wmem
    echo '4096 4096 4096' > /proc/sys/net/ipv4/tcp_rmem
    python3 -c '
import socket
server, kept = socket.create_server((\"127.0.0.1\", 8080)), []
while True:
    connection, head = server.accept()[0], b\"\"
    kept.append(connection)
    while not head.endswith(b\"\\r\\n\\r\\n\"):
        byte = connection.recv(1)
        if not byte: break
        head += byte
    connection.sendall(b\"HTTP/1.1 413 Too Large\\r\\ncontent-length: 9\\r\\n\\r\\ntoo large\")
' &
    tries=0
    until curl -q -s -o /dev/null http://127.0.0.1:8080/; do
        tries=$((tries + 1)); test $tries -lt 300; sleep 0.05
    done
    exec \"$0\" -n 3 -c 1 --quiet -o json -m 5 --reuse always --data-binary @mib 127.0.0.1:8080";

#[test]
fn an_answer_before_the_end_of_a_body_is_read() {
    let (own, folder) = (own_network(), files());
    let mut shell = Command::new(own[0]);
    shell.current_dir(folder.path()).args(&own[1..]).args(["sh", "-c", UNREAD]);
    let said = harness::finish(shell.arg(harness::bin("prober")));
    let report: serde_json::Value =
        serde_json::from_str(&said.stdout).unwrap_or_else(|_| panic!("{said:?}"));
    let row = &report["rows"][0];
    assert_eq!(
        (&row["failures"][0]["kind"], &row["failures"][0]["count"]),
        (&"status".into(), &3.into()),
        "{row}"
    );
    assert_eq!(
        row["connections"], 3,
        "a connection with half a request on it is not used again: {row}"
    );
}

#[test]
fn without_a_limit_a_slow_answer_counts() {
    let server = Server::start(|mut stream, _| {
        crate::servers::read_head(&stream);
        std::thread::sleep(std::time::Duration::from_millis(300));
        let _ = stream.write_all(response("200 OK", "", &line("p", "kops")).as_bytes());
        linger(&stream);
    });
    let target = server.target();
    assert_eq!(harness::run("prober", ["-n", "1", "-m", "0.1", &target]).code, 1);
    for limit in ["0", "0s", "0ms"] {
        let said = harness::run("prober", ["-n", "1", "-m", limit, "--connect-timeout=0", &target]);
        assert_eq!(said.code, 0, "{said:?}");
    }
}

#[test]
fn a_matrix_is_read_from_stdin() {
    let echo = Server::start(crate::servers::text_echo("a", "kops"));
    let folder = files();
    let read = |input: &str| {
        with_input(
            harness::command("prober").args(["matrix", "-", "-o", "json", "--quiet"]),
            folder.path(),
            input,
        )
    };
    let said = read(&format!("targets:\n- {{url: '{}', requests: 3}}\n", echo.target()));
    let report: serde_json::Value = serde_json::from_str(&said.stdout).expect("a report");
    assert_eq!((said.code, &report["rows"][0]["answers"]), (0, &3.into()), "{said:?}");
    read("targets:\n- {url: a, requestz: 3}\n").refused(&["stdin:2: unknown key 'requestz'"]);
    read("").refused(&["stdin:1"]);
    read("targets:\n- {url: a, data: '@-'}\n")
        .refused(&["stdin:2", "only a plain run reads files"]);
    read("targets:\n- {url: a, headers: ['@f']}\n")
        .refused(&["stdin:2", "only a plain run reads files"]);
}

/// A network of its own, with link-local addresses on two interfaces, where echo listens. Prints what each
/// program gets for each of the words.
const LINK_LOCAL: &str = "set -e
    ip link set lo up
    ip addr add fe80::1/64 dev lo
    \"$1\" --host :: --cluster kops --pod p >/dev/null 2>&1 &
    tries=0
    until curl -q -sg -o /dev/null 'http://[::1]:8080/'; do
        tries=$((tries + 1)); test $tries -lt 300; sleep 0.05
    done
    json='Accept: application/json'
    ask() {
        curl -q -sg -m 5 -H \"$json\" \"$@\" || true
        echo
        \"$0\" -n 1 --show 1 -m 5 -H \"$json\" \"$@\" | grep -o '{.*' || true
        echo
    }
    ask 'http://[fe80::1%25lo]:8080/x'
    ask 'http://[fe80::1%lo]:8080/x'
    ask 'http://[fe80::1%251]:8080/x'
    ask 'http://a/x' --connect-to 'a:80:[fe80::1%lo]:8080'
    ask 'http://[fe80::9%25lo]/x' --connect-to '[fe80::9]:80:[fe80::1]:8080'
    ask 'http://[fe80::1%25lo]:8080/x' --interface lo
    ask 'http://[fe80::1%25lo]:8080/x' --interface 'if!lo'
    ask 'http://[::1]:8080/x' --interface ::1
    ask 'http://127.0.0.1:8080/x' --interface 127.0.0.9
    \"$0\" -n 1 'http://[fe80::1]:8080/' 2>/dev/null || true";

#[test]
fn the_zone_of_an_address_reaches_the_socket_and_is_not_sent() {
    let own = own_network();
    let mut shell = Command::new(own[0]);
    shell.args(&own[1..]).args(["sh", "-c", LINK_LOCAL]);
    let said = harness::finish(shell.arg(harness::bin("prober")).arg(harness::bin("echo")));
    assert_eq!(said.code, 0, "{said:?}");
    let replies: Vec<serde_json::Value> =
        said.stdout.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    assert_eq!(replies.len(), 18, "{said:?}");
    let facts = |reply: &serde_json::Value| {
        let peer =
            reply["peer"].as_str().expect("a peer").rsplit_once(':').expect("a port").0.to_owned();
        (reply["url"].clone(), reply["headers"]["host"].clone(), peer)
    };
    for pair in replies.chunks(2) {
        assert_eq!(facts(&pair[0]), facts(&pair[1]), "curl and prober");
    }
    assert_eq!(replies[1]["url"], "http://[fe80::1]:8080/x");
    assert!(
        replies[17]["peer"].as_str().is_some_and(|peer| peer.contains("127.0.0.9")),
        "{said:?}"
    );
    assert!(said.stdout.contains("a link-local address needs its network interface"), "{said:?}");
}
