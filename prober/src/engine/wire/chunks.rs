//! The chunked transfer coding, read as it arrives. Pure.

use super::error::{WireError, quoted};

/// Reads a chunked body as it arrives, and keeps the content of the chunks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Chunks {
    state: ChunkState,
}

/// What a read used of its input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Progress {
    /// Bytes of the input.
    pub used: usize,
    /// Whether the body is complete.
    pub done: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum ChunkState {
    #[default]
    Size,
    Data(u64),
    DataEnd,
    Trailer,
    Done,
}

/// The longest line with a chunk's size or a trailer, in bytes.
const MAX_CHUNK_LINE: usize = 4096;

impl Chunks {
    /// Reads from `input` and appends the chunks' content to `body`.
    pub(crate) fn read(&mut self, input: &[u8], body: &mut Vec<u8>) -> Result<Progress, WireError> {
        let mut used = 0;
        loop {
            let rest = &input[used..];
            match self.state {
                ChunkState::Done => return Ok(Progress { used, done: true }),
                ChunkState::Data(left) => {
                    let take = rest.len().min(usize::try_from(left).unwrap_or(usize::MAX));
                    if take == 0 {
                        return Ok(Progress { used, done: false });
                    }
                    body.extend_from_slice(&rest[..take]);
                    used += take;
                    let left = left - take as u64;
                    self.state =
                        if left == 0 { ChunkState::DataEnd } else { ChunkState::Data(left) };
                }
                ChunkState::DataEnd => match rest {
                    [] | [b'\r'] => return Ok(Progress { used, done: false }),
                    [b'\r', b'\n', ..] => {
                        used += 2;
                        self.state = ChunkState::Size;
                    }
                    _ => return Err(WireError::ChunkEnd(quoted(rest))),
                },
                ChunkState::Size | ChunkState::Trailer => {
                    let Some(line) = line(rest)? else { return Ok(Progress { used, done: false }) };
                    used += line.len() + 2;
                    self.state = match self.state {
                        ChunkState::Trailer if line.is_empty() => ChunkState::Done,
                        ChunkState::Trailer => ChunkState::Trailer,
                        _ => match size(line)? {
                            0 => ChunkState::Trailer,
                            size => ChunkState::Data(size),
                        },
                    };
                }
            }
        }
    }
}

/// The size that a line states: hexadecimal digits, perhaps spaces and an extension (RFC 9112, 7.1.1).
fn size(line: &[u8]) -> Result<u64, WireError> {
    let stated = line.split(|byte| *byte == b';').next().unwrap_or_default();
    let end = stated.iter().rposition(|byte| !b" \t".contains(byte)).map_or(0, |last| last + 1);
    let digits = &stated[..end];
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_hexdigit) {
        return Err(WireError::ChunkSize(quoted(line)));
    }
    let parsed =
        std::str::from_utf8(digits).ok().and_then(|text| u64::from_str_radix(text, 16).ok());
    parsed.ok_or_else(|| WireError::LargeChunk(quoted(digits)))
}

/// The line at the start of `rest` without its CRLF; `None` if its end has not arrived.
fn line(rest: &[u8]) -> Result<Option<&[u8]>, WireError> {
    let window = &rest[..rest.len().min(MAX_CHUNK_LINE)];
    match window.iter().position(|byte| *byte == b'\n') {
        Some(end) => match rest[..end].strip_suffix(b"\r") {
            Some(line) => Ok(Some(line)),
            None => Err(WireError::ChunkLine(quoted(&rest[..end]))),
        },
        None if window.len() == MAX_CHUNK_LINE => Err(WireError::LongChunkLine(MAX_CHUNK_LINE)),
        None => Ok(None),
    }
}
