//! `prober explain EXPR…`: what expectations assert, and how many requests they need.

use std::fmt::Write as _;
use std::io::Write;

use super::Error;
use super::plan::SizeError;
use crate::cli::ExplainArgs;
use crate::expectation::{self, Expectation, Form, Group, Side, Time};
use crate::output::delivery;
use crate::plan::{judging, number};
use crate::stats::answers_to_miss;
use crate::tally::Label;
use crate::units::{count, decimal, percent};
use crate::verdict::simulate;
use crate::verdict::{ENOUGH_FOR_EXACT, Rules, sampling};

/// Returns the exit code.
pub(crate) fn run(args: &ExplainArgs, out: &mut dyn Write) -> Result<u8, Error> {
    delivery::print_lines(out, &explain(args)?)?;
    Ok(0)
}

fn explain(args: &ExplainArgs) -> Result<String, SizeError> {
    let rules = judging::fixed(args.confidence.as_deref(), args.min_share.as_deref())?;
    let groups = number::within("--backends", args.backends, 2..=1_000)?;
    let mut out = String::new();
    for text in &args.expectations {
        let expectation = expectation::parse(text)?;
        let meaning = meaning(&expectation, groups);
        let need = need(&expectation, &rules, groups);
        let _ = writeln!(out, "{expectation}\n  {meaning}\n  {need}");
    }
    let _ = writeln!(
        out,
        "\nA run judges errors = 0, too, unless an expectation says how many requests may fail: errors, \
         error-rate,\nlost or failover.\n\n\
         A pass or a fail says two things, each wrong in at most {} % of runs (--confidence):\n\
         - about the run: on average over its requests, the chance that each had, given all before \
         it,\n  is as expected. That holds whatever the answers depend on.\n\
         - about the mesh beyond the run: the share is as expected, if an answer depends on at most \
         {}\n  others (--dependence). That takes at least {} requests; with a smaller -n, only the \
         first holds.\n\
         Without -n and -d a run goes on until every expectation is decided, for at least --min-time \
         and at\nmost --max-requests. If the sample is too small, the verdict is inconclusive (exit \
         code 3).",
        percent(1.0 - rules.confidence),
        rules.dependence,
        sampling::least(rules.dependence, 1.0 - rules.confidence),
    );
    Ok(out)
}

/// What an expectation asserts. `groups` is their number if the expectation does not name them.
fn meaning(expectation: &Expectation, groups: u64) -> String {
    match expectation {
        Expectation::NoErrors => {
            "An echo answers every request: none fails in any of the eight ways.".to_owned()
        }
        Expectation::NoRetries => {
            "Envoy needed one attempt for each answer: no retry hides a failure.".to_owned()
        }
        Expectation::ErrorRate { percent } => format!("At most {percent} % of requests fail."),
        Expectation::Latency { quantile, of, below } => {
            let whose = match of {
                None => String::new(),
                Some(Group { label, name }) => format!(" from {} {name}", label.word()),
            };
            format!(
                "{quantile} % of the answers{whose} arrive in less than {}. With --rate, the time counts \
                 from the scheduled start of the request.",
                Time(*below)
            )
        }
        Expectation::Throughput { per_second } => {
            format!("At least {per_second} requests per second are answered.")
        }
        Expectation::Who { form, label, names } => who(*form, *label, names),
        Expectation::Balanced { names, label, tolerance } => {
            even(names, *label, *tolerance, group_count(names, groups))
        }
        Expectation::Shares { shares, label, tolerance } => {
            let list: Vec<_> =
                shares.iter().map(|(name, share)| format!("{name} {share} %")).collect();
            format!(
                "The share of each {} is within {tolerance} points of: {}. All others together give at \
                 most {tolerance} % of the answers.",
                label.word(),
                list.join(", ")
            )
        }
        Expectation::Share { group: Group { label, name }, side, percent } => {
            let side = if *side == Side::AtLeast { "at least" } else { "at most" };
            format!("The {} {name} gives {side} {percent} % of the answers.", label.word())
        }
        Expectation::Failover(time) => format!(
            "Within {} after the fault, all requests are answered again (with --failover-to, by \
             the clusters that it names).",
            Time(*time)
        ),
        Expectation::Failback(time) => format!(
            "Within {} after the recovery, the shares are again as before the fault.",
            Time(*time)
        ),
        Expectation::Lost { most } => {
            format!("After the fault, at most {} fail.", count(*most, "request"))
        }
    }
}

