//! Looking names up, against a DNS server on loopback that answers as each test
//! says: right, wrong, late or never. curl and the machine's own DNS stay out.

use std::cell::Cell;
use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{IpAddr, SocketAddr, TcpListener, UdpSocket};
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use ::prober::{Family, LookupError, Names, NamesConfig};
use hickory_resolver::proto::op::{Message, ResponseCode};
use hickory_resolver::proto::rr::rdata::CNAME;
use hickory_resolver::proto::rr::{Name, RData, Record, RecordType};
use rustix::net::{AddressFamily, SocketType};

/// Long enough to say "at once" of on a busy machine.
const SOON: Duration = Duration::from_secs(2);
const TTL: u32 = 60;

/// What the server says to one question.
pub(crate) enum Reply {
    /// Those of the addresses that are of the type asked for.
    Addresses(&'static [&'static str]),
    /// The same, for so many seconds; where they are many, over TCP alone.
    Lasting(u32, Vec<String>),
    /// These bytes, made from the query's.
    Raw(FromQuery),
    Alias(&'static str),
    Code(ResponseCode),
    Never,
    /// Truncated over UDP; over TCP as [`Reply::Addresses`].
    OverTcp(&'static [&'static str]),
}

/// Makes the bytes of an answer from those of a query.
pub(crate) type FromQuery = fn(&[u8]) -> Vec<u8>;

pub(crate) const NXDOMAIN: Reply = Reply::Code(ResponseCode::NXDomain);

/// A DNS server on loopback; stopped when dropped.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    /// `name TYPE` of each question, in order.
    asked: Arc<Mutex<Vec<String>>>,
    stop: Arc<AtomicBool>,
    _reserved: Option<OwnedFd>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    pub(crate) fn start(answer: impl Fn(&str, RecordType) -> Reply + Send + 'static) -> Self {
        let (udp, tcp) = sockets();
        Self::serve(udp, Some(tcp), answer)
    }

    /// The same, refusing TCP.
    pub(crate) fn start_without_tcp(
        answer: impl Fn(&str, RecordType) -> Reply + Send + 'static,
    ) -> Self {
        let (udp, tcp) = sockets();
        let address = udp.local_addr().expect("bound");
        drop(tcp);
        // Bound without listening: every connection is refused, and nobody else gets the port.
        let reserved = rustix::net::socket(AddressFamily::INET, SocketType::STREAM, None);
        let reserved = reserved.expect("a socket");
        rustix::net::bind(&reserved, &address).expect("it was free a moment ago");
        let mut server = Self::serve(udp, None, answer);
        server._reserved = Some(reserved);
        server
    }

    fn serve(
        udp: UdpSocket,
        tcp: Option<TcpListener>,
        answer: impl Fn(&str, RecordType) -> Reply + Send + 'static,
    ) -> Self {
        let address = udp.local_addr().expect("bound");
        let asked = Arc::new(Mutex::new(Vec::new()));
        let stop = Arc::new(AtomicBool::new(false));
        let (log, stopped) = (Arc::clone(&asked), Arc::clone(&stop));
        let thread = std::thread::spawn(move || {
            let mut packet = [0; 4096];
            while !stopped.load(Ordering::Relaxed) {
                if let Some(Ok((mut stream, _))) = tcp.as_ref().map(TcpListener::accept) {
                    let mut length = [0; 2];
                    stream.set_nonblocking(false).expect("blocking");
                    stream.read_exact(&mut length).expect("a length");
                    let query = &mut packet[..u16::from_be_bytes(length).into()];
                    stream.read_exact(query).expect("a query");
                    if let Some(reply) = respond(query, true, &answer, &log) {
                        let length = u16::try_from(reply.len()).expect("it fits").to_be_bytes();
                        stream.write_all(&[&length[..], &reply].concat()).expect("sent");
                    }
                }
                match udp.recv_from(&mut packet) {
                    Ok((length, from)) => {
                        if let Some(reply) = respond(&packet[..length], false, &answer, &log) {
                            udp.send_to(&reply, from).expect("sent");
                        }
                    }
                    Err(error) => assert!(
                        matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut),
                        "{error}"
                    ),
                }
            }
        });
        Self { address, asked, stop, _reserved: None, thread: Some(thread) }
    }

    pub(crate) fn asked(&self) -> Vec<String> {
        self.asked.lock().expect("no panic holds it").clone()
    }

    fn config(&self, family: Family) -> NamesConfig {
        NamesConfig { servers: vec![self.address], family, ..files("", "") }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        let ended = self.thread.take().expect("dropped once").join();
        assert!(ended.is_ok() || std::thread::panicking(), "the DNS server failed");
    }
}

