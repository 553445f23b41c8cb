//! A rolling restart behind a real Envoy, under load: nothing is lost.

use std::net::SocketAddr;
use std::process::{Command, Stdio};

use localmesh::envoy::Envoy;
use rustix::process::Signal;

use super::{Echo, curl, json};
use crate::harness::{Background, command, wait_until, workspace};

/// Envoy, balancing over both echoes, whose admin ports it asks for readiness.
/// It retries nothing, so that each loss is seen.
struct Balancer {
    _process: Background,
    admin: String,
    front: SocketAddr,
}

fn endpoint(echo: &Echo) -> String {
    format!(
        "{{endpoint: {{address: {}, health_check_config: {{port_value: {}}}}}}}",
        address(echo.address.port()),
        echo.admin.port()
    )
}

fn address(port: u16) -> String {
    format!("{{socket_address: {{address: 127.0.0.1, port_value: {port}}}}}")
}

impl Balancer {
    fn start(echoes: &[Echo]) -> Self {
        let endpoints: Vec<_> = echoes.iter().map(endpoint).collect();
        let config = format!(
            "admin: {{address: {any}}}
static_resources:
  listeners:
  - name: front
    address: {any}
    filter_chains:
    - filters:
      - name: envoy.filters.network.http_connection_manager
        typed_config:
          '@type': type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: front
          route_config:
            virtual_hosts: [{{name: all, domains: ['*'], routes: [{{match: {{prefix: /}}, route: {{cluster: echoes}}}}]}}]
          http_filters:
          - name: envoy.filters.http.router
            typed_config: {{'@type': type.googleapis.com/envoy.extensions.filters.http.router.v3.Router}}
  clusters:
  - name: echoes
    type: STATIC
    connect_timeout: 1s
    common_lb_config: {{healthy_panic_threshold: {{value: 0}}}}
    health_checks:
    - {{timeout: 1s, interval: 0.1s, no_traffic_interval: 0.1s, unhealthy_threshold: 1, healthy_threshold: 1, http_health_check: {{path: /readyz}}}}
    load_assignment: {{cluster_name: echoes, endpoints: [{{lb_endpoints: [{endpoints}]}}]}}
",
            any = address(0),
            endpoints = endpoints.join(", "),
        );
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("admin");
        let envoy = Envoy::find(None).expect("Envoy; tools/install-envoy fetches it");
        let mut program = Command::new(&envoy.path);
        program.current_dir(workspace()).args(["--config-yaml", &config, "--concurrency", "1"]);
        program.args(["--use-dynamic-base-id", "--log-level", "error", "--admin-address-path"]);
        let process = Background::start(program.arg(&file));
        let admin = wait_until("Envoy says where it is", || {
            std::fs::read_to_string(&file).ok().filter(|text| text.contains(':'))
        });
        let admin = format!("http://{admin}");
        let front = wait_until("Envoy listens", || {
            let said = curl(&format!("{admin}/listeners"), &[]);
            said.lines().find_map(|line| line.strip_prefix("front::")?.parse().ok())
        });
        Self { _process: process, admin, front }
    }

    /// Waits until Envoy finds so many healthy.
    fn wait_for_healthy(&self, number: usize) {
        let url = format!("{}/stats?filter=echoes.membership_healthy", self.admin);
        let wanted = format!("membership_healthy: {number}");
        wait_until("Envoy has seen it", || curl(&url, &[]).contains(&wanted).then_some(()));
    }
}

#[test]
fn a_rolling_restart_loses_nothing() {
    let start = |pod: &str, port: u16, admin: u16| {
        let flags = ["--pod", pod, "--cluster", "kops", "--drain-delay", "3s", "--threads", "1"];
        Echo::at((port, admin), &flags, &[("LOG_SAMPLE", "1000000")])
    };
    let mut echoes = vec![start("a", 0, 0), start("b", 0, 0)];
    let balancer = Balancer::start(&echoes);
    balancer.wait_for_healthy(2);

    let mut prober = command("prober");
    let target = format!("http://{}/", balancer.front);
    prober.args(["--target", &target, "--rate", "2000", "--duration", "14s", "--reuse", "always"]);
    prober.args(["--concurrency", "64", "--output", "json", "--quiet"]);
    let mut load = prober.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it starts");
    for index in [0, 1] {
        let pod = ["a", "b"][index];
        let (port, admin) = (echoes[index].address.port(), echoes[index].admin.port());
        echoes[index].process.signal(Signal::TERM);
        assert_eq!(echoes[index].process.wait(), 0, "{}", echoes[index].process.said());
        balancer.wait_for_healthy(1);
        echoes[index] = start(pod, port, admin);
        balancer.wait_for_healthy(2);
    }
    assert!(load.try_wait().expect("can be asked").is_none(), "all of it was under load");
    let said = load.wait_with_output().expect("it ends");
    let report = String::from_utf8_lossy(&said.stdout);
    let words = String::from_utf8_lossy(&said.stderr);
    assert_eq!(said.status.code(), Some(0), "{report}\n{words}");
    let report = json(&report);
    let row = &report["rows"][0];
    println!(
        "{} of {} answered, {} late",
        row["answers"], row["requests"], row["schedule"]["late"]
    );
    assert_eq!((&row["failed"], &row["answers"]), (&0.into(), &row["requests"]), "{row}");
    assert!(row["requests"].as_u64() > Some(14_000), "{row}");
    // The new ones have served as well.
    for echo in &echoes {
        assert!(echo.counted("echo_requests_total", &["class=\"2xx\""]) > 100.0);
    }
}
