//! Who answered, where the person says how an answer names it: `--identify`.
//! Words → patterns, and patterns × answer → identity. Pure.

use std::borrow::Cow;
use std::cell::OnceCell;

use echo_reply::{Identity, MAX_VALUE, UNKNOWN_CLUSTER, printable};
use http::HeaderName;
use regex::{Regex, RegexBuilder};
use serde_json::Value;
use thiserror::Error;

/// What is printed where the pod is not known.
pub(crate) const UNKNOWN_POD: &str = "<unknown>";

/// How many labels an identity has.
const LABELS: usize = 8;
/// Their words, in the order of [`Identity::values`].
const WORDS: [&str; LABELS] =
    ["pod", "cluster", "namespace", "node", "region", "zone", "network", "version"];
/// The labels that tell who answered, the first ones: one of them must be known.
const NAMING: usize = 2;
/// The words of the sources.
const SOURCES: [&str; 3] = ["header", "json", "regex"];

/// Well-known applications, by the word for each: which label stands where.
///
/// * `whoami`: traefik/whoami's `app.go` prints `Hostname: NAME` on a line of its own, before
///   it repeats the request.
/// * `podinfo`: stefanprodan/podinfo's `pkg/api/info.go` answers `/` (to all but browsers) and
///   `/api/info` with JSON that has `hostname` and `version`.
/// * `echo-basic`: the Gateway API's `conformance/echo-basic/echo-basic.go` answers with JSON
///   that has its environment's `POD_NAME` as `pod` and `NAMESPACE` as `namespace`.
/// * `istio-echo`: Istio's `pkg/test/echo` writes `FIELD=VALUE` lines, names in its `fields.go`;
///   `Cluster` is empty where it was not told. The request's headers are lines that begin with
///   `RequestHeader=`, so that none of them can speak for a field.
/// * `helloworld`: Istio's `samples/helloworld/src/app.py` says
///   `Hello version: v1, instance: helloworld-v1-…`.
const PRESETS: [(&str, &[(&str, &str)]); 5] = [
    ("whoami", &[("pod", "regex:^Hostname: (.+)$")]),
    ("podinfo", &[("pod", "json:/hostname"), ("version", "json:/version")]),
    ("echo-basic", &[("pod", "json:/pod"), ("namespace", "json:/namespace")]),
    (
        "istio-echo",
        &[
            ("pod", "regex:^Hostname=(.+)$"),
            ("cluster", "regex:^Cluster=(.+)$"),
            ("version", "regex:^ServiceVersion=(.+)$"),
        ],
    ),
    (
        "helloworld",
        &[
            ("pod", r"regex:^Hello version: \S+, instance: (\S+)"),
            ("version", r"regex:^Hello version: (\S+), instance: "),
        ],
    ),
];

/// Why words are no pattern. `Display` is one line.
#[derive(Debug, Error)]
#[error("--identify '{given}': {wrong}")]
pub struct PatternError {
    given: String,
    wrong: String,
}

/// How answers name who gave them.
#[derive(Clone, Debug)]
pub struct Patterns([Option<Pattern>; LABELS]);

#[derive(Clone, Debug)]
struct Pattern {
    /// As it was given: `pod=json:/hostname`, or the word of a preset.
    given: String,
    place: Place,
    /// Whether the person named this label, and not a preset.
    own: bool,
}

#[derive(Clone, Debug)]
enum Place {
    Header(HeaderName),
    /// A pointer as RFC 6901 has it.
    Json(String),
    Regex(Regex),
}

/// Why an answer is nobody's. `Display` is a line without the answer's own text.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Nobody {
    /// A pattern for the pod or the cluster does not fit.
    #[error("--identify {0} found nothing")]
    Nothing(String),
    /// What was found is no name.
    #[error(
        "--identify {0} found what is no name: longer than {MAX_VALUE} bytes, or not printable"
    )]
    NoName(String),
    /// A header of an echo states what is no name.
    #[error("a name in the x-echo headers cannot be printed")]
    BadHeader,
    /// No label that tells who answered has a value.
    #[error("neither pod nor cluster is known; name one with --identify pod=… or cluster=…")]
    Neither,
}

