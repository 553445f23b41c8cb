//! `prober plan`: how many requests prove what, or what so many requests prove.

use std::fmt::Write as _;
use std::io::Write;

use thiserror::Error;

use super::Error;
use crate::cli::PlanArgs;
use crate::expectation::SyntaxError;
use crate::output::delivery;
use crate::plan::PlanError;
use crate::plan::judging::{confidence, fraction};
use crate::stats::unseen_share;
use crate::units::percent;
use crate::verdict::sample_size::{MOST, Question};
use crate::verdict::simulate;

/// Why no sample size can be said. `Display` is one line.
#[derive(Debug, Error)]
pub enum SizeError {
    /// An expectation does not parse.
    #[error(transparent)]
    Syntax(#[from] SyntaxError),
    /// A flag is out of its range.
    #[error(transparent)]
    Flag(#[from] PlanError),
    /// Neither backends nor shares.
    #[error("say what is asked about: --backends N for even shares, or --shares 90,10")]
    Nothing,
    /// Shares that are none.
    #[error("--shares: {0}; write at least two, above 0, that sum to 100")]
    Shares(String),
    /// It cannot be done.
    #[error(
        "that takes more than 1000000000 requests; allow a larger --tolerance, or a lower \
         --confidence or --power"
    )]
    TooMany,
}

impl SizeError {
    /// Lines that point at the place, where there is one to point at.
    #[must_use]
    pub fn pointer(&self) -> Option<String> {
        match self {
            Self::Syntax(error) => Some(error.pointer()),
            _ => None,
        }
    }
}

fn question(args: &PlanArgs) -> Result<Question, SizeError> {
    let number = |flag, value: String, right: &str| PlanError::Number {
        flag,
        value,
        right: right.to_owned(),
    };
    let right = "write points of share above 0% and below 100%";
    let tolerance = fraction("--tolerance", &args.tolerance, 1e-9..=0.999_999, right)?;
    let right = "write how often, from 0.5 to 0.999999, or in percent: 99%";
    let power = fraction("--power", &args.power, 0.5..=0.999_999, right)?;
    if !(args.miss >= 1e-15 && args.miss <= 0.5) {
        let right = "write a chance from 1e-15 to 0.5, such as 1e-6";
        return Err(number("--miss", args.miss.to_string(), right).into());
    }
    if args.requests.is_some_and(|n| n == 0 || n > MOST) {
        let given = args.requests.unwrap_or_default().to_string();
        return Err(number("-n", given, "write a number from 1 to 1000000000").into());
    }
    let risk = 1.0 - confidence(&args.confidence)?;
    Ok(Question { shares: shares(args)?, tolerance, risk, power, miss: args.miss })
}

fn shares(args: &PlanArgs) -> Result<Vec<f64>, SizeError> {
    match (args.backends, args.shares.as_slice()) {
        (Some(n), _) if (2..=10_000).contains(&n) => Ok(vec![1.0 / n as f64; n as usize]),
        (Some(n), _) => Err(PlanError::Number {
            flag: "--backends",
            value: n.to_string(),
            right: "write a number from 2 to 10000".to_owned(),
        }
        .into()),
        (None, []) => Err(SizeError::Nothing),
        (None, given) => {
            let sum: f64 = given.iter().sum();
            let wrong = |what: String| Err(SizeError::Shares(what));
            match given {
                [_] => wrong("one share alone".to_owned()),
                _ if given.iter().any(|share| share.is_nan() || *share <= 0.0) => {
                    wrong("not all are above 0".to_owned())
                }
                _ if (sum - 100.0).abs() > 0.1 => wrong(format!("they sum to {sum}")),
                _ => Ok(given.iter().map(|share| share / 100.0).collect()),
            }
        }
    }
}

/// Prints what a question takes, or what so many requests answer; returns the exit code.
pub(crate) fn run(args: &PlanArgs, out: &mut dyn Write) -> Result<u8, Error> {
    delivery::print(out, plan(args)?.as_bytes())?;
    Ok(0)
}

fn plan(args: &PlanArgs) -> Result<String, SizeError> {
    let question = question(args)?;
    match args.requests {
        None => forward(&question),
        Some(n) => Ok(reverse(&question, n)),
    }
}

fn named(shares: &[f64]) -> String {
    let even = shares.iter().all(|share| *share == shares[0]);
    if even {
        return format!("{} backends of {} % each", shares.len(), percent(shares[0]));
    }
    let list: Vec<_> = shares.iter().map(|share| format!("{} %", percent(*share))).collect();
    format!("shares of {}", list.join(", "))
}

fn forward(question: &Question) -> Result<String, SizeError> {
    let Question { shares, tolerance, risk, power, miss } = question;
    let (fixed, coverage) = (
        question.requests().ok_or(SizeError::TooMany)?,
        question.coverage().ok_or(SizeError::TooMany)?,
    );
    let sure = percent(1.0 - risk);
    let mut out = format!(
        "{}, within {} points, {sure} % sure\n\n  {:>10}  requests with -n: proven in {} % of runs if \
         the shares are so\n              (two one-sided exact binomial tests for each share: Clopper & \
         Pearson 1934)\n",
        named(shares),
        percent(*tolerance),
        fixed,
        percent(*power),
    );
    if let Some(sizes) = simulate::balance(shares, shares, *tolerance, *risk, fixed) {
        let _ = writeln!(
            out,
            "  {:>10}  requests on average without -n, where sampling ends once it is decided;\n{:14}\
             in 95 % of runs at most {} (mixture martingales: Robbins 1970; from {} runs)",
            sizes.mean, "", sizes.most, sizes.runs,
        );
    }
    let _ = writeln!(
        out,
        "  {coverage:>10}  requests until some backend was never seen with a chance of at most {miss:e}\n\
         {:14}(the sum over backends of (1 - share)^n: Boole's inequality)",
        "",
    );
    out.push_str("\nEach count is of independent answers: a connection each (--reuse never).\n");
    Ok(out)
}

fn reverse(question: &Question, n: u64) -> String {
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
            "that shares are within {} points of {}, in {} % of runs if they are",
            percent(tolerance),
            named(shares),
            percent(*power)
        ),
        None => format!("nothing of {}", named(shares)),
    };
    format!(
        "{n} independent answers prove, {sure} % sure:\n\n  {within}\n  that a group that gave none of \
         them has less than {} % of all (1 - (1 - confidence)^(1/n))\n  that errors are fewer than \
         {} %, if none was seen (the same)\n\nSome backend of these is never seen with a chance of \
         {:.1e}.\n",
        percent(unseen),
        percent(unseen),
        missed.min(1.0),
    )
}

#[cfg(test)]
mod tests;
