//! Heads and chunks: the rules, and every way to break them.

use super::chunks::Progress;
use super::error::quoted;
use super::*;
use proptest::prelude::*;

fn head(text: &str) -> Result<Option<Head>, WireError> {
    Head::read(text.as_bytes(), false)
}

fn whole(text: &str) -> Head {
    head(text).unwrap().unwrap()
}

fn request(args: &[&str]) -> RequestBytes {
    use clap::Parser as _;
    let cli = crate::cli::Cli::try_parse_from(["prober"].iter().chain(args));
    RequestBytes::new(&crate::plan::run(&cli.unwrap().run).unwrap()[0], "run")
}

#[test]
fn the_request_is_numbered_in_place() {
    let mut request = request(&["-t", "echo1:8080/a?b", "-H", "X-Probe-Id: mine"]);
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    let first = text(request.numbered(0xabc));
    assert!(first.starts_with("GET /a?b HTTP/1.1\r\nHost: echo1:8080\r\n"), "{first}");
    assert!(first.ends_with("\r\nx-probe-id: run-000000000abc\r\n\r\n"), "{first}");
    assert_eq!(text(request.id()), "run-000000000abc");
    assert!(!first.contains("mine"), "a request has one probe id: {first}");
    assert_eq!(text(request.numbered(1)).len(), first.len());
    assert_eq!(text(request.id()), "run-000000000001", "nothing of the number before is left");
}