impl Patterns {
    /// Reads the words of all `--identify` flags; `None` if there are none. Labels that
    /// are named stand over those of a preset.
    pub fn parse(given: &[String]) -> Result<Option<Self>, PatternError> {
        let mut own = [const { None }; LABELS];
        let mut preset: Option<(&str, Self)> = None;
        for text in given {
            let error = |wrong: String| wrong_words(text, wrong);
            match text.split_once('=') {
                None => {
                    let labels = labels_of(text).map_err(error)?;
                    if let Some((first, _)) = preset {
                        return Err(error(format!("'{first}' is given too; give one of them")));
                    }
                    preset = Some((text, labels));
                }
                Some((label, place)) => {
                    let number = label_number(label).map_err(error)?;
                    if own[number].is_some() {
                        return Err(error(format!("'{label}' is given twice; give it once")));
                    }
                    let place = Place::parse(label, place).map_err(error)?;
                    let given = printable(text).into_owned();
                    own[number] = Some(Pattern { given, place, own: true });
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

    /// Who gave an answer: `body`, the headers that `header` looks up, and `stated`, the
    /// values of its `x-echo-*` headers in the order of [`Identity::values`] (empty where
    /// missing), which hold for labels without a pattern.
    pub fn identify<'a>(
        &self,
        body: &[u8],
        stated: [&[u8]; LABELS],
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
            let found = match &pattern.place {
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
            let found =
                found.map(|value| value.trim().to_owned()).filter(|value| !value.is_empty());
            match found {
                Some(value) if value.len() > MAX_VALUE || value.contains(char::is_control) => {
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
    /// Reads `header:NAME`, `json:/POINTER` or `regex:PATTERN`; else what is wrong.
    fn parse(label: &str, given: &str) -> Result<Self, String> {
        let (word, rest) = given.split_once(':').unwrap_or((given, ""));
        match word {
            "header" => header_name(label, rest).map(Self::Header),
            "json" => pointer(label, rest).map(Self::Json),
            "regex" if rest.is_empty() => {
                Err(format!("the regex is empty; write it as {label}=regex:PATTERN"))
            }
            // Bodies are lines: ^ and $ match at each of them, however they end.
            "regex" => RegexBuilder::new(rest)
                .multi_line(true)
                .crlf(true)
                .build()
                .map(Self::Regex)
                .map_err(|error| format!("no regular expression: {}", last_line(&error))),
            _ => Err(match usage::nearest(word, SOURCES) {
                Some(near) => {
                    format!("unknown source '{}'; did you mean '{near}:'?", printable(word))
                }
                None => format!(
                    "it does not say where to look; write {label}=header:NAME, \
                     {label}=json:/POINTER or {label}=regex:PATTERN"
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
            Some(near) => format!("not known; did you mean '{near}'?"),
            None => {
                let words: Vec<_> = words().collect();
                format!("not known; write LABEL=SOURCE, or one of {}", words.join(", "))
            }
        }
    })?;
    let mut patterns = [const { None }; LABELS];
    for (label, place) in *labels {
        let place = Place::parse(label, place)?;
        patterns[label_number(label)?] =
            Some(Pattern { given: (*name).to_owned(), place, own: false });
    }
    Ok(Patterns(patterns))
}

fn label_number(word: &str) -> Result<usize, String> {
    WORDS.iter().position(|known| *known == word).ok_or_else(|| {
        let word = printable(word);
        match usage::nearest(&word, WORDS) {
            Some(near) => format!("unknown label '{word}'; did you mean '{near}'?"),
            None => format!("unknown label '{word}'; known are {}", WORDS.join(", ")),
        }
    })
}

fn header_name(label: &str, name: &str) -> Result<HeaderName, String> {
    let right = format!("write it as {label}=header:NAME");
    match name.trim() {
        "" => Err(format!("the header's name is empty; {right}")),
        name => HeaderName::from_bytes(name.as_bytes())
            .map_err(|_| format!("'{}' is no header name; {right}", printable(name))),
    }
}

/// A pointer of RFC 6901, section 3; not the empty one, which is the whole body.
fn pointer(label: &str, pointer: &str) -> Result<String, String> {
    let shown = printable(pointer);
    if !pointer.starts_with('/') {
        let right = if pointer.is_empty() { "hostname".to_owned() } else { shown.into_owned() };
        return Err(format!("a pointer begins with '/'; write {label}=json:/{right}"));
    }
    let escaped = pointer.split('~').skip(1).all(|rest| rest.starts_with(['0', '1']));
    if !escaped {
        return Err(format!("'~' in a pointer is written ~0, and '/' in a name ~1: '{shown}'"));
    }
    Ok(pointer.to_owned())
}

/// The last line of a regex's error, which says what is wrong; those before point at it.
fn last_line(error: &regex::Error) -> String {
    let text = error.to_string();
    let line = text.lines().last().unwrap_or_default();
    line.strip_prefix("error: ").unwrap_or(line).to_owned()
}

/// The value that an `x-echo-*` header states; bytes as the echo itself would send them.
fn stated_name(value: &[u8]) -> Result<Option<String>, Nobody> {
    if value.is_empty() {
        return Ok(None);
    }
    let text = std::str::from_utf8(value).ok();
    let name = text.filter(|text| text.bytes().all(|byte| (0x20..0x7f).contains(&byte)));
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

/// The first group that took part, or all of the match where there are no groups.
fn first_match<'t>(regex: &Regex, text: &'t str) -> Option<&'t str> {
    if regex.captures_len() == 1 {
        return regex.find(text).map(|found| found.as_str());
    }
    let captures = regex.captures(text)?;
    captures.iter().skip(1).flatten().next().map(|group| group.as_str())
}

#[cfg(test)]
mod tests;
