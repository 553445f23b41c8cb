//! One request → one outcome. Nothing is retried.

use std::error::Error as _;
use std::io;
use std::sync::Arc;

use echo_reply::headers::PROBE_ID;
use http::{HeaderValue, Request, Response, header};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use tokio::time::timeout;
use tokio_rustls::rustls::ClientConfig;

use crate::clock;
use crate::connect::{self, Body, Progress};
use crate::identity;
use crate::outcome::{Answer, Failure, FailureKind, Outcome};
use crate::plan::ProbePlan;
use crate::resolve::Names;

/// What all requests of one row share.
#[derive(Debug)]
pub struct Prober<'a> {
    /// The row.
    pub plan: &'a ProbePlan,
    /// The look-up of names; it belongs to one thread's runtime.
    pub names: Names,
    /// The client's side of TLS, for https.
    pub tls: Option<Arc<ClientConfig>>,
    /// Begins every probe id, so that an answer of another run is known as such.
    pub run_id: &'a str,
}

impl Prober<'_> {
    /// Sends request number `sequence` on a connection of its own and reads the answer.
    pub async fn once(&self, sequence: u64) -> Outcome {
        let start = clock::now();
        let mut progress = Progress::default();
        let mut stage = "no connection";
        let limit = self.plan.limits.total;
        let result = match timeout(limit, self.ask(sequence, &mut progress, &mut stage)).await {
            Ok(result) => result,
            Err(_) => Err(Failure::new(FailureKind::Timeout, format!("{stage} within {limit:?}"))),
        };
        let Progress { connected, passed_over } = progress;
        Outcome { sequence, result, total: clock::now() - start, connected, passed_over }
    }

    async fn ask(
        &self,
        sequence: u64,
        progress: &mut Progress,
        stage: &mut &'static str,
    ) -> Result<Answer, Failure> {
        let probe_id = format!("{}-{sequence}", self.run_id);
        let mut sender = connect::open(self.plan, &self.names, self.tls.as_ref(), progress).await?;
        *stage = "no response header";
        let request = self.request(&probe_id);
        let response = sender.send_request(request).await.map_err(|error| classify(&error))?;
        *stage = "the body did not end";
        let (head, body) = response.into_parts();
        let (body, whole) = read_body(body, self.plan.limits.body).await?;
        let response = Response::from_parts(head, ());
        if !response.status().is_success() {
            return Err(bad_status(&response, &body));
        }
        if !whole {
            let what = format!("the body is longer than {} bytes (--max-body)", body.len());
            return Err(Failure::new(FailureKind::Protocol, what));
        }
        self.identified(&response, &body, &probe_id, sequence < self.plan.show)
    }

    fn request(&self, probe_id: &str) -> Request<Body> {
        let mut request = Request::new(Body::new());
        *request.method_mut() = self.plan.request.method.clone();
        *request.uri_mut() = self.plan.target.path.clone();
        let headers = request.headers_mut();
        headers.clone_from(&self.plan.request.headers);
        let host = HeaderValue::from_str(&self.plan.target.authority);
        let host = host.unwrap_or_else(|_| HeaderValue::from_static(""));
        headers.entry(header::HOST).or_insert(host);
        if let Ok(id) = HeaderValue::from_str(probe_id) {
            headers.insert(PROBE_ID, id);
        }
        request
    }

    fn identified(
        &self,
        response: &Response<()>,
        body: &[u8],
        probe_id: &str,
        show: bool,
    ) -> Result<Answer, Failure> {
        let nobody = |what: String| Failure::new(FailureKind::Unidentified, what);
        let claim = identity::identify(response.headers(), body).ok_or_else(|| {
            let status = response.status().as_u16();
            nobody(format!("{status} from no echo: {}", quoted(body)))
        })?;
        if claim.probe.is_some_and(|probe| probe != probe_id) {
            return Err(nobody("the answer to another request (its x-echo-probe differs)".into()));
        }
        let text = show.then(|| identity::shown(body));
        Ok(Answer { identity: claim.identity, attempt: claim.attempt, text })
    }
}

/// Reads up to `limit` bytes; `false` if there were more.
async fn read_body(mut body: Incoming, limit: usize) -> Result<(Vec<u8>, bool), Failure> {
    let mut bytes = Vec::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| in_the_body(&error, bytes.len()))?;
        let Some(data) = frame.data_ref() else { continue };
        let room = limit - bytes.len();
        bytes.extend_from_slice(&data[..data.len().min(room)]);
        if data.len() > room {
            return Ok((bytes, false));
        }
    }
    Ok((bytes, true))
}

fn bad_status(response: &Response<()>, body: &[u8]) -> Failure {
    let status = response.status();
    let server = text_header(response, &header::SERVER).map(|server| format!(" from {server}"));
    let leads = status.is_redirection().then(|| text_header(response, &header::LOCATION)).flatten();
    let what = match leads {
        Some(location) => format!("{status} to {location} (redirects are not followed)"),
        None => format!("{status}{}: {}", server.unwrap_or_default(), quoted(body)),
    };
    Failure::new(FailureKind::Status, what)
}

