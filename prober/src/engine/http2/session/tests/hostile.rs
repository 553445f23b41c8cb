//! Servers that keep to no rule, or to no limit.

use super::*;
use proptest::prelude::*;

#[test]
fn what_breaks_the_protocol_ends_the_connection() {
    let push = a_frame(kind::PUSH_PROMISE, flag::END_HEADERS, 1, &[0, 0, 0, 2]);
    let window = |stream, by: u32| a_frame(kind::WINDOW_UPDATE, 0, stream, &by.to_be_bytes());
    for (frames, code, part) in [
        (push, 1, "pushes"),
        (headers(2, OK, true), 1, "stream 2, which was not opened"),
        (data(3, b"x", true), 1, "stream 3, which was not opened"),
        (headers(0, OK, true), 1, "stream 0"),
        (a_frame(kind::RST_STREAM, 0, 9, &[0; 4]), 1, "stream 9"),
        (a_frame(kind::RST_STREAM, 0, 1, &[0; 3]), 6, "wrong size"),
        (a_frame(kind::SETTINGS, 0, 0, &[0; 5]), 6, "wrong size"),
        (a_frame(kind::SETTINGS, flag::ACK, 0, &[0; 6]), 6, "wrong size"),
        (a_frame(kind::SETTINGS, 0, 1, &[]), 1, "for a stream"),
        (a_frame(kind::SETTINGS, 0, 0, &[0, 4, 0xff, 0, 0, 0]), 3, "too large"),
        (a_frame(kind::SETTINGS, 0, 0, &[0, 5, 0, 0, 0, 1]), 1, "not a valid maximum"),
        (a_frame(kind::PING, 0, 0, &[0; 7]), 6, "wrong size"),
        (a_frame(kind::PING, 0, 1, &[0; 8]), 1, "for a stream"),
        (a_frame(kind::GOAWAY, 0, 0, &[0; 7]), 6, "wrong size"),
        (window(0, 0), 1, "by 0 bytes"),
        (window(0, 1 << 31 | 0x7fff_ffff), 3, "2^31"),
        (a_frame(kind::DATA, flag::PADDED, 1, &[9, 0]), 1, "padding"),
        (a_frame(kind::HEADERS, flag::END_HEADERS, 1, &[0x80]), 9, "decompressed"),
        (a_frame(kind::HEADERS, flag::PRIORITY | flag::END_HEADERS, 1, &[0; 4]), 6, "wrong size"),
        (a_frame(kind::CONTINUATION, 0, 1, &[]), 1, "continues nothing"),
        ([a_frame(kind::HEADERS, 0, 1, &[]), data(1, b"", true)].concat(), 1, "no end"),
        (a_frame(kind::DATA, 0, 1, &[0; 16_385]), 6, "16385 bytes"),
    ] {
        let mut played = Played::new(&[], &[]);
        let place = played.begin();
        played.sent();
        played.receive(&frames);
        let (what, stream_only) = played.what(place);
        assert!(what.contains(part) && !stream_only, "{part}: {what}");
        assert!(what.starts_with("the server breaks the HTTP/2 protocol: "), "{what}");
        let (kind, _, _, payload) = played.sent().pop().unwrap();
        assert_eq!((kind, payload[7]), (kind::GOAWAY, code), "{part}");
    }
}

#[test]
fn what_breaks_a_response_ends_its_stream_only() {
    let long = [("content-length", "3")];
    let overflow = a_frame(kind::WINDOW_UPDATE, 0, 1, &0x7fff_ffffu32.to_be_bytes());
    for (frames, part) in [
        (headers(1, &[("a", "b")], true), "no :status"),
        (headers(1, &[(":status", "000")], true), "is '000'"),
        (data(1, b"x", true), "before the headers"),
        ([headers(1, OK, false), headers(1, OK, true)].concat(), "the trailers have a :status"),
        ([headers(1, OK, false), headers(1, &[], false)].concat(), "headers came twice"),
        (headers(1, &[OK, &long].concat(), true), "0 bytes, but content-length says 3"),
        (
            [headers(1, &[OK, &long].concat(), false), data(1, b"four", true)].concat(),
            "4 bytes, but content-length says 3",
        ),
        (overflow, "2^31"),
    ] {
        let mut played = Played::new(&[], &[]);
        let (place, other) = (played.begin(), played.begin());
        played.sent();
        played.receive(&[frames, headers(3, OK, true)].concat());
        let (what, stream_only) = played.what(place);
        assert!(what.contains(part) && stream_only, "{part}: {what}");
        assert_eq!((played.sent()[0].0, played.body(other)), (kind::RST_STREAM, String::new()));
    }
}

