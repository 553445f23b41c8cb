//! `--resolve` and `--connect-to` against the real curl, spec by spec: the same
//! flags and URL, the same servers on loopback, and who answered is compared.
//! Where prober is stricter on purpose stands in a table of its own.

use std::fmt;
use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::process::Command;
use std::sync::OnceLock;
use std::time::Duration;

use ::prober::Overrides;
use ::prober::{Family, Names, NamesConfig};
use echo_reply::{Identity, TextLine};
use reqwest::Url;

use crate::harness;

/// What a program made of its flags and URL.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Outcome {
    /// This server, `ADDRESS@PORT`, answered.
    Answer(String),
    /// The flags were refused.
    Refused,
    /// The name was looked up as usual, and not found.
    NotFound,
    /// No address could be connected to.
    NoConnection,
}

/// Ways to run the same case. To compare one more, add its function.
type Runner = fn(&[String], &Url) -> Outcome;
const RUNNERS: &[(&str, Runner)] = &[("curl", curl), ("Overrides", overrides), ("prober", prober)];

/// `P` and `Q` stand for the two ports. Servers answer on both, at 127.0.0.1,
/// 127.0.0.2, 127.0.0.3 and ::1; nobody does at 127.0.0.9.
///
/// Not here, since curl does not go down its list there: addresses of both
/// families of which the first is dead. curl then tries the rest of the first
/// one's family, and races the other family (happy eyeballs).
#[rustfmt::skip]
const CASES: &[(&[&str], &str, &str)] = &[
    // The forms of an address.
    (&["--resolve", "echo.invalid:P:127.0.0.2"], "http://echo.invalid:P/", "127.0.0.2@P"),
    (&["--resolve", "echo.invalid:P:[::1]"], "http://echo.invalid:P/", "::1@P"),
    (&["--resolve", "echo.invalid:P:::1"], "http://echo.invalid:P/", "::1@P"),
    (&["--resolve", "echo.invalid:P:[127.0.0.2]"], "http://echo.invalid:P/", "127.0.0.2@P"),
    // Lists of addresses.
    (&["--resolve", "echo.invalid:P:127.0.0.3,127.0.0.2"], "http://echo.invalid:P/", "127.0.0.3@P"),
    (&["--resolve", "echo.invalid:P:127.0.0.9,127.0.0.3"], "http://echo.invalid:P/", "127.0.0.3@P"),
    (&["--resolve", "echo.invalid:P:127.0.0.3,[::1]"], "http://echo.invalid:P/", "127.0.0.3@P"),
    (&["--resolve", "echo.invalid:P:[::1],127.0.0.3"], "http://echo.invalid:P/", "::1@P"),
    (&["--resolve", "echo.invalid:P:,127.0.0.2,,"], "http://echo.invalid:P/", "127.0.0.2@P"),
    (&["--resolve", "echo.invalid:P:127.0.0.9"], "http://echo.invalid:P/", "no connection"),
    // Which host and port a rule is for.
    (&["--resolve", "ECHO.invalid:P:127.0.0.2"], "http://eChO.invalid:P/", "127.0.0.2@P"),
    (&["--resolve", "echo.invalid:Q:127.0.0.2"], "http://echo.invalid:P/", "not found"),
    (&["--resolve", "echo.invalid:0P:127.0.0.2"], "http://echo.invalid:P/", "127.0.0.2@P"),
    (&["--resolve", "echo.invalid.:P:127.0.0.2"], "http://echo.invalid.:P/", "127.0.0.2@P"),
    (&["--resolve", "echo.invalid:P:127.0.0.2"], "http://echo.invalid.:P/", "not found"),
    (&["--resolve", "echo.invalid.:P:127.0.0.2"], "http://echo.invalid:P/", "not found"),
    (&["--resolve", "localhost:P:127.0.0.2"], "http://localhost:P/", "127.0.0.2@P"),
    (&["--resolve", "127.0.0.3:P:127.0.0.2"], "http://127.0.0.3:P/", "127.0.0.2@P"),
    (&["--resolve", "127.0.0.2:P:127.0.0.1"], "http://127.0.0.3:P/", "127.0.0.3@P"),
    // The wildcard.
    (&["--resolve", "*:P:127.0.0.2"], "http://any.invalid:P/", "127.0.0.2@P"),
    (&["--resolve", "*:P:127.0.0.2"], "http://127.0.0.3:P/", "127.0.0.2@P"),
    (&["--resolve", "*:P:127.0.0.2"], "http://[::1]:P/", "127.0.0.2@P"),
    (&["--resolve", "*:P:127.0.0.2"], "http://127.0.0.3:Q/", "127.0.0.3@Q"),
    (&["--resolve", "*:P:127.0.0.2", "--resolve", "echo.invalid:P:127.0.0.3"], "http://echo.invalid:P/", "127.0.0.3@P"),
    (&["--resolve", "echo.invalid:P:127.0.0.3", "--resolve", "*:P:127.0.0.2"], "http://echo.invalid:P/", "127.0.0.3@P"),
    // Several flags: later ones win, `+` changes nothing, `-` removes.
    (&["--resolve", "echo.invalid:P:127.0.0.2", "--resolve", "Echo.invalid:P:127.0.0.3"], "http://echo.invalid:P/", "127.0.0.3@P"),
    (&["--resolve", "+echo.invalid:P:127.0.0.2"], "http://echo.invalid:P/", "127.0.0.2@P"),
    (&["--resolve", "echo.invalid:P:127.0.0.2", "--resolve", "+echo.invalid:P:127.0.0.3"], "http://echo.invalid:P/", "127.0.0.3@P"),
    (&["--resolve", "echo.invalid:P:127.0.0.2", "--resolve", "-echo.invalid:P"], "http://echo.invalid:P/", "not found"),
    (&["--resolve", "-echo.invalid:P", "--resolve", "echo.invalid:P:127.0.0.2"], "http://echo.invalid:P/", "127.0.0.2@P"),
    (&["--resolve", "*:P:127.0.0.3", "--resolve", "127.0.0.1:P:127.0.0.2", "--resolve", "-127.0.0.1:P"], "http://127.0.0.1:P/", "127.0.0.3@P"),
    (&["--resolve", "*:P:127.0.0.2", "--resolve", "-*:P"], "http://127.0.0.3:P/", "127.0.0.3@P"),
    (&["--resolve", "-unheard.of:P"], "http://127.0.0.3:P/", "127.0.0.3@P"),
    // Families.
    (&["-4", "--resolve", "echo.invalid:P:[::1],127.0.0.3"], "http://echo.invalid:P/", "127.0.0.3@P"),
    (&["-6", "--resolve", "echo.invalid:P:127.0.0.3,[::1]"], "http://echo.invalid:P/", "::1@P"),
    (&["-6", "--resolve", "echo.invalid:P:127.0.0.3"], "http://echo.invalid:P/", "not found"),
    (&["-6", "--resolve", "localhost:P:127.0.0.3"], "http://localhost:P/", "::1@P"),
    (&["-4"], "http://localhost:P/", "127.0.0.1@P"),
    (&["-6"], "http://localhost:P/", "::1@P"),
    // What both refuse.
    (&["--resolve", ""], "http://127.0.0.1:P/", "refused"),
    (&["--resolve", "echo.invalid"], "http://127.0.0.1:P/", "refused"),
    (&["--resolve", "echo.invalid:P"], "http://127.0.0.1:P/", "refused"),
    (&["--resolve", "echo.invalid:P:"], "http://127.0.0.1:P/", "refused"),
    (&["--resolve", "echo.invalid:P:,,"], "http://127.0.0.1:P/", "refused"),
    (&["--resolve", "echo.invalid:127.0.0.2"], "http://127.0.0.1:P/", "refused"),
    (&["--resolve", "echo.invalid:http:127.0.0.2"], "http://127.0.0.1:P/", "refused"),
    (&["--resolve", "echo.invalid:65536:127.0.0.2"], "http://127.0.0.1:P/", "refused"),
    (&["--resolve", "echo.invalid:P:name.invalid"], "http://127.0.0.1:P/", "refused"),
    (&["--resolve", "echo.invalid:P:127.1"], "http://127.0.0.1:P/", "refused"),
    (&["--resolve", "echo.invalid:P:127.0.0.2,name"], "http://127.0.0.1:P/", "refused"),
    (&["--resolve", "echo.invalid:P:[::1"], "http://127.0.0.1:P/", "refused"),
    (&["--resolve", "echo.invalid:P:::1]"], "http://127.0.0.1:P/", "refused"),
    (&["--resolve", "echo.invalid:P: 127.0.0.2"], "http://127.0.0.1:P/", "refused"),
    (&["--resolve", "echo.invalid:P:127.0.0.2 "], "http://127.0.0.1:P/", "refused"),
    (&["--resolve", "echo.invalid:P:+127.0.0.2"], "http://127.0.0.1:P/", "refused"),
    (&["--resolve", "echo.invalid:P:127.0.0.2:5"], "http://127.0.0.1:P/", "refused"),
    (&["--resolve", "echo.invalid:P:127.0.0.02"], "http://127.0.0.1:P/", "refused"),
    (&["--resolve", "echo.invalid:P:0x7f.1"], "http://127.0.0.1:P/", "refused"),
    (&["--resolve", "echo.invalid:P:fe80::1%lo"], "http://127.0.0.1:P/", "refused"),
    (&["--resolve", "echo.invalid:P:[fe80::1%lo]"], "http://127.0.0.1:P/", "refused"),
    (&["--resolve", "echo.invalid:1e3:127.0.0.2"], "http://127.0.0.1:P/", "refused"),
    (&["--resolve", "echo.invalid:-1:127.0.0.2"], "http://127.0.0.1:P/", "refused"),
    (&["--resolve", "+"], "http://127.0.0.1:P/", "refused"),
    (&["--resolve", "++"], "http://127.0.0.1:P/", "refused"),
    (&["--connect-to", "127.0.0.1:P:127.0.0.2:Q:"], "http://127.0.0.1:P/", "refused"),
    (&["--connect-to", "127.0.0.1:P:127.0.0.2:-1"], "http://127.0.0.1:P/", "refused"),
    (&["--connect-to", "::::"], "http://127.0.0.1:P/", "refused"),
    (&["--resolve", "[::1]:P:127.0.0.2"], "http://[::1]:P/", "refused"),
    (&["--resolve", "::1:P:127.0.0.2"], "http://[::1]:P/", "refused"),
    (&["--connect-to", "echo.invalid:P:::1:Q"], "http://echo.invalid:P/", "refused"),
    (&["--connect-to", "::1:P:127.0.0.2:"], "http://[::1]:P/", "refused"),
    (&["--connect-to", "echo.invalid:P:127.0.0.2:65536"], "http://echo.invalid:P/", "refused"),
    (&["--connect-to", "echo.invalid:P:127.0.0.2:http"], "http://echo.invalid:P/", "refused"),
    (&["--connect-to", "echo.invalid:P:127.0.0.2:P:1"], "http://echo.invalid:P/", "refused"),
    // --connect-to: forms and empty parts.
    (&["--connect-to", "echo.invalid:P:127.0.0.2:Q"], "http://echo.invalid:P/", "127.0.0.2@Q"),
    (&["--connect-to", "echo.invalid:P:[::1]:Q"], "http://echo.invalid:P/", "::1@Q"),
    (&["--connect-to", "echo.invalid:P:[::1]"], "http://echo.invalid:P/", "::1@P"),
    (&["--connect-to", "echo.invalid:P:127.0.0.2:"], "http://echo.invalid:P/", "127.0.0.2@P"),
    (&["--connect-to", "echo.invalid:P:127.0.0.2"], "http://echo.invalid:P/", "127.0.0.2@P"),
    (&["--connect-to", "127.0.0.3:P::Q"], "http://127.0.0.3:P/", "127.0.0.3@Q"),
    (&["--connect-to", "::127.0.0.2:Q"], "http://echo.invalid:P/", "127.0.0.2@Q"),
    (&["--connect-to", ":P:127.0.0.2:"], "http://echo.invalid:P/", "127.0.0.2@P"),
    (&["--connect-to", "echo.invalid::127.0.0.2:"], "http://echo.invalid:P/", "127.0.0.2@P"),
    (&["--connect-to", "127.0.0.3:P:127.0.0.2:"], "http://127.0.0.3:P/", "127.0.0.2@P"),
    (&["--connect-to", "[::1]:P:127.0.0.2:"], "http://[::1]:P/", "127.0.0.2@P"),
    // --connect-to: which rule.
    (&["--connect-to", "ECHO.invalid:P:127.0.0.2:"], "http://echo.invalid:P/", "127.0.0.2@P"),
    (&["--connect-to", "echo.invalid:Q:127.0.0.2:"], "http://127.0.0.3:P/", "127.0.0.3@P"),
    (&["--connect-to", "127.0.0.3.:P:127.0.0.2:"], "http://127.0.0.3:P/", "127.0.0.3@P"),
    (&["--connect-to", "echo.invalid:P:127.0.0.2:", "--connect-to", "echo.invalid:P:127.0.0.3:"], "http://echo.invalid:P/", "127.0.0.2@P"),
    (&["--connect-to", "echo.invalid:P::", "--connect-to", "echo.invalid:P:127.0.0.3:"], "http://echo.invalid:P/", "127.0.0.3@P"),
    (&["--connect-to", "echo.invalid:P:127.0.0.2:Q", "--connect-to", "127.0.0.2:Q:127.0.0.3:P"], "http://echo.invalid:P/", "127.0.0.2@Q"),
    // Both flags: --resolve sees what --connect-to makes of the URL.
    (&["--connect-to", "a.invalid:P:b.invalid:Q", "--resolve", "b.invalid:Q:127.0.0.3"], "http://a.invalid:P/", "127.0.0.3@Q"),
    (&["--connect-to", "127.0.0.1:P::Q", "--resolve", "127.0.0.1:Q:127.0.0.3"], "http://127.0.0.1:P/", "127.0.0.3@Q"),
    (&["--connect-to", "127.0.0.1:P::Q", "--resolve", "127.0.0.1:P:127.0.0.3"], "http://127.0.0.1:P/", "127.0.0.1@Q"),
    (&["--connect-to", "a.invalid:P:127.0.0.2:Q", "--resolve", "*:Q:127.0.0.3"], "http://a.invalid:P/", "127.0.0.3@Q"),
    (&["--connect-to", "a.invalid:P:[::1]:Q", "--resolve", "*:Q:127.0.0.3"], "http://a.invalid:P/", "127.0.0.3@Q"),
];

