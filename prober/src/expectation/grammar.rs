//! The parser of expectations: one function for each form. Pure.

use std::net::IpAddr;
use std::ops::Range;
use std::time::Duration;

use super::words::{SyntaxError, Words, found};
use super::{Expectation, Form, Group, Side};
use crate::tally::Label;

/// The first word of each form of the grammar, and the form.
pub(crate) const FORMS: [(&str, &str); 14] = [
    ("errors", "errors = 0"),
    ("error-rate", "error-rate <= 0.1%"),
    ("retried", "retried = 0"),
    ("p99", "p99 < 80ms, or p99{cluster=NAME} < 80ms"),
    ("throughput", "throughput >= 500/s"),
    ("only", "only NAME[,NAME…] [by LABEL]"),
    ("reaches", "reaches NAME[,NAME…] [by LABEL]"),
    ("exactly", "exactly NAME[,NAME…] [by LABEL]"),
    ("balanced", "balanced [NAME,NAME…] [by LABEL] ± 5%"),
    ("shares", "shares NAME=90%,NAME=10% [by LABEL] ± 3%"),
    ("share", "share{pod=NAME} >= 20%"),
    ("failover", "failover < 5s"),
    ("failback", "failback < 60s"),
    ("lost", "lost <= 20"),
];

/// How far the sum of shares may be from 100 %, in points, so that thirds can be written.
const ROUNDING: f64 = 0.1;

/// Reads one expectation.
pub(crate) fn parse(text: &str) -> Result<Expectation, SyntaxError> {
    // Control characters would break the lines of the pointer; no form has any.
    let text: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    let mut words = Words::new(&text, FORMS[7].1);
    let (at, word) = words.keyword();
    let quantile = quantile(word);
    let keyword = if quantile.is_some() { "p99" } else { word };
    let Some((_, right)) = FORMS.iter().find(|(known, _)| *known == keyword) else {
        return Err(unknown_form(&mut words, at, word));
    };
    words.right = right;
    let read = match (keyword, quantile) {
        ("errors", _) => equals_zero(&mut words).map(|()| Expectation::NoErrors),
        ("retried", _) => equals_zero(&mut words).map(|()| Expectation::NoRetries),
        ("error-rate", _) => error_rate(&mut words),
        (_, Some(quantile)) => latency(&mut words, at, quantile),
        ("throughput", _) => throughput(&mut words),
        ("only", _) => who(&mut words, Form::Only),
        ("reaches", _) => who(&mut words, Form::Reaches),
        ("exactly", _) => who(&mut words, Form::Exactly),
        ("balanced", _) => balanced(&mut words),
        ("shares", _) => shares(&mut words),
        ("share", _) => share(&mut words),
        ("failover", _) => within(&mut words).map(Expectation::Failover),
        ("failback", _) => within(&mut words).map(Expectation::Failback),
        _ => lost(&mut words),
    }?;
    words.end()?;
    Ok(read)
}

fn form(keyword: &str) -> &'static str {
    FORMS.iter().find(|(word, _)| *word == keyword).map_or("", |(_, form)| form)
}

fn unknown_form(words: &mut Words<'_>, at: Range<usize>, word: &str) -> SyntaxError {
    let near = usage::nearest(word, FORMS.iter().map(|(word, _)| *word));
    if let Some((_, right)) = FORMS.iter().find(|(word, _)| near == Some(word)) {
        words.right = right;
    }
    let is_share = words.peek().1 == "=";
    if is_share {
        words.right = form("shares");
    }
    let wrong = if word.is_empty() {
        "it is empty".to_owned()
    } else if is_share {
        "the word 'shares' and a tolerance are missing".to_owned()
    } else {
        format!("no expectation starts with '{word}'")
    };
    words.error(at, wrong)
}

/// `p50`, `p99.9` and so on, in percent, as written.
fn quantile(word: &str) -> Option<f64> {
    let digits = word.strip_prefix('p')?;
    let numeric = !digits.is_empty() && digits.chars().all(|c| c.is_ascii_digit() || c == '.');
    digits.parse().ok().filter(|_| numeric)
}