/// UDP and TCP on the same free port.
fn sockets() -> (UdpSocket, TcpListener) {
    for _ in 0..100 {
        let udp = UdpSocket::bind("127.0.0.1:0").expect("loopback");
        if let Ok(tcp) = TcpListener::bind(udp.local_addr().expect("bound")) {
            udp.set_read_timeout(Some(Duration::from_millis(10))).expect("a timeout");
            tcp.set_nonblocking(true).expect("not blocking");
            return (udp, tcp);
        }
    }
    panic!("no port is free for both");
}

fn respond(
    packet: &[u8],
    tcp: bool,
    answer: &impl Fn(&str, RecordType) -> Reply,
    log: &Mutex<Vec<String>>,
) -> Option<Vec<u8>> {
    let mut message = Message::from_vec(packet).expect("a query").into_response();
    let (name, kind) = (message.queries[0].name().clone(), message.queries[0].query_type());
    let text = name.to_ascii().to_ascii_lowercase();
    let text = text.trim_end_matches('.');
    log.lock().expect("no panic holds it").push(format!("{text} {kind}"));
    let mut add = |ttl: u32, addresses: &mut dyn Iterator<Item = &str>| {
        let records = addresses.map(|text| text.parse::<IpAddr>().expect("an address").into());
        for data in records.filter(|data: &RData| data.record_type() == kind) {
            message.add_answer(Record::from_rdata(name.clone(), ttl, data));
        }
    };
    match answer(text, kind) {
        Reply::Raw(make) => return Some(make(packet)),
        Reply::Never => return None,
        Reply::Code(code) => message.metadata.response_code = code,
        Reply::OverTcp(_) if !tcp => message.metadata.truncation = true,
        // Without EDNS an answer over UDP has 512 bytes at most.
        Reply::Lasting(_, addresses) if !tcp && addresses.len() > 28 => {
            message.metadata.truncation = true;
        }
        Reply::Lasting(ttl, addresses) => add(ttl, &mut addresses.iter().map(String::as_str)),
        Reply::Addresses(addresses) | Reply::OverTcp(addresses) => {
            add(TTL, &mut addresses.iter().copied());
        }
        Reply::Alias(target) => {
            let target = RData::CNAME(CNAME(Name::from_ascii(target).expect("a name")));
            message.add_answer(Record::from_rdata(name, TTL, target));
        }
    }
    Some(message.to_vec().expect("a message"))
}

thread_local! {
    /// Each test has a thread, and a folder that goes when the thread ends.
    static FOLDER: (tempfile::TempDir, Cell<u32>) =
        (tempfile::tempdir().expect("a folder"), Cell::new(0));
}

/// A configuration that knows only these files, and gives up after a second.
pub(crate) fn files(hosts: &str, resolv_conf: &str) -> NamesConfig {
    let write = |text: &str| -> PathBuf {
        FOLDER.with(|(folder, count)| {
            count.set(count.get() + 1);
            let path = folder.path().join(count.get().to_string());
            std::fs::write(&path, text).expect("written");
            path
        })
    };
    NamesConfig {
        timeout: Duration::from_secs(1),
        hosts_file: write(hosts),
        resolv_conf: write(resolv_conf),
        ..NamesConfig::default()
    }
}

