//! A connection against a server that is played frame by frame.

mod hostile;

use super::*;
use crate::engine::http2::frame::{FrameHeader, HEADER, flag, kind};
use crate::engine::http2::hpack::{self, Literal};
use clap::Parser as _;

/// A connection, and what the test needs to play the other side.
struct Played {
    session: Session,
    gate: Rc<Gate>,
    template: Template,
    now: Instant,
}

/// Frames that the client sent: kind, flags, stream and payload.
type Sent = Vec<(u8, u8, u32, Vec<u8>)>;

const BODY_LIMIT: usize = 65_536;

impl Played {
    /// A connection whose server sent these settings.
    fn new(args: &[&str], settings: &[(u16, u32)]) -> Self {
        let mut played = Self::silent(args);
        let mut frames = Vec::new();
        frame::settings(settings, &mut frames);
        played.receive(&frames);
        played
    }

    /// A connection whose server sent nothing.
    fn silent(args: &[&str]) -> Self {
        let args = [&["prober", "http://a/", "--http2-prior-knowledge"], args].concat();
        let cli = crate::cli::Cli::try_parse_from(args).unwrap();
        let template = Template::new(&crate::plan::run(&cli.run).unwrap().remove(0));
        let gate = Rc::new(Gate::new());
        let session = Session::new(BODY_LIMIT, Rc::clone(&gate));
        Self { session, gate, template, now: crate::clock::now() }
    }

    fn receive(&mut self, bytes: &[u8]) {
        self.session.receive(bytes, self.now);
    }

    /// Starts a request.
    fn begin(&mut self) -> usize {
        assert_eq!(self.gate.enter_now(), Ok(true));
        self.session.begin(&self.template, b"run-1", Buffers::default(), self.now)
    }

    /// What the client has sent since the last call.
    fn sent(&mut self) -> Sent {
        let mut frames = Vec::new();
        while !self.session.unsent().is_empty() {
            let bytes = self.session.unsent().to_vec();
            self.session.advance(bytes.len());
            let mut rest = bytes.strip_prefix(frame::PREFACE).unwrap_or(&bytes);
            while let Some(header) = FrameHeader::read(rest) {
                let payload = rest[HEADER..HEADER + header.length].to_vec();
                frames.push((header.kind, header.flags, header.stream, payload));
                rest = &rest[HEADER + header.length..];
            }
            assert!(rest.is_empty());
        }
        frames
    }

    /// The response of a stream: its status, pod and body.
    fn response(&mut self, place: usize) -> Option<Result<(Response, String), StreamFailure>> {
        match self.session.poll_response(place, Waker::noop()) {
            Poll::Pending => None,
            Poll::Ready(ended) => Some(ended.map(|(response, buffers)| {
                let body = String::from_utf8_lossy(buffers.body(&response)).into_owned();
                (response, body)
            })),
        }
    }

    fn what(&mut self, place: usize) -> (String, bool) {
        let failed = self.response(place).expect("it ended").expect_err("it failed");
        (failed.failure.what, failed.stream_only)
    }

    fn body(&mut self, place: usize) -> String {
        self.response(place).expect("it ended").expect("it succeeded").1
    }
}

fn block(fields: &[(&str, &str)]) -> Vec<u8> {
    let mut block = Vec::new();
    for (name, value) in fields {
        hpack::encode(name.as_bytes(), value.as_bytes(), Literal::Indexed, &mut block);
    }
    block
}

fn a_frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    FrameHeader { length: payload.len(), kind, flags, stream }.write(&mut bytes);
    bytes.extend_from_slice(payload);
    bytes
}

fn headers(stream: u32, fields: &[(&str, &str)], last: bool) -> Vec<u8> {
    let end = if last { flag::END_STREAM } else { 0 };
    a_frame(kind::HEADERS, flag::END_HEADERS | end, stream, &block(fields))
}

fn data(stream: u32, data: &[u8], last: bool) -> Vec<u8> {
    a_frame(kind::DATA, if last { flag::END_STREAM } else { 0 }, stream, data)
}

const OK: &[(&str, &str)] = &[(":status", "200"), ("x-echo-pod", "p1")];

