//! Several DNS servers and the options of resolv.conf: which server is asked when, and what is said if
//! none knows. The last test asks real dnsmasq through the system's own resolv.conf.

use std::net::{SocketAddr, UdpSocket};
use std::process::Command;
use std::time::{Duration, Instant};

use ::prober::{Family, NamesConfig};
use hickory_resolver::proto::op::ResponseCode;
use hickory_resolver::proto::rr::RecordType;

use super::names::{FromQuery, NXDOMAIN, Reply, Server, failed, files, found, look_up};
use super::probing::row;
use crate::harness::{bin, finish};
use crate::servers::{Server as Echo, text_echo};

/// Longer than anything here takes, so that only servers and options end a lookup.
const LONG: Duration = Duration::from_secs(30);

fn asking(servers: &[SocketAddr], resolv_conf: &str) -> NamesConfig {
    NamesConfig {
        servers: servers.to_vec(),
        family: Family::V4,
        timeout: LONG,
        ..files("", resolv_conf)
    }
}

fn knowing() -> Server {
    Server::start(|_, _| Reply::Addresses(&["10.9.9.1"]))
}

fn code(code: ResponseCode) -> Server {
    Server::start(move |_, _| Reply::Code(code))
}

fn raw(make: FromQuery) -> Server {
    Server::start(move |_, _| Reply::Raw(make))
}

/// A port where nothing listens; the socket keeps it until it is dropped.
fn closed_port() -> (SocketAddr, UdpSocket) {
    let taken = UdpSocket::bind("127.0.0.1:0").expect("loopback");
    // A connected socket gets nothing from others: the kernel says that the port is closed.
    taken.connect("127.0.0.1:9").expect("loopback");
    (taken.local_addr().expect("bound"), taken)
}

/// The header of a response to `query`, with these flags and no record.
fn header(query: &[u8], flags: [u8; 2], questions: u8) -> Vec<u8> {
    [&query[..2], &flags, &[0, questions, 0, 0, 0, 0, 0, 0]].concat()
}

#[test]
fn the_next_server_is_asked_if_one_fails_in_any_way() {
    for (what, server) in [
        ("SERVFAIL", code(ResponseCode::ServFail)),
        ("REFUSED", code(ResponseCode::Refused)),
        ("NOTIMP", code(ResponseCode::NotImp)),
        ("FORMERR", code(ResponseCode::FormErr)),
        ("NOTAUTH", code(ResponseCode::NotAuth)),
        ("FORMERR without the question", raw(|query| header(query, [0x81, 0x81], 0))),
        ("noise", raw(|query| [&query[..2], &[0xff; 40]].concat())),
        ("lame", raw(|query| [&header(query, [0x80, 0], 1), &query[12..]].concat())),
        ("truncated", Server::start_without_tcp(|_, _| Reply::OverTcp(&["10.6.6.6"]))),
        ("silent", Server::start(|_, _| Reply::Never)),
    ] {
        let knows = knowing();
        let conf = "options timeout:1 attempts:1\n";
        let start = Instant::now();
        let [first] = look_up(&asking(&[server.address, knows.address], conf), ["echo.test"]);
        assert_eq!(found(&first), ["10.9.9.1"], "{what}");
        let enough = Duration::from_millis(if what == "silent" { 900 } else { 0 });
        assert!(start.elapsed() >= enough, "{what}: it is waited for");
        assert!(start.elapsed() < Duration::from_secs(4), "{what}: {:?}", start.elapsed());
        assert!(!server.asked().is_empty(), "{what}: it is asked first");

        let before = server.asked().len();
        let [last] = look_up(&asking(&[knows.address, server.address], conf), ["echo.test"]);
        assert_eq!(found(&last), ["10.9.9.1"], "{what}");
        assert_eq!(server.asked().len(), before, "{what}: not asked, since the first one knows");
    }
}

#[test]
fn a_closed_port_is_known_at_once() {
    let ((closed, _taken), knows) = (closed_port(), knowing());
    let start = Instant::now();
    let [result] =
        look_up(&asking(&[closed, knows.address], "options timeout:20\n"), ["echo.test"]);
    assert_eq!(found(&result), ["10.9.9.1"]);
    assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
    let [alone] = look_up(&asking(&[closed], ""), ["echo.test"]);
    let said = format!("name 'echo.test': DNS server {closed} does not listen on its port");
    assert_eq!(failed(&alone), said);
}

#[test]
fn a_name_that_is_not_there_is_final() {
    for no in [|| NXDOMAIN, || Reply::Alias("nowhere.test.")] as [fn() -> Reply; 2] {
        let knows = knowing();
        let first = Server::start(move |name, _| if name == "echo.test" { no() } else { NXDOMAIN });
        let [result] = look_up(&asking(&[first.address, knows.address], ""), ["echo.test"]);
        assert_eq!(failed(&result), "name 'echo.test' not found (NXDOMAIN)");
        assert_eq!(knows.asked(), [""; 0]);
    }
}

