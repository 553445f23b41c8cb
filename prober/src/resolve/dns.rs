//! DNS: one name under its search domains, both families at the same time, each question to the servers
//! in order. A candidate or a server that is silent does not keep the next one from being asked, and
//! its answer still counts when it comes late.

use std::future::Future;
use std::net::{IpAddr, SocketAddr};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use futures_util::FutureExt as _;
use hickory_resolver::proto::op::{Message, Query};
use hickory_resolver::proto::rr::{Name, RecordType};

use super::answer::{self, Says};
use super::attempts::{attempts, total, within};
use super::cache::{Cache, Fresh};
use super::config::NamesConfig;
use super::error::ServerFault;
use super::exchange::{self, NoAnswer};
use super::family::Family;
use super::resolv_conf::{Options, ResolvConf};
use crate::clock;
use crate::race::staggered;

/// How long to wait for the other family once one has addresses, or says that the name does not exist.
/// Some networks drop AAAA queries. RFC 8305 recommends 50 ms, for browsers.
const GRACE: Duration = Duration::from_millis(500);

/// No answer is used longer.
const LONGEST_TTL: u32 = 24 * 60 * 60;

/// How many aliases are followed that a server does not look up itself.
const MOST_ALIASES: usize = 8;

/// With `rotate`, where the next lookup of the process starts: as in glibc, not the next one of a
/// thread, since the first ones would all ask the same server.
static NEXT_FIRST: AtomicUsize = AtomicUsize::new(0);

pub(super) struct Dns {
    client: Arc<Client>,
    search: Vec<Name>,
    /// `None` if each lookup sends its own queries.
    cache: Option<Cache<Result<Vec<IpAddr>, Missing>>>,
}

/// What all lookups have in common.
struct Client {
    servers: Vec<SocketAddr>,
    options: Options,
    family: Family,
    /// The time limit of one lookup.
    timeout: Duration,
}

/// The limits of RFC 1035, 2.3.4.
const NOT_A_NAME: &str =
    "a part has at most 63 characters, a name at most 253, and no part is empty";

/// Why DNS has no address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Missing {
    NotFound {
        tried: Vec<String>,
    },
    NoAddress,
    BadName(String),
    Aliases,
    /// No server gave an answer that counts.
    Unanswered {
        /// The full name, if the servers answered for another candidate.
        asked: Option<String>,
        servers: Vec<(SocketAddr, ServerFault)>,
        within: Duration,
    },
    /// This machine could not send a query.
    Local(String),
}

impl Missing {
    /// What the servers did, if none answered.
    fn faults(&self) -> Option<&[(SocketAddr, ServerFault)]> {
        match self {
            Self::Unanswered { servers, .. } => Some(servers),
            _ => None,
        }
    }
}

type Looked = Result<Fresh<Vec<IpAddr>>, Fresh<Missing>>;

impl Dns {
    /// `local_domain` is searched if the file names no domain.
    pub(super) fn new(
        config: &NamesConfig,
        system: ResolvConf,
        local_domain: Option<Name>,
    ) -> Self {
        let ResolvConf { servers, search, options } = system;
        let servers = if config.servers.is_empty() { servers } else { config.servers.clone() };
        let search = search.unwrap_or_else(|| local_domain.into_iter().collect());
        // Who asks for IPv6 alone gets it.
        let family = match config.family {
            Family::Any if options.no_aaaa => Family::V4,
            family => family,
        };
        let client = Client { servers, options, family, timeout: config.timeout };
        let cache = (!config.anew).then(Cache::default);
        Self { client: Arc::new(client), search, cache }
    }

    pub(super) fn servers(&self) -> &[SocketAddr] {
        &self.client.servers
    }

    /// The addresses of the first candidate that has any. A candidate may exist if it failed with
    /// another error than not found; if no candidate has addresses, that error is reported.
    pub(super) async fn search(&self, name: &str) -> Result<Vec<IpAddr>, Missing> {
        let look_up = || {
            let candidates = candidates(name, &self.search, self.client.options.ndots);
            let client = Arc::clone(&self.client);
            let look_up = async move {
                match candidates {
                    Ok(candidates) => Lookup::new(&client).first_of(&candidates).await,
                    Err(bad) => Fresh { value: Err(bad), lifetime: Duration::ZERO },
                }
            };
            look_up.boxed()
        };
        match &self.cache {
            Some(cache) => cache.get(name, look_up).await,
            None => look_up().await.value,
        }
    }
}