/// Looks each of the hosts up in turn with one `Names`, on a runtime of its own.
pub(crate) fn look_up<const N: usize>(
    config: &NamesConfig,
    hosts: [&str; N],
) -> [Result<Vec<String>, LookupError>; N] {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let names = Names::new(config);
    hosts.map(|host| {
        runtime.block_on(names.lookup(host)).map(|all| all.iter().map(IpAddr::to_string).collect())
    })
}

#[track_caller]
pub(crate) fn found(result: &Result<Vec<String>, LookupError>) -> Vec<&str> {
    result.as_ref().expect("found").iter().map(String::as_str).collect()
}

#[track_caller]
pub(crate) fn failed(result: &Result<Vec<String>, LookupError>) -> String {
    result.as_ref().expect_err("not found").to_string()
}

#[test]
fn addresses_of_both_families_are_found_and_the_order_within_each_kept() {
    let both = &["10.9.9.2", "10.9.9.1", "::1:2", "::1:1"];
    let server = Server::start(|_, _| Reply::Addresses(both));
    let [result] = look_up(&server.config(Family::Any), ["echo.test"]);
    let (v6, v4): (Vec<_>, Vec<_>) = found(&result).into_iter().partition(|ip| ip.contains(':'));
    assert_eq!(v4, ["10.9.9.2", "10.9.9.1"]);
    assert_eq!(v6, ["::1:2", "::1:1"].map(|ip| ip.parse::<IpAddr>().unwrap().to_string()));
    let mut asked = server.asked();
    asked.sort();
    assert_eq!(asked, ["echo.test A", "echo.test AAAA"]);
}

#[test]
fn a_family_asked_for_is_the_only_one_asked_about() {
    let server = Server::start(|_, _| Reply::Addresses(&["10.9.9.1", "fd00::1"]));
    let [result] = look_up(&server.config(Family::V4), ["echo.test"]);
    assert_eq!(found(&result), ["10.9.9.1"]);
    let [result] = look_up(&server.config(Family::V6), ["echo.test"]);
    assert_eq!(found(&result), ["fd00::1"]);
    assert_eq!(server.asked(), ["echo.test A", "echo.test AAAA"]);
}

#[test]
fn a_name_without_the_family_is_told_from_one_that_is_not_there() {
    let server = Server::start(|name, _| match name {
        "four.test" => Reply::Addresses(&["10.9.9.1"]),
        "none.test" => Reply::Addresses(&[]),
        _ => NXDOMAIN,
    });
    let start = Instant::now();
    let [four, none, nope] =
        look_up(&server.config(Family::V6), ["four.test", "none.test", "nope.test"]);
    assert_eq!(failed(&four), "name 'four.test' has no IPv6 address");
    assert_eq!(failed(&none), "name 'none.test' has no IPv6 address");
    assert_eq!(failed(&nope), "name 'nope.test' not found (NXDOMAIN)");
    let [none, four] = look_up(&server.config(Family::Any), ["none.test", "four.test"]);
    assert_eq!(failed(&none), "name 'none.test' has no IP address");
    assert_eq!(found(&four), ["10.9.9.1"]);
    assert!(start.elapsed() < SOON, "a no is an answer: {:?}", start.elapsed());
}

#[test]
fn a_server_that_fails_is_quoted() {
    let server = Server::start(|name, _| match name {
        "refused.test" => Reply::Code(ResponseCode::Refused),
        _ => Reply::Code(ResponseCode::ServFail),
    });
    let start = Instant::now();
    let [failing, refused] = look_up(&server.config(Family::Any), ["failing.test", "refused.test"]);
    let at = format!("from DNS server {}", server.address);
    assert_eq!(failed(&failing), format!("name 'failing.test': SERVFAIL {at}"));
    assert_eq!(failed(&refused), format!("name 'refused.test': REFUSED {at}"));
    assert!(start.elapsed() < SOON, "{:?}", start.elapsed());
}

