//! `prober compare BEFORE AFTER`: is the later report worse?

use std::io::Write;

use thiserror::Error;

use super::Error;
use super::files::read_report;
use crate::cli::CompareArgs;
use crate::output::delivery;
use crate::plan::PlanError;
use crate::plan::judging::confidence;
use crate::plan::number::fraction;
use crate::report::compare::{self, Limits};
use crate::tally::Label;
use crate::verdict::Rules;

/// Why the flags are not limits of a comparison. `Display` is one line.
#[derive(Debug, Error)]
pub enum LimitsError {
    #[error(transparent)]
    Flag(#[from] PlanError),
    #[error("--tolerate '{0}': write shares=5%, latency=10% or errors=0.1%")]
    Tolerate(String),
    #[error("--by '{0}': write one of {1}")]
    Label(String, String),
}

/// Returns the exit code: whether the later report is worse.
pub(crate) fn run(args: &CompareArgs, out: &mut dyn Write) -> Result<u8, Error> {
    let limits = limits(args)?;
    let (before, after) = (read_report(&args.before)?, read_report(&args.after)?);
    let compared = compare::compare(&before, &after, &limits)?;
    delivery::print_lines(out, &compared.text())?;
    Ok(compared.exit_code())
}

fn limits(args: &CompareArgs) -> Result<Limits, LimitsError> {
    let rules = Rules { confidence: confidence(&args.confidence)?, ..Rules::default() };
    // Reports do not have how addresses were selected, so that a comparison of them proves nothing.
    let labels = || Label::ALL.into_iter().filter(|(label, _)| *label != Label::Address);
    let label = labels().find(|(_, word)| *word == args.by);
    let (label, _) = label.ok_or_else(|| {
        let words: Vec<_> = labels().map(|(_, word)| word).collect();
        LimitsError::Label(args.by.clone(), words.join(", "))
    })?;
    let mut limits = Limits { label, rules, ..Limits::default() };
    for given in &args.tolerate {
        let wrong = || LimitsError::Tolerate(given.clone());
        let (what, value) = given.split_once('=').ok_or_else(wrong)?;
        let value = fraction("--tolerate", value, 0.0..=10.0, "").map_err(|_| wrong())?;
        match what {
            "shares" => limits.shares = value,
            "latency" => limits.latency = value,
            "errors" => limits.errors = value,
            _ => return Err(wrong()),
        }
    }
    Ok(limits)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(tolerate: &[&str]) -> Result<Limits, LimitsError> {
        limits(&CompareArgs {
            before: "a".into(),
            after: "b".into(),
            tolerate: tolerate.iter().map(|&text| text.to_owned()).collect(),
            by: "cluster".to_owned(),
            confidence: "99.9%".to_owned(),
        })
    }

    #[test]
    fn limits_are_read_or_refused_in_one_line() {
        let limits = read(&["shares=30%", "latency=200%", "errors=0.1"]).unwrap();
        assert_eq!((limits.shares, limits.latency, limits.errors), (0.3, 2.0, 0.1));
        for bad in ["shares", "shares=x", "colour=5%", "errors=-1%", "=5%"] {
            let error = read(&[bad]).unwrap_err().to_string();
            assert!(error.contains("write shares=5%, latency=10%"), "{error}");
        }
    }
}
