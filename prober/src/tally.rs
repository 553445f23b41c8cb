//! Counts and histograms of one row (a source and a target), by backend. Tallies of several threads
//! or runs merge without loss. Knows no HTTP. Pure.

mod events;
pub(crate) mod failover;
mod label;
pub(crate) mod latency;
pub(crate) mod meter;
mod order;
pub(crate) mod outcome;
mod recorder;
pub(crate) mod sketch;
pub(crate) mod timeline;
mod totals;

pub(crate) use events::{EventEnding, EventRecord};
pub(crate) use label::Label;
pub(crate) use order::{Agreement, GroupChains, LAGS, Order, Pairs};
pub(crate) use recorder::Recorder;
pub(crate) use totals::{
    AddressTally, BackendTally, FailureGroup, PassedOver, Phases, Punctuality, Stopped, Tally,
};

#[cfg(test)]
mod tests;
