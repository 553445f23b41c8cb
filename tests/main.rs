//! Integration tests: the built binaries, real sockets, real Envoy.
//! One module per topic; `harness` and `servers` hold what they share.

mod architecture;
mod certificates;
mod echo_server;
mod engine;
mod harness;
mod matrix;
mod mesh;
mod names;
mod overrides_vs_curl;
mod probing;
mod servers;
