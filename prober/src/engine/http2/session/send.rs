//! Bodies of requests, within the windows of the server.

use super::{LARGE, Session};
use crate::engine::http2::frame::{FRAME_SIZE, FrameHeader, flag, kind};

impl Session {
    /// Appends the bodies that wait to what is to be sent, a frame of each in turn, as far as the
    /// server's windows allow it.
    pub(super) fn send_bodies(&mut self) {
        let mut blocked = 0;
        while blocked < self.sending.len() && self.unsent().len() < LARGE {
            let Some((place, id)) = self.sending.pop_front() else { return };
            match self.send_part(place, id) {
                Some(0) => {
                    blocked += 1;
                    self.sending.push_back((place, id));
                }
                Some(_) => {
                    blocked = 0;
                    self.sending.push_back((place, id));
                }
                // Complete, or given up.
                None => {}
            }
        }
    }

    /// Appends a frame of a body. Returns how many bytes it has; `None` if nothing is left.
    fn send_part(&mut self, place: usize, id: u32) -> Option<usize> {
        let stream = &mut self.streams[place];
        if stream.id != id {
            return None;
        }
        let upload = stream.upload.as_mut()?;
        let window = i64::from(self.server.window) + stream.credit;
        let allowed = usize::try_from(self.send_window.min(window)).unwrap_or(0);
        let length = allowed.min(upload.len()).min(self.server.frame_size.min(FRAME_SIZE));
        if length == 0 {
            return Some(0);
        }
        let last = length == upload.len();
        let flags = if last { flag::END_STREAM } else { 0 };
        FrameHeader { length, kind: kind::DATA, flags, stream: id }.write(&mut self.out);
        self.out.extend_from_slice(&upload.split_to(length));
        self.send_window -= length as i64;
        stream.credit -= length as i64;
        if last {
            stream.upload = None;
            return None;
        }
        Some(length)
    }
}
