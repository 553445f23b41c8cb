//! Counts outcomes on the hot path: no allocation for a backend that is known,
//! no lock. One for each thread; what it holds in the end is a [`Tally`].

use std::collections::HashMap;

use echo_reply::Identity;

use super::{BackendTally, PassedOver, Tally};
use crate::outcome::{Answer, Outcome, Timings, Who, Wire};
use crate::wire::Head;

/// Between the values of a key; it stands in no header value.
const SEPARATOR: u8 = 0;

/// Counts the outcomes of one thread.
#[derive(Debug, Default)]
pub struct Recorder {
    /// Everything but the backends.
    tally: Tally,
    backends: Vec<(Identity, BackendTally)>,
    /// Values of the identity's headers → place in `backends`.
    by_key: HashMap<Box<[u8]>, usize>,
    /// The key of the answer before, and its place: most often the next one's too.
    last: (Vec<u8>, usize),
    /// The key of this answer; kept for its room.
    key: Vec<u8>,
}

impl Recorder {
    /// Counts one outcome; its line is kept while its number is below `show`.
    pub fn record(&mut self, outcome: Outcome<'_>, show: u64) {
        let Outcome { sequence, result, timings, wire, passed_over } = outcome;
        self.tally.connections += u64::from(wire == Wire::Fresh);
        for (address, why) in passed_over {
            self.tally.pass_over(address, PassedOver { count: 1, why });
        }
        let line = match result {
            Ok(answer) => self.answered(answer, &timings, wire),
            Err(failure) => Some(self.tally.failed(failure)),
        };
        if sequence < show
            && let Some(line) = line
        {
            self.tally.shown.insert(sequence, line);
        }
    }

    /// Everything counted.
    #[must_use]
    pub fn into_tally(self) -> Tally {
        let mut tally = self.tally;
        for (identity, counted) in self.backends {
            tally.backends.entry(identity).or_default().merge(&counted);
        }
        tally
    }

    /// What is not about single outcomes.
    pub fn tally_mut(&mut self) -> &mut Tally {
        &mut self.tally
    }

    fn answered(&mut self, answer: Answer<'_>, timings: &Timings, wire: Wire) -> Option<String> {
        let place = match answer.who {
            Who::Headers(head, buffer) => self.place_of(head, buffer),
            Who::Body(identity) => self.place_of_identity(identity),
        };
        let (_, backend) = &mut self.backends[place];
        backend.answers += 1;
        backend.retried += u64::from(answer.attempt.is_some_and(|attempt| attempt > 1));
        if wire == Wire::Kept {
            backend.kept.record(timings.total);
        } else {
            backend.connections += 1;
            backend.fresh.record(timings.total);
        }
        let phases = &mut self.tally.phases;
        let parts = [
            (timings.dns, &mut phases.dns),
            (timings.connect, &mut phases.connect),
            (timings.tls, &mut phases.tls),
            (timings.first_byte, &mut phases.first_byte),
        ];
        for (time, phase) in parts {
            if let Some(time) = time {
                phase.record(time);
            }
        }
        phases.service.record(timings.service);
        answer.text
    }

    fn place_of(&mut self, head: &Head, buffer: &[u8]) -> usize {
        self.key.clear();
        for value in head.identity(buffer) {
            self.key.extend_from_slice(value);
            self.key.push(SEPARATOR);
        }
        self.place_of_key(|| identity(head, buffer))
    }

    fn place_of_identity(&mut self, identity: &Identity) -> usize {
        self.key.clear();
        for value in identity.values() {
            self.key.extend_from_slice(value.unwrap_or_default().as_bytes());
            self.key.push(SEPARATOR);
        }
        self.place_of_key(|| identity.clone())
    }

    fn place_of_key(&mut self, identity: impl FnOnce() -> Identity) -> usize {
        if self.key == self.last.0 && !self.backends.is_empty() {
            return self.last.1;
        }
        let place = match self.by_key.get(self.key.as_slice()) {
            Some(place) => *place,
            None => {
                self.backends.push((identity(), BackendTally::default()));
                self.by_key.insert(self.key.as_slice().into(), self.backends.len() - 1);
                self.backends.len() - 1
            }
        };
        self.last.0.clone_from(&self.key);
        self.last.1 = place;
        place
    }
}

/// The identity that a head's headers state; bytes that are no UTF-8 are replaced.
fn identity(head: &Head, buffer: &[u8]) -> Identity {
    let mut values = head
        .identity(buffer)
        .map(|value| (!value.is_empty()).then(|| String::from_utf8_lossy(value).into_owned()));
    let mut next = || values.next().flatten();
    Identity {
        pod: next().unwrap_or_default(),
        cluster: next().unwrap_or_default(),
        namespace: next(),
        node: next(),
        region: next(),
        zone: next(),
        network: next(),
        version: next(),
    }
}
