//! Advice on failures: for each group of failures that are the same, the cause that its status code
//! and text show, one remedy, and one command. What the text leaves open is said to be open. Pure.

use std::net::IpAddr;

use url::Url;

use crate::plan::target::is_shortened;
use crate::report::{Row, shell_word};
use crate::tally::outcome::{Code, FailureKind};
use crate::tally::{FailureGroup, Tally};
use crate::units::count;

/// The advice on a group of failures of a row.
pub(super) fn of(group: &FailureGroup, row: &Row, tally: &Tally) -> Option<String> {
    let group = Group { all: group, row, tally };
    if group.all.copy {
        return Some(group.copied());
    }
    match group.all.kind {
        FailureKind::Dns => Some(
            "The host name does not resolve. Run prober again with its address: --resolve \
             HOST:PORT:ADDRESS"
                .to_owned(),
        ),
        FailureKind::Unidentified => Some(group.unidentified()),
        FailureKind::Status => group.status(),
        FailureKind::Tls => group.tls(),
        FailureKind::Reset | FailureKind::Protocol => group.broken(),
        FailureKind::Connect | FailureKind::Timeout => group.unreachable(),
    }
}

/// Whether an Envoy could not reach an endpoint.
pub(super) fn is_unreachable(group: &FailureGroup) -> bool {
    let texts = ["upstream connect error", "no healthy upstream"];
    group.kind == FailureKind::Status && texts.iter().any(|text| group.what.contains(text))
}

/// A run of so many seconds shows what a rate limit lets through.
const LONG_ENOUGH: f64 = 10.0;

struct Group<'a> {
    all: &'a FailureGroup,
    row: &'a Row,
    tally: &'a Tally,
}

