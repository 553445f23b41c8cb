//! What `fuzz/` calls with bytes that nobody trusts. Each function panics if what was read breaks a
//! promise, for example that a report that is written can be read again.

use std::str;
use std::time::Duration;

pub use crate::engine::fuzzing::{chunks, http1, http2};
pub use crate::resolve::fuzzing::dns;

use crate::collected::{Collection, Judging};
use crate::report::format::Format;
use crate::report::text::Style;
use crate::verdict::{Rules, Sampling};
use crate::{expectation, matrix, report};

/// A report, and every form of it.
pub fn report(bytes: &[u8]) {
    let Ok(read) = report::json::parse(bytes) else { return };
    for format in [
        Format::Text,
        Format::Csv,
        Format::Html,
        Format::Junit,
        Format::Markdown,
        Format::Prometheus,
    ] {
        let _ = format.render(&read, Style::PLAIN);
    }
    let written = report::json::render(&read);
    let again = report::json::parse(&written).expect("what was written is a report");
    assert_eq!(report::json::render(&again), written, "reading changes nothing");
}

/// A matrix file.
pub fn matrix(bytes: &[u8]) {
    if let Ok(text) = str::from_utf8(bytes)
        && let Err(error) =
            matrix::file::parse("matrix.yaml", text, &matrix::file::Overrides::default())
    {
        assert!(!error.to_string().is_empty(), "an error says something");
    }
}

/// An expectation.
pub fn expectation(bytes: &[u8]) {
    let Ok(text) = str::from_utf8(bytes) else { return };
    match expectation::parse(text) {
        Ok(read) => assert_eq!(expectation::parse(&read.to_string()), Ok(read)),
        Err(error) => assert_eq!(error.pointer().lines().count(), 2, "{}", error.pointer()),
    }
}

/// Answers that something else collected.
pub fn judge(bytes: &[u8]) {
    let expectations = ["errors = 0", "balanced kops,gke1 ± 5%"];
    let judging = Judging {
        expectations: expectations.map(|text| expectation::parse(text).expect("right")).into(),
        rules: Rules {
            sampling: Sampling::Fixed,
            min_time: Duration::from_secs(1),
            ..Rules::default()
        },
        most: 20_000,
    };
    let mut collection = Collection::new(&judging);
    match collection.read("answers", bytes) {
        Ok(()) => assert!(!collection.rows().is_empty()),
        Err(error) => assert!(!error.to_string().is_empty(), "an error says something"),
    }
}
