//! Why a step ends: one line each, and the exit code.

/// Why a step ended. Each text is one line.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// Something to correct before anything was changed.
    #[error("{0}")]
    ToCorrect(String),
    /// A command failed, or what was waited for did not come.
    #[error("{0}")]
    Failed(String),
    /// A program has printed its own reason; the exit code to pass on.
    #[error("exit code {0}")]
    Ended(u8),
}

pub(crate) type Result<T> = std::result::Result<T, Error>;
