//! Chooses text or JSON by the `Accept` header (RFC 9110, 12.5.1).

use axum::http::HeaderMap;
use axum::http::header::ACCEPT;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// The line; the default.
    Text,
    Json,
}

/// The media range that applies to one form so far.
#[derive(Clone, Copy, Default)]
struct Claim {
    /// 3 for `type/subtype`, 2 for `type/*`, 1 for `*/*`, 0 if no range applies.
    specificity: u8,
    quality: f32,
    position: usize,
}

/// The form that the request prefers. A tie goes to the more specific range, then to the
/// first one, then to text. A request that accepts neither form gets text.
#[must_use]
pub(crate) fn form(headers: &HeaderMap) -> Form {
    let (mut text, mut json) = (Claim::default(), Claim::default());
    let ranges = headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok());
    for (position, range) in ranges.flat_map(|value| value.split(',')).enumerate() {
        let mut parts = range.split(';').map(str::trim);
        let media = parts.next().unwrap_or_default();
        let Some(quality) = quality(parts) else { continue };
        text.hear(Claim { specificity: specificity(media, "text", "plain"), quality, position });
        json.hear(Claim {
            specificity: specificity(media, "application", "json"),
            quality,
            position,
        });
    }
    if json.beats(text) { Form::Json } else { Form::Text }
}

impl Claim {
    /// The most specific range counts; of equally specific ones, the one with the highest weight.
    fn hear(&mut self, other: Self) {
        let heavier = other.specificity > self.specificity
            || (other.specificity == self.specificity && other.quality > self.quality);
        if other.specificity > 0 && heavier {
            *self = other;
        }
    }

    fn beats(self, other: Self) -> bool {
        let tied = self.quality > 0.0
            && self.quality >= other.quality
            && (self.specificity > other.specificity
                || (self.specificity == other.specificity && self.position < other.position));
        self.quality > other.quality || tied
    }
}

fn specificity(media: &str, kind: &str, subtype: &str) -> u8 {
    match media.split_once('/') {
        Some(("*", "*")) => 1,
        Some((k, "*")) if k.eq_ignore_ascii_case(kind) => 2,
        Some((k, s)) if k.eq_ignore_ascii_case(kind) && s.eq_ignore_ascii_case(subtype) => 3,
        _ => 0,
    }
}

/// The weight among the parameters of a range; 1 if it is missing, `None` if it is invalid,
/// which makes the range invalid.
fn quality<'a>(parameters: impl Iterator<Item = &'a str>) -> Option<f32> {
    let weight = parameters
        .filter_map(|parameter| parameter.split_once('='))
        .find(|(name, _)| name.trim().eq_ignore_ascii_case("q"));
    let Some((_, weight)) = weight else { return Some(1.0) };
    weight.trim().parse().ok().filter(|weight| (0.0..=1.0).contains(weight))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn form_of(accept: &[&str]) -> Form {
        let mut headers = HeaderMap::new();
        for value in accept {
            headers.append(ACCEPT, value.parse().unwrap());
        }
        form(&headers)
    }

    #[test]
    fn json_only_when_it_is_preferred() {
        for accept in [
            "application/json",
            "APPLICATION/JSON; charset=utf-8",
            "application/*",
            "application/json, */*;q=0.5",
            "text/plain;q=0.5, application/json;q=0.6",
            "application/json, */*",
            "application/json, text/plain, */*",
            "application/json;q=0.1",
            "text/plain;q=0, */*",
            "text/html, application/json;q=0.9",
        ] {
            assert_eq!(form_of(&[accept]), Form::Json, "{accept:?}");
        }
        for accept in [
            "*/*",
            "",
            "text/plain",
            "text/*, application/json;q=0.9",
            "text/plain, application/json",
            "application/json;q=0",
            "application/json;q=0, */*",
            "application/json;q=2",
            "application/json;q=nan",
            "application/jsonp",
            "image/png",
            "*/json",
            "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
        ] {
            assert_eq!(form_of(&[accept]), Form::Text, "{accept:?}");
        }
        assert_eq!(form_of(&[]), Form::Text);
        assert_eq!(form_of(&["image/png", "application/json"]), Form::Json, "two headers");
    }

    proptest! {
        #[test]
        fn no_accept_panics(accept in "[ -~]{0,80}") {
            let _ = form_of(&[&accept]);
        }
    }
}
