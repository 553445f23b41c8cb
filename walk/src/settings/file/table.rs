//! The keys of a settings file and of `--set`, with their values as texts and their places.
//! What is not given has its default here.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{Error as _, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_saphyr::Spanned;

/// The keys beside `clusters`, and their defaults.
const DEFAULTS: [(&str, &str); 26] = [
    ("domain", "xiaowenx.com"),
    ("mesh-id", "mesh1"),
    ("image-repository", "docker.io/xiaowenx"),
    ("tag", "0.1.0"),
    ("istio-version", "1.31"),
    ("istio-revision", ""),
    ("certs", "certificates"),
    ("api", "istio"),
    ("east-west", "istio"),
    ("gateway-api-version", "v1.4.1"),
    ("tls-secret", ""),
    ("tls-cacert", ""),
    ("outlier-detection", ""),
    ("strict-mtls", ""),
    ("images-pushed", ""),
    ("ingress", "address"),
    ("pods", "2"),
    ("rate", "100"),
    ("duration", "30s"),
    ("target", "echo2:8080"),
    ("deadline", "300"),
    ("overlays", "target/k8s"),
    ("docker", "docker"),
    ("docker-flags", ""),
    ("platforms", ""),
    ("builder", ""),
];
/// The names of the same keys, and `clusters`.
const KEYS: [&str; 27] = {
    let mut keys = ["clusters"; 27];
    let mut at = 0;
    while at < DEFAULTS.len() {
        keys[at + 1] = DEFAULTS[at].0;
        at += 1;
    }
    keys
};
/// The keys of a cluster.
const CLUSTER_KEYS: [&str; 8] =
    ["name", "context", "network", "host", "region", "zone", "api-server", "ingress-ip"];

/// Where a value comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// Of the file, from 1.
    Line(u64),
    /// `--set`.
    Flag,
    Default,
}

/// A value and its place.
#[derive(Clone, Debug)]
pub(super) struct Given {
    pub(super) value: String,
    pub(super) place: Place,
}

impl<'de> Deserialize<'de> for Given {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let spanned = Spanned::<String>::deserialize(deserializer)?;
        let value = spanned.value.trim().to_owned();
        Ok(Self { value, place: Place::Line(spanned.referenced.line()) })
    }
}

type Values = BTreeMap<&'static str, Given>;

/// A cluster as it is written.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) name: Given,
    values: Values,
}

impl Entry {
    fn named(name: &str) -> Self {
        let name = Given { value: name.to_owned(), place: Place::Flag };
        Self { name, values: Values::new() }
    }

    /// The value of a key, if it is not empty.
    pub(super) fn get(&self, key: &str) -> Option<&Given> {
        self.values.get(key).filter(|given| !given.value.is_empty())
    }
}

/// All that is given.
#[derive(Clone, Debug)]
pub(super) struct Table {
    pub(super) clusters: Vec<Entry>,
    values: Values,
}

impl Table {
    /// Reads a file; `name` is its name for messages.
    pub(super) fn read(name: &str, text: &str) -> Result<Self, String> {
        serde_saphyr::from_str(text).map_err(|error| {
            let (line, what) = usage::yaml::problem(text, &error, "'clusters:'");
            format!("{name}:{line}: {what}")
        })
    }

    /// The settings of the command line over those of the file. Those of single clusters come
    /// last, because `clusters` can bring their names.
    pub(super) fn with(mut self, set: &[String]) -> Result<Self, String> {
        let split = |one: &String| {
            let (key, value) = one.split_once('=').ok_or_else(|| {
                format!("--set {}: write KEY=VALUE, such as pods=4", one.escape_debug())
            })?;
            Ok((key.to_owned(), value.trim().to_owned()))
        };
        let pairs: Vec<_> = set.iter().map(split).collect::<Result<_, String>>()?;
        let (single, all): (Vec<_>, Vec<_>) = pairs.iter().partition(|(key, _)| key.contains('.'));
        for (key, value) in all {
            if key == "clusters" {
                self.name_clusters(value);
            } else {
                self.values.insert(known(key, &KEYS)?, flag(value));
            }
        }
        for (key, value) in single {
            let (name, key) = key.split_once('.').unwrap_or_default();
            let key = known(key, &CLUSTER_KEYS[1..])?;
            let names: Vec<_> = self.clusters.iter().map(|one| one.name.value.clone()).collect();
            let entry = self.clusters.iter_mut().find(|entry| entry.name.value == name);
            let entry = entry.ok_or_else(|| {
                let right = right_word(name, names.iter().map(String::as_str));
                format!("--set: unknown cluster '{}'; {right}", name.escape_debug())
            })?;
            entry.values.insert(key, flag(value));
        }
        Ok(self)
    }

