//! Numbers of a report: none is so large that a sum of them overflows. Pure.

use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, Error, MapAccess, SeqAccess, Visitor};

use super::JsonError;

/// The largest number in a report: a million requests a second for nine years.
pub(super) const LARGEST: u64 = 1 << 48;

/// Refuses JSON with a number above [`LARGEST`].
pub(super) fn check(bytes: &[u8]) -> Result<(), JsonError> {
    match serde_json::from_slice::<Moderate>(bytes) {
        Ok(Moderate) => Ok(()),
        Err(error) if error.is_data() => {
            Err(JsonError::Number { line: error.line(), column: error.column() })
        }
        Err(error) => Err(error.into()),
    }
}

struct Moderate;

impl<'de> Deserialize<'de> for Moderate {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Any)
    }
}

struct Any;

impl<'de> Visitor<'de> for Any {
    type Value = Moderate;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<Moderate, E> {
        if number <= LARGEST { Ok(Moderate) } else { Err(E::custom("too large")) }
    }

    fn visit_i64<E: Error>(self, _: i64) -> Result<Moderate, E> {
        Ok(Moderate)
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<Moderate, E> {
        Ok(Moderate)
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<Moderate, E> {
        Ok(Moderate)
    }

    fn visit_str<E: Error>(self, _: &str) -> Result<Moderate, E> {
        Ok(Moderate)
    }

    fn visit_unit<E: Error>(self) -> Result<Moderate, E> {
        Ok(Moderate)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Moderate, A::Error> {
        while items.next_element::<Moderate>()?.is_some() {}
        Ok(Moderate)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Moderate, A::Error> {
        while entries.next_entry::<Moderate, Moderate>()?.is_some() {}
        Ok(Moderate)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_refused_wherever_they_stand() {
        let right = r#"{"a": [1, -2, 2.5, true, null, "99999999999999999999"], "b": {"c": 281474976710656}}"#;
        assert!(check(right.as_bytes()).is_ok());
        for wrong in [r#"{"a": [{"b": 281474976710657}]}"#, "[18446744073709551615]"] {
            let error = check(wrong.as_bytes()).expect_err(wrong);
            assert!(matches!(error, JsonError::Number { line: 1, .. }), "{error}");
        }
        let error = check(b"[1, ").expect_err("cut short");
        assert!(matches!(error, JsonError::Shape(_)), "{error}");
    }
}
