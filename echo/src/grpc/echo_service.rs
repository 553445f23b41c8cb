//! The echo service: returns the message and says who answers.

use std::sync::Arc;

use axum::http::HeaderMap;
use tonic::{Request, Response, Status};

use super::call::Call;
use super::v1::echo_service_server;
use super::v1::{EchoReply, EchoRequest};
use crate::describe::{self, Describer};
use crate::request_headers::RequestHeaders;

#[derive(Debug)]
pub(crate) struct EchoService {
    pub(super) describer: Arc<Describer>,
}

#[tonic::async_trait]
impl echo_service_server::EchoService for EchoService {
    async fn echo(&self, request: Request<EchoRequest>) -> Result<Response<EchoReply>, Status> {
        let (metadata, mut extensions, message) = request.into_parts();
        let Some(Call { url, arrival }) = extensions.remove::<Call>() else {
            return Err(Status::internal("the server lost the facts of the call"));
        };
        let metadata: HeaderMap = metadata.into_headers();
        let request_headers = RequestHeaders::of(&metadata);
        let identity = self.describer.identity().clone();
        Ok(Response::new(EchoReply {
            pod: identity.pod,
            cluster: identity.cluster,
            namespace: identity.namespace.unwrap_or_default(),
            node: identity.node.unwrap_or_default(),
            region: identity.region.unwrap_or_default(),
            zone: identity.zone.unwrap_or_default(),
            network: identity.network.unwrap_or_default(),
            version: identity.version.unwrap_or_default(),
            url,
            message: message.message,
            connection: describe::text_of(&arrival.connection.id),
            request: arrival.number,
            attempt: request_headers.attempt().unwrap_or_default(),
            probe: request_headers.probe().map(describe::text_of).unwrap_or_default(),
            peer: arrival.connection.peer.map(|peer| peer.to_string()).unwrap_or_default(),
        }))
    }
}
