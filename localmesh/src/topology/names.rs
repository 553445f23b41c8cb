//! Services, and the names that Istio derives from them: host, Envoy cluster, server name,
//! SPIFFE id. Pure.

use super::policy::Policy;
use super::ports::SERVICE_PORT;

/// The trust domain of every SPIFFE id.
pub const TRUST_DOMAIN: &str = "cluster.local";

/// Whether a sidecar also accepts plaintext.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Mtls {
    /// mTLS and plaintext: Istio's default.
    #[default]
    Permissive,
    /// mTLS only.
    Strict,
}

/// A service: the same name, namespace and port in every cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Service {
    pub name: String,
    pub namespace: String,
    /// The service account of its pods.
    pub account: String,
    /// Whether its pods have a sidecar. Pods without one do not support mTLS, so other networks
    /// cannot reach them.
    pub sidecar: bool,
    pub mtls: Mtls,
    pub policy: Policy,
}

impl Service {
    /// A service with an account of the same name.
    #[must_use]
    pub fn new(name: &str, namespace: &str, sidecar: bool) -> Self {
        Self {
            name: name.into(),
            namespace: namespace.into(),
            account: name.into(),
            sidecar,
            mtls: Mtls::default(),
            policy: Policy::default(),
        }
    }

    /// `echo2.istio-enabled.svc.cluster.local`.
    #[must_use]
    pub fn host(&self) -> String {
        format!("{}.{}.svc.cluster.local", self.name, self.namespace)
    }

    /// The Envoy cluster that clients send to: the whole service, or its subset in one cluster of
    /// the mesh.
    #[must_use]
    pub fn outbound(&self, subset: Option<&str>) -> String {
        format!("outbound|{SERVICE_PORT}|{}|{}", subset.unwrap_or_default(), self.host())
    }

    /// The SPIFFE ids that clients accept from its pods.
    #[must_use]
    pub fn accepted(&self) -> Vec<String> {
        self.policy.sans.clone().unwrap_or_else(|| vec![self.spiffe()])
    }

    /// The TLS server name that clients send, and the Envoy cluster to which east-west gateways
    /// pass it: of the whole service, or of its subset in one cluster of the mesh.
    #[must_use]
    pub fn sni(&self, subset: Option<&str>) -> String {
        format!("outbound_.{SERVICE_PORT}_.{}_.{}", subset.unwrap_or_default(), self.host())
    }

    /// The SPIFFE id in the certificates of its pods.
    #[must_use]
    pub fn spiffe(&self) -> String {
        self.spiffe_of(&self.account)
    }

    /// The SPIFFE id of another account in its namespace.
    #[must_use]
    pub fn spiffe_of(&self, account: &str) -> String {
        format!("spiffe://{TRUST_DOMAIN}/ns/{}/sa/{account}", self.namespace)
    }
}
