//! The live page of `prober watch`: one self-contained document, of now. Pure; the reports that
//! are kept are made elsewhere.

use std::fmt::{self, Write as _};
use std::time::{Duration, SystemTime};

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::state::{State, Watched};
use crate::report::RowResult;
use crate::report::prometheus::counts;
use crate::tally::{Label, Tally};
use crate::units::count;
use crate::units::percent;
use crate::verdict::{Evidence, Judged, Rules, Verdict};

const STYLE: &str = include_str!("page/live.css");
const SCRIPT: &str = include_str!("page/live.js");

/// What the page may do: its own style and script, and asking for itself again.
pub(crate) const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; \
    script-src 'sha256-rMbGeR5ZhYJwipknttjA5wncLIYQLiOS0GNRNwuhSGc='; connect-src 'self'; base-uri 'none'; form-action 'none'; \
    frame-ancestors 'none'";

/// How often the page is asked for again.
const SHORTEST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_secs(15);
/// So many pods of a target are listed.
const MOST_PODS: usize = 12;
/// The colours of clusters, by their order; more of them begin anew.
const COLORS: usize = 6;

/// The page of this moment.
#[must_use]
pub(crate) fn render(state: &State, now: SystemTime) -> String {
    let refresh = state.rhythm.interval.clamp(SHORTEST, LONGEST).as_secs();
    let clusters = state.clusters();
    let worst = state.rows().iter().map(|row| row.row().verdict()).max();
    let worst = worst.unwrap_or(Verdict::Inconclusive);
    let mut html = String::with_capacity(1 << 14);
    let _ = write!(
        html,
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <title>{} – prober watch</title>\n\
         <noscript><meta http-equiv=\"refresh\" content=\"{refresh}\"></noscript>\n\
         <style>\n{STYLE}</style>\n</head>\n<body data-refresh=\"{refresh}\">\n<main>\n",
        worst.word(),
    );
    head(&mut html, state, worst, now);
    for row in state.rows() {
        card(&mut html, row, &clusters, now);
    }
    let _ = write!(html, "</main>\n<p id=\"lost\" role=\"status\" hidden></p>\n");
    let _ = write!(html, "<script>{SCRIPT}</script>\n</body>\n</html>\n");
    html
}

fn head(html: &mut String, state: &State, worst: Verdict, now: SystemTime) {
    let _ = write!(
        html,
        "<header>\n<h1>{} prober watch</h1>\n<p>{}, a round every {:?}, judged over the last \
         {:?}; since {}. <time datetime=\"{now}\">As of {now}.</time> <a href=\"metrics\">Metrics\
         </a></p>\n</header>\n",
        Badge(worst),
        count(state.rows().len() as u64, "target"),
        state.rhythm.interval,
        state.rhythm.window,
        Utc(state.started),
        now = Utc(now),
    );
}

fn card(html: &mut String, watched: &Watched, clusters: &[String], now: SystemTime) {
    let row = watched.row();
    let source = row.source.as_deref().unwrap_or("here");
    let _ = write!(
        html,
        "<section>\n<h2>{} {} <span>from {}</span></h2>\n",
        Badge(row.verdict()),
        Text(&row.target_shown()),
        Text(source),
    );
    if let Some(reason) = watched.unreachable() {
        let _ = writeln!(html, "<p class=\"away\">The source cannot probe: {}</p>", Text(reason));
    }
    if let RowResult::Probed { tally, verdicts } = &row.result {
        if tally.answers() > 0 {
            bars(html, tally, watched.rules(), clusters);
        }
        figures(html, tally, watched, now);
        judged(html, verdicts);
        failures(html, tally);
        pods(html, tally);
    }
    html.push_str("</section>\n");
}

/// The shares, drawn and written, with the interval that each is in.
fn bars(html: &mut String, tally: &Tally, rules: &Rules, clusters: &[String]) {
    let answers = tally.answers() as f64;
    let by_cluster = tally.answers_by(Label::Cluster);
    let evidence = Evidence::new(tally, rules);
    let unseen = evidence.absent(Label::Cluster);
    let mut bar = String::new();
    let mut list = String::new();
    for (place, cluster) in clusters.iter().enumerate() {
        let count = by_cluster.get(cluster.as_str()).copied().unwrap_or_default();
        let (share, color) = (count as f64 / answers, place % COLORS);
        let worth = match count {
            0 => unseen,
            _ => evidence.worth(Label::Cluster, cluster),
        };
        let interval = evidence.interval(worth);
        if count > 0 {
            let width = share * 100.0;
            let _ = write!(bar, "<i class=\"c{color}\" style=\"width:{width:.3}%\"></i>");
        }
        let _ = writeln!(
            list,
            "<li><i class=\"c{color}\"></i><b>{}</b> {} % <small>{} to {} %</small></li>",
            Text(cluster),
            percent(share),
            percent(interval.0),
            percent(interval.1),
        );
    }
    let sure = percent(rules.confidence);
    let _ = write!(
        html,
        "<div class=\"bar\" aria-hidden=\"true\">{bar}</div>\n\
         <ul class=\"shares\" aria-label=\"Shares by cluster, with intervals at {sure} %\">\n\
         {list}</ul>\n",
    );
}