#[test]
fn a_server_that_never_answers_is_given_up_on_in_time() {
    let server = Server::start(|_, _| Reply::Never);
    let config = NamesConfig {
        servers: vec![server.address],
        timeout: Duration::from_millis(700),
        ..files("", "search a.test b.test c.test\n")
    };
    let start = Instant::now();
    let [result] = look_up(&config, ["echo"]);
    let took = start.elapsed();
    assert_eq!(
        failed(&result),
        format!("name 'echo': no answer within 700ms from DNS server {}", server.address)
    );
    assert!(took >= config.timeout && took < config.timeout + SOON, "{took:?}");
}

#[test]
fn a_family_whose_queries_are_dropped_does_not_hide_the_other() {
    let server = Server::start(|_, kind| match kind {
        RecordType::A => Reply::Addresses(&["10.9.9.1"]),
        _ => Reply::Never,
    });
    let mut config = server.config(Family::Any);
    config.timeout = Duration::from_secs(20);
    let start = Instant::now();
    let [result] = look_up(&config, ["echo.test"]);
    assert_eq!(found(&result), ["10.9.9.1"]);
    assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
}

#[test]
fn search_domains_and_ndots_decide_what_is_asked_and_in_which_order() {
    let zone = |name: &str, _| match name {
        "echo1.svc.cluster.test" | "echo.prod.svc.cluster.test" | "www.example.test" => {
            Reply::Addresses(&["10.9.9.1"])
        }
        _ => NXDOMAIN,
    };
    let resolv_conf = "search a.svc.cluster.test svc.cluster.test\noptions ndots:2\n";
    for (host, asked) in [
        ("echo1", &["echo1.a.svc.cluster.test A", "echo1.svc.cluster.test A"][..]),
        ("echo.prod", &["echo.prod.a.svc.cluster.test A", "echo.prod.svc.cluster.test A"]),
        ("www.example.test", &["www.example.test A"]),
        ("www.example.test.", &["www.example.test A"]),
    ] {
        let server = Server::start(zone);
        let config = NamesConfig {
            servers: vec![server.address],
            family: Family::V4,
            ..files("", resolv_conf)
        };
        let [result] = look_up(&config, [host]);
        assert_eq!(found(&result), ["10.9.9.1"], "{host}");
        assert_eq!(server.asked(), asked, "{host}");
    }
    let server = Server::start(zone);
    let config = NamesConfig { servers: vec![server.address], ..files("", resolv_conf) };
    let [relative, absolute] = look_up(&config, ["nope", "echo1."]);
    assert_eq!(
        failed(&relative),
        "name 'nope' not found (NXDOMAIN; \
         tried nope.a.svc.cluster.test, nope.svc.cluster.test, nope)"
    );
    assert_eq!(failed(&absolute), "name 'echo1.' not found (NXDOMAIN)");
}

#[test]
fn a_search_domain_that_fails_does_not_stop_the_search_but_is_reported() {
    let server = Server::start(|name, _| match name {
        "echo.good.test" => Reply::Addresses(&["10.9.9.1"]),
        name if name.ends_with(".bad.test") => Reply::Code(ResponseCode::ServFail),
        _ => NXDOMAIN,
    });
    let config =
        NamesConfig { servers: vec![server.address], ..files("", "search bad.test good.test\n") };
    let [echo, nope] = look_up(&config, ["echo", "nope"]);
    assert_eq!(found(&echo), ["10.9.9.1"]);
    assert!(failed(&nope).contains("SERVFAIL"), "{nope:?}");
}

#[test]
fn answers_are_cached_for_their_ttl() {
    let server = Server::start(|_, _| Reply::Addresses(&["10.9.9.1"]));
    let [first, second] = look_up(&server.config(Family::V4), ["echo.test", "ECHO.test"]);
    assert_eq!(found(&first), found(&second));
    assert_eq!(server.asked(), ["echo.test A"]);
}

