//! The keys of a matrix file. Keys of two words have a dash.

use std::collections::BTreeMap;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer};
use serde_saphyr::Spanned;

use crate::plan::judging::DEFAULT_MIN_TIME;

/// The default of `show`: the number of requests of the original `make echo-status`.
const DEFAULT_SHOW: u64 = 4;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct File {
    /// In the order of the table's columns.
    #[serde(default)]
    pub(super) clusters: Vec<String>,
    /// Settings of every target that does not have its own.
    #[serde(default)]
    pub(super) defaults: Entry,
    #[serde(default)]
    pub(super) sources: Vec<SourceEntry>,
    /// For --explain: the name of each Envoy on the way, and the URL of its admin interface.
    #[serde(default)]
    pub(super) envoys: BTreeMap<String, Spanned<String>>,
    pub(super) targets: Vec<Spanned<Entry>>,
}

/// Where requests start: `here`, or behind a `command` or `kubectl exec`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct SourceEntry {
    pub(super) name: Spanned<String>,
    pub(super) cluster: Option<String>,
    #[serde(default)]
    pub(super) here: bool,
    pub(super) command: Option<Vec<String>>,
    pub(super) kubectl: Option<Kubectl>,
    /// The prober's name or path behind the command; the default is `prober`.
    pub(super) prober: Option<String>,
    #[serde(default)]
    pub(super) resolve: Vec<String>,
    #[serde(default)]
    pub(super) connect_to: Vec<String>,
    /// For --explain: the admin interface of the source's own Envoy.
    pub(super) envoy_admin: Option<Spanned<String>>,
}

/// The short form of a `kubectl exec`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Kubectl {
    context: Option<String>,
    namespace: Option<String>,
    /// Such as `deploy/sleep`, or the name of a pod.
    workload: String,
    container: Option<String>,
}

impl Kubectl {
    /// The words of the command, before those of the prober.
    pub(super) fn words(&self) -> Vec<String> {
        self.exec(self.container.as_deref())
    }

    /// The words before a command in the pod's sidecar.
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

/// A target, or the defaults, which cannot have `from`, `url`, `heading` and `envoy-admin`. Keys are named as
/// the flags that they become.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct Entry {
    pub(super) from: Option<Spanned<String>>,
    pub(super) url: Option<Spanned<String>>,
    /// How the target is called in headings; its URL by default.
    pub(super) heading: Option<Spanned<String>>,
    /// For --explain: the admin interface of the Envoy that balances this target's requests. From
    /// outside of the mesh, that is the ingress gateway.
    pub(super) envoy_admin: Option<Spanned<String>>,
    #[serde(default)]
    pub(super) expect: Vec<Spanned<String>>,
    #[serde(default)]
    identify: Vec<String>,
    pub(super) requests: Option<Count>,
    confidence: Option<Scalar>,
    min_share: Option<Scalar>,
    max_requests: Option<Count>,
    max_backends: Option<Count>,
    min_time: Option<Scalar>,
    dependence: Option<Count>,
    concurrency: Option<Count>,
    threads: Option<Count>,
    duration: Option<Time>,
    rate: Option<Scalar>,
    wait: Option<Time>,
    warmup: Option<Time>,
    reuse: Option<Scalar>,
    connection_lifetime: Option<Time>,
    streams: Option<Count>,
    protocol: Option<ProtocolFlag>,
    timeline: Option<Time>,
    pub(super) show: Option<Count>,
    method: Option<String>,
    data: Option<String>,
    #[serde(default)]
    headers: Vec<String>,
    max_time: Option<Time>,
    connect_timeout: Option<Time>,
    max_body: Option<Count>,
    #[serde(default)]
    resolve: Vec<String>,
    #[serde(default)]
    connect_to: Vec<String>,
    #[serde(default)]
    dns_servers: Vec<String>,
    select: Option<Spanned<String>>,
    seed: Option<Count>,
    path_as_is: Option<bool>,
    re_resolve: Option<bool>,
    interface: Option<String>,
    haproxy_protocol: Option<ProxyFlag>,
    cacert: Option<String>,
    cert: Option<String>,
    key: Option<String>,
    tls_max: Option<Scalar>,
    tls_session: Option<String>,
    insecure: Option<bool>,
}

