//! Heads and chunks: the rules, and every way to break them.

use super::chunks::Progress;
use super::*;
use proptest::prelude::*;

fn head(text: &str) -> Result<Option<Head>, WireError> {
    Head::read(text.as_bytes(), false)
}

fn whole(text: &str) -> Head {
    head(text).unwrap().unwrap()
}

#[test]
fn the_request_is_numbered_in_place() {
    use clap::Parser as _;
    let args = ["prober", "-t", "echo1:8080/a?b", "-H", "X: y", "-H", "X-Probe-Id: mine"];
    let cli = crate::cli::Cli::try_parse_from(args);
    let plan = crate::plan::run(&cli.unwrap().run).unwrap().remove(0);
    let mut request = RequestBytes::new(&plan, "run");
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    let first = text(request.numbered(0xabc));
    assert!(first.starts_with("GET /a?b HTTP/1.1\r\nhost: echo1:8080\r\n"), "{first}");
    assert!(first.contains("\r\nx: y\r\n"), "{first}");
    assert!(first.ends_with("\r\nx-probe-id: run-000000000abc\r\n\r\n"), "{first}");
    assert_eq!(text(request.id()), "run-000000000abc");
    assert!(!first.contains("mine"), "a request has one probe id: {first}");
    assert_eq!(text(request.numbered(1)).len(), first.len());
    assert_eq!(text(request.id()), "run-000000000001", "nothing of the number before is left");
}