fn equals_zero(words: &mut Words<'_>) -> Result<(), SyntaxError> {
    if !words.skip("==") {
        words.expect("=")?;
    }
    let (at, value, unit) = words.quantity()?;
    if value == 0.0 && unit.is_empty() {
        return Ok(());
    }
    Err(words.error(at, format!("expected '0', found '{value}{unit}'")))
}

fn error_rate(words: &mut Words<'_>) -> Result<Expectation, SyntaxError> {
    words.expect("<=")?;
    let (at, percent) = percent(words)?;
    inside(words, at, percent, "write errors = 0 if no request may fail")?;
    Ok(Expectation::ErrorRate { percent })
}

fn latency(
    words: &mut Words<'_>,
    at: Range<usize>,
    quantile: f64,
) -> Result<Expectation, SyntaxError> {
    if !(1.0..=99.999).contains(&quantile) {
        let wrong = format!("'p{quantile}' is not a quantile from p1 to p99.999");
        return Err(words.error(at, wrong));
    }
    let start = words.peek().0.start;
    let of = if words.skip("{") { Some(group(words)?) } else { None };
    if of.as_ref().is_some_and(|group| group.label == Label::Address) {
        let at = start..words.peek().0.start;
        return Err(words.error(at, "latencies are measured by pod, not by address".to_owned()));
    }
    let below = within(words)?;
    Ok(Expectation::Latency { quantile, of, below })
}

/// `LABEL=NAME}`, after the brace.
fn group(words: &mut Words<'_>) -> Result<Group, SyntaxError> {
    let label = label(words)?;
    words.expect("=")?;
    let (at, name) = words.name()?;
    let mut name = name.into_owned();
    if label == Label::Address {
        addresses(words, at, std::iter::once(&mut name))?;
    }
    words.expect("}")?;
    Ok(Group { label, name })
}

/// `< TIME`.
fn within(words: &mut Words<'_>) -> Result<Duration, SyntaxError> {
    words.expect("<")?;
    words.duration(Duration::from_micros(1)..=Duration::from_hours(24))
}

fn throughput(words: &mut Words<'_>) -> Result<Expectation, SyntaxError> {
    words.expect(">=")?;
    let (at, per_second, unit) = words.quantity()?;
    if unit != "/s" {
        let wrong = wrong_unit(per_second, unit, "/s");
        return Err(words.error(at, wrong));
    }
    if per_second == 0.0 {
        return Err(
            words.error(at, "every run has at least 0/s; write a number above 0".to_owned())
        );
    }
    Ok(Expectation::Throughput { per_second })
}

fn who(words: &mut Words<'_>, form: Form) -> Result<Expectation, SyntaxError> {
    let start = words.peek().0.start;
    let mut names = names(words)?;
    let at = start..words.peek().0.start;
    let label = by(words)?;
    if label == Label::Address {
        addresses(words, at, names.iter_mut())?;
    }
    Ok(Expectation::Who { form, label, names })
}

fn names(words: &mut Words<'_>) -> Result<Vec<String>, SyntaxError> {
    let mut names: Vec<String> = Vec::new();
    loop {
        let (at, name) = words.name()?;
        if names.iter().any(|known| **known == *name) {
            return Err(words.error(at, format!("'{name}' is named twice")));
        }
        names.push(name.into_owned());
        if !words.skip(",") {
            return Ok(names);
        }
    }
}

fn balanced(words: &mut Words<'_>) -> Result<Expectation, SyntaxError> {
    let mut parts = Parts::default();
    parts.read(words)?;
    if let Ok((at, tolerance)) = percent(&mut words.clone()) {
        return Err(words.error(at, format!("expected '±' before '{tolerance}%'")));
    }
    let named = !words.ended();
    let start = words.peek().0.start;
    let mut names = if named { names(words)? } else { Vec::new() };
    let at = start..words.peek().0.start;
    if names.len() == 1 {
        let (at, _) = words.peek();
        return Err(words.error(
            at,
            "a single name is always balanced; write two or more, or none for all".to_owned(),
        ));
    }
    parts.read(words)?;
    let (label, tolerance) = parts.complete(words, "'by' or '±'")?;
    if label == Label::Address {
        addresses(words, at, names.iter_mut())?;
    }
    Ok(Expectation::Balanced { names, label, tolerance })
}

