//! HTTP/2 frames (RFC 9113, 4 and 6) as bytes. Pure.

use std::fmt;

/// Bytes of a frame's header.
pub(super) const HEADER: usize = 9;
/// The largest frame that a peer accepts unless it says otherwise, and that prober accepts.
pub(super) const FRAME_SIZE: usize = 16_384;
/// The size of a window unless a setting or an update says otherwise.
pub(super) const WINDOW: u32 = 65_535;
/// The largest window.
pub(super) const MAX_WINDOW: u32 = (1 << 31) - 1;
/// The largest number of a stream.
pub(super) const MAX_STREAM: u32 = (1 << 31) - 1;

/// What a client sends first.
pub(super) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// The types of frames; others are ignored.
pub(super) mod kind {
    pub(in crate::engine::http2) const DATA: u8 = 0;
    pub(in crate::engine::http2) const HEADERS: u8 = 1;
    pub(in crate::engine::http2) const PRIORITY: u8 = 2;
    pub(in crate::engine::http2) const RST_STREAM: u8 = 3;
    pub(in crate::engine::http2) const SETTINGS: u8 = 4;
    pub(in crate::engine::http2) const PUSH_PROMISE: u8 = 5;
    pub(in crate::engine::http2) const PING: u8 = 6;
    pub(in crate::engine::http2) const GOAWAY: u8 = 7;
    pub(in crate::engine::http2) const WINDOW_UPDATE: u8 = 8;
    pub(in crate::engine::http2) const CONTINUATION: u8 = 9;
}

pub(super) mod flag {
    pub(in crate::engine::http2) const ACK: u8 = 0x1;
    pub(in crate::engine::http2) const END_STREAM: u8 = 0x1;
    pub(in crate::engine::http2) const END_HEADERS: u8 = 0x4;
    pub(in crate::engine::http2) const PADDED: u8 = 0x8;
    pub(in crate::engine::http2) const PRIORITY: u8 = 0x20;
}

pub(super) mod setting {
    pub(in crate::engine::http2) const HEADER_TABLE_SIZE: u16 = 1;
    pub(in crate::engine::http2) const ENABLE_PUSH: u16 = 2;
    pub(in crate::engine::http2) const MAX_CONCURRENT_STREAMS: u16 = 3;
    pub(in crate::engine::http2) const INITIAL_WINDOW_SIZE: u16 = 4;
    pub(in crate::engine::http2) const MAX_FRAME_SIZE: u16 = 5;
    pub(in crate::engine::http2) const MAX_HEADER_LIST_SIZE: u16 = 6;
}

/// An error code (RFC 9113, 7).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ErrorCode(pub u32);

impl ErrorCode {
    pub(super) const NO_ERROR: Self = Self(0);
    pub(super) const PROTOCOL_ERROR: Self = Self(1);
    pub(super) const FLOW_CONTROL_ERROR: Self = Self(3);
    pub(super) const FRAME_SIZE_ERROR: Self = Self(6);
    pub(super) const CANCEL: Self = Self(8);
    pub(super) const COMPRESSION_ERROR: Self = Self(9);
    pub(super) const ENHANCE_YOUR_CALM: Self = Self(11);

    const NAMES: [&str; 14] = [
        "NO_ERROR",
        "PROTOCOL_ERROR",
        "INTERNAL_ERROR",
        "FLOW_CONTROL_ERROR",
        "SETTINGS_TIMEOUT",
        "STREAM_CLOSED",
        "FRAME_SIZE_ERROR",
        "REFUSED_STREAM",
        "CANCEL",
        "COMPRESSION_ERROR",
        "CONNECT_ERROR",
        "ENHANCE_YOUR_CALM",
        "INADEQUATE_SECURITY",
        "HTTP_1_1_REQUIRED",
    ];
}

impl fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match Self::NAMES.get(self.0 as usize) {
            Some(name) => f.write_str(name),
            None => write!(f, "error code {}", self.0),
        }
    }
}

/// The header of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct FrameHeader {
    /// Bytes after the header.
    pub length: usize,
    pub kind: u8,
    pub flags: u8,
    pub stream: u32,
}

impl FrameHeader {
    /// The header at the start of `bytes`; `None` if its end has not arrived.
    pub(super) fn read(bytes: &[u8]) -> Option<Self> {
        let [a, b, c, kind, flags, stream @ ..] = bytes.first_chunk::<HEADER>()?;
        Some(Self {
            length: u32::from_be_bytes([0, *a, *b, *c]) as usize,
            kind: *kind,
            flags: *flags,
            stream: u32::from_be_bytes(*stream) & MAX_STREAM,
        })
    }

