//! `prober explain EXPR…`: expectations in words, with what they take.

use std::fmt::Write as _;
use std::io::Write;

use super::Error;
use super::plan::SizeError;
use crate::cli::{ExplainArgs, JudgeArgs, LoadArgs};
use crate::expectation::{self, Expectation, Form, Group, Side, Time};
use crate::output::delivery;
use crate::plan::PlanError;
use crate::plan::judging;
use crate::stats::answers_to_miss;
use crate::tally::Label;
use crate::units::percent;
use crate::verdict::simulate;
use crate::verdict::{ENOUGH_FOR_EXACT, Rules};

/// Prints each expectation in words; returns the exit code.
pub(crate) fn run(args: &ExplainArgs, out: &mut dyn Write) -> Result<u8, Error> {
    delivery::print(out, explain(args)?.as_bytes())?;
    Ok(0)
}

fn explain(args: &ExplainArgs) -> Result<String, SizeError> {
    let judging = JudgeArgs {
        expectations: Vec::new(),
        expect_files: Vec::new(),
        confidence: args.confidence.clone(),
        max_requests: None,
        min_share: args.min_share.clone(),
        clusters: Vec::new(),
    };
    let (rules, _) = judging::rules(&judging, &LoadArgs::default(), &[])?;
    if !(2..=1_000).contains(&args.backends) {
        let (flag, value) = ("--backends", args.backends.to_string());
        let right = "write a number from 2 to 1000".to_owned();
        return Err(PlanError::Number { flag, value, right }.into());
    }
    let mut out = String::new();
    for text in &args.expectations {
        let expectation = expectation::parse(text)?;
        let (what, takes) = words(&expectation, &rules, args.backends);
        let _ = writeln!(out, "{expectation}\n  {what}\n  {takes}");
    }
    let _ = writeln!(
        out,
        "\nEach verdict is wrong in at most {} % of runs (--confidence). Without -n and -d sampling \
         goes on\nuntil all are decided, or --max-requests; a sample too small to tell is \
         inconclusive (exit code 3).",
        percent(1.0 - rules.confidence)
    );
    Ok(out)
}

/// What it asserts, and how many requests that takes.
fn words(expectation: &Expectation, rules: &Rules, backends: u64) -> (String, String) {
    let exact = format!(
        "Exact, no statistics: one is enough to miss it; without -n it takes at least \
         {ENOUGH_FOR_EXACT} requests to meet it."
    );
    match expectation {
        Expectation::NoErrors => (
            "Every request is answered by an echo: none fails in any of the eight ways.".into(),
            exact,
        ),
        Expectation::NoRetries => (
            "No answer is a later attempt of an Envoy: the mesh hides nothing behind retries."
                .into(),
            exact,
        ),
        Expectation::ErrorRate { percent } => (
            format!("Of all requests that could be sent, at most {percent} % fail."),
            rare(percent / 100.0, rules, "fails"),
        ),
        Expectation::Latency { quantile, of, below } => (
            format!(
                "{quantile} % of the answers{} take less than {}, from the instant at which the request \
                 should have started.",
                of.as_ref()
                    .map(|group| format!(" of {} {}", group.label.word(), group.name))
                    .unwrap_or_default(),
                Time(*below)
            ),
            rare((100.0 - quantile) / 100.0, rules, "takes so long"),
        ),
        Expectation::Throughput { per_second } => (
            format!("At least {per_second} requests are answered each second of the run."),
            "Measured, not tested: it says what this run had, over all of its time.".into(),
        ),
        Expectation::Who { form, label, names } => (who(*form, *label, names), unseen(rules)),
        Expectation::Balanced { names, label, tolerance } => {
            let n = if names.is_empty() { backends as usize } else { names.len() };
            let even = 1.0 / n as f64;
            let which = if names.is_empty() {
                format!("each {} that answers or is known", label.word())
            } else {
                format!("each of {}", names.join(", "))
            };
            let said = format!(
                "The share of {which} is within {tolerance} points of an even one: of {n}, {} to {} %. \
                 The others together give at most {tolerance} %.",
                edge((even - tolerance / 100.0).max(0.0)),
                edge((even + tolerance / 100.0).min(1.0)),
            );
            (said, taken(&vec![even; n], tolerance / 100.0, rules))
        }
        Expectation::Shares { shares, label, tolerance } => {
            let list: Vec<_> =
                shares.iter().map(|(name, share)| format!("{name} {share} %")).collect();
            let targets: Vec<_> = shares.iter().map(|(_, share)| share / 100.0).collect();
            let said = format!(
                "Each {} has its share, within {tolerance} points: {}. Others together give at most \
                 {tolerance} %.",
                label.word(),
                list.join(", ")
            );
            (said, taken(&targets, tolerance / 100.0, rules))
        }
        Expectation::Share { group: Group { label, name }, side, percent } => {
            let side = if *side == Side::AtLeast { "at least" } else { "at most" };
            let said =
                format!("The {} {name} gives {side} {percent} % of the answers.", label.word());
            let takes = "The nearer the true share is to the bound, the longer it takes; on the bound it \
                         stays inconclusive.";
            (said, takes.into())
        }
        Expectation::Failover(_) | Expectation::Failback(_) | Expectation::Lost { .. } => (
            "What a fault costs, or how long it lasts.".into(),
            "It needs a run with a fault in it (--at); the rate says how exact it is.".into(),
        ),
    }
}

/// An edge of a tolerance, in percent: as many decimals as a tolerance may have.
fn edge(share: f64) -> String {
    let digits = format!("{:.4}", share * 100.0);
    digits.trim_end_matches('0').trim_end_matches('.').to_owned()
}

fn who(form: Form, label: Label, names: &[String]) -> String {
    let (names, word) = (names.join(", "), label.word());
    match form {
        Form::Only => format!("No other {word} than {names} answers."),
        Form::Reaches => format!("Each {word} of {names} answers; others may."),
        Form::Exactly => format!("Each {word} of {names} answers, and no other does."),
    }
}

fn unseen(rules: &Rules) -> String {
    format!(
        "It takes {} independent answers to rule out a share of {} % (--min-share) that was not seen: \
         the least n with (1 - share)^n <= 1 - confidence.",
        answers_to_miss(rules.min_share, 1.0 - rules.confidence),
        percent(rules.min_share)
    )
}

fn rare(part: f64, rules: &Rules, what: &str) -> String {
    format!(
        "It takes at least {} requests to prove, if none {what}; more, the more do.",
        answers_to_miss(part, (1.0 - rules.confidence) * 0.6)
    )
}

fn taken(targets: &[f64], tolerance: f64, rules: &Rules) -> String {
    // What an average of 1/(2·tolerance²)·ln(1/risk) requests decides (Wald 1945, Pinsker).
    let risk = 1.0 - rules.confidence;
    let about = (-risk.ln() / (2.0 * tolerance * tolerance)).min(1e18) as u64;
    match simulate::balance(targets, targets, tolerance, risk, about) {
        Some(sizes) => format!(
            "If it holds, that is proven after {} requests on average, 95 % of runs end before {} (from \
             {} simulated runs).",
            sizes.mean, sizes.most, sizes.runs
        ),
        None => format!("It takes about {about} requests; try a larger tolerance."),
    }
}

#[cfg(test)]
mod tests;
