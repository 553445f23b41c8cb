//! Whole numbers on the command lines that must lie in a range.

use std::fmt::Display;
use std::num::IntErrorKind;
use std::ops::RangeInclusive;
use std::str::FromStr;

/// A reader of whole numbers from `least` to `most`. Its error names both, unlike clap's, which
/// does not know the range of a text that is not a number.
pub fn within<T>(
    allowed: RangeInclusive<T>,
) -> impl Fn(&str) -> Result<T, String> + Clone + Send + Sync + 'static
where
    T: FromStr<Err = std::num::ParseIntError>
        + PartialOrd
        + Display
        + Clone
        + Send
        + Sync
        + 'static,
{
    move |text| {
        let (least, most) = (allowed.start(), allowed.end());
        let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
        let whole = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
        match text.parse::<T>() {
            Ok(number) if allowed.contains(&number) => Ok(number),
            Err(error) if *error.kind() == IntErrorKind::Empty => {
                Err(format!("the number is missing; write one from {least} to {most}"))
            }
            Err(_) if !whole => {
                Err(format!("not a whole number; write one from {least} to {most}"))
            }
            // An unsigned number does not read a minus sign at all.
            _ => Err(format!("the number is out of range; write a number from {least} to {most}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn an_error_names_the_range() {
        for (text, part) in [
            ("", "is missing; write one from 200 to 599"),
            ("abc", "not a whole number; write one from 200 to 599"),
            ("2.5", "not a whole number"),
            ("-", "not a whole number"),
            ("--5", "not a whole number"),
            ("\u{663}", "not a whole number"),
            ("-1", "out of range; write a number from 200 to 599"),
            ("199", "out of range"),
            ("600", "out of range"),
            ("99999999999999999999", "out of range"),
        ] {
            let said = within(200_u16..=599)(text).expect_err(text);
            assert!(said.contains(part), "{text}: {said}");
        }
        assert_eq!(within(200_u16..=599)("599"), Ok(599));
    }

    proptest! {
        #[test]
        fn numbers_in_the_range_are_read_back(number: u8, least: u8, most: u8) {
            let read = within(least..=most)(&number.to_string());
            prop_assert_eq!(read.is_ok(), (least..=most).contains(&number));
            prop_assert!(read.is_err() || read == Ok(number));
        }

        #[test]
        fn every_error_is_one_line(text in "\\PC{0,12}|-?[0-9]{0,30}") {
            if let Err(said) = within(0_u64..=5)(&text) {
                prop_assert_eq!(said.lines().count(), 1);
            }
        }
    }
}
