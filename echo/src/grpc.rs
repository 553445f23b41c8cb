//! gRPC on the echo port: the echo service, health and reflection. The initial metadata of
//! every response holds the identity headers. The transport is the connection's HTTP/2;
//! nothing here listens.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::Request;
use axum::http::header::CONTENT_TYPE;
use axum::http::request::Parts;
use axum::http::{HeaderMap, Method, StatusCode, Version};
use axum::response::Response;
use futures_util::StreamExt as _;
use tonic::{Code, Status};
use tower::ServiceExt as _;
use tower::util::BoxCloneSyncService;

use crate::accounts::{Account, Share};
use crate::describe::Describer;
use crate::faults::{self, Drawn};
use crate::readiness::Readiness;

mod call;
mod echo_service;
mod health;
#[rustfmt::skip]
#[expect(unreachable_pub, reason = "generated code, kept as the generator writes it")]
mod v1;

pub(crate) use call::Call;
use echo_service::EchoService;
use health::Health;
use tonic_health::pb::health_server::HealthServer;
use v1::echo_service_server::EchoServiceServer;

/// In bytes.
pub(crate) const MAX_MESSAGE: usize = 1 << 20;
/// The time limit for the message of a call.
const MESSAGE_TIMEOUT: Duration = crate::body::BODY_TIMEOUT;
/// The compiled echo.proto, for reflection.
const DESCRIPTORS: &[u8] = include_bytes!("grpc/v1.bin");

type Service = BoxCloneSyncService<Request, Response<tonic::body::Body>, Infallible>;

#[derive(Debug)]
pub(crate) struct Services {
    echo: EchoServiceServer<EchoService>,
    health: HealthServer<Health>,
    reflection: Option<[(&'static str, Service); 2]>,
}

/// Whether a request is a gRPC call (and not gRPC-Web or another dialect).
pub(crate) fn is_call(method: &Method, version: Version, headers: &HeaderMap) -> bool {
    version == Version::HTTP_2
        && method == Method::POST
        && headers.get(CONTENT_TYPE).is_some_and(|kind| {
            let rest = kind.as_bytes().strip_prefix(b"application/grpc");
            let rest = rest.map(|rest| rest.strip_prefix(b"+proto").unwrap_or(rest));
            rest.is_some_and(|rest| matches!(rest.first(), None | Some(b';')))
        })
}

impl Services {
    pub(crate) fn new(describer: Arc<Describer>, readiness: Readiness) -> Self {
        let echo = EchoServiceServer::new(EchoService { describer });
        let health = HealthServer::new(Health { readiness });
        Self {
            echo: echo.max_decoding_message_size(MAX_MESSAGE),
            health: health.max_decoding_message_size(MAX_MESSAGE),
            reflection: reflection().ok(),
        }
    }

    /// Answers a call. What comes of its message counts as held. A call of an unknown service gets
    /// `Unimplemented`.
    pub(crate) async fn answer(
        &self,
        request: Request,
        account: Option<&Arc<Account>>,
    ) -> Response {
        let request = match account {
            Some(account) => request.map(|body| counted(body, account)),
            None => request,
        };
        let uri = request.uri().clone();
        let service = uri.path().split('/').nth(1).unwrap_or_default();
        let answering = async {
            match service {
                v1::echo_service_server::SERVICE_NAME => {
                    infallible(self.echo.clone().oneshot(request).await)
                }
                tonic_health::pb::health_server::SERVICE_NAME => {
                    infallible(self.health.clone().oneshot(request).await)
                }
                name => {
                    let mut reflections = self.reflection.iter().flatten();
                    match reflections.find(|(known, _)| *known == name) {
                        Some((_, reflection)) => {
                            infallible(reflection.clone().oneshot(request).await)
                        }
                        None => refusal(
                            Code::Unimplemented,
                            "unknown service; use reflection to list the services",
                        ),
                    }
                }
            }
        };
        match tokio::time::timeout(MESSAGE_TIMEOUT, answering).await {
            Ok(response) => response.map(Body::new),
            Err(_) => {
                refusal(Code::DeadlineExceeded, "the message did not arrive in time").map(Body::new)
            }
        }
    }
}

/// A request body whose bytes count as held: a message is collected until it is whole.
fn counted(body: Body, account: &Arc<Account>) -> Body {
    let (mut share, mut bytes) = (Share::none(account), 0);
    Body::from_stream(body.into_data_stream().map(move |data| {
        let data = data?;
        bytes += data.len();
        let refused = || axum::Error::new("too many messages are held");
        share.grow(bytes).then_some(data).ok_or_else(refused)
    }))
}

/// The faults that a call asks for, drawn.
pub(crate) fn faults(head: &Parts) -> Result<Option<Drawn>, faults::Refusal> {
    let Some(asked) = faults::asked(head)? else { return Ok(None) };
    let drawn = asked.draw(|| fastrand::u64(..));
    drawn.fits_calls().map(|()| Some(drawn))
}

/// The answer to a call that asks for an invalid fault.
pub(crate) fn invalid(why: &str) -> Response {
    refusal(Code::InvalidArgument, why).map(Body::new)
}

/// The answer to a call that fails with an HTTP status, as a gRPC code
/// (grpc/grpc, doc/http-grpc-status-mapping.md).
pub(crate) fn failed(status: StatusCode) -> Response {
    let code = match status.as_u16() {
        400 => Code::Internal,
        401 => Code::Unauthenticated,
        403 => Code::PermissionDenied,
        404 => Code::Unimplemented,
        429 | 502..=504 => Code::Unavailable,
        _ => Code::Unknown,
    };
    refusal(code, "failed by a fault").map(Body::new)
}

fn infallible<T>(result: Result<T, Infallible>) -> T {
    match result {
        Ok(value) => value,
        Err(never) => match never {},
    }
}

fn refusal(code: Code, message: &str) -> Response<tonic::body::Body> {
    Status::new(code, message).into_http()
}

/// Both versions of the reflection service.
fn reflection() -> Result<[(&'static str, Service); 2], tonic_reflection::server::Error> {
    use tonic_reflection::{pb, server::Builder};
    let builder = || {
        Builder::configure()
            .register_encoded_file_descriptor_set(DESCRIPTORS)
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
    };
    let v1 = pb::v1::server_reflection_server::SERVICE_NAME;
    let v1alpha = pb::v1alpha::server_reflection_server::SERVICE_NAME;
    Ok([
        (v1, BoxCloneSyncService::new(builder().build_v1()?)),
        (v1alpha, BoxCloneSyncService::new(builder().build_v1alpha()?)),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_grpc_is_a_call() {
        let asks = |method: &Method, version, kind: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(CONTENT_TYPE, kind.parse().unwrap());
            is_call(method, version, &headers)
        };
        for kind in ["application/grpc", "application/grpc+proto", "application/grpc;x=y"] {
            assert!(asks(&Method::POST, Version::HTTP_2, kind), "{kind}");
            assert!(!asks(&Method::GET, Version::HTTP_2, kind), "{kind}");
            assert!(!asks(&Method::POST, Version::HTTP_11, kind), "{kind}");
        }
        for kind in ["application/grpc-web", "application/grpc+json", "application/json", ""] {
            assert!(!asks(&Method::POST, Version::HTTP_2, kind), "{kind}");
        }
        assert!(!is_call(&Method::POST, Version::HTTP_2, &HeaderMap::new()));
    }

    #[test]
    fn reflection_can_be_built_from_the_descriptors() {
        assert!(reflection().is_ok());
    }
}