/// Values that prober refuses, and what curl 7.88 makes of them. It only takes
/// them at their word: none can have been meant.
#[rustfmt::skip]
const STRICTER: &[(&[&str], &str, &str)] = &[
    // No host: a rule for nobody.
    (&["--resolve", ":P:127.0.0.2"], "http://127.0.0.3:P/", "127.0.0.3@P"),
    // Port 0: nobody can be there.
    (&["--resolve", "echo.invalid:0:127.0.0.2"], "http://127.0.0.3:P/", "127.0.0.3@P"),
    (&["--connect-to", "echo.invalid:P:127.0.0.2:0"], "http://echo.invalid:P/", "no connection"),
    // Signs and blanks before the port.
    (&["--resolve", "echo.invalid:+P:127.0.0.2"], "http://echo.invalid:P/", "127.0.0.2@P"),
    (&["--resolve", "echo.invalid: P:127.0.0.2"], "http://echo.invalid:P/", "127.0.0.2@P"),
    // Brackets around nothing.
    (&["--resolve", "echo.invalid:P:[],127.0.0.2"], "http://echo.invalid:P/", "127.0.0.2@P"),
    // A wildcard within a name: matches nothing.
    (&["--resolve", "*.invalid:P:127.0.0.2"], "http://echo.invalid:P/", "not found"),
    (&["--connect-to", "*:P:127.0.0.2:"], "http://127.0.0.3:P/", "127.0.0.3@P"),
    // Two signs before the host, or a sign without one.
    (&["--resolve", "++:P:127.0.0.2"], "http://127.0.0.3:P/", "127.0.0.3@P"),
    (&["--resolve", "++echo.invalid:P:127.0.0.2"], "http://echo.invalid:P/", "not found"),
    (&["--resolve", "+-echo.invalid:P:127.0.0.2"], "http://echo.invalid:P/", "not found"),
    (&["--resolve", "--echo.invalid:P"], "http://127.0.0.3:P/", "127.0.0.3@P"),
    (&["--resolve", "-+echo.invalid:P"], "http://127.0.0.3:P/", "127.0.0.3@P"),
    (&["--resolve", "+:P:127.0.0.2"], "http://127.0.0.3:P/", "127.0.0.3@P"),
    (&["--resolve", "-:P"], "http://127.0.0.3:P/", "127.0.0.3@P"),
    (&["--resolve", "-"], "http://127.0.0.3:P/", "127.0.0.3@P"),
    (&["--resolve", "+**:P:127.0.0.2"], "http://127.0.0.3:P/", "127.0.0.3@P"),
    (&["--connect-to", "+echo.invalid:P:127.0.0.2:"], "http://127.0.0.3:P/", "127.0.0.3@P"),
    (&["--connect-to", "127.0.0.3:P:+127.0.0.2:"], "http://127.0.0.3:P/", "not found"),
    (&["--connect-to", "127.0.0.3:P:127.0.0.2:+Q"], "http://127.0.0.3:P/", "127.0.0.2@Q"),
    (&["--connect-to", "127.0.0.3:P:[127.0.0.2]:"], "http://127.0.0.3:P/", "127.0.0.2@P"),
    (&["--connect-to", "127.0.0.3:P:[]:Q"], "http://127.0.0.3:P/", "127.0.0.3@Q"),
    // Characters that no host has.
    (&["--resolve", "a,b:P:127.0.0.2"], "http://127.0.0.3:P/", "127.0.0.3@P"),
    (&["--resolve", "a%20b:P:127.0.0.2"], "http://127.0.0.3:P/", "127.0.0.3@P"),
    (&["--resolve", "a;b:P:127.0.0.2"], "http://127.0.0.3:P/", "127.0.0.3@P"),
    (&["--connect-to", "a!b:P:127.0.0.2:"], "http://127.0.0.3:P/", "127.0.0.3@P"),
    // Removals that remove nothing, or carry more than they use.
    (&["--resolve", "-echo.invalid"], "http://127.0.0.3:P/", "127.0.0.3@P"),
    (&["--resolve", "-127.0.0.3:P:127.0.0.1"], "http://127.0.0.3:P/", "127.0.0.3@P"),
    // Rules without a target, or with a port that nothing matches.
    (&["--connect-to", ""], "http://127.0.0.3:P/", "127.0.0.3@P"),
    (&["--connect-to", "127.0.0.3:P"], "http://127.0.0.3:P/", "127.0.0.3@P"),
    (&["--connect-to", "127.0.0.3:http:127.0.0.2:"], "http://127.0.0.3:P/", "127.0.0.3@P"),
    // Errors in a rule that this URL does not match.
    (&["--connect-to", "echo.invalid:P:127.0.0.2:65536"], "http://127.0.0.3:P/", "127.0.0.3@P"),
    // A bracket that is not closed: a name with colons in it.
    (&["--connect-to", "echo.invalid:P:[::1:Q"], "http://echo.invalid:P/", "not found"),
];

