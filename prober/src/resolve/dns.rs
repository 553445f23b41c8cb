//! DNS by hickory: one name under its search domains, both families at the same time.
//!
//! hickory's own search goes on after a server did not answer and reports only the error of the last
//! name. So the search is done here, as in resolv.conf(5).

use std::cell::RefCell;
use std::future::Future;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::pin::pin;
use std::time::Duration;

use hickory_resolver::TokioResolver;
use hickory_resolver::config::{
    ConnectionConfig, NameServerConfig, ResolveHosts, ResolverConfig, ResolverOpts,
};
use hickory_resolver::lookup::Lookup;
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::net::{DnsError, NetError};
use hickory_resolver::proto::op::ResponseCode;
use hickory_resolver::proto::rr::{Name, RecordType};

use super::config::NamesConfig;
use super::error::NamesError;
use super::family::Family;
use usage::local_limit;

/// How long to wait for the other family once one has addresses. Some networks drop AAAA queries. RFC
/// 8305 recommends 50 ms, for browsers.
const GRACE: Duration = Duration::from_millis(500);

pub(super) struct Dns {
    resolvers: Resolvers,
    servers: Vec<SocketAddr>,
    search: Vec<Name>,
    ndots: usize,
}

/// A hickory resolver sends one query for concurrent lookups of the same name, and answers later ones
/// from its cache.
enum Resolvers {
    /// One resolver for all lookups, which share queries and the cache.
    Shared(TokioResolver),
    /// A resolver without a cache for each lookup, so that each lookup sends its own queries.
    Own { config: ResolverConfig, options: ResolverOpts, idle: RefCell<Vec<TokioResolver>> },
}

impl Resolvers {
    fn new(anew: bool, config: ResolverConfig, mut options: ResolverOpts) -> Result<Self, String> {
        if anew {
            options.cache_size = 0;
        }
        let first = resolver(config.clone(), options.clone())?;
        Ok(if anew {
            Self::Own { config, options, idle: RefCell::new(vec![first]) }
        } else {
            Self::Shared(first)
        })
    }

    /// A resolver for one lookup, to be given back. With [`Resolvers::Own`], no other lookup uses it
    /// meanwhile.
    fn take(&self) -> Result<TokioResolver, Missing> {
        match self {
            Self::Shared(resolver) => Ok(resolver.clone()),
            Self::Own { config, options, idle } => match idle.borrow_mut().pop() {
                Some(resolver) => Ok(resolver),
                None => resolver(config.clone(), options.clone())
                    .map_err(|reason| Missing::Broken { reason }),
            },
        }
    }

    fn give_back(&self, resolver: TokioResolver) {
        if let Self::Own { idle, .. } = self {
            idle.borrow_mut().push(resolver);
        }
    }
}

fn resolver(config: ResolverConfig, options: ResolverOpts) -> Result<TokioResolver, String> {
    TokioResolver::builder_with_config(config, TokioRuntimeProvider::default())
        .with_options(options)
        .build()
        .map_err(|_| "the DNS settings of this system cannot be used".to_owned())
}

/// The limits of RFC 1035, 2.3.4.
const NOT_A_NAME: &str =
    "a part has at most 63 characters, a name at most 253, and no part is empty";

/// Why DNS has no address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Missing {
    BadName(String),
    NotFound { tried: Vec<String> },
    NoAddress,
    ServerFailure { code: String },
    Broken { reason: String },
    Timeout,
}

impl Dns {
    pub(super) fn new(
        config: &NamesConfig,
        (system, mut options): (ResolverConfig, ResolverOpts),
    ) -> Result<Self, NamesError> {
        let servers = match config.servers.as_slice() {
            [] => system.name_servers.clone(),
            servers => servers.iter().map(|&server| name_server(server)).collect(),
        };
        // As in glibc, the local domain counts only without a search list.
        let search = match system.search {
            search if search.is_empty() => system.domain.into_iter().collect(),
            search => search,
        };
        let ndots = options.ndots;
        // hickory repeats a UDP query within the time of one attempt, so one attempt gets all the time. A
        // second one would be for servers with wrong answers.
        options.timeout = config.timeout;
        options.attempts = 1;
        // A server that does not answer must not use up the time of the next ones.
        options.num_concurrent_reqs = servers.len().max(1);
        options.use_hosts_file = ResolveHosts::Never;
        let addresses = servers.iter().map(address).collect();
        let parts = ResolverConfig::from_parts(None, vec![], servers);
        let resolvers =
            Resolvers::new(config.anew, parts, options).map_err(NamesError::Resolver)?;
        Ok(Self { resolvers, servers: addresses, search, ndots })
    }

    pub(super) fn servers(&self) -> Vec<SocketAddr> {
        self.servers.clone()
    }

