//! The sample service: says which pod in which cluster answered, as text, as headers and as
//! JSON, and drains cleanly. `Server::bind` listens, `Server::run` answers; `describe`
//! decides what, without a socket.

mod access_log;
mod accounts;
mod admin;
mod answer;
mod app;
mod body;
mod call;
mod cli;
mod connection;
mod describe;
mod descriptors;
mod drain;
mod faults;
mod grpc;
mod identity;
mod log_queue;
mod metrics;
mod negotiate;
mod readiness;
mod request_headers;
mod server;
mod tcp;
mod tls;
mod websocket;
mod xfcc;

pub use cli::identity::{UnfitHostName, from_flags};
pub use cli::{Cli, LogFlags, LogFormat, LogLevel, RunningFlags};
pub use log_queue::{LOG, LogQueue, Writing};
pub use server::{BindError, Server};
