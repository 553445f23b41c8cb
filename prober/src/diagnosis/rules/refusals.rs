//! Requests that an Envoy refused, gave up or could not finish: limits, timeouts, filters, routes,
//! invalid responses. Each Envoy answers for what it counted itself; the words of responses say how
//! many requests of this run are concerned.

mod kinds;

use super::KEEP_COUNTERS;
use super::case::Case;
use super::erring::Erring;
use super::said::Said;
use super::servers::error_responses;
use crate::diagnosis::evidence::{Reading, Role, Upstream};
use crate::diagnosis::finding::{Cause, Effect, Explanation, Finding, Layer};
use crate::units::count;
use kinds::{Counted, KINDS, Kind};

/// The failures by their words that no Envoy's counter has accounted for yet.
struct Open(Vec<(Said, u64)>);

impl Open {
    fn of(case: &Case<'_>) -> Self {
        Self(case.tally.failures.iter().map(|group| (Said::of(group), group.count)).collect())
    }

    fn count(&self, said: Said) -> u64 {
        self.0.iter().filter(|(own, _)| *own == said).map(|(_, count)| count).sum()
    }

    fn of_applications(&self) -> u64 {
        let own = self.0.iter().filter(|(said, _)| said.may_be_of_application());
        own.map(|(_, count)| count).sum()
    }

    /// Takes at most so many.
    fn take(&mut self, said: Said, most: u64) -> u64 {
        let mut taken = 0;
        for (_, count) in self.0.iter_mut().filter(|(own, _)| *own == said) {
            let part = (*count).min(most - taken);
            *count -= part;
            taken += part;
        }
        taken
    }
}

/// Whom a counter belongs to.
#[derive(Clone, Copy)]
struct Place<'a> {
    reading: &'a Reading,
    /// `None` for the counters of filters.
    upstream: Option<&'a Upstream>,
}

impl Place<'_> {
    fn grew(&self, kind: &Kind) -> u64 {
        match (kind.counted, self.upstream) {
            (Counted::Cluster(own, _), Some(upstream)) => own(upstream),
            (Counted::Filter(end), None) => self.reading.filtered(end),
            _ => 0,
        }
    }

    fn layer(&self, kind: &Kind) -> Layer {
        match self.reading.role {
            Role::Client if kind.of_server => Layer::Server,
            Role::Client => Layer::ClientBalancer,
            Role::Gateway => Layer::Gateway,
            Role::Server => Layer::Server,
        }
    }
}

/// The failed requests that no Envoy that was read refused.
pub(super) struct Rest {
    /// The error responses among them that may be of applications.
    pub(super) of_applications: u64,
    /// Those of which is known what happened, but not where.
    pub(super) placeless: u64,
}

/// Looks for each kind at each Envoy that was read, then says what is left.
pub(super) fn refused(case: &Case<'_>, found: &mut Explanation) -> Rest {
    let mut open = Open::of(case);
    let mut placeless = 0;
    for kind in &KINDS {
        let none_failed = kind.said.is_none_or(|said| open.count(said) == 0);
        for place in places(case, kind) {
            let failed = attributed(case, kind, &place, &mut open);
            let tries = place.upstream.map_or(0, |u| u.growth("upstream_rq_retry"));
            let retried = place.grew(kind).min(tries).min(case.tally.retried());
            let (effect, requests) = match failed {
                0 if none_failed && kind.retried => (Effect::Moved, retried),
                failed => (Effect::Failed, failed),
            };
            let elsewhere = kind.elsewhere && place.reading.role == Role::Client;
            if requests > 0 && !elsewhere {
                found.findings.push(counted(case, kind, &place, (effect, requests)));
            }
        }
        placeless += left(case, kind, &open, found);
    }
    Rest { of_applications: open.of_applications(), placeless }
}

/// The Envoys that may have counted such a kind, the client's first.
fn places<'a>(case: &Case<'a>, kind: &Kind) -> Vec<Place<'a>> {
    let readings = case.client.into_iter().chain(case.others.iter().copied());
    match kind.counted {
        Counted::Filter(_) => readings.map(|reading| Place { reading, upstream: None }).collect(),
        Counted::Cluster(..) => {
            let each = |reading: &'a Reading| {
                let upstreams = reading.upstreams.iter();
                upstreams.map(move |upstream| Place { reading, upstream: Some(upstream) })
            };
            readings.flat_map(each).collect()
        }
    }
}

/// How many failures of this kind a place accounts for, at most as many as it counted.
fn attributed(case: &Case<'_>, kind: &Kind, place: &Place<'_>, open: &mut Open) -> u64 {
    let grew = place.grew(kind);
    let certain = kind.said.map_or(0, |said| open.take(said, grew));
    let mut more = grew - certain;
    if kind.cause == Cause::UpstreamProtocolError {
        // A connection that the other side closed too early is also an invalid response.
        more = more.saturating_sub(place.upstream.map_or(0, |u| u.growth(kinds::ENDED)));
    }
    let mut alike = 0;
    for said in kind.alike {
        let made_here = open.count(*said).saturating_sub(answered(case, kind, place, *said));
        let part = open.take(*said, more.min(made_here));
        more -= part;
        alike += part;
    }
    certain + alike
}