    /// The addresses of the first candidate that has any. A candidate may exist if it failed with
    /// another error than not found; if no candidate has addresses, that error is reported. A timeout
    /// ends the search.
    pub(super) async fn search(&self, name: &str, family: Family) -> Result<Vec<IpAddr>, Missing> {
        let candidates = candidates(name, &self.search, self.ndots)?;
        // If this lookup is cancelled, the resolver is dropped and not given back.
        let resolver = self.resolvers.take()?;
        let found = first_of(&resolver, &candidates, family).await;
        self.resolvers.give_back(resolver);
        found
    }
}

/// The addresses of the first candidate that has any.
async fn first_of(
    resolver: &TokioResolver,
    candidates: &[Name],
    family: Family,
) -> Result<Vec<IpAddr>, Missing> {
    let mut worst = Missing::NotFound { tried: Vec::new() };
    for candidate in candidates {
        match ask(resolver, candidate, family).await {
            Ok(addresses) => return Ok(addresses),
            Err(Missing::Timeout) => return Err(Missing::Timeout),
            Err(missing) => worst = graver(worst, missing),
        }
    }
    if let Missing::NotFound { tried } = &mut worst {
        *tried = candidates.iter().map(plain).collect();
    }
    Err(worst)
}

async fn ask(
    resolver: &TokioResolver,
    name: &Name,
    family: Family,
) -> Result<Vec<IpAddr>, Missing> {
    match family {
        Family::V4 => query(resolver, name, RecordType::A).await,
        Family::V6 => query(resolver, name, RecordType::AAAA).await,
        Family::Any => {
            let (v4, v6) =
                both(query(resolver, name, RecordType::A), query(resolver, name, RecordType::AAAA))
                    .await;
            match (v4, v6) {
                (Ok(v4), Ok(v6)) => Ok([v4, v6].concat()),
                (Ok(found), Err(_)) | (Err(_), Ok(found)) => Ok(found),
                (Err(v4), Err(v6)) => Err(graver(v4, v6)),
            }
        }
    }
}

async fn query(
    resolver: &TokioResolver,
    name: &Name,
    kind: RecordType,
) -> Result<Vec<IpAddr>, Missing> {
    let found = resolver.lookup(name.clone(), kind).await.map_err(missing)?;
    let found = addresses(&found);
    if found.is_empty() { Err(Missing::NoAddress) } else { Ok(found) }
}

/// The addresses in an answer, without CNAMEs.
pub(super) fn addresses(found: &Lookup) -> Vec<IpAddr> {
    found.answers().iter().filter_map(|record| record.data.ip_addr()).collect()
}

/// Waits for both; once one has addresses, for the other only [`GRACE`].
async fn both(
    v4: impl Future<Output = Result<Vec<IpAddr>, Missing>>,
    v6: impl Future<Output = Result<Vec<IpAddr>, Missing>>,
) -> (Result<Vec<IpAddr>, Missing>, Result<Vec<IpAddr>, Missing>) {
    let (mut v4, mut v6) = (pin!(v4), pin!(v6));
    tokio::select! {
        first = &mut v4 => { let second = after(&first, v6).await; (first, second) }
        first = &mut v6 => { let second = after(&first, v4).await; (second, first) }
    }
}

async fn after(
    first: &Result<Vec<IpAddr>, Missing>,
    second: impl Future<Output = Result<Vec<IpAddr>, Missing>>,
) -> Result<Vec<IpAddr>, Missing> {
    if first.is_err() {
        return second.await;
    }
    tokio::time::timeout(GRACE, second).await.unwrap_or(Err(Missing::Timeout))
}

/// The full names to look up, in order: with at least `ndots` dots the name itself first, with fewer
/// the search domains first, with a trailing dot only the name itself.
fn candidates(name: &str, search: &[Name], ndots: usize) -> Result<Vec<Name>, Missing> {
    let mut name =
        Name::from_str_relaxed(name).map_err(|_| Missing::BadName(NOT_A_NAME.to_owned()))?;
    if name.is_fqdn() {
        return Ok(vec![name]);
    }
    let dots = usize::from(name.num_labels()).saturating_sub(1);
    let mut all: Vec<Name> = search
        .iter()
        // A name that is too long under a search domain cannot exist there.
        .filter_map(|domain| name.clone().append_domain(domain).ok())
        .map(|mut candidate| {
            candidate.set_fqdn(true);
            candidate
        })
        .collect();
    name.set_fqdn(true);
    let place = if dots >= ndots { 0 } else { all.len() };
    all.insert(place, name);
    let mut unique: Vec<Name> = Vec::with_capacity(all.len());
    for candidate in all {
        if !unique.contains(&candidate) {
            unique.push(candidate);
        }
    }
    Ok(unique)
}

