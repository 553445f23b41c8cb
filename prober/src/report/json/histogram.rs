//! HdrHistograms of a report, read within limits: a text of a few bytes can ask for gigabytes. Pure.

use std::io::Read as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use flate2::read::ZlibDecoder;
use hdrhistogram::serialization::Deserializer;

use super::JsonError;
use super::budget::Budget;
use super::numbers::LARGEST;
use crate::tally::latency::{Class, Latency};

/// The first four bytes of the two forms: version 2, as it is and compressed.
const PLAIN: [u8; 4] = [0x1c, 0x84, 0x93, 0x13];
const COMPRESSED: [u8; 4] = [0x1c, 0x84, 0x93, 0x14];
/// What comes before the counts: the form, the bytes of the counts, an offset, the significant digits,
/// the shortest and the longest value, a ratio.
const HEADER: usize = 40;
/// Of values up to an hour, three digits give 23,552 counts of nine bytes at most.
const MOST_BYTES: usize = HEADER + 9 * 23_552;
/// More than an hour in µs, and its class.
const LONGEST_US: u64 = 1 << 32;

/// Reads a histogram of latencies in µs from its text. Each class that is not empty takes at least a
/// byte of the plain form.
pub(super) fn read(text: &str, budget: &Budget) -> Result<Latency, JsonError> {
    let bytes = STANDARD.decode(text).ok().and_then(|bytes| plain(&bytes));
    let bytes = bytes.ok_or(JsonError::Histogram)?;
    budget.take(bytes.len() * size_of::<Class>())?;
    latency(&bytes).ok_or(JsonError::Histogram)
}

/// `None` if no prober writes such a histogram.
fn latency(bytes: &[u8]) -> Option<Latency> {
    let (header, counts) = bytes.split_first_chunk::<HEADER>()?;
    let word = |at: usize| u32::from_be_bytes([0, 1, 2, 3].map(|n| header[at + n]));
    let long = |at: usize| u64::from(word(at)) << 32 | u64::from(word(at + 4));
    let fits = header.starts_with(&PLAIN)
        && usize::try_from(word(4)) == Ok(counts.len())
        && word(12) <= 3
        && long(24) <= LONGEST_US;
    // Nine such bytes are the least number of 64 bits, which has no opposite: the reader negates it.
    if !fits || counts.windows(9).any(|nine| nine == [0xff; 9]) {
        return None;
    }
    let histogram = Deserializer::new().deserialize::<u64, _>(&mut &*bytes).ok()?;
    (histogram.len() <= LARGEST).then(|| Latency::from_histogram(&histogram))
}

/// The plain form of either.
fn plain(bytes: &[u8]) -> Option<Vec<u8>> {
    let Some(rest) = bytes.strip_prefix(&COMPRESSED) else { return Some(bytes.to_vec()) };
    let (length, rest) = rest.split_first_chunk()?;
    let stream = rest.get(..usize::try_from(u32::from_be_bytes(*length)).ok()?)?;
    let mut plain = Vec::new();
    ZlibDecoder::new(stream).take(MOST_BYTES as u64 + 1).read_to_end(&mut plain).ok()?;
    (plain.len() <= MOST_BYTES).then_some(plain)
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;
    use std::time::Duration;

    use flate2::Compression;
    use flate2::write::ZlibEncoder;
    use hdrhistogram::Histogram;
    use hdrhistogram::serialization::{Serializer as _, V2DeflateSerializer, V2Serializer};
    use proptest::prelude::*;

    use super::*;

    /// A histogram with these counts, as it would be written, whose header a test may change.
    fn written(change: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut histogram = Histogram::<u64>::new_with_bounds(1, 3_600_000_000, 3).unwrap();
        histogram.record_n(250, 3).unwrap();
        let mut bytes = Vec::new();
        V2Serializer::new().serialize(&histogram, &mut bytes).unwrap();
        change(&mut bytes);
        compressed(&bytes)
    }

    fn compressed(plain: &[u8]) -> String {
        let mut stream = ZlibEncoder::new(Vec::new(), Compression::fast());
        stream.write_all(plain).unwrap();
        let stream = stream.finish().unwrap();
        let length = u32::try_from(stream.len()).unwrap().to_be_bytes();
        STANDARD.encode([&COMPRESSED[..], &length, &stream].concat())
    }

    fn read_text(text: &str) -> Option<Latency> {
        read(text, &Budget::new()).ok()
    }

    #[test]
    fn what_is_written_is_read() {
        let mut latency = Latency::default();
        (0..5_000).for_each(|n| latency.record(Duration::from_micros(n * 720_000)));
        let mut bytes = Vec::new();
        V2DeflateSerializer::new().serialize(&latency.histogram(), &mut bytes).unwrap();
        assert_eq!(read_text(&STANDARD.encode(bytes)), Some(latency));
        assert_eq!(read_text(&written(|_| ())).unwrap().count(), 3);
    }

    #[test]
    fn headers_that_ask_for_more_than_there_is_are_refused() {
        let long: fn(&mut Vec<u8>) = |bytes| bytes[24..32].copy_from_slice(&[0x7f; 8]);
        let digits: fn(&mut Vec<u8>) = |bytes| bytes[15] = 5;
        let length: fn(&mut Vec<u8>) = |bytes| bytes[4..8].copy_from_slice(&[0xff; 4]);
        let least: fn(&mut Vec<u8>) = |bytes| {
            bytes.extend_from_slice(&[0xff; 9]);
            let counts = u32::try_from(bytes.len() - HEADER).unwrap();
            bytes[4..8].copy_from_slice(&counts.to_be_bytes());
        };
        for change in
            [long, digits, length, least, |bytes| bytes.truncate(30), |bytes| bytes[0] = 0]
        {
            assert_eq!(read_text(&written(change)), None);
        }
        // 2^50 of one value.
        let mut many = Histogram::<u64>::new_with_bounds(1, 1_000, 3).unwrap();
        many.record_n(1, 1 << 50).unwrap();
        let mut bytes = Vec::new();
        V2Serializer::new().serialize(&many, &mut bytes).unwrap();
        assert_eq!(read_text(&STANDARD.encode(bytes)), None);
    }

    #[test]
    fn a_stream_that_grows_is_cut() {
        assert_eq!(read_text(&compressed(&vec![0; 1 << 24])), None);
    }

    proptest! {
        #[test]
        fn any_header_is_read_or_refused(
            at in 0usize..HEADER,
            wrong in prop::collection::vec(any::<u8>(), 1..9),
        ) {
            let text = written(|bytes| {
                for (byte, wrong) in bytes[at..].iter_mut().zip(&wrong) {
                    *byte = *wrong;
                }
            });
            if let Some(latency) = read_text(&text) {
                prop_assert!(latency.count() <= LARGEST);
            }
        }
    }
}
