//! The sample service: says which pod in which cluster answered, as text, as
//! headers and as JSON, and drains cleanly. The program is `Server::bind`, then
//! `Server::run`; what it answers is decided in `describe`, without a socket.

mod access_log;
mod answer;
pub mod body;
pub mod call;
pub mod cli;
mod connection;
pub mod describe;
pub mod faults;
pub mod grpc;
pub mod identity;
pub mod metrics;
pub mod negotiate;
pub mod noted;
pub mod readiness;
pub mod routes;
pub mod server;
mod tcp;
pub mod tls;
mod websocket;
pub mod xfcc;

pub use cli::Cli;
pub use server::{Addresses, BindError, Server};