#[test]
fn every_spec_means_what_it_means_to_curl() {
    let mut differences = Vec::new();
    for (args, url, expected) in CASES {
        let case = Case::new(args, url, expected);
        if case.needs_ipv6() && !servers().ipv6 {
            differences.push(format!("{case}: this machine has no ::1, which the case needs"));
            continue;
        }
        for (name, runner) in RUNNERS {
            let outcome = runner(&case.args, &case.url);
            if outcome != case.expected {
                differences.push(format!("{case}: {name}: {outcome:?}"));
            }
        }
    }
    assert!(differences.is_empty(), "{}", differences.join("\n"));
}

#[test]
fn what_curl_lets_pass_and_prober_refuses_is_as_listed() {
    let documented_version = curl_version().starts_with("curl 7.88.");
    for (args, url, by_curl) in STRICTER {
        let case = Case::new(args, url, by_curl);
        for (name, runner) in RUNNERS {
            let outcome = runner(&case.args, &case.url);
            match *name {
                // Later versions refuse more of them.
                "curl" if !documented_version => {}
                "curl" => assert_eq!(outcome, case.expected, "{case}: curl"),
                _ => assert_eq!(outcome, Outcome::Refused, "{case}: {name}"),
            }
        }
    }
}

/// A row of a table, the ports filled in.
struct Case {
    args: Vec<String>,
    url: Url,
    expected: Outcome,
}