#[test]
fn how_a_body_ends_and_whether_the_connection_stays() {
    for (text, ending, keep_alive) in [
        ("HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n", Ending::Length(5), true),
        (
            "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: Close\r\n\r\n",
            Ending::Length(5),
            false,
        ),
        (
            "HTTP/1.1 200 OK\r\ncontent-length: 5\r\ncontent-length: 5\r\n\r\n",
            Ending::Length(5),
            true,
        ),
        ("HTTP/1.1 200 OK\r\ntransfer-encoding: Chunked\r\n\r\n", Ending::Chunked, true),
        ("HTTP/1.1 200 OK\r\n\r\n", Ending::Close, false),
        ("HTTP/1.0 200 OK\r\ncontent-length: 5\r\n\r\n", Ending::Length(5), false),
        (
            "HTTP/1.0 200 OK\r\nconnection: keep-alive\r\ncontent-length: 5\r\n\r\n",
            Ending::Length(5),
            true,
        ),
        ("HTTP/1.1 204 No Content\r\n\r\n", Ending::Length(0), true),
        ("HTTP/1.1 304 Not Modified\r\ncontent-length: 9\r\n\r\n", Ending::Length(0), true),
    ] {
        let head = whole(text);
        assert_eq!((head.ending, head.keep_alive), (ending, keep_alive), "{text}");
        assert_eq!(head.length, text.len());
    }
    let to_head = Head::read(b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n", true);
    assert_eq!(to_head.unwrap().unwrap().ending, Ending::Length(0));
}

#[test]
fn fields_are_found_whatever_their_case_and_the_first_one_counts() {
    let text = "HTTP/1.1 200 OK\r\nX-Echo-Pod: p\r\nx-echo-cluster: c\r\nx-echo-pod: q\r\nserver: s\r\n\
                x-echo-zone:\r\nx-echo-probe: run-1\r\ncontent-length: 0\r\n\r\n";
    let head = whole(text);
    let field = |field| head.field(text.as_bytes(), field);
    assert_eq!(field(Field::Pod), Some(&b"p"[..]));
    assert_eq!(field(Field::Cluster), Some(&b"c"[..]));
    assert_eq!(field(Field::Zone), None, "empty is missing");
    assert_eq!(field(Field::Probe), Some(&b"run-1"[..]));
    assert_eq!(field(Field::Server), Some(&b"s"[..]));
    let identity: Vec<_> = head.identity(text.as_bytes()).to_vec();
    assert_eq!(identity[..2], [b"p", b"c"]);
    assert_eq!(identity.len(), IDENTITY_FIELDS);
}

#[test]
fn interim_responses_are_passed_over() {
    let text = "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n\
                HTTP/1.1 200 OK\r\nx-echo-pod: p\r\ncontent-length: 2\r\n\r\nhi";
    let head = whole(text);
    assert_eq!((head.status, &text[head.length..]), (200, "hi"));
    assert_eq!(head.field(text.as_bytes(), Field::Pod), Some(&b"p"[..]));
    assert_eq!(self::head("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 2").unwrap(), None);
}

#[test]
fn what_breaks_the_rules_is_refused() {
    for (text, error) in [
        ("hello there\r\n\r\n", WireError::Head("no HTTP version at the start")),
        ("HTTP/1.1 abc\r\n\r\n", WireError::Head("a bad status line")),
        ("HTTP/1.1 200 OK\r\nbad header\r\n\r\n", WireError::Head("a bad header name")),
        ("HTTP/1.1 200 OK\r\ncontent-length: -5\r\n\r\n", WireError::Length),
        ("HTTP/1.1 200 OK\r\ncontent-length: 5, 5\r\n\r\n", WireError::Length),
        ("HTTP/1.1 200 OK\r\ncontent-length:\r\n\r\n", WireError::Length),
        ("HTTP/1.1 200 OK\r\ncontent-length: 99999999999999999999\r\n\r\n", WireError::Length),
        (
            "HTTP/1.1 200 OK\r\ncontent-length: 5\r\ncontent-length: 6\r\n\r\n",
            WireError::TwoLengths,
        ),
        (
            "HTTP/1.1 200 OK\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\n",
            WireError::TwoLengths,
        ),
        (
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ncontent-length: 5\r\n\r\n",
            WireError::TwoLengths,
        ),
        ("HTTP/1.1 200 OK\r\ntransfer-encoding: gzip, chunked\r\n\r\n", WireError::Encoding),
    ] {
        assert_eq!(head(text), Err(error), "{text}");
    }
    let many = format!("HTTP/1.1 200 OK\r\n{}\r\n", "a: b\r\n".repeat(129));
    assert_eq!(head(&many), Err(WireError::TooManyHeaders));
}

fn chunked(text: &str) -> Result<(Vec<u8>, usize, bool), WireError> {
    let mut body = Vec::new();
    let Progress { used, done } = Chunks::default().read(text.as_bytes(), &mut body)?;
    Ok((body, used, done))
}

#[test]
fn chunks_are_joined_and_their_rules_kept() {
    let text = "5\r\nhello\r\n6;ext=1\r\n world\r\n0\r\ntrailer: x\r\n\r\nrest";
    assert_eq!(chunked(text), Ok((b"hello world".to_vec(), text.len() - 4, true)));
    assert_eq!(chunked("0\r\n\r\n"), Ok((Vec::new(), 5, true)));
    assert_eq!(chunked("5\r\nhel"), Ok((b"hel".to_vec(), 6, false)));
    for bad in
        ["zz\r\n", "\r\n", "5\r\nhelloX\r\n", "5\nhello\r\n", "-1\r\n", "fffffffffffffffff\r\n"]
    {
        assert_eq!(chunked(bad), Err(WireError::Chunk), "{bad:?}");
    }
    assert_eq!(chunked(&"1".repeat(5000)), Err(WireError::Chunk), "a size without end");
}

#[test]
fn any_header_is_found_by_its_name() {
    let text = "HTTP/1.1 103 Early Hints\r\nX-Pod: early\r\n\r\nHTTP/1.1 200 OK\r\n\
                x-pod:\r\nX-POD:  p \r\nx-pod: q\r\ncontent-length: 9\r\n\r\nx-late: body";
    let head = whole(text);
    let value = |name| head.header(text.as_bytes(), name);
    assert_eq!(value("x-pod"), Some(b"p".as_slice()));
    assert_eq!(value("Content-Length"), Some(b"9".as_slice()));
    assert_eq!((value("x-late"), value("x-po")), (None, None));
}

proptest! {
    #[test]
    fn no_bytes_panic(bytes in any::<Vec<u8>>()) {
        let _ = Head::read(&bytes, false);
        let _ = Chunks::default().read(&bytes, &mut Vec::new());
    }

    /// A response cut anywhere is incomplete, never another one.
    #[test]
    fn a_head_cut_short_is_never_whole(cut in 0usize..70) {
        let text = "HTTP/1.1 200 OK\r\ncontent-length: 5\r\nx-echo-pod: p\r\nserver: s\r\n\r\n";
        prop_assume!(cut < text.len());
        prop_assert_eq!(head(&text[..cut]), Ok(None));
    }

    /// However a chunked body is cut into reads, the same comes out.
    #[test]
    fn chunks_do_not_depend_on_how_they_arrive(
        parts in prop::collection::vec("[a-z]{1,30}", 0..6),
        cuts in prop::collection::vec(1usize..20, 0..40),
    ) {
        let mut text = String::new();
        for part in &parts {
            text.push_str(&format!("{:x}\r\n{part}\r\n", part.len()));
        }
        text.push_str("0\r\n\r\n");
        let (mut chunks, mut body) = (Chunks::default(), Vec::new());
        let (mut pending, mut rest, mut done) = (Vec::new(), text.as_bytes(), false);
        let mut cuts = cuts.into_iter();
        while !rest.is_empty() {
            let take = cuts.next().unwrap_or(7).min(rest.len());
            pending.extend_from_slice(&rest[..take]);
            rest = &rest[take..];
            let Progress { used, done: end } = chunks.read(&pending, &mut body).unwrap();
            pending.drain(..used);
            done = end;
        }
        prop_assert!(done);
        prop_assert_eq!(body, parts.concat().into_bytes());
    }
}
