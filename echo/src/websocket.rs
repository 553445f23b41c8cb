//! WebSockets: the first message is the line, then each message is echoed. The idle timeout
//! closes one, the drain closes all.

use std::time::Duration;

use axum::extract::FromRequestParts as _;
use axum::extract::ws::{CloseFrame, Message, WebSocket, WebSocketUpgrade, close_code};
use axum::http::request::Parts;
use axum::http::{Method, Version};
use axum::response::{IntoResponse as _, Response};

use crate::accounts::{Account, must_leave};
use crate::describe::Arrival;
use crate::drain::drained;
use crate::request_headers::RequestHeaders;

/// In bytes.
const MAX_MESSAGE: usize = 1 << 20;
/// How much is read at once, in bytes. The library reserves this for each connection.
const READ_BUFFER: usize = 4 << 10;
/// How long a client may take to acknowledge the close.
const CLOSING: Duration = Duration::from_secs(2);

/// Whether a request asks to become a WebSocket.
pub(crate) fn is_asked(head: &Parts, request_headers: &RequestHeaders<'_>) -> bool {
    head.version == Version::HTTP_11
        && head.method == Method::GET
        && request_headers
            .upgrade
            .is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"websocket"))
}

/// Answers the handshake; `line` is the first message.
pub(crate) async fn answer(
    head: &mut Parts,
    arrival: Arrival,
    line: String,
    idle: Duration,
) -> Response {
    match WebSocketUpgrade::from_request_parts(head, &()).await {
        Ok(upgrade) => upgrade
            .read_buffer_size(READ_BUFFER)
            .max_message_size(MAX_MESSAGE)
            .max_frame_size(MAX_MESSAGE)
            .on_upgrade(move |socket| serve(socket, arrival, line, idle)),
        Err(refusal) => refusal.into_response(),
    }
}

async fn serve(mut socket: WebSocket, arrival: Arrival, line: String, idle: Duration) {
    let mut drain = arrival.connection.drain.clone();
    if socket.send(Message::Text(line.into())).await.is_err() {
        return;
    }
    let account = arrival.connection.account.as_deref();
    if let Some(account) = account {
        account.will_be_messages();
    }
    let (code, reason) = loop {
        tokio::select! {
            heard = tokio::time::timeout(idle, socket.recv()) => match heard {
                Ok(Some(Ok(message @ (Message::Text(_) | Message::Binary(_))))) => {
                    if let Some(account) = account {
                        account.is_whole();
                    }
                    let sent = tokio::time::timeout(idle, socket.send(message)).await;
                    if !matches!(sent, Ok(Ok(()))) {
                        return;
                    }
                }
                // The library answers pings and acknowledges a close.
                Ok(Some(Ok(_))) => {}
                Ok(Some(Err(_))) if account.is_some_and(Account::was_refused) => {
                    break (close_code::AGAIN, "too many messages are held");
                }
                Ok(None | Some(Err(_))) => return,
                Err(_) => break (close_code::AWAY, "idle timeout"),
            },
            () = drained(drain.as_mut()) => break (close_code::AWAY, "echo is stopping"),
            () = must_leave(account) => break (close_code::AGAIN, "too many connections"),
        }
    };
    let close = CloseFrame { code, reason: reason.into() };
    let closing = async {
        if socket.send(Message::Close(Some(close))).await.is_ok() {
            while let Some(Ok(_)) = socket.recv().await {}
        }
    };
    let _ = tokio::time::timeout(CLOSING, closing).await;
}