impl Case {
    fn new(args: &[&str], url: &str, expected: &str) -> Self {
        let [p, q] = servers().ports.map(|port| port.to_string());
        // No other capital P or Q stands in the tables.
        let fill = |text: &str| text.replace('P', &p).replace('Q', &q);
        Self {
            args: args.iter().map(|arg| fill(arg)).collect(),
            url: fill(url).parse().expect("a URL"),
            expected: match expected {
                "refused" => Outcome::Refused,
                "not found" => Outcome::NotFound,
                "no connection" => Outcome::NoConnection,
                server => Outcome::Answer(fill(server)),
            },
        }
    }

    fn needs_ipv6(&self) -> bool {
        matches!(&self.expected, Outcome::Answer(server) if server.starts_with("::1@"))
    }
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} {}: expected {:?}", self.args, self.url, self.expected)
    }
}

fn curl(args: &[String], url: &Url) -> Outcome {
    let mut curl = Command::new("curl");
    // No configuration file, no proxy from the environment, no IPv6 guesswork.
    curl.args(["-q", "-sS", "--max-time", "10", "--noproxy", "*"]).args(args).arg(url.as_str());
    let said = harness::finish(&mut curl);
    match said.code {
        0 => Outcome::Answer(TextLine::parse(&said.stdout).expect("a line").pod.to_owned()),
        3 | 49 => Outcome::Refused,
        // 28: a machine whose DNS server is out of reach does not learn that
        // `.invalid` is not there.
        6 | 28 => Outcome::NotFound,
        7 => Outcome::NoConnection,
        _ => panic!("{args:?} {url}: {said:?}"),
    }
}

