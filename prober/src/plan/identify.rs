//! `--identify`: which backend gave an answer, for targets that are not echoes. Flags → patterns, and
//! patterns × answer → identity. Pure.

use std::borrow::Cow;
use std::cell::OnceCell;
use std::net::IpAddr;

use echo_reply::{Identity, MAX_VALUE, UNKNOWN_CLUSTER, printable};
use http::HeaderName;
use regex::{Regex, RegexBuilder};
use serde_json::Value;
use thiserror::Error;

/// Printed if the pod is not known.
pub(crate) const UNKNOWN_POD: &str = "<unknown>";

const LABELS: usize = 8;
/// The labels in the order of [`Identity::values`].
const WORDS: [&str; LABELS] =
    ["pod", "cluster", "namespace", "node", "region", "zone", "network", "version"];
/// How many of the labels, from the first, identify a backend: at least one of them must be known.
const NAMING: usize = 2;
const SOURCES: [&str; 4] = ["header", "json", "regex", "address"];

/// A label, and where it can be.
type LabelPlaces = (&'static str, &'static [&'static str]);

/// Well-known applications: where their answers have the labels; the first place that has a value
/// counts.
///
/// * `whoami`: traefik/whoami's `app.go` prints `Hostname: NAME` on a separate line, before
///   it repeats the request; its `/api` answers with JSON that has `hostname`.
/// * `podinfo`: stefanprodan/podinfo's `pkg/api/http/info.go` answers `/` (except to browsers) and
///   `/api/info` with JSON that has `hostname` and `version`.
/// * `echo-basic`: the Gateway API's `conformance/echo-basic/echo-basic.go` answers with JSON
///   that has the environment variables `POD_NAME` as `pod` and `NAMESPACE` as `namespace`.
/// * `istio-echo`: Istio's `pkg/test/echo` writes lines `FIELD=VALUE`, with the names of its `fields.go`;
///   `Cluster` and `Namespace` are empty or missing if they are not configured. Request headers are
///   lines that start with `RequestHeader=`, so that no header can imitate a field.
/// * `helloworld`: Istio's `samples/helloworld/src/app.py` prints
///   `Hello version: v1, instance: helloworld-v1-…`.
const PRESETS: [(&str, &[LabelPlaces]); 5] = [
    ("whoami", &[("pod", &["regex:^Hostname: (.+)$", "json:/hostname"])]),
    ("podinfo", &[("pod", &["json:/hostname"]), ("version", &["json:/version"])]),
    ("echo-basic", &[("pod", &["json:/pod"]), ("namespace", &["json:/namespace"])]),
    (
        "istio-echo",
        &[
            ("pod", &["regex:^Hostname=(.+)$"]),
            ("cluster", &["regex:^Cluster=(.+)$"]),
            ("namespace", &["regex:^Namespace=(.+)$"]),
            ("version", &["regex:^ServiceVersion=(.+)$"]),
        ],
    ),
    (
        "helloworld",
        &[
            ("pod", &[r"regex:^Hello version: \S+, instance: (\S+)"]),
            ("version", &[r"regex:^Hello version: (\S+), instance: "]),
        ],
    ),
];

/// Why a value of `--identify` is not a pattern. `Display` is one line.
#[derive(Debug, Error)]
#[error("--identify '{given}': {wrong}")]
pub struct PatternError {
    given: String,
    wrong: String,
}

/// Where answers have each label.
#[derive(Clone, Debug)]
pub struct Patterns([Option<Pattern>; LABELS]);

#[derive(Clone, Debug)]
struct Pattern {
    /// As it was given: `pod=json:/hostname`, or the name of a preset.
    given: String,
    /// The first place that has a value counts.
    places: Vec<Place>,
    /// Whether the flag names this label, and not a preset.
    own: bool,
}

#[derive(Clone, Debug)]
enum Place {
    /// Where the connection leads: for applications that say nothing about themselves.
    Address,
    Header(HeaderName),
    /// A JSON pointer (RFC 6901).
    Json(String),
    Regex(Regex),
}

/// Why an answer does not identify a backend. `Display` is one line without text of the answer.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Nobody {
    /// A pattern for the pod or the cluster does not match.
    #[error("--identify {0} found nothing")]
    Nothing(String),
    #[error(
        "--identify {0} matched text that is not a name: longer than {MAX_VALUE} bytes, or not printable"
    )]
    NoName(String),
    /// A header of an echo has a value that is not a name.
    #[error("a name in the x-echo headers is not printable")]
    BadHeader,
    /// Neither the pod nor the cluster has a value.
    #[error("neither pod nor cluster is known; add --identify pod=… or cluster=…")]
    Neither,
}

