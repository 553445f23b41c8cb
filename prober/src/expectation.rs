//! What must hold: the values of the expectation grammar, and how they print. `grammar` parses them;
//! errors point at the place and name the nearest valid form. Pure.

mod grammar;
mod words;

use std::fmt;
use std::time::Duration;

use crate::tally::Label;
#[cfg(test)]
pub(crate) use grammar::FORMS;
pub(crate) use grammar::parse;
pub(crate) use words::{SyntaxError, quoted, unquoted, without_comment};

/// Percentages are kept as they were written, in percent.
#[derive(Clone, Debug, PartialEq)]
pub enum Expectation {
    /// Every request was answered by an echo.
    NoErrors,
    /// The most requests that may fail.
    ErrorRate { percent: f64 },
    /// Envoy needed one attempt for each answer.
    NoRetries,
    /// A quantile of the latency of answers.
    Latency {
        /// In percent: 99 is the 99th percentile.
        quantile: f64,
        /// The answers of one group; `None` is all answers.
        of: Option<Group>,
        below: Duration,
    },
    /// The least number of answers per second.
    Throughput { per_second: f64 },
    Who {
        form: Form,
        label: Label,
        /// In the order given, each once.
        names: Vec<String>,
    },
    /// The share of each group is even.
    Balanced {
        /// The groups; empty means all that are configured or seen.
        names: Vec<String>,
        label: Label,
        /// In points of share.
        tolerance: f64,
    },
    /// Each group has its share.
    Shares {
        /// The groups and their shares in percent.
        shares: Vec<(String, f64)>,
        label: Label,
        /// In points of share.
        tolerance: f64,
    },
    /// The share of one group has a bound.
    Share {
        group: Group,
        side: Side,
        /// The bound.
        percent: f64,
    },
    /// After a fault, all requests are answered again within this time.
    Failover(Duration),
    /// After the recovery, the shares are as before within this time.
    Failback(Duration),
    /// The most requests that may fail after a fault.
    Lost { most: u64 },
}

/// The backends that share a label's value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    pub label: Label,
    /// The value.
    pub name: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// No other group answered.
    Only,
    /// Each group answered at least once.
    Reaches,
    /// Both.
    Exactly,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// `>=`.
    AtLeast,
    /// `<=`.
    AtMost,
}

impl Expectation {
    /// Whether it says how many requests may fail, or for how long. `failback` does not: it is about
    /// the shares after a recovery.
    #[must_use]
    fn limits_errors(&self) -> bool {
        matches!(
            self,
            Self::NoErrors | Self::ErrorRate { .. } | Self::Failover(_) | Self::Lost { .. }
        )
    }

    /// Whether it is about the time after a fault, and not about counts.
    #[must_use]
    pub fn needs_timeline(&self) -> bool {
        matches!(self, Self::Failover(_) | Self::Failback(_) | Self::Lost { .. })
    }

    /// Whether it is about latencies, so that histograms are needed to judge it.
    #[must_use]
    pub fn needs_latencies(&self) -> bool {
        matches!(self, Self::Latency { .. })
    }

    /// The label whose values it is about, if it is about who answers.
    #[must_use]
    pub fn label(&self) -> Option<Label> {
        match self {
            Self::Who { label, .. } | Self::Balanced { label, .. } | Self::Shares { label, .. } => {
                Some(*label)
            }
            Self::Share { group, .. } | Self::Latency { of: Some(group), .. } => Some(group.label),
            _ => None,
        }
    }

    /// Whether it is about who answers, and not about how fast.
    #[must_use]
    pub fn is_about_who_answers(&self) -> bool {
        !matches!(self, Self::Latency { .. }) && self.label().is_some()
    }

    /// The values of [`Self::label`] that it names.
    #[must_use]
    pub fn names(&self) -> Vec<&str> {
        match self {
            Self::Who { names, .. } | Self::Balanced { names, .. } => {
                names.iter().map(String::as_str).collect()
            }
            Self::Shares { shares, .. } => shares.iter().map(|(name, _)| name.as_str()).collect(),
            Self::Share { group, .. } | Self::Latency { of: Some(group), .. } => vec![&group.name],
            _ => Vec::new(),
        }
    }