fn text_header<'a>(response: &'a Response<()>, name: &header::HeaderName) -> Option<&'a str> {
    response.headers().get(name)?.to_str().ok()
}

fn quoted(body: &[u8]) -> String {
    let text = String::from_utf8_lossy(body);
    match text.trim() {
        "" => "no body".to_owned(),
        text => format!("\"{text}\""),
    }
}

/// What kind of failure an error of the HTTP connection is.
#[must_use]
pub fn classify(error: &hyper::Error) -> Failure {
    let io = error.source().and_then(|source| source.downcast_ref::<io::Error>());
    if let Some(failure) = io.and_then(of_tls) {
        return failure;
    }
    let gone = "the connection was closed before an answer";
    match io.map(io::Error::kind) {
        Some(io::ErrorKind::ConnectionReset) => {
            Failure::new(FailureKind::Reset, "the connection was reset before an answer")
        }
        Some(io::ErrorKind::BrokenPipe | io::ErrorKind::UnexpectedEof) => {
            Failure::new(FailureKind::Reset, gone)
        }
        _ if error.is_incomplete_message() || error.is_canceled() || error.is_closed() => {
            Failure::new(FailureKind::Reset, gone)
        }
        // hyper has a method for this, but only for servers.
        _ if error.is_parse() && error.to_string().contains("too large") => {
            Failure::new(FailureKind::Protocol, "the response header is too large")
        }
        _ if error.is_parse() || error.is_parse_status() => {
            Failure::new(FailureKind::Protocol, format!("not HTTP: {}", with_causes(error)))
        }
        Some(_) => Failure::new(FailureKind::Reset, with_causes(error)),
        None => Failure::new(FailureKind::Protocol, with_causes(error)),
    }
}

/// TLS 1.3 lets a server refuse the client's certificate after the handshake, so
/// that the first to hear of it is who reads the answer.
fn of_tls(error: &io::Error) -> Option<Failure> {
    let tls = error.get_ref()?.downcast_ref::<tokio_rustls::rustls::Error>()?;
    Some(Failure::new(FailureKind::Tls, format!("TLS broke off after the handshake: {tls}")))
}

fn in_the_body(error: &hyper::Error, read: usize) -> Failure {
    let io = error.source().and_then(|source| source.downcast_ref::<io::Error>());
    if let Some(failure) = io.and_then(of_tls) {
        return failure;
    }
    match io.map(io::Error::kind) {
        Some(io::ErrorKind::ConnectionReset) => {
            let what = format!("the connection was reset in the body, after {read} bytes");
            Failure::new(FailureKind::Reset, what)
        }
        Some(io::ErrorKind::UnexpectedEof) => {
            let what = format!("the connection was closed in the body, after {read} bytes");
            Failure::new(FailureKind::Reset, what)
        }
        _ if error.is_incomplete_message() || error.is_closed() => {
            let what = format!("the connection was closed in the body, after {read} bytes");
            Failure::new(FailureKind::Reset, what)
        }
        _ => Failure::new(FailureKind::Protocol, format!("bad body: {}", with_causes(error))),
    }
}

fn with_causes(error: &hyper::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        let more = inner.to_string();
        if !text.contains(&more) {
            text = format!("{text}: {more}");
        }
        cause = inner.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::pin::Pin;
    use std::task::{Context, Poll, Waker};
    use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
    use tokio_rustls::rustls::{AlertDescription, Error};

    /// A connection that, once asked, ends as after a refused client certificate.
    #[derive(Default)]
    struct Refused {
        asked: bool,
        reader: Option<Waker>,
    }

    impl AsyncRead for Refused {
        fn poll_read(
            mut self: Pin<&mut Self>,
            context: &mut Context<'_>,
            _: &mut ReadBuf<'_>,
        ) -> Poll<io::Result<()>> {
            if !self.asked {
                self.reader = Some(context.waker().clone());
                return Poll::Pending;
            }
            let alert = Error::AlertReceived(AlertDescription::CertificateRequired);
            Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidData, alert)))
        }
    }

    impl AsyncWrite for Refused {
        fn poll_write(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
            bytes: &[u8],
        ) -> Poll<io::Result<usize>> {
            self.asked = true;
            if let Some(reader) = self.reader.take() {
                reader.wake();
            }
            Poll::Ready(Ok(bytes.len()))
        }

        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }

        fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }

    #[test]
    fn a_client_certificate_refused_after_the_handshake_is_a_failure_of_tls() {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let error = runtime.block_on(async {
            let io = hyper_util::rt::TokioIo::new(Refused::default());
            let (mut sender, connection) =
                hyper::client::conn::http1::handshake::<_, Body>(io).await.unwrap();
            let (answer, _) =
                tokio::join!(sender.send_request(Request::new(Body::new())), connection);
            answer.unwrap_err()
        });
        let failure = classify(&error);
        assert_eq!(failure.kind, FailureKind::Tls, "{failure:?}");
        assert!(failure.what.contains("CertificateRequired"), "{failure:?}");
    }
}
