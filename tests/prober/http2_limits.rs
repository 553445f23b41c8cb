//! HTTP/2 at its limits: those of servers, those of prober, and servers that keep to none.

mod frames;

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use serde_json::Value;

use super::http2::{echo, failures};
use super::probing::row;
use crate::harness::{Background, command};
use crate::servers::Server;
use frames::{
    ACK, CONTINUATION, DATA, ECHO, END_HEADERS, END_STREAM, GOAWAY, HEADERS, INITIAL_WINDOW,
    MAX_STREAMS, PADDED, PING, PRIORITY, Peer, RST_STREAM, SETTINGS, WINDOW_UPDATE, WITH_PRIORITY,
    answer, answering, block, frame, headers, server, settings,
};

const KEPT: &[&str] =
    &["--http2-prior-knowledge", "-c", "1", "--threads", "1", "--reuse", "always"];

/// Probes a server over one connection that is reused.
fn probe(server: &Server, args: &[&str]) -> (i32, Value) {
    row(&[&["-t", &server.target()], KEPT, args].concat())
}

/// The kind, the count and the text of the only failure.
fn failure(row: &Value) -> (String, u64, String) {
    let mut all = failures(row);
    assert_eq!(all.len(), 1, "{row}");
    all.remove(0)
}

#[test]
fn http2_a_fast_server_is_no_attacker() {
    let (_echo, target) = echo();
    for protocol in ["--grpc=health", "--http2-prior-knowledge"] {
        let flags = ["-n", "5000", "-c", "1", "--reuse", "always", "--streams", "135", protocol];
        let (code, row) = row(&[&["-t", &target], &flags[..]].concat());
        assert_eq!((code, &row["answers"]), (0, &5000.into()), "{row}");
    }
}

const REFUSED: u8 = 7;
const CANCEL: u8 = 8;

fn reset(stream: u32, code: u8) -> Vec<u8> {
    frame(RST_STREAM, 0, stream, &[0, 0, 0, code])
}

/// Serves with so many streams at once and refuses every further one; holds answers back until as
/// many requests are open as may be, or until no further one comes.
fn serve_at_most(mut peer: Peer, first: u32, then: Option<(u32, u32)>) {
    peer.write(&settings(&[(MAX_STREAMS, first)]));
    let (mut open, mut answered, mut acknowledged) = (Vec::new(), 0, 0);
    let mut limit = first;
    loop {
        let frame = peer.read_soon();
        match &frame {
            Some(frame) if frame.acknowledges(SETTINGS) => {
                acknowledged += 1;
                if let (2, Some((_, lower))) = (acknowledged, then) {
                    limit = lower;
                }
            }
            Some(frame) if frame.kind == HEADERS && acknowledged == 0 => {
                // The request did not wait for the settings.
                peer.write(&reset(frame.stream, 1));
            }
            Some(frame) if frame.kind == HEADERS => {
                open.push(frame.stream);
                if open.len() > limit as usize {
                    peer.write(&reset(frame.stream, REFUSED));
                    open.pop();
                }
            }
            Some(_) => {}
            None if open.is_empty() && peer.has_ended() => return,
            None => {}
        }
        if frame.is_none() || open.len() == limit as usize {
            for stream in open.drain(..) {
                answered += 1;
                peer.write(&answer(stream));
                if let Some((_, lower)) = then.filter(|(after, _)| *after == answered) {
                    peer.write(&settings(&[(MAX_STREAMS, lower)]));
                }
            }
        }
    }
}

#[test]
fn http2_no_more_streams_than_the_server_allows() {
    let few = server(|peer, _| serve_at_most(peer, 4, None));
    let (code, row) = probe(&few, &["-n", "60", "--streams", "50"]);
    assert_eq!((code, &row["answers"]), (0, &60.into()), "{row}");
    assert_eq!(row["transport"]["streams_allowed"], 4, "{row}");
    assert_eq!(row["connections"], 1, "{row}");
    let (_, row) = probe(&few, &["-n", "8", "--streams", "4"]);
    assert!(row["transport"].get("streams_allowed").is_none(), "as many as asked for: {row}");
}

