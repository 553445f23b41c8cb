//! The order of results in JSON: a text for each sequence, because a run has thousands of them.
//!
//! The text is base64 of a zlib stream of unsigned LEB128 numbers: how many blocks, the requests of
//! each, then for each kind of result in a block: how many blocks it is after the one before, the
//! backend by its place in the list from 1 (one more than there are for all that are not listed), or 0
//! for a failure, the class of the latency, and how many results there are.

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use echo_reply::Identity;
use flate2::Compression;
use flate2::read::ZlibDecoder;
use flate2::write::ZlibEncoder;
use serde::{Deserialize, Serialize};

use super::budget::Budget;
use super::{JsonError, leb128};
use crate::tally::sequence::{MAX_BLOCKS, MAX_ENTRIES};
use crate::tally::{Agreement, LAGS, Order, Sequence, Tally};

/// The most bytes of the numbers of a sequence: each takes five at most.
const MOST: usize = 5 * (1 + 2 * MAX_BLOCKS + 4 * 2 * MAX_ENTRIES);
/// The memory for each byte of the numbers: a result of four bytes or more becomes one of twelve, and
/// the requests of a block, a byte or more, become four.
const BYTES_PER_BYTE: usize = 4;

#[derive(Default, Serialize, Deserialize)]
pub(super) struct OrderEntry {
    /// All results; `None` if their order is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    sequence: Option<String>,
    /// The answers of each connection with more than one answer, a block for each.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    by_connection: Option<String>,
    /// (answers at the distances 1, 2, …, those of the same backend).
    lags: Vec<(u64, u64)>,
}

pub(super) fn entry(tally: &Tally) -> OrderEntry {
    let order = &tally.order;
    let places: BTreeMap<&Identity, usize> =
        tally.backends.keys().enumerate().map(|(place, who)| (who, place)).collect();
    let lags = order.lags.iter().map(|lag| (lag.pairs, lag.same));
    OrderEntry {
        sequence: packed(&order.sequence, &places),
        by_connection: packed(&order.by_connection, &places),
        lags: lags.take_while(|(pairs, _)| *pairs > 0).collect(),
    }
}

pub(super) fn read(
    entry: &OrderEntry,
    backends: &[Identity],
    budget: &Budget,
) -> Result<Order, JsonError> {
    let wrong = || JsonError::Counts("the order of the results cannot be decoded");
    let sequence = |packed: &Option<String>| {
        let Some(packed) = packed else { return Ok(Sequence::default()) };
        let numbers = inflated(packed).ok_or_else(wrong)?;
        budget.take(numbers.len() * BYTES_PER_BYTE)?;
        unpacked(&numbers, backends).ok_or_else(wrong)
    };
    let mut order = Order {
        sequence: sequence(&entry.sequence)?,
        by_connection: sequence(&entry.by_connection)?,
        ..Order::default()
    };
    for (lag, (pairs, same)) in order.lags.iter_mut().zip(entry.lags.iter().take(LAGS)) {
        *lag = Agreement { pairs: *pairs, same: *same };
    }
    Ok(order)
}

fn packed(sequence: &Sequence, places: &BTreeMap<&Identity, usize>) -> Option<String> {
    if sequence.is_empty() {
        return None;
    }
    let (requests, results) = sequence.export(|who| places.get(who).copied(), places.len());
    let mut numbers = Vec::new();
    leb128::write(&mut numbers, requests.len() as u64);
    requests.iter().for_each(|n| leb128::write(&mut numbers, u64::from(*n)));
    let mut last = 0;
    for (block, who, bucket, count) in results {
        leb128::write(&mut numbers, u64::from(block - last));
        leb128::write(&mut numbers, who.map_or(0, |place| place as u64 + 1));
        leb128::write(&mut numbers, u64::from(bucket));
        leb128::write(&mut numbers, u64::from(count));
        last = block;
    }
    let mut zlib = ZlibEncoder::new(Vec::new(), Compression::best());
    // Writing to memory cannot fail.
    zlib.write_all(&numbers).ok()?;
    Some(STANDARD.encode(zlib.finish().ok()?))
}

