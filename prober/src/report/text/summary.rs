//! How the requests of a row were sent, in prose.

use std::fmt::Write as _;
use std::time::Duration;

use super::style::{RED, Style, YELLOW};
use crate::plan::Protocol;
use crate::report::{groups, transport};
use crate::tally::latency::Latency;
use crate::tally::{Phases, Stopped, Tally};
use crate::units::{count, shown_time};

/// The most addresses passed over that are listed.
const MAX_PASSED_OVER: usize = 8;

/// A shorter phase is not worth a line.
const SLOW_PHASE: Duration = Duration::from_millis(5);

/// How many requests were sent, how the run ended, and where its time went.
pub(super) fn lines(tally: &Tally, protocol: Protocol, style: Style) -> Vec<String> {
    let mut lines: Vec<_> = summary(tally, protocol, style).lines().map(str::to_owned).collect();
    lines.extend(slow_phase(&tally.phases));
    lines.extend(upstream(&tally.phases));
    lines.extend(transport::lines(&tally.transport));
    lines.extend(tally.order.period().map(in_turn));
    lines
}

/// A phase before the request that takes most of the time, so that the latency says little about the
/// backends.
pub(super) fn slow_phase(phases: &Phases) -> Option<String> {
    let whole = phases.service.quantile(0.5)?;
    let parts = [("DNS", &phases.dns), ("TCP", &phases.connect), ("TLS", &phases.tls)];
    let parts = parts.into_iter().filter(|(_, phase)| 2 * phase.count() >= phases.service.count());
    let slow = parts.filter_map(|(name, phase)| Some((name, phase.quantile(0.5)?)));
    let (name, part) = slow.max_by_key(|(_, part)| *part)?;
    (part >= SLOW_PHASE && 2 * part >= whole).then(|| {
        let [part, whole] = [part, whole].map(|time| shown_time(Some(time)));
        format!("{name} took {part} of {whole} (medians)")
    })
}

/// How many requests were sent, how, and how the run ended.
fn summary(tally: &Tally, protocol: Protocol, style: Style) -> String {
    let over = match protocol {
        Protocol::Http1 => String::new(),
        other => format!(" over {}", other.name()),
    };
    let painted =
        |n: u64, colour, text: String| if n > 0 { style.paint(colour, &text) } else { text };
    let (failed, retried) = (tally.failed_requests(), tally.known_retries());
    let mut line = format!(
        "{}{over} on {}, {}, {}",
        count(tally.requests(), "request"),
        count(tally.connections, "connection"),
        painted(failed, RED, format!("{failed} failed")),
        painted(retried.unwrap_or(0), YELLOW, groups::retries(retried)),
    );
    if !tally.elapsed.is_zero() {
        let _ = write!(line, ", {}", shown_time(Some(tally.elapsed)));
    }
    if let Some(kept) = tally.punctuality {
        let _ = write!(
            line,
            "\n{} started more than 1 ms late, at most {} late; {} never started",
            kept.late,
            shown_time(Some(kept.worst)),
            kept.dropped
        );
    }
    match tally.stopped {
        Some(Stopped::Decided) => line.push_str("; stopped when every verdict was decided"),
        Some(Stopped::Exhausted) => line.push_str("; stopped at --max-requests"),
        Some(Stopped::Ended) => line.push_str("; undecided at the end of the answers"),
        None => {}
    }
    if tally.abandoned > 0 {
        let _ = write!(line, "; {} unfinished when interrupted", tally.abandoned);
    }
    passed_over(&mut line, tally);
    line
}

/// The addresses that were passed over most often, and how many more there are.
fn passed_over(line: &mut String, tally: &Tally) {
    let all = groups::passed_over(tally);
    for (address, over) in all.iter().take(MAX_PASSED_OVER) {
        let times = count(over.count, "time");
        let _ = write!(line, "\npassed over {address} {times}: {}", over.why);
    }
    let more = all.get(MAX_PASSED_OVER..).unwrap_or_default();
    let times = more.iter().map(|(_, over)| over.count).sum::<u64>() + tally.passed_over_further;
    if times > 0 {
        let some = if tally.passed_over_further > 0 { "at least " } else { "" };
        let others = more.len() as u64 + u64::from(tally.passed_over_further > 0);
        let (others, times) = (count(others, "more address"), count(times, "time"));
        let _ = write!(line, "\npassed over {some}{others} {times}");
    }
}

/// The server's part of the time, if the nearest Envoy states it.
fn upstream(phases: &Phases) -> Option<String> {
    let median = |latency: &Latency| latency.quantile(0.5);
    let (whole, part) = (median(&phases.first_byte)?, median(&phases.upstream)?);
    let ms = part.as_millis();
    let part = if ms == 0 { "less than 1".to_owned() } else { ms.to_string() };
    let whole = shown_time(Some(whole));
    Some(format!("median time to first byte {whole}, of which {part} ms upstream"))
}

/// Says that backends answer in turn. Then chance plays no part, and intervals are too wide.
fn in_turn(period: usize) -> String {
    let ordinal = match period {
        2 => "second".to_owned(),
        3 => "third".to_owned(),
        n => format!("{n}th"),
    };
    format!("round robin: every {ordinal} answer came from the same pod")
}