impl Patterns {
    /// Reads the values of all `--identify` flags; `None` without the flag. A label that is named
    /// replaces that of a preset.
    pub fn parse(given: &[String]) -> Result<Option<Self>, PatternError> {
        let mut own = [const { None }; LABELS];
        let mut preset: Option<(&str, Self)> = None;
        for text in given {
            let error = |wrong: String| wrong_words(text, wrong);
            match text.split_once('=') {
                None => {
                    let labels = labels_of(text).map_err(error)?;
                    if let Some((first, _)) = preset {
                        return Err(error(format!("'{first}' is given, too; remove one of them")));
                    }
                    preset = Some((text, labels));
                }
                Some((label, place)) => {
                    let number = label_number(label).map_err(error)?;
                    if own[number].is_some() {
                        return Err(error(format!("'{label}' is given twice; remove one of them")));
                    }
                    let place = Place::parse(label, place).map_err(error)?;
                    let given = printable(text).into_owned();
                    own[number] = Some(Pattern { given, places: vec![place], own: true });
                }
            }
        }
        if given.is_empty() {
            return Ok(None);
        }
        let mut preset = preset.map_or([const { None }; LABELS], |(_, labels)| labels.0);
        for (label, own) in preset.iter_mut().zip(own) {
            *label = own.or(label.take());
        }
        Ok(Some(Self(preset)))
    }

    /// Whether a label is in the body.
    #[must_use]
    pub(crate) fn read_bodies(&self) -> bool {
        let mut places = self.0.iter().flatten().flat_map(|pattern| &pattern.places);
        places.any(|place| matches!(place, Place::Json(_) | Place::Regex(_)))
    }

    /// Which backend gave an answer with this `body` and these headers. `header` looks a header up;
    /// `stated` has the values of the `x-echo-*` headers in the order of [`Identity::values`], empty if
    /// missing, which are used for labels without a pattern. `remote` is where the connection leads.
    pub fn identify<'a>(
        &self,
        body: &[u8],
        stated: [&[u8]; LABELS],
        remote: Option<IpAddr>,
        header: impl Fn(&HeaderName) -> Option<Cow<'a, [u8]>>,
    ) -> Result<Identity, Nobody> {
        let text = OnceCell::new();
        let json = OnceCell::new();
        let mut values: [Option<String>; LABELS] = [const { None }; LABELS];
        for (label, pattern) in self.0.iter().enumerate() {
            let Some(pattern) = pattern else {
                values[label] = stated_name(stated[label])?;
                continue;
            };
            let at = |place: &Place| match place {
                Place::Address => remote.map(|address| address.to_string()),
                Place::Header(name) => {
                    header(name).map(|value| String::from_utf8_lossy(&value).into_owned())
                }
                Place::Json(pointer) => {
                    let json = json.get_or_init(|| serde_json::from_slice::<Value>(body).ok());
                    json.as_ref().and_then(|json| json.pointer(pointer)).and_then(scalar)
                }
                Place::Regex(regex) => {
                    let text = text.get_or_init(|| String::from_utf8_lossy(body));
                    first_match(regex, text).map(str::to_owned)
                }
            };
            let values_there = pattern.places.iter().filter_map(at);
            let found =
                values_there.map(|value| value.trim().to_owned()).find(|value| !value.is_empty());
            match found {
                Some(value) if value.len() > MAX_VALUE || !::printable::is_clean(&value) => {
                    return Err(Nobody::NoName(pattern.given.clone()));
                }
                None if pattern.own && label < NAMING => {
                    return Err(Nobody::Nothing(pattern.given.clone()));
                }
                found => values[label] = found,
            }
        }
        if values[..NAMING].iter().all(Option::is_none) {
            // A preset names at least the pod.
            let preset = self.0[..NAMING].iter().flatten().next();
            return Err(preset.map_or(Nobody::Neither, |p| Nobody::Nothing(p.given.clone())));
        }
        let [pod, cluster, namespace, node, region, zone, network, version] = values;
        Ok(Identity {
            pod: pod.unwrap_or_else(|| UNKNOWN_POD.to_owned()),
            cluster: cluster.unwrap_or_else(|| UNKNOWN_CLUSTER.to_owned()),
            namespace,
            node,
            region,
            zone,
            network,
            version,
        })
    }
}

