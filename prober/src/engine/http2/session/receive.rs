//! Frames of the server.

use std::time::Instant;

use super::{CONNECTION_WINDOW, MAX_REPLIES, Session, stream_window};
use crate::engine::http2::failure::{Ended, StreamFailure, Violation, foreign, reset};
use crate::engine::http2::frame::{
    self, ErrorCode, FRAME_SIZE, FrameHeader, HEADER, MAX_STREAM, MAX_WINDOW, flag, kind, number,
    setting, unpadded,
};
use crate::engine::http2::hpack::TABLE_SIZE;
use crate::engine::http2::request::ServerTable;
use crate::engine::http2::stream::Progress;

/// The most bytes of a block of headers. Headers within the limit of their size take less, unless
/// they are encoded badly on purpose.
const MAX_BLOCK: usize = 4 * crate::engine::response::MAX_HEAD;
/// The most CONTINUATION frames of a block of headers.
const MAX_CONTINUATIONS: u32 = 1_024;

/// A block of headers whose end has not arrived.
#[derive(Debug)]
pub(super) struct HeaderBlock {
    stream: u32,
    last: bool,
    bytes: Vec<u8>,
    continuations: u32,
}

impl Session {
    /// Takes what came from the server.
    pub(in crate::engine::http2) fn receive(&mut self, bytes: &[u8], now: Instant) {
        if self.partial.is_empty() {
            let used = self.frames(bytes, now);
            self.partial.extend_from_slice(&bytes[used..]);
        } else {
            let mut joined = std::mem::take(&mut self.partial);
            joined.extend_from_slice(bytes);
            let used = self.frames(&joined, now);
            joined.drain(..used);
            self.partial = joined;
        }
        self.send_bodies();
    }

    /// Takes all whole frames. Returns how many bytes they have.
    fn frames(&mut self, bytes: &[u8], now: Instant) -> usize {
        let mut used = 0;
        while self.ended.is_none() {
            let rest = &bytes[used..];
            let Some(header) = FrameHeader::read(rest) else { break };
            let starts = (header.kind, header.flags & flag::ACK) == (kind::SETTINGS, 0);
            // A server may refuse a connection before it says anything else.
            let refuses = header.kind == kind::GOAWAY && header.stream == 0 && header.length >= 8;
            if !self.server.known && !starts && !refuses {
                self.end(foreign(rest));
                break;
            }
            let length = header.length;
            if length > FRAME_SIZE {
                let what = format!("a frame has {length} bytes, more than {FRAME_SIZE}");
                self.violate(Violation::new(ErrorCode::FRAME_SIZE_ERROR, what));
                break;
            }
            let Some(payload) = rest.get(HEADER..HEADER + length) else { break };
            used += HEADER + length;
            if let Err(violation) = self.frame(header, payload, now) {
                self.violate(violation);
            }
        }
        used
    }

    fn frame(
        &mut self,
        header: FrameHeader,
        payload: &[u8],
        now: Instant,
    ) -> Result<(), Violation> {
        if self.block.is_some() && header.kind != kind::CONTINUATION {
            return Err(Violation::protocol("a block of headers has no end"));
        }
        let of_stream = matches!(
            header.kind,
            kind::DATA | kind::HEADERS | kind::RST_STREAM | kind::CONTINUATION
        );
        if of_stream || (header.kind == kind::WINDOW_UPDATE && header.stream != 0) {
            self.check_stream(header.stream)?;
        }
        match header.kind {
            kind::DATA => self.data(header, payload, now),
            kind::HEADERS => self.headers(header, payload, now),
            kind::CONTINUATION => self.continuation(header, payload, now),
            kind::RST_STREAM => self.rst_stream(header, payload),
            kind::SETTINGS => self.settings(header, payload),
            kind::PING => self.ping(header, payload),
            kind::GOAWAY => self.goaway(payload),
            kind::WINDOW_UPDATE => self.window_update(header, payload, now),
            kind::PUSH_PROMISE => Err(Violation::protocol("it pushes, which prober forbade")),
            kind::PRIORITY if payload.len() != 5 => Err(wrong_size("PRIORITY")),
            _ => Ok(()),
        }
    }

    /// Refuses frames of streams that were never opened. What comes for a stream that was closed may
    /// have been under way.
    fn check_stream(&self, stream: u32) -> Result<(), Violation> {
        if stream.is_multiple_of(2) || stream >= self.next_id {
            let what = format!("a frame is for the stream {stream}, which was not opened");
            return Err(Violation::protocol(what));
        }
        Ok(())
    }

