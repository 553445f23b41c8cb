//! Bodies as the application wrote them: without the encodings of `Content-Encoding`, and without a
//! byte-order mark. Bounded, since a few bytes can decode to gigabytes. Pure.

use std::io::Read;

use brotli_decompressor::{BrotliDecompressStream, BrotliResult, BrotliState, StandardAlloc};
use flate2::read::{DeflateDecoder, MultiGzDecoder, ZlibDecoder};
use thiserror::Error;

/// The most encodings of one body that are decoded.
const MAX_CODINGS: usize = 4;
/// The bytes that are decoded at a time.
const ROOM: usize = 8_192;

/// Why a body is not decoded. `Display` is one line that says so of "the body".
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub(super) enum Undecoded {
    #[error(
        "the body is encoded with {0}, which prober does not decode; it decodes gzip, deflate and br"
    )]
    Unknown(String),
    #[error("the body has more than {MAX_CODINGS} encodings")]
    TooMany,
    #[error("the body is not valid {0}, as its Content-Encoding says")]
    Invalid(&'static str),
    #[error("the decoded body is longer than {0} bytes (--max-body)")]
    TooLong(usize),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Coding {
    Gzip,
    Deflate,
    Brotli,
}

/// Decodes a body, and drops its byte-order mark. `encodings` are the values of `Content-Encoding`: lists in the order in which the
/// encodings were applied (RFC 9110, section 8.4). Returns what could be decoded, at most `limit` bytes,
/// and why that is not all.
#[must_use]
pub(super) fn decode(
    encodings: &[&[u8]],
    body: &[u8],
    limit: usize,
) -> (Vec<u8>, Option<Undecoded>) {
    let codings = match codings(encodings) {
        Ok(codings) => codings,
        Err(why) => return (Vec::new(), Some(why)),
    };
    let (mut decoded, mut why) = (body.to_vec(), None);
    for coding in codings.into_iter().rev() {
        (decoded, why) = coding.decode(&decoded, limit);
        if why.is_some() {
            break;
        }
    }
    let mark = decoded.len() - without_mark(&decoded).len();
    decoded.drain(..mark);
    (decoded, why)
}

/// A body without the byte-order mark at its start.
#[must_use]
pub(super) fn without_mark(body: &[u8]) -> &[u8] {
    body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body)
}

fn codings(encodings: &[&[u8]]) -> Result<Vec<Coding>, Undecoded> {
    let mut codings = Vec::new();
    for name in encodings.iter().flat_map(|list| list.split(|byte| *byte == b',')) {
        let name = name.trim_ascii().to_ascii_lowercase();
        codings.push(match name.as_slice() {
            b"" | b"identity" => continue,
            b"gzip" | b"x-gzip" => Coding::Gzip,
            b"deflate" => Coding::Deflate,
            b"br" => Coding::Brotli,
            other => {
                let name: String = String::from_utf8_lossy(other).chars().take(40).collect();
                return Err(Undecoded::Unknown(echo_reply::printable(&name).into_owned()));
            }
        });
    }
    if codings.len() > MAX_CODINGS { Err(Undecoded::TooMany) } else { Ok(codings) }
}

impl Coding {
    fn decode(self, body: &[u8], limit: usize) -> (Vec<u8>, Option<Undecoded>) {
        match self {
            // A response without a body, such as to HEAD, has the header, too.
            _ if body.is_empty() => (Vec::new(), None),
            Self::Gzip => read(MultiGzDecoder::new(body), limit, "gzip"),
            // RFC 9110 means the zlib format, but some servers send the bare format.
            Self::Deflate => match read(ZlibDecoder::new(body), limit, "deflate") {
                (decoded, Some(Undecoded::Invalid(_))) if decoded.is_empty() => {
                    read(DeflateDecoder::new(body), limit, "deflate")
                }
                zlib => zlib,
            },
            Self::Brotli => brotli(body, limit),
        }
    }
}