fn curl_version() -> String {
    harness::finish(Command::new("curl").arg("--version")).stdout
}

/// The program, one request.
fn prober(args: &[String], url: &Url) -> Outcome {
    let once = ["--requests=1", "--output=json", "--quiet", "--max-time=3", "--target"];
    let args = once.iter().map(ToString::to_string).chain([url.to_string()]).chain(args.to_vec());
    let said = harness::run("prober", args);
    if said.code == 2 {
        return Outcome::Refused;
    }
    let report: serde_json::Value = serde_json::from_str(&said.stdout).expect("a report");
    let row = &report["rows"][0];
    if let Some(pod) = row["backends"][0]["pod"].as_str() {
        return Outcome::Answer(pod.to_owned());
    }
    match row["failures"][0]["kind"].as_str() {
        Some("dns") => Outcome::NotFound,
        Some("connect") => Outcome::NoConnection,
        _ => panic!("{url}: {said:?}"),
    }
}

/// The library, and a plain connect to what it says.
fn overrides(args: &[String], url: &Url) -> Outcome {
    let (mut resolve, mut connect_to, mut family) = (Vec::new(), Vec::new(), Family::Any);
    let mut args = args.iter();
    while let Some(arg) = args.next() {
        match arg.as_str() {
            "--resolve" => resolve.push(args.next().expect("a value").clone()),
            "--connect-to" => connect_to.push(args.next().expect("a value").clone()),
            "-4" => family = Family::V4,
            "-6" => family = Family::V6,
            other => panic!("{other} is not known here"),
        }
    }
    let Ok(overrides) = Overrides::parse(&resolve, &connect_to) else { return Outcome::Refused };
    let host = url.host_str().expect("a host");
    let (host, port) = overrides.connect_to(host, url.port_or_known_default().expect("a port"));
    let pinned = overrides.addresses(&host, port).unwrap_or_default();
    let mut addresses = family.of(pinned.iter().copied());
    if addresses.is_empty() {
        match look_up(&host, family) {
            Some(found) => addresses = found,
            None => return Outcome::NotFound,
        }
    }
    let answer = addresses.iter().find_map(|&address| ask((address, port).into()));
    answer.map_or(Outcome::NoConnection, Outcome::Answer)
}

