//! The examples of RFC 7541, appendix C, and what must not happen with any other bytes.

use super::*;
use proptest::prelude::*;

fn decoder() -> Decoder<()> {
    Decoder::new(|_, _| ())
}

/// The fields of a block, a line for each.
fn decoded(decoder: &mut Decoder<()>, block: &[u8]) -> Result<Vec<String>, Invalid> {
    let mut lines = Vec::new();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    decoder.decode(block, |field| {
        lines.push(format!("{}: {}", text(field.name), text(field.value)));
    })?;
    Ok(lines)
}

fn bytes(hex: &str) -> Vec<u8> {
    let digits: Vec<_> = hex.bytes().filter(|byte| !byte.is_ascii_whitespace()).collect();
    let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
    digits.chunks(2).map(byte).collect()
}

/// The table, the newest entry first, and its size.
fn table(decoder: &Decoder<()>) -> (Vec<String>, usize) {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let entries = (0..).map_while(|n| decoder.table.get(n));
    let line = |entry: Entry<()>| {
        format!("{}: {}", text(decoder.table.name(&entry)), text(decoder.table.value(&entry)))
    };
    let lines: Vec<_> = entries.map(line).collect();
    let size = lines.iter().map(|line| line.len() - 2 + OVERHEAD).sum();
    (lines, size)
}

#[test]
fn integers_of_the_rfc() {
    for (prefix, number, hex) in [(5, 10, "0a"), (5, 1337, "1f 9a 0a"), (8, 42, "2a")] {
        let mut encoded = Vec::new();
        encode_integer(number, prefix, 0, &mut encoded);
        assert_eq!(encoded, bytes(hex));
        assert_eq!(Input(&encoded).integer(prefix), Ok(number));
    }
    assert_eq!(Input(&bytes("1f ff ff ff ff 0f")).integer(5), Err(Invalid), "too long");
    assert_eq!(Input(&bytes("1f ff")).integer(5), Err(Invalid), "no end");
}

#[test]
fn literals_of_the_rfc() {
    for (hex, line, in_table) in [
        (
            "400a 6375 7374 6f6d 2d6b 6579 0d63 7573 746f 6d2d 6865 6164 6572",
            "custom-key: custom-header",
            true,
        ),
        ("040c 2f73 616d 706c 652f 7061 7468", ":path: /sample/path", false),
        ("1008 7061 7373 776f 7264 0673 6563 7265 74", "password: secret", false),
        ("82", ":method: GET", false),
    ] {
        let mut decoder = decoder();
        assert_eq!(decoded(&mut decoder, &bytes(hex)).unwrap(), [line]);
        assert_eq!(table(&decoder).0, if in_table { vec![line] } else { vec![] });
    }
}

#[test]
fn requests_of_the_rfc_with_and_without_huffman() {
    let common = [":method: GET", ":scheme: http", ":path: /", ":authority: www.example.com"];
    let second = [&common[..], &["cache-control: no-cache"]].concat();
    let third = [
        ":method: GET",
        ":scheme: https",
        ":path: /index.html",
        ":authority: www.example.com",
        "custom-key: custom-value",
    ];
    for blocks in [
        [
            "8286 8441 0f77 7777 2e65 7861 6d70 6c65 2e63 6f6d",
            "8286 84be 5808 6e6f 2d63 6163 6865",
            "8287 85bf 400a 6375 7374 6f6d 2d6b 6579 0c63 7573 746f 6d2d 7661 6c75 65",
        ],
        [
            "8286 8441 8cf1 e3c2 e5f2 3a6b a0ab 90f4 ff",
            "8286 84be 5886 a8eb 1064 9cbf",
            "8287 85bf 4088 25a8 49e9 5ba9 7d7f 8925 a849 e95b b8e8 b4bf",
        ],
    ] {
        let mut decoder = decoder();
        assert_eq!(decoded(&mut decoder, &bytes(blocks[0])).unwrap(), common);
        assert_eq!(table(&decoder).1, 57);
        assert_eq!(decoded(&mut decoder, &bytes(blocks[1])).unwrap(), second);
        assert_eq!(table(&decoder).1, 110);
        assert_eq!(decoded(&mut decoder, &bytes(blocks[2])).unwrap(), third);
        let lines =
            ["custom-key: custom-value", "cache-control: no-cache", ":authority: www.example.com"];
        assert_eq!(table(&decoder), (lines.map(Into::into).to_vec(), 164));
    }
}

