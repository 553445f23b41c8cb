//! The names that Istio derives from a service: host, Envoy cluster, server
//! name, SPIFFE id. Pure.

use super::policy::Policy;
use super::ports::SERVICE_PORT;

/// The trust domain of every SPIFFE id.
pub const TRUST_DOMAIN: &str = "cluster.local";

/// Whether a sidecar also takes plaintext.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Mtls {
    /// mTLS from the mesh, plaintext from others: Istio's default.
    #[default]
    Permissive,
    /// mTLS only.
    Strict,
}

/// A service: the same name, namespace and port in every cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Service {
    /// Its name.
    pub name: String,
    /// Its namespace.
    pub namespace: String,
    /// The service account of its pods.
    pub account: String,
    /// Whether its pods have a sidecar. Pods without one speak no mTLS, so
    /// other networks cannot reach them.
    pub sidecar: bool,
    /// What its sidecars take.
    pub mtls: Mtls,
    /// How clients are told to treat it.
    pub policy: Policy,
}

impl Service {
    /// A service whose account has its name.
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

    /// The Envoy cluster that clients send to.
    #[must_use]
    pub fn outbound(&self) -> String {
        format!("outbound|{SERVICE_PORT}||{}", self.host())
    }

    /// The Envoy cluster of its subset in one cluster of the mesh.
    #[must_use]
    pub fn subset(&self, cluster: &str) -> String {
        format!("outbound|{SERVICE_PORT}|{cluster}|{}", self.host())
    }

    /// The SPIFFE ids that clients accept of its pods.
    #[must_use]
    pub fn accepted(&self) -> Vec<String> {
        self.policy.sans.clone().unwrap_or_else(|| vec![self.spiffe()])
    }

    /// The server name that clients ask for, and the Envoy cluster that
    /// east-west gateways pass it to.
    #[must_use]
    pub fn sni(&self) -> String {
        format!("outbound_.{SERVICE_PORT}_._.{}", self.host())
    }

    /// The SPIFFE id in its pods' certificates.
    #[must_use]
    pub fn spiffe(&self) -> String {
        self.spiffe_of(&self.account)
    }

    /// The SPIFFE id of another account of its namespace.
    #[must_use]
    pub fn spiffe_of(&self, account: &str) -> String {
        format!("spiffe://{TRUST_DOMAIN}/ns/{}/sa/{account}", self.namespace)
    }
}