/// Without a DNS server: what is found here are literals and `localhost`.
fn look_up(host: &str, family: Family) -> Option<Vec<IpAddr>> {
    let config = NamesConfig {
        family,
        hosts_file: "/nonexistent".into(),
        resolv_conf: "/nonexistent".into(),
        ..NamesConfig::default()
    };
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let found = runtime.block_on(Names::new(&config).lookup(host));
    found.ok().map(|addresses| addresses.to_vec())
}

fn ask(server: SocketAddr) -> Option<String> {
    let mut stream = TcpStream::connect_timeout(&server, harness::DEADLINE).ok()?;
    stream.write_all(b"GET / HTTP/1.0\r\nHost: a\r\n\r\n").expect("sent");
    let mut reply = String::new();
    stream.read_to_string(&mut reply).expect("a reply");
    let (_, body) = reply.split_once("\r\n\r\n").expect("a head and a body");
    Some(TextLine::parse(body).expect("a line").pod.to_owned())
}

/// The servers that all cases share. They live as long as the test program.
struct Servers {
    ports: [u16; 2],
    ipv6: bool,
}

fn servers() -> &'static Servers {
    static SERVERS: OnceLock<Servers> = OnceLock::new();
    SERVERS.get_or_init(|| {
        let ipv6 = match TcpListener::bind("[::1]:0") {
            Ok(_) => true,
            Err(error) if error.kind() == ErrorKind::AddrNotAvailable => false,
            Err(error) => panic!("[::1]: {error}"),
        };
        let mut addresses = vec!["127.0.0.1", "127.0.0.2", "127.0.0.3"];
        addresses.extend(ipv6.then_some("::1"));
        let addresses: Vec<IpAddr> =
            addresses.iter().map(|text| text.parse().expect("an address")).collect();
        Servers { ports: [(); 2].map(|()| start(&addresses)), ipv6 }
    })
}

