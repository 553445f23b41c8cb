//! HTTP/2: connections that several lanes share; each request is a stream.
//!
//! As for HTTP/1.1, the measured path has its own layer, because a general library costs more than
//! what it measures. With the crate h2, a request took 2.8 times the CPU time of h2load's, and its
//! limits against hostile peers failed requests that a fast server had answered.
//!
//! How a request goes: a lane takes the connection of its [`ConnectionSlot`], waits until the server
//! allows one more stream (`gate`), and appends its request to what the connection sends next. The
//! [`Driver`] of the thread writes all of that at once, reads the responses of many streams at once,
//! and wakes the lanes whose response is complete. The rules of the protocol are in `session`, without
//! I/O. The wait for the server's settings and for a stream counts as part of a request's time: it is
//! what a client with as many requests would wait.

mod connection;
mod driver;
mod failure;
mod frame;
#[cfg(fuzzing)]
pub(super) mod fuzzing;
mod gate;
mod head;
mod hpack;
mod request;
mod session;
mod slot;
mod stream;

pub(super) use connection::Lease;
pub(super) use driver::Driver;
pub(super) use slot::{ConnectionSlot, Taken};