fn read(decoder: impl Read, limit: usize, name: &'static str) -> (Vec<u8>, Option<Undecoded>) {
    let mut decoded = Vec::new();
    let most = u64::try_from(limit).unwrap_or(u64::MAX).saturating_add(1);
    let read = decoder.take(most).read_to_end(&mut decoded);
    let why = match read {
        _ if decoded.len() > limit => Some(Undecoded::TooLong(limit)),
        Ok(_) => None,
        Err(_) => Some(Undecoded::Invalid(name)),
    };
    decoded.truncate(limit);
    (decoded, why)
}

/// The crate's readers accept windows of a gigabyte, which no `br` may have (RFC 7932); the strict state
/// does not.
fn brotli(body: &[u8], limit: usize) -> (Vec<u8>, Option<Undecoded>) {
    let alloc = StandardAlloc::default;
    let mut state = BrotliState::new_strict(alloc(), alloc(), alloc());
    let (mut decoded, mut room) = (Vec::new(), [0; ROOM]);
    let (mut left, mut at, mut total) = (body.len(), 0, 0);
    loop {
        let (mut space, mut filled) = (ROOM, 0);
        let result = BrotliDecompressStream(
            &mut left,
            &mut at,
            body,
            &mut space,
            &mut filled,
            &mut room,
            &mut total,
            &mut state,
        );
        decoded.extend_from_slice(&room[..filled]);
        let why = match result {
            _ if decoded.len() > limit => Some(Undecoded::TooLong(limit)),
            BrotliResult::NeedsMoreOutput => continue,
            BrotliResult::ResultSuccess => None,
            BrotliResult::NeedsMoreInput | BrotliResult::ResultFailure => {
                Some(Undecoded::Invalid("br"))
            }
        };
        decoded.truncate(limit);
        return (decoded, why);
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use flate2::Compression;
    use flate2::write::{DeflateEncoder, GzEncoder, ZlibEncoder};
    use proptest::prelude::*;

    use super::*;

    const TEXT: &[u8] = b"Hostname: w-0\nIP: 127.0.0.1\n";
    /// The text above.
    const BROTLI: &[u8] = b"\x8b\x0d\x80Hostname: w-0\nIP: 127.0.0.1\n\x03";
    /// Ten million times `a`, as Node.js encodes it.
    const BOMB: [u8; 27] = [
        0xcb, 0xff, 0xff, 0x3f, 0xf8, 0x25, 0xc2, 0xe2, 0xb1, 0x40, 0x20, 0xf7, 0xfe, 0x2f, 0xff,
        0x2c, 0x31, 0xf0, 0x4b, 0x00, 0xc4, 0x61, 0x11, 0x80, 0x8e, 0x23, 0x06,
    ];

    fn gzip(text: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(text).unwrap();
        encoder.finish().unwrap()
    }

    fn zlib(text: &[u8]) -> Vec<u8> {
        let mut encoder = ZlibEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(text).unwrap();
        encoder.finish().unwrap()
    }

    fn deflate(text: &[u8]) -> Vec<u8> {
        let mut encoder = DeflateEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(text).unwrap();
        encoder.finish().unwrap()
    }

    fn whole(encodings: &[&str], body: &[u8]) -> Result<Vec<u8>, String> {
        let encodings: Vec<_> = encodings.iter().map(|list| list.as_bytes()).collect();
        let (decoded, why) = decode(&encodings, body, 1_000);
        why.map_or(Ok(decoded), |why| Err(why.to_string()))
    }

    #[test]
    fn each_encoding_is_decoded() {
        let marked = ["\u{feff}".as_bytes(), TEXT].concat();
        for (encodings, body) in [
            (&["gzip"][..], gzip(TEXT)),
            (&["gzip"], gzip(&marked)),
            (&["X-GZip"], gzip(TEXT)),
            (&["deflate"], zlib(TEXT)),
            (&["deflate"], deflate(TEXT)),
            (&["br"], BROTLI.to_vec()),
            (&["identity"], TEXT.to_vec()),
            (&[""], TEXT.to_vec()),
            (&["gzip, deflate"], zlib(&gzip(TEXT))),
            (&["gzip", "identity , deflate"], zlib(&gzip(TEXT))),
            (&["br,gzip"], gzip(BROTLI)),
            // Two members of a gzip file are one text.
            (&["gzip"], [gzip(&TEXT[..9]), gzip(&TEXT[9..])].concat()),
        ] {
            assert_eq!(whole(encodings, &body), Ok(TEXT.to_vec()), "{encodings:?}");
        }
        assert_eq!(whole(&["gzip"], b""), Ok(Vec::new()), "no body is no error");
    }

    #[test]
    fn what_is_not_decoded_is_named() {
        let unknown = "the body is encoded with zstd, which prober does not decode; it decodes gzip, \
                       deflate and br";
        for (encodings, body, why) in [
            ("zstd", TEXT, unknown),
            ("gzip, ZSTD", TEXT, unknown),
            ("gzip", TEXT, "the body is not valid gzip, as its Content-Encoding says"),
            ("deflate", TEXT, "the body is not valid deflate, as its Content-Encoding says"),
            ("br", TEXT, "the body is not valid br, as its Content-Encoding says"),
            ("br", &BROTLI[..9], "the body is not valid br, as its Content-Encoding says"),
            ("br,br,br,br,br", BROTLI, "the body has more than 4 encodings"),
        ] {
            assert_eq!(whole(&[encodings], body), Err(why.to_owned()), "{encodings}");
        }
        let (part, why) = decode(&[b"gzip"], &gzip(TEXT)[..30], 1_000);
        assert!(!part.is_empty() && TEXT.starts_with(&part), "{part:?}");
        assert_eq!(why, Some(Undecoded::Invalid("gzip")));
        let said = whole(&["\u{1b}[2J\u{85}"], TEXT).unwrap_err();
        assert!(!said.contains(char::is_control), "{said:?}");
    }

    #[test]
    fn a_decompression_bomb_stops_at_the_limit() {
        let zeros = vec![0; 10_000_000];
        let twice = gzip(&gzip(&zeros));
        for (encoding, bomb) in [
            ("gzip", gzip(&zeros)),
            ("deflate", zlib(&zeros)),
            ("deflate", deflate(&zeros)),
            ("br", BOMB.to_vec()),
            ("gzip,gzip", twice),
        ] {
            let (part, why) = decode(&[encoding.as_bytes()], &bomb, 1_000);
            assert_eq!((part.len(), why), (1_000, Some(Undecoded::TooLong(1_000))), "{encoding}");
        }
    }

    #[test]
    fn a_byte_order_mark_is_dropped() {
        assert_eq!(without_mark("\u{feff}{}".as_bytes()), b"{}");
        assert_eq!(without_mark(b"{}"), b"{}");
    }

    proptest! {
        #[test]
        fn no_body_panics_and_none_is_longer_than_the_limit(
            body in any::<Vec<u8>>(), lists in prop::collection::vec("(gzip|deflate|br|,| |x){0,6}", 0..3),
        ) {
            let lists: Vec<_> = lists.iter().map(|list| list.as_bytes()).collect();
            for encodings in [&lists[..], &[b"br"], &[b"gzip"], &[b"deflate"]] {
                let (decoded, _) = decode(encodings, &body, body.len());
                prop_assert!(decoded.len() <= body.len());
            }
        }

        #[test]
        fn what_was_encoded_is_decoded(body in any::<Vec<u8>>()) {
            for (encoding, encoded) in [
                ("gzip", gzip(&body)), ("deflate", zlib(&body)), ("deflate, gzip", gzip(&zlib(&body))),
            ] {
                let (decoded, why) = decode(&[encoding.as_bytes()], &encoded, 1_000);
                prop_assert_eq!((&decoded[..], why), (without_mark(&body), None));
            }
        }
    }
}
