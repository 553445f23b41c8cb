//! What may stand in a matrix file. Keys with two words take a dash.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_saphyr::Spanned;

/// The whole file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct File {
    /// Names of the clusters, in the order of the table's columns.
    #[serde(default)]
    pub(super) clusters: Vec<String>,
    /// What holds for every target that does not say otherwise.
    #[serde(default)]
    pub(super) defaults: Entry,
    /// Where requests start.
    #[serde(default)]
    pub(super) sources: Vec<SourceEntry>,
    /// Envoys on the way and where their admin interfaces are, for --explain.
    #[serde(default)]
    pub(super) envoys: BTreeMap<String, Spanned<String>>,
    /// What is asked, from where.
    pub(super) targets: Vec<Spanned<Entry>>,
}

/// A place where requests start: `here`, behind a `command`, or behind `kubectl exec`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct SourceEntry {
    pub(super) name: Spanned<String>,
    pub(super) cluster: Option<String>,
    #[serde(default)]
    pub(super) here: bool,
    pub(super) command: Option<Vec<String>>,
    pub(super) kubectl: Option<Kubectl>,
    /// The prober's name or path behind the command; `prober` if not said.
    pub(super) prober: Option<String>,
    #[serde(default)]
    pub(super) resolve: Vec<String>,
    #[serde(default)]
    pub(super) connect_to: Vec<String>,
    /// The admin interface of its own Envoy, for --explain.
    pub(super) envoy_admin: Option<Spanned<String>>,
}

/// The short form of a `kubectl exec`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Kubectl {
    context: Option<String>,
    namespace: Option<String>,
    /// `deploy/sleep`, or a pod's name.
    workload: String,
    container: Option<String>,
}

impl Kubectl {
    /// The words of the command, up to where the prober's begin.
    pub(super) fn words(&self) -> Vec<String> {
        self.exec(self.container.as_deref())
    }

    /// The words of a command in the pod's sidecar.
    pub(super) fn in_sidecar(&self) -> Vec<String> {
        self.exec(Some("istio-proxy"))
    }

    fn exec(&self, container: Option<&str>) -> Vec<String> {
        let mut words = vec!["kubectl".to_owned(), "exec".to_owned()];
        let flags = [
            ("--context", self.context.as_deref()),
            ("--namespace", self.namespace.as_deref()),
            ("--container", container),
        ];
        for (flag, value) in flags {
            words.extend(value.map(|value| format!("{flag}={value}")));
        }
        words.extend([self.workload.clone(), "--".to_owned()]);
        words
    }
}

/// What is asked, how, and what must hold. Also the defaults, where `from` and
/// `url` have no place. Keys are named as the flags that they become.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct Entry {
    pub(super) from: Option<Spanned<String>>,
    pub(super) url: Option<Spanned<String>>,
    /// The admin interface of the Envoy that chooses for this target, for --explain: the ingress
    /// gateway's where it is asked from outside.
    pub(super) envoy_admin: Option<Spanned<String>>,
    #[serde(default)]
    pub(super) expect: Vec<Spanned<String>>,
    #[serde(default)]
    identify: Vec<String>,
    pub(super) requests: Option<u64>,
    confidence: Option<Scalar>,
    min_share: Option<Scalar>,
    max_requests: Option<u64>,
    concurrency: Option<u64>,
    threads: Option<u64>,
    duration: Option<Seconds>,
    rate: Option<f64>,
    warmup: Option<Seconds>,
    reuse: Option<Scalar>,
    connection_lifetime: Option<Seconds>,
    streams: Option<u64>,
    /// `http1.1`, `http2`, `http2-prior-knowledge`, `grpc` or `grpc=health`: the flag's name.
    protocol: Option<ProtocolFlag>,
    timeline: Option<Seconds>,
    pub(super) show: Option<u64>,
    method: Option<String>,
    data: Option<String>,
    #[serde(default)]
    headers: Vec<String>,
    max_time: Option<Seconds>,
    connect_timeout: Option<Seconds>,
    max_body: Option<u64>,
    #[serde(default)]
    resolve: Vec<String>,
    #[serde(default)]
    connect_to: Vec<String>,
    #[serde(default)]
    dns_servers: Vec<String>,
    select: Option<Spanned<String>>,
    seed: Option<u64>,
    re_resolve: Option<bool>,
    cacert: Option<String>,
    cert: Option<String>,
    key: Option<String>,
    insecure: Option<bool>,
}

/// The flag that chooses the protocol.
#[derive(Clone, Copy, Debug, Deserialize)]
enum ProtocolFlag {
    #[serde(rename = "http1.1")]
    Http1,
    #[serde(rename = "http2")]
    Http2,
    #[serde(rename = "http2-prior-knowledge")]
    Http2PriorKnowledge,
    #[serde(rename = "grpc")]
    Grpc,
    #[serde(rename = "grpc=health")]
    GrpcHealth,
}

impl ProtocolFlag {
    fn word(self) -> &'static str {
        match self {
            Self::Http1 => "--http1.1",
            Self::Http2 => "--http2",
            Self::Http2PriorKnowledge => "--http2-prior-knowledge",
            Self::Grpc => "--grpc",
            Self::GrpcHealth => "--grpc=health",
        }
    }
}

/// Seconds: a number, or a text with a unit such as `500ms`.
type Seconds = Scalar;

/// A number or a text.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
enum Scalar {
    Number(f64),
    Text(String),
}