#[test]
fn the_first_frames_say_what_the_client_allows() {
    let mut played = Played::silent(&[]);
    assert!(played.session.unsent().starts_with(frame::PREFACE) && !played.session.is_ready());
    let sent = played.sent();
    assert_eq!((sent[0].0, sent[1].0), (kind::SETTINGS, kind::WINDOW_UPDATE));
    let window = 65_537u32.to_be_bytes();
    assert!(sent[0].3.ends_with(&[&[0, 4][..], &window, &[0, 6, 0, 1, 0, 0]].concat()));
    let mut settings = Vec::new();
    frame::settings(&[(setting::MAX_CONCURRENT_STREAMS, 4), (99, 1)], &mut settings);
    played.receive(&settings);
    assert!(played.session.is_ready());
    assert_eq!(played.gate.limit(), 4);
    assert_eq!(played.sent(), [(kind::SETTINGS, flag::ACK, 0, vec![])]);
}

#[test]
fn responses_of_many_streams_come_in_any_order_and_in_any_pieces() {
    let mut played = Played::new(&[], &[]);
    let places: Vec<_> = (0..3).map(|_| played.begin()).collect();
    let requests: Vec<_> = played.sent().into_iter().filter(|f| f.0 == kind::HEADERS).collect();
    assert_eq!(requests.iter().map(|f| f.2).collect::<Vec<_>>(), [1, 3, 5]);
    assert!(requests[1].3.len() < requests[0].3.len(), "the server's table is used");
    let padded = a_frame(kind::DATA, flag::PADDED | flag::END_STREAM, 3, b"\x03two\0\0\0");
    let mut long = vec![2, 0, 0, 0, 9, 7];
    long.extend_from_slice(&block(OK));
    long.extend_from_slice(&[0, 0]);
    let all = [
        a_frame(0x55, 0xff, 77, b"unknown"),
        a_frame(kind::PRIORITY, 0, 5, &[0; 5]),
        headers(5, OK, false),
        headers(1, &[(":status", "103"), ("link", "x")], false),
        data(5, b"th", false),
        a_frame(kind::HEADERS, flag::END_HEADERS | flag::PADDED | flag::PRIORITY, 3, &long),
        data(5, b"ree", false),
        headers(5, &[("grpc-status", "0")], true),
        padded,
        headers(1, OK, false),
        data(1, b"", false),
        data(1, b"one", true),
    ]
    .concat();
    for byte in all {
        played.receive(&[byte]);
    }
    let (response, body) = played.response(places[2]).unwrap().unwrap();
    assert_eq!((response.head.status, &body[..], response.interim), (200, "three", 0));
    assert_eq!(played.body(places[1]), "two");
    let (response, body) = played.response(places[0]).unwrap().unwrap();
    assert_eq!((&body[..], response.interim, response.cut), ("one", 1, false));
    assert_eq!(played.gate.open(), 0);
    assert!(played.session.ended().is_none() && played.sent().is_empty());
}

#[test]
fn a_block_of_headers_may_take_many_frames() {
    let mut played = Played::new(&[], &[]);
    let place = played.begin();
    let (large, fields) = ("v".repeat(40_000), [(":status", "200"), ("a", "b")]);
    let block = block(&[&fields[..], &[("x-echo-pod", &large)]].concat());
    let parts: Vec<_> = block.chunks(16_000).collect();
    played.receive(&a_frame(kind::HEADERS, flag::END_STREAM, 1, parts[0]));
    for part in &parts[1..] {
        played.receive(&a_frame(kind::CONTINUATION, 0, 1, part));
    }
    assert!(played.response(place).is_none());
    played.receive(&a_frame(kind::CONTINUATION, flag::END_HEADERS, 1, &[]));
    assert!(played.response(place).unwrap().is_ok());
}

#[test]
fn bodies_are_read_up_to_the_limit_and_other_streams_go_on() {
    let mut played = Played::new(&[], &[]);
    let (long, other) = (played.begin(), played.begin());
    played.receive(&headers(1, OK, false));
    for _ in 0..4 {
        played.receive(&data(1, &[b'x'; 16_384], false));
    }
    assert!(played.response(long).is_none(), "so much is read");
    played.sent();
    played.receive(&data(1, b"y", false));
    let (response, body) = played.response(long).unwrap().unwrap();
    assert!(response.cut && body.len() == BODY_LIMIT && !body.contains('y'));
    let cancel = ErrorCode::CANCEL.0.to_be_bytes().to_vec();
    assert_eq!(played.sent(), [(kind::RST_STREAM, 0, 1, cancel)]);
    // What was under way is ignored, but counts.
    played.receive(&[data(1, &[b'x'; 16_384], false), headers(3, OK, false)].concat());
    played.receive(&data(3, b"well", true));
    assert_eq!(played.body(other), "well");
}

