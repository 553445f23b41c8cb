//! A body during which its request counts as in flight.

use std::pin::Pin;
use std::task::{Context, Poll};

use axum::body::{Bytes, HttpBody};
use hyper::body::{Frame, SizeHint};

use super::activity::Busy;
use crate::accounts::InFlight;
use crate::answer::Content;

pub(super) struct Held {
    body: Content,
    busy: Busy,
    _in_flight: Option<InFlight>,
    /// Whether a part was handed over that may wait to be sent.
    waits: bool,
}

impl Held {
    pub(super) fn new(body: Content, busy: Busy, in_flight: Option<InFlight>) -> Self {
        Self { body, busy, _in_flight: in_flight, waits: false }
    }

    /// The part that was handed over last is sent: the next one is wanted, or there is none.
    fn sent(&mut self) {
        if std::mem::take(&mut self.waits) {
            self.busy.sent();
        }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.sent();
    }
}

impl HttpBody for Held {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        self.sent();
        let polled = Pin::new(&mut self.body).poll_frame(cx);
        if matches!(polled, Poll::Ready(Some(Ok(_)))) {
            self.waits = self.busy.handed_over();
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
