//! Why clap refuses a value, without the words of Rust's parsers.

use std::net::AddrParseError;
use std::num::{IntErrorKind, ParseFloatError, ParseIntError};
use std::str::ParseBoolError;

/// What is wrong with a value, if a parser of Rust or clap's own range refused it.
pub(crate) fn refusal(source: &(dyn std::error::Error + 'static)) -> Option<String> {
    if let Some(error) = source.downcast_ref::<ParseIntError>() {
        let text = match error.kind() {
            IntErrorKind::Empty => "the number is missing; write a whole number, such as 10",
            IntErrorKind::PosOverflow | IntErrorKind::NegOverflow => {
                "the number is out of range; write a whole number nearer to 0"
            }
            _ => "not a whole number; write one such as 10",
        };
        return Some(text.to_owned());
    }
    if source.is::<ParseFloatError>() {
        return Some("not a number; write one such as 0.5".to_owned());
    }
    if source.is::<ParseBoolError>() {
        return Some("write true or false".to_owned());
    }
    if source.is::<AddrParseError>() {
        return Some("not an IP address; write one such as 127.0.0.1".to_owned());
    }
    let text = source.to_string();
    if text == "value was not a boolean" {
        return Some("write true or false".to_owned());
    }
    let (value, range) = text.split_once(" is not in ")?;
    let (least, most) = range.split_once("..")?;
    let most = most.strip_prefix('=').unwrap_or(most);
    let right = match (least, most) {
        ("", most) => format!("write a number up to {most}"),
        (least, "") => format!("write a number of at least {least}"),
        (least, most) => format!("write a number from {least} to {most}"),
    };
    value.parse::<i128>().is_ok().then(|| format!("the number is out of range; {right}"))
}
