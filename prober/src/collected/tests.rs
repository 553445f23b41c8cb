//! Which lines are answers, what they count as, and every way in which a line is refused.

use std::io::{BufReader, Read};
use std::time::Duration;

use echo_reply::{Identity, TextLine};
use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::line::Entry;
use super::*;
use crate::expectation;
use crate::tally::outcome::{Failure, FailureKind};
use crate::tally::{Label, Stopped, Tally};
use crate::verdict::{Judged, Sampling, Verdict};

fn judging(sampling: Sampling, expectations: &[&str]) -> Judging {
    let read = |text: &&str| expectation::parse(text).unwrap();
    let rules = Rules { sampling, min_time: Duration::from_secs(1), ..Rules::default() };
    Judging { expectations: expectations.iter().map(read).collect(), rules, most: 20_000 }
}

/// The rows of several files, with their names.
fn files(judging: &Judging, files: &[(&str, &str)]) -> Result<Vec<Row>, String> {
    let mut collection = Collection::new(judging);
    for (name, text) in files {
        collection.read(name, text.as_bytes()).map_err(|error| error.to_string())?;
    }
    Ok(collection.rows())
}

/// The rows of one file, all of which is read.
fn read(text: &str) -> Result<Vec<Row>, String> {
    files(&judging(Sampling::Fixed, &["errors = 0"]), &[("f", text)])
}

/// The only row's tally.
fn tally(text: &str) -> Tally {
    let rows = read(text).unwrap();
    assert_eq!(rows.len(), 1, "{text}");
    rows[0].tally().unwrap().clone()
}

/// The only row's verdicts on a file that is read until they are decided.
fn until_decided(text: &str, expectations: &[&str]) -> (Tally, Vec<Judged>) {
    let rows = files(&judging(Sampling::UntilDecided, expectations), &[("f", text)]).unwrap();
    (rows[0].tally().unwrap().clone(), rows[0].verdicts().to_vec())
}

/// The answer on the last line.
fn entry(lines: &str) -> Entry {
    let mut format = Format::default();
    let mut last = None;
    for line in lines.lines() {
        last = match format.read(line).unwrap() {
            Line::Answer(entry) => Some(*entry),
            _ => None,
        };
    }
    last.expect("an answer")
}

fn headings(rows: &[Row]) -> Vec<String> {
    rows.iter().map(Row::heading).collect()
}

fn requests(rows: &[Row]) -> Vec<u64> {
    rows.iter().map(|row| row.tally().unwrap().requests()).collect()
}

/// An answer of the pod p in kops of which nothing else is known.
fn plain() -> Entry {
    Entry {
        url: None,
        result: Ok(Identity::new("p", "kops")),
        address: None,
        connection: None,
        attempt: None,
        latency_us: None,
        at_us: None,
    }
}

#[test]
fn an_answer_is_the_same_in_each_form() {
    for text in [
        r#"{"pod": "p", "cluster": "kops"}"#,
        r#"{"cluster":" kops ","pod":"p","zone":null,"region":"","status":200,"x":[{}]}"#,
        "cluster,pod\nkops,p",
        "pod,cluster\r\np,kops\r\n",
        "pod , cluster , zone\np , kops , ",
        "\"pod\",\"cluster\"\n\"p\",\"kops\"",
        "\u{feff}pod,cluster\np,kops",
        "zone\nz\npod,cluster\np,kops",
    ] {
        assert_eq!(entry(text), plain(), "{text}");
    }
    let url = Some("http://echo2:8080/hello".to_owned());
    for text in [
        "[URL: http://echo2:8080/hello] on [pod: p] in [cluster: kops]",
        "  http://echo2:8080/hello on [pod: p] in [cluster: kops]\r\n",
    ] {
        assert_eq!(entry(text), Entry { url: url.clone(), ..plain() }, "{text}");
    }
}

