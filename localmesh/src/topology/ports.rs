//! The ports of the mesh.

/// The port of the echoes and of their services.
pub const SERVICE_PORT: u16 = 8080;
/// The port of an echo's health checks and metrics.
pub const ECHO_ADMIN_PORT: u16 = 8081;
/// The port of every Envoy's admin interface.
pub const ENVOY_ADMIN_PORT: u16 = 15000;
pub const EAST_WEST_PORT: u16 = 15443;
/// The usual port of an ingress gateway; binding it may need root.
pub const INGRESS_PORT: u16 = 80;
/// The port of ingress gateways for users who cannot bind [`INGRESS_PORT`].
pub const UNPRIVILEGED_INGRESS_PORT: u16 = 8080;