/// How many responses with such a status code endpoints of this Envoy gave, so that the Envoy did
/// not make them.
fn answered(case: &Case<'_>, kind: &Kind, place: &Place<'_>, said: Said) -> u64 {
    let (Said::Empty(code) | Said::Other(Some(code))) = said else { return 0 };
    let upstreams = || place.reading.upstreams.iter();
    let counter = match code {
        500.. => return upstreams().map(error_responses).sum(),
        403 => "upstream_rq_403",
        404 => "upstream_rq_404",
        // The filter of a global rate limit adds its own responses to this counter.
        429 if case.growth(kinds::OVER_LIMIT) == 0 && !kind.is_cluster() => "upstream_rq_429",
        _ => return 0,
    };
    // Without counters, each response may have had this status code.
    let own = |upstream: &Upstream| match upstream.counters.is_empty() {
        true => upstream.requests().saturating_sub(upstream.errors()),
        false => upstream.growth(counter),
    };
    upstreams().map(own).sum()
}

/// A finding by the counters of one place.
fn counted(case: &Case<'_>, kind: &Kind, place: &Place<'_>, of: (Effect, u64)) -> Finding {
    let (effect, requests) = of;
    let reading = place.reading;
    let numbers = match (kind.counted, place.upstream) {
        (Counted::Cluster(_, counters), Some(upstream)) => {
            let shown = counters.iter().filter(|counter| upstream.growth(counter) > 0);
            shown.map(|counter| format!("{counter} {}", upstream.growth(counter))).collect()
        }
        (Counted::Filter(end), _) => reading.filter_counters(end),
        (Counted::Cluster(..), None) => Vec::new(),
    };
    let at = match (reading.role, place.upstream) {
        (Role::Client, Some(upstream)) => format!(" to {}", upstream.name),
        (_, Some(upstream)) => format!(" from {} to {}", reading.name, upstream.name),
        (Role::Client, None) => " at the client's Envoy".to_owned(),
        (_, None) => format!(" at {}", reading.name),
    };
    // The client's Envoy knows its endpoints; what it rejected itself reached none of them.
    let ends = match place.upstream.filter(|_| kind.is_sent()) {
        Some(upstream) => Erring::of(case, [upstream]).suffix(),
        None => String::new(),
    };
    let then = if effect == Effect::Moved { ", and were retried" } else { "" };
    Finding {
        layer: place.layer(kind),
        cause: kind.cause,
        effect,
        requests,
        evidence: format!(
            "{}{at}: {} ({}){ends}{then}",
            count(requests, "request"),
            kind.what(place.upstream),
            numbers.join(", ")
        ),
        next: kind.next(case, reading, place.upstream),
    }
}

/// Failures whose words say what happened, but that no Envoy that was read counted: another Envoy
/// did, if the client's would have counted them. Returns of how many it is not known where.
fn left(case: &Case<'_>, kind: &Kind, open: &Open, found: &mut Explanation) -> u64 {
    let Some(said) = kind.said.filter(|_| kind.left) else { return 0 };
    let responses = open.count(said);
    if responses == 0 {
        return 0;
    }
    let told = format!(
        "{} \"{}\"",
        if responses == 1 {
            "1 response says".to_owned()
        } else {
            format!("{responses} responses say")
        },
        said.words()
    );
    let behind = behind(case, kind);
    if let Some(why) = not_placed(case, kind, behind.is_empty()) {
        let what = kind.cause.words();
        found.unknown.push(format!("which Envoy it was: {told} ({what}), but {why}"));
        return responses;
    }
    let names: Vec<_> = behind.iter().map(|upstream| upstream.name.as_str()).collect();
    let ends = Erring::of(case, behind.iter().copied()).suffix();
    found.findings.push(Finding {
        layer: Layer::Server,
        cause: kind.cause,
        effect: Effect::Failed,
        requests: responses,
        evidence: format!(
            "{told}, and the client's Envoy did not count {} ({}): an Envoy behind {} did{ends}",
            if responses == 1 { "it" } else { "them" },
            kind.counter(),
            names.join(" or ")
        ),
        next: kind.next_behind().to_owned(),
    });
    0
}

/// Why it cannot be told whether the client's Envoy or one behind it said so; `None` if it can.
fn not_placed(case: &Case<'_>, kind: &Kind, nobody_behind: bool) -> Option<String> {
    let Some(client) = case.client.filter(|client| client.unread.is_none()) else {
        return Some("the client's Envoy was not read".to_owned());
    };
    let counter = kind.counter();
    // A cluster whose counters are not kept may be the one that would have counted.
    let each = client.upstreams.iter().all(|upstream| !upstream.counters.is_empty());
    let missing = match kind.counted {
        Counted::Filter(_) if client.keeps_filters() => None,
        Counted::Filter(_) => Some(format!("the client's Envoy does not keep {counter}")),
        Counted::Cluster(..) if case.has_counters() && each => None,
        Counted::Cluster(..) => Some(format!(
            "the client's Envoy does not keep {counter} for each cluster that may have got these \
             requests"
        )),
    };
    // Where its clusters have no counters at all, the remedy is said once for all.
    match missing {
        Some(why) if case.has_counters() || client.upstreams.is_empty() => {
            Some(format!("{why}; {KEEP_COUNTERS}"))
        }
        None if nobody_behind => Some("no Envoy that was read counted it".to_owned()),
        why => why,
    }
}

/// The clusters of the client's Envoy from which such responses may have come.
fn behind<'a>(case: &Case<'a>, kind: &Kind) -> Vec<&'a Upstream> {
    let answers = |upstream: &Upstream| match kind.reply {
        Some(counter) => upstream.growth(counter),
        None => upstream.errors(),
    };
    let all = || case.upstreams().iter();
    let certain: Vec<_> = all().filter(|upstream| answers(upstream) > 0).collect();
    match certain.is_empty() {
        // gRPC tells errors in responses that are a success for HTTP.
        true => all().filter(|upstream| upstream.requests() > 0).collect(),
        false => certain,
    }
}