/// The parts of a form that may stand in any order: `by LABEL` and `± N%`.
#[derive(Debug, Default)]
struct Parts {
    label: Option<Label>,
    tolerance: Option<f64>,
}

impl Parts {
    /// Takes those that come next.
    fn read(&mut self, words: &mut Words<'_>) -> Result<(), SyntaxError> {
        loop {
            let at = words.peek().0;
            if words.skip_tolerance_sign() {
                let (at, tolerance) = tolerance(words, at)?;
                if self.tolerance.replace(tolerance).is_some() {
                    return Err(words.error(at, "a second tolerance; remove one".to_owned()));
                }
            } else if starts_label(words) {
                words.skip_word("by");
                if self.label.replace(label(words)?).is_some() {
                    return Err(words.error(at, "a second 'by'; remove one".to_owned()));
                }
            } else {
                return Ok(());
            }
        }
    }

    /// The label, by default the cluster, and the tolerance, which is required.
    fn complete(self, words: &Words<'_>, wanted: &str) -> Result<(Label, f64), SyntaxError> {
        let (at, next) = words.peek();
        match self.tolerance {
            Some(tolerance) => Ok((self.label.unwrap_or(Label::Cluster), tolerance)),
            None if next.is_empty() || self.label.is_some() => {
                Err(words.error(at, format!("expected '± N%', found {}", found(next))))
            }
            None => Err(words.error(at, unexpected(wanted, next))),
        }
    }
}

/// A word that may be the end of a name: `exactly cluster 1,cluster 2`.
fn unexpected(wanted: &str, next: &str) -> String {
    format!("expected {wanted}, found '{next}'; put a name with spaces in quotes")
}

/// Whether `by LABEL` comes next, and not a group that is named `by`.
fn starts_label(words: &Words<'_>) -> bool {
    let mut ahead = words.clone();
    ahead.skip_word("by") && !matches!(ahead.peek().1, "=" | ",")
}

fn shares(words: &mut Words<'_>) -> Result<Expectation, SyntaxError> {
    let mut parts = Parts::default();
    parts.read(words)?;
    let mut shares: Vec<(String, f64)> = Vec::new();
    let start = words.peek().0.start;
    loop {
        let (at, name) = words.name()?;
        if shares.iter().any(|(known, _)| **known == *name) {
            return Err(words.error(at, format!("'{name}' is named twice")));
        }
        words.expect("=")?;
        // A share is in percent, also without the sign.
        let (at, share, unit) = words.quantity()?;
        if !matches!(unit, "%" | "") {
            return Err(words.error(at, wrong_unit(share, unit, "%")));
        }
        if share > 100.0 {
            return Err(words.error(at, "a share cannot be above 100%".to_owned()));
        }
        shares.push((name.into_owned(), share));
        if words.skip(",") {
            continue;
        }
        let mut ahead = words.clone();
        if !starts_label(words) && ahead.name().is_ok() && ahead.skip("=") {
            let (at, next) = words.peek();
            return Err(words.error(at, format!("a comma is missing before '{next}'")));
        }
        let sum: f64 = shares.iter().map(|(_, share)| share).sum();
        if (sum - 100.0).abs() > ROUNDING + 1e-9 {
            return Err(words.error(start..at.end, wrong_sum(&shares, sum)));
        }
        break;
    }
    let at = start..words.peek().0.start;
    parts.read(words)?;
    let (label, tolerance) = parts.complete(words, "',', 'by' or '±'")?;
    if label == Label::Address {
        addresses(words, at, shares.iter_mut().map(|(name, _)| name))?;
    }
    Ok(Expectation::Shares { shares, label, tolerance })
}

/// What is wrong with shares that do not sum to 100 %.
fn wrong_sum(shares: &[(String, f64)], sum: f64) -> String {
    let rounded = |number: f64| (number * 1e6).round() / 1e6;
    if (sum - 1.0).abs() > ROUNDING / 100.0 + 1e-9 {
        return format!("the shares sum to {}%, not to 100%", rounded(sum));
    }
    let percent: Vec<_> =
        shares.iter().map(|(name, share)| format!("{name}={}%", rounded(share * 100.0))).collect();
    format!("the shares sum to 1%, not to 100%; write percent: {}", percent.join(","))
}