/// The numbers of a text; `None` if it is not such a text, or if they are too many.
fn inflated(packed: &str) -> Option<Vec<u8>> {
    let bytes = STANDARD.decode(packed).ok()?;
    let mut numbers = Vec::new();
    ZlibDecoder::new(bytes.as_slice()).take(MOST as u64 + 1).read_to_end(&mut numbers).ok()?;
    (numbers.len() <= MOST).then_some(numbers)
}

/// `None` if they are not what [`packed`] writes of these backends.
fn unpacked(mut numbers: &[u8], backends: &[Identity]) -> Option<Sequence> {
    let blocks = usize::try_from(leb128::read(&mut numbers)?).ok().filter(|n| *n <= MAX_BLOCKS)?;
    let requests: Option<Vec<u32>> =
        (0..blocks).map(|_| u32::try_from(leb128::read(&mut numbers)?).ok()).collect();
    let mut results = Vec::new();
    let mut block = 0_u32;
    while !numbers.is_empty() {
        block = block.checked_add(u32::try_from(leb128::read(&mut numbers)?).ok()?)?;
        let who = usize::try_from(leb128::read(&mut numbers)?).ok()?.checked_sub(1);
        let bucket = u8::try_from(leb128::read(&mut numbers)?).ok()?;
        let count = u32::try_from(leb128::read(&mut numbers)?).ok()?;
        results.push((block, who, bucket, count));
    }
    Sequence::import(requests?, &results, backends)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn backends() -> Vec<Identity> {
        (0..3).map(|n| Identity::new(format!("p{n}"), "c")).collect()
    }

    fn read_text(text: &str, backends: &[Identity]) -> Option<Sequence> {
        unpacked(&inflated(text)?, backends)
    }

    #[test]
    fn what_is_not_a_sequence_is_refused() {
        let good = {
            let results = [(0, Some(1), 70, 2), (1, None, 0, 1)];
            let sequence = Sequence::import(vec![2, 1], &results, &backends()).unwrap();
            let all = backends();
            let places = all.iter().enumerate().map(|(place, who)| (who, place)).collect();
            packed(&sequence, &places).unwrap()
        };
        assert!(read_text(&good, &backends()).is_some());
        assert!(read_text(&good, &backends()[..1]).is_some(), "one of those that are not listed");
        assert!(read_text(&good, &[]).is_none(), "neither listed nor the place for the others");
        assert!(read_text("", &backends()).is_none());
        assert!(read_text("%", &backends()).is_none());
        let mut bomb = ZlibEncoder::new(Vec::new(), Compression::best());
        bomb.write_all(&vec![0; 2 * MOST]).unwrap();
        let bomb = STANDARD.encode(bomb.finish().unwrap());
        assert!(bomb.len() < 20_000 && read_text(&bomb, &backends()).is_none());
    }

    proptest! {
        #[test]
        fn what_is_packed_is_unpacked_alike(
            blocks in prop::collection::vec(
                prop::collection::btree_map((prop::option::of(0_usize..=3), 0_u8..=255), 1_u32..9, 1..6),
                1..60,
            ),
        ) {
            let mut requests = Vec::new();
            let mut results = Vec::new();
            for (block, kinds) in blocks.iter().enumerate() {
                requests.push(kinds.values().sum());
                let all = kinds.iter();
                results.extend(all.map(|((who, bucket), n)| (block as u32, *who, *bucket, *n)));
            }
            let sequence = Sequence::import(requests, &results, &backends()).unwrap();
            let all = backends();
            let places = all.iter().enumerate().map(|(place, who)| (who, place)).collect();
            let packed = packed(&sequence, &places).unwrap();
            prop_assert_eq!(read_text(&packed, &backends()), Some(sequence));
        }

        #[test]
        fn no_numbers_panic(numbers in prop::collection::vec(any::<u8>(), 0..200)) {
            let mut zlib = ZlibEncoder::new(Vec::new(), Compression::fast());
            zlib.write_all(&numbers).unwrap();
            let _ = read_text(&STANDARD.encode(zlib.finish().unwrap()), &backends());
        }
    }
}
