//! The grammar of counts on the command lines and in the files: `250`, `10k`, `1.5M`, `1e6`,
//! `1_000_000`, and `64Ki` or `8MiB` for bytes. The arithmetic is exact.

use std::fmt;

/// The units and their sizes. `m` is not one: it could mean a thousandth, a minute or a million.
const UNITS: [(&str, u64); 10] = [
    ("k", 1_000),
    ("K", 1_000),
    ("M", 1_000_000),
    ("G", 1_000_000_000),
    ("Ki", 1 << 10),
    ("KiB", 1 << 10),
    ("Mi", 1 << 20),
    ("MiB", 1 << 20),
    ("Gi", 1 << 30),
    ("GiB", 1 << 30),
];

/// More digits of a fraction than a count with the largest unit can need.
const FRACTION_DIGITS: usize = 18;

/// Why a text is not a count. The text of an error fits after the name of the flag and its value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CountError {
    /// It has another form.
    NotACount,
    /// It starts with a minus sign.
    Negative,
    /// A part of something that is counted, such as `1.5`.
    NotWhole,
    /// More than 2^64 - 1.
    TooLarge,
}

impl fmt::Display for CountError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotACount => "not a count; write a whole number such as 250, 10k or 1M",
            Self::Negative => "a count cannot be negative; write a number such as 250, 10k or 1M",
            Self::NotWhole => "not a whole number; write one such as 250, 1.5k or 1M",
            Self::TooLarge => "the number is too large; write one such as 250, 10k or 1M",
        })
    }
}

impl std::error::Error for CountError {}

/// Reads a count: digits, perhaps with a fraction or an exponent, and perhaps a unit. Single `_`
/// between digits are ignored.
///
/// # Errors
/// If the text has another form, or if the count is not whole or does not fit.
pub fn parse(text: &str) -> Result<u64, CountError> {
    if text.starts_with('-') {
        return Err(CountError::Negative);
    }
    let end = text.find(|c: char| !(c.is_ascii_digit() || c == '.' || c == '_'));
    let (number, unit) = text.split_at(end.unwrap_or(text.len()));
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let missing = whole.is_empty() || (number.contains('.') && fraction.is_empty());
    if missing || !is_grouped(whole) || (!fraction.is_empty() && !is_grouped(fraction)) {
        return Err(CountError::NotACount);
    }
    let digits = |text: &str| -> Result<u128, CountError> {
        match text.replace('_', "").as_str() {
            "" => Ok(0),
            digits => digits.parse().map_err(|_| CountError::TooLarge),
        }
    };
    let fraction = fraction.trim_end_matches('0');
    if fraction.len() > FRACTION_DIGITS {
        return Err(CountError::NotWhole);
    }
    let scale = u128::from(scale(unit)?);
    // Below 10^18 · 10^18.
    let part = digits(fraction)? * scale;
    let whole_of = 10_u128.pow(fraction.replace('_', "").len() as u32);
    if !part.is_multiple_of(whole_of) {
        return Err(CountError::NotWhole);
    }
    let count =
        digits(whole)?.checked_mul(scale).and_then(|count| count.checked_add(part / whole_of));
    count.and_then(|count| u64::try_from(count).ok()).ok_or(CountError::TooLarge)
}

/// Whether these are digits, with at most one `_` between two of them.
fn is_grouped(text: &str) -> bool {
    text.split('_').all(|group| !group.is_empty() && group.bytes().all(|b| b.is_ascii_digit()))
}

/// The size of a unit or an exponent.
fn scale(unit: &str) -> Result<u64, CountError> {
    if unit.is_empty() {
        return Ok(1);
    }
    if let Some((_, size)) = UNITS.iter().find(|(name, _)| *name == unit) {
        return Ok(*size);
    }
    let exponent = unit.strip_prefix(['e', 'E']).ok_or(CountError::NotACount)?;
    let exponent = exponent.strip_prefix('+').unwrap_or(exponent);
    if exponent.is_empty() || exponent.len() > 9 || !exponent.bytes().all(|b| b.is_ascii_digit()) {
        return Err(CountError::NotACount);
    }
    let exponent = exponent.parse().map_err(|_| CountError::NotACount)?;
    10_u64.checked_pow(exponent).filter(|_| exponent <= 18).ok_or(CountError::TooLarge)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn counts_are_read_as_people_write_them() {
        for (text, count) in [
            ("0", 0),
            ("250", 250),
            ("007", 7),
            ("1k", 1_000),
            ("10K", 10_000),
            ("1.5k", 1_500),
            ("2.50k", 2_500),
            ("1M", 1_000_000),
            ("0.25M", 250_000),
            ("3G", 3_000_000_000),
            ("1e6", 1_000_000),
            ("2.5E+3", 2_500),
            ("1.0", 1),
            ("1_000_000", 1_000_000),
            ("64Ki", 65_536),
            ("64KiB", 65_536),
            ("8MiB", 8_388_608),
            ("0.5Ki", 512),
            ("18446744073709551615", u64::MAX),
        ] {
            assert_eq!(parse(text), Ok(count), "{text}");
        }
    }

    #[test]
    fn an_error_says_what_is_wrong() {
        for (text, error) in [
            ("", CountError::NotACount),
            ("many", CountError::NotACount),
            ("k", CountError::NotACount),
            ("1m", CountError::NotACount),
            ("1kB", CountError::NotACount),
            ("1 000", CountError::NotACount),
            ("1,000", CountError::NotACount),
            ("1__0", CountError::NotACount),
            ("_1", CountError::NotACount),
            ("1_", CountError::NotACount),
            ("1.", CountError::NotACount),
            (".5k", CountError::NotACount),
            ("1.2.3", CountError::NotACount),
            ("+1", CountError::NotACount),
            ("1e", CountError::NotACount),
            ("1e-3", CountError::NotACount),
            ("\u{663}", CountError::NotACount),
            ("-5", CountError::Negative),
            ("1.5", CountError::NotWhole),
            ("1.2345k", CountError::NotWhole),
            ("0.3Ki", CountError::NotWhole),
            ("18446744073709551616", CountError::TooLarge),
            ("1e20", CountError::TooLarge),
            ("99999999999G", CountError::TooLarge),
        ] {
            assert_eq!(parse(text), Err(error), "{text}");
            assert_eq!(error.to_string().lines().count(), 1);
        }
    }

    proptest! {
        #[test]
        fn digits_are_read_back(count: u64) {
            prop_assert_eq!(parse(&count.to_string()), Ok(count));
        }

        #[test]
        fn thousands_are_read_with_and_without_their_unit(n in 0..1_000_000_u64, m in 0..1_000_u64) {
            prop_assert_eq!(parse(&format!("{n}.{m:03}k")), Ok(n * 1_000 + m));
            prop_assert_eq!(parse(&format!("{n}_{m:03}")), Ok(n * 1_000 + m));
        }

        #[test]
        fn no_text_panics(text in "\\PC*") {
            let _ = parse(&text);
        }

        #[test]
        fn nothing_that_looks_like_a_count_panics(text in "[0-9_.]{0,45}(e[0-9]{0,12}|[kKMGiB]{0,3})") {
            let _ = parse(&text);
        }
    }
}
