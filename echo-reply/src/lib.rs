//! The wire format between `echo` and `prober`: the text line, the response
//! headers and the JSON reply. Pure: no sockets, no files, no clock.

pub mod headers;
mod identity;
mod reply;
mod text;

pub use identity::{Identity, UNKNOWN_CLUSTER};
pub use reply::{Called, CertificateElement, Reply, SCHEMA, SentBody, TlsFacts};
pub use text::{MAX_VALUE, TextLine, printable};