fn missing(error: NetError) -> Missing {
    match error {
        NetError::Timeout => Missing::Timeout,
        NetError::Dns(DnsError::NoRecordsFound(none)) => match none.response_code {
            ResponseCode::NXDomain => Missing::NotFound { tried: Vec::new() },
            ResponseCode::NoError => Missing::NoAddress,
            code => Missing::ServerFailure { code: mnemonic(code) },
        },
        NetError::Dns(DnsError::ResponseCode(code)) => {
            Missing::ServerFailure { code: mnemonic(code) }
        }
        NetError::Io(error) => Missing::Broken { reason: one_line(&local_limit(&error)) },
        NetError::NoConnections => Missing::Broken { reason: unconnected() },
        _ => {
            Missing::Broken { reason: "the answer of the DNS server is not understood".to_owned() }
        }
    }
}

/// Why no server could be reached. hickory does not pass the system's error on, but a socket that it
/// could not open can usually still not be opened.
fn unconnected() -> String {
    match UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)) {
        Err(error) => local_limit(&error),
        Ok(_) => "cannot connect to any server; if this process is near its limit of file \
                  descriptors, raise 'ulimit -n' or lower -c"
            .to_owned(),
    }
}

/// Which of two failures of a lookup to report: after a server failure, the name may exist; if it has
/// no address, it exists.
fn graver(first: Missing, second: Missing) -> Missing {
    let weight = |missing: &Missing| match missing {
        Missing::NotFound { .. } => 0,
        Missing::NoAddress => 1,
        Missing::BadName(_) => 2,
        Missing::Broken { .. } => 3,
        Missing::ServerFailure { .. } => 4,
        Missing::Timeout => 5,
    };
    if weight(&second) > weight(&first) { second } else { first }
}

/// The response code as dig prints it.
fn mnemonic(code: ResponseCode) -> String {
    match code {
        ResponseCode::FormErr => "FORMERR".to_owned(),
        ResponseCode::ServFail => "SERVFAIL".to_owned(),
        ResponseCode::NotImp => "NOTIMP".to_owned(),
        ResponseCode::Refused => "REFUSED".to_owned(),
        other => other.to_str().to_owned(),
    }
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn plain(name: &Name) -> String {
    let text = name.to_ascii();
    text.strip_suffix('.').map_or(text.clone(), str::to_owned)
}

/// UDP, and TCP for answers that do not fit.
fn name_server(server: SocketAddr) -> NameServerConfig {
    let connections = [ConnectionConfig::udp(), ConnectionConfig::tcp()].map(|mut connection| {
        connection.port = server.port();
        connection
    });
    NameServerConfig::new(server.ip(), true, connections.into())
}

fn address(server: &NameServerConfig) -> SocketAddr {
    let port = server.connections.first().map_or(53, |connection| connection.port);
    SocketAddr::new(server.ip, port)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tried(name: &str, search: &[&str], ndots: usize) -> Vec<String> {
        let search: Vec<_> =
            search.iter().map(|domain| Name::from_str_relaxed(domain).unwrap()).collect();
        candidates(name, &search, ndots).unwrap().iter().map(Name::to_ascii).collect()
    }

    #[test]
    fn search_domains_come_before_the_bare_name_below_ndots_and_after_it_from_there() {
        let kubernetes = ["a.svc.cluster.local", "svc.cluster.local."];
        assert_eq!(
            tried("echo1", &kubernetes, 5),
            ["echo1.a.svc.cluster.local.", "echo1.svc.cluster.local.", "echo1."]
        );
        assert_eq!(tried("echo1.b", &["x"], 2), ["echo1.b.x.", "echo1.b."]);
        assert_eq!(tried("echo1.b", &["x"], 1), ["echo1.b.", "echo1.b.x."]);
        assert_eq!(tried("echo1", &["x"], 0), ["echo1.", "echo1.x."]);
        assert_eq!(tried("echo1.", &["x"], 5), ["echo1."]);
        assert_eq!(tried("echo1", &[], 5), ["echo1."]);
        assert_eq!(tried("echo1", &["x", ".", "x"], 5), ["echo1.x.", "echo1."]);
    }

    #[test]
    fn names_that_dns_cannot_hold_are_refused() {
        let long = "a".repeat(64);
        assert!(matches!(candidates(&long, &[], 1), Err(Missing::BadName(_))));
        let near_the_limit = ["a".repeat(60).as_str(); 4].join(".");
        assert_eq!(tried(&near_the_limit, &["a-search-domain.test"], 9).len(), 1);
    }

    #[test]
    fn the_failure_that_says_least_about_the_name_is_reported() {
        let not_found = || Missing::NotFound { tried: vec![] };
        let failed = || Missing::ServerFailure { code: "SERVFAIL".into() };
        assert_eq!(graver(not_found(), Missing::NoAddress), Missing::NoAddress);
        assert_eq!(graver(failed(), not_found()), failed());
        assert_eq!(graver(failed(), Missing::Timeout), Missing::Timeout);
    }
}