impl Group<'_> {
    fn says(&self, text: &str) -> bool {
        self.all.what.contains(text)
    }

    /// The URL, quoted for a shell if it needs to be, and the flag without which curl and prober would
    /// send another path.
    fn url(&self) -> String {
        let as_is = if is_shortened(&self.row.url) { "--path-as-is " } else { "" };
        format!("{as_is}{}", shell_word(&self.row.url))
    }

    /// `run 'curl -i URL'`.
    fn curl(&self, flag: &str) -> String {
        run(&format!("curl {flag} {}", self.url()))
    }

    /// The URL with another scheme.
    fn with_scheme(&self, scheme: &str) -> String {
        let rest = self.row.url.split_once("://").map_or(self.row.url.as_str(), |(_, rest)| rest);
        format!("{scheme}://{rest}")
    }

    fn is_https(&self) -> bool {
        self.row.url.starts_with("https:")
    }

    fn host(&self) -> Option<String> {
        Url::parse(&self.row.url).ok()?.host_str().map(str::to_owned)
    }

    fn copied(&self) -> String {
        format!(
            "A cache or a mirror on the path gives answers of other requests, which prove nothing \
             about the backends. Look at its response headers, and let it pass these requests on: \
             {}",
            self.curl("-i")
        )
    }

    fn unidentified(&self) -> String {
        if self.says(", but the body ") {
            return "The answers are compressed in a way that prober does not read. Run prober again \
                    and ask for plain ones: -H 'Accept-Encoding: identity'"
                .to_owned();
        }
        if self.says("--identify") {
            return format!(
                "The answers do not name a pod as --identify expects. Look at one answer: {}",
                self.curl("-i")
            );
        }
        if self.says("no grpc-status") {
            return "The answers do not come from a gRPC service. Check the path and the protocol of \
                    the target, or run prober again without --grpc"
                .to_owned();
        }
        format!(
            "The answers do not come from an echo. Check the path of the target and the routes of \
             the ingress: {}. To test another service, add --identify",
            self.curl("-i")
        )
    }

    /// What a server says about plain HTTP on a port for TLS: nginx, Go, Apache, Tomcat.
    fn is_plain_to_tls(&self) -> bool {
        let texts = ["HTTPS port", "HTTP request to an HTTPS", "SSL-enabled", "requires TLS"];
        !self.is_https() && texts.iter().any(|text| self.says(text))
    }

    fn status(&self) -> Option<String> {
        // An injected fault may have any status code.
        if self.says("fault filter abort") {
            return Some(
                "An Envoy injects these errors (fault.abort in a VirtualService). See where: run \
                 'kubectl get virtualservice -A -o yaml'"
                    .to_owned(),
            );
        }
        let text = match self.all.code? {
            Code::Grpc(code) => return self.grpc(code),
            Code::Http(code) => match code {
                304 => return None,
                300..400 => self.redirected(),
                401 => format!(
                    "The target asks for credentials. Run prober again with them: prober {} -H \
                     'Authorization: Bearer TOKEN'",
                    self.url()
                ),
                403 => self.forbidden(),
                404 => self.not_found(),
                421 => self.misdirected(),
                426 => format!(
                    "The server requires another protocol, which its header Upgrade names: {}",
                    self.curl("-i")
                ),
                400 if self.is_plain_to_tls() => self.needs_tls(),
                429 => self.rate_limited(),
                502..=504 => self.unavailable(code),
                500.. => self.errors(),
                _ => self.refused(),
            },
        };
        Some(text)
    }

    fn grpc(&self, code: u16) -> Option<String> {
        Some(match code {
            12 => {
                "The server does not have this gRPC method. Check that the target is an echo, or \
                   ask its health service: run prober again with --grpc=health"
                    .to_owned()
            }
            14 => self.unavailable(503),
            7 => self.forbidden(),
            16 => format!(
                "The target asks for credentials. Run prober again with them: prober {} --grpc -H \
                 'Authorization: Bearer TOKEN'",
                self.url()
            ),
            8 => self.rate_limited(),
            _ => self.errors(),
        })
    }

    /// Where a redirect leads.
    fn location(&self) -> Option<Url> {
        let (_, rest) = self.all.what.split_once(" to ")?;
        let given = rest.split_once(" (redirects").map_or(rest, |(given, _)| given);
        Url::parse(&self.row.url).ok()?.join(given).ok()
    }

    fn redirected(&self) -> String {
        let Some(location) = self.location() else {
            return format!(
                "The target redirects, and prober does not follow redirects. See where it leads: {}",
                self.curl("-i")
            );
        };
        let host = location.host_str().unwrap_or_default().to_owned();
        let same = self.host().as_deref() == Some(host.as_str());
        if same && location.scheme() == "https" && !self.is_https() {
            return format!(
                "The target redirects to https, and prober does not follow redirects. Probe the https \
                 URL: {}",
                probe(location.as_str())
            );
        }
        if location.as_str() == self.row.url {
            return format!(
                "The target redirects to its own URL, which often sets a cookie first. See what it asks \
                 for: {}",
                self.curl("-i")
            );
        }
        if is_sign_in(&location) {
            return format!(
                "The target redirects to a sign-in page at {host}. Run prober again with credentials \
                 that it accepts: prober {} -H 'Authorization: Bearer TOKEN' or -H 'Cookie: NAME=VALUE'",
                self.url()
            );
        }
        format!(
            "The target redirects, and prober does not follow redirects. Probe where it leads: {}",
            probe(location.as_str())
        )
    }

    fn forbidden(&self) -> String {
        if self.says("RBAC") {
            return "An Istio AuthorizationPolicy refuses the requests (RBAC). See which one applies to \
                    this source: run 'kubectl get authorizationpolicy -A'"
                .to_owned();
        }
        self.refused()
    }

    fn refused(&self) -> String {
        format!("The server refuses these requests. See what it says: {}", self.curl("-i"))
    }

    fn not_found(&self) -> String {
        if self.says("envoy") && self.says("no body") {
            return "An Envoy has no route for this host name and path, or the application has no such \
                    page. Check the hosts of the Gateway and the VirtualService: run 'istioctl analyze -A'"
                .to_owned();
        }
        format!(
            "No route or page matches this host name and path. Check the path of the target and the \
             hosts of the Gateway and the VirtualService: {}",
            self.curl("-i")
        )
    }

    /// The name in the TLS handshake and the Host header differ.
    fn two_names(&self) -> Option<String> {
        let (host, header) = (self.host()?, self.row.host.as_deref()?);
        let address = host.trim_matches(['[', ']']).parse::<IpAddr>();
        let sent = match address {
            Ok(_) => "no server name (SNI)".to_owned(),
            Err(_) => format!("the server name (SNI) {host}"),
        };
        let (name, port) = match header.rsplit_once(':') {
            Some((name, port)) => (name, port.parse().ok()?),
            None => (header, self.port()),
        };
        (name != host).then(|| {
            format!(
                "TLS sends {sent}, but the Host header is {header}. Write the name in the URL and the \
                 address in --resolve: prober https://{} --resolve '{name}:{port}:ADDRESS'",
                shell_word(header)
            )
        })
    }

    fn misdirected(&self) -> String {
        self.two_names().unwrap_or_else(|| {
            format!(
                "The server does not serve this host name on this connection. Compare the names of \
                 its certificate and of the Gateway: {}",
                self.curl("-v")
            )
        })
    }

    fn rate_limited(&self) -> String {
        let by = if self.says("local_rate_limited") {
            "An Envoy's local rate limit"
        } else {
            "A rate limit"
        };
        // A short run may have spent what the limit had saved up.
        let seconds = self.tally.elapsed.as_secs_f64();
        let rate = match seconds >= LONG_ENOUGH {
            true => (self.tally.answers() as f64 / seconds / 2.0).floor().max(1.0),
            false => 1.0,
        };
        format!(
            "{by} refuses requests. The shares are those of the requests that it let through. Send \
             fewer requests: prober {} --rate {rate} -d 60s",
            self.url()
        )
    }

    fn unavailable(&self, code: u16) -> String {
        let endpoints = "run 'istioctl proxy-config endpoint POD' with a pod of the source";
        if self.says("no healthy upstream") {
            format!(
                "An Envoy has no healthy endpoint. Check that the application runs in every \
                 cluster: {endpoints}"
            )
        } else if self.says("CERTIFICATE_VERIFY_FAILED") {
            "Envoys do not trust each other's certificates. Compare the root certificates of the \
             clusters: run 'istioctl proxy-config secret POD' with a pod of each cluster"
                .to_owned()
        } else if self.says("WRONG_VERSION_NUMBER") {
            "An Envoy speaks TLS to a port that does not. Check the tls mode of the DestinationRule and \
             the name of the service's port: run 'kubectl get destinationrule -A -o yaml'"
                .to_owned()
        } else if self.says("reset reason: overflow") {
            "A circuit breaker of an Envoy is open: too many connections or requests at once. Send \
             fewer at once (-c), or raise connectionPool: run 'kubectl get destinationrule -A -o yaml'"
                .to_owned()
        } else if self.says("reset reason: protocol error") {
            "An Envoy cannot understand its upstream: for instance, it speaks HTTP/2 to an \
             HTTP/1 application, or the response headers are too large. Check the name and appProtocol \
             of the service's port: run 'kubectl get service -o yaml'"
                .to_owned()
        } else if self.says("upstream request timeout") || self.says("stream timeout") {
            "The answer takes longer than the route allows. Check the timeout: run 'kubectl get \
             virtualservice -A -o yaml'"
                .to_owned()
        } else if self.says("upstream connect error") {
            format!(
                "An Envoy cannot reach an endpoint. Check that the application runs and listens in every \
                 cluster: {endpoints}"
            )
        } else if code == 504 {
            format!(
                "A gateway on the path gave up waiting for its upstream. Find out which backend is slow: \
                 {}",
                self.curl("-i")
            )
        } else if code == 502 {
            format!(
                "A gateway on the path got no valid response from its upstream. See which server says \
                 so: {}",
                self.curl("-i")
            )
        } else {
            self.errors()
        }
    }

    /// Errors of the application, with the backends that they name.
    fn errors(&self) -> String {
        let mut failing: Vec<_> = self.tally.failed_by.iter().collect();
        failing.sort_by_key(|(_, failed)| std::cmp::Reverse(**failed));
        let Some((who, failed)) = failing.first().copied() else {
            return format!(
                "The server answers with errors that name no pod. See what it says: {}",
                self.curl("-i")
            );
        };
        let answers = self.tally.backends.get(who).map_or(0, |backend| backend.answers);
        let others = match failing.len() - 1 {
            0 => String::new(),
            more => format!(", and {} failed some", count(more as u64, "other pod")),
        };
        let namespace = who.namespace.as_deref().map(|name| format!("-n {} ", shell_word(name)));
        // With --identify pod=address the pod is not known by name.
        let known = who.pod.parse::<IpAddr>().is_err();
        let logs =
            format!("kubectl logs {}{}", namespace.unwrap_or_default(), shell_word(&who.pod));
        let log = if known { format!(": {}", run(&logs)) } else { String::new() };
        format!(
            "{} in {} failed {failed} of its {}{others}. Look at its log{}",
            who.pod,
            who.cluster,
            count(answers + failed, "request"),
            log
        )
    }

    fn needs_tls(&self) -> String {
        format!(
            "The server expects TLS on this port. Probe the https URL: {}",
            probe(&self.with_scheme("https"))
        )
    }

    /// A failure that names its own remedy.
    fn wants_certificate(&self) -> bool {
        self.says("client certificate")
    }

    fn tls(&self) -> Option<String> {
        if self.wants_certificate() {
            return None;
        }
        let ended = ["closed the connection", "reset", "unrecognized_name", "host of the URL"];
        if ended.iter().any(|text| self.says(text))
            && let Some(advice) = self.two_names()
        {
            return Some(advice);
        }
        if self.says("does not speak TLS") {
            return Some(format!(
                "The server does not speak TLS on this port. Probe the http URL: {}",
                probe(&self.with_scheme("http"))
            ));
        }
        if self.says("the server's certificate expired") {
            let host = self.host().unwrap_or_default();
            return Some(format!(
                "The server's certificate has expired, so that no client trusts it. Renew it; see its \
                 dates: run 'openssl s_client -connect {host}:{} -servername {host}'",
                self.port()
            ));
        }
        if self.says("HTTP version asked for") {
            let other = if self.row.protocol.is_http2() { "--http1.1" } else { "--http2" };
            return Some(format!(
                "The server does not offer this HTTP version. Run prober again with the other one: \
                 prober {} {other}",
                self.url()
            ));
        }
        let no_name = self.host()?.trim_matches(['[', ']']).parse::<IpAddr>().is_ok();
        let closed = self.says("closed the connection") || self.says("reset");
        if closed && no_name {
            return Some(format!(
                "The URL has an address, so that TLS sends no server name (SNI), and the server may need \
                 one. Write the name in the URL: prober https://NAME --resolve 'NAME:{}:ADDRESS'",
                self.port()
            ));
        }
        closed.then(|| {
            format!(
                "The server ended the TLS handshake. It may not know this server name (SNI), or not speak \
                 TLS on this port: {}",
                self.curl("-v")
            )
        })
    }

    fn port(&self) -> u16 {
        let url = Url::parse(&self.row.url).ok();
        url.and_then(|url| url.port_or_known_default()).unwrap_or(443)
    }

    fn broken(&self) -> Option<String> {
        if self.says("TLS alert") {
            return Some(self.needs_tls());
        }
        if self.says("HTTP/2 only") {
            return Some(format!(
                "The server speaks only HTTP/2 on this port. Run prober again with it: prober {} \
                 --http2-prior-knowledge",
                self.url()
            ));
        }
        if self.says("is not HTTP/2") && self.tally.answers() == 0 {
            return Some(format!(
                "The server does not speak HTTP/2 on this port. Run prober again with HTTP/1.1: prober \
                 {} --http1.1",
                self.url()
            ));
        }
        if self.says("not HTTP: the answer begins with") {
            return Some(format!(
                "The server does not speak HTTP on this port. Check the port of the target: {}",
                self.curl("-v")
            ));
        }
        if self.says("keep-alive timeout may be that short") {
            return Some(format!(
                "The server may close connections that are idle for that long. See whether fresh \
                 connections fail, too: prober {} --reuse never",
                self.url()
            ));
        }
        let closed = self.says("closed before an answer") || self.says("reset before an answer");
        (closed && !self.wants_certificate() && self.tally.answers() == 0).then(|| {
            if self.row.protocol.is_http2() {
                return format!(
                    "The server ends every connection before it answers. It may not speak HTTP/2: run \
                     prober again with HTTP/1.1: prober {} --http1.1",
                    self.url()
                );
            }
            let tls = if self.is_https() { "" } else { "TLS (https://), " };
            format!(
                "The server ends every connection before it answers. It may expect {tls}a header of the \
                 PROXY protocol (--haproxy-protocol), or mutual TLS: {}",
                self.curl("-v")
            )
        })
    }

    fn unreachable(&self) -> Option<String> {
        let slow = ["no response headers", "the body did not end"];
        if slow.iter().any(|text| self.says(text)) {
            return Some(format!(
                "The server accepts connections, but answers too late or not at all. Allow more time \
                 (--max-time), or find out what it waits for: {}",
                self.curl("-v")
            ));
        }
        if self.says("no stream was free") {
            return Some(format!(
                "The server allows too few HTTP/2 streams. Use more connections (-c) with fewer streams, \
                 or HTTP/1.1: prober {} --http1.1",
                self.url()
            ));
        }
        if self.says("sent no HTTP/2 settings") {
            return Some(format!(
                "The server accepts connections, but does not begin to speak HTTP/2. Run prober again \
                 with HTTP/1.1: prober {} --http1.1",
                self.url()
            ));
        }
        (self.tally.answers() == 0).then(|| {
            format!(
                "Nothing answers at this address. Check that the service runs there and that no \
                 firewall blocks it: {}",
                self.curl("-v")
            )
        })
    }
}

/// `run 'prober URL'`.
fn probe(url: &str) -> String {
    run(&format!("prober {}", shell_word(url)))
}

/// A command in a sentence: `run 'certs show'`, or after a colon if it has quotes itself.
fn run(command: &str) -> String {
    match command.contains(['\'', '"']) {
        true => format!("run: {command}"),
        false => format!("run '{command}'"),
    }
}

/// Whether a URL looks like the sign-in page of an identity provider, by whole words of its host and
/// path, or by what OAuth 2.0 and SAML put into its query.
fn is_sign_in(location: &Url) -> bool {
    const WORDS: [&str; 12] = [
        "login",
        "signin",
        "sign_in",
        "logon",
        "oauth",
        "oauth2",
        "oidc",
        "auth",
        "authorize",
        "sso",
        "saml",
        "saml2",
    ];
    let query = location.query().unwrap_or_default();
    let place = format!("{}{}", location.host_str().unwrap_or_default(), location.path());
    let place = place.to_ascii_lowercase().replace("sign-in", "signin");
    let mut words = place.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    words.any(|word| WORDS.contains(&word))
        || ["client_id=", "SAMLRequest="].iter().any(|key| query.contains(key))
}

#[cfg(test)]
mod tests;