#[test]
fn endless_headers_end() {
    for part in [&[][..], &[b'x'; 16_000]] {
        let mut played = Played::new(&[], &[]);
        let place = played.begin();
        played.receive(&a_frame(kind::HEADERS, 0, 1, &block(OK)));
        let frame = a_frame(kind::CONTINUATION, 0, 1, part);
        let most = (0..2_000).take_while(|_| {
            played.receive(&frame);
            played.session.ended().is_none()
        });
        assert!(most.count() <= 1_024);
        let (what, stream_only) = played.what(place);
        assert!(what.ends_with("; prober reads no more") && !stream_only, "{what}");
    }
}

#[test]
fn a_server_that_exceeds_the_windows_is_refused() {
    let mut played = Played::new(&["--max-body", "100"], &[]);
    played.session.body_limit = usize::MAX;
    let place = played.begin();
    played.session.streams[place].window = 20_000;
    played.receive(&headers(1, OK, false));
    played.receive(&data(1, &[0; 16_384], false));
    played.receive(&data(1, &[0; 16_384], false));
    let (what, _) = played.what(place);
    assert!(what.contains("more than the flow control allows"), "{what}");
}

#[test]
fn interim_responses_are_counted_and_have_an_end() {
    let mut played = Played::new(&[], &[]);
    let place = played.begin();
    let early = headers(1, &[(":status", "103"), ("link", "</a>")], false);
    for _ in 0..100 {
        played.receive(&early);
    }
    played.receive(&headers(1, OK, true));
    assert_eq!(played.response(place).unwrap().unwrap().0.interim, 100);
    let place = played.begin();
    let early = headers(3, &[(":status", "103"), ("link", "</a>")], false);
    for _ in 0..101 {
        played.receive(&early);
    }
    let (what, stream_only) = played.what(place);
    assert!(what.starts_with("more than 100 interim (1xx) responses") && stream_only, "{what}");
}

#[test]
fn replies_are_sent_but_do_not_pile_up() {
    let mut played = Played::new(&[], &[]);
    let place = played.begin();
    played.sent();
    let ping = a_frame(kind::PING, 0, 0, b"12345678");
    for _ in 0..100_000 {
        played.receive(&ping);
        assert_eq!(played.sent(), [(kind::PING, flag::ACK, 0, b"12345678".to_vec())]);
    }
    played.receive(&a_frame(kind::PING, flag::ACK, 0, b"12345678"));
    assert!(played.sent().is_empty());
    for flood in [ping, a_frame(kind::SETTINGS, 0, 0, &[])] {
        let mut played = Played::new(&[], &[]);
        let place = played.begin();
        let taken = (0..40_000).take_while(|_| {
            played.receive(&flood);
            played.session.ended().is_none()
        });
        assert!(taken.count() < 30_000 && played.session.unsent().len() < 270_000);
        let (what, _) = played.what(place);
        assert!(what.contains("does not read the replies"), "{what}");
    }
    assert!(played.response(place).is_none());
}

proptest! {
    #[test]
    fn no_bytes_panic(
        parts in prop::collection::vec((0u8..11, any::<u8>(), 0u32..6, any::<Vec<u8>>()), 0..30),
        raw in any::<Vec<u8>>(),
    ) {
        let mut played = Played::new(&["--data", "abc"], &[(setting::INITIAL_WINDOW_SIZE, 1)]);
        let places = [played.begin(), played.begin()];
        for (kind, flags, stream, payload) in parts {
            let frame = a_frame(kind, flags, stream, &payload);
            let (head, tail) = frame.split_at(frame.len() / 2);
            played.receive(head);
            played.receive(tail);
        }
        played.receive(&raw);
        played.session.closed();
        for place in places {
            prop_assert!(played.response(place).is_some(), "every request ends");
        }
    }
}
