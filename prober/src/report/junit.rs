//! The report for CI systems: JUnit XML as Ant writes it, with a suite per row and a case per
//! expectation. A missed expectation is a failure. An inconclusive one, and a row that could not be
//! probed, is an error.

use std::io;
use std::time::Duration;

use quick_xml::Writer;
use quick_xml::events::{BytesDecl, BytesText, Event};
use time::OffsetDateTime;
use time::macros::format_description;

use super::groups::Clusters;
use super::text::{self, Style};
use super::{Report, Row, RowResult};
use crate::report::advice;
use crate::tally::{Label, Tally};
use crate::verdict::Verdict;

/// The most clusters that have a property.
const MAX_CLUSTERS: usize = 100;

type Xml = Writer<Vec<u8>>;

struct Case<'a> {
    name: String,
    wrong: Option<Wrong<'a>>,
}

/// Why a case did not pass.
struct Wrong<'a> {
    /// `failure` or `error`.
    element: &'static str,
    /// The `type` attribute.
    kind: &'static str,
    message: &'a str,
}

#[must_use]
pub(crate) fn render(report: &Report) -> Vec<u8> {
    let mut xml = Writer::new_with_indent(Vec::new(), b' ', 2);
    document(&mut xml, report).expect("memory takes all");
    let mut bytes = xml.into_inner();
    bytes.push(b'\n');
    bytes
}

fn document(xml: &mut Xml, report: &Report) -> io::Result<()> {
    xml.write_event(Event::Decl(BytesDecl::new("1.0", Some("UTF-8"), None)))?;
    xml.create_element("testsuites").write_inner_content(|xml| {
        let clusters = Clusters::of(report);
        for (id, row) in report.rows.iter().enumerate() {
            suite(xml, report, &Suite::of((report, row), &clusters, id))?;
        }
        if report.interrupted {
            suite(xml, report, &Suite::interrupted(report.rows.len()))?;
        }
        Ok(())
    })?;
    Ok(())
}

struct Suite<'a> {
    id: usize,
    name: String,
    package: &'a str,
    hostname: &'a str,
    seconds: f64,
    properties: Vec<(String, String)>,
    cases: Vec<Case<'a>>,
    out: String,
    err: String,
}

impl<'a> Suite<'a> {
    fn of((report, row): (&Report, &'a Row), clusters: &Clusters<'_>, id: usize) -> Self {
        let cases = match &row.result {
            RowResult::Probed { verdicts, .. } => verdicts
                .iter()
                .map(|judged| Case {
                    name: judged.expectation.to_string(),
                    wrong: wrong(judged.verdict, &judged.reason),
                })
                .collect(),
            RowResult::Unreachable { reason, .. } => vec![Case {
                name: "the source can probe".to_owned(),
                wrong: Some(Wrong { element: "error", kind: "unreachable", message: reason }),
            }],
        };
        Self {
            id,
            name: row.heading(),
            package: &row.target,
            hostname: row.source.as_deref().unwrap_or("localhost"),
            seconds: row.tally().map_or(Duration::ZERO, |tally| tally.elapsed).as_secs_f64(),
            properties: properties(row),
            cases,
            out: String::from_utf8_lossy(&text::row((report, row), clusters, Style::PLAIN))
                .into_owned(),
            err: advice::of_row(row).iter().map(|line| format!("advice: {line}\n")).collect(),
        }
    }

    /// An interrupted run proves nothing, so it must not pass.
    fn interrupted(id: usize) -> Self {
        let message = "the run was interrupted; this report is partial";
        let wrong = Wrong { element: "error", kind: "interrupted", message };
        Self {
            id,
            name: "prober".to_owned(),
            package: "prober",
            hostname: "localhost",
            seconds: 0.0,
            properties: Vec::new(),
            cases: vec![Case { name: "the run completes".to_owned(), wrong: Some(wrong) }],
            out: String::new(),
            err: String::new(),
        }
    }

    /// The number of cases with this element.
    fn count(&self, element: &str) -> String {
        let wrong = self.cases.iter().filter_map(|case| case.wrong.as_ref());
        wrong.filter(|wrong| wrong.element == element).count().to_string()
    }
}

fn wrong(verdict: Verdict, message: &str) -> Option<Wrong<'_>> {
    let (element, kind) = match verdict {
        Verdict::Pass => return None,
        Verdict::Fail => ("failure", "missed"),
        Verdict::Inconclusive => ("error", "inconclusive"),
    };
    Some(Wrong { element, kind, message })
}

fn properties(row: &Row) -> Vec<(String, String)> {
    let mut all = vec![("url", row.url.clone()), ("protocol", row.protocol.name().to_owned())];
    all.extend(row.source.clone().map(|source| ("source", source)));
    all.extend(row.address.map(|address| ("address", address.to_string())));
    let counts = row.tally().map(counts).into_iter().flatten();
    let all = all.into_iter().map(|(name, value)| (name.to_owned(), value));
    all.chain(counts).collect()
}