/// One lookup.
struct Lookup<'a> {
    client: &'a Client,
    /// The server that is asked first.
    first: usize,
    /// When its time is over.
    end: Instant,
}

impl<'a> Lookup<'a> {
    fn new(client: &'a Client) -> Self {
        let first = match client.servers.len() {
            servers @ 1.. if client.options.rotate => {
                NEXT_FIRST.fetch_add(1, Ordering::Relaxed) % servers
            }
            _ => 0,
        };
        Self { client, first, end: clock::now() + client.timeout }
    }

    fn left(&self) -> Duration {
        self.end.saturating_duration_since(clock::now())
    }

    /// The addresses of the first candidate that has any. Each candidate has its share of the time
    /// before the next one is tried, too.
    async fn first_of(&self, candidates: &[Name]) -> Fresh<Result<Vec<IpAddr>, Missing>> {
        let tries = (0..candidates.len()).map(|n| {
            let others = u32::try_from(candidates.len() - n).unwrap_or(u32::MAX);
            let share = self.left() / others;
            (self.ask(&candidates[n], share), share)
        });
        // Each try ends by itself when the time is over, and says why.
        let raced = staggered(self.client.timeout + GRACE, tries).await;
        if let Some((_, Fresh { value, lifetime })) = raced.won {
            return Fresh { value: Ok(value), lifetime };
        }
        let mut failed = raced.failed;
        failed.sort_by_key(|(n, _)| *n);
        // Which candidate it was says something only if others fared differently.
        let mut faults = failed.iter().map(|(_, missing)| missing.value.faults());
        let first = faults.next().flatten();
        let same = faults.all(|others| others == first);
        let worst = failed.into_iter().map(|(_, missing)| missing).reduce(graver);
        let none = || Fresh { value: Missing::NoAddress, lifetime: Duration::ZERO };
        let Fresh { mut value, lifetime } = worst.unwrap_or_else(none);
        match &mut value {
            Missing::NotFound { tried } => *tried = candidates.iter().map(plain).collect(),
            Missing::Unanswered { asked, .. } if same => *asked = None,
            _ => {}
        }
        Fresh { value: Err(value), lifetime }
    }

    async fn ask(&self, name: &Name, share: Duration) -> Looked {
        let query = |kind| self.query(name, kind, share);
        match self.client.family {
            Family::V4 => query(RecordType::A).await,
            Family::V6 => query(RecordType::AAAA).await,
            Family::Any => both(query(RecordType::A), query(RecordType::AAAA)).await,
        }
    }

    /// The addresses of one family. Aliases are followed.
    async fn query(&self, name: &Name, kind: RecordType, share: Duration) -> Looked {
        let missing = |value, lifetime| Err(Fresh { value, lifetime });
        let (mut name, mut most) = (name.clone(), LONGEST_TTL);
        for _ in 0..=MOST_ALIASES {
            let question = Query::query(name.clone(), kind);
            let answer = match self.ask_servers(&question, share).await {
                Ok(answer) => answer,
                Err(why) => return missing(why, Duration::ZERO),
            };
            let lifetime = |seconds: u32| Duration::from_secs(seconds.min(most).into());
            match answer::read(&answer, &name, kind) {
                Says::Addresses(value, ttl) => return Ok(Fresh { value, lifetime: lifetime(ttl) }),
                Says::NoAddress(ttl) => return missing(Missing::NoAddress, lifetime(ttl)),
                Says::NoName(ttl) => {
                    return missing(Missing::NotFound { tried: Vec::new() }, lifetime(ttl));
                }
                Says::Alias(target, ttl) => (name, most) = (target, most.min(ttl)),
            }
        }
        missing(Missing::Aliases, Duration::ZERO)
    }

