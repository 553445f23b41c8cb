//! A request body whose bytes count as held: a message is collected until it is whole.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::body::{Body, Bytes, HttpBody};
use hyper::body::{Frame, SizeHint};

use crate::accounts::{Account, Share};

pub(super) struct Counted {
    body: Body,
    share: Share,
    bytes: usize,
}

impl Counted {
    pub(super) fn new(body: Body, account: &Arc<Account>) -> Self {
        Self { body, share: Share::none(account), bytes: 0 }
    }
}

impl HttpBody for Counted {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let polled = Pin::new(&mut self.body).poll_frame(cx);
        if let Poll::Ready(Some(Ok(frame))) = &polled {
            self.bytes += frame.data_ref().map_or(0, Bytes::len);
            let bytes = self.bytes;
            if !self.share.grow(bytes) {
                let refused = axum::Error::new("too many messages are held");
                return Poll::Ready(Some(Err(refused)));
            }
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
