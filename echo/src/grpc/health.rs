//! `grpc.health.v1.Health`: `SERVING` while `echo` is ready. A watch ends when its
//! connection drains, because it would delay the drain.

use std::pin::Pin;

use futures_util::{Stream, stream};
use tokio::sync::watch;
use tonic::{Request, Response, Status};
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_server;
use tonic_health::pb::{HealthCheckRequest, HealthCheckResponse};

use super::call::Call;
use super::v1;
use crate::drain::drained;
use crate::readiness::{Readiness, State};

/// The server as a whole, and the echo service.
const KNOWN: [&str; 2] = ["", v1::echo_service_server::SERVICE_NAME];

#[derive(Debug)]
pub(crate) struct Health {
    pub(super) readiness: Readiness,
}

fn status(ready: bool) -> ServingStatus {
    if ready { ServingStatus::Serving } else { ServingStatus::NotServing }
}

fn response(status: ServingStatus) -> HealthCheckResponse {
    HealthCheckResponse { status: status.into() }
}

#[tonic::async_trait]
impl health_server::Health for Health {
    type WatchStream = Pin<Box<dyn Stream<Item = Result<HealthCheckResponse, Status>> + Send>>;

    async fn check(
        &self,
        request: Request<HealthCheckRequest>,
    ) -> Result<Response<HealthCheckResponse>, Status> {
        if !KNOWN.contains(&&*request.get_ref().service) {
            return Err(Status::not_found("unknown service; use reflection to list the services"));
        }
        Ok(Response::new(response(status(self.readiness.is_ready()))))
    }

    async fn watch(
        &self,
        mut request: Request<HealthCheckRequest>,
    ) -> Result<Response<Self::WatchStream>, Status> {
        let drain = request.extensions_mut().remove::<Call>();
        let drain = drain.and_then(|call| call.arrival.connection.drain.clone());
        // The protocol asks to report an unknown service and to keep watching.
        let known = KNOWN.contains(&&*request.get_ref().service);
        let said = stream::unfold(
            Watch { ready: self.readiness.watch(), drain, known, said: None },
            |mut watch| async {
                let status = watch.next().await?;
                Some((Ok(response(status)), watch))
            },
        );
        Ok(Response::new(Box::pin(said)))
    }
}

/// A watcher, and the status that it was sent last.
struct Watch {
    ready: watch::Receiver<State>,
    drain: Option<watch::Receiver<()>>,
    known: bool,
    said: Option<ServingStatus>,
}

impl Watch {
    /// The next change; `None` at the end.
    async fn next(&mut self) -> Option<ServingStatus> {
        loop {
            let ready = self.ready.borrow_and_update().is_ready();
            let now = if self.known { status(ready) } else { ServingStatus::ServiceUnknown };
            if self.said != Some(now) {
                self.said = Some(now);
                return Some(now);
            }
            tokio::select! {
                changed = self.ready.changed() => changed.ok()?,
                () = drained(self.drain.as_mut()) => return None,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_watch_sends_changes_only_and_ends_with_the_drain() {
        let readiness = Readiness::default();
        let (drain, draining) = watch::channel(());
        let mut watch =
            Watch { ready: readiness.watch(), drain: Some(draining), known: true, said: None };
        assert_eq!(watch.next().await, Some(ServingStatus::NotServing));
        readiness.set(true);
        assert_eq!(watch.next().await, Some(ServingStatus::Serving));
        readiness.set(true);
        readiness.set(false);
        assert_eq!(watch.next().await, Some(ServingStatus::NotServing));
        drain.send_replace(());
        assert_eq!(watch.next().await, None);
    }

    #[tokio::test]
    async fn an_unknown_service_is_reported_once() {
        let readiness = Readiness::default();
        let mut watch = Watch { ready: readiness.watch(), drain: None, known: false, said: None };
        assert_eq!(watch.next().await, Some(ServingStatus::ServiceUnknown));
        drop(readiness);
        assert_eq!(watch.next().await, None);
    }
}
