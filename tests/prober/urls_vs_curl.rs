//! The request line and the headers that HTTP/1.1 sends, against the real curl: the same flags and URL, the
//! same server on loopback. And targets that prober refuses although curl guesses what they mean.

use std::io::Write as _;
use std::process::Command;
use std::sync::{Arc, Mutex};

use crate::harness::{Said, finish, run};
use crate::servers::{Server, line, read_head, response};

/// A server, and the heads of the requests that it got.
fn recording() -> (Server, Arc<Mutex<Vec<Vec<String>>>>) {
    let heads: Arc<Mutex<Vec<Vec<String>>>> = Arc::default();
    let seen = Arc::clone(&heads);
    let server = Server::start(move |mut stream, _| {
        seen.lock().expect("one at a time").push(read_head(&stream));
        let _ = stream.write_all(response("200 OK", "", &line("p", "kops")).as_bytes());
        crate::servers::linger(&stream);
    });
    (server, heads)
}

/// What a program sends: one request's lines, without those that name the program.
fn sent(heads: &Mutex<Vec<Vec<String>>>, said: &Said) -> Vec<String> {
    let mut all = std::mem::take(&mut *heads.lock().expect("one at a time"));
    assert_eq!((said.code, all.len()), (0, 1), "{said:?}");
    let own = |line: &String| line.starts_with("User-Agent: ") || line.starts_with("x-probe-id: ");
    all.remove(0).into_iter().filter(|line| !own(line)).collect()
}

fn curl(url: &str, flags: &[&str]) -> Said {
    finish(Command::new("curl").args(["-q", "-g", "-sS", "--max-time", "10"]).args(flags).arg(url))
}

fn prober(url: &str, flags: &[&str]) -> Said {
    let load = ["-n", "1", "--show", "0", "-t", url];
    run("prober", load.iter().chain(flags))
}

#[test]
fn a_path_is_sent_as_curl_sends_it() {
    let (server, heads) = recording();
    for path in [
        "",
        "/",
        "?",
        "/?",
        "#f",
        "/a#f",
        "/a?b#c?d",
        "?x=/../y",
        "/a/../b",
        "/a/./b",
        "/a//b",
        "/a//../b",
        "//../b",
        "/../../b",
        "/a/..",
        "/a/.",
        "/.",
        "/..",
        "/./",
        "/a/b/c/./../../g",
        "/a;b/../c",
        "/a/..?x",
        "/a?x=../b/./c",
        "/..a/.../b",
        "/a/%2e%2e/b",
        "/%2E/b",
        "/%7Ea/~b",
        "/%zz",
        "/a:b@c",
        "/x://y",
        "/a'b",
        "/<x>",
        "/a\"b",
        "/a|b^c`d",
        "/a\\b",
        "/a\\..\\b",
        "/{a,b}[1-2]",
        "/a?q=<x>\"'{}`",
        "/ü/é%C3%A9",
        "/a?b=ü",
    ] {
        let url = format!("http://{}{path}", server.target());
        for flags in [&[][..], &["--path-as-is"]] {
            // Later versions of curl write hexadecimal digits in upper case.
            let line = |said: &Said| sent(&heads, said)[0].to_lowercase();
            let by_curl = line(&curl(&url, flags));
            let by_prober = line(&prober(&url, flags));
            assert_eq!(by_prober, by_curl, "{url} {flags:?}");
        }
    }
}

#[test]
fn headers_are_sent_as_curl_sends_them() {
    let (server, heads) = recording();
    for flags in [
        &[][..],
        &["-H", "X-b: 1", "-H", "x-A: 2", "-H", "X-B: 3"],
        &["-H", "host: one", "-H", "HOST: two"],
        &["-H", "Host: one", "-H", "Host:"],
        &["-H", "Host:"],
        &["-H", "Host: last", "-H", "X: 1", "-H", "ACCEPT: text/plain", "-H", "a: b"],
        &["-H", "Accept:", "-H", "accept: x"],
        &["-H", "X-A:", "-H", "X-a: 1"],
        &["--data", "x", "-H", "X-a: 1", "-H", "content-type: text/plain", "-H", "X-c: 1"],
        &["--data", "x", "-H", "X-a: 1"],
        &["-X", "PUT", "-H", "Connection: keep-alive", "-H", "uPGRADE: x"],
    ] {
        let url = format!("http://{}/", server.target());
        let by_curl = sent(&heads, &curl(&url, flags));
        let by_prober = sent(&heads, &prober(&url, flags));
        assert_eq!(by_prober, by_curl, "{flags:?}");
    }
}

#[test]
fn a_path_that_is_changed_is_named() {
    let (server, _) = recording();
    let url = format!("{}/a/../b?c", server.target());
    let said = prober(&url, &[]);
    let note = format!(
        "prober: the path of {url} is sent as /b?c, as curl does; --path-as-is sends it as it is\n"
    );
    assert_eq!(said.stderr.matches(&note).count(), 1, "{said:?}");
    for flags in [&["--path-as-is"][..], &["--quiet"]] {
        let said = prober(&url, flags);
        assert!(!said.stderr.contains("is sent as"), "{said:?}");
    }
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("mesh.yaml");
    std::fs::write(&file, format!("targets: [{{url: '{url}', requests: 1}}]\n")).expect("writes");
    let said = run("prober", ["matrix", file.to_str().expect("a path")]);
    assert!(said.stderr.contains(&note), "{said:?}");
}

#[test]
fn a_target_with_a_slash_too_few_or_too_many_is_refused_with_the_right_form() {
    for (given, right) in [
        ("http:/127.0.0.1:1/x", "http://127.0.0.1:1/x"),
        ("http:///127.0.0.1:1/x", "http://127.0.0.1:1/x"),
        ("https:////a", "https://a"),
        ("HTTP:a/x", "http://a/x"),
        ("http//a/x", "http://a/x"),
        ("http:\\\\a/x", "http://a/x"),
        ("//a/x", "http://a/x"),
        ("/a/x", "http://a/x"),
        ("://a", "http://a"),
        (":8080/x", "http://localhost:8080/x"),
        ("http://https://a/x", "https://a/x"),
    ] {
        let right = format!("; write {right}");
        run("prober", ["-n", "1", "-t", given]).refused(&[given, &right]);
    }
    for (given, what) in [
        ("http:", "it has no host"),
        ("http://:80/", "not a URL"),
        ("a\\b", "its host has a backslash"),
        ("x.y://a", "the scheme 'x.y'"),
    ] {
        run("prober", ["-n", "1", "-t", given]).refused(&[what]);
    }
    let over_http2 = ["-n", "1", "--http2-prior-knowledge", "-t", "a/<x>"];
    run("prober", over_http2).refused(&["over HTTP/2", "'<'", "write %3C"]);
}