#[test]
fn windows_are_given_back() {
    let mut played = Played::new(&[], &[]);
    let updates = |played: &mut Played, stream| -> u64 {
        let update = |f: &(u8, u8, u32, Vec<u8>)| f.0 == kind::WINDOW_UPDATE && f.2 == stream;
        let sent = played.sent();
        sent.iter().filter(|f| update(f)).map(|f| u64::from(frame::number(&f.3).unwrap())).sum()
    };
    played.sent();
    let mut given = 0;
    let padding = [&[255][..], &[0; 255]].concat();
    let place = played.begin();
    played.receive(&headers(1, OK, false));
    for _ in 0..10_000 {
        played.receive(&a_frame(kind::DATA, flag::PADDED, 1, &padding));
        given += updates(&mut played, 1);
    }
    assert!(given > 256 * 9_800 && played.session.ended().is_none(), "padding counts: {given}");
    played.receive(&data(1, b"", true));
    assert_eq!(played.body(place), "");
    // A whole gigabyte on one connection, of which each stream is cut.
    let chunk = data(3, &[0; 16_384], false);
    played.begin();
    let all: u64 = (0..70_000u64)
        .map(|_| {
            played.receive(&chunk);
            updates(&mut played, 0)
        })
        .sum();
    assert!(all >= 1 << 29 && played.session.ended().is_none(), "{all}");
}

#[test]
fn bodies_of_requests_keep_to_the_windows_of_the_server() {
    let body = "x".repeat(60_000);
    let settings = [(setting::INITIAL_WINDOW_SIZE, 40_000), (setting::MAX_FRAME_SIZE, 20_000)];
    let mut played = Played::new(&["--data", &body], &settings);
    let (first, second) = (played.begin(), played.begin());
    let sizes = |played: &mut Played, stream| -> Vec<usize> {
        let of = |f: &&(u8, u8, u32, Vec<u8>)| f.0 == kind::DATA && f.2 == stream;
        played.sent().iter().filter(of).map(|f| f.3.len()).collect()
    };
    let sent = played.sent();
    let data = sent.iter().filter(|f| f.0 == kind::DATA);
    let total: usize = data.clone().map(|f| f.3.len()).sum();
    assert_eq!(total, 65_535, "the window of the connection");
    assert!(data.clone().all(|f| f.3.len() <= 16_384 && f.1 == 0));
    played.receive(&a_frame(kind::WINDOW_UPDATE, 0, 0, &100_000u32.to_be_bytes()));
    let (mut of_first, mut of_second) = (0, 0);
    for frame in played.sent().iter().chain(&sent).filter(|f| f.0 == kind::DATA) {
        *(if frame.2 == 1 { &mut of_first } else { &mut of_second }) += frame.3.len();
    }
    assert_eq!((of_first, of_second), (40_000, 40_000), "the windows of the streams");
    played.receive(&a_frame(kind::WINDOW_UPDATE, 0, 3, &20_000u32.to_be_bytes()));
    assert_eq!(sizes(&mut played, 3).iter().sum::<usize>(), 20_000);
    // A smaller window may be below what was sent; it must be enlarged by more then.
    let mut smaller = Vec::new();
    frame::settings(&[(setting::INITIAL_WINDOW_SIZE, 10_000)], &mut smaller);
    played.receive(&smaller);
    played.receive(&a_frame(kind::WINDOW_UPDATE, 0, 1, &30_000u32.to_be_bytes()));
    assert_eq!(sizes(&mut played, 1), [0; 0]);
    played.receive(&a_frame(kind::WINDOW_UPDATE, 0, 1, &5_000u32.to_be_bytes()));
    assert_eq!(sizes(&mut played, 1), [5_000]);
    // An answer before the end of the request stops it.
    played.receive(&headers(1, OK, true));
    assert!(played.response(first).unwrap().is_ok());
    let no_error = (kind::RST_STREAM, 0, 1, vec![0; 4]);
    assert_eq!(played.sent(), [no_error]);
    played.receive(&headers(3, OK, true));
    assert!(played.response(second).unwrap().is_ok());
    assert!(played.sent().is_empty(), "it was complete");
}

