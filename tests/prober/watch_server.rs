//! The server of `prober watch` under clients that mean no good: they cost little, and neither delay
//! probing nor other clients. Pages of other sites read nothing.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::harness::{Background, DEADLINE, bin, run, wait_until};
use crate::servers::{Server, line, linger_open, read_head, response, text_echo};

/// A prober that watches, and may open so many files.
struct Watch {
    prober: Background,
    address: SocketAddr,
}

impl Watch {
    fn start(files: u32, args: &[&str]) -> Self {
        let mut command = Command::new("sh");
        command.args(["-c", &format!("ulimit -n {files} && exec \"$0\" \"$@\"")]);
        command.arg(bin("prober")).args(["watch", "--listen=127.0.0.1:0"]).args(args);
        let mut prober = Background::start(&mut command);
        let address = prober.wait_for("the address", |line| {
            let (_, rest) = line.split_once(" are at http://")?;
            rest.trim_end_matches('/').parse().ok()
        });
        Self { prober, address }
    }

    fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address).expect("it listens");
        stream.set_read_timeout(Some(DEADLINE)).expect("a socket");
        stream
    }

    /// All that it says to these bytes.
    fn say(&self, bytes: impl AsRef<[u8]>) -> String {
        let mut stream = self.connect();
        let _ = stream.write_all(bytes.as_ref());
        let mut said = Vec::new();
        let _ = stream.read_to_end(&mut said);
        String::from_utf8_lossy(&said).into_owned()
    }

    #[track_caller]
    fn get(&self, path: &str) -> String {
        let said = self.say(format!("GET {path} HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n"));
        assert!(said.starts_with("HTTP/1.1 200 OK\r\n"), "{path}: {said:?}");
        said
    }

    /// The sum of a metric over all of its labels that hold these words.
    fn sum(&self, metric: &str, words: &str) -> f64 {
        let said = self.get("/metrics");
        let lines = said.lines().filter(|line| line.starts_with(metric) && line.contains(words));
        lines.filter_map(|line| line.rsplit_once(' ')?.1.parse::<f64>().ok()).sum()
    }

    fn rounds(&self) -> f64 {
        self.sum("prober_rounds_total", "")
    }

    /// Waits for so many rounds more. Returns the time that they took.
    #[track_caller]
    fn further(&self, rounds: f64) -> Duration {
        let (begin, before) = (Instant::now(), self.rounds());
        wait_until("rounds go on", || (self.rounds() >= before + rounds).then_some(()));
        begin.elapsed()
    }

    fn descriptors(&self) -> usize {
        let folder = format!("/proc/{}/fd", self.prober.pid());
        std::fs::read_dir(folder).expect("it runs").count()
    }
}

fn echo() -> Server {
    Server::start(text_echo("a", "kops"))
}

#[test]
fn many_bad_connections_delay_neither_rounds_nor_a_good_client() {
    let server = echo();
    let watch = Watch::start(96, &["-t", &server.target(), "-n", "5", "--interval", "0.1"]);
    let calm = watch.descriptors();
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let (over, watch) = (&over, &watch);
        for kind in 0..4 {
            scope.spawn(move || {
                let mut held = std::collections::VecDeque::new();
                for number in 0_u32.. {
                    if over.load(Ordering::SeqCst) {
                        return;
                    }
                    let mut stream = watch.connect();
                    let _ = match (kind, number % 2) {
                        // Half a head, and then a byte from time to time.
                        (0, _) => stream.write_all(b"GET /metrics HTTP/1.1\r\nhost: "),
                        // Nothing.
                        (1, _) => Ok(()),
                        // A whole request, and nobody reads the answer.
                        (2, 0) => stream.write_all(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n"),
                        (2, _) => stream.write_all(
                            b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 99999999999\r\n\r\nx",
                        ),
                        // Many requests at once.
                        _ => stream.write_all(&b"GET / HTTP/1.1\r\nhost: a\r\n\r\n".repeat(500)),
                    };
                    if let (0, Some(old)) = (kind, held.front_mut()) {
                        let _ = TcpStream::write_all(old, b"x");
                    }
                    held.push_back(stream);
                    if held.len() > 100 {
                        held.pop_front();
                    }
                    std::thread::sleep(Duration::from_millis(2));
                }
            });
        }
        let took = watch.further(20.0);
        let answered = (0..20).all(|_| watch.get("/healthz").ends_with("\r\n\r\nok\n"));
        over.store(true, Ordering::SeqCst);
        assert!(answered);
        assert!(took < Duration::from_secs(15), "20 rounds of 0.1 s took {took:?}");
    });
    assert_eq!(
        watch.sum("prober_requests_total", "result=\"failed\""),
        0.0,
        "{}",
        watch.prober.said()
    );
    let peak = watch.prober.peak_kib().expect("it runs");
    assert!(peak < 64 << 10, "{peak} KiB");
    wait_until("it has as many descriptors as before", || {
        (watch.descriptors() <= calm + 4).then_some(())
    });
}

