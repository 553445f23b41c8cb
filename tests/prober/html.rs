//! The report as an HTML page, in a browser: it shows what the JSON says, asks nobody for
//! anything, complains of nothing, and can be read by all.

pub(crate) mod browser;
mod compare;

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::harness::{finish, run};
use crate::servers::{Server, answering, reset, response, text_echo};
use browser::{Browser, Noticed};
use compare::{same, sound};

/// A report in a folder of its own, as JSON and as a page.
struct Made {
    folder: tempfile::TempDir,
}

impl Made {
    /// Runs prober with these words, and keeps both.
    fn by(words: &[&str]) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let mut prober = crate::harness::command("prober");
        prober.args(words).arg("--quiet");
        for name in ["run.json", "run.html"] {
            prober.arg("--report").arg(folder.path().join(name));
        }
        let said = finish(&mut prober);
        assert!([0, 1, 3].contains(&said.code), "{said:?}");
        Self { folder }
    }

    fn page(&self) -> PathBuf {
        self.folder.path().join("run.html")
    }

    fn json(&self) -> Value {
        let text = fs::read_to_string(self.folder.path().join("run.json")).expect("written");
        serde_json::from_str(&text).expect("JSON")
    }
}

/// Answers that come from two pods in turn.
fn two_clusters() -> Server {
    let (kops, gke1) = (text_echo("echo2-a", "kops"), text_echo("echo2-b", "gke1"));
    Server::start(move |stream, n| if n % 2 == 0 { kops(stream, n) } else { gke1(stream, n) })
}

fn plain() -> Made {
    let server = two_clusters();
    let target = server.target();
    Made::by(&["-n", "300", "-t", &target, "-e", "errors = 0", "-e", "balanced ± 40%"])
}

fn failures() -> Made {
    let unavailable =
        answering(response("503 Service Unavailable", "", "no <b>healthy</b> upstream"));
    let well = text_echo("echo2-a", "kops");
    let server = Server::start(move |stream, n| match n % 4 {
        0 => unavailable(stream, n),
        1 => reset(stream),
        _ => well(stream, n),
    });
    Made::by(&[
        "-n",
        "80",
        "-t",
        &server.target(),
        "-e",
        "only kops",
        "-e",
        "errors = 0",
        "--show",
        "5",
    ])
}

fn matrix() -> Made {
    let (kops, both) = (Server::start(text_echo("echo1-a", "kops")), two_clusters());
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("mesh.yaml");
    let text = format!(
        "clusters: [kops, gke1]
defaults: {{requests: 100, min-share: 20%, expect: [errors = 0]}}
sources: [{{name: nobody, command: ['false']}}]
targets:
  - {{url: '{}', expect: [exactly kops]}}
  - {{url: '{}', expect: ['exactly kops,gke1']}}
  - {{from: nobody, url: '{0}'}}
",
        kops.target(),
        both.target()
    );
    fs::write(&file, text).expect("written");
    Made::by(&["matrix", &file.to_string_lossy()])
}

/// Two seconds, of which half a second fails.
fn fault() -> Made {
    let folder = tempfile::tempdir().expect("a folder");
    let broken = folder.path().join("broken");
    let (begin, end) = (format!("touch {}", broken.display()), format!("rm {}", broken.display()));
    let (kops, gke1) = (text_echo("echo2-a", "kops"), text_echo("echo2-b", "gke1"));
    let server = Server::start(move |stream, n| match (broken.exists(), n % 2) {
        (true, 0) => reset(stream),
        (_, 0) => kops(stream, n),
        _ => gke1(stream, n),
    });
    let load = ["--rate", "100", "-d", "2", "--timeline", "50ms", "--hold", "300ms"];
    let events = ["--at", "500ms", &begin, "--at", "1s", &end, "--at", "1200ms", "exit 3"];
    let target = ["-t", &server.target(), "-e", "lost <= 2"];
    Made::by(&[&load[..], &events, &target].concat())
}

const EVIL: &str = "</script><img src=http://127.0.0.1:9/ onerror=alert(1)>\u{202e}<!--";

