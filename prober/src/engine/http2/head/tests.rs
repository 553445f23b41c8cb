//! Heads that are taken as HTTP/1.1 would have been, and every way to break one.

use super::*;
use proptest::prelude::*;

/// Passes a block to the builder.
fn block(
    builder: &mut HeadBuilder,
    fields: &[(&str, &str)],
    last: bool,
    buffer: &mut Vec<u8>,
) -> Result<Section, Violation> {
    for (name, value) in fields {
        let (name, value) = (name.as_bytes(), value.as_bytes());
        builder.field(HeaderField { name, value, kind: kind_of(name, value) }, buffer);
    }
    builder.end_block(last, buffer)
}

#[test]
fn a_head_is_what_http1_would_have_said() {
    let (mut builder, mut buffer) = (HeadBuilder::default(), Vec::new());
    let early = [(":status", "103"), ("link", "</a>"), ("x-echo-pod", "none")];
    assert_eq!(block(&mut builder, &early, false, &mut buffer), Ok(Section::Interim));
    let fields = [
        (":status", "200"),
        ("x-echo-pod", " p1 "),
        ("content-length", "5"),
        ("x-cache", "miss"),
        ("x-echo-pod", "p2"),
    ];
    assert_eq!(block(&mut builder, &fields, false, &mut buffer), Ok(Section::Final));
    let trailers = [("grpc-status", "0"), ("content-length", "5")];
    assert_eq!(block(&mut builder, &trailers, true, &mut buffer), Ok(Section::Trailers));
    assert_eq!((builder.interim, builder.content_length), (1, Some(5)));
    assert!(builder.check_length(5, false).is_ok() && builder.check_length(0, true).is_ok());
    assert!(builder.check_length(4, false).is_err());
    let head = builder.finish(&mut buffer);
    let text = "HTTP/1.1 200 \r\nx-echo-pod: p1\r\nx-cache: miss\r\nx-echo-pod: p2\r\n\
                grpc-status: 0\r\n\r\n";
    assert_eq!(String::from_utf8(buffer.clone()).unwrap(), text);
    let mut read = Head::read(&buffer, false).unwrap().unwrap();
    (read.ending, read.keep_alive) = (head.ending, head.keep_alive);
    assert_eq!(head, read);
    assert_eq!(head.field(&buffer, Field::Pod), Some(&b"p1"[..]));
    assert_eq!(head.header(&buffer, "x-cache"), Some(&b"miss"[..]));
}

#[test]
fn what_http2_forbids_is_refused_by_name() {
    for (fields, part) in [
        (&[("x", "y")][..], "no :status"),
        (&[(":status", "000")], "is '000'"),
        (&[(":status", "99")], "is '99'"),
        (&[(":status", "2000")], "is '2000'"),
        (&[(":status", "2x0")], "is '2x0'"),
        (&[(":status", "")], "is ''"),
        (&[(":status", "200"), (":status", "200")], "twice"),
        (&[("x", "y"), (":status", "200")], "not its first field"),
        (&[(":status", "101")], "101 Switching Protocols"),
        (&[(":status", "200"), (":path", "/")], "the field ':path'"),
        (&[(":status", "200"), ("Server", "x")], "'Server' of the response has upper-case"),
        (&[(":status", "200"), ("a b", "x")], "the name 'a b'"),
        (&[(":status", "200"), ("", "x")], "the name ''"),
        (&[(":status", "200"), ("a", "x\r\ny: z")], "'a' of the response has a control"),
        (&[(":status", "200"), ("connection", "close")], "'connection', which HTTP/2 forbids"),
        (&[(":status", "200"), ("transfer-encoding", "chunked")], "'transfer-encoding'"),
        (&[(":status", "200"), ("content-length", "x")], "is not a number of bytes"),
        (&[(":status", "200"), ("content-length", "1"), ("content-length", "2")], "two lengths"),
    ] {
        let (mut builder, mut buffer) = (HeadBuilder::default(), Vec::new());
        let wrong = block(&mut builder, fields, false, &mut buffer).expect_err(part);
        assert!(wrong.what.contains(part) && !wrong.own_limit, "{part}: {wrong:?}");
    }
    let (mut builder, mut buffer) = (HeadBuilder::default(), Vec::new());
    let interim = block(&mut builder, &[(":status", "100")], true, &mut buffer);
    assert!(interim.is_err(), "nothing would follow");
    assert!(block(&mut builder, &[(":status", "200")], false, &mut buffer).is_ok());
    assert!(block(&mut builder, &[("a", "b")], false, &mut buffer).is_err(), "no trailers");
}

#[test]
fn limits_are_our_own() {
    let (long, many) = ("x".repeat(MAX_HEAD), vec![("a", "b"); MAX_HEADERS + 1]);
    for (fields, part) in
        [(vec![("a", &long[..])], "larger than 65536"), (many, "more than 128 headers")]
    {
        let (mut builder, mut buffer) = (HeadBuilder::default(), Vec::new());
        let fields = [vec![(":status", "200")], fields].concat();
        let wrong = block(&mut builder, &fields, true, &mut buffer).expect_err(part);
        assert!(wrong.what.contains(part) && wrong.own_limit, "{wrong:?}");
        assert!(buffer.len() <= MAX_HEAD);
    }
    let large = "x".repeat(2_000);
    for (value, after, part) in [("", 100, "more than 100 interim"), (&large, 31, "65536")] {
        let (mut builder, mut buffer) = (HeadBuilder::default(), Vec::new());
        let fields = [(":status", "103"), ("a", value)];
        for _ in 0..after {
            let section = block(&mut builder, &fields, false, &mut buffer);
            assert_eq!((section, buffer.len()), (Ok(Section::Interim), 0));
        }
        let wrong = block(&mut builder, &fields, false, &mut buffer).expect_err(part);
        assert!(wrong.what.contains(part) && wrong.own_limit, "{wrong:?}");
    }
}

proptest! {
    #[test]
    fn no_field_panics_and_a_head_that_is_taken_can_be_read(
        fields in prop::collection::vec(("[a-zA-Z:-]{0,12}", any::<String>()), 0..8),
    ) {
        let fields: Vec<_> =
            fields.iter().map(|(name, value)| (&name[..], &value[..])).collect();
        let fields = [&[(":status", "200")][..], &fields].concat();
        let (mut builder, mut buffer) = (HeadBuilder::default(), Vec::new());
        if block(&mut builder, &fields, true, &mut buffer).is_ok() {
            let head = builder.finish(&mut buffer);
            let read = Head::read(&buffer, false).unwrap().unwrap();
            prop_assert_eq!((head.status, head.length), (read.status, read.length));
        }
    }
}