    /// Replaces the list of clusters. Those that the file has keep what it says of them.
    fn name_clusters(&mut self, names: &str) {
        let names = names.split([',', ' ']).filter(|name| !name.is_empty());
        let entry = |name: &str| {
            let known = self.clusters.iter().find(|entry| entry.name.value == name).cloned();
            let mut entry = known.unwrap_or_else(|| Entry::named(name));
            entry.name.place = Place::Flag;
            entry
        };
        self.clusters = names.map(entry).collect();
    }

    /// The value of a key, or its default.
    pub(super) fn value(&self, key: &'static str) -> Given {
        self.values.get(key).cloned().unwrap_or_else(|| {
            let (_, value) = DEFAULTS.iter().find(|(name, _)| *name == key).expect("a known key");
            Given { value: (*value).to_owned(), place: Place::Default }
        })
    }

    /// All that is given, with the keys.
    pub(super) fn all(&self) -> impl Iterator<Item = (&str, &Given)> {
        let clusters = self.clusters.iter().flat_map(|entry| &entry.values);
        self.values.iter().chain(clusters).map(|(key, given)| (*key, given))
    }
}

fn flag(value: &str) -> Given {
    Given { value: value.to_owned(), place: Place::Flag }
}

fn known(key: &str, keys: &[&'static str]) -> Result<&'static str, String> {
    keys.iter().find(|known| **known == key).copied().ok_or_else(|| {
        let right = right_word(key, keys.iter().copied());
        format!("--set: unknown key '{}'; {right}", key.escape_debug())
    })
}

fn right_word<'a>(word: &str, known: impl Iterator<Item = &'a str> + Clone) -> String {
    match usage::nearest(word, known.clone()) {
        Some(near) => format!("did you mean '{near}'?"),
        None => format!("write one of {}", known.collect::<Vec<_>>().join(", ")),
    }
}

/// Reads the values of keys; `other` reads those of a key that has more than a text.
fn read_values<'de, A: MapAccess<'de>>(
    map: &mut A,
    keys: &'static [&'static str],
    mut other: impl FnMut(&str, &mut A) -> Result<bool, A::Error>,
) -> Result<Values, A::Error> {
    let mut values = Values::new();
    while let Some(key) = map.next_key::<String>()? {
        if other(&key, map)? {
            continue;
        }
        let known = keys.iter().find(|known| **known == key);
        let known = known.ok_or_else(|| A::Error::unknown_field(&key, keys))?;
        // An empty value is the default.
        if let Some(given) = map.next_value::<Option<Given>>()? {
            values.insert(known, given);
        }
    }
    Ok(values)
}

struct TableVisitor;

impl<'de> Visitor<'de> for TableVisitor {
    type Value = Table;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("keys with values")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Table, A::Error> {
        let mut clusters = Vec::new();
        let values = read_values(&mut map, &KEYS, |key, map| {
            if key != "clusters" {
                return Ok(false);
            }
            clusters = map.next_value::<Option<Vec<Entry>>>()?.unwrap_or_default();
            Ok(true)
        })?;
        Ok(Table { clusters, values })
    }
}

impl<'de> Deserialize<'de> for Table {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(TableVisitor)
    }
}

struct EntryVisitor;

impl<'de> Visitor<'de> for EntryVisitor {
    type Value = Entry;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("keys with values")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Entry, A::Error> {
        let mut values = read_values(&mut map, &CLUSTER_KEYS, |_, _| Ok(false))?;
        let name = values.remove("name").ok_or_else(|| A::Error::missing_field("name"))?;
        Ok(Entry { name, values })
    }
}

impl<'de> Deserialize<'de> for Entry {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(EntryVisitor)
    }
}
