//! Why bytes are not a valid response.

/// The most response headers that are read.
pub(super) const MAX_HEADERS: usize = 128;

/// Why bytes are not a valid response. `Display` is one line without parts that differ from
/// request to request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum WireError {
    #[error("not HTTP: {0}")]
    Head(&'static str),
    #[error("the response has more than {MAX_HEADERS} headers")]
    TooManyHeaders,
    /// Two lengths, or a length and chunks.
    #[error("the response states its length twice, and differently")]
    TwoLengths,
    #[error("the response's content-length is not a number")]
    Length,
    #[error("the response has a transfer-encoding other than chunked")]
    Encoding,
    #[error("bad body: invalid chunk")]
    Chunk,
}