/// C.5 and C.6: the table holds 256 bytes, so that entries leave it.
#[test]
fn responses_of_the_rfc_leave_the_table_in_order() {
    for blocks in [
        [
            "4803 3330 3258 0770 7269 7661 7465 611d 4d6f 6e2c 2032 3120 4f63 7420 3230 3133 2032
             303a 3133 3a32 3120 474d 546e 1768 7474 7073 3a2f 2f77 7777 2e65 7861 6d70 6c65 2e63
             6f6d",
            "4803 3330 37c1 c0bf",
            "88c1 611d 4d6f 6e2c 2032 3120 4f63 7420 3230 3133 2032 303a 3133 3a32 3220 474d 54c0
             5a04 677a 6970 7738 666f 6f3d 4153 444a 4b48 514b 425a 584f 5157 454f 5049 5541 5851
             5745 4f49 553b 206d 6178 2d61 6765 3d33 3630 303b 2076 6572 7369 6f6e 3d31",
        ],
        [
            "4882 6402 5885 aec3 771a 4b61 96d0 7abe 9410 54d4 44a8 2005 9504 0b81 66e0 82a6 2d1b
             ff6e 919d 29ad 1718 63c7 8f0b 97c8 e9ae 82ae 43d3",
            "4883 640e ffc1 c0bf",
            "88c1 6196 d07a be94 1054 d444 a820 0595 040b 8166 e084 a62d 1bff c05a 839b d9ab 77ad
             94e7 821d d7f2 e6c7 b335 dfdf cd5b 3960 d5af 2708 7f36 72c1 ab27 0fb5 291f 9587 3160
             65c0 03ed 4ee5 b106 3d50 07",
        ],
    ] {
        let mut decoder = decoder();
        decoder.table.resize(256, 0);
        let rest = [
            "cache-control: private",
            "date: Mon, 21 Oct 2013 20:13:21 GMT",
            "location: https://www.example.com",
        ];
        let first = decoded(&mut decoder, &bytes(blocks[0])).unwrap();
        assert_eq!(first, [&[":status: 302"][..], &rest].concat());
        assert_eq!(table(&decoder).1, 222);
        let second = decoded(&mut decoder, &bytes(blocks[1])).unwrap();
        assert_eq!(second, [&[":status: 307"][..], &rest].concat());
        assert_eq!(table(&decoder).0[0], ":status: 307");
        let third = decoded(&mut decoder, &bytes(blocks[2])).unwrap();
        let cookie =
            "set-cookie: foo=ASDJKHQKBZXOQWEOPIUAXQWEOIU; max-age=3600; version=1".to_owned();
        assert_eq!(third[2], "date: Mon, 21 Oct 2013 20:13:22 GMT");
        assert_eq!(third[5], cookie);
        let lines = [&cookie[..], "content-encoding: gzip", &third[2]].map(Into::into).to_vec();
        assert_eq!(table(&decoder), (lines, 215));
    }
}

#[test]
fn what_breaks_the_tables_is_refused() {
    for (hex, why) in [
        ("80", "the index 0"),
        ("be", "an index beyond the table"),
        ("7e 01 61", "the name of an index beyond the table"),
        ("3f e2 1f", "a table that is larger than allowed"),
        ("82 20", "another size after the first field"),
        ("40 01", "a string without its end"),
        ("40 81 00 01 61", "a string that is not of the Huffman code"),
        ("ff ff ff ff ff ff 01", "an endless number"),
    ] {
        assert_eq!(decoded(&mut decoder(), &bytes(hex)), Err(Invalid), "{why}");
    }
    let largest = decoded(&mut decoder(), &bytes("3f e1 1f 82"));
    assert_eq!(largest.unwrap(), [":method: GET"], "4,096 is allowed");
}

#[test]
fn an_entry_larger_than_the_table_empties_it() {
    let mut decoder = decoder();
    let mut block = Vec::new();
    encode(b"a", b"b", Literal::Indexed, &mut block);
    encode(b"c", &[b'x'; TABLE_SIZE], Literal::Indexed, &mut block);
    assert_eq!(decoded(&mut decoder, &block).unwrap().len(), 2);
    assert_eq!(table(&decoder).0, [""; 0]);
}

#[test]
fn memory_is_bounded_by_the_table() {
    let mut decoder = decoder();
    for n in 0..100_000u32 {
        let mut block = Vec::new();
        encode(b"x-id", format!("{n:04000}").as_bytes(), Literal::Plain, &mut block);
        encode(b"x-id", format!("{n:0100}").as_bytes(), Literal::Indexed, &mut block);
        decoder.decode(&block, |_| {}).unwrap();
    }
    assert_eq!(table(&decoder).0.len(), TABLE_SIZE / (4 + 100 + OVERHEAD));
    assert!(decoder.table.append().capacity() < 1 << 17);
}

proptest! {
    /// A table of few bytes and many entries is used, evicted from and compacted all the time.
    #[test]
    fn what_is_encoded_is_decoded(
        fields in prop::collection::vec(("[a-c]{1,3}", "[d-f]{0,200}", any::<bool>()), 0..400),
    ) {
        let (mut decoder, mut known) = (decoder(), Vec::<(String, String)>::new());
        for (name, value, indexed) in fields {
            let mut block = Vec::new();
            let nth = known.iter().rev().take(10).position(|(n, v)| *n == name && *v == value);
            match nth {
                Some(nth) => encode_entry(nth, &mut block),
                None => {
                    let literal = if indexed { Literal::Indexed } else { Literal::Plain };
                    encode(name.as_bytes(), value.as_bytes(), literal, &mut block);
                    if indexed {
                        known.push((name.clone(), value.clone()));
                    }
                }
            }
            let line = format!("{name}: {value}");
            prop_assert_eq!(decoded(&mut decoder, &block).unwrap(), [line]);
        }
    }

    #[test]
    fn no_bytes_panic(blocks in prop::collection::vec(any::<Vec<u8>>(), 1..8)) {
        let mut decoder = decoder();
        for block in blocks {
            let _ = decoder.decode(&block, |_| {});
        }
        let (_, size) = table(&decoder);
        prop_assert!(size <= TABLE_SIZE);
    }
}