/// A flag that selects the protocol, without its dashes.
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

/// A PROXY header: `true` for version 1, or the version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct ProxyFlag(Option<&'static str>);

impl<'de> Deserialize<'de> for ProxyFlag {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Given {
            Switch(bool),
            Version(Scalar),
        }
        let text = match Given::deserialize(deserializer)? {
            Given::Switch(false) => return Ok(Self(None)),
            Given::Switch(true) => "v1".to_owned(),
            Given::Version(version) => version.to_string(),
        };
        match text.as_str() {
            "v1" => Ok(Self(Some("--haproxy-protocol"))),
            "v2" => Ok(Self(Some("--haproxy-protocol=v2"))),
            _ => Err(D::Error::custom(format!("'{text}': write true, v1 or v2"))),
        }
    }
}

/// A count: a number, or a text such as `10k`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Count(pub(super) u64);

impl<'de> Deserialize<'de> for Count {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Given {
            Whole(u64),
            Other(Scalar),
        }
        let text = match Given::deserialize(deserializer)? {
            Given::Whole(count) => return Ok(Self(count)),
            Given::Other(scalar) => scalar.to_string(),
        };
        let wrong = |error| D::Error::custom(format!("'{text}': {error}"));
        usage::count::parse(&text).map(Self).map_err(wrong)
    }
}

/// A duration: seconds as a number, or a text with units such as `500ms`.
type Time = Scalar;

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
            Self::Number(number) => number.fmt(f),
            Self::Text(text) => f.write_str(text),
        }
    }
}

impl Entry {
    /// Its own expectations, otherwise those of the defaults.
    pub(super) fn expected<'a>(&'a self, defaults: &'a Self) -> &'a [Spanned<String>] {
        if self.expect.is_empty() { &defaults.expect } else { &self.expect }
    }

