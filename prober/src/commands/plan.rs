//! `prober plan`: how many requests prove given shares, or what a given number of requests proves.

use std::fmt::Write as _;
use std::io::Write;

use thiserror::Error;

use super::Error;
use crate::cli::PlanArgs;
use crate::expectation::SyntaxError;
use crate::output::delivery;
use crate::plan::PlanError;
use crate::plan::judging::confidence;
use crate::plan::number::{fraction, within};
use crate::stats::unseen_share;
use crate::units::percent;
use crate::verdict::sample_size::{MOST, Question};
use crate::verdict::simulate;

/// Why there is no sample size. `Display` is one line.
#[derive(Debug, Error)]
pub enum SizeError {
    #[error(transparent)]
    Syntax(#[from] SyntaxError),
    #[error(transparent)]
    Flag(#[from] PlanError),
    #[error("give --backends N for even shares, or --shares such as 90,10")]
    Nothing,
    #[error("--shares: {0}; write at least two shares above 0 that sum to 100")]
    Shares(String),
    #[error(
        "that takes more than {MOST} requests; write a larger --tolerance, or a lower --confidence \
         or --power"
    )]
    TooMany,
}

impl SizeError {
    /// Lines that point at the place, if there is one to point at.
    #[must_use]
    pub fn pointer(&self) -> Option<String> {
        match self {
            Self::Syntax(error) => Some(error.pointer()),
            _ => None,
        }
    }
}

fn question(args: &PlanArgs) -> Result<Question, SizeError> {
    let right = "write points of share above 0% and below 100%";
    let tolerance = fraction("--tolerance", &args.tolerance, 1e-9..=0.999_999, right)?;
    let right = "write a part of 1 from 0.5 to 0.999999, or percent such as 99%";
    let power = fraction("--power", &args.power, 0.5..=0.999_999, right)?;
    if !(args.miss >= 1e-15 && args.miss <= 0.5) {
        let (flag, value) = ("--miss", args.miss.to_string());
        let right = "write a probability from 1e-15 to 0.5, such as 1e-6".to_owned();
        return Err(PlanError::Number { flag, value, right }.into());
    }
    if let Some(n) = args.requests {
        within("-n", n, 1..=MOST)?;
    }
    let risk = 1.0 - confidence(&args.confidence)?;
    Ok(Question { shares: shares(args)?, tolerance, risk, power, miss: args.miss })
}

fn shares(args: &PlanArgs) -> Result<Vec<f64>, SizeError> {
    match (args.backends, args.shares.as_slice()) {
        (Some(n), _) => {
            let n = within("--backends", n, 2..=10_000)?;
            Ok(vec![1.0 / n as f64; n as usize])
        }
        (None, []) => Err(SizeError::Nothing),
        (None, given) => {
            let sum: f64 = given.iter().sum();
            let wrong = |what: String| Err(SizeError::Shares(what));
            match given {
                [_] => wrong("only one share".to_owned()),
                _ if given.iter().any(|share| share.is_nan() || *share <= 0.0) => {
                    wrong("a share is not above 0".to_owned())
                }
                _ if (sum - 100.0).abs() > 0.1 => wrong(format!("they sum to {sum}")),
                _ => Ok(given.iter().map(|share| share / 100.0).collect()),
            }
        }
    }
}

/// Returns the exit code.
pub(crate) fn run(args: &PlanArgs, out: &mut dyn Write) -> Result<u8, Error> {
    delivery::print_lines(out, &plan(args)?)?;
    Ok(0)
}

fn plan(args: &PlanArgs) -> Result<String, SizeError> {
    let question = question(args)?;
    match args.requests {
        None => requests_to_prove(&question),
        Some(n) => Ok(proven_by(&question, n)),
    }
}

/// The shares in words.
fn named(shares: &[f64]) -> String {
    let even = shares.iter().all(|share| *share == shares[0]);
    if even {
        return format!("{} backends of {} % each", shares.len(), percent(shares[0]));
    }
    let list: Vec<_> = shares.iter().map(|share| format!("{} %", percent(*share))).collect();
    format!("shares of {}", list.join(", "))
}

/// How many requests prove the shares.
fn requests_to_prove(question: &Question) -> Result<String, SizeError> {
    let Question { shares, tolerance, risk, power, miss } = question;
    let fixed = question.requests().ok_or(SizeError::TooMany)?;
    let coverage = question.coverage().ok_or(SizeError::TooMany)?;
    let sure = percent(1.0 - risk);
    let mut out = format!(
        "{}, within {} points, {sure} % sure\n\n  {fixed:>10}  requests with -n: if the shares are so, \
         {} % of runs prove it\n{:14}(two one-sided tests per share: Chernoff 1952, Clopper & Pearson \
         1934)\n",
        named(shares),
        percent(*tolerance),
        percent(*power),
        "",
    );
    if let Some(sizes) = simulate::balance(shares, shares, *tolerance, *risk, fixed) {
        let _ = writeln!(
            out,
            "  {:>10}  requests on average without -n, where a run ends once it is decided;\n{:14}\
             in 95 % of runs at most {} (mixture martingales: Robbins 1970; from {} runs)",
            sizes.mean, "", sizes.most, sizes.runs,
        );
    }
    let _ = writeln!(
        out,
        "  {coverage:>10}  requests until the probability that some backend was never seen is at most \
         {miss:e}\n{:14}(the sum over backends of (1 - share)^n: Boole's inequality)",
        "",
    );
    out.push_str(
        "\nEach number counts independent answers: a new connection for each request (--reuse \
         never).\n",
    );
    Ok(out)
}

/// What `n` requests prove.
fn proven_by(question: &Question, n: u64) -> String {
    let Question { shares, risk, power, .. } = question;
    let sure = percent(1.0 - risk);
    let unseen = unseen_share(n, 1.0 - risk);
    let missed: f64 = shares.iter().map(|share| (1.0 - share).powf(n as f64)).sum();
    // In hundredths of a point.
    let mut proven = None;
    let holds = |hundredths: u32| {
        let tolerance = f64::from(hundredths) / 1e4;
        let asked = Question { shares: shares.clone(), tolerance, ..*question };
        asked.power_of(n) >= *power
    };
    // A tolerance as large as the largest share holds whatever happens.
    let largest = shares.iter().copied().fold(0.0, f64::max);
    let (mut low, mut high) = (0, (largest * 1e4) as u32 - 1);
    if holds(high) {
        while low + 1 < high {
            let middle = (low + high) / 2;
            if holds(middle) { high = middle } else { low = middle }
        }
        proven = Some(f64::from(high) / 1e4);
    }
    let within = match proven {
        Some(tolerance) => format!(
            "shares within {} points of {}, in {} % of runs if they are so",
            percent(tolerance),
            named(shares),
            percent(*power)
        ),
        None => format!("nothing about {}", named(shares)),
    };
    format!(
        "{n} independent answers prove, {sure} % sure:\n\n  {within}\n  a share below {unseen} % for \
         each group that was never seen (1 - (1 - confidence)^(1/n))\n  an error rate below {unseen} %, \
         if no request failed (the same formula)\n\nThe probability that some of these backends is \
         never seen is {:.1e}.\n",
        missed.min(1.0),
        unseen = percent(unseen),
    )
}

#[cfg(test)]
mod tests;
