//! What the server knows of a gRPC call beside its message. It travels in the request's
//! extensions.

use crate::describe::Arrival;

/// What a service is told of a call beside its message.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    /// The URL as the client asked for it.
    pub(crate) url: String,
    /// How it came.
    pub(crate) arrival: Arrival,
}