    /// The prober's flags for this entry. A single value is its own, otherwise the default. Headers and
    /// overrides add up, ordered so that for the prober those of the entry win. A row that runs
    /// `once`, and not in rounds, waits for the first answer, and its fixed number of requests is
    /// spread over the usual `min-time`.
    pub(super) fn flags(
        &self,
        defaults: &Self,
        source: Option<&SourceEntry>,
        once: bool,
    ) -> Vec<String> {
        let mut words = Vec::new();
        self.single_flags(defaults, once, &mut words);
        let lists: [(&str, [&[String]; 3]); 3] = [
            ("--header", [&self.headers, &[], &defaults.headers]),
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
        // One flag for all servers: the prober uses only the last flag.
        let own = if self.dns_servers.is_empty() { defaults } else { self };
        if !own.dns_servers.is_empty() {
            words.push(format!("--dns-servers={}", own.dns_servers.join(",")));
        }
        // The prober refuses a label twice, so that own patterns replace all of the defaults.
        let own = if self.identify.is_empty() { defaults } else { self };
        words.extend(own.identify.iter().map(|given| format!("--identify={given}")));
        for expected in self.expected(defaults) {
            words.push(format!("--expect={}", expected.value));
        }
        let header = self.haproxy_protocol.or(defaults.haproxy_protocol);
        words.extend(header.and_then(|header| header.0).map(str::to_owned));
        words.extend(self.protocol.or(defaults.protocol).map(|flag| flag.word().to_owned()));
        if self.insecure.or(defaults.insecure) == Some(true) {
            words.push("--insecure".to_owned());
        }
        if self.re_resolve.or(defaults.re_resolve) == Some(true) {
            words.push("--re-resolve".to_owned());
        }
        if self.path_as_is.or(defaults.path_as_is) == Some(true) {
            words.push("--path-as-is".to_owned());
        }
        words
    }

    /// Whether there is neither a number of requests nor a duration.
    pub(super) fn is_open(&self, defaults: &Self) -> bool {
        let all = [self, defaults];
        all.iter().all(|entry| entry.requests.is_none() && entry.duration.is_none())
    }

    /// Its own `select`, otherwise that of the defaults.
    pub(super) fn selected<'a>(&'a self, defaults: &'a Self) -> Option<&'a Spanned<String>> {
        self.select.as_ref().or(defaults.select.as_ref())
    }

    fn single_flags(&self, defaults: &Self, once: bool, words: &mut Vec<String>) {
        let mut flag = |flag: &str, value: Option<String>| {
            words.extend(value.map(|value| format!("{flag}={value}")));
        };
        let number =
            |own: Option<Count>, default: Option<Count>| own.or(default).map(|n| n.0.to_string());
        flag("--requests", number(self.requests, defaults.requests));
        let open = self.is_open(defaults);
        // A row of fixed size does not go on until it is decided.
        flag("--max-requests", number(self.max_requests, defaults.max_requests).filter(|_| open));
        flag("--max-backends", number(self.max_backends, defaults.max_backends));
        flag("--concurrency", number(self.concurrency, defaults.concurrency));
        flag("--streams", number(self.streams, defaults.streams));
        flag("--threads", number(self.threads, defaults.threads));
        flag("--seed", number(self.seed, defaults.seed));
        flag("--select", self.selected(defaults).map(|select| select.value.clone()));
        let show = self.show.or(defaults.show).map_or(DEFAULT_SHOW, |show| show.0);
        flag("--show", Some(show.to_string()));
        flag("--max-body", number(self.max_body, defaults.max_body));
        let scalar = |own: &Option<Time>, default: &Option<Time>| {
            own.as_ref().or(default.as_ref()).map(Scalar::to_string)
        };
        flag("--confidence", scalar(&self.confidence, &defaults.confidence));
        flag("--min-share", scalar(&self.min_share, &defaults.min_share));
        let timed = self.duration.is_some() || defaults.duration.is_some();
        let paced = timed || (!open && (self.rate.is_some() || defaults.rate.is_some()));
        // Rows of a fixed size are spread over the time that other rows take at least.
        let usual = || usage::duration::format(DEFAULT_MIN_TIME);
        let spread = (once && !open).then(usual);
        let of_all = defaults.min_time.as_ref().map(Scalar::to_string).or(spread);
        let min_time = self.min_time.as_ref().map(Scalar::to_string);
        flag("--min-time", min_time.or(of_all.filter(|_| !paced)));
        flag("--dependence", number(self.dependence, defaults.dependence));
        flag("--duration", scalar(&self.duration, &defaults.duration));
        flag("--wait", scalar(&self.wait, &defaults.wait).filter(|_| once));
        flag("--warmup", scalar(&self.warmup, &defaults.warmup));
        let lifetime = scalar(&self.connection_lifetime, &defaults.connection_lifetime);
        flag("--connection-lifetime", lifetime);
        flag("--timeline", scalar(&self.timeline, &defaults.timeline));
        flag("--reuse", scalar(&self.reuse, &defaults.reuse));
        flag("--rate", scalar(&self.rate, &defaults.rate));
        flag("--max-time", scalar(&self.max_time, &defaults.max_time));
        flag("--connect-timeout", scalar(&self.connect_timeout, &defaults.connect_timeout));
        let text = |own: &Option<String>, default: &Option<String>| {
            own.clone().or_else(|| default.clone())
        };
        flag("--request", text(&self.method, &defaults.method));
        flag("--data", text(&self.data, &defaults.data));
        flag("--interface", text(&self.interface, &defaults.interface));
        flag("--cacert", text(&self.cacert, &defaults.cacert));
        flag("--cert", text(&self.cert, &defaults.cert));
        flag("--key", text(&self.key, &defaults.key));
        flag("--tls-max", scalar(&self.tls_max, &defaults.tls_max));
        flag("--tls-session", text(&self.tls_session, &defaults.tls_session));
    }
}

fn of<'a>(
    source: Option<&'a SourceEntry>,
    list: impl Fn(&'a SourceEntry) -> &'a Vec<String>,
) -> &'a [String] {
    source.map_or(&[], |source| list(source).as_slice())
}
