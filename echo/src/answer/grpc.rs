//! Answers to gRPC calls, which have a status of their own beside the HTTP status.

use axum::body::Body;
use axum::http::{HeaderMap, HeaderValue, Request, Response, StatusCode, Version};

use super::faulty::{end, mark_ignored, wait};
use super::response::{Asked, record};
use crate::app::App;
use crate::describe;
use crate::faults;
use crate::grpc;
use crate::metrics::Protocol;
use crate::request_headers::RequestHeaders;

pub(super) async fn call_grpc(app: &App, asked: Asked, body: Body) -> Response<Body> {
    let stated = app.describer.stated(&asked.head, &asked.arrival);
    let drawn = match app.options.faults.then(|| grpc::faults(&asked.head)).transpose() {
        Ok(drawn) => drawn.flatten(),
        Err(refusal) => {
            return with_identity(app, &asked, grpc::invalid(&refusal.to_string()), stated);
        }
    };
    if let Some(drawn) = &drawn {
        wait(app, drawn).await;
    }
    let mut response = match drawn.as_ref().and_then(|drawn| drawn.status) {
        Some(status) if status != StatusCode::OK => grpc::failed(status),
        _ => {
            let mut request = Request::from_parts(asked.head.clone(), body);
            let arrival = asked.arrival.clone();
            let url = describe::url(&asked.head, &asked.arrival.connection);
            request.extensions_mut().insert(grpc::Call { url, arrival });
            app.grpc.answer(request, asked.arrival.connection.account.as_ref()).await
        }
    };
    if let Some(drawn) = &drawn {
        if let Ok(said) = HeaderValue::try_from(drawn.said()) {
            response.headers_mut().insert(faults::DONE, said);
        }
        end(&mut response, drawn, Version::HTTP_2);
    }
    mark_ignored(
        app,
        &asked.head,
        &RequestHeaders::of(&asked.head.headers),
        response.headers_mut(),
    );
    with_identity(app, &asked, response, stated)
}

/// Adds the identity headers, then counts and logs the answer.
fn with_identity(
    app: &App,
    asked: &Asked,
    mut response: Response<Body>,
    stated: HeaderMap,
) -> Response<Body> {
    response.headers_mut().extend(stated);
    record(app, asked, response.status(), Protocol::Grpc, None);
    response
}