#[test]
fn every_value_of_an_answer_is_read() {
    let mut identity = Identity::new("p,1", "kops");
    identity.namespace = Some("n".into());
    identity.node = Some("no".into());
    identity.zone = Some("z".into());
    identity.region = Some("r".into());
    identity.version = Some("2".into());
    let whole = Entry {
        result: Ok(identity),
        address: Some("10.1.2.3:80".parse().unwrap()),
        connection: Some("7".into()),
        attempt: Some(2),
        latency_us: Some(1500),
        at_us: Some(1_700_000_000_000_001),
        ..plain()
    };
    for text in [
        r#"{"cluster":"kops","pod":"p,1","namespace":"n","node":"no","zone":"z","region":"r",
           "version":"2","address":"10.1.2.3:80","connection":7,"attempt":2,"latency_us":1500,
           "at_us":1700000000000001,"failed":null}"#,
        r#"{"cluster":"kops","pod":"p,1","namespace":"n","node":"no","zone":"z","region":"r",
           "version":2,"address":"10.1.2.3:80","connection":"7","attempt":"2.0",
           "latency_us":"1500.2","at_us":"1700000000000001","failed":false}"#,
        "failed,at_us,latency_us,attempt,connection,address,version,region,zone,node,namespace,pod,\
         cluster\n,1700000000000001,1.5e3,2,7,10.1.2.3:80,2,r,z,no,n,\"p,1\",kops",
    ] {
        // An object is on one line.
        let text = text.replace("\n           ", "");
        assert_eq!(entry(&text), whole, "{text}");
    }
    assert_eq!(entry(r#"{"address":"::1"}"#).address, Some("[::1]:0".parse().unwrap()));
}

#[test]
fn a_failure_has_a_kind_where_its_words_name_one() {
    for (words, kind, what) in [
        ("timeout", FailureKind::Timeout, "timeout"),
        ("reset: by peer", FailureKind::Reset, "reset: by peer"),
        ("503", FailureKind::Status, "503"),
        ("502 Bad Gateway", FailureKind::Status, "502 Bad Gateway"),
        ("curl: (7) Failed to connect", FailureKind::Connect, "curl: (7) Failed to connect"),
        ("curl: (28) timed out", FailureKind::Timeout, "curl: (28) timed out"),
        ("curl: (3) bad URL", FailureKind::Unidentified, "curl: (3) bad URL"),
        ("12345", FailureKind::Unidentified, "12345"),
        ("true", FailureKind::Unidentified, "no reason given"),
        ("a\u{1b}[31m\tb", FailureKind::Unidentified, "a [31m b"),
    ] {
        let failed = Err(Failure::new(kind, what));
        assert_eq!(entry(&json!({"failed": words, "pod": "p"}).to_string()).result, failed);
        if !words.contains(char::is_control) {
            assert_eq!(entry(&format!("failed\n{words}")).result, failed);
        }
    }
    assert_eq!(entry(r#"{"failed":true}"#).result, entry("failed\nTrue").result);
    let tally = tally(
        r#"{"failed":"timeout"}
           {"failed":"timeout","connection":1}
           {"pod":"p"}"#,
    );
    assert_eq!((tally.failed_requests(), tally.answers(), tally.connections), (2, 1, 1));
}

#[test]
fn a_line_that_says_that_nothing_failed_is_an_answer() {
    for text in [
        r#"{"failed":false}"#,
        r#"{"failed":"false"}"#,
        r#"{"failed":null}"#,
        r#"{"failed":""}"#,
        r#"{"failed":0}"#,
        r#"{"cluster":null}"#,
        "failed\nFalse",
        "failed\n0",
        "failed,pod\n,",
    ] {
        let tally = tally(text);
        assert_eq!((tally.answers(), tally.failed_requests()), (1, 0), "{text}");
    }
}

/// Long because it is the list of all messages.
#[test]
fn a_line_that_is_not_an_answer_is_refused_with_its_number() {
    let neither = "is not an answer; write the line of an echo, a JSON object, or CSV after a line \
                   with its columns";
    let columns = "cluster, pod, namespace, node, zone, region, version, address, connection, \
                   attempt, latency_us, at_us, failed";
    let long = "a".repeat(254);
    let begun = format!("{}…", "a".repeat(60));
    for (text, error) in [
        ("\n\nhello", format!("f:3: 'hello' {neither}")),
        ("curl", format!("f:1: 'curl' {neither}")),
        ("from a: wget b", format!("f:1: 'from a: wget b' {neither}")),
        ("kops,gke1", format!("f:1: 'kops,gke1' {neither}")),
        ("[1]", format!("f:1: '[1]' {neither}")),
        ("\u{1b}[1mit's", format!("f:1: '\\u{{1b}}[1mit's' {neither}")),
        ("{\"pod\": \"p\"", "f:1: '{\"pod\": \"p\"' is not a JSON object; write one on each line".into()),
        ("{}", format!("f:1: the object has no key of an answer; write at least one of {columns}")),
        (
            "{\"Pod\":\"p\"}",
            format!("f:1: the object has no key of an answer; write at least one of {columns}"),
        ),
        ("{\"pod\":[\"p\"]}", "f:1: pod '[\"p\"]': write a text or a number".into()),
        ("{\"connection\":{\"id\":1}}", "f:1: connection '{\"id\":1}': write a text or a number".into()),
        (
            "{\"connection\":[1],\"attempt\":\"1\"}",
            "f:1: connection '[1]': write a text or a number".into(),
        ),
        (
            "{\"pod\":\"p\\u001b[31m\"}",
            "f:1: pod 'p\\u{1b}[31m': write a name without control characters".into(),
        ),
        (
            r#"{"pod":"::error"}"#,
            "f:1: pod '::error': write a name that is not a command for a CI system, without '::' at \
             its start and '##'"
                .into(),
        ),
        ("pod\na\rb", "f:2: pod 'a\\rb': write a name without control characters".into()),
        (
            "pod,zone\n\"a\",\"b\rc\"",
            "f:2: zone 'b\\rc': write a name without control characters".into(),
        ),
        (&format!("pod\n{long}"), format!("f:2: pod '{begun}': write a name of at most 253 bytes")),
        (
            "{\"address\":\"kops\"}",
            "f:1: address 'kops': write IP or IP:PORT, such as 10.1.2.3:8080".into(),
        ),
        ("{\"attempt\":0}", attempt("0")),
        ("{\"attempt\":-1}", attempt("-1")),
        ("{\"attempt\":1.5}", attempt("1.5")),
        ("{\"attempt\":4294967296}", attempt("4294967296")),
        ("{\"attempt\":\"first\"}", attempt("first")),
        ("{\"latency_us\":-0.5}", latency("-0.5")),
        ("{\"latency_us\":3600000001}", latency("3600000001")),
        ("{\"latency_us\":1e300}", latency("1e300")),
        ("{\"latency_us\":1e400}", latency("1e400")),
        ("{\"latency_us\":\"NaN\"}", latency("NaN")),
        ("{\"latency_us\":\"inf\"}", latency("inf")),
        ("{\"latency_us\":true}", latency("true")),
        ("{\"latency_us\":\"2 ms\"}", latency("2 ms")),
        (
            "{\"at_us\":-1}",
            "f:1: at_us '-1': write a number of µs from 0 to 9007199254740992".into(),
        ),
        (
            "{\"at_us\":1700000000000000000}",
            "f:1: at_us '1700000000000000000': write a number of µs from 0 to 9007199254740992".into(),
        ),
        (
            "cluster,pod\nkops",
            "f:2: the line has 1 value, but the table has 2 columns; write a value for each column, \
             even an empty one"
                .into(),
        ),
        (
            "cluster\nkops,p",
            "f:2: the line has 2 values, but the table has 1 column; write a value for each column, \
             even an empty one"
                .into(),
        ),
        (
            "cluster,status\nkops,200",
            format!("f:1: 'status' is not a column; write only columns of {columns}"),
        ),
        ("pod,pod\na,b", "f:1: the column pod occurs twice; write it once".into()),
        (
            "pod\n\"a",
            "f:2: '\"a' has an opening quote without a closing one; write both on one line".into(),
        ),
        (
            "curl a\n\n",
            "f has no answers; write one on each line, such as {\"cluster\": \"kops\"}".into(),
        ),
        ("", "f has no answers; write one on each line, such as {\"cluster\": \"kops\"}".into()),
    ] {
        assert_eq!(read(text).unwrap_err(), error, "{text:?}");
    }
}

fn attempt(given: &str) -> String {
    format!("f:1: attempt '{given}': write 1 for the first attempt, 2 for the second")
}

fn latency(given: &str) -> String {
    let right = "write a number of µs from 0 to 3600000000, which is an hour";
    format!("f:1: latency_us '{given}': {right}")
}

#[test]
fn bytes_that_are_not_lines_of_text_are_refused() {
    let judging = judging(Sampling::Fixed, &["errors = 0"]);
    let error = |bytes: &[u8]| {
        Collection::new(&judging).read("f", bytes).map_err(|error| error.to_string()).unwrap_err()
    };
    assert_eq!(error(b"pod\n\xff\n"), "f:2: the line is not UTF-8; write text");
    let long = "f:1: the line is longer than 65536 bytes; write an answer on each line";
    assert_eq!(error(&[b' '; 65_537]), long);
    assert_eq!(error(&[b'\xff'; 1 << 20]), long);
    let mut longest = br#"{"pod":"p"}"#.to_vec();
    longest.resize(65_535, b' ');
    longest.push(b'\n');
    Collection::new(&judging).read("f", &*longest.repeat(2)).unwrap();
}

#[test]
fn an_error_while_reading_is_told_in_words() {
    struct Broken(i32);
    impl Read for Broken {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            Err(io::Error::from_raw_os_error(self.0))
        }
    }
    let judging = judging(Sampling::Fixed, &["errors = 0"]);
    for (number, words) in [
        (21, "cannot read f: it is a folder; name a file in it"),
        (5, "cannot read f: Input/output error"),
    ] {
        let read = Collection::new(&judging).read("f", BufReader::new(Broken(number)));
        assert_eq!(read.unwrap_err().to_string(), words);
    }
    let missing =
        CollectedError::Unreadable { name: "f".into(), error: io::ErrorKind::NotFound.into() };
    let words = "cannot read f: there is no such file; name a file, or - for stdin";
    assert_eq!(missing.to_string(), words);
}

#[test]
fn a_heading_starts_a_row_and_continues_a_known_one() {
    let rows = read(
        "from kops:a: curl echo2:8080
         [URL: http://echo2:8080/] on [pod: a] in [cluster: kops]
         from gke1:b: curl echo2:8080
         [URL: http://echo2:8080/] on [pod: a] in [cluster: kops]

         curl echo2:8080
         {\"pod\":\"a\"}
         {\"failed\":\"timeout\"}
         from kops:a: curl echo2:8080
         http://echo2:8080/ on [pod: b] in [cluster: gke1]",
    )
    .unwrap();
    let expected =
        ["from kops:a: curl echo2:8080", "from gke1:b: curl echo2:8080", "curl echo2:8080"];
    assert_eq!(headings(&rows), expected);
    assert_eq!(requests(&rows), [2, 1, 2]);
    let first = rows[0].tally().unwrap();
    let pods: Vec<_> = first.backends.keys().map(|who| who.pod.as_str()).collect();
    assert_eq!(pods, ["a", "b"]);
}

#[test]
fn a_heading_is_printable_and_short() {
    let rows = read("curl \u{1b}[31mx\n{\"pod\":\"p\"}\nfrom : curl y\n{\"pod\":\"p\"}").unwrap();
    assert_eq!(headings(&rows), ["curl \\u{1b}[31mx", "curl y"]);
    let rows = read(&format!("curl {}\n{{\"pod\":\"p\"}}", "x".repeat(60_000))).unwrap();
    assert_eq!(rows[0].target.chars().count(), echo_reply::MAX_VALUE + 1);
    let rows = files(
        &judging(Sampling::Fixed, &["errors = 0"]),
        &[("a\u{1b}", "http://e/1 on [pod: p] in [cluster: kops]"), ("b", "{\"pod\":\"p\"}")],
    );
    assert_eq!(headings(&rows.unwrap()), ["from a\\u{1b}: curl http://e/1", "from b: curl ?"]);
}

#[test]
fn the_same_heading_in_two_files_is_one_row() {
    let judging = judging(Sampling::Fixed, &["errors = 0"]);
    let one = "curl e\n{\"pod\":\"p\",\"connection\":1}\n{\"pod\":\"p\",\"connection\":1}";
    let rows = files(&judging, &[("a", one), ("b", one), ("c", "{\"pod\":\"p\"}")]).unwrap();
    assert_eq!(headings(&rows), ["curl e", "from c: curl ?"]);
    assert_eq!(requests(&rows), [4, 1]);
    // Two files have connections of their own, even if they number them alike.
    assert_eq!(rows[0].tally().unwrap().connections, 2);
}

#[test]
fn answers_with_the_same_connection_came_on_it() {
    let text = r#"{"pod":"a","connection":1,"latency_us":9}
        {"pod":"a","connection":"x","latency_us":9}
        {"pod":"b","connection":"1","latency_us":9}
        {"pod":"b","connection":"x","latency_us":9}
        {"pod":"b","connection":"","latency_us":9}
        {"pod":"b","connection":"","latency_us":9}
        {"pod":"b","connection":null,"latency_us":9}
        {"pod":"b","latency_us":9}"#;
    let tally = tally(text);
    assert_eq!((tally.answers(), tally.connections), (8, 6));
    let counts: Vec<_> =
        tally.backends.values().map(|pod| (pod.fresh.count(), pod.kept.count())).collect();
    assert_eq!(counts, [(2, 0), (4, 2)]);
}

#[test]
fn interleaved_connections_count_from_their_first_answer() {
    let line = |n: usize| format!("{{\"pod\":\"p{}\",\"connection\":{}}}\n", n % 2, n % 50);
    let tally = tally(&(0..150).map(line).collect::<String>());
    let (answers, _) = tally.order.by_connection.groups(Label::Pod);
    assert_eq!(answers, [3; 50]);
}

#[test]
fn an_address_counts_its_answers() {
    let tally = tally("address,connection\n10.0.0.1:80,1\n10.0.0.1:80,1\n10.0.0.2,2\n");
    let counts: Vec<_> =
        tally.addresses.iter().map(|(a, n)| (a.to_string(), n.answers, n.connections)).collect();
    assert_eq!(counts, [("10.0.0.1:80".into(), 2, 1), ("10.0.0.2:0".into(), 1, 1)]);
}

#[test]
fn addresses_are_known_only_if_every_answer_has_one() {
    let expectation = "balanced by address ± 5%";
    for (text, reason) in [
        ("pod\np\np", "unknown: no answer carried an address; "),
        ("pod,address\np,10.0.0.1\np,", "unknown: 1 of 2 answers did not carry an address; "),
    ] {
        let (_, judged) = until_decided(text, &[expectation]);
        assert_eq!(judged[0].verdict, Verdict::Inconclusive, "{text}");
        assert!(judged[0].reason.starts_with(reason), "{}", judged[0].reason);
    }
}

#[test]
fn retries_are_known_where_attempts_are() {
    assert_eq!(tally("attempt\n1\n2\n1\n").known_retries(), Some(1));
    assert_eq!(tally("pod\na\n").known_retries(), None);
    for (text, verdict, reason) in [
        ("attempt\n1\n1", Verdict::Pass, "all 2 answers came at the first attempt"),
        ("attempt\n1\n3", Verdict::Fail, "the mesh retried 1 of 2 answers"),
        ("attempt,pod\n1,a\n,a", Verdict::Inconclusive, "unknown: only 1 of 2 answers carried"),
        ("pod\na", Verdict::Inconclusive, "unknown: no answer carried"),
    ] {
        let (_, judged) = until_decided(text, &["retried = 0"]);
        assert_eq!(judged[0].verdict, verdict, "{text}");
        assert!(judged[0].reason.starts_with(reason), "{}", judged[0].reason);
    }
}

#[test]
fn latencies_count_only_if_every_answer_has_one() {
    let known = "{\"pod\":\"p\",\"latency_us\":1000}\n".repeat(2_000);
    let (tally, judged) = until_decided(&known, &["p99 < 50ms"]);
    assert_eq!(judged[0].verdict, Verdict::Pass, "{}", judged[0].reason);
    assert!(tally.requests() < 2_000, "it is decided before the end");
    // A failure needs no latency.
    let (_, judged) = until_decided(&format!("{{\"failed\":\"x\"}}\n{known}"), &["p99 < 50ms"]);
    assert_eq!(judged[0].verdict, Verdict::Pass, "{}", judged[0].reason);
    let (tally, judged) = until_decided(&format!("{{\"pod\":\"p\"}}\n{known}"), &["p99 < 50ms"]);
    assert_eq!(judged[0].verdict, Verdict::Inconclusive);
    let reason = "unknown: not every answer carried a latency; add latency_us to each of them";
    assert_eq!(judged[0].reason, reason);
    assert_eq!((tally.requests(), tally.phases.service.count()), (2_001, 0));
}

/// Answers of kops, a time apart, of which some have no time.
fn timed(count: u64, apart_us: u64, is_known: impl Fn(u64) -> bool) -> String {
    let line = |n: u64| match is_known(n) {
        true => format!("{{\"cluster\":\"kops\",\"at_us\":{}}}\n", 5_000_000 + n * apart_us),
        false => "{\"cluster\":\"kops\"}\n".to_owned(),
    };
    (0..count).map(line).collect()
}

#[test]
fn the_least_time_holds_if_all_times_are_known() {
    let only = ["only kops"];
    let (tally, judged) = until_decided(&timed(4_000, 0, |_| false), &only);
    assert_eq!((judged[0].verdict, tally.stopped), (Verdict::Pass, Some(Stopped::Decided)));
    let soon = tally.requests();
    assert!((780..800).contains(&soon), "{soon}");
    assert_eq!(tally.elapsed, Duration::ZERO);
    // 500 µs apart, one second ends at the answer 2,001.
    let (tally, judged) = until_decided(&timed(4_000, 500, |_| true), &only);
    assert_eq!((judged[0].verdict, tally.stopped), (Verdict::Pass, Some(Stopped::Decided)));
    assert!((2_001..2_050).contains(&tally.requests()), "{}", tally.requests());
    assert!(tally.elapsed >= Duration::from_secs(1));
    // One time is not known.
    let (tally, _) = until_decided(&timed(4_000, 500, |n| n != 70), &only);
    assert_eq!((tally.requests(), tally.elapsed), (soon, Duration::ZERO));
}

#[test]
fn times_may_be_out_of_order() {
    let tally = tally("at_us\n9000000\n1000\n5000000\n");
    assert_eq!(tally.elapsed, Duration::from_micros(8_999_000));
}

#[test]
fn a_file_that_ends_before_a_decision_is_exhausted() {
    let text = timed(130, 0, |_| false);
    let (tally, judged) = until_decided(&text, &["only kops"]);
    assert_eq!((judged[0].verdict, tally.stopped), (Verdict::Inconclusive, Some(Stopped::Ended)));
    assert_eq!(tally.requests(), 130);
    // Between two looks: one at 100 answers is due at 104.
    let (tally, judged) = until_decided(&timed(101, 0, |_| false), &["errors = 0"]);
    assert_eq!((judged[0].verdict, tally.stopped), (Verdict::Pass, Some(Stopped::Decided)));
}

#[test]
fn reading_gives_up_at_the_most_answers() {
    for most in [1, 3, 4, 1_000] {
        let mut judging = judging(Sampling::UntilDecided, &["balanced kops,gke1 ± 1%"]);
        judging.most = most;
        let text = "cluster\n".to_owned() + &"kops\ngke1\n".repeat(1_000);
        let rows = files(&judging, &[("f", &text)]).unwrap();
        assert_eq!(requests(&rows), [most]);
        assert_eq!(rows[0].tally().unwrap().stopped, Some(Stopped::Exhausted));
    }
}

/// The same line again and again.
struct Endless {
    line: &'static [u8],
    given: usize,
}

impl Read for Endless {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        assert!(self.given < 1 << 22, "the decision ends reading");
        let from = self.given % self.line.len();
        let part = (self.line.len() - from).min(buffer.len());
        buffer[..part].copy_from_slice(&self.line[from..from + part]);
        self.given += part;
        Ok(part)
    }
}

#[test]
fn reading_stops_at_the_decision() {
    let judging = judging(Sampling::UntilDecided, &["only kops"]);
    let mut collection = Collection::new(&judging);
    let mut endless = Endless { line: b"{\"cluster\":\"kops\"}\n", given: 0 };
    collection.read("f", BufReader::with_capacity(64, &mut endless)).unwrap();
    let rows = collection.rows();
    let read = (endless.given / endless.line.len()) as u64;
    assert!(read - rows[0].tally().unwrap().requests() <= 4, "{read}");
}

#[test]
fn a_decided_row_does_not_end_the_rows_below() {
    let answers = timed(1_500, 0, |_| false);
    let text = format!("curl a\n{answers}curl b\n{answers}curl a\n{answers}");
    let rows = files(&judging(Sampling::UntilDecided, &["only kops"]), &[("f", &text)]).unwrap();
    assert_eq!(headings(&rows), ["curl a", "curl b"]);
    assert!(requests(&rows).iter().all(|requests| (780..800).contains(requests)));
}

prop_compose! {
    /// A name that needs quotes in CSV now and then.
    fn a_name()(name in "[!-z|~é][!-~é]{0,20}") -> String { printable::clean(&name).into_owned() }
}

prop_compose! {
    fn an_entry()(
        pod in a_name(),
        cluster in a_name(),
        zone in proptest::option::of(a_name()),
        failed in proptest::option::of("x[ -~]{0,30}"),
        address in proptest::option::of(any::<std::net::SocketAddrV4>()),
        connection in proptest::option::of(a_name()),
        (attempt, latency_us, at_us) in (
            proptest::option::of(1..=u32::MAX),
            proptest::option::of(0..=3_600_000_000_u64),
            proptest::option::of(0..=1_u64 << 53),
        ),
    ) -> Entry {
        let mut identity = Identity::new(pod, cluster);
        identity.zone = zone;
        let failed = failed.map(|what| Failure::new(FailureKind::Unidentified, what));
        let result = failed.map_or(Ok(identity), Err);
        let address = address.map(Into::into);
        Entry { url: None, result, address, connection, attempt, latency_us, at_us }
    }
}

/// The values that an entry has, by key.
fn values(entry: &Entry) -> Vec<(&'static str, String)> {
    let text = |value: &dyn ToString| Some(value.to_string());
    let (pod, cluster, zone, failed) = match &entry.result {
        Ok(who) => (text(&who.pod), text(&who.cluster), who.zone.clone(), None),
        Err(failure) => (None, None, None, text(&failure.what)),
    };
    let all = [
        ("at_us", entry.at_us.map(|n| n.to_string())),
        ("pod", pod),
        ("cluster", cluster),
        ("zone", zone),
        ("failed", failed),
        ("address", entry.address.map(|address| address.to_string())),
        ("connection", entry.connection.clone()),
        ("attempt", entry.attempt.map(|n| n.to_string())),
        ("latency_us", entry.latency_us.map(|n| n.to_string())),
    ];
    all.into_iter().filter_map(|(key, value)| Some((key, value?))).collect()
}

fn as_json(entry: &Entry, numbers: bool) -> String {
    let value = |(key, text): (&str, String)| {
        let number = numbers && ["attempt", "latency_us", "at_us"].contains(&key);
        let text = if number { text.parse::<u64>().unwrap().into() } else { Value::String(text) };
        (key.to_owned(), text)
    };
    Value::Object(values(entry).into_iter().map(value).collect::<Map<_, _>>()).to_string()
}

fn as_csv(entry: &Entry) -> String {
    let (keys, fields): (Vec<_>, Vec<_>) = values(entry).into_iter().unzip();
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record(keys).unwrap();
    writer.write_record(fields).unwrap();
    String::from_utf8(writer.into_inner().unwrap()).unwrap()
}

proptest! {
    #[test]
    fn what_is_written_is_read_back(written in an_entry()) {
        prop_assert_eq!(&entry(&as_json(&written, true)), &written);
        prop_assert_eq!(&entry(&as_json(&written, false)), &written);
        prop_assert_eq!(&entry(&as_csv(&written)), &written);
        if let Ok(Identity { pod, cluster, .. }) = &written.result {
            let url = "http://echo2:8080/hello";
            let line = TextLine { url, pod, cluster }.to_string();
            for line in [line.replacen("[URL: http://echo2:8080/hello]", url, 1), line] {
                let read = entry(&line);
                prop_assert_eq!(read.url.as_deref(), Some(url));
                prop_assert_eq!(read.result, Ok(Identity::new(pod, cluster)));
            }
        }
    }

    #[test]
    fn no_text_panics(
        text in any::<String>(),
        bytes in any::<Vec<u8>>(),
        lines in proptest::collection::vec(almost_a_line(), 0..20),
    ) {
        for judging in [
            judging(Sampling::Fixed, &["errors = 0"]),
            judging(Sampling::UntilDecided, &["only kops", "p99 < 1s", "retried = 0"]),
        ] {
            for text in [text.as_bytes(), &bytes, lines.join("\n").as_bytes()] {
                let mut collection = Collection::new(&judging);
                if let Err(error) = collection.read("f", text) {
                    let said = error.to_string();
                    prop_assert!(!said.contains(char::is_control), "{:?}", said);
                }
                for row in collection.rows() {
                    prop_assert!(!row.heading().contains(char::is_control));
                }
            }
        }
    }
}

/// A line as people get it wrong: parts of right ones in any order.
fn almost_a_line() -> impl Strategy<Value = String> {
    let parts = proptest::sample::select(vec![
        "{",
        "}",
        "[",
        "]",
        "\"",
        ",",
        ":",
        "cluster",
        "pod",
        "failed",
        "at_us",
        "latency_us",
        "attempt",
        "connection",
        "address",
        "\"pod\":",
        "\"at_us\":",
        "\"failed\":",
        "kops",
        "null",
        "false",
        "-1",
        "1",
        "1e999",
        "9007199254740993",
        "NaN",
        "10.0.0.1",
        "curl ",
        "from ",
        ": curl ",
        "[URL: ",
        "http://e/",
        " on [pod: ",
        "] in [cluster: ",
        "\r",
        "\u{1b}",
        "\u{feff}",
        " ",
    ]);
    let whole = proptest::sample::select(vec![
        "cluster,pod,latency_us,at_us",
        "kops,p,1,2",
        "{\"cluster\":\"kops\",\"at_us\":5}",
        "curl e",
        "http://e/ on [pod: p] in [cluster: kops]",
    ]);
    prop_oneof![
        proptest::collection::vec(parts, 0..8).prop_map(|parts| parts.concat()),
        whole.prop_map(str::to_owned),
    ]
}
