//! The local mesh: real Envoys, real echoes, the built `localmesh`. A missing
//! Envoy is a failure, never a skip. Here is what the parts share.

#![expect(
    clippy::unwrap_used,
    reason = "clippy's own exception for tests leaves out the functions that they share"
)]

mod faults;
mod hostile_text;
mod isolation;
mod lifecycle;
mod policies;
mod readme;
mod real_path;
mod scenarios;
mod screens;
mod sections;
mod shapes;
mod trust;
mod undo;
mod verdicts;
mod view;

use std::collections::BTreeSet;
use std::net::SocketAddrV4;
use std::sync::{Arc, LazyLock, Mutex, PoisonError, Weak, mpsc};
use std::time::Duration;

use localmesh::topology::{Cluster, Pod, Shape};
use localmesh::{Mesh, Options, Tools};

use crate::harness;

/// Each test has addresses of its own, so that all can run at the same time.
mod block {
    pub(super) const SHARED: u8 = 20;
    pub(super) const REAL_PATH: u8 = 21;
    pub(super) const STRICT: u8 = 22;
    pub(super) const APP_DEAD: u8 = 23;
    pub(super) const POD_DEAD: u8 = 24;
    pub(super) const GATEWAY_STOPPED: u8 = 25;
    pub(super) const ROOT_SWAPPED: u8 = 26;
    pub(super) const ROOT_HALF_SWAPPED: u8 = 27;
    pub(super) const RENEWED: u8 = 28;
    pub(super) const REPLICAS: u8 = 29;
    pub(super) const UP: u8 = 40;
    pub(super) const SIGKILL: u8 = 41;
    pub(super) const SECOND: u8 = 42;
    pub(super) const BUSY: u8 = 43;
    pub(super) const LEFTOVER: u8 = 44;
    pub(super) const UNPRIVILEGED: u8 = 45;
    pub(super) const CHILD_DIES: u8 = 46;
    pub(super) const DEMO: u8 = 47;
    pub(super) const DEMO_INTERRUPTED: u8 = 48;
    pub(super) const REFUSED: u8 = 49;
    pub(super) const VIEW_DEMO: u8 = 60;
    pub(super) const VIEW_UP: u8 = 61;
    pub(super) const VIEW_POD_DEAD: u8 = 62;
    pub(super) const VIEW_APP_DEAD: u8 = 63;
    pub(super) const VIEW_GATEWAY: u8 = 64;
    pub(super) const VIEW_ROOT: u8 = 65;
    pub(super) const VIEW_FROZEN: u8 = 66;
    pub(super) const NEVER_READY: u8 = 50;
    pub(super) const VERDICTS: u8 = 51;
    pub(super) const EVEN: u8 = 52;
    pub(super) const PINNED: u8 = 53;
    pub(super) const RINGHASH: u8 = 54;
    pub(super) const BREAKER: u8 = 55;
    pub(super) const BREAKER_RETRIES: u8 = 56;
    pub(super) const MIRROR: u8 = 57;
    pub(super) const MIRROR_REFUSED: u8 = 58;
    pub(super) const UNDO: u8 = 59;
    pub(super) const RESET: u8 = 67;
    pub(super) const SCREENS: u8 = 68;
    pub(super) const README: u8 = 69;
    pub(super) const HOSTILE_TEXT: u8 = 253;
    pub(super) const TAKEN_BACK: u8 = 30;
    pub(super) const OTHER_HOSTS: u8 = 31;
    pub(super) const ONE_RULE: u8 = 32;
}

/// Enough requests to see both of two equal clusters. One of them is missed
/// with a probability of 2 · 2⁻⁴⁰ < 2e-12: each request is a coin flip.
const ENOUGH: usize = 40;

/// The programs, Envoy among them.
fn tools() -> Tools {
    // Envoy lies in the workspace, which is not above every target folder.
    let installed = harness::workspace().join(localmesh::envoy::INSTALLED);
    let envoy = installed.is_file().then_some(installed);
    Tools::find(envoy.as_deref(), Some(&harness::bin_dir())).expect("`make envoy` was run")
}

/// Starts a mesh that ends with this thread.
fn start(block: u8, shape: Shape) -> Mesh {
    let options = Options { shape, block, ..Options::default() };
    Mesh::start(&options, &tools(), &|| false).expect("the mesh starts")
}

fn two_clusters(block: u8) -> Mesh {
    start(block, Shape::two_clusters())
}

/// A mesh for tests that only look. It lives as long as one of them holds it.
struct Shared {
    mesh: Mesh,
    /// The thread that started the mesh must live as long: it waits for the
    /// other end of this, dropped after the mesh.
    _keeper: mpsc::Sender<()>,
}

