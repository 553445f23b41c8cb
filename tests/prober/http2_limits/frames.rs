//! HTTP/2 servers that write each frame themselves, so that they can do what a library would not.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use crate::servers::Server;

pub(super) const DATA: u8 = 0;
pub(super) const HEADERS: u8 = 1;
pub(super) const PRIORITY: u8 = 2;
pub(super) const RST_STREAM: u8 = 3;
pub(super) const SETTINGS: u8 = 4;
pub(super) const PING: u8 = 6;
pub(super) const GOAWAY: u8 = 7;
pub(super) const WINDOW_UPDATE: u8 = 8;
pub(super) const CONTINUATION: u8 = 9;

pub(super) const ACK: u8 = 1;
pub(super) const END_STREAM: u8 = 1;
pub(super) const END_HEADERS: u8 = 4;
pub(super) const PADDED: u8 = 8;
pub(super) const WITH_PRIORITY: u8 = 0x20;

pub(super) const MAX_STREAMS: u8 = 3;
pub(super) const INITIAL_WINDOW: u8 = 4;

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

pub(super) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).expect("a short payload").to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

pub(super) fn settings(settings: &[(u8, u32)]) -> Vec<u8> {
    let bytes = |(id, value): &(u8, u32)| [&[0, *id][..], &value.to_be_bytes()].concat();
    frame(SETTINGS, 0, 0, &settings.iter().flat_map(bytes).collect::<Vec<_>>())
}

/// A block of headers that leaves nothing in the table.
pub(super) fn block(fields: &[(&str, &str)]) -> Vec<u8> {
    let text = |text: &str| {
        let length = u8::try_from(text.len()).ok().filter(|n| *n < 127).expect("a short text");
        [&[length], text.as_bytes()].concat()
    };
    fields.iter().flat_map(|(name, value)| [vec![0], text(name), text(value)].concat()).collect()
}

pub(super) fn headers(stream: u32, fields: &[(&str, &str)], end: u8) -> Vec<u8> {
    frame(HEADERS, END_HEADERS | end, stream, &block(fields))
}

/// The headers of an echo's answer.
pub(super) const ECHO: &[(&str, &str)] =
    &[(":status", "200"), ("x-echo-pod", "p1"), ("x-echo-cluster", "kops")];

/// An echo's answer without a body.
pub(super) fn answer(stream: u32) -> Vec<u8> {
    headers(stream, ECHO, END_STREAM)
}

/// A frame of the client.
#[derive(Clone, Debug)]
pub(super) struct Frame {
    pub(super) kind: u8,
    pub(super) flags: u8,
    pub(super) stream: u32,
    pub(super) payload: Vec<u8>,
}

impl Frame {
    /// Whether it acknowledges this kind of frame.
    pub(super) fn acknowledges(&self, kind: u8) -> bool {
        (self.kind, self.flags) == (kind, ACK)
    }

    /// Whether it ends the request of its stream.
    pub(super) fn ends_request(&self) -> bool {
        (self.kind == HEADERS || self.kind == DATA) && self.flags & END_STREAM != 0
    }
}

/// The server's side of a connection.
pub(super) struct Peer {
    stream: TcpStream,
}

impl Peer {
    /// The next frame; `None` when the connection ended.
    pub(super) fn read(&mut self) -> Option<Frame> {
        let mut head = [0; 9];
        self.stream.read_exact(&mut head).ok()?;
        let [a, b, c, kind, flags, stream @ ..] = head;
        let mut payload = vec![0; u32::from_be_bytes([0, a, b, c]) as usize];
        self.stream.read_exact(&mut payload).ok()?;
        Some(Frame { kind, flags, stream: u32::from_be_bytes(stream), payload })
    }

    /// The next frame, or `None` if none came for a while.
    pub(super) fn read_soon(&mut self) -> Option<Frame> {
        if self.has_more(Duration::from_millis(50)) { self.read() } else { None }
    }

    /// Whether the client sends something, or has ended the connection, within a time.
    pub(super) fn has_more(&self, within: Duration) -> bool {
        self.stream.set_read_timeout(Some(within)).expect("a timeout");
        let waiting = self.stream.peek(&mut [0]).is_ok();
        self.stream.set_read_timeout(None).expect("none");
        waiting
    }

    /// Whether the client has ended the connection.
    pub(super) fn has_ended(&self) -> bool {
        self.has_more(Duration::from_millis(1)) && self.stream.peek(&mut [0]).is_ok_and(|n| n == 0)
    }

    /// Sends frames; whether the client still takes them.
    pub(super) fn write(&mut self, bytes: &[u8]) -> bool {
        self.stream.write_all(bytes).is_ok()
    }

    /// Sends an answer to each request, made of its frame and its number on the connection, until the
    /// connection ends.
    pub(super) fn answer_each(&mut self, mut answer: impl FnMut(&Frame, u32) -> Vec<u8>) {
        let mut number = 0;
        while let Some(frame) = self.read() {
            if frame.ends_request() {
                number += 1;
                if !self.write(&answer(&frame, number)) {
                    return;
                }
            }
        }
    }
}

/// A server that passes each connection to `serve`, once the client's preface came.
pub(super) fn server(serve: impl Fn(Peer, u64) + Send + Sync + 'static) -> Server {
    Server::start(move |mut stream, number| {
        let mut preface = [0; PREFACE.len()];
        if stream.read_exact(&mut preface).is_ok() && preface == PREFACE {
            let _ = stream.set_nodelay(true);
            serve(Peer { stream }, number);
        }
    })
}

/// A server with default settings that answers each request so.
pub(super) fn answering(answer: impl Fn(&Frame, u32) -> Vec<u8> + Send + Sync + 'static) -> Server {
    server(move |mut peer, _| {
        peer.write(&settings(&[]));
        peer.answer_each(&answer);
    })
}