#[test]
fn goaway_fails_what_the_server_does_not_answer_and_nothing_else() {
    let mut played = Played::new(&[], &[]);
    let (answered, refused) = (played.begin(), played.begin());
    let graceful = [[0, 0, 0, 1], [0; 4]].concat();
    played.receive(&a_frame(kind::GOAWAY, 0, 0, &graceful));
    assert_eq!(played.what(refused).0, "the server closed the connection (GOAWAY NO_ERROR)");
    assert!(played.response(answered).is_none() && played.gate.is_closed());
    played.receive(&[headers(1, OK, false), data(1, b"late", true)].concat());
    assert_eq!(played.body(answered), "late");
    played.session.closed();
    assert!(!played.session.closed_while_idle(), "requests were under way");

    let mut played = Played::new(&[], &[]);
    let place = played.begin();
    played.receive(&[headers(1, OK, false), data(1, b"one", true)].concat());
    assert_eq!(played.body(place), "one");
    played.receive(&a_frame(kind::GOAWAY, 0, 0, &graceful));
    assert!(played.session.closed_while_idle(), "no request was under way");

    let mut played = Played::silent(&[]);
    let calm = [[0; 4], 11u32.to_be_bytes()].concat();
    played.receive(&a_frame(kind::GOAWAY, 0, 0, &calm));
    let what = played.session.ended().unwrap().failure(None).what;
    assert_eq!(what, "the server closed the connection (GOAWAY ENHANCE_YOUR_CALM)");

    let mut played = Played::new(&[], &[]);
    let place = played.begin();
    let calm = [[0xff; 4], 11u32.to_be_bytes()].concat();
    played.receive(&a_frame(kind::GOAWAY, 0, 0, &calm));
    played.receive(&headers(1, OK, false));
    played.receive(&data(1, b"abc", false));
    played.session.closed();
    let what =
        "the server closed the connection (GOAWAY ENHANCE_YOUR_CALM) in the body, after 3 bytes";
    assert_eq!(played.what(place).0, what);
}

#[test]
fn the_end_of_a_connection_is_told_as_it_came() {
    let mut played = Played::new(&[], &[]);
    let place = played.begin();
    played.session.closed();
    assert_eq!(played.what(place), ("the connection was closed before an answer".into(), false));
    assert!(!played.session.closed_while_idle());
    let mut played = Played::new(&[], &[]);
    let place = played.begin();
    played.receive(&headers(1, OK, false));
    played.session.broken(io::ErrorKind::ConnectionReset.into());
    assert_eq!(played.what(place).0, "the connection was reset in the body, after 0 bytes");
    let mut played = Played::new(&[], &[]);
    played.session.closed();
    assert!(played.session.closed_while_idle());
    let mut played = Played::silent(&[]);
    played.receive(b"hello");
    played.session.closed();
    let what = played.session.ended().unwrap().failure(None).what;
    assert_eq!(what, "the response is not HTTP/2: it starts with \"hello\"");
}

#[test]
fn a_reset_stream_fails_alone() {
    let mut played = Played::new(&[], &[]);
    let (reset, other) = (played.begin(), played.begin());
    played.receive(&a_frame(kind::RST_STREAM, 0, 1, &7u32.to_be_bytes()));
    let words = "the server reset the stream (REFUSED_STREAM)";
    assert_eq!(played.what(reset), (words.to_owned(), true));
    played.receive(&headers(3, OK, true));
    assert_eq!(played.body(other), "");
}

#[test]
fn a_request_that_is_given_up_is_cancelled_and_its_rest_ignored() {
    let mut played = Played::new(&[], &[]);
    let (given_up, other) = (played.begin(), played.begin());
    played.sent();
    assert!(!played.session.cancel(given_up), "no body came");
    let cancel = ErrorCode::CANCEL.0.to_be_bytes().to_vec();
    assert_eq!(played.sent(), [(kind::RST_STREAM, 0, 1, cancel)]);
    assert_eq!(played.gate.open(), 1);
    let again = played.begin();
    assert_eq!(again, given_up, "its place is used again");
    played.receive(&[headers(1, OK, false), data(1, b"late", true)].concat());
    assert!(played.response(again).is_none());
    played.receive(&[headers(3, OK, true), headers(5, OK, true)].concat());
    assert!(played.response(other).unwrap().is_ok() && played.response(again).unwrap().is_ok());
    assert_eq!(played.gate.open(), 0);
}

#[test]
fn a_response_to_head_has_a_length_and_no_body() {
    let mut played = Played::new(&["-X", "HEAD"], &[]);
    let place = played.begin();
    played.receive(&headers(1, &[OK, &[("content-length", "99")]].concat(), true));
    assert!(played.response(place).unwrap().is_ok());
}

#[test]
fn a_smaller_table_of_the_server_is_obeyed() {
    let mut played = Played::new(&[], &[]);
    played.begin();
    let mut smaller = Vec::new();
    frame::settings(&[(setting::HEADER_TABLE_SIZE, 0)], &mut smaller);
    played.receive(&smaller);
    played.begin();
    let sent = played.sent();
    let last = &sent.last().unwrap().3;
    assert_eq!(last[0], hpack::EMPTY_TABLE);
    assert!(last[1..].iter().all(|byte| *byte < 0x80 || *byte & 0x7f <= 61), "no entry is used");
}