#[test]
fn a_flood_of_one_client_does_not_end_the_connection_of_another() {
    use rustix::net::{AddressFamily, SocketType, bind, connect, socket};
    let server = echo();
    let watch = Watch::start(64, &["-t", &server.target(), "-n", "5", "--interval", "5"]);
    let other = socket(AddressFamily::INET, SocketType::STREAM, None).expect("a socket");
    let from: SocketAddr = "127.0.0.2:0".parse().expect("an address");
    bind(&other, &from).expect("an address of loopback");
    connect(&other, &watch.address).expect("it listens");
    let mut other = TcpStream::from(other);
    other.set_read_timeout(Some(DEADLINE)).expect("a socket");
    let _ = other.write_all(b"GET /healthz HTTP/1.1\r\n");
    let flood: Vec<_> = (0..300).map(|_| watch.connect()).collect();
    // It is accepted after them.
    assert!(watch.get("/healthz").ends_with("ok\n"));
    other.write_all(b"host: a\r\n\r\n").expect("it is open");
    let mut said = String::new();
    other.read_to_string(&mut said).expect("an answer");
    assert!(said.ends_with("\r\n\r\nok\n"), "{said}");
    drop(flood);
}

#[test]
fn connections_that_stay_take_nothing_from_probing() {
    let server = echo();
    let watch =
        Watch::start(64, &["-t", &server.target(), "-n", "20", "-c", "8", "--interval", "0.1"]);
    let held: Vec<_> = (0..200)
        .map(|_| {
            let mut stream = watch.connect();
            let _ = stream.write_all(b"GET / HTTP/1.1\r\n");
            stream
        })
        .collect();
    watch.further(5.0);
    assert_eq!(watch.sum("prober_requests_total", "result=\"failed\""), 0.0);
    assert!(watch.descriptors() < 60, "{} descriptors", watch.descriptors());
    drop(held);
}

#[test]
fn health_is_answered_while_probing_has_no_descriptor_left() {
    // It answers nothing, so that every request keeps its descriptor.
    let silent = Server::start(|stream, _| linger_open(&stream));
    let target = silent.target();
    let watch = Watch::start(
        64,
        // Further requests take every descriptor that becomes free.
        &["-t", &target, "-d", "15", "-c", "200", "--max-time", "15", "--interval", "40"],
    );
    wait_until("probing has all descriptors", || (watch.descriptors() >= 62).then_some(()));
    for _ in 0..50 {
        assert!(watch.get("/healthz").ends_with("\r\n\r\nok\n"));
    }
    assert!(watch.descriptors() >= 60, "probing has them still");
    // Others hold connections meanwhile.
    let held: Vec<_> = (0..40).map(|_| watch.connect()).collect();
    for _ in 0..20 {
        assert!(watch.get("/healthz").ends_with("\r\n\r\nok\n"));
    }
    drop(held);
}