/// How many requests it takes to decide an expectation.
fn need(expectation: &Expectation, rules: &Rules, groups: u64) -> String {
    match expectation {
        Expectation::NoErrors => exact("failure"),
        Expectation::NoRetries => exact("retry"),
        Expectation::ErrorRate { percent } => rare(percent / 100.0, rules, "fails"),
        Expectation::Latency { quantile, .. } => {
            rare((100.0 - quantile) / 100.0, rules, "is slower")
        }
        Expectation::Throughput { .. } => {
            "Measured over the whole run, without statistics: it holds for this run only."
                .to_owned()
        }
        Expectation::Who { form, names, .. } => {
            let missing = if *form == Form::Only { 1 } else { names.len() };
            format!(
                "It takes {} independent answers to rule out that a group with a share of {} % \
                 (--min-share) goes unseen: the least n with (1 - share)^n <= 1 - confidence, divided \
                 by the number of groups that could be missing.",
                answers_to_miss(rules.min_share, (1.0 - rules.confidence) / missing as f64),
                percent(rules.min_share)
            )
        }
        Expectation::Balanced { names, tolerance, .. } => {
            let n = group_count(names, groups);
            simulated(&vec![1.0 / n as f64; n], tolerance / 100.0, rules)
        }
        Expectation::Shares { shares, tolerance, .. } => {
            let targets: Vec<_> = shares.iter().map(|(_, share)| share / 100.0).collect();
            simulated(&targets, tolerance / 100.0, rules)
        }
        Expectation::Share { .. } => {
            "The closer the true share is to the bound, the more requests it takes; exactly on the \
             bound the verdict stays inconclusive."
                .to_owned()
        }
        Expectation::Failover(_) | Expectation::Failback(_) | Expectation::Lost { .. } => {
            "It needs a run with a fault in it (--at); a higher --rate makes the times more exact."
                .to_owned()
        }
    }
}

fn who(form: Form, label: Label, names: &[String]) -> String {
    let (names, word) = (names.join(", "), label.word());
    match form {
        Form::Only => format!("No {word} other than {names} answers."),
        Form::Reaches => format!("Each {word} of {names} answers; others may answer, too."),
        Form::Exactly => format!("Each {word} of {names} answers, and no other answers."),
    }
}

/// How many groups a `balanced` is about.
fn group_count(names: &[String], groups: u64) -> usize {
    if names.is_empty() { groups as usize } else { names.len() }
}

fn even(names: &[String], label: Label, tolerance: f64, n: usize) -> String {
    let share = 1.0 / n as f64;
    let which = if names.is_empty() {
        format!("each {} that answers or is configured", label.word())
    } else {
        format!("each of {}", names.join(", "))
    };
    format!(
        "The share of {which} is within {tolerance} points of an even share: for {n}, from {} to \
         {} %. All others together give at most {tolerance} % of the answers.",
        edge((share - tolerance / 100.0).max(0.0)),
        edge((share + tolerance / 100.0).min(1.0)),
    )
}

/// An edge of a tolerance, in percent: as many decimals as a tolerance may have.
fn edge(share: f64) -> String {
    decimal(share * 100.0, 4)
}

fn exact(exception: &str) -> String {
    format!(
        "Exact, without statistics: a single {exception} misses it. Without -n, meeting it takes at \
         least {ENOUGH_FOR_EXACT} requests."
    )
}

/// For an upper bound on the part of the requests that fail or are slow, as `what` says.
fn rare(part: f64, rules: &Rules, what: &str) -> String {
    format!(
        "If none {what}, it takes at least {} requests to prove; otherwise it takes more.",
        answers_to_miss(part, (1.0 - rules.confidence) * 0.6)
    )
}

fn simulated(targets: &[f64], tolerance: f64, rules: &Rules) -> String {
    // An average of 1/(2·tolerance²)·ln(1/risk) requests decides (Wald 1945, Pinsker).
    let risk = 1.0 - rules.confidence;
    let about = (-risk.ln() / (2.0 * tolerance * tolerance)).min(1e18) as u64;
    match simulate::balance(targets, targets, tolerance, risk, about) {
        Some(sizes) => format!(
            "If it holds, that is proven after {} requests on average, and in 95 % of runs before {} \
             (from {} simulated runs).",
            sizes.mean, sizes.most, sizes.runs
        ),
        None => format!("It takes about {about} requests; try a larger tolerance."),
    }
}

#[cfg(test)]
mod tests;
