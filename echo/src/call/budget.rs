//! How many calls a request may cause, however they are nested and repeated. The number
//! travels from echo to echo in a header, and each call gets a part of what is left. Pure.

use axum::http::{HeaderMap, HeaderName};

/// How many calls a request may cause in all. The calling echo sets it; a client may lower
/// its own budget.
pub(crate) const CALLS_LEFT: HeaderName = HeaderName::from_static("x-echo-calls-left");
/// The calls that a request from outside may cause in all. No header raises it.
pub(crate) const MAX_IN_ALL: u32 = 64;

/// The calls that a request may cause; `None` if the header is not a number. Of several
/// headers, the lowest counts.
pub(crate) fn left(headers: &HeaderMap) -> Option<u32> {
    let mut left = MAX_IN_ALL;
    for value in headers.get_all(CALLS_LEFT) {
        let digits = value.to_str().ok()?;
        if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        // A number that is too large for the type is above the maximum, too.
        left = left.min(digits.parse().unwrap_or(u32::MAX));
    }
    Some(left)
}

/// What each of `times` calls may spend, itself and its redirects included; `None` if there
/// is not enough for all. The parts differ by at most one, and their sum is `left`.
pub(crate) fn split(left: u32, times: u32) -> Option<Vec<u32>> {
    let (each, over) = (left.checked_div(times)?, left.checked_rem(times)?);
    (each > 0).then(|| (0..times).map(|call| each + u32::from(call < over)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn of(values: &[&str]) -> Option<u32> {
        let values = values.iter().map(|value| (CALLS_LEFT, value.parse().unwrap()));
        left(&HeaderMap::from_iter(values))
    }

    #[test]
    fn a_header_lowers_the_budget_and_never_raises_it() {
        assert_eq!((of(&[]), of(&["3"]), of(&["0"])), (Some(64), Some(3), Some(0)));
        for high in ["64", "65", "4294967295", "4294967296", "99999999999999999999999"] {
            assert_eq!(of(&[high]), Some(64), "{high}");
        }
        assert_eq!(
            (of(&["9", "3"]), of(&["3", "9"]), of(&["3", "64"])),
            (Some(3), Some(3), Some(3))
        );
        for bad in ["", "-1", "+3", "x", "1.5", "3, 4", "0x3", "\u{e9}"] {
            assert_eq!(of(&[bad]), None, "{bad:?}");
            assert_eq!(of(&["3", bad]), None, "{bad:?}");
        }
    }

    /// Spends a budget as the worst nest of calls would: each echo makes `times` calls.
    fn caused(left: u32, times: u32, depth: u32) -> u32 {
        match split(left, times) {
            Some(parts) if depth > 0 => {
                parts.into_iter().map(|part| 1 + caused(part - 1, times, depth - 1)).sum()
            }
            _ => 0,
        }
    }

    #[test]
    fn no_nest_of_calls_causes_more_than_the_budget() {
        for times in 1..=32 {
            let total = caused(MAX_IN_ALL, times, 100);
            assert!((1..=MAX_IN_ALL).contains(&total), "{times}: {total}");
        }
        assert_eq!((caused(64, 1, 4), caused(64, 32, 4), caused(64, 2, 4)), (4, 32, 30));
    }

    proptest! {
        #[test]
        fn parts_use_the_budget_and_none_is_empty(left in 0_u32..200, times in 0_u32..40) {
            match split(left, times) {
                Some(parts) => {
                    prop_assert_eq!(parts.len(), times as usize);
                    prop_assert_eq!(parts.iter().sum::<u32>(), left);
                    prop_assert!(parts.iter().all(|part| *part > 0));
                }
                None => prop_assert!(times == 0 || left < times),
            }
        }

        #[test]
        fn any_header_is_read_without_a_panic(value in prop::collection::vec(any::<u8>(), 0..12)) {
            if let Ok(value) = axum::http::HeaderValue::from_bytes(&value) {
                let headers = HeaderMap::from_iter([(CALLS_LEFT, value)]);
                prop_assert!(left(&headers).is_none_or(|left| left <= MAX_IN_ALL));
            }
        }
    }
}