#[test]
fn http2_a_limit_that_is_lowered_later_is_obeyed() {
    let lowered = server(|peer, _| serve_at_most(peer, 8, Some((8, 2))));
    let (code, row) = probe(&lowered, &["-n", "60", "--streams", "20"]);
    assert_eq!((code, &row["answers"]), (0, &60.into()), "{row}");
    assert_eq!(row["transport"]["streams_allowed"], 2, "{row}");
}

#[test]
fn http2_a_server_that_allows_no_streams_is_a_time_out_that_says_so() {
    let none = server(|mut peer, _| {
        peer.write(&settings(&[(MAX_STREAMS, 0)]));
        while peer.read().is_some() {}
    });
    let (code, row) = probe(&none, &["-n", "4", "--streams", "2", "--max-time", "0.3"]);
    let (kind, count, what) = failure(&row);
    assert_eq!((code, &kind[..], count), (1, "timeout", 4), "{row}");
    assert!(what.contains("the server allows 0 at the same time"), "{what}");
    assert_eq!(row["transport"]["streams_allowed"], 0, "{row}");
}

#[test]
fn http2_a_server_without_settings_is_a_time_out_that_says_so() {
    let silent = server(|mut peer, _| while peer.read().is_some() {});
    for limit in [&["--connect-timeout", "0.3"], &["--max-time", "0.3"]] {
        let (code, row) = probe(&silent, &[&["-n", "3"], &limit[..]].concat());
        let (kind, count, what) = failure(&row);
        assert_eq!((code, &kind[..], count), (1, "timeout", 3), "{row}");
        assert_eq!(what, "the server sent no HTTP/2 settings within 300ms");
    }
    // What comes first is something else.
    for (first, part) in [
        (answer(1), "does not start with settings"),
        (frame(SETTINGS, ACK, 0, &[]), "does not start with settings"),
        (
            b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec(),
            "it starts with \"HTTP/1.1 400 Bad Request\"",
        ),
        (b"\x15\x03\x01\0\x02\x02\x46".to_vec(), "it expects TLS"),
        (b"SSH-2".to_vec(), "it starts with \"SSH-2\""),
    ] {
        let other = server(move |mut peer, _| {
            peer.write(&first);
        });
        let (_, row) = probe(&other, &["-n", "2"]);
        let (kind, count, what) = failure(&row);
        assert_eq!((&kind[..], count), ("protocol", 2), "{what}");
        assert!(what.contains(part), "{part}: {what}");
    }
}

#[test]
fn http2_interim_responses_are_counted() {
    let early = [(":status", "103"), ("link", "</style.css>; rel=preload")];
    let server = answering(move |request, _| {
        let early = headers(request.stream, &early, 0);
        [early.clone(), early, answer(request.stream)].concat()
    });
    let (code, row) = probe(&server, &["-n", "10", "--streams", "3"]);
    assert_eq!((code, &row["answers"]), (0, &10.into()), "{row}");
    assert_eq!(row["transport"]["interim"], 20, "{row}");
}

#[test]
fn http2_endless_interim_responses_end_and_take_no_memory() {
    let flood = |links: usize| {
        server(move |mut peer, _| {
            peer.write(&settings(&[]));
            let mut stream = None;
            while let Some(frame) = peer.read() {
                if frame.kind == HEADERS {
                    stream = Some(frame.stream);
                }
                let Some(stream) = stream else { continue };
                let links = vec![("link", LONG); links];
                let fields = [vec![(":status", "103")], links].concat();
                let early = headers(stream, &fields, 0).repeat(20);
                // A frame of the client, its RST_STREAM, ends the flood.
                while peer.write(&early) && !peer.has_more(Duration::from_micros(1)) {}
            }
        })
    };
    for (links, part) in [(1, "more than 100 interim (1xx) responses"), (100, "exceed 65536 bytes")]
    {
        let server = flood(links);
        let start = Instant::now();
        let target = server.target();
        let args = [&["-t", &target, "-n", "200", "--output=json", "--quiet"][..], KEPT].concat();
        let mut prober = Background::start(command("prober").args(args));
        let mut peak = 0;
        while !prober.has_ended() {
            peak = peak.max(prober.peak_kib().unwrap_or_default());
        }
        let said = prober.said_all();
        let report: Value = serde_json::from_str(&said).expect("JSON");
        let (kind, count, what) = failure(&report["rows"][0]);
        assert_eq!((&kind[..], count), ("protocol", 200), "{what}");
        assert!(what.contains(part) && what.ends_with("; prober reads no more"), "{what}");
        assert!(peak < 48 << 10, "{peak} KiB");
        assert!(start.elapsed() < Duration::from_secs(20), "{:?}", start.elapsed());
    }
}