fn share(words: &mut Words<'_>) -> Result<Expectation, SyntaxError> {
    words.expect("{")?;
    let group = group(words)?;
    let side = if words.skip("<=") {
        Side::AtMost
    } else {
        words.expect(">=")?;
        Side::AtLeast
    };
    let (at, percent) = percent(words)?;
    inside(
        words,
        at,
        percent,
        "write only NAME for all answers, or reaches NAME for at least one",
    )?;
    Ok(Expectation::Share { group, side, percent })
}

fn lost(words: &mut Words<'_>) -> Result<Expectation, SyntaxError> {
    words.expect("<=")?;
    let (at, value, unit) = words.quantity()?;
    if !unit.is_empty() || value.fract() != 0.0 || value > 1e15 {
        return Err(words.error(at, format!("expected a count of requests, found '{value}{unit}'")));
    }
    Ok(Expectation::Lost { most: value as u64 })
}

/// `N%` after the sign `±`, with the place of both.
fn tolerance(
    words: &mut Words<'_>,
    sign: Range<usize>,
) -> Result<(Range<usize>, f64), SyntaxError> {
    let (at, tolerance) = percent(words)?;
    if tolerance == 0.0 || tolerance >= 100.0 {
        let wrong = "a tolerance must be above 0% and below 100%".to_owned();
        return Err(words.error(at, wrong));
    }
    Ok((sign.start..at.end, tolerance))
}

/// A number with `%`.
fn percent(words: &mut Words<'_>) -> Result<(Range<usize>, f64), SyntaxError> {
    let (at, value, unit) = words.quantity()?;
    // Also with a space before the sign, as reports write it.
    if unit != "%" && !(unit.is_empty() && words.skip("%")) {
        return Err(words.error(at, wrong_unit(value, unit, "%")));
    }
    Ok((at, value))
}

fn inside(
    words: &Words<'_>,
    at: Range<usize>,
    percent: f64,
    remedy: &str,
) -> Result<(), SyntaxError> {
    if percent > 0.0 && percent < 100.0 {
        return Ok(());
    }
    Err(words.error(at, format!("it must be above 0% and below 100%; {remedy}")))
}

/// `by LABEL`; without it, the cluster.
fn by(words: &mut Words<'_>) -> Result<Label, SyntaxError> {
    let (at, next) = words.peek();
    if words.skip_word("by") {
        return label(words);
    }
    // `Words::end` says that this form has no tolerance.
    if words.ended() || words.clone().skip_tolerance_sign() {
        return Ok(Label::Cluster);
    }
    Err(words.error(at, unexpected("',' or 'by'", next)))
}

/// Checks that names are IP addresses, and writes each address in its one canonical form.
fn addresses<'a>(
    words: &Words<'_>,
    at: Range<usize>,
    names: impl Iterator<Item = &'a mut String>,
) -> Result<(), SyntaxError> {
    for name in names {
        let Ok(address) = name.parse::<IpAddr>() else {
            let at = words.place_of(name, at);
            return Err(words.error(at, format!("'{name}' is not an IP address")));
        };
        *name = address.to_string();
    }
    Ok(())
}

fn label(words: &mut Words<'_>) -> Result<Label, SyntaxError> {
    let (at, word) = words.peek();
    let label = Label::ALL.into_iter().find(|(_, known)| *known == word);
    let Some((label, word)) = label else {
        let labels: Vec<_> = Label::ALL.iter().map(|(_, word)| *word).collect();
        let wrong = format!("expected a label, found {}; write {}", found(word), labels.join(", "));
        return Err(words.error(at, wrong));
    };
    words.skip(word);
    Ok(label)
}

fn wrong_unit(value: f64, unit: &str, right: &str) -> String {
    if unit.is_empty() {
        format!("missing '{right}'; write {value}{right}")
    } else {
        format!("'{unit}' is not '{right}'; write {value}{right}")
    }
}