fn counts(tally: &Tally) -> Vec<(String, String)> {
    let counts = [
        ("requests", tally.requests()),
        ("answers", tally.answers()),
        ("failed", tally.failed_requests()),
        ("retried", tally.retried()),
        ("connections", tally.connections),
        ("backends", tally.backends.len() as u64),
    ];
    let counts = counts.map(|(name, count)| (name.to_owned(), count.to_string()));
    let failures = tally.failures_by_class().into_iter();
    let failures = failures.map(|(class, n)| (format!("failed.{class}"), n.to_string()));
    let clusters = tally.answers_by(Label::Cluster);
    let clusters = clusters.into_iter().take(MAX_CLUSTERS);
    let shares = clusters.map(|(cluster, answers)| {
        let share = answers as f64 / tally.answers().max(1) as f64;
        (format!("share.{cluster}"), format!("{share:.6}"))
    });
    counts.into_iter().chain(failures).chain(shares).collect()
}

fn suite(xml: &mut Xml, report: &Report, suite: &Suite<'_>) -> io::Result<()> {
    // The schema of Ant does not allow a time zone.
    let form = format_description!("[year]-[month]-[day]T[hour]:[minute]:[second]");
    let started = OffsetDateTime::from(report.started).format(form);
    let attributes = [
        ("name", suite.name.clone()),
        ("package", suite.package.to_owned()),
        ("id", suite.id.to_string()),
        ("timestamp", started.expect("the wall clock is between the years 0 and 9999")),
        ("hostname", suite.hostname.to_owned()),
        ("tests", suite.cases.len().to_string()),
        ("failures", suite.count("failure")),
        ("errors", suite.count("error")),
        ("time", format!("{:.6}", suite.seconds)),
    ]
    .map(|(name, value)| (name, valid(&value)));
    let attributes = attributes.iter().map(|(name, value)| (*name, value.as_str()));
    xml.create_element("testsuite").with_attributes(attributes).write_inner_content(|xml| {
        xml.create_element("properties").write_inner_content(|xml| {
            for (name, value) in &suite.properties {
                let (name, value) = (valid(name), valid(value));
                let attributes = [("name", name.as_str()), ("value", value.as_str())];
                xml.create_element("property").with_attributes(attributes).write_empty()?;
            }
            Ok(())
        })?;
        for each in &suite.cases {
            case(xml, suite, each)?;
        }
        for (element, text) in [("system-out", &suite.out), ("system-err", &suite.err)] {
            xml.create_element(element).write_text_content(BytesText::new(&valid(text)))?;
        }
        Ok(())
    })?;
    Ok(())
}

fn case(xml: &mut Xml, suite: &Suite<'_>, case: &Case<'_>) -> io::Result<()> {
    let (name, class) = (valid(&case.name), valid(&suite.name));
    let element = xml.create_element("testcase").with_attributes([
        ("name", name.as_str()),
        ("classname", class.as_str()),
        // All cases of a suite share the same requests.
        ("time", "0"),
    ]);
    let Some(Wrong { element: wrong, kind, message }) = &case.wrong else {
        element.write_empty()?;
        return Ok(());
    };
    let message = valid(message);
    element.write_inner_content(|xml| {
        let text = format!("{name}: {message}");
        let attributes = [("message", message.as_str()), ("type", *kind)];
        let element = xml.create_element(*wrong).with_attributes(attributes);
        element.write_text_content(BytesText::new(&text))?;
        Ok(())
    })?;
    Ok(())
}

/// Text with only the characters of XML 1.0 (section 2.2). Others become U+FFFD.
fn valid(text: &str) -> String {
    let known = |c: char| matches!(c, '\t' | '\n' | '\r' | ' '..='\u{d7ff}' | '\u{e000}'..='\u{fffd}' | '\u{10000}'..);
    text.chars().map(|c| if known(c) { c } else { '\u{fffd}' }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::samples;

    fn text(report: &Report) -> String {
        String::from_utf8(render(report)).unwrap()
    }

    #[test]
    fn a_plain_run() {
        insta::assert_snapshot!(text(&samples::plain()));
    }

    #[test]
    fn a_matrix_that_misses_and_leaves_open() {
        insta::assert_snapshot!(text(&samples::matrix()));
    }

    #[test]
    fn an_interrupted_run_is_an_error() {
        let report = Report { interrupted: true, ..samples::plain() };
        let xml = text(&report);
        assert!(xml.contains("type=\"interrupted\"") && xml.contains("errors=\"1\""), "{xml}");
    }

    #[test]
    fn remote_texts_stay_text() {
        let mut report = samples::matrix();
        report.rows[0].source = Some("<&\"'>\u{1b}\u{0}\u{ffff}]]>".to_owned());
        let RowResult::Unreachable { reason, .. } = &mut report.rows[3].result else {
            unreachable!()
        };
        *reason = "</error><testcase name=\"\u{7}x\"/>".to_owned();
        let xml = text(&report);
        let mut reader = quick_xml::Reader::from_str(&xml);
        let (mut cases, mut hosts) = (0, Vec::new());
        loop {
            match reader.read_event().unwrap() {
                Event::Start(tag) | Event::Empty(tag) => {
                    cases += u64::from(tag.name().as_ref() == "testcase");
                    let host = tag.try_get_attribute("hostname").unwrap();
                    hosts.extend(host.map(|host| {
                        quick_xml::escape::unescape(&host.value).unwrap().into_owned()
                    }));
                }
                Event::Eof => break,
                _ => {}
            }
        }
        assert_eq!(cases, 7, "{xml}");
        assert_eq!(hosts[0], "<&\"'>\u{fffd}\u{fffd}\u{fffd}]]>");
        assert!(!xml.contains('\u{7}'), "{xml}");
    }
}
