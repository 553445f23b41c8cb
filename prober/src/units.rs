//! Numbers as people read them: counts, shares, times. Pure.

use std::time::Duration;

/// `request` or `requests`.
pub(crate) fn plural(n: u64, noun: &str) -> String {
    if n == 1 { noun.to_owned() } else { format!("{noun}s") }
}

/// `1 request`, `2 requests`.
pub(crate) fn count(n: u64, noun: &str) -> String {
    format!("{n} {}", plural(n, noun))
}

/// Whole µs of a time.
pub(crate) fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

/// A share in percent with as many decimals as tell it from 0 and 100: `5`, `0.69`, `99.9`.
pub(crate) fn percent(share: f64) -> String {
    let percent = share * 100.0;
    let near = percent.min(100.0 - percent).abs();
    match near {
        near if near >= 1.0 => trimmed(format!("{percent:.1}")),
        near if near >= 0.1 => trimmed(format!("{percent:.2}")),
        0.0 => format!("{percent:.0}"),
        _ => trimmed(format!("{percent:.4}")),
    }
}

fn trimmed(digits: String) -> String {
    digits.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// One decimal; what is not quite all or nothing is not rounded to it.
pub(crate) fn rounded_percent(share: f64) -> String {
    match share {
        share if share > 0.0 && share < 0.0005 => "<0.1%".to_owned(),
        share if (0.9995..1.0).contains(&share) => ">99.9%".to_owned(),
        share => format!("{:.1}%", share * 100.0),
    }
}

/// Three significant digits with a unit: `812 µs`, `1.21 ms`, `10.2 s`.
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

/// The same of a time in µs.
pub(crate) fn shown_us(us: u64) -> String {
    shown_time(Some(Duration::from_micros(us)))
}