/// A value of a header that is as long as one may be here.
const LONG: &str =
    "vvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvv";

#[test]
fn http2_impossible_responses_are_failures_of_protocol() {
    for (fields, part) in [
        (&[(":status", "000")][..], "the :status of the response is '000'"),
        (&[(":status", "42")], "the :status of the response is '42'"),
        (&[(":status", "101")], "101 Switching Protocols, which HTTP/2 does not have"),
        (&[("x-echo-pod", "p1")], "no :status"),
        (
            &[(":status", "200"), ("X-Echo-Pod", "p1")],
            "'X-Echo-Pod' of the response has upper-case",
        ),
        (&[(":status", "200"), ("connection", "close")], "'connection', which HTTP/2 forbids"),
        (&[(":status", "200"), ("content-length", "5")], "but content-length says 5"),
        (&[(":status", "200"), ("a", "b\r\nc: d")], "a control character"),
    ] {
        let server = answering(move |request, _| headers(request.stream, fields, END_STREAM));
        let (code, row) = probe(&server, &["-n", "4", "--streams", "2"]);
        let (kind, count, what) = failure(&row);
        assert_eq!((code, &kind[..], count), (1, "protocol", 4), "{row}");
        assert!(what.contains(part), "{part}: {what}");
        assert_eq!(row["connections"], 1, "only the stream is wrong: {row}");
    }
}

#[test]
fn http2_every_form_of_an_answer_is_read() {
    let server = answering(|request, number| {
        let stream = request.stream;
        let fields = block(ECHO);
        let (start, rest) = fields.split_at(7);
        let padded = [&[3, 0, 0, 0, 0, 7][..], &fields, &[0; 3]].concat();
        match number % 4 {
            0 => [
                frame(HEADERS, 0, stream, start),
                frame(CONTINUATION, 0, stream, &[]),
                frame(CONTINUATION, END_HEADERS, stream, rest),
                frame(DATA, PADDED, stream, b"\x02ab\0\0"),
                headers(stream, &[("x-trailer", "t")], END_STREAM),
            ]
            .concat(),
            1 => [
                frame(HEADERS, END_HEADERS | PADDED | WITH_PRIORITY, stream, &padded),
                frame(PRIORITY, 0, stream, &[0; 5]),
                frame(DATA, END_STREAM, stream, b""),
            ]
            .concat(),
            2 => [
                frame(0x42, 0xff, stream, b"whatever"),
                settings(&[(0x99, 7)]),
                headers(stream, ECHO, 0),
                frame(DATA, 0, stream, b"").repeat(1_000),
                frame(DATA, END_STREAM | PADDED, stream, b"\0x"),
            ]
            .concat(),
            _ => answer(stream),
        }
    });
    let (code, row) = probe(&server, &["-n", "40", "--streams", "3"]);
    assert_eq!((code, &row["answers"], &row["connections"]), (0, &40.into(), &1.into()), "{row}");
}

#[test]
fn http2_pings_are_answered() {
    let server = server(|mut peer, _| {
        peer.write(&settings(&[]));
        let mut asked = Vec::new();
        while let Some(request) = peer.read() {
            if request.ends_request() {
                asked.push(request.stream);
                peer.write(&frame(PING, 0, 0, &u64::from(request.stream).to_be_bytes()));
            } else if request.acknowledges(PING) {
                let of = u64::from_be_bytes(request.payload.try_into().expect("8 bytes"));
                let place = asked.iter().position(|stream| u64::from(*stream) == of);
                peer.write(&answer(asked.remove(place.expect("the same payload"))));
            }
        }
    });
    let (code, row) = probe(&server, &["-n", "20", "--streams", "3"]);
    assert_eq!((code, &row["answers"]), (0, &20.into()), "{row}");
}