/// Starts a server at each of the addresses, on one port that is free on all.
fn start(addresses: &[IpAddr]) -> u16 {
    for _ in 0..100 {
        let first = TcpListener::bind((addresses[0], 0)).expect("loopback");
        let port = first.local_addr().expect("bound").port();
        let others = addresses[1..].iter().map(|&address| TcpListener::bind((address, port)));
        if let Ok(others) = others.collect::<Result<Vec<_>, _>>() {
            for (listener, address) in std::iter::once(first).chain(others).zip(addresses) {
                let name = format!("{address}@{port}");
                std::thread::spawn(move || serve(&listener, &name));
            }
            return port;
        }
    }
    panic!("no port is free on all of {addresses:?}");
}

/// Answers every request as an echo of this name would.
fn serve(listener: &TcpListener, name: &str) {
    for stream in listener.incoming() {
        let Ok(mut stream) = stream else { continue };
        let _ = stream.set_read_timeout(Some(Duration::from_secs(5)));
        let mut head = Vec::new();
        let mut chunk = [0; 1024];
        while !head.windows(4).any(|end| end == b"\r\n\r\n") {
            match stream.read(&mut chunk) {
                Ok(0) | Err(_) => break,
                Ok(length) => head.extend_from_slice(&chunk[..length]),
            }
        }
        let identity = Identity::new(name, "loopback");
        let headers: Vec<_> =
            identity.headers().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
        let line = TextLine { url: "http://loopback/", pod: name, cluster: "loopback" };
        let body = format!("{line}\n");
        let _ = write!(
            stream,
            "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: {}\r\n{}\r\n{body}",
            body.len(),
            headers.concat()
        );
    }
}
