//! Floods of HTTP/2 frames, each legal by itself: memory stays bounded, a good client is
//! answered meanwhile, and nothing is left of them.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use super::hostile::peak_memory;
use super::limits::MOST;
use super::{Echo, TAIL};
use crate::harness::wait_until;

/// How long a flood may be held up before it counts as stopped.
const HELD_UP: Duration = Duration::from_secs(1);
/// How many connections send a flood at once, and how many frames each at most.
const CONNECTIONS: usize = 8;
const FRAMES: u32 = 20_000;
/// The start of every HTTP/2 connection.
pub(super) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// GET http://h/ in HPACK; it leaves nothing in the table.
pub(super) const REQUEST: &[u8] = b"\x82\x86\x84\x01\x01h";

pub(super) const DATA: u8 = 0;
pub(super) const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
pub(super) const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
pub(super) const CONTINUATION: u8 = 9;
pub(super) const END_STREAM: u8 = 1;
pub(super) const END_HEADERS: u8 = 4;
const ACK: u8 = 1;
const ENHANCE_YOUR_CALM: u8 = 11;

pub(super) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).expect("a short payload").to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// What tells that a flood was understood, and not refused for its form.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Answer {
    /// A frame of this kind that acknowledges.
    Acknowledged(u8),
    /// GOAWAY with the code ENHANCE_YOUR_CALM: it was taken for what it is.
    TooMuch,
}

/// What comes first, and the frames that follow it, by their number.
struct Flood {
    name: &'static str,
    opening: Vec<u8>,
    next: fn(u32) -> Vec<u8>,
    answer: Answer,
}

impl Flood {
    /// Sends it until it is refused, held up, or at its end; the connection stays open.
    fn send(&self, echo: &Echo) -> TcpStream {
        let mut stream = TcpStream::connect(echo.address).expect("echo listens");
        stream.set_write_timeout(Some(HELD_UP)).expect("a timeout");
        let begin = [PREFACE, &self.opening].concat();
        stream.write_all(&begin).expect("echo reads");
        for start in (0..FRAMES).step_by(50) {
            let frames: Vec<_> = (start..start + 50).flat_map(self.next).collect();
            if stream.write_all(&frames).is_err() {
                break;
            }
        }
        stream
    }

    /// What is said to it, in the beginning; a connection may be reset before all is read.
    fn answers(stream: &mut TcpStream) -> Vec<Answer> {
        stream.set_read_timeout(Some(HELD_UP)).expect("a timeout");
        let mut bytes = Vec::new();
        let _ = stream.take(64 << 10).read_to_end(&mut bytes);
        let (mut rest, mut answers) = (&bytes[..], Vec::new());
        while let [a, b, c, kind, flags, _, _, _, _, payload @ ..] = rest {
            let length = u32::from_be_bytes([0, *a, *b, *c]) as usize;
            match (*kind, payload) {
                (GOAWAY, [_, _, _, _, 0, 0, 0, ENHANCE_YOUR_CALM, ..]) => {
                    answers.push(Answer::TooMuch);
                }
                (kind, _) if *flags == ACK => answers.push(Answer::Acknowledged(kind)),
                _ => {}
            }
            rest = payload.get(length..).unwrap_or_default();
        }
        // The first settings are acknowledged in any case.
        answers.split_off(1.min(answers.len()))
    }
}

fn floods() -> [Flood; 7] {
    let settings = frame(SETTINGS, 0, 0, &[]);
    // Nothing of an answer may be sent: windows of zero bytes.
    let closed = frame(SETTINGS, 0, 0, &[0, 4, 0, 0, 0, 0]);
    let unfinished = frame(HEADERS, END_STREAM, 1, REQUEST);
    // A value of 4,000 bytes in the table, and then only its number.
    let stored = [REQUEST, b"\x40\x01a\x7f\xa1\x1e", &[b'a'; 4000]].concat();
    let stored = frame(HEADERS, END_HEADERS | END_STREAM, 1, &stored);
    [
        Flood {
            name: "a head that never ends",
            opening: [settings.clone(), unfinished].concat(),
            answer: Answer::TooMuch,
            next: |number| {
                let name = format!("{number:08}");
                let field = [b"\x00\x08", name.as_bytes(), b"\x64", &[b'a'; 100]].concat();
                frame(CONTINUATION, 0, 1, &field)
            },
        },
        Flood {
            name: "requests that are taken back",
            opening: settings.clone(),
            answer: Answer::TooMuch,
            next: |number| {
                let request = frame(HEADERS, END_HEADERS | END_STREAM, 2 * number + 1, REQUEST);
                [request, frame(RST_STREAM, 0, 2 * number + 1, &[0, 0, 0, 8])].concat()
            },
        },
        Flood {
            name: "settings that want to be acknowledged",
            opening: settings.clone(),
            answer: Answer::Acknowledged(SETTINGS),
            next: |_| frame(SETTINGS, 0, 0, &[0, 3, 0, 0, 0, 100]),
        },
        Flood {
            name: "pings whose answers nobody reads",
            opening: settings.clone(),
            answer: Answer::Acknowledged(PING),
            next: |number| frame(PING, 0, 0, &u64::from(number).to_be_bytes()),
        },
        Flood {
            name: "bodies that never end",
            opening: settings.clone(),
            answer: Answer::TooMuch,
            next: |number| {
                let stream = 2 * number + 1;
                let request = frame(HEADERS, END_HEADERS, stream, REQUEST);
                [request, frame(DATA, 0, stream, b"a")].concat()
            },
        },
        Flood {
            name: "answers that may not be sent",
            opening: closed,
            answer: Answer::TooMuch,
            next: |number| frame(HEADERS, END_HEADERS | END_STREAM, 2 * number + 1, REQUEST),
        },
        Flood {
            name: "a stored header, over and over",
            opening: [settings, stored].concat(),
            answer: Answer::TooMuch,
            next: |number| {
                let head = [REQUEST, &[0xbe; 8000]].concat();
                frame(HEADERS, END_HEADERS | END_STREAM, 2 * number + 3, &head)
            },
        },
    ]
}

#[test]
fn floods_of_http_2_cost_little_and_good_clients_are_answered() {
    for flood in floods() {
        let flags = ["--cluster", "kops", "--pod", "echo1-x", "--threads", "2"];
        let mut echo = Echo::with(&flags, &[("LOG_SAMPLE", "1000000")]);
        let mut kept: Vec<_> = std::thread::scope(|scope| {
            let senders: Vec<_> =
                (0..CONNECTIONS).map(|_| scope.spawn(|| flood.send(&echo))).collect();
            senders.into_iter().map(|sender| sender.join().expect("it ends")).collect()
        });
        let answered = kept.iter_mut().flat_map(Flood::answers).any(|one| one == flood.answer);
        assert!(answered, "{} was not understood", flood.name);
        for flags in [&[][..], &["--http2-prior-knowledge"]] {
            assert!(echo.curl("/", flags).ends_with(TAIL), "{}", flood.name);
        }
        let peak = peak_memory(&echo);
        println!("{peak} KiB for {}", flood.name);
        assert!(peak < MOST, "{peak} KiB for {}", flood.name);
        drop(kept);
        wait_until("nothing is left of it", || {
            (echo.counted("echo_connections_open", &[]) == 0.0
                && echo.counted("echo_requests_in_flight", &[]) == 0.0)
                .then_some(())
        });
        echo.process.signal(rustix::process::Signal::TERM);
        assert_eq!(echo.process.wait(), 0, "{}: {}", flood.name, echo.process.said());
        assert!(!echo.process.said().contains("panicked"), "{}", echo.process.said());
    }
}
