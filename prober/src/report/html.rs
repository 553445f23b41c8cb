//! The report as one HTML page that needs nothing else: no network, no script. The whole report
//! is in it as JSON, too, so that it can be read again. Pure.
//! A colour means the same cluster on the whole page, and never stands alone for anything.

mod advice;
mod details;
mod failures;
mod latency;
mod matrix;
mod plot;
mod row;
mod survival;
mod timeline;
mod who;
mod words;

use maud::{DOCTYPE, Markup, PreEscaped, html};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::groups::Clusters;
use super::{Report, Row, RowResult, json};
use crate::tally::Tally;
use crate::verdict::Verdict;
use words::{badge, class, count, name, visible};

const STYLE: &str = include_str!("html/style.css");

/// What the browser is told to refuse: all but what is in the page itself. No script runs.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; \
                      base-uri 'none'; form-action 'none'";

/// What stands around the JSON in the page.
const JSON_BEGIN: &str = "<script type=\"application/json\" id=\"prober-report\">";
const JSON_END: &str = "</script>";

/// The whole page.
#[must_use]
pub(crate) fn render(report: &Report) -> Vec<u8> {
    let page = compose(report, &embeddable(&json::render(report)));
    let mut bytes = page.into_string().into_bytes();
    bytes.push(b'\n');
    bytes
}

/// The page of a report that is there as JSON, too.
fn compose(report: &Report, json: &str) -> Markup {
    let clusters = Clusters::of(report);
    let several = report.rows.len() > 1;
    html! {
        (DOCTYPE)
        html lang="en" {
            (head(report))
            body {
                a.skip href="#report" { "Skip to the report" }
                (textures())
                div.page.several[several] {
                    (masthead(report))
                    @if several { (matrix::contents(report)) }
                    main id="report" {
                        @if several { (matrix::render(report, &clusters)) }
                        @for (place, row) in report.rows.iter().enumerate() {
                            (row::render(place, row, &clusters, several))
                        }
                    }
                    (footer(report))
                }
                (PreEscaped(JSON_BEGIN))
                (PreEscaped(json))
                (PreEscaped(JSON_END))
            }
        }
    }
}

/// The report as JSON that a page of [`render`] holds; `None` if it holds none.
#[must_use]
pub(crate) fn embedded(page: &[u8]) -> Option<&[u8]> {
    let text = std::str::from_utf8(page).ok()?;
    let (_, rest) = text.split_once(JSON_BEGIN)?;
    let (json, _) = rest.split_once(JSON_END)?;
    Some(json.as_bytes())
}

/// JSON in which nothing can end the element that it stands in, or begin a comment. `<` is only
/// in its strings, and there an escape means the same.
fn embeddable(json: &[u8]) -> String {
    String::from_utf8_lossy(json).replace('<', "\\u003c")
}

fn head(report: &Report) -> Markup {
    let verdict = verdict(report);
    let colour = match verdict {
        Verdict::Pass => "1a7f46",
        Verdict::Inconclusive => "b26a00",
        Verdict::Fail => "c02b22",
    };
    let icon = format!(
        "data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 16 16'%3E\
         %3Ccircle cx='8' cy='8' r='7' fill='%23{colour}'/%3E%3C/svg%3E"
    );
    html! {
        head {
            meta charset="utf-8";
            meta http-equiv="Content-Security-Policy" content=(POLICY);
            meta name="viewport" content="width=device-width, initial-scale=1";
            meta name="color-scheme" content="light dark";
            meta name="referrer" content="no-referrer";
            meta name="generator" content={ "prober " (env!("CARGO_PKG_VERSION")) };
            title { (verdict.word()) " · " (visible(&headline(report))) }
            link rel="icon" href=(icon);
            style { (PreEscaped(STYLE)) }
        }
    }
}

/// Patterns that tell stacked areas apart where colours do not.
fn textures() -> Markup {
    let lines =
        ["", "M0 8L8 0", "M0 4H8", "M0 0L8 8", "M4 0V8", "M0 4H8M4 0V8", "M0 8L8 0M0 0L8 8", ""];
    html! {
        svg.textures width="0" height="0" aria-hidden="true" focusable="false" {
            defs {
                @for (place, line) in lines.iter().enumerate().filter(|(_, line)| !line.is_empty()) {
                    pattern id={ "texture-" (place + 1) } width="8" height="8"
                        patternUnits="userSpaceOnUse" { path.texture d=(line) {} }
                }
            }
        }
    }
}