    /// Asks one server after the other, as often as configured. `share` is the time in which all of
    /// them are to be asked.
    async fn ask_servers(&self, question: &Query, share: Duration) -> Result<Message, Missing> {
        let Client { servers, options, timeout, .. } = self.client;
        let all = attempts(servers.len(), self.first, options);
        let (configured, left) = (total(&all), self.left());
        let (limit, told) =
            if configured < left { (configured, configured) } else { (left, *timeout) };
        let plan = within(limit.min(share), all);
        let one = async |server: usize| {
            match exchange::ask(servers[server], question, options).await {
                Ok(answer) => Ok(Ok(answer)),
                // The next server would not get the question either.
                Err(NoAnswer::Local(why)) => Ok(Err(Missing::Local(why))),
                Err(NoAnswer::Server(fault)) => Err(fault),
            }
        };
        let tries = (0..plan.len()).map(|n| (one(plan[n].server), plan[n].wait));
        let raced = staggered(limit, tries).await;
        if let Some((_, decided)) = raced.won {
            return decided;
        }
        let mut faults: Vec<(usize, ServerFault)> = Vec::new();
        for (place, asked) in plan.iter().take(raced.started).enumerate() {
            let failed = raced.failed.iter().find(|(failed, _)| *failed == place);
            let known = faults.iter_mut().find(|(server, _)| *server == asked.server);
            match (failed, known) {
                // A later silence does not hide what the server said.
                (Some((_, fault)), Some(known)) => known.1 = fault.clone(),
                (None, Some(_)) => {}
                (Some((_, fault)), None) => faults.push((asked.server, fault.clone())),
                (None, None) => faults.push((asked.server, ServerFault::Silent)),
            }
        }
        if faults.iter().all(|(_, fault)| *fault == ServerFault::Lame) {
            return Err(Missing::NoAddress);
        }
        let servers = faults.into_iter().map(|(server, fault)| (servers[server], fault)).collect();
        Err(Missing::Unanswered { asked: Some(plain(question.name())), servers, within: told })
    }
}

/// Waits for both; once one is enough, for the other only [`GRACE`]. The families are in no order.
async fn both(v4: impl Future<Output = Looked>, v6: impl Future<Output = Looked>) -> Looked {
    let (mut v4, mut v6) = (pin!(v4), pin!(v6));
    let (first, second) = tokio::select! {
        first = &mut v4 => { let second = after(&first, v6).await; (first, second) }
        first = &mut v6 => { let second = after(&first, v4).await; (first, second) }
    };
    match (first, second) {
        (Ok(one), Some(Ok(other))) => Ok(Fresh {
            value: [one.value, other.value].concat(),
            lifetime: one.lifetime.min(other.lifetime),
        }),
        (Ok(found), _) | (_, Some(Ok(found))) => Ok(found),
        (Err(one), Some(Err(other))) => Err(graver(one, other)),
        (Err(one), None) => Err(one),
    }
}

async fn after(first: &Looked, second: impl Future<Output = Looked>) -> Option<Looked> {
    let enough = match first {
        Ok(_) => true,
        Err(missing) => matches!(missing.value, Missing::NotFound { .. }),
    };
    if !enough {
        return Some(second.await);
    }
    tokio::time::timeout(GRACE, second).await.ok()
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

/// Which of two failures of a lookup to report: if no server answered, the name may exist; if it has no
/// address, it exists. Both hold only as long as the shorter of them.
fn graver(first: Fresh<Missing>, second: Fresh<Missing>) -> Fresh<Missing> {
    let weight = |missing: &Missing| match missing {
        Missing::NotFound { .. } => 0,
        Missing::NoAddress => 1,
        Missing::BadName(_) => 2,
        Missing::Aliases => 3,
        Missing::Unanswered { .. } => 4,
        Missing::Local(_) => 5,
    };
    let lifetime = first.lifetime.min(second.lifetime);
    let graver = if weight(&second.value) > weight(&first.value) { second } else { first };
    Fresh { value: graver.value, lifetime }
}

/// Without the dot at the end.
fn plain(name: &Name) -> String {
    let text = name.to_ascii();
    text.strip_suffix('.').map_or(text.clone(), str::to_owned)
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
        let of = |value, seconds| Fresh { value, lifetime: Duration::from_secs(seconds) };
        let not_found = || Missing::NotFound { tried: vec![] };
        let failed =
            || Missing::Unanswered { asked: None, servers: vec![], within: Duration::from_secs(5) };
        assert_eq!(
            graver(of(not_found(), 5), of(Missing::NoAddress, 9)),
            of(Missing::NoAddress, 5)
        );
        assert_eq!(graver(of(failed(), 0), of(not_found(), 9)), of(failed(), 0));
        assert_eq!(graver(of(not_found(), 9), of(failed(), 0)), of(failed(), 0));
    }
}
