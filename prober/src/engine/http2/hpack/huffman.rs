//! The Huffman code of HPACK (RFC 7541, appendix B). Pure.
//!
//! The code is canonical: codes of one length are consecutive, in the order of their symbols. So
//! the lengths alone define it, and the tables are made from them at compile time.

/// The end of a string (EOS), which must not occur in one.
const EOS: usize = 256;
const SYMBOLS: usize = 257;
const LONGEST: usize = 30;
/// Codes up to this length are found by one look-up: those of all letters and digits.
const SHORT: usize = 8;

/// The number of bits of each symbol's code.
const LENGTHS: [u8; SYMBOLS] = [
    13, 23, 28, 28, 28, 28, 28, 28, 28, 24, 30, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 30, 28,
    28, 28, 28, 28, 28, 28, 28, 28, 6, 10, 10, 12, 13, 6, 8, 11, 10, 10, 8, 11, 8, 6, 6, 6, 5, 5,
    5, 6, 6, 6, 6, 6, 6, 6, 7, 8, 15, 6, 12, 10, 13, 6, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7,
    7, 7, 7, 7, 7, 7, 7, 7, 8, 7, 8, 13, 19, 13, 14, 6, 15, 5, 6, 5, 6, 5, 6, 6, 6, 5, 7, 7, 6, 6,
    6, 5, 6, 7, 6, 5, 5, 6, 7, 7, 7, 7, 7, 15, 11, 14, 13, 28, 20, 22, 20, 20, 22, 22, 22, 23, 22,
    23, 23, 23, 23, 23, 24, 23, 24, 24, 22, 23, 24, 23, 23, 23, 23, 21, 22, 23, 22, 23, 23, 24, 22,
    21, 20, 22, 22, 23, 23, 21, 23, 22, 22, 24, 21, 22, 23, 23, 21, 21, 22, 21, 23, 22, 23, 23, 20,
    22, 22, 22, 23, 22, 22, 23, 26, 26, 20, 19, 22, 23, 22, 25, 26, 26, 26, 27, 27, 26, 24, 25, 19,
    21, 26, 27, 27, 26, 27, 24, 21, 21, 26, 26, 28, 27, 27, 27, 20, 24, 20, 21, 22, 21, 21, 23, 22,
    22, 25, 25, 24, 24, 26, 23, 26, 27, 26, 26, 27, 27, 27, 27, 27, 28, 27, 27, 27, 27, 27, 26, 30,
];

/// The codes of one length.
#[derive(Clone, Copy)]
struct Codes {
    first: u32,
    count: u32,
    /// Where their symbols are in [`Tables::symbols`].
    place: usize,
}

struct Tables {
    /// By the next [`SHORT`] bits: the symbol and the length of its code, or length 0 if the code is
    /// longer.
    short: [(u8, u8); 1 << SHORT],
    codes: [Codes; LONGEST + 1],
    /// In the order of their codes.
    symbols: [u16; SYMBOLS],
}

static TABLES: Tables = tables();

const fn tables() -> Tables {
    let mut short = [(0, 0); 1 << SHORT];
    let mut codes = [Codes { first: 0, count: 0, place: 0 }; LONGEST + 1];
    let mut symbols = [0; SYMBOLS];
    let (mut code, mut place, mut length) = (0u32, 0, 1);
    while length <= LONGEST {
        code <<= 1;
        codes[length] = Codes { first: code, count: 0, place };
        let mut symbol = 0;
        while symbol < SYMBOLS {
            if LENGTHS[symbol] as usize == length {
                symbols[place] = symbol as u16;
                place += 1;
                if length <= SHORT {
                    let (mut at, end) = (
                        (code as usize) << (SHORT - length),
                        (code as usize + 1) << (SHORT - length),
                    );
                    while at < end {
                        short[at] = (symbol as u8, length as u8);
                        at += 1;
                    }
                }
                code += 1;
                codes[length].count += 1;
            }
            symbol += 1;
        }
        length += 1;
    }
    Tables { short, codes, symbols }
}

