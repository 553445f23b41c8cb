//! The chunked transfer coding, read as it arrives. Pure.

use super::error::WireError;

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
                ChunkState::Size | ChunkState::DataEnd | ChunkState::Trailer => {
                    let Some(line) = line(rest)? else { return Ok(Progress { used, done: false }) };
                    used += line.len() + 2;
                    self.state = self.after(line)?;
                }
            }
        }
    }

    fn after(self, line: &[u8]) -> Result<ChunkState, WireError> {
        match self.state {
            ChunkState::DataEnd if line.is_empty() => Ok(ChunkState::Size),
            ChunkState::DataEnd => Err(WireError::Chunk),
            ChunkState::Trailer if line.is_empty() => Ok(ChunkState::Done),
            ChunkState::Trailer => Ok(ChunkState::Trailer),
            _ => {
                let digits = line.split(|byte| *byte == b';').next().unwrap_or_default();
                let digits = digits.trim_ascii();
                if digits.is_empty() || !digits.iter().all(u8::is_ascii_hexdigit) {
                    return Err(WireError::Chunk);
                }
                let text = std::str::from_utf8(digits).map_err(|_| WireError::Chunk)?;
                match u64::from_str_radix(text, 16).map_err(|_| WireError::Chunk)? {
                    0 => Ok(ChunkState::Trailer),
                    size => Ok(ChunkState::Data(size)),
                }
            }
        }
    }
}

/// The line at the start of `rest` without its CRLF; `None` if its end has not arrived.
fn line(rest: &[u8]) -> Result<Option<&[u8]>, WireError> {
    let window = &rest[..rest.len().min(MAX_CHUNK_LINE)];
    match window.iter().position(|byte| *byte == b'\n') {
        Some(0) => Err(WireError::Chunk),
        Some(end) if rest[end - 1] == b'\r' => Ok(Some(&rest[..end - 1])),
        Some(_) => Err(WireError::Chunk),
        None if window.len() == MAX_CHUNK_LINE => Err(WireError::Chunk),
        None => Ok(None),
    }
}
