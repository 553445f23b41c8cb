//! Scenarios: a mesh, a load, faults during the load, and what must be seen.

mod expect;
mod file;
mod run;

pub use file::{Scenario, read};
pub use run::{Outcome, Place, run};