    fn data(&mut self, header: FrameHeader, payload: &[u8], now: Instant) -> Result<(), Violation> {
        // A frame is not longer than FRAME_SIZE, and all of it counts, with its padding.
        let length = payload.len() as u32;
        let over = || {
            let what = "it sends more than the flow control allows";
            Violation::new(ErrorCode::FLOW_CONTROL_ERROR, what)
        };
        self.used += length;
        if self.used > CONNECTION_WINDOW {
            return Err(over());
        }
        if self.used >= CONNECTION_WINDOW / 2 {
            frame::window_update(0, self.used, &mut self.out);
            self.used = 0;
        }
        let too_long = || Violation::protocol("the padding of a frame is longer than the frame");
        let data = unpadded(header, payload).ok_or_else(too_long)?;
        let Some(&place) = self.open.get(&header.stream) else { return Ok(()) };
        let (stream, last) = (&mut self.streams[place], header.has(flag::END_STREAM));
        stream.window = stream.window.checked_sub(length).ok_or_else(over)?;
        stream.used += length;
        let progress = stream.data(data, last, self.body_limit);
        if progress == Ok(Progress::More) && stream.used >= stream_window(self.body_limit) / 2 {
            frame::window_update(stream.id, stream.used, &mut self.out);
            stream.window += stream.used;
            stream.used = 0;
        }
        self.after(place, progress, now);
        Ok(())
    }

    fn headers(
        &mut self,
        header: FrameHeader,
        payload: &[u8],
        now: Instant,
    ) -> Result<(), Violation> {
        let too_long = || Violation::protocol("the padding of a frame is longer than the frame");
        let block = unpadded(header, payload).ok_or_else(too_long)?;
        let priority = if header.has(flag::PRIORITY) { 5 } else { 0 };
        let block = block.get(priority..).ok_or_else(|| wrong_size("HEADERS"))?;
        let last = header.has(flag::END_STREAM);
        if header.has(flag::END_HEADERS) {
            return self.header_block(header.stream, last, block, now);
        }
        let bytes = block.to_vec();
        self.block = Some(HeaderBlock { stream: header.stream, last, bytes, continuations: 0 });
        Ok(())
    }

    fn continuation(
        &mut self,
        header: FrameHeader,
        payload: &[u8],
        now: Instant,
    ) -> Result<(), Violation> {
        let Some(mut block) = self.block.take().filter(|block| block.stream == header.stream)
        else {
            return Err(Violation::protocol("a CONTINUATION frame continues nothing"));
        };
        block.continuations += 1;
        block.bytes.extend_from_slice(payload);
        if block.bytes.len() > MAX_BLOCK {
            let what = format!("a block of headers has more than {MAX_BLOCK} bytes");
            return Err(Violation::limit(what));
        }
        if block.continuations > MAX_CONTINUATIONS {
            let what = format!("headers came in more than {MAX_CONTINUATIONS} CONTINUATION frames");
            return Err(Violation::limit(what));
        }
        if header.has(flag::END_HEADERS) {
            return self.header_block(block.stream, block.last, &block.bytes, now);
        }
        self.block = Some(block);
        Ok(())
    }

    /// Takes a whole block of headers. Also that of a closed stream must be decoded, since it changes
    /// the table.
    fn header_block(
        &mut self,
        id: u32,
        last: bool,
        block: &[u8],
        now: Instant,
    ) -> Result<(), Violation> {
        let place = self.open.get(&id).copied();
        let mut stream = place.map(|place| &mut self.streams[place]);
        let decoded = self.decoder.decode(block, |field| {
            if let Some(stream) = &mut stream {
                stream.head.field(field, &mut stream.buffers.buffer);
            }
        });
        decoded.map_err(|_| {
            let what = "the headers of a response cannot be decompressed";
            Violation::new(ErrorCode::COMPRESSION_ERROR, what)
        })?;
        if let (Some(stream), Some(place)) = (stream, place) {
            let progress = stream.end_block(last, now);
            self.after(place, progress, now);
        }
        Ok(())
    }

    /// Ends a stream if its response is complete or not valid. The rest of the exchange is not wanted
    /// then.
    fn after(&mut self, place: usize, progress: Result<Progress, Violation>, now: Instant) {
        let stream = &self.streams[place];
        let (id, uploading) = (stream.id, stream.upload.is_some());
        let (ended, reset) = match progress {
            Ok(Progress::More) => return,
            // The server answered before it had the whole request.
            Ok(Progress::Complete) => (Ok(now), uploading.then_some(ErrorCode::NO_ERROR)),
            Ok(Progress::Enough) => (Ok(now), Some(ErrorCode::CANCEL)),
            Err(violation) => {
                let failure = violation.failure();
                (Err(StreamFailure { failure, stream_only: true }), Some(violation.code))
            }
        };
        if let Some(code) = reset {
            frame::rst_stream(id, code, &mut self.out);
        }
        self.complete(place, ended);
    }

    fn rst_stream(&mut self, header: FrameHeader, payload: &[u8]) -> Result<(), Violation> {
        let code = number(payload).filter(|_| payload.len() == 4);
        let code = ErrorCode(code.ok_or_else(|| wrong_size("RST_STREAM"))?);
        if let Some(&place) = self.open.get(&header.stream) {
            let failure = reset(code, self.streams[place].in_body());
            self.complete(place, Err(StreamFailure { failure, stream_only: true }));
        }
        Ok(())
    }