fn figures(html: &mut String, tally: &Tally, watched: &Watched, now: SystemTime) {
    let mut latency = crate::tally::latency::Latency::default();
    tally.backends.values().for_each(|backend| latency.merge(&backend.latency()));
    let quantile = |q| latency.quantile(q).map_or_else(|| "–".to_owned(), milliseconds);
    let last = watched.last().map_or_else(
        || "the first round has not ended yet".to_owned(),
        |round| {
            let age = now.duration_since(round.ended).unwrap_or_default().as_secs();
            format!("last round {age} s ago, took {}", milliseconds(round.took))
        },
    );
    let _ = writeln!(
        html,
        "<p class=\"figures\">{} · {} failed · {} retried · p50 {} · p99 {} · {last}</p>",
        count(tally.answers(), "answer"),
        tally.failed_requests(),
        tally.retried(),
        quantile(0.5),
        quantile(0.99),
    );
}

fn judged(html: &mut String, verdicts: &[Judged]) {
    html.push_str("<ul class=\"verdicts\">\n");
    for one in verdicts {
        let expectation = one.expectation.to_string();
        let (badge, expectation) = (Badge(one.verdict), Text(&expectation));
        let _ = writeln!(html, "<li>{badge} <b>{expectation}</b> {}</li>", Text(&one.reason));
    }
    html.push_str("</ul>\n");
}

fn failures(html: &mut String, tally: &Tally) {
    if tally.failures.is_empty() {
        return;
    }
    html.push_str("<ul class=\"failures\">\n");
    for group in &tally.failures {
        let (kind, what) = (group.kind, Text(&group.what));
        let _ = writeln!(html, "<li>{} × <b>{kind}</b> {what}</li>", group.count);
    }
    html.push_str("</ul>\n");
}

/// Who answered most, and how fast.
fn pods(html: &mut String, tally: &Tally) {
    let mut pods: Vec<_> = tally.backends.iter().collect();
    pods.sort_by_key(|(_, backend)| std::cmp::Reverse(backend.answers));
    if pods.is_empty() {
        return;
    }
    let _ = write!(
        html,
        "<details>\n<summary>{}</summary>\n<div class=\"scroll\"><table>\n<thead><tr>\
         <th scope=\"col\">Cluster</th><th scope=\"col\">Pod</th><th scope=\"col\">Answers</th>\
         <th scope=\"col\">p50</th><th scope=\"col\">p99</th></tr></thead>\n<tbody>\n",
        count(pods.len() as u64, "pod"),
    );
    for (who, backend) in pods.iter().take(MOST_PODS) {
        let latency = backend.latency();
        let quantile = |q| latency.quantile(q).map_or_else(|| "–".to_owned(), milliseconds);
        let (cluster, pod) = (counts::name(&who.cluster), counts::name(&who.pod));
        let _ = writeln!(
            html,
            "<tr><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td></tr>",
            Text(&cluster),
            Text(&pod),
            backend.answers,
            quantile(0.5),
            quantile(0.99),
        );
    }
    html.push_str("</tbody>\n</table></div>\n");
    if pods.len() > MOST_PODS {
        let _ = writeln!(html, "<p>and {} more</p>", pods.len() - MOST_PODS);
    }
    html.push_str("</details>\n");
}

fn milliseconds(time: Duration) -> String {
    let ms = time.as_secs_f64() * 1000.0;
    if ms < 100.0 { format!("{ms:.1} ms") } else { format!("{ms:.0} ms") }
}

/// A verdict, in words and in its colour.
struct Badge(Verdict);

impl fmt::Display for Badge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = self.0.word();
        write!(f, "<em class=\"{}\">{word}</em>", word.to_ascii_lowercase())
    }
}

/// Text that is not ours: nothing in it is markup, and nothing in it turns the line around.
struct Text<'a>(&'a str);

impl fmt::Display for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("<bdi>")?;
        for c in self.0.chars() {
            match c {
                '&' => f.write_str("&amp;")?,
                '<' => f.write_str("&lt;")?,
                '>' => f.write_str("&gt;")?,
                '"' => f.write_str("&quot;")?,
                '\'' => f.write_str("&#39;")?,
                c if c.is_control() => f.write_char('\u{fffd}')?,
                c => f.write_char(c)?,
            }
        }
        f.write_str("</bdi>")
    }
}

/// A time of UTC, to the second.
struct Utc(SystemTime);

impl fmt::Display for Utc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let time = OffsetDateTime::from(self.0);
        let time = time.replace_nanosecond(0).unwrap_or(time);
        f.write_str(&time.format(&Rfc3339).unwrap_or_default())
    }
}

#[cfg(test)]
mod tests;