#[test]
fn a_late_answer_counts_while_others_are_asked() {
    let slow = raw(|query| {
        std::thread::sleep(Duration::from_millis(1500));
        let record = [0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 10, 9, 9, 1];
        let mut answer = [&header(query, [0x81, 0x80], 1), &query[12..], &record].concat();
        answer[7] = 1;
        answer
    });
    let fails = code(ResponseCode::ServFail);
    let conf = "options timeout:1 attempts:2\n";
    let [result] = look_up(&asking(&[slow.address, fails.address], conf), ["echo.test"]);
    assert_eq!(found(&result), ["10.9.9.1"]);
    assert!(!fails.asked().is_empty());
}

#[test]
fn timeout_and_attempts_say_how_long_and_how_often() {
    for (conf, attempts, seconds) in [
        ("options timeout:1 attempts:1\n", 1, 1),
        ("options timeout:1 attempts:3\n", 3, 3),
        ("options attempts:1 timeout:2\n", 1, 2),
    ] {
        let silent = Server::start(|_, _| Reply::Never);
        let start = Instant::now();
        let [result] = look_up(&asking(&[silent.address], conf), ["echo.test"]);
        let (took, all) = (start.elapsed(), Duration::from_secs(seconds));
        let said = format!("no answer within {seconds}s from DNS server {}", silent.address);
        assert_eq!(failed(&result), format!("name 'echo.test': {said}"), "{conf}");
        assert!(took >= all && took < all + Duration::from_secs(2), "{conf}: {took:?}");
        assert_eq!(silent.asked(), vec!["echo.test A"; attempts], "{conf}");
    }
    // An error does not end the attempts either: it may be gone.
    let fails = code(ResponseCode::ServFail);
    let [result] = look_up(&asking(&[fails.address], "options attempts:4\n"), ["echo.test"]);
    assert!(failed(&result).contains("SERVFAIL"), "{result:?}");
    assert_eq!(fails.asked().len(), 4);
}

#[test]
fn the_last_server_is_reached_within_the_time_of_the_lookup() {
    // By the options alone, the last server would be asked after 10 s.
    let silent = [(); 2].map(|()| Server::start(|_, _| Reply::Never));
    let knows = knowing();
    let servers = [silent[0].address, silent[1].address, knows.address];
    let config = NamesConfig { timeout: Duration::from_secs(2), ..asking(&servers, "") };
    let start = Instant::now();
    let [result] = look_up(&config, ["echo.test"]);
    assert_eq!(found(&result), ["10.9.9.1"]);
    assert!(start.elapsed() < Duration::from_secs(2), "{:?}", start.elapsed());
    let [result] =
        look_up(&NamesConfig { servers: servers[..2].to_vec(), ..config }, ["echo.test"]);
    let said = format!("no answer within 2s from DNS servers {}, {}", servers[0], servers[1]);
    assert_eq!(failed(&result), format!("name 'echo.test': {said}"));
}

#[test]
fn each_server_is_named_with_what_it_did() {
    let (fails, silent) = (code(ResponseCode::ServFail), Server::start(|_, _| Reply::Never));
    let ((closed, _taken), noise) =
        (closed_port(), raw(|query| [&query[..2], &[0xff; 40]].concat()));
    let servers = [fails.address, silent.address, closed, noise.address];
    let conf = "options timeout:1 attempts:2\n";
    let [result] = look_up(&asking(&servers, conf), ["echo.test"]);
    let [fails, silent, closed, noise] = servers;
    let said = failed(&result);
    let parts = [
        format!("name 'echo.test': DNS server {fails} answered SERVFAIL, "),
        format!("{silent} did not answer within "),
        format!("{closed} does not listen on its port, "),
        format!("{noise} sent an answer that is not valid DNS"),
    ];
    assert!(parts.iter().all(|part| said.contains(part)), "{said}");
}

#[test]
fn rotate_starts_each_lookup_with_another_server() {
    for (conf, counts) in [("", [6, 0]), ("options rotate\n", [3, 3])] {
        let servers = [knowing(), knowing()];
        let addresses = [servers[0].address, servers[1].address];
        let config = NamesConfig { anew: true, ..asking(&addresses, conf) };
        let results = look_up(&config, ["echo.test"; 6]);
        assert!(results.iter().all(Result::is_ok), "{results:?}");
        assert_eq!(servers.each_ref().map(|server| server.asked().len()), counts, "{conf}");
    }
}