impl Shared {
    fn get() -> Arc<Self> {
        static CURRENT: LazyLock<Mutex<Weak<Shared>>> = LazyLock::new(Mutex::default);
        let mut current = CURRENT.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(shared) = current.upgrade() {
            return shared;
        }
        let (keeper, end) = mpsc::channel::<()>();
        let (give, take) = mpsc::channel();
        std::thread::spawn(move || {
            // The one before may still be stopping.
            let mesh = harness::wait_until("the block is free", || {
                let options = Options { block: block::SHARED, ..Options::default() };
                match Mesh::start(&options, &tools(), &|| false) {
                    Err(localmesh::Error::Taken { .. }) => None,
                    started => Some(started.expect("the mesh starts")),
                }
            });
            if give.send(mesh).is_ok() {
                let _ = end.recv();
            }
        });
        let mesh = take.recv().expect("the mesh started");
        let shared = Arc::new(Self { mesh, _keeper: keeper });
        *current = Arc::downgrade(&shared);
        shared
    }
}

/// What one request got.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Got {
    status: u16,
    /// The cluster that answered; empty if no echo did.
    cluster: String,
    /// Which attempt of the nearest Envoy it was; 0 without one.
    attempt: u32,
    body: String,
}

/// Asks once, on a connection of its own. `Err` if no response came.
fn try_ask(to: SocketAddrV4, host: &str, path: &str) -> Result<Got, reqwest::Error> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let client = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(9));
    let client = client.build().unwrap();
    runtime.block_on(async {
        let request = client.get(format!("http://{to}{path}")).header("host", host);
        let response = request.send().await?;
        let header = |name| {
            let value = response.headers().get(name).and_then(|value| value.to_str().ok());
            value.unwrap_or_default().to_owned()
        };
        let attempt = header(echo_reply::headers::ATTEMPT).parse().unwrap_or(0);
        let cluster = header(echo_reply::headers::CLUSTER);
        let status = response.status().as_u16();
        Ok(Got { status, cluster, attempt, body: response.text().await? })
    })
}

/// A way into a mesh.
#[derive(Clone, Debug)]
struct Way {
    to: SocketAddrV4,
    host: String,
    path: String,
}

impl Way {
    fn ask(&self) -> Got {
        try_ask(self.to, &self.host, &self.path).expect("a response")
    }

    fn ask_times(&self, times: usize) -> Vec<Got> {
        (0..times).map(|_| self.ask()).collect()
    }
}

/// From a pod with a sidecar: `echo2:8080` through that sidecar.
fn from_sidecar(mesh: &Mesh, cluster: &str) -> Way {
    let client = cluster_of(mesh, cluster).clients().next().expect("a client pod");
    Way { to: client.listens(0), host: "echo2:8080".into(), path: "/".into() }
}

/// From outside, through the ingress gateway.
fn from_outside(mesh: &Mesh, cluster: &str, service: &str) -> Way {
    let port = mesh.topology().ingress_port;
    let cluster = cluster_of(mesh, cluster);
    let gateway = cluster.ingress_gateways().next().expect("an ingress gateway");
    Way { to: gateway.listens(port), host: cluster.host.clone(), path: format!("/{service}") }
}

/// From a pod without a sidecar: straight to the service's pod.
fn straight(mesh: &Mesh, cluster: &str, service: usize) -> Way {
    let name = &mesh.topology().services[service].name;
    Way {
        to: echo(mesh, cluster, service).listens(0),
        host: format!("{name}:8080"),
        path: "/".into(),
    }
}

fn cluster_of<'a>(mesh: &'a Mesh, name: &str) -> &'a Cluster {
    mesh.topology().cluster(name).expect("a cluster of the mesh")
}

fn echo<'a>(mesh: &'a Mesh, cluster: &str, service: usize) -> &'a Pod {
    cluster_of(mesh, cluster).echoes(service).next().expect("an echo")
}

/// The clusters that answered. Fails on anything that is no answer.
#[track_caller]
fn clusters(answers: &[Got]) -> BTreeSet<&str> {
    for got in answers {
        assert_eq!(got.status, 200, "{got:?}");
        assert!(!got.cluster.is_empty(), "not from an echo: {got:?}");
    }
    answers.iter().map(|got| got.cluster.as_str()).collect()
}

/// A set of names, to compare with [`clusters`].
fn exactly<const N: usize>(names: [&'static str; N]) -> BTreeSet<&'static str> {
    BTreeSet::from(names)
}

fn of_outbound(statistic: &str) -> String {
    format!("cluster.outbound|8080||echo2.istio-enabled.svc.cluster.local.{statistic}")
}

fn of_gateway(statistic: &str) -> String {
    format!("tcp.outbound_.8080_._.echo2.istio-enabled.svc.cluster.local.{statistic}")
}
