//! Why bytes are not a valid response, with what came.

/// The most response headers that are read.
pub(in crate::engine) const MAX_HEADERS: usize = 128;
/// The most interim responses before one final response.
pub(crate) const MAX_INTERIM: u16 = 100;
/// The most characters of what came that are quoted.
const MAX_QUOTED: usize = 60;

/// Why bytes are not a valid response. `Display` is one line; what it quotes is [`quoted`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum WireError {
    #[error("not HTTP: the answer begins with {0}")]
    NotHttp(String),
    #[error("the answer has the version {0}; only HTTP/1.0 and HTTP/1.1 are possible here")]
    Version(String),
    #[error("bad status line {line}: {wrong}")]
    StatusLine { line: String, wrong: &'static str },
    /// Codes from 600 do not exist either, but count as errors of the server (RFC 9110, 15).
    #[error("the status code {0:03} does not exist; status codes begin at 100")]
    Status(u16),
    #[error("more than {MAX_INTERIM} interim (1xx) responses came before the answer")]
    TooManyInterim,
    #[error("bad header {line}: {wrong}")]
    Header { line: String, wrong: &'static str },
    #[error("the response has more than {MAX_HEADERS} headers, prober's limit")]
    TooManyHeaders,
    #[error("bad header Content-Length: {0} is not a number of bytes")]
    Length(String),
    #[error("the response has two lengths: Content-Length is {0} and {1}")]
    TwoLengths(u64, u64),
    /// RFC 9112, 6.3: it ought to be handled as an error.
    #[error("the response has Content-Length and Transfer-Encoding, which contradict each other")]
    LengthAndEncoding,
    #[error("Transfer-Encoding is {0}; prober accepts only chunked, and asks for nothing else")]
    Encoding(String),
    #[error("Transfer-Encoding has chunked twice, which RFC 9112 (6.1) forbids")]
    ChunkedTwice,
    #[error("bad body: the chunk size {0} is not a hexadecimal number")]
    ChunkSize(String),
    #[error("bad body: the chunk size {0} is too large")]
    LargeChunk(String),
    #[error("bad body: {0} follows the content of a chunk, instead of a line end")]
    ChunkEnd(String),
    #[error("bad body: the line {0} of a chunked body ends with LF, not CRLF")]
    ChunkLine(String),
    #[error("bad body: a line of a chunked body has more than {0} bytes")]
    LongChunkLine(usize),
}

/// What came, in quotes: its first line, without control characters, bounded.
#[must_use]
pub(super) fn quoted(bytes: &[u8]) -> String {
    let end = bytes.iter().position(|byte| *byte == b'\n');
    let line = &bytes[..end.unwrap_or(bytes.len())];
    let line = match line.strip_suffix(b"\r").unwrap_or(line) {
        // A line end where something else belongs.
        b"" => &bytes[..end.map_or(bytes.len(), |end| end + 1)],
        line => line,
    };
    // What lies behind would not be quoted, whatever it is.
    let window = &line[..line.len().min(4 * MAX_QUOTED)];
    let mut text = String::new();
    for chunk in window.utf8_chunks() {
        for c in chunk.valid().chars() {
            match u8::try_from(c) {
                Ok(byte) if byte.is_ascii_control() => text.extend(escaped(byte)),
                _ if printable::is_hidden(c) => text.extend(c.escape_unicode()),
                _ => text.push(c),
            }
        }
        text.extend(chunk.invalid().iter().flat_map(|byte| escaped(*byte)));
    }
    if text.chars().count() > MAX_QUOTED {
        text = text.chars().take(MAX_QUOTED).collect();
        text.push('…');
    }
    format!("\"{text}\"")
}

fn escaped(byte: u8) -> impl Iterator<Item = char> {
    std::ascii::escape_default(byte).map(char::from)
}