fn hostile() -> Made {
    let server = Server::start(text_echo(EVIL, "<script>alert(2)</script>"));
    Made::by(&["-n", "20", "-t", &server.target(), "--show", "3"])
}

#[test]
fn html_pages_show_what_their_json_says_and_can_be_read_by_all() {
    let mut browser = Browser::start();
    for (name, made) in [
        ("plain", plain()),
        ("failures", failures()),
        ("matrix", matrix()),
        ("fault", fault()),
        ("hostile", hostile()),
    ] {
        browser.screen(1280, false);
        browser.open(&made.page());
        let seen = browser.evaluate(include_str!("html/inspect.js"));
        let json = made.json();
        same(name, &seen, &json);
        sound(name, &seen, json["rows"].as_array().expect("rows").len());
        for (width, dark) in [(1280, false), (1280, true), (390, true), (320, false)] {
            browser.screen(width, dark);
            let look = browser.evaluate(include_str!("html/look.js"));
            assert_eq!(look["flaws"], Value::Array(vec![]), "{name}, {width} wide, dark: {dark}");
            assert!(look["seen"].as_u64() > Some(30), "{name}: {look}");
        }
        // The first key leads to the report, and is seen to.
        browser.press("Tab", 9);
        let focus = "[document.activeElement.className, getComputedStyle(document.activeElement).outlineStyle]";
        assert_eq!(browser.evaluate(focus), serde_json::json!(["skip", "solid"]), "{name}");
        let Noticed { requests, complaints } = browser.noticed();
        assert_eq!(complaints, Vec::<String>::new(), "{name}");
        let own = format!("file://{}", made.page().display());
        assert!(requests.contains(&own), "{requests:?}");
        let elsewhere: Vec<_> =
            requests.iter().filter(|url| **url != own && !url.starts_with("data:")).collect();
        assert!(elsewhere.is_empty(), "{name} asks for {elsewhere:?}");
    }
}

#[test]
fn html_the_browser_notices_what_a_page_must_not_do() {
    let folder = tempfile::tempdir().expect("a folder");
    let page = folder.path().join("bad.html");
    let text = "<!DOCTYPE html><title>bad</title><p style='color:#999;background:#fff'>x</p>\
                <img src='http://127.0.0.1:9/x.png'><script>console.log(1); nothing()</script>\
                <div style='width:3000px'>wide</div>";
    fs::write(&page, text).expect("written");
    let mut browser = Browser::start();
    browser.screen(390, false);
    browser.open(&page);
    let look = browser.evaluate(include_str!("html/look.js")).to_string();
    assert!(look.contains("contrast 2.8") && look.contains("wider than the screen"), "{look}");
    let Noticed { requests, complaints } = browser.noticed();
    assert!(requests.contains(&"http://127.0.0.1:9/x.png".to_owned()), "{requests:?}");
    let complaints = complaints.join("\n");
    assert!(complaints.contains("nothing is not defined"), "{complaints}");
    assert!(complaints.contains("\"type\":\"log\""), "{complaints}");
}

#[test]
fn html_pages_are_reports_that_can_be_read_again() {
    let made = failures();
    let page = made.page().to_string_lossy().into_owned();
    let later = made.folder.path().join("later.html");
    let again = run("prober", ["report", &page, "--quiet", "--report", &later.to_string_lossy()]);
    assert_eq!(again.code, 1, "{again:?}");
    assert_eq!(fs::read(&page).expect("written"), fs::read(&later).expect("written"));
    let json = run("prober", ["report", &page, "--output=json"]).stdout;
    assert_eq!(serde_json::from_str::<Value>(&json).expect("JSON"), made.json());
    // A page that was cut short, and one of another program.
    let text = fs::read_to_string(&page).expect("text");
    for (name, bad) in [("cut.html", &text[..text.len() / 2]), ("other.html", "<!DOCTYPE html>")] {
        let path = made.folder.path().join(name);
        fs::File::create(&path)
            .and_then(|mut file| file.write_all(bad.as_bytes()))
            .expect("written");
        let said = run("prober", [Path::new("report"), &path]);
        said.refused(&[name, "not a prober report"]);
    }
}
