//! At which hop a skew arose: what the Envoys on the way held and counted before and after a run
//! (`admin` reads it, `page` parses it, `evidence` is what is kept of it), beside the tally, makes
//! findings (`rules`). All but `admin` is pure.

pub(crate) mod admin;
pub(crate) mod admin_pages;
pub(crate) mod evidence;
pub(crate) mod finding;
pub(crate) mod rules;

pub(crate) use admin::Observation;
pub(crate) use evidence::Readings;
pub(crate) use finding::{Explanation, Finding};
pub(crate) use rules::explain;
