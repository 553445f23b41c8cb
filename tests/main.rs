//! Integration tests: the built binaries, real sockets, real Envoy.
//! A folder for each program; `harness` and `servers` hold what they share.

mod certs;
mod echo;
mod harness;
mod kubernetes;
mod mesh;
mod prober;
mod project;
mod servers;
