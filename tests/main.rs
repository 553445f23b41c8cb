//! Integration tests: the built binaries, real sockets, real Envoy.
//! One module per topic; `harness` holds what they share.

mod echo_server;
mod harness;
