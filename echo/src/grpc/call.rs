//! What the server knows of a gRPC call beside its message. It travels in the request's
//! extensions.

use crate::describe::Arrival;

#[derive(Clone, Debug)]
pub(crate) struct Call {
    /// The URL as the client asked for it.
    pub(crate) url: String,
    pub(crate) arrival: Arrival,
}
