//! Numbers for people: counts, shares, times. Pure.

use std::time::Duration;

/// `request` or `requests`, `address` or `addresses`.
pub(crate) fn plural(n: u64, noun: &str) -> String {
    match n {
        1 => noun.to_owned(),
        _ if noun.ends_with('s') => format!("{noun}es"),
        _ => format!("{noun}s"),
    }
}

/// `1 request`, `2 requests`.
pub(crate) fn count(n: u64, noun: &str) -> String {
    format!("{n} {}", plural(n, noun))
}

/// Whether a count is 0, so that a report leaves it out; by reference, as serde asks.
pub(crate) fn is_zero(count: &u64) -> bool {
    *count == 0
}

/// Whole µs of a time.
pub(crate) fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

/// A share in percent, with enough decimals to differ from 0 and 100: `5`, `0.69`, `99.9`.
pub(crate) fn percent(share: f64) -> String {
    let percent = share * 100.0;
    let near = percent.min(100.0 - percent).abs();
    let places = match near {
        near if near >= 1.0 => 1,
        near if near >= 0.1 => 2,
        0.0 => 0,
        _ => 4,
    };
    decimal(percent, places)
}

/// At most so many decimals, without zeros at the end: `2`, `0.25`.
pub(crate) fn decimal(value: f64, places: usize) -> String {
    let digits = format!("{value:.places$}");
    if !digits.contains('.') {
        return digits;
    }
    digits.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// A share in percent with one decimal. Only exactly 0 and 1 are `0.0%` and `100.0%`.
pub(crate) fn rounded_percent(share: f64) -> String {
    match share {
        share if share > 0.0 && share < 0.0005 => "<0.1%".to_owned(),
        share if (0.9995..1.0).contains(&share) => ">99.9%".to_owned(),
        share => format!("{:.1}%", share * 100.0),
    }
}

/// Three significant digits with a unit: `812 µs`, `1.21 ms`, `10.2 s`; `–` for `None`.
pub(crate) fn shown_time(time: Option<Duration>) -> String {
    let Some(time) = time else { return "–".to_owned() };
    let us = time.as_micros() as f64;
    let (value, unit) = match us {
        us if us < 999.5 => return format!("{us:.0} µs"),
        us if us < 999_500.0 => (us / 1e3, "ms"),
        us => (us / 1e6, "s"),
    };
    match value {
        value if value < 9.995 => format!("{value:.2} {unit}"),
        value if value < 99.95 => format!("{value:.1} {unit}"),
        value => format!("{value:.0} {unit}"),
    }
}

/// As [`shown_time`], of a time in µs.
pub(crate) fn shown_us(us: u64) -> String {
    shown_time(Some(Duration::from_micros(us)))
}

/// A round time in µs, as short as possible: `2 s`, `500 ms`, `0`.
pub(crate) fn shown_round(us: f64) -> String {
    match us {
        us if us <= 0.0 => "0".to_owned(),
        us if us < 1e3 => format!("{} µs", decimal(us, 3)),
        us if us < 1e6 => format!("{} ms", decimal(us / 1e3, 3)),
        us => format!("{} s", decimal(us / 1e6, 3)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nouns_are_counted() {
        assert_eq!([0, 1, 2].map(|n| count(n, "pod")), ["0 pods", "1 pod", "2 pods"]);
        assert_eq!(count(2, "address"), "2 addresses");
    }

    #[test]
    fn times_have_three_digits() {
        let shown = [0, 999, 1_000, 9_995, 999_499, 999_500, 61_000_000].map(shown_us);
        let wanted = ["0 µs", "999 µs", "1.00 ms", "10.0 ms", "999 ms", "1.00 s", "61.0 s"];
        assert_eq!(shown, wanted);
        assert_eq!(shown_time(None), "–");
    }

    #[test]
    fn round_times_have_no_zeros_at_the_end() {
        let shown = [0.0, 500.0, 20_000.0, 1.5e6, 1.234e6].map(shown_round);
        assert_eq!(shown, ["0", "500 µs", "20 ms", "1.5 s", "1.234 s"]);
    }

    #[test]
    fn a_share_is_rounded_to_all_or_nothing_only_if_it_is() {
        let shares = [0.0, 1.0 / 2500.0, 0.0005, 0.5, 0.9994, 2499.0 / 2500.0, 1.0];
        let wanted = ["0.0%", "<0.1%", "0.1%", "50.0%", "99.9%", ">99.9%", "100.0%"];
        assert_eq!(shares.map(rounded_percent), wanted);
        assert_eq!([0.0, 0.05, 0.0069, 0.999, 1.0].map(percent), ["0", "5", "0.69", "99.9", "100"]);
    }
}