#[test]
fn headers_keep_their_order_and_spelling() {
    let flags = ["X-b: 1", "x-A: 2", "user-agent: me", "X-B: 3", "hOST: b", "Host: c", "ACCEPT:"];
    let flags: Vec<_> = flags.iter().flat_map(|header| ["-H", header]).collect();
    let mut request = request(&[&["-t", "a", "--data", "xy"], &flags[..]].concat());
    let text = String::from_utf8(request.numbered(0).to_vec()).unwrap();
    let lines: Vec<_> = text.lines().collect();
    let sent = [
        "POST / HTTP/1.1",
        "Host: b",
        "X-b: 1",
        "x-A: 2",
        "user-agent: me",
        "X-B: 3",
        "Content-Length: 2",
        "Content-Type: application/x-www-form-urlencoded",
        "x-probe-id: run-000000000000",
        "",
    ];
    assert_eq!(lines, sent);
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
        ("HTTP/1.1 200 OK\r\ncontent-length: 5, 5\r\n\r\n", Ending::Length(5), true),
        (
            "HTTP/1.1 200 OK\r\nconnection: close, keep-alive\r\ncontent-length: 5\r\n\r\n",
            Ending::Length(5),
            false,
        ),
        (
            "HTTP/1.0 200 OK\r\nconnection: keep-alive\r\ntransfer-encoding: chunked\r\n\r\n",
            Ending::Chunked,
            false,
        ),
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
fn interim_responses_are_passed_over_and_counted() {
    let text = "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n\
                HTTP/1.1 200 OK\r\nx-echo-pod: p\r\ncontent-length: 2\r\n\r\nhi";
    let head = whole(text);
    assert_eq!((head.status, head.interim, &text[head.length..]), (200, 2, "hi"));
    assert_eq!(head.field(text.as_bytes(), Field::Pod), Some(&b"p"[..]));
    assert_eq!(self::head("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 2").unwrap(), None);
    let many = |n| "HTTP/1.1 102 Processing\r\n\r\n".repeat(n) + "HTTP/1.1 200 OK\r\n\r\n";
    assert_eq!(whole(&many(100)).interim, 100);
    assert_eq!(self::head(&many(101)), Err(WireError::TooManyInterim));
}

#[test]
fn a_change_of_the_protocol_is_final() {
    let text = "HTTP/1.1 103 Early Hints\r\nx-pod: early\r\n\r\nHTTP/1.1 101 Switching Protocols\r\n\
                upgrade: websocket\r\nconnection: upgrade\r\nx-echo-pod: p\r\n\r\n\x01\x02";
    let head = whole(text);
    assert_eq!((head.status, head.interim, head.ending), (101, 1, Ending::Length(0)));
    assert!(!head.keep_alive, "another protocol follows");
    assert_eq!(head.field(text.as_bytes(), Field::Pod), Some(&b"p"[..]));
    assert_eq!(head.header(text.as_bytes(), "upgrade"), Some(b"websocket".as_slice()));
    assert_eq!(head.header(text.as_bytes(), "x-pod"), None);
}

#[test]
fn codes_that_do_not_exist() {
    for code in ["000", "001", "099"] {
        let said = said(&format!("HTTP/1.1 {code} Odd\r\n\r\n"));
        assert_eq!(
            said,
            format!("the status code {code} does not exist; status codes begin at 100")
        );
    }
    // As in curl, and by RFC 9110 (15) an error of the server.
    for code in [600, 999] {
        assert_eq!(whole(&format!("HTTP/1.1 {code} Odd\r\n\r\n")).status, code);
    }
}

/// What is said of a response that breaks the rules.
fn said(text: &str) -> String {
    head(text).expect_err(text).to_string()
}

#[test]
fn a_bad_start_is_quoted() {
    for (text, what) in [
        ("hello there\r\nx", "not HTTP: the answer begins with \"hello there\""),
        ("\r\n\r\nSSH-2.0-x\r\n", "not HTTP: the answer begins with \"SSH-2.0-x\""),
        ("ICY 200 OK\r\n", "not HTTP: the answer begins with \"ICY 200 OK\""),
        ("http/1.1 200 OK\r\n", "not HTTP: the answer begins with \"http/1.1 200 OK\""),
        (
            "\0\x01\u{7f}é\u{202e}\n",
            "not HTTP: the answer begins with \"\\x00\\x01\\x7fé\\u{202e}\"",
        ),
        (
            "HTTP/3.0 200 OK\r\n",
            "the answer has the version \"HTTP/3.0\"; only HTTP/1.0 and HTTP/1.1 are possible here",
        ),
        (
            "HTTP/2 200\r\n\r\n",
            "the answer has the version \"HTTP/2\"; only HTTP/1.0 and HTTP/1.1 are possible here",
        ),
        (
            "HTTP/1.1 abc\r\n",
            "bad status line \"HTTP/1.1 abc\": the status code does not have three digits",
        ),
        (
            "HTTP/1.1 1000 OK\r\n",
            "bad status line \"HTTP/1.1 1000 OK\": the status code does not have three digits",
        ),
        (
            "HTTP/1.1\t200 OK\r\n",
            "bad status line \"HTTP/1.1\\t200 OK\": a space and a status code must follow the version",
        ),
        (
            "HTTP/1.1 200 O\0K\r\n",
            "bad status line \"HTTP/1.1 200 O\\x00K\": a control character is in it",
        ),
        (
            "HTTP/1.1 200 O\rK\r\n",
            "bad status line \"HTTP/1.1 200 O\\rK\": a CR without LF is in it",
        ),
    ] {
        assert_eq!(said(text), what);
    }
    for status_line in ["HTTP/1.1 200", "HTTP/1.1 200 ", "HTTP/1.1  200  OK"] {
        let text = format!("{status_line}\r\ncontent-length: 1\r\nx-pod: p\r\n\r\n");
        let head = whole(&text);
        assert_eq!((head.status, head.ending), (200, Ending::Length(1)), "{text}");
        assert_eq!(head.header(text.as_bytes(), "x-pod"), Some(b"p".as_slice()), "{text}");
    }
}

#[test]
fn a_bad_header_is_quoted_with_what_is_wrong() {
    for (line, wrong) in [
        ("Bad header", "the colon is missing"),
        (": value", "the name before the colon is missing"),
        ("X-A : 1", "a space is before the colon, which RFC 9112 (5.1) forbids"),
        ("X A: 1", "the name has a character that is not allowed"),
        ("Xé: 1", "the name has a character that is not allowed"),
        ("X-A: 1\u{1}2", "a control character is in it"),
        ("X-A:\0", "a control character is in it"),
        ("X-A: 1\r2", "a CR without LF is in it"),
        ("X\r-A: 12", "a CR without LF is in it"),
        ("\rX-A: 12", "a CR without LF is in it"),
    ] {
        let what = format!("bad header \"{}\": {wrong}", line.escape_default());
        let what =
            what.replace("\\u{1}", "\\x01").replace("\\u{0}", "\\x00").replace("\\u{e9}", "é");
        assert_eq!(said(&format!("HTTP/1.1 200 OK\r\nX: y\r\n{line}\r\nZ: z\r\n\r\n")), what);
        // In an interim response, too, and whatever the line ends are.
        let early = format!("HTTP/1.1 103 Early\n\nHTTP/1.1 200 OK\nX: y\n{line}\nZ: z\n\n");
        assert_eq!(said(&early), what);
    }
    let after_status = said("HTTP/1.1 200 OK\r\n X: y\r\n\r\n");
    assert_eq!(
        after_status,
        "bad header \" X: y\": it begins with a space, but there is no header that it could continue"
    );
    let long = said(&format!("HTTP/1.1 200 OK\r\n{} : y\r\n\r\n", "x".repeat(5000)));
    assert!(long.starts_with(&format!("bad header \"{}…\": a space", "x".repeat(60))), "{long}");
    let many = format!("HTTP/1.1 200 OK\r\n{}\r\n", "a: b\r\n".repeat(129));
    assert_eq!(head(&many), Err(WireError::TooManyHeaders));
}

#[test]
fn contradictory_lengths_are_quoted() {
    for (headers, what) in [
        ("content-length: -5", "bad header Content-Length: \"-5\" is not a number of bytes"),
        ("content-length: +5", "bad header Content-Length: \"+5\" is not a number of bytes"),
        ("content-length: 0x5", "bad header Content-Length: \"0x5\" is not a number of bytes"),
        ("content-length: 5,", "bad header Content-Length: \"5,\" is not a number of bytes"),
        ("content-length:", "bad header Content-Length: \"\" is not a number of bytes"),
        (
            "content-length: 99999999999999999999",
            "bad header Content-Length: \"99999999999999999999\" is not a number of bytes",
        ),
        ("content-length: 12, 13", "the response has two lengths: Content-Length is 12 and 13"),
        (
            "content-length: 5\r\ncontent-length: 6",
            "the response has two lengths: Content-Length is 5 and 6",
        ),
        (
            "transfer-encoding: gzip, chunked",
            "Transfer-Encoding is \"gzip, chunked\"; prober accepts only chunked, and asks for nothing else",
        ),
        (
            "transfer-encoding: identity",
            "Transfer-Encoding is \"identity\"; prober accepts only chunked, and asks for nothing else",
        ),
        (
            "transfer-encoding: chunked, chunked",
            "Transfer-Encoding has chunked twice, which RFC 9112 (6.1) forbids",
        ),
        (
            "transfer-encoding: chunked\r\ntransfer-encoding: chunked",
            "Transfer-Encoding has chunked twice, which RFC 9112 (6.1) forbids",
        ),
        (
            "content-length: 5\r\ntransfer-encoding: chunked",
            "the response has Content-Length and Transfer-Encoding, which contradict each other",
        ),
        (
            "transfer-encoding: chunked\r\ncontent-length: 5",
            "the response has Content-Length and Transfer-Encoding, which contradict each other",
        ),
    ] {
        assert_eq!(said(&format!("HTTP/1.1 200 OK\r\n{headers}\r\n\r\n")), what);
        // Where no body can follow, its length is of no importance (RFC 9112, 6.3).
        let bodiless = format!("HTTP/1.1 304 Not Modified\r\n{headers}\r\n\r\n");
        assert_eq!(whole(&bodiless).ending, Ending::Length(0), "{headers}");
    }
}

/// The same as [`whole`] after `unfold`, and whether anything was folded.
fn unfolded(text: &str) -> (String, bool) {
    let mut buffer = text.as_bytes().to_vec();
    let folded = unfold(&mut buffer);
    (String::from_utf8(buffer).unwrap(), folded)
}

#[test]
fn folded_headers_are_joined_by_spaces() {
    let text = "\r\nHTTP/1.1 103 Early\r\nLink: a\r\n\tb\r\n\r\nHTTP/1.1 200 OK\r\nX-Echo-Pod: p\r\n 1\r\n\
                X-Echo-Cluster:\n  kops\n \r\ncontent-length: 9\r\n\r\na\r\n b\r\n c";
    assert!(head(text).is_err());
    let (joined, folded) = unfolded(text);
    assert!(folded && joined.len() == text.len());
    let mut bytes = text.as_bytes().to_vec();
    let head = Head::read_unfolding(&mut bytes, false).unwrap().unwrap();
    assert_eq!(bytes, joined.as_bytes());
    let field = |field| head.field(joined.as_bytes(), field);
    assert_eq!(field(Field::Pod), Some(&b"p   1"[..]));
    assert_eq!(field(Field::Cluster), Some(&b"kops"[..]));
    assert_eq!(&joined[head.length..], "a\r\n b\r\n c", "the body is left alone");
    for kept in [
        "HTTP/1.1 200 OK\r\n X: y\r\n\r\n",
        "HTTP/1.1 200 OK\r\nX: y\r\n\r\n z\r\n z",
        "HTTP/1.1 200 OK\r\nX: y\r\n",
        "HTTP/1.1 101 Switching\r\nX: y\r\n\r\nA: b\r\n c",
        "",
    ] {
        assert_eq!(unfolded(kept), (kept.to_owned(), false), "{kept:?}");
    }
    // A head that arrives in pieces.
    let (part, folded) = unfolded("HTTP/1.1 200 OK\r\nX: y\r\n ");
    assert!(folded && part == "HTTP/1.1 200 OK\r\nX: y   ");
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
    assert_eq!(chunked("5 \t\r\nhello\r\n0 ;x\r\n\r\n").unwrap().0, b"hello");
    let said = |text: &str| chunked(text).expect_err(text).to_string();
    for (text, what) in [
        ("zz\r\n", "bad body: the chunk size \"zz\" is not a hexadecimal number"),
        ("\r\n", "bad body: the chunk size \"\" is not a hexadecimal number"),
        (" 5\r\n", "bad body: the chunk size \" 5\" is not a hexadecimal number"),
        ("-1\r\n", "bad body: the chunk size \"-1\" is not a hexadecimal number"),
        ("0x5;a\r\n", "bad body: the chunk size \"0x5;a\" is not a hexadecimal number"),
        ("5\r\r\n", "bad body: the chunk size \"5\" is not a hexadecimal number"),
        ("fffffffffffffffff\r\n", "bad body: the chunk size \"fffffffffffffffff\" is too large"),
        (
            "5\r\nhelloX\r\n",
            "bad body: \"X\" follows the content of a chunk, instead of a line end",
        ),
        (
            "5\r\nhello\n0",
            "bad body: \"\\n\" follows the content of a chunk, instead of a line end",
        ),
        (
            "5\r\nhello0\r\n",
            "bad body: \"0\" follows the content of a chunk, instead of a line end",
        ),
        ("5\nhello\r\n", "bad body: the line \"5\" of a chunked body ends with LF, not CRLF"),
        ("0\r\nx: y\n", "bad body: the line \"x: y\" of a chunked body ends with LF, not CRLF"),
    ] {
        assert_eq!(said(text), what);
    }
    assert_eq!(
        said(&"1".repeat(5000)),
        "bad body: a line of a chunked body has more than 4096 bytes"
    );
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
        let length = bytes.len();
        let mut bytes = bytes;
        unfold(&mut bytes);
        prop_assert_eq!(bytes.len(), length);
    }

    /// Of a head with one wrong byte, the line with that byte is quoted, if the parser refuses it.
    #[test]
    fn the_wrong_line_is_quoted(at in 9usize..64, wrong in any::<u8>(), cut in 0usize..90) {
        let mut bytes =
            b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\nx-echo-pod: p\r\nserver: s\r\n\r\n".to_vec();
        // A line end makes two lines of the status line.
        prop_assume!(at < bytes.len() && (at > 16 || wrong != b'\n'));
        // A status code below 100 is read, and refused in other words.
        prop_assume!(at != 9 || wrong != b'0');
        bytes[at] = wrong;
        bytes.truncate(cut.max(at + 1));
        if let Err(error) = Head::read_unfolding(&mut bytes, false) {
            let said = error.to_string();
            prop_assert!(said.starts_with("bad ") && !said.contains(char::is_control), "{}", said);
            prop_assert!(!said.ends_with("cannot be read"), "{}", said);
            let of_status = said.starts_with("bad status line");
            prop_assert_eq!(of_status, at < 17, "{}", said);
        }
    }

    /// Whatever comes is quoted on one line of bounded length.
    #[test]
    fn quotes_are_bounded(bytes in any::<Vec<u8>>(), valid in ".{0,90}") {
        for bytes in [bytes.as_slice(), valid.as_bytes()] {
            let text = quoted(bytes);
            prop_assert!(text.chars().count() <= 63 && !text.contains(char::is_control), "{}", text);
        }
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
