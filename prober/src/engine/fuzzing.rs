//! Responses that nobody trusts, for `fuzz/`.

use super::http2;
use super::wire::{Chunks, Head};

/// The head of an HTTP/1.1 response: a part of a head never has a result of its own.
pub fn http1(bytes: &[u8]) {
    let mut buffer = bytes.to_vec();
    let Ok(Some(head)) = Head::read_unfolding(&mut buffer, false) else { return };
    assert!(head.length <= buffer.len(), "the head is within the buffer");
    for value in head.identity(&buffer) {
        assert!(value.len() <= head.length);
    }
    let mut part = bytes[..head.length - 1].to_vec();
    assert!(!matches!(Head::read_unfolding(&mut part, false), Ok(Some(_))), "it was not complete");
}

/// A chunked body: in two pieces it is what it is in one. The first byte says where it is cut.
pub fn chunks(bytes: &[u8]) {
    let Some((&at, bytes)) = bytes.split_first() else { return };
    let read = |pieces: &[&[u8]]| {
        let (mut chunks, mut body, mut rest) = (Chunks::default(), Vec::new(), Vec::new());
        for piece in pieces {
            rest.extend_from_slice(piece);
            let progress = chunks.read(&rest, &mut body).ok()?;
            assert!(progress.used <= rest.len());
            rest.drain(..progress.used);
            if progress.done {
                return Some((true, body));
            }
        }
        Some((false, body))
    };
    let (first, second) = bytes.split_at(usize::from(at).min(bytes.len()));
    assert_eq!(read(&[bytes]), read(&[first, second]));
}

/// An HTTP/2 connection whose server sends these bytes after two requests. The first byte says how
/// long the pieces are in which they come.
pub fn http2(bytes: &[u8]) {
    let Some((&length, bytes)) = bytes.split_first() else { return };
    http2::fuzzing::play(bytes.chunks(usize::from(length).max(1)));
}