impl Place {
    /// Reads `header:NAME`, `json:/POINTER`, `regex:PATTERN` or `address`.
    fn parse(label: &str, given: &str) -> Result<Self, String> {
        let (word, rest) = given.split_once(':').unwrap_or((given, ""));
        match word {
            "address" if given == word => Ok(Self::Address),
            "address" => Err(format!("an address has no part to choose; write {label}=address")),
            "header" => header_name(label, rest).map(Self::Header),
            "json" => pointer(label, rest).map(Self::Json),
            "regex" if rest.is_empty() => {
                Err(format!("the regex is empty; write it as {label}=regex:PATTERN"))
            }
            // Bodies are lines: ^ and $ match at each line, with any line ending.
            "regex" => RegexBuilder::new(rest)
                .multi_line(true)
                .crlf(true)
                .build()
                .map(Self::Regex)
                .map_err(|error| format!("not a regular expression: {}", last_line(&error))),
            _ => Err(match usage::nearest(word, SOURCES) {
                Some("address") => format!("unknown source; did you mean {label}=address?"),
                Some(near) => {
                    format!("unknown source '{}'; did you mean '{near}:'?", printable(word))
                }
                None => format!(
                    "the source is missing; write {label}=header:NAME, \
                     {label}=json:/POINTER, {label}=regex:PATTERN or {label}=address"
                ),
            }),
        }
    }
}

fn wrong_words(given: &str, wrong: String) -> PatternError {
    PatternError { given: printable(given).into_owned(), wrong }
}

/// The labels of a preset.
fn labels_of(word: &str) -> Result<Patterns, String> {
    let known = PRESETS.iter().find(|(name, _)| *name == word);
    let (name, labels) = known.ok_or_else(|| {
        let words = || PRESETS.iter().map(|(name, _)| *name);
        match usage::nearest(word, words()) {
            Some(near) => format!("unknown preset; did you mean '{near}'?"),
            None => {
                let words: Vec<_> = words().collect();
                format!("unknown preset; write LABEL=SOURCE, or one of {}", words.join(", "))
            }
        }
    })?;
    let mut patterns = [const { None }; LABELS];
    for (label, places) in *labels {
        let places =
            places.iter().map(|place| Place::parse(label, place)).collect::<Result<_, _>>();
        patterns[label_number(label)?] =
            Some(Pattern { given: (*name).to_owned(), places: places?, own: false });
    }
    Ok(Patterns(patterns))
}

fn label_number(word: &str) -> Result<usize, String> {
    WORDS.iter().position(|known| *known == word).ok_or_else(|| {
        let word = printable(word);
        match usage::nearest(&word, WORDS) {
            Some(near) => format!("unknown label '{word}'; did you mean '{near}'?"),
            None => format!("unknown label '{word}'; write one of {}", WORDS.join(", ")),
        }
    })
}

fn header_name(label: &str, name: &str) -> Result<HeaderName, String> {
    let right = format!("write it as {label}=header:NAME");
    match name.trim() {
        "" => Err(format!("the name of the header is missing; {right}")),
        name => HeaderName::from_bytes(name.as_bytes())
            .map_err(|_| format!("'{}' is not a header name; {right}", printable(name))),
    }
}

/// A pointer (RFC 6901, section 3), but not the empty one, which is the whole body.
fn pointer(label: &str, pointer: &str) -> Result<String, String> {
    let shown = printable(pointer);
    if !pointer.starts_with('/') {
        let right = if pointer.is_empty() { "hostname".to_owned() } else { shown.into_owned() };
        return Err(format!("a pointer starts with '/'; write {label}=json:/{right}"));
    }
    let escaped = pointer.split('~').skip(1).all(|rest| rest.starts_with(['0', '1']));
    if !escaped {
        return Err(format!("in '{shown}', write '~' as ~0, and '/' in a name as ~1"));
    }
    Ok(pointer.to_owned())
}

/// The last line of a regex error, which is the reason; the lines before point at the place.
fn last_line(error: &regex::Error) -> String {
    let text = error.to_string();
    let line = text.lines().last().unwrap_or_default();
    line.strip_prefix("error: ").unwrap_or(line).to_owned()
}

/// The value of an `x-echo-*` header, which an echo sends in printable ASCII.
fn stated_name(value: &[u8]) -> Result<Option<String>, Nobody> {
    if value.is_empty() {
        return Ok(None);
    }
    let text = std::str::from_utf8(value).ok();
    let ascii = |text: &&str| text.bytes().all(|byte| (0x20..0x7f).contains(&byte));
    let name = text.filter(ascii).filter(|text| ::printable::is_clean(text));
    name.map(|name| Some(name.to_owned())).ok_or(Nobody::BadHeader)
}

/// A string or a number as text.
fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

/// The first group that matched, or the whole match if the pattern has no groups.
fn first_match<'t>(regex: &Regex, text: &'t str) -> Option<&'t str> {
    if regex.captures_len() == 1 {
        return regex.find(text).map(|found| found.as_str());
    }
    let captures = regex.captures(text)?;
    captures.iter().skip(1).flatten().next().map(|group| group.as_str())
}

#[cfg(test)]
mod tests;
