//! A body during which its request counts as in flight. What waits to be sent by HTTP/2 counts as
//! held, because a client decides when it may be sent.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::body::{Bytes, HttpBody};
use axum::http::{Request, Version};
use hyper::body::{Frame, SizeHint};

use super::activity::Busy;
use crate::accounts::{Account, InFlight, Share};
use crate::answer::Content;

/// What a request of HTTP/2 holds besides its headers and its answer, in bytes.
const REQUEST: usize = 512;
/// What a header field holds besides its name and value, in bytes.
const FIELD: usize = 64;
/// Up to this size, the share of the request is enough for a part of its answer, in bytes.
const SMALL: usize = 1 << 10;

/// What is held for a request until its answer is sent.
pub(super) struct HeldFor {
    busy: Busy,
    _in_flight: Option<InFlight>,
    /// With HTTP/2, for what HTTP/1 holds once per connection.
    share: Option<Arc<Share>>,
    account: Option<Arc<Account>>,
}

impl HeldFor {
    /// `None` if too much is held already.
    pub(super) fn begin<B>(
        busy: Busy,
        account: Option<&Arc<Account>>,
        request: &Request<B>,
    ) -> Option<Self> {
        let in_flight = account.map(Account::begin);
        let account = account.filter(|_| request.version() == Version::HTTP_2).cloned();
        let share = match &account {
            Some(account) if account.take_streams() => {
                Some(Arc::new(Share::take(account, size(request))?))
            }
            Some(_) => return None,
            None => None,
        };
        Some(Self { busy, _in_flight: in_flight, share, account })
    }

    /// The same bytes; what is held for them is given back with the last of them.
    fn counted(&self, bytes: Bytes) -> Result<Bytes, axum::Error> {
        let (Some(account), Some(request)) = (&self.account, &self.share) else {
            return Ok(bytes);
        };
        let part = if bytes.len() > SMALL { bytes.len() } else { 0 };
        let share = Share::take(account, part)
            .ok_or_else(|| axum::Error::new("too much is held for all"))?;
        Ok(Bytes::from_owner(Counted { bytes, _shares: (share, Arc::clone(request)) }))
    }
}

fn size<B>(request: &Request<B>) -> usize {
    let fields = request.headers().iter();
    let fields = fields.map(|(name, value)| name.as_str().len() + value.len() + FIELD);
    let target = request.uri().path_and_query().map_or(0, |target| target.as_str().len());
    REQUEST + target + fields.sum::<usize>()
}

/// A part of an answer, which HTTP/2 may keep for long.
struct Counted {
    bytes: Bytes,
    _shares: (Share, Arc<Share>),
}

impl AsRef<[u8]> for Counted {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

pub(super) struct Held {
    body: Content,
    request: HeldFor,
    /// Whether a part was handed over that may wait to be sent.
    waits: bool,
}

impl Held {
    pub(super) fn new(body: Content, request: HeldFor) -> Self {
        Self { body, request, waits: false }
    }

    /// The part that was handed over last is sent: the next one is wanted, or the answer has ended.
    fn sent(&mut self) {
        if std::mem::take(&mut self.waits) {
            self.request.busy.sent();
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
        let Poll::Ready(Some(Ok(frame))) = polled else { return polled };
        self.waits = self.request.busy.handed_over();
        let frame = match frame.into_data() {
            Ok(bytes) => self.request.counted(bytes).map(Frame::data),
            Err(trailers) => Ok(trailers),
        };
        Poll::Ready(Some(frame))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