#[test]
fn aliases_are_followed_but_not_for_ever_and_long_answers_come_over_tcp() {
    let server = Server::start(|name, _| match name {
        "alias.test" => Reply::Alias("real.test."),
        "real.test" => Reply::Addresses(&["10.9.9.1"]),
        "round.test" => Reply::Alias("about.test."),
        "about.test" => Reply::Alias("round.test."),
        "long.test" => Reply::OverTcp(&["10.9.9.2", "10.9.9.3"]),
        _ => NXDOMAIN,
    });
    let start = Instant::now();
    let [alias, long, round] =
        look_up(&server.config(Family::V4), ["alias.test", "long.test", "round.test"]);
    assert_eq!(found(&alias), ["10.9.9.1"]);
    assert_eq!(found(&long), ["10.9.9.2", "10.9.9.3"]);
    assert!(failed(&round).starts_with("name 'round.test'"), "{round:?}");
    assert!(start.elapsed() < SOON, "{:?}", start.elapsed());
}

#[test]
fn the_hosts_file_goes_first_and_alone() {
    let server = Server::start(|_, _| Reply::Addresses(&["10.9.9.1", "fd00::1"]));
    let hosts = "# comment\n10.8.8.1 Echo1 echo1.test # more\n10.8.8.2 echo1\nnonsense\n";
    let config = |family| NamesConfig { servers: vec![server.address], family, ..files(hosts, "") };
    let [short, dotted] = look_up(&config(Family::Any), ["echo1", "ECHO1.test"]);
    assert_eq!(found(&short), ["10.8.8.1", "10.8.8.2"]);
    assert_eq!(found(&dotted), ["10.8.8.1"]);
    assert_eq!(server.asked(), [""; 0], "IPv6 neither");
    let [short] = look_up(&config(Family::V6), ["echo1"]);
    assert_eq!(found(&short), ["fd00::1"], "what the file lacks is asked for");
}

#[test]
fn literals_and_localhost_ask_nobody() {
    let server = Server::start(|_, _| NXDOMAIN);
    let hosts = ["10.8.8.1", "[::1]", "::1", "localhost", "a.localhost."];
    let [v4, bracketed, bare, local, under] = look_up(&server.config(Family::Any), hosts);
    assert_eq!(found(&v4), ["10.8.8.1"]);
    assert_eq!(found(&bracketed), ["::1"]);
    assert_eq!(found(&bare), ["::1"]);
    assert_eq!(found(&local), ["127.0.0.1", "::1"]);
    assert_eq!(found(&under), ["127.0.0.1", "::1"]);
    let [v4, bracketed, _, local, _] = look_up(&server.config(Family::V6), hosts);
    assert_eq!(failed(&v4), "name '10.8.8.1' has no IPv6 address");
    assert_eq!(found(&bracketed), ["::1"]);
    assert_eq!(found(&local), ["::1"]);
    assert_eq!(server.asked(), [""; 0]);
}

#[test]
fn a_resolv_conf_that_is_missing_or_names_no_server_fails_only_what_needs_it() {
    let absent = NamesConfig {
        resolv_conf: "/nonexistent/resolv.conf".into(),
        ..files("10.8.8.1 echo1\n", "")
    };
    let [name, hosts, literal, local] =
        look_up(&absent, ["nope.test", "echo1", "127.0.0.1", "localhost"]);
    assert_eq!(
        failed(&name),
        "name 'nope.test': no DNS server is configured \
         (/nonexistent/resolv.conf: No such file or directory); \
         add --dns-servers"
    );
    assert!(matches!(name, Err(LookupError::NoServers { .. })));
    assert_eq!(found(&hosts), ["10.8.8.1"]);
    assert_eq!(found(&literal), ["127.0.0.1"]);
    assert!(found(&local).contains(&"127.0.0.1"));

    let [name] = look_up(&files("", "search a.test\nfrobnicate\n"), ["nope.test"]);
    assert!(failed(&name).contains("it names no server"), "{name:?}");

    let server = Server::start(|_, _| Reply::Addresses(&["10.9.9.1"]));
    let [name] = look_up(&NamesConfig { servers: vec![server.address], ..absent }, ["echo.test"]);
    assert_eq!(found(&name), ["10.9.9.1"]);
}

