//! What became of the events of a run. Pure values.

use serde::{Deserialize, Serialize};

/// What became of an event.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EventRecord {
    /// When it was to begin, µs from the end of the warm-up.
    pub at_us: u64,
    /// When it did; `None` if the run ended before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub began_us: Option<u64>,
    /// The command.
    pub command: String,
    /// How long it ran.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub took_us: Option<u64>,
    /// How it ended.
    pub end: EventEnding,
    /// What it printed, stdout and stderr together, the first few KiB.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub output: String,
}

impl EventRecord {
    /// When it began, or was to begin, µs from the end of the warm-up.
    #[must_use]
    pub fn instant_us(&self) -> u64 {
        self.began_us.unwrap_or(self.at_us)
    }
}

/// How a command ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum EventEnding {
    /// With this code.
    Exit(i32),
    /// By this signal.
    Signal(i32),
    /// It was ended after the limit of time.
    TimedOut,
    /// It was ended because the run was interrupted.
    Interrupted,
    /// It could not be started, and why.
    NotStarted(String),
    /// The run ended before its instant.
    NotReached,
    /// There was nothing to run: a signal marked the instant.
    Marked,
}

impl EventEnding {
    /// In words.
    #[must_use]
    pub fn words(&self) -> String {
        match self {
            Self::Exit(0) => "done".into(),
            Self::Exit(code) => format!("failed with exit code {code}"),
            Self::Signal(signal) => format!("ended by signal {signal}"),
            Self::TimedOut => "ended after its limit of time".into(),
            Self::Interrupted => "ended with the run".into(),
            Self::NotStarted(why) => format!("did not start: {why}"),
            Self::NotReached => "not reached: the run ended before".into(),
            Self::Marked => "marked".into(),
        }
    }
}
