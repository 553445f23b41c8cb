//! The answers of one row, counted as those of a run, and judged while they come.

use std::time::Duration;

use super::Judging;
use super::connections::Connections;
use super::line::Entry;
use crate::expectation::Expectation;
use crate::plan::Protocol;
use crate::report::{Row, RowResult};
use crate::tally::latency::Latency;
use crate::tally::outcome::{Answer, Outcome, Timings, Who, Wire};
use crate::tally::{Recorder, Remotes, Stopped, Tally};
use crate::verdict::{self, Rules, Sampling, sampling};

#[derive(Debug)]
pub(super) struct Sample<'a> {
    source: Option<String>,
    target: String,
    judging: &'a Judging,
    recorder: Recorder,
    /// The number of outcomes.
    counted: u64,
    /// The number at which they are judged next.
    next: u64,
    addresses: Remotes,
    /// The connections of the file that is being read.
    connections: Connections,
    /// The first and the last time of an outcome.
    times: Option<(u64, u64)>,
    /// Answers without a latency, and outcomes without a time.
    without_latency: u64,
    without_time: u64,
    stopped: Option<Stopped>,
}

impl<'a> Sample<'a> {
    pub(super) fn new(judging: &'a Judging, source: Option<String>, target: String) -> Self {
        Self {
            source,
            target,
            judging,
            recorder: Recorder::default().telling_apart(judging.rules.most_backends),
            counted: 0,
            next: sampling::pause(0).min(judging.most),
            addresses: Remotes::default(),
            connections: Connections::default(),
            times: None,
            without_latency: 0,
            without_time: 0,
            stopped: None,
        }
    }

    pub(super) fn stopped(&self) -> bool {
        self.stopped.is_some()
    }

    /// Counts an outcome, unless everything is decided.
    pub(super) fn add(&mut self, entry: Box<Entry>) {
        if self.stopped() {
            return;
        }
        match entry.at_us {
            Some(at) => {
                let (first, last) = self.times.unwrap_or((at, at));
                self.times = Some((first.min(at), last.max(at)));
            }
            None => self.without_time += 1,
        }
        self.record(&entry);
        self.counted += 1;
        if self.judging.rules.sampling == Sampling::UntilDecided && self.counted >= self.next {
            self.look();
        }
    }

    fn record(&mut self, entry: &Entry) {
        let took = Duration::from_micros(entry.latency_us.unwrap_or(0));
        let timings = Timings { total: took, service: took, ..Timings::default() };
        let (lane, wire) = match (&entry.result, &entry.connection) {
            (Err(_), _) => (0, Wire::None),
            (Ok(_), None) => (0, Wire::Fresh),
            (Ok(_), Some(name)) => self.connections.lane(name),
        };
        let remote = entry.address.map(|address| self.addresses.remote(address));
        let result = match &entry.result {
            Ok(identity) => {
                self.without_latency += u64::from(entry.latency_us.is_none());
                Ok(Answer { who: Who::Body(identity), attempt: entry.attempt, text: None })
            }
            Err(failure) => Err(failure.clone()),
        };
        let sequence = self.counted;
        let outcome = Outcome { timings, wire, remote, ..Outcome::fresh(sequence, result) };
        self.recorder.record_on(lane, outcome, 0, || Duration::ZERO);
    }

    /// The next file has its own names for connections.
    pub(super) fn forget_connections(&mut self) {
        self.connections.forget();
    }

    /// Judges what was counted so far, as a run does.
    fn look(&mut self) {
        let Judging { expectations, rules, most } = self.judging;
        let latencies = expectations.iter().any(Expectation::needs_latencies);
        let so_far = self.recorder.so_far(latencies);
        let tally = self.known(so_far);
        let least = sampling::least(rules.dependence, 1.0 - rules.confidence);
        self.next = sampling::next(self.counted, least).min((*most).max(self.counted + 1));
        if verdict::decided(&tally, expectations, &self.rules()) {
            self.stopped = Some(Stopped::Decided);
        } else if self.counted >= *most {
            self.stopped = Some(Stopped::Exhausted);
        }
    }

    /// The rules; a least time is for answers whose times are known.
    fn rules(&self) -> Rules {
        let rules = self.judging.rules.clone();
        if self.without_time == 0 { rules } else { Rules { min_time: Duration::ZERO, ..rules } }
    }

    /// The tally with the run's time, and without times that are not known of all.
    fn known(&self, mut tally: Tally) -> Tally {
        if let Some((first, last)) = self.times.filter(|_| self.without_time == 0) {
            tally.elapsed = Duration::from_micros(last - first);
        }
        if self.without_latency > 0 {
            for backend in tally.backends.values_mut() {
                (backend.fresh, backend.kept) = (Latency::default(), Latency::default());
            }
            tally.phases.service = Latency::default();
        }
        tally
    }

    /// The row of a report, judged.
    pub(super) fn row(mut self) -> Row {
        let recorder = std::mem::take(&mut self.recorder);
        let mut tally = self.known(recorder.into_tally());
        let (rules, expectations) = (self.rules(), &self.judging.expectations);
        if rules.sampling == Sampling::UntilDecided {
            // The file may have ended between two looks.
            let ended = match verdict::decided(&tally, expectations, &rules) {
                true => Stopped::Decided,
                false => Stopped::Ended,
            };
            tally.stopped = Some(self.stopped.unwrap_or(ended));
        }
        let verdicts = verdict::judge_all(&tally, expectations, &rules);
        // In a report, either every answer has an address or none.
        let addressed: u64 = tally.addresses.values().map(|address| address.answers).sum();
        if addressed < tally.answers() {
            tally.addresses.clear();
        }
        let url = match self.target.contains("://") {
            true => self.target.clone(),
            false => format!("http://{}", self.target),
        };
        Row {
            source: self.source,
            target: self.target,
            url,
            host: None,
            protocol: Protocol::Http1,
            address: None,
            result: RowResult::Probed { tally, verdicts },
            gone: Vec::new(),
            readings: None,
        }
    }
}