#[test]
fn what_cannot_be_a_name_is_refused() {
    let server = Server::start(|_, _| NXDOMAIN);
    let long = "a".repeat(64) + ".test";
    let [long, blank] = look_up(&server.config(Family::Any), [long.as_str(), "a b"]);
    assert!(failed(&long).contains("is not a name that can be looked up"), "{long:?}");
    assert!(failed(&blank).contains("'a b' is not a name"), "{blank:?}");
    assert_eq!(server.asked(), [""; 0]);
}

/// Looks `echo.test` up until `enough`, at most until the deadline; each answer with the
/// time from the first question to it.
fn watch(
    config: &NamesConfig,
    enough: impl Fn(&[(Duration, IpAddr)]) -> bool,
) -> Vec<(Duration, IpAddr)> {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let names = Names::new(config);
    let start = Instant::now();
    let mut seen = Vec::new();
    crate::harness::wait_until("the answers are as they should be", || {
        let found = runtime.block_on(names.lookup("echo.test")).expect("found");
        seen.push((start.elapsed(), found[0]));
        enough(&seen).then_some(())
    });
    seen
}

/// Answers each query with another address: 10.9.9.1, 10.9.9.2 and so on, for `ttl` seconds.
fn changing(ttl: u32) -> Server {
    let count = AtomicU32::new(0);
    Server::start(move |_, _| {
        let n = count.fetch_add(1, Ordering::Relaxed) + 1;
        Reply::Lasting(ttl, vec![format!("10.9.9.{n}")])
    })
}

#[test]
fn an_answer_holds_for_its_ttl_and_not_longer() {
    let server = changing(1);
    let seen = watch(&server.config(Family::V4), |seen| {
        seen.last().is_some_and(|(_, address)| address.to_string() == "10.9.9.3")
    });
    let first = |address: &str| {
        let at = seen.iter().find(|(_, found)| found.to_string() == address);
        at.unwrap_or_else(|| panic!("{address} was skipped: {seen:?}")).0
    };
    let ttl = Duration::from_secs(1);
    assert!(first("10.9.9.2") >= ttl, "{seen:?}");
    assert!(first("10.9.9.3") >= 2 * ttl, "{seen:?}");
    assert_eq!(server.asked().len(), 3);
}

#[test]
fn an_answer_without_a_ttl_is_asked_for_each_time() {
    let server = changing(0);
    let seen = watch(&server.config(Family::V4), |seen| seen.len() == 5);
    let last: Vec<_> = seen.iter().map(|(_, address)| address.to_string()).collect();
    assert_eq!(last, ["10.9.9.1", "10.9.9.2", "10.9.9.3", "10.9.9.4", "10.9.9.5"]);
}

#[test]
fn looking_up_anew_asks_each_time_and_shares_no_answer() {
    let server = changing(60);
    let config = NamesConfig { anew: true, ..server.config(Family::V4) };
    let seen = watch(&config, |seen| seen.len() == 5);
    assert_eq!(server.asked().len(), 5, "{seen:?}");
    assert_ne!(seen[0].1, seen[4].1);

    // Under way at the same time: as many queries as look-ups, and only one otherwise.
    for (anew, queries) in [(true, 6), (false, 1)] {
        let server = changing(60);
        let config = NamesConfig { anew, ..server.config(Family::V4) };
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let names = Names::new(&config);
        runtime.block_on(async {
            let look_up = || names.lookup("echo.test");
            let (a, b, c, d, e, f) =
                tokio::join!(look_up(), look_up(), look_up(), look_up(), look_up(), look_up());
            assert!([a, b, c, d, e, f].iter().all(Result::is_ok));
        });
        assert_eq!(server.asked().len(), queries, "anew: {anew}");
    }
}