#[test]
fn http2_large_bodies_keep_to_the_windows_both_ways() {
    // As long as --data may be; the windows are far smaller.
    let file = tempfile::NamedTempFile::new().expect("a file");
    let body = vec![b'b'; 1 << 20];
    std::fs::write(file.path(), &body).expect("it can be written");
    let data = format!("@{}", file.path().display());
    let answered = Arc::new(AtomicU32::new(0));
    let whole = Arc::clone(&answered);
    let length = body.len();
    // The client may send 9,000 bytes of a body, then it gets room for a few more again and again.
    let server = server(move |mut peer, _| {
        peer.write(&settings(&[(INITIAL_WINDOW, 9_000)]));
        let mut bodies = std::collections::HashMap::<u32, usize>::new();
        while let Some(request) = peer.read() {
            if request.kind != DATA {
                continue;
            }
            let got = bodies.entry(request.stream).or_default();
            *got += request.payload.len();
            if request.ends_request() {
                whole.fetch_add(u32::from(*got == length), Ordering::SeqCst);
                let answer = [headers(request.stream, ECHO, 0), large(request.stream)].concat();
                peer.write(&answer);
            } else if !request.payload.is_empty() {
                let more = u32::try_from(request.payload.len()).expect("short").to_be_bytes();
                let updates = [request.stream, 0].map(|of| frame(WINDOW_UPDATE, 0, of, &more));
                peer.write(&updates.concat());
            }
        }
    });
    let flags = ["-n", "8", "--streams", "4", "--data-binary", &data, "--max-body", "300000"];
    let (code, row) = probe(&server, &flags);
    assert_eq!((code, &row["answers"]), (0, &8.into()), "{row}");
    assert_eq!(answered.load(Ordering::SeqCst), 8, "each body came whole");
}

/// The frames of a body of 250,000 bytes.
fn large(stream: u32) -> Vec<u8> {
    let mut frames = frame(DATA, 0, stream, &[b'x'; 10_000]).repeat(25);
    frames.extend(frame(DATA, END_STREAM, stream, &[]));
    frames
}

#[test]
fn http2_a_body_that_is_too_long_does_not_hurt_the_other_streams() {
    let reset = Arc::new(AtomicU32::new(0));
    let resets = Arc::clone(&reset);
    let server = server(move |mut peer, _| {
        peer.write(&settings(&[]));
        let mut number = 0;
        while let Some(request) = peer.read() {
            let cancelled = request.kind == RST_STREAM && request.payload == [0, 0, 0, CANCEL];
            resets.fetch_add(u32::from(cancelled), Ordering::SeqCst);
            if request.ends_request() {
                number += 1;
                let body = if number % 4 == 0 {
                    [headers(request.stream, ECHO, 0), large(request.stream)].concat()
                } else {
                    answer(request.stream)
                };
                peer.write(&body);
            }
        }
    });
    let (_, row) = probe(&server, &["-n", "40", "--streams", "5"]);
    let (kind, count, what) = failure(&row);
    assert_eq!((&kind[..], count, &row["answers"]), ("protocol", 10, &30.into()), "{row}");
    assert!(what.contains("longer than 65536 bytes (--max-body)"), "{what}");
    assert_eq!(row["connections"], 1, "{row}");
    assert!(reset.load(Ordering::SeqCst) > 0, "the rest is refused");
}

#[test]
fn http2_a_goaway_in_the_middle_fails_only_what_is_not_answered() {
    let server = server(|mut peer, _| {
        peer.write(&settings(&[]));
        let mut asked = Vec::new();
        while let Some(request) = peer.read() {
            if request.ends_request() {
                asked.push(request.stream);
            }
            // Of four requests, the first two are answered, after the farewell.
            if asked.len() == 4 {
                let last = asked[1].to_be_bytes();
                peer.write(&frame(GOAWAY, 0, 0, &[last, [0; 4]].concat()));
                peer.write(&[answer(asked[1]), answer(asked[0])].concat());
                while peer.read().is_some() {}
            }
        }
    });
    let (_, row) = probe(&server, &["-n", "16", "--streams", "4"]);
    let (kind, count, what) = failure(&row);
    assert_eq!((&kind[..], count, &row["answers"]), ("reset", 8, &8.into()), "{row}");
    assert_eq!(what, "the server closed the connection (GOAWAY NO_ERROR)");
    assert_eq!(row["connections"], 4, "{row}");
}

