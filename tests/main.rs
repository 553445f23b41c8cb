//! Integration tests: the built binaries, real sockets, real Envoy.
//! One module per topic; `harness` and `servers` hold what they share.

mod addresses;
mod architecture;
mod certificates;
mod echo_server;
mod engine;
mod explain;
mod faults;
mod grpc_code;
mod harness;
mod html;
mod http2;
mod identify;
mod isolation;
mod kubernetes;
mod matrix;
mod merge;
mod mesh;
mod name_faults;
mod names;
mod overrides_vs_curl;
mod probing;
mod progress;
mod reports;
mod scenarios;
mod servers;
mod shapes;
mod verdicts;
mod watch;
