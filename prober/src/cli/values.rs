//! The forms of values that are numbers but neither counts nor durations. Pure.

/// A share in percent, with or without `%`.
pub(super) fn percent(given: &str) -> Result<f64, String> {
    let digits = given.trim().strip_suffix('%').unwrap_or(given).trim();
    digits.parse().map_err(|_| "not a share; write percent such as 90 or 12.5%".to_owned())
}

/// A number, with or without an exponent.
pub(super) fn number(given: &str) -> Result<f64, String> {
    given.trim().parse().map_err(|_| "not a number; write one such as 0.001 or 1e-6".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn numbers_are_read_or_refused_in_our_words() {
        assert_eq!(
            ["90", "12.5%", " 5 % "].map(|given| percent(given).unwrap()),
            [90.0, 12.5, 5.0]
        );
        assert_eq!(number("1e-6"), Ok(1e-6));
        for wrong in ["", "%", "many", "1,5", "5%%"] {
            assert!(percent(wrong).unwrap_err().contains("write percent"), "{wrong}");
            assert!(number(wrong).unwrap_err().contains("write one such as"), "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn no_text_panics(text in "\\PC*") {
            let _ = (percent(&text), number(&text));
        }
    }
}
