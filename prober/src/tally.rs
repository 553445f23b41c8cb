//! Counts and histograms of one row (a source and a target), by backend. Tallies of several threads
//! or runs merge without loss. Knows no HTTP. Pure.

pub(crate) mod collector;
mod events;
pub(crate) mod failover;
mod failures;
mod label;
pub(crate) mod latency;
pub(crate) mod meter;
mod order;
pub(crate) mod outcome;
mod recorder;
mod remotes;
pub(crate) mod sequence;
pub(crate) mod sketch;
pub(crate) mod timeline;
mod totals;
mod transport;

pub(crate) use events::{EventEnding, EventRecord};
pub(crate) use failures::FailureGroup;
pub(crate) use label::{Label, is_unknown};
pub(crate) use order::{Agreement, LAGS, Order};
pub(crate) use recorder::Recorder;
pub(crate) use remotes::{MOST_ADDRESSES, Remotes};
pub(crate) use sequence::{MOST_BACKENDS, Sequence};
pub(crate) use totals::{
    AddressTally, BackendTally, PassedOver, Phases, Punctuality, Stopped, Tally,
};
pub(crate) use transport::Transport;

#[cfg(test)]
mod tests;
