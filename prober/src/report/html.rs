//! The report as one self-contained HTML page: no network, no script. It embeds the whole report
//! as JSON, so that prober can read it again. Pure.
//! A colour stands for the same cluster on the whole page, and a word repeats what it means.

mod advice;
mod details;
mod failures;
mod latency;
mod matrix;
pub(crate) mod plot;
mod row;
mod survival;
mod timeline;
mod who;
pub(crate) mod words;

use maud::{DOCTYPE, Markup, PreEscaped, html};

use super::groups::{self, Clusters};
use super::{Report, Row, json};
use crate::tally::Tally;
use crate::units::percent;
use crate::verdict::{CONFIDENCE, Verdict};
use words::{badge, class, count, counted, instant, name};

/// The colours of verdicts and clusters, and the elements that use them, of all HTML pages.
pub(crate) const PALETTE: &str = include_str!("html/palette.css");
const STYLE: &str = include_str!("html/style.css");

/// The Content-Security-Policy: only what is in the page itself, and no script.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; \
                      base-uri 'none'; form-action 'none'";

/// The element around the JSON in the page.
const JSON_BEGIN: &str = "<script type=\"application/json\" id=\"prober-report\">";
const JSON_END: &str = "</script>";

#[must_use]
pub(crate) fn render(report: &Report) -> Vec<u8> {
    let page = compose(report, &embeddable(&json::render(report)));
    let mut bytes = page.into_string().into_bytes();
    bytes.push(b'\n');
    bytes
}

/// The page of a report, given its JSON.
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
                            (row::render(place, report, row, &clusters))
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

/// The JSON in a page of [`render`]; `None` if the page has none.
#[must_use]
pub(crate) fn embedded(page: &[u8]) -> Option<&[u8]> {
    let text = std::str::from_utf8(page).ok()?;
    let (_, rest) = text.split_once(JSON_BEGIN)?;
    let (json, _) = rest.split_once(JSON_END)?;
    Some(json.as_bytes())
}

/// JSON that can neither end its element nor begin a comment. `<` occurs only in strings, where
/// the escape means the same.
fn embeddable(json: &[u8]) -> String {
    String::from_utf8_lossy(json).replace('<', "\\u003c")
}

fn head(report: &Report) -> Markup {
    let verdict = report.verdict();
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
            title { (verdict.word()) " · " (printable::clean(&headline(report))) }
            link rel="icon" href=(icon);
            style { (PreEscaped(PALETTE)) (PreEscaped(STYLE)) }
        }
    }
}

/// Patterns that tell stacked areas apart without colour.
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

/// The whole report in one sentence.
fn headline(report: &Report) -> String {
    match report.rows.as_slice() {
        [] => "No targets were probed".to_owned(),
        [row] => format!("{} {}", row.target_shown(), row.outcome()),
        _ => {
            let said = report.summary();
            let mut chars = said.chars();
            chars.next().into_iter().flat_map(char::to_uppercase).chain(chars).collect()
        }
    }
}

fn masthead(report: &Report) -> Markup {
    let tallies = || report.rows.iter().filter_map(Row::tally);
    let sum = |of: fn(&Tally) -> u64| tallies().map(of).sum::<u64>();
    let retried = tallies().filter_map(Tally::known_retries).reduce(|a, b| a + b);
    html! {
        header.masthead {
            p.eyebrow {
                "prober report · " (instant(report.started))
            }
            h1.{ "verdict-" (class(report.verdict())) } {
                (badge(report.verdict()))
                " " span { (name(&headline(report))) }
            }
            @if report.interrupted {
                p.notice { strong { "Interrupted." } " This report is partial." }
            }
            @if report.rows.len() > 1 {
                p.lead {
                    (counted(sum(Tally::requests), "request")) " on "
                    (counted(sum(|tally| tally.connections), "connection")) ", "
                    (count(sum(Tally::failed_requests))) " failed, "
                    (groups::retries(retried)) "."
                }
            }
        }
    }
}

fn footer(report: &Report) -> Markup {
    html! {
        footer {
            p {
                "Each interval contains the true share with " (percent(CONFIDENCE))
                " % confidence. Requests on a reused connection are not independent samples, so they "
                "widen the interval. Latency is measured from the scheduled start of a request."
            }
            @if let Some(claim) = super::claim(report) { p { (claim) } }
            p {
                "Made by prober " (env!("CARGO_PKG_VERSION"))
                ". This page uses no network and runs no script. Its source contains the whole "
                "report (" (counted(report.rows.len() as u64, "row")) ") as JSON, schema "
                (json::SCHEMA) "."
            }
        }
    }
}

#[cfg(test)]
mod tests;
