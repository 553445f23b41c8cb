//! The ports of the mesh.

/// The port of the echoes, and of the services in front of them.
pub const SERVICE_PORT: u16 = 8080;
/// The port of an echo's health checks and metrics.
pub const ECHO_ADMIN_PORT: u16 = 8081;
/// The port of every Envoy's admin interface.
pub const ENVOY_ADMIN_PORT: u16 = 15000;
/// The port that east-west gateways take mTLS on.
pub const EAST_WEST_PORT: u16 = 15443;
/// The port that people expect an ingress gateway on; binding it may need a privilege.
pub const INGRESS_PORT: u16 = 80;
/// Where ingress gateways listen for users who may not bind [`INGRESS_PORT`].
pub const UNPRIVILEGED_INGRESS_PORT: u16 = 8080;
