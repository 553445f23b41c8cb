//! At which hop a skew arose: what the Envoys on the way held and counted before and after a run
//! (`admin` reads it, `page` parses it, `evidence` is what is kept of it), beside the tally, makes
//! findings (`rules`). All but `admin` is pure.

pub mod admin;
pub mod evidence;
pub mod finding;
pub mod page;
pub mod rules;

pub use admin::{Access, Envoy, Watch};
pub use evidence::Evidence;
pub use finding::{Cause, Explanation, Finding, Layer};
pub use rules::explain;