impl std::fmt::Display for Scalar {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Number(seconds) => seconds.fmt(f),
            Self::Text(text) => f.write_str(text),
        }
    }
}

impl Entry {
    /// The expectations that hold: its own, else the defaults'.
    pub(super) fn expected<'a>(&'a self, defaults: &'a Self) -> &'a [Spanned<String>] {
        if self.expect.is_empty() { &defaults.expect } else { &self.expect }
    }

    /// The prober's flags for this entry. Single values are its own, else the
    /// defaults'; headers and overrides add up, the more special ones last, where
    /// the prober lets the last one win.
    pub(super) fn flags(&self, defaults: &Self, source: Option<&SourceEntry>) -> Vec<String> {
        let mut words = Vec::new();
        self.single_flags(defaults, &mut words);
        let lists: [(&str, [&[String]; 3]); 3] = [
            ("--header", [&defaults.headers, &[], &self.headers]),
            ("--resolve", [&defaults.resolve, of(source, |s| &s.resolve), &self.resolve]),
            (
                "--connect-to",
                [&self.connect_to, of(source, |s| &s.connect_to), &defaults.connect_to],
            ),
        ];
        for (flag, values) in lists {
            for value in values.into_iter().flatten() {
                words.push(format!("{flag}={value}"));
            }
        }
        // One flag for all of them: of several flags the prober takes the last.
        let own = if self.dns_servers.is_empty() { defaults } else { self };
        if !own.dns_servers.is_empty() {
            words.push(format!("--dns-servers={}", own.dns_servers.join(",")));
        }
        // A label twice would be refused: one's own patterns stand for all of the defaults'.
        let own = if self.identify.is_empty() { defaults } else { self };
        words.extend(own.identify.iter().map(|given| format!("--identify={given}")));
        for expected in self.expected(defaults) {
            words.push(format!("--expect={}", expected.value));
        }
        words.extend(self.protocol.or(defaults.protocol).map(|flag| flag.word().to_owned()));
        if self.insecure.or(defaults.insecure) == Some(true) {
            words.push("--insecure".to_owned());
        }
        if self.re_resolve.or(defaults.re_resolve) == Some(true) {
            words.push("--re-resolve".to_owned());
        }
        words
    }

    /// Whether nothing says how many requests there are, nor for how long they are sent.
    pub(super) fn is_open(&self, defaults: &Self) -> bool {
        let all = [self, defaults];
        all.iter().all(|entry| entry.requests.is_none() && entry.duration.is_none())
    }

    /// What decides among a name's addresses: its own word, else the defaults'.
    pub(super) fn selected<'a>(&'a self, defaults: &'a Self) -> Option<&'a Spanned<String>> {
        self.select.as_ref().or(defaults.select.as_ref())
    }

    fn single_flags(&self, defaults: &Self, words: &mut Vec<String>) {
        let mut flag = |flag: &str, value: Option<String>| {
            words.extend(value.map(|value| format!("{flag}={value}")));
        };
        let number =
            |own: Option<u64>, default: Option<u64>| own.or(default).map(|n| n.to_string());
        flag("--requests", number(self.requests, defaults.requests));
        let open = self.is_open(defaults);
        // A row that has its size does not go on until it is decided.
        flag("--max-requests", number(self.max_requests, defaults.max_requests).filter(|_| open));
        flag("--concurrency", number(self.concurrency, defaults.concurrency));
        flag("--streams", number(self.streams, defaults.streams));
        flag("--threads", number(self.threads, defaults.threads));
        flag("--seed", number(self.seed, defaults.seed));
        flag("--select", self.selected(defaults).map(|select| select.value.clone()));
        flag("--show", number(self.show, defaults.show));
        flag("--max-body", number(self.max_body, defaults.max_body));
        let seconds = |own: &Option<Seconds>, default: &Option<Seconds>| {
            own.as_ref().or(default.as_ref()).map(Scalar::to_string)
        };
        flag("--confidence", seconds(&self.confidence, &defaults.confidence));
        flag("--min-share", seconds(&self.min_share, &defaults.min_share));
        flag("--duration", seconds(&self.duration, &defaults.duration));
        flag("--warmup", seconds(&self.warmup, &defaults.warmup));
        let lifetime = seconds(&self.connection_lifetime, &defaults.connection_lifetime);
        flag("--connection-lifetime", lifetime);
        flag("--timeline", seconds(&self.timeline, &defaults.timeline));
        flag("--reuse", seconds(&self.reuse, &defaults.reuse));
        flag("--rate", self.rate.or(defaults.rate).map(|rate| rate.to_string()));
        flag("--max-time", seconds(&self.max_time, &defaults.max_time));
        flag("--connect-timeout", seconds(&self.connect_timeout, &defaults.connect_timeout));
        let text = |own: &Option<String>, default: &Option<String>| {
            own.clone().or_else(|| default.clone())
        };
        flag("--request", text(&self.method, &defaults.method));
        flag("--data", text(&self.data, &defaults.data));
        flag("--cacert", text(&self.cacert, &defaults.cacert));
        flag("--cert", text(&self.cert, &defaults.cert));
        flag("--key", text(&self.key, &defaults.key));
    }
}

fn of<'a>(
    source: Option<&'a SourceEntry>,
    list: impl Fn(&'a SourceEntry) -> &'a Vec<String>,
) -> &'a [String] {
    source.map_or(&[], |source| list(source).as_slice())
}
