//! The text format of Prometheus: families of samples with escaped labels. Pure.

use std::fmt::Write as _;

/// The type of a family.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Counter,
    Gauge,
    Histogram,
}

impl Kind {
    fn word(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
        }
    }
}

pub(super) type Labels<'a> = [(&'static str, &'a str)];

/// A text that is written family by family.
#[derive(Debug, Default)]
pub(super) struct Exposition(String);

impl Exposition {
    /// Starts a family.
    pub(super) fn family(&mut self, name: &'static str, kind: Kind, help: &str) -> Family<'_> {
        let help = help.replace('\\', "\\\\").replace('\n', "\\n");
        let kind = kind.word();
        let _ = write!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}\n");
        Family { text: &mut self.0, name }
    }

    pub(super) fn into_bytes(self) -> Vec<u8> {
        self.0.into_bytes()
    }
}

#[derive(Debug)]
pub(super) struct Family<'a> {
    text: &'a mut String,
    name: &'static str,
}

impl Family<'_> {
    pub(super) fn sample(&mut self, labels: &Labels<'_>, value: impl Into<Number>) {
        self.suffixed("", labels, value);
    }

    /// Writes a sample of a histogram, with the suffix `_bucket`, `_sum` or `_count`.
    pub(super) fn suffixed(&mut self, suffix: &str, labels: &Labels<'_>, value: impl Into<Number>) {
        let _ = write!(self.text, "{}{suffix}", self.name);
        for (n, (name, value)) in labels.iter().enumerate() {
            let open = if n == 0 { '{' } else { ',' };
            let _ = write!(self.text, "{open}{name}=\"{}\"", escaped(value));
        }
        let close = if labels.is_empty() { "" } else { "}" };
        let _ = match value.into() {
            Number::Whole(value) => writeln!(self.text, "{close} {value}"),
            Number::Real(value) => writeln!(self.text, "{close} {value}"),
        };
    }
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Number {
    Whole(u64),
    Real(f64),
}

impl From<u64> for Number {
    fn from(value: u64) -> Self {
        Self::Whole(value)
    }
}

impl From<bool> for Number {
    fn from(value: bool) -> Self {
        Self::Whole(u64::from(value))
    }
}

impl From<f64> for Number {
    fn from(value: f64) -> Self {
        Self::Real(value)
    }
}

/// Escapes backslash, quote and line feed in the value of a label.
fn escaped(value: &str) -> String {
    let mut text = String::with_capacity(value.len());
    for c in value.chars() {
        match c {
            '\\' => text.push_str("\\\\"),
            '"' => text.push_str("\\\""),
            '\n' => text.push_str("\\n"),
            c => text.push(c),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_family_is_its_head_and_its_samples() {
        let mut text = Exposition::default();
        let mut family = text.family("a_total", Kind::Counter, "What \\ is\ncounted.");
        family.sample(&[], 3_u64);
        family.sample(&[("b", "x\\y\"z\n"), ("c", "±")], 0.5);
        let text = String::from_utf8(text.into_bytes()).unwrap();
        let wanted = "# HELP a_total What \\\\ is\\ncounted.\n# TYPE a_total counter\na_total 3\n\
                      a_total{b=\"x\\\\y\\\"z\\n\",c=\"±\"} 0.5\n";
        assert_eq!(text, wanted);
    }
}