/// The worst verdict of all rows.
fn verdict(report: &Report) -> Verdict {
    report.rows.iter().map(Row::verdict).max().unwrap_or(Verdict::Inconclusive)
}

/// What the whole report says, in one sentence.
fn headline(report: &Report) -> String {
    match report.rows.as_slice() {
        [] => "Nothing was asked".to_owned(),
        [row] => format!("{} {}", row.target_shown(), outcome(row)),
        rows => {
            let with = |verdict| rows.iter().filter(|row| row.verdict() == verdict).count();
            let all = rows.len();
            match (with(Verdict::Fail), with(Verdict::Inconclusive)) {
                (0, 0) => format!("All {all} rows meet their expectations"),
                (0, open) => format!("{open} of {all} rows inconclusive"),
                (missed, 0) => format!("{missed} of {all} rows miss their expectations"),
                (missed, open) => {
                    format!("{missed} of {all} rows miss their expectations, {open} inconclusive")
                }
            }
        }
    }
}

/// What one target does with its expectations.
fn outcome(row: &Row) -> String {
    let RowResult::Probed { verdicts, .. } = &row.result else {
        return "could not be probed".to_owned();
    };
    let all = match verdicts.len() {
        1 => "its expectation".to_owned(),
        n => format!("all {n} expectations"),
    };
    let with = |verdict| verdicts.iter().filter(|judged| judged.verdict == verdict).count();
    let of = |some: usize| match verdicts.len() {
        1 => "its expectation".to_owned(),
        n => format!("{some} of {n} expectations"),
    };
    match (with(Verdict::Fail), with(Verdict::Inconclusive)) {
        (0, 0) => format!("meets {all}"),
        (0, open) => format!("leaves {} open", of(open)),
        (missed, _) => format!("misses {}", of(missed)),
    }
}

fn masthead(report: &Report) -> Markup {
    let (iso, shown) = started(report);
    let tallies = || report.rows.iter().filter_map(Row::tally);
    let sum = |of: fn(&Tally) -> u64| tallies().map(of).sum::<u64>();
    html! {
        header.masthead {
            p.eyebrow {
                "prober report · " time datetime=(iso) { (shown) }
            }
            h1.{ "verdict-" (class(verdict(report))) } {
                (badge(verdict(report)))
                " " span { (name(&headline(report))) }
            }
            @if report.interrupted {
                p.notice { strong { "Interrupted." } " This report is partial." }
            }
            @if report.rows.len() > 1 {
                p.lead {
                    (words::counted(sum(Tally::requests), "request")) " on "
                    (words::counted(sum(|tally| tally.connections), "connection")) ", "
                    (count(sum(Tally::failed_requests))) " failed, "
                    (count(sum(Tally::retried))) " retried by the mesh."
                }
            }
        }
    }
}

/// When it began: for programs, and for people.
fn started(report: &Report) -> (String, String) {
    let at = OffsetDateTime::from(report.started);
    let iso = at.format(&Rfc3339).unwrap_or_default();
    let shown = format!(
        "{:04}-{:02}-{:02} {:02}:{:02}:{:02} UTC",
        at.year(),
        u8::from(at.month()),
        at.day(),
        at.hour(),
        at.minute(),
        at.second()
    );
    (iso, shown)
}

fn footer(report: &Report) -> Markup {
    let confidence = crate::verdict::CONFIDENCE * 100.0;
    html! {
        footer {
            p {
                "Whiskers and ranges show where a true share is, each with "
                (plot::number(confidence)) " % confidence, as far as the answers prove it: answers on "
                "kept connections count for what they are worth. Latency counts from the instant at "
                "which a request should have started. Times are UTC."
            }
            p {
                "Made by prober " (env!("CARGO_PKG_VERSION"))
                ". This page needs no network and runs no script; the whole report of "
                (words::counted(report.rows.len() as u64, "row"))
                " is in its source as JSON, schema " (json::SCHEMA) "."
            }
        }
    }
}

#[cfg(test)]
mod tests;