#[test]
fn one_request_is_answered_on_a_connection_and_every_limit_is_told() {
    let server = echo();
    let watch = Watch::start(1024, &["-t", &server.target(), "-n", "5", "--interval", "5"]);
    let get = "GET /healthz HTTP/1.1\r\nhost: 127.0.0.1:9464\r\n";
    let many = watch.say(format!("{get}\r\n").repeat(1000));
    assert_eq!(many.matches("HTTP/1.1 200 OK").count(), 1, "{many}");
    assert!(many.contains("connection: close\r\n"), "{many}");
    let head = watch.say("HEAD /metrics HTTP/1.1\r\nhost: localhost\r\n\r\n");
    assert!(head.starts_with("HTTP/1.1 200 OK\r\n") && head.ends_with("\r\n\r\n"), "{head}");
    let body = watch.say(format!("{get}content-length: 5\r\n\r\nhello"));
    assert!(body.ends_with("\r\n\r\nok\n"), "{body}");
    let long = watch.say(format!("{get}x: {}", "y".repeat(60_000)));
    assert!(long.starts_with("HTTP/1.1 431 "), "{long}");
    for (bytes, status) in [
        ("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 999999999999\r\n\r\nx", "405"),
        ("DELETE /metrics HTTP/1.1\r\nhost: a\r\n\r\n", "405"),
        ("GET / HTTP/1.1\r\n\r\n", "400"),
        ("nonsense\r\n\r\n", "400"),
        ("GET /etc/passwd HTTP/1.1\r\nhost: a\r\n\r\n", "404"),
    ] {
        let said = watch.say(bytes);
        assert!(said.starts_with(&format!("HTTP/1.1 {status} ")), "{bytes:?}: {said}");
        let (_, line) = said.split_once("\r\n\r\n").expect("a head");
        assert!(line.ends_with('\n') && line.lines().count() == 1, "{said}");
    }
    // A head that never ends is not waited for.
    let begin = Instant::now();
    assert_eq!(watch.say("GET / HTTP/1.1\r\nhost: a\r\n"), "");
    assert!(begin.elapsed() < Duration::from_secs(15));
}

#[test]
fn pages_of_other_sites_read_nothing() {
    let server = Server::start(|mut stream, _| {
        read_head(&stream);
        let _ = stream.write_all(response("200 OK", "", &line("secret-pod", "kops")).as_bytes());
    });
    let watch = Watch::start(
        1024,
        &[
            "-t",
            &server.target(),
            "-n",
            "5",
            "--interval",
            "5",
            "--allow-host",
            "watch.example.com",
        ],
    );
    wait_until("a round has ended", || (watch.rounds() >= 1.0).then_some(()));
    let of = |path: &str, host: &str| {
        watch.say(format!("GET {path} HTTP/1.1\r\nhost: {host}\r\norigin: http://{host}\r\n\r\n"))
    };
    for path in ["/", "/metrics"] {
        for host in ["evil.example:9464", "evil.com", "localhost.evil.com", "127.0.0.1.nip.io"] {
            let said = of(path, host);
            assert!(said.starts_with("HTTP/1.1 403 Forbidden\r\n"), "{host}: {said}");
            assert!(!said.contains("secret-pod"), "{said}");
            let name = host.split(':').next().expect("a name");
            assert!(
                said.contains(&format!("start prober watch with --allow-host '{name}'\n")),
                "{said}"
            );
        }
        for host in [
            "127.0.0.1:9464",
            "10.0.0.7:9464",
            "[::1]:9464",
            "localhost:9464",
            "watch",
            "watch.istio-enabled:9464",
            "watch.istio-enabled.svc.cluster.local:9464",
            "Watch.example.com",
        ] {
            let said = of(path, host).to_ascii_lowercase();
            assert!(said.contains("secret-pod"), "{host}: {said}");
            for header in [
                "cache-control: no-store",
                "x-content-type-options: nosniff",
                "x-frame-options: deny",
                "cross-origin-resource-policy: same-origin",
                "content-security-policy: default-src 'none'",
            ] {
                assert!(said.contains(&format!("\r\n{header}")), "{path}: {header}: {said}");
            }
            assert!(!said.contains("access-control-allow-origin"), "{said}");
        }
    }
}

#[test]
fn a_wrong_host_of_the_flag_is_refused() {
    for bad in ["http://a.example.com", "a:80", "*", ""] {
        let said = run("prober", ["watch", "-t", "a", "--allow-host", bad]);
        said.refused(&["--allow-host", "write a host name without a port"]);
    }
}