    /// The clusters that it names.
    #[must_use]
    pub fn clusters(&self) -> Vec<&str> {
        if self.label() == Some(Label::Cluster) { self.names() } else { Vec::new() }
    }

    /// Whether it is about all clusters without naming them.
    #[must_use]
    pub fn is_about_all_clusters(&self) -> bool {
        matches!(self, Self::Balanced { names, label: Label::Cluster, .. } if names.is_empty())
    }

    /// Whether it is decided by a sample at a stated confidence, so that sampling can go on until then.
    #[must_use]
    pub fn is_statistical(&self) -> bool {
        let exact = matches!(self, Self::NoErrors | Self::NoRetries | Self::Throughput { .. });
        !exact && !self.needs_timeline()
    }
}

/// All that must hold: `errors = 0` stands before the others, unless one of them says how many
/// requests may fail.
#[must_use]
pub(crate) fn with_errors(mut given: Vec<Expectation>) -> Vec<Expectation> {
    if !given.iter().any(Expectation::limits_errors) {
        given.insert(0, Expectation::NoErrors);
    }
    given
}

impl Form {
    fn word(self) -> &'static str {
        match self {
            Self::Only => "only",
            Self::Reaches => "reaches",
            Self::Exactly => "exactly",
        }
    }
}

impl fmt::Display for Group {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{{{}={}}}", self.label.word(), quoted(&self.name))
    }
}

impl fmt::Display for Expectation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoErrors => f.write_str("errors = 0"),
            Self::ErrorRate { percent } => write!(f, "error-rate <= {percent}%"),
            Self::NoRetries => f.write_str("retried = 0"),
            Self::Latency { quantile, of, below } => {
                let of = of.as_ref().map(ToString::to_string).unwrap_or_default();
                write!(f, "p{quantile}{of} < {}", Time(*below))
            }
            Self::Throughput { per_second } => write!(f, "throughput >= {per_second}/s"),
            Self::Who { form, label, names } => {
                write!(f, "{} {}{}", form.word(), list(names), By(*label))
            }
            Self::Balanced { names, label, tolerance } => {
                let space = if names.is_empty() { "" } else { " " };
                write!(f, "balanced{space}{}{} ± {tolerance}%", list(names), By(*label))
            }
            Self::Shares { shares, label, tolerance } => {
                let each = shares.iter().map(|(name, share)| format!("{}={share}%", quoted(name)));
                let each: Vec<_> = each.collect();
                write!(f, "shares {}{} ± {tolerance}%", each.join(","), By(*label))
            }
            Self::Share { group, side, percent } => {
                let operator = if *side == Side::AtLeast { ">=" } else { "<=" };
                write!(f, "share{group} {operator} {percent}%")
            }
            Self::Failover(time) => write!(f, "failover < {}", Time(*time)),
            Self::Failback(time) => write!(f, "failback < {}", Time(*time)),
            Self::Lost { most } => write!(f, "lost <= {most}"),
        }
    }
}

/// Names as the grammar reads them.
fn list(names: &[String]) -> String {
    let names: Vec<_> = names.iter().map(|name| quoted(name)).collect();
    names.join(",")
}

/// ` by LABEL`; empty for the cluster, which is the default.
struct By(Label);

impl fmt::Display for By {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 == Label::Cluster { Ok(()) } else { write!(f, " by {}", self.0.word()) }
    }
}

/// A time as people write latencies: one number, also with a fraction (`80.5ms`), and one unit.
pub(crate) struct Time(pub(crate) Duration);

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let nanoseconds = self.0.as_nanos() as f64;
        match nanoseconds {
            ns if ns < 1e6 => write!(f, "{}us", ns / 1e3),
            ns if ns < 1e9 => write!(f, "{}ms", ns / 1e6),
            ns => write!(f, "{}s", ns / 1e9),
        }
    }
}

#[cfg(test)]
mod tests;