    fn settings(&mut self, header: FrameHeader, payload: &[u8]) -> Result<(), Violation> {
        if header.stream != 0 {
            return Err(Violation::protocol("settings came for a stream"));
        }
        let (settings, rest) = payload.as_chunks::<6>();
        if !rest.is_empty() || (header.has(flag::ACK) && !settings.is_empty()) {
            return Err(wrong_size("SETTINGS"));
        }
        if header.has(flag::ACK) {
            return Ok(());
        }
        for [a, b, value @ ..] in settings {
            self.setting(u16::from_be_bytes([*a, *b]), u32::from_be_bytes(*value))?;
        }
        self.server.known = true;
        self.reply(frame::settings_ack)
    }

    fn setting(&mut self, id: u16, value: u32) -> Result<(), Violation> {
        match id {
            setting::MAX_CONCURRENT_STREAMS => self.gate.set_limit(value),
            setting::HEADER_TABLE_SIZE if (value as usize) < TABLE_SIZE => {
                self.server_table = ServerTable::Shrunk;
            }
            setting::INITIAL_WINDOW_SIZE if value > MAX_WINDOW => {
                let what = format!("a window of {value} bytes is too large");
                return Err(Violation::new(ErrorCode::FLOW_CONTROL_ERROR, what));
            }
            setting::INITIAL_WINDOW_SIZE => self.server.window = value,
            setting::MAX_FRAME_SIZE => {
                let size = value as usize;
                if !(FRAME_SIZE..1 << 24).contains(&size) {
                    let what = format!("{value} is not a valid maximum of the size of frames");
                    return Err(Violation::protocol(what));
                }
                self.server.frame_size = size;
            }
            _ => {}
        }
        Ok(())
    }

    fn ping(&mut self, header: FrameHeader, payload: &[u8]) -> Result<(), Violation> {
        if payload.len() != 8 {
            return Err(wrong_size("PING"));
        }
        if header.stream != 0 {
            return Err(Violation::protocol("a PING came for a stream"));
        }
        match header.has(flag::ACK) {
            true => Ok(()),
            false => self.reply(|out| frame::ping_ack(payload, out)),
        }
    }

    /// Appends a reply, of which only so many may wait to be sent.
    fn reply(&mut self, write: impl FnOnce(&mut Vec<u8>)) -> Result<(), Violation> {
        let before = self.out.len();
        write(&mut self.out);
        self.replies += self.out.len() - before;
        if self.replies > MAX_REPLIES {
            let what = format!(
                "the server sends PING or SETTINGS frames and does not read the replies, of which \
                 {MAX_REPLIES} bytes wait"
            );
            return Err(Violation::limit(what));
        }
        Ok(())
    }

    fn goaway(&mut self, payload: &[u8]) -> Result<(), Violation> {
        let (Some(last), Some(code)) = (number(payload), payload.get(4..).and_then(number)) else {
            return Err(wrong_size("GOAWAY"));
        };
        let (last, code) = (last & MAX_STREAM, ErrorCode(code));
        if self.goaway.is_none() {
            self.ended_idle = self.is_idle() && self.next_id > 1;
        }
        self.gate.close();
        if !self.server.known {
            self.end(Ended::GoAway(code));
        }
        let lower = self.goaway.is_none_or(|(before, _)| last < before);
        self.goaway = Some((last, code));
        if lower {
            let above = self.open.iter().filter(|(id, _)| **id > last).map(|(_, place)| *place);
            for place in above.collect::<Vec<_>>() {
                let failure = Ended::GoAway(code).failure(self.streams[place].in_body());
                self.complete(place, Err(StreamFailure { failure, stream_only: false }));
            }
        }
        Ok(())
    }

    fn window_update(
        &mut self,
        header: FrameHeader,
        payload: &[u8],
        now: Instant,
    ) -> Result<(), Violation> {
        let increment = number(payload).filter(|_| payload.len() == 4);
        let increment = increment.ok_or_else(|| wrong_size("WINDOW_UPDATE"))? & MAX_WINDOW;
        if increment == 0 {
            return Err(Violation::protocol("it enlarges a window by 0 bytes"));
        }
        let too_large = || {
            let what = "it enlarges a window beyond 2^31 - 1 bytes";
            Violation::new(ErrorCode::FLOW_CONTROL_ERROR, what)
        };
        if header.stream == 0 {
            self.send_window += i64::from(increment);
            return if self.send_window > i64::from(MAX_WINDOW) {
                Err(too_large())
            } else {
                Ok(())
            };
        }
        if let Some(&place) = self.open.get(&header.stream) {
            let stream = &mut self.streams[place];
            stream.credit += i64::from(increment);
            if stream.credit + i64::from(self.server.window) > i64::from(MAX_WINDOW) {
                self.after(place, Err(too_large()), now);
            }
        }
        Ok(())
    }
}

fn wrong_size(frame: &str) -> Violation {
    Violation::new(ErrorCode::FRAME_SIZE_ERROR, format!("a {frame} frame has a wrong size"))
}