#[test]
fn http2_a_server_that_takes_no_requests_is_a_failure_and_not_a_loop() {
    let server = server(|mut peer, _| {
        peer.write(&[settings(&[]), frame(GOAWAY, 0, 0, &[0, 0, 0, 0, 0, 0, 0, 11])].concat());
        while peer.read().is_some() {}
    });
    let (_, row) = probe(&server, &["-n", "4"]);
    let (kind, count, what) = failure(&row);
    assert_eq!((&kind[..], count, &row["connections"]), ("reset", 4, &4.into()), "{row}");
    assert_eq!(what, "the server closed the connection (GOAWAY ENHANCE_YOUR_CALM)");
}

#[test]
fn http2_a_connection_that_ends_while_idle_costs_no_request() {
    // Closes after each answer, without a word.
    let server = server(|mut peer, _| {
        peer.write(&settings(&[]));
        while let Some(request) = peer.read() {
            if request.ends_request() {
                peer.write(&answer(request.stream));
                return;
            }
        }
    });
    let (code, row) = probe(&server, &["-n", "6", "--rate", "20/s"]);
    assert_eq!((code, &row["answers"], &row["connections"]), (0, &6.into(), &6.into()), "{row}");
    assert_eq!(row["transport"]["closed_while_idle"], 5, "{row}");
}

#[test]
fn http2_one_slow_stream_does_not_hold_up_the_others() {
    let cancelled = Arc::new(AtomicU32::new(0));
    let seen = Arc::clone(&cancelled);
    let server = server(move |mut peer, number| {
        peer.write(&settings(&[]));
        let mut first = number == 0;
        while let Some(request) = peer.read() {
            let cancel = request.kind == RST_STREAM && request.payload == [0, 0, 0, CANCEL];
            seen.fetch_add(u32::from(cancel), Ordering::SeqCst);
            if request.ends_request() && !std::mem::take(&mut first) {
                peer.write(&answer(request.stream));
            }
        }
    });
    let flags = ["-n", "400", "--rate", "400/s", "--streams", "2", "--max-time", "0.5"];
    let (_, row) = probe(&server, &flags);
    let (kind, count, what) = failure(&row);
    assert_eq!((&kind[..], count, &row["answers"]), ("timeout", 1, &399.into()), "{row}");
    assert_eq!(what, "no response headers within 500ms");
    assert_eq!(cancelled.load(Ordering::SeqCst), 1, "the server is told");
}

#[test]
fn http2_floods_of_a_hostile_server_end_in_words() {
    type Flood = (fn(u32) -> Vec<u8>, &'static str);
    let floods: [Flood; 3] = [
        (|_| frame(PING, 0, 0, &[0; 8]).repeat(1_000), "does not read the replies"),
        (|stream| frame(CONTINUATION, 0, stream, &[]).repeat(100), "CONTINUATION frames"),
        (|stream| frame(CONTINUATION, 0, stream, &[b'x'; 16_000]), "more than 262144 bytes"),
    ];
    for (flood, part) in floods {
        let server = server(move |mut peer, _| {
            peer.write(&settings(&[]));
            while let Some(request) = peer.read() {
                if request.kind == HEADERS {
                    let opening = frame(HEADERS, 0, request.stream, &block(ECHO));
                    let is_ping = flood(1)[3] == PING;
                    let open = is_ping || peer.write(&opening);
                    // Nothing is read meanwhile.
                    while open && peer.write(&flood(request.stream)) {}
                    return;
                }
            }
        });
        let (_, row) = probe(&server, &["-n", "2", "--max-time", "10"]);
        let (kind, count, what) = failure(&row);
        assert_eq!((&kind[..], count), ("protocol", 2), "{what}");
        assert!(what.contains(part) && what.ends_with("; prober reads no more"), "{what}");
    }
}

#[test]
fn http2_a_push_is_refused() {
    let server = answering(|request, _| frame(5, END_HEADERS, request.stream, &[0, 0, 0, 2]));
    let (_, row) = probe(&server, &["-n", "2"]);
    let (kind, _, what) = failure(&row);
    assert_eq!(kind, "protocol");
    assert_eq!(what, "the server breaks the HTTP/2 protocol: it pushes, which prober forbade");
}