#[test]
fn a_candidate_without_an_answer_does_not_end_the_search() {
    let zone = |name: &str, _| match name {
        "echo.last.test" | "bare" => Reply::Addresses(&["10.9.9.1"]),
        name if name.ends_with(".silent.test") => Reply::Never,
        _ => NXDOMAIN,
    };
    // Once the candidate ends by its own time, once by its share of the lookup's.
    for (options, limit) in [("timeout:1 attempts:1", LONG), ("", Duration::from_secs(3))] {
        let server = Server::start(zone);
        let conf = format!("search silent.test last.test\noptions {options}\n");
        let config = NamesConfig { timeout: limit, ..asking(&[server.address], &conf) };
        let [searched, bare, nope] = look_up(&config, ["echo", "bare", "nope"]);
        assert_eq!(found(&searched), ["10.9.9.1"]);
        assert_eq!(found(&bare), ["10.9.9.1"]);
        let said = failed(&nope);
        assert!(said.contains("no answer within "), "it may exist: {said}");
        assert!(said.ends_with("(asked for nope.silent.test)"), "{said}");
    }
}

#[test]
fn use_vc_asks_over_tcp_alone() {
    let server = Server::start(|_, _| Reply::OverTcp(&["10.9.9.1"]));
    let [result] = look_up(&asking(&[server.address], ""), ["echo.test"]);
    assert_eq!((found(&result), server.asked().len()), (vec!["10.9.9.1"], 2));
    let [result] = look_up(&asking(&[server.address], "options use-vc\n"), ["echo.test"]);
    assert_eq!((found(&result), server.asked().len()), (vec!["10.9.9.1"], 3));
    let without = Server::start_without_tcp(|_, _| Reply::Addresses(&["10.6.6.6"]));
    let servers = [without.address, server.address];
    let [result] = look_up(&asking(&servers, "options use-vc\n"), ["echo.test"]);
    assert_eq!(found(&result), ["10.9.9.1"]);
    assert_eq!(without.asked(), [""; 0]);
}

#[test]
fn edns0_is_offered_and_left_out_for_a_server_that_does_not_know_it() {
    // The last byte of the header counts the additional records: the OPT record is one.
    let old = raw(|query| {
        if query[11] > 0 {
            return header(query, [0x81, 0x81], 0);
        }
        let record = [0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 10, 9, 9, 1];
        let mut answer = [&header(query, [0x81, 0x80], 1), &query[12..], &record].concat();
        answer[7] = 1;
        answer
    });
    for (conf, queries) in [("", 1), ("options edns0\n", 2)] {
        let before = old.asked().len();
        let [result] = look_up(&asking(&[old.address], conf), ["echo.test"]);
        assert_eq!(found(&result), ["10.9.9.1"], "{conf}");
        assert_eq!(old.asked().len() - before, queries, "{conf}");
    }
}

#[test]
fn no_aaaa_leaves_ipv6_out_unless_it_is_asked_for() {
    let server = Server::start(|_, _| Reply::Addresses(&["10.9.9.1", "fd00::1"]));
    let config = asking(&[server.address], "options no-aaaa\n");
    let of = |family| NamesConfig { family, ..config.clone() };
    let [any] = look_up(&of(Family::Any), ["echo.test"]);
    assert_eq!((found(&any), server.asked()), (vec!["10.9.9.1"], vec!["echo.test A".to_owned()]));
    let [v6] = look_up(&of(Family::V6), ["echo.test"]);
    assert_eq!(found(&v6), ["fd00::1"]);
}

#[test]
fn a_family_that_fails_everywhere_does_not_hide_the_other() {
    let first = Server::start(|_, kind| match kind {
        RecordType::A => Reply::Addresses(&["10.9.9.1"]),
        _ => Reply::Code(ResponseCode::ServFail),
    });
    let second = Server::start(|_, _| Reply::Never);
    let config = asking(&[first.address, second.address], "");
    let config = NamesConfig { family: Family::Any, ..config };
    let start = Instant::now();
    let [result, again] = look_up(&config, ["echo.test"; 2]);
    assert_eq!(found(&result), ["10.9.9.1"]);
    assert_eq!(found(&again), ["10.9.9.1"]);
    assert!(start.elapsed() < Duration::from_secs(3), "{:?}", start.elapsed());
    assert_eq!(first.asked().iter().filter(|asked| *asked == "echo.test A").count(), 1, "cached");
}

