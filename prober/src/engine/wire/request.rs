//! Requests as bytes that are written once and then numbered in place. Pure.

use std::ops::Range;

use echo_reply::headers as names;
use http::header;

use crate::plan::{Header, ProbePlan};

/// Hex digits of a request's number in its probe id.
const DIGITS: usize = 12;

/// A request's bytes, and where its probe id is in them.
#[derive(Clone, Debug)]
pub(crate) struct RequestBytes {
    bytes: Vec<u8>,
    id: Range<usize>,
}

/// The probe id of a request: its run, and its number in the run.
#[must_use]
pub(crate) fn probe_id(run_id: &str, sequence: u64) -> String {
    format!("{run_id}-{sequence:0DIGITS$x}")
}

/// Replaces the number in a probe id.
pub(in crate::engine) fn number_in_place(probe_id: &mut [u8], sequence: u64) {
    let mut rest = sequence;
    for digit in probe_id.iter_mut().rev().take(DIGITS) {
        *digit = b"0123456789abcdef"[(rest & 15) as usize];
        rest >>= 4;
    }
}

impl RequestBytes {
    /// The request of a plan; its probe id starts with `run_id`.
    #[must_use]
    pub(crate) fn new(plan: &ProbePlan, run_id: &str) -> Self {
        let line = format!("{} {} HTTP/1.1\r\n", plan.request.method, plan.target.path);
        let mut bytes = line.into_bytes();
        // RFC 9112 recommends that Host comes first.
        let headers = &plan.request.headers;
        let host = headers.iter().filter(|header| header.name == header::HOST);
        // Another probe id would make every answer that returns it a copy.
        let others = headers
            .iter()
            .filter(|header| header.name != header::HOST && header.name != names::PROBE_ID);
        for Header { spelling, value, .. } in host.chain(others) {
            bytes.extend_from_slice(spelling.as_bytes());
            bytes.extend_from_slice(b": ");
            bytes.extend_from_slice(value.as_bytes());
            bytes.extend_from_slice(b"\r\n");
        }
        bytes.extend_from_slice(format!("{}: ", names::PROBE_ID).as_bytes());
        let start = bytes.len();
        bytes.extend_from_slice(probe_id(run_id, 0).as_bytes());
        let id = start..bytes.len();
        bytes.extend_from_slice(b"\r\n\r\n");
        Self { bytes, id }
    }

    /// The bytes of the request with this number.
    pub(crate) fn numbered(&mut self, sequence: u64) -> &[u8] {
        number_in_place(&mut self.bytes[self.id.clone()], sequence);
        &self.bytes
    }

    /// The probe id of the request that was numbered last.
    #[must_use]
    pub(crate) fn id(&self) -> &[u8] {
        &self.bytes[self.id.clone()]
    }
}
