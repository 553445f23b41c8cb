//! Integration tests: the built binaries, real sockets, real Envoy.
//! One module per topic; `harness` holds what they share.

mod architecture;
mod certificates;
mod harness;
mod mesh;
