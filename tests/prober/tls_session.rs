//! `--tls-session`: full and resumed handshakes against a real OpenSSL server, and that prober's
//! own start is not part of a handshake.

use serde_json::Value;

use super::probing::row;
use super::tls_words::Pki;

fn handshakes(row: &Value) -> [u64; 2] {
    let count = |name: &str| row["transport"][name].as_u64().unwrap_or_default();
    [count("tls_full"), count("tls_resumed")]
}

#[test]
fn sessions_are_resumed_only_if_asked_and_each_handshake_is_counted() {
    let pki = Pki::new();
    pki.leaf("good", "root", "");
    let root = pki.text("root.pem");
    for version in ["-tls1_2", "-tls1_3", "-tls1_2 -no_ticket"] {
        let server = pki.serve("good", version);
        let [target, flag, to] = server.target("localhost");
        let ask = |flags: &[&str]| {
            let common = ["-t", &target, &flag, &to, "--cacert", &root, "-n", "20"];
            let (code, row) = row(&[&common, flags].concat());
            assert_eq!((code, &row["connections"]), (0, &20.into()), "{row}");
            handshakes(&row)
        };
        assert_eq!(ask(&["-c", "2"]), [20, 0], "{version}: as new clients do");
        assert_eq!(ask(&["-c", "2", "--tls-session", "never"]), [20, 0], "{version}");
        let reuse = ["--tls-session", "reuse"];
        assert_eq!(ask(&[&reuse[..], &["-c", "1"]].concat()), [1, 19], "{version}");
        // What the first connection of one thread learned, the others use.
        let [full, resumed] = ask(&[&reuse[..], &["-c", "4", "--threads", "2"]].concat());
        assert!(full <= 4 && full + resumed == 20, "{version}: {full} full, {resumed} resumed");
    }
}

#[test]
fn only_connections_with_tls_are_counted() {
    let server = crate::servers::Server::start(crate::servers::text_echo("p", "kops"));
    let (code, row) = row(&["-t", &server.target(), "-n", "4"]);
    assert_eq!((code, handshakes(&row)), (0, [0, 0]), "{row}");
    // A handshake that fails is not counted.
    let pki = Pki::new();
    pki.leaf("good", "root", "");
    let tls = pki.serve("good", "");
    let [target, flag, to] = tls.target("localhost");
    let (code, row) = super::probing::row(&["-t", &target, &flag, &to, "-n", "4"]);
    assert_eq!((code, handshakes(&row)), (1, [0, 0]), "{row}");
}

/// The library's random generator takes 30 to 100 ms to start, on the thread that needs it first.
/// The fastest of many first handshakes shows whether a request paid for it: on a busy machine
/// some are slow for other reasons, but not all of them.
#[test]
fn own_start_is_not_part_of_the_first_handshake() {
    let pki = Pki::new();
    pki.leaf("good", "root", "");
    let server = pki.serve("good", "");
    let [target, flag, to] = server.target("localhost");
    let root = pki.text("root.pem");
    let tls = |requests: &str, figure: &str| {
        let flags = ["-t", &target, &flag, &to, "--cacert", &root, "-c", "1", "-n", requests];
        let (code, row) = row(&flags);
        assert_eq!(code, 0, "{row}");
        row["phases"]["tls"][figure].as_u64().expect("a time")
    };
    let usual = tls("50", "p50_us");
    let first = (0..12).map(|_| tls("1", "max_us")).min().expect("there are some");
    assert!(first < usual + 10_000, "the first takes {first} µs, later ones {usual} µs");
}
