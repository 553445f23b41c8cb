//! At which hop a skew arose. `admin` reads the Envoys on the way before and after a run,
//! `admin_pages` parses their pages, `evidence` keeps the relevant part, and `rules` turns it and
//! the tally into findings. All but `admin` is pure.

pub(crate) mod admin;
pub(crate) mod admin_pages;
pub(crate) mod evidence;
pub(crate) mod finding;
pub(crate) mod rules;

pub(crate) use admin::Observation;
pub(crate) use evidence::Readings;
pub(crate) use finding::{Explanation, Finding};
pub(crate) use rules::explain;
