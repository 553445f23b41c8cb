//! One file per command: flags → work → report → exit code. Measuring and printing are in the rooms
//! below.

pub(crate) mod compare;
mod error;
pub(crate) mod explain;
pub(crate) mod explain_run;
mod files;
pub(crate) mod judge;
pub(crate) mod manual;
pub(crate) mod matrix;
pub(crate) mod merge;
pub(crate) mod plan;
pub(crate) mod report;
pub(crate) mod run;
pub(crate) mod wait;
pub(crate) mod watch;

pub use error::Error;
