//! Servers that state names of 60 kB: names are cut, stay different, and memory stays small.

use std::collections::BTreeSet;
use std::fs;
use std::io::Write as _;
use std::sync::atomic::{AtomicU64, Ordering};

use serde_json::Value;

use crate::harness::{Background, command, run, wait_until};
use crate::servers::{Server, read_head, response};

/// Where a server states its pod.
#[derive(Clone, Copy, PartialEq)]
enum Place {
    Header,
    Json,
}

/// A new pod with every answer. Its name has 60 kB and differs from the others in its last bytes
/// only.
fn long_names(place: Place) -> Server {
    let count = AtomicU64::new(0);
    Server::start(move |mut stream, _| {
        while !read_head(&stream).is_empty() {
            let number = count.fetch_add(1, Ordering::SeqCst);
            let pod = format!("{}{number:06}", "x".repeat(60_000));
            let answer = match place {
                Place::Header => {
                    let headers = format!("x-echo-pod: {pod}\r\nx-echo-cluster: kops\r\n");
                    response("200 OK", &headers, "")
                }
                Place::Json => {
                    let body = format!(
                        r#"{{"schema":"echo/1","pod":"{pod}","cluster":"kops","method":"GET",
                        "url":"http://a/","http_version":"HTTP/1.1","headers":{{}},"peer":null,
                        "connection":"1","request":1,"attempt":null,"probe":null,"tls":null,
                        "xfcc":[]}}"#
                    );
                    response("200 OK", "content-type: application/json\r\n", &body)
                }
            };
            if stream.write_all(answer.as_bytes()).is_err() {
                return;
            }
        }
    })
}

#[test]
fn long_names_are_cut_and_stay_different() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("r.json");
    for place in [Place::Header, Place::Json] {
        let server = long_names(place);
        let report = format!("--report={}", path.display());
        let said = run("prober", [&server.target(), "-n", "50", &report, "--expect", "errors = 0"]);
        assert_eq!(said.code, 0, "{said:?}");
        let text = fs::read_to_string(&path).expect("a report");
        let json: Value = serde_json::from_str(&text).expect("JSON");
        let backends = json["rows"][0]["backends"].as_array().expect("backends");
        let pods: BTreeSet<_> =
            backends.iter().map(|b| b["pod"].as_str().expect("a pod")).collect();
        assert_eq!((backends.len(), pods.len()), (50, 50));
        assert!(pods.iter().all(|pod| pod.len() == 253 && pod.starts_with("xxx")), "{pods:?}");
        let again = run("prober", ["report", path.to_str().expect("a path")]);
        assert_eq!(again.code, 0, "{again:?}");
    }
}

/// Before names were cut, 1,500 such answers took 550 MB.
#[test]
fn the_window_of_watch_does_not_grow_with_the_length_of_names() {
    let server = long_names(Place::Json);
    let target = server.target();
    let args = ["watch", "--target", &target, "-n", "500", "--interval=1s", "--listen=127.0.0.1:0"];
    let watch = Background::start(command("prober").args(args));
    // Each answer has its own connection.
    wait_until("1,500 answers", || (server.accepted() >= 1_500).then_some(()));
    let peak = watch.peak_kib().expect("it runs");
    assert!(peak < 96 << 10, "{peak} KiB");
}