#[test]
fn forged_answers_are_not_taken() {
    let socket = UdpSocket::bind("127.0.0.1:0").expect("loopback");
    let server = socket.local_addr().expect("bound");
    let forger = std::thread::spawn(move || {
        let mut packet = [0; 512];
        let (length, from) = socket.recv_from(&mut packet).expect("a query");
        let query = &packet[..length];
        let answer = |last: u8| {
            let record = [0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 10, 9, 9, last];
            let mut answer = [&header(query, [0x81, 0x80], 1), &query[12..], &record].concat();
            answer[7] = 1;
            answer
        };
        let (mut number, mut name, mut kind) = (answer(66), answer(66), answer(66));
        number[0] ^= 0x55;
        name[13] ^= 1;
        kind[query.len() - 3] = 28;
        // Another machine's answer, with everything right but where it comes from.
        let other = UdpSocket::bind("127.0.0.2:0").expect("loopback");
        other.send_to(&answer(66), from).expect("sent");
        for forged in [number, name, kind, vec![], query.to_vec(), answer(1)] {
            socket.send_to(&forged, from).expect("sent");
        }
    });
    let [result] = look_up(&asking(&[server], ""), ["echo.test"]);
    forger.join().expect("it sent all");
    assert_eq!(found(&result), ["10.9.9.1"]);
}

#[test]
fn a_run_gets_its_answers_from_whichever_server_knows() {
    let echo = Echo::start(text_echo("p", "kops"));
    let (fails, knows) =
        (code(ResponseCode::ServFail), Server::start(|_, _| Reply::Addresses(&["127.0.0.1"])));
    let target = format!("echo.test.:{}", echo.port());
    for servers in [[fails.address, knows.address], [knows.address, fails.address]] {
        let servers = servers.map(|server| server.to_string()).join(",");
        let args = ["-t", &target, "-4", "--dns-servers", &servers, "-n", "20"];
        let (code, row) = row(&args);
        assert_eq!((code, &row["answers"]), (0, &20.into()), "{servers}: {row}");
    }
}

/// Two dnsmasq at 127.0.0.1 and 127.0.0.2, in a network and with an /etc/resolv.conf of their own: one
/// refuses all names but its own, the other one knows the name. What curl can reach through glibc,
/// prober can.
#[test]
fn real_dnsmasq_is_asked_as_the_system_says() {
    let script = "set -e
        ip link set lo up
        dir=$2
        one() {
            dnsmasq --no-daemon --conf-file=/dev/null --no-resolv --no-hosts --bind-interfaces \
                --listen-address=\"$@\" >/dev/null 2>&1 &
        }
        until_it() {
            tries=0
            until \"$@\" 2>&1 | grep -q \"$expected\"; do
                tries=$((tries + 1)); test $tries -lt 300; sleep 0.05
            done
        }
        one 127.0.0.1
        one 127.0.0.2 --address=/echo.mesh.test/127.0.0.1 --local=/test/
        \"$1\" --host 127.0.0.1 --cluster kops --pod p >/dev/null 2>&1 &
        expected=REFUSED until_it \"$0\" -t a.:8080 --dns-servers 127.0.0.1 -n 1
        expected='0 failed' until_it \"$0\" -t echo.mesh.test.:8080 -4 --dns-servers 127.0.0.2 -n 1
        for order in '127.0.0.1 127.0.0.2' '127.0.0.2 127.0.0.1' '127.0.0.3 127.0.0.2'; do
            { echo 'search none.test mesh.test'; for s in $order; do echo nameserver $s; done; } >\"$dir/conf\"
            mount --bind \"$dir/conf\" /etc/resolv.conf
            \"$0\" -t echo:8080 -4 -n 10 -o json --quiet
            curl -4 -s -S -o /dev/null http://echo:8080/
            umount /etc/resolv.conf
        done
        echo 'nameserver 127.0.0.1' >\"$dir/conf\"
        mount --bind \"$dir/conf\" /etc/resolv.conf
        \"$0\" -t nope:8080 -4 -n 1 -o json --quiet || true";
    let own = super::name_faults::own_network();
    let folder = tempfile::tempdir().expect("a folder");
    let mut shell = Command::new(own[0]);
    shell.arg("-m").args(&own[1..]).args(["sh", "-c", script]).arg(bin("prober")).arg(bin("echo"));
    let said = finish(shell.arg(folder.path()));
    assert_eq!((said.code, said.stderr.as_str()), (0, ""), "{said:?}");
    let reports: Vec<serde_json::Value> = serde_json::Deserializer::from_str(&said.stdout)
        .into_iter()
        .collect::<Result<_, _>>()
        .expect("reports");
    let [known @ .., unknown] = &reports[..] else { panic!("no report: {said:?}") };
    assert_eq!(known.len(), 3, "{said:?}");
    for report in known {
        assert_eq!(report["rows"][0]["answers"], 10, "{report}");
    }
    let what = &unknown["rows"][0]["failures"][0]["what"];
    assert_eq!(what, "name 'nope': REFUSED from DNS server 127.0.0.1", "{unknown}");
}