    pub(super) fn has(self, flag: u8) -> bool {
        self.flags & flag != 0
    }

    pub(super) fn write(self, into: &mut Vec<u8>) {
        let [_, a, b, c] = (self.length as u32).to_be_bytes();
        let [s, t, u, v] = self.stream.to_be_bytes();
        into.extend_from_slice(&[a, b, c, self.kind, self.flags, s, t, u, v]);
    }
}

/// The part of a frame's payload without its padding; `None` if the padding is longer than that.
pub(super) fn unpadded(header: FrameHeader, payload: &[u8]) -> Option<&[u8]> {
    if !header.has(flag::PADDED) {
        return Some(payload);
    }
    let (padding, rest) = payload.split_first()?;
    rest.get(..rest.len().checked_sub(usize::from(*padding))?)
}

/// The number at the start of a payload.
pub(super) fn number(payload: &[u8]) -> Option<u32> {
    payload.first_chunk().map(|bytes| u32::from_be_bytes(*bytes))
}

fn put(kind: u8, flags: u8, stream: u32, payload: &[u8], into: &mut Vec<u8>) {
    FrameHeader { length: payload.len(), kind, flags, stream }.write(into);
    into.extend_from_slice(payload);
}

pub(super) fn settings(settings: &[(u16, u32)], into: &mut Vec<u8>) {
    FrameHeader { length: 6 * settings.len(), kind: kind::SETTINGS, flags: 0, stream: 0 }
        .write(into);
    for (id, value) in settings {
        into.extend_from_slice(&id.to_be_bytes());
        into.extend_from_slice(&value.to_be_bytes());
    }
}

pub(super) fn settings_ack(into: &mut Vec<u8>) {
    put(kind::SETTINGS, flag::ACK, 0, &[], into);
}

pub(super) fn ping_ack(payload: &[u8], into: &mut Vec<u8>) {
    put(kind::PING, flag::ACK, 0, payload, into);
}

pub(super) fn window_update(stream: u32, increment: u32, into: &mut Vec<u8>) {
    put(kind::WINDOW_UPDATE, 0, stream, &increment.to_be_bytes(), into);
}

pub(super) fn rst_stream(stream: u32, code: ErrorCode, into: &mut Vec<u8>) {
    put(kind::RST_STREAM, 0, stream, &code.0.to_be_bytes(), into);
}

/// The server started no streams, so that the last one is 0.
pub(super) fn goaway(code: ErrorCode, into: &mut Vec<u8>) {
    let [a, b, c, d] = code.0.to_be_bytes();
    put(kind::GOAWAY, 0, 0, &[0, 0, 0, 0, a, b, c, d], into);
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn error_codes_have_the_names_of_the_rfc() {
        assert_eq!(ErrorCode::ENHANCE_YOUR_CALM.to_string(), "ENHANCE_YOUR_CALM");
        assert_eq!(ErrorCode::COMPRESSION_ERROR.to_string(), "COMPRESSION_ERROR");
        assert_eq!(ErrorCode(13).to_string(), "HTTP_1_1_REQUIRED");
        assert_eq!(ErrorCode(14).to_string(), "error code 14");
    }

    #[test]
    fn padding_is_taken_off() {
        let header = |flags| FrameHeader { length: 0, kind: kind::DATA, flags, stream: 1 };
        assert_eq!(unpadded(header(0), b"\x02ab"), Some(&b"\x02ab"[..]));
        assert_eq!(unpadded(header(flag::PADDED), b"\x02ab\0\0"), Some(&b"ab"[..]));
        assert_eq!(unpadded(header(flag::PADDED), b"\x02\0\0"), Some(&b""[..]));
        assert_eq!(unpadded(header(flag::PADDED), b"\x03\0\0"), None);
        assert_eq!(unpadded(header(flag::PADDED), b""), None);
    }

    proptest! {
        #[test]
        fn a_header_is_read_as_it_was_written(
            length in 0usize..1 << 24, kind: u8, flags: u8, stream in 0u32..1 << 31,
        ) {
            let (header, mut bytes) = (FrameHeader { length, kind, flags, stream }, Vec::new());
            header.write(&mut bytes);
            prop_assert_eq!(FrameHeader::read(&bytes), Some(header));
            prop_assert_eq!(FrameHeader::read(&bytes[..8]), None);
        }
    }
}
