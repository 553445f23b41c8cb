//! The events of a run and how they ended. Pure values.

use serde::{Deserialize, Serialize};

/// An event of a run: a command, or a mark.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EventRecord {
    /// When it should have started, µs from the end of the warm-up.
    pub at_us: u64,
    /// When it started; `None` if the run ended before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub began_us: Option<u64>,
    pub command: String,
    /// How long it ran, µs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub took_us: Option<u64>,
    pub end: EventEnding,
    /// The first few KiB of stdout and stderr.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub output: String,
}

impl EventRecord {
    /// When it started or should have started, µs from the end of the warm-up.
    #[must_use]
    pub fn instant_us(&self) -> u64 {
        self.began_us.unwrap_or(self.at_us)
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum EventEnding {
    Exit(i32),
    Signal(i32),
    /// It was killed at its time limit.
    TimedOut,
    /// It was killed because the run was interrupted.
    Interrupted,
    /// Why it could not be started.
    NotStarted(String),
    NotReached,
    /// No command: a signal marked the instant.
    Marked,
}

impl EventEnding {
    #[must_use]
    pub fn words(&self) -> String {
        match self {
            Self::Exit(0) => "done".into(),
            Self::Exit(code) => format!("failed with exit code {code}"),
            Self::Signal(signal) => format!("killed by signal {signal}"),
            Self::TimedOut => "killed after its time limit".into(),
            Self::Interrupted => "killed with the run".into(),
            Self::NotStarted(why) => format!("did not start: {why}"),
            Self::NotReached => "not started: the run ended before".into(),
            Self::Marked => "marked".into(),
        }
    }
}