/// Appends the decoded string; `None` if it is not a valid one.
pub(super) fn decode(encoded: &[u8], into: &mut Vec<u8>) -> Option<()> {
    // The next bits are at the top.
    let (mut bits, mut count, mut next) = (0u64, 0u32, encoded.iter());
    loop {
        while count <= 56 {
            let Some(byte) = next.next() else { break };
            bits |= u64::from(*byte) << (56 - count);
            count += 8;
        }
        let (symbol, length) = match TABLES.short[(bits >> (64 - SHORT)) as usize] {
            (_, 0) => long(bits)?,
            (symbol, length) => (symbol, u32::from(length)),
        };
        if length > count {
            return is_padding(bits, count).then_some(());
        }
        into.push(symbol);
        bits <<= length;
        count -= length;
    }
}

/// The first symbol, whose code is longer than [`SHORT`] bits, and that length.
fn long(bits: u64) -> Option<(u8, u32)> {
    for length in SHORT + 1..=LONGEST {
        let Codes { first, count, place } = TABLES.codes[length];
        let nth = ((bits >> (64 - length)) as u32).wrapping_sub(first);
        if nth < count {
            let symbol = TABLES.symbols[place + nth as usize] as usize;
            return (symbol != EOS).then_some((symbol as u8, length as u32));
        }
    }
    None
}

/// What may follow the last symbol: less than a byte of ones.
fn is_padding(bits: u64, count: u32) -> bool {
    count < 8 && (count == 0 || bits >> (64 - count) == (1 << count) - 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn encode(text: &[u8]) -> Vec<u8> {
        let code = |symbol: usize| {
            let length = LENGTHS[symbol] as usize;
            let Codes { first, place, .. } = TABLES.codes[length];
            let nth = TABLES.symbols[place..].iter().position(|s| *s as usize == symbol).unwrap();
            (first + nth as u32, length)
        };
        let mut bits = Vec::new();
        for (code, length) in text.iter().map(|byte| code(*byte as usize)) {
            bits.extend((0..length).rev().map(|bit| code >> bit & 1 == 1));
        }
        while bits.len() % 8 != 0 {
            bits.push(true);
        }
        let byte = |bits: &[bool]| bits.iter().fold(0, |byte, bit| byte << 1 | u8::from(*bit));
        bits.chunks(8).map(byte).collect()
    }

    fn decoded(encoded: &[u8]) -> Option<Vec<u8>> {
        let mut text = Vec::new();
        decode(encoded, &mut text).map(|()| text)
    }

    /// Some codes as RFC 7541, appendix B, has them.
    #[test]
    fn the_codes_are_those_of_the_rfc() {
        assert_eq!(encode(b"0"), [0b0000_0111]);
        assert_eq!(encode(b"~"), [0xff, 0b1110_1111], "1ffd, 13 bits");
        assert_eq!(encode(b"\0"), [0xff, 0b1100_0111], "1ff8, 13 bits");
        assert_eq!(encode(&[249]), [0xff, 0xff, 0xff, 0xef], "ffffffe, 28 bits");
        assert_eq!(encode(b"\x16"), [0xff, 0xff, 0xff, 0xfb], "3ffffffe, 30 bits");
        assert_eq!(decoded(&encode(b"\x16\n\r")).unwrap(), b"\x16\n\r");
    }

    #[test]
    fn padding_is_less_than_a_byte_of_ones() {
        assert_eq!(decoded(&[0b0000_0111]).unwrap(), b"0");
        assert_eq!(decoded(&[]).unwrap(), b"");
        for wrong in [&[0b0000_0110][..], &[0b0000_0111, 0xff], &[0xff], &[0xff; 4], &[0xff; 9]] {
            assert_eq!(decoded(wrong), None, "{wrong:x?}");
        }
    }

    proptest! {
        #[test]
        fn what_is_encoded_is_decoded(text in any::<Vec<u8>>()) {
            prop_assert_eq!(decoded(&encode(&text)), Some(text));
        }

        #[test]
        fn no_bytes_panic_and_none_expand_much(bytes in any::<Vec<u8>>()) {
            let mut text = Vec::new();
            let _ = decode(&bytes, &mut text);
            prop_assert!(text.len() <= bytes.len() * 8 / 5);
        }
    }
}
