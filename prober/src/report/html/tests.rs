//! The page as bytes: golden, safe, complete, bounded. What a browser makes of it is seen in
//! the integration tests.

use std::time::Duration;

use echo_reply::Identity;

use super::*;
use crate::report::samples;

fn page(report: &Report) -> String {
    String::from_utf8(render(report)).unwrap()
}
