//! What `localmesh up` prints once the mesh is ready. Pure: returns text.

use std::fmt::Write as _;
use std::path::Path;

use super::matrix::way_in;
use super::running::Mesh;
use crate::process::guard::ENTER;
use crate::process::programs::{Kind, Program};
use crate::process::tools::Tools;
use crate::topology::{Cluster, Topology};

/// The summary of a running mesh. Paths are relative to the current directory `cwd`.
#[must_use]
pub fn summary(mesh: &Mesh, tools: &Tools, cwd: &Path) -> String {
    let topology = mesh.topology();
    let mut text = format!("{}; Ctrl-C stops it\n", headline(mesh, tools));
    let programs: Vec<_> = mesh.programs().collect();
    for cluster in &topology.clusters {
        text.push_str(&table(cluster, &programs));
    }
    text.push_str("\ntry in another shell:\n\n");
    text.push_str(&commands(mesh.matrix_path(), topology, tools, mesh.internet(), cwd));
    if mesh.internet().is_some() {
        text.push_str("\nto run a command inside a network, put this in front of it:\n\n");
        for cluster in &topology.clusters {
            let enter = entering(mesh.namespace(&cluster.name));
            let enter = enter.trim_end();
            let _ = writeln!(text, "  {:<24}{enter}", cluster.name);
        }
    }
    let _ = writeln!(text, "\nfiles and logs: {}", shown(mesh.dir(), cwd));
    text
}

#[must_use]
pub fn headline(mesh: &Mesh, tools: &Tools) -> String {
    let names: Vec<_> = mesh.topology().clusters.iter().map(|c| c.name.as_str()).collect();
    let envoys = mesh.programs().filter(|(program, _)| program.kind == Kind::Envoy).count();
    format!(
        "localmesh: {} joined by {envoys} Envoys {}, ready in {:.1} s",
        listed(&names),
        tools.envoy.version,
        mesh.startup().as_secs_f64()
    )
}

/// `a, b and c`.
fn listed(names: &[&str]) -> String {
    match names {
        [first @ .., last] if !first.is_empty() => format!("{} and {last}", first.join(", ")),
        _ => names.join(", "),
    }
}

/// The processes of one cluster and their addresses.
fn table(cluster: &Cluster, programs: &[(&Program, Option<u32>)]) -> String {
    let mut text = format!(
        "\n{} ({}, {})\n  {:<24}{:<22}{:<22}{}\n",
        cluster.name, cluster.network, cluster.locality.zone, "process", "address", "admin", "pid"
    );
    let own = programs.iter().filter(|(program, _)| program.cluster == cluster.name);
    for (program, pid) in own {
        let name = program.name.strip_prefix(&format!("{}/", cluster.name));
        let pid = pid.map_or_else(|| "-".to_owned(), |pid| pid.to_string());
        let _ = writeln!(
            text,
            "  {:<24}{:<22}{:<22}{pid}",
            name.unwrap_or(&program.name),
            program.listens.to_string(),
            program.admin.to_string(),
        );
    }
    text
}

/// Commands to paste into a shell in `cwd`.
fn commands(
    matrix: &Path,
    topology: &Topology,
    tools: &Tools,
    internet: Option<&Path>,
    cwd: &Path,
) -> String {
    let prober = quoted(&program(&tools.prober, cwd));
    let mut text = format!("  {prober} matrix {}\n", quoted(&shown(matrix, cwd)));
    let shared = topology.services.iter().find(|service| service.sidecar);
    let first = topology.clusters.iter().find(|c| c.ingress_gateways().next().is_some());
    if let Some((cluster, service)) = first.zip(shared) {
        let way = way_in(cluster, topology).into_iter();
        let way: String = way.map(|(flag, value)| format!(" --{flag} '{value}'")).collect();
        let target = format!("{}/{}", cluster.host, service.name);
        if !way.is_empty() {
            let enter = entering(internet);
            let _ = writeln!(text, "  {enter}{prober} --target {target}{way}");
        }
    }
    text
}

/// The prefix of a command that runs in a namespace.
fn entering(namespace: Option<&Path>) -> String {
    namespace.map(|path| format!("{ENTER} --net={} ", path.display())).unwrap_or_default()
}

/// A path, relative to `cwd` if it is inside.
fn shown(path: &Path, cwd: &Path) -> String {
    path.strip_prefix(cwd).unwrap_or(path).display().to_string()
}

/// A program's path for a shell, which would search PATH for a path without a slash.
fn program(path: &Path, cwd: &Path) -> String {
    let path = shown(path, cwd);
    if path.contains('/') { path } else { format!("./{path}") }
}

/// A word, quoted for a shell.
fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-+@%:,=".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::process::envoy::Envoy;
    use crate::topology::{DEFAULT_BLOCK, INGRESS_PORT, Shape, UNPRIVILEGED_INGRESS_PORT};

    fn commands_in(cwd: &str, port: u16) -> String {
        let tools = Tools {
            envoy: Envoy { path: "envoy".into(), version: "1.40.0".into() },
            echo: "/w s/target/release/echo".into(),
            prober: "/w s/target/release/prober".into(),
            launcher: "/w s/target/release/localmesh".into(),
        };
        let topology = Topology::new(&Shape::two_clusters(), DEFAULT_BLOCK, port);
        commands(Path::new("/tmp/m/matrix.yaml"), &topology, &tools, None, Path::new(cwd))
    }

    #[test]
    fn the_commands_can_be_pasted() {
        assert_eq!(
            commands_in("/w s", INGRESS_PORT),
            "  target/release/prober matrix /tmp/m/matrix.yaml\n  \
             target/release/prober --target istio1.xiaowenx.com/echo2 \
             --resolve 'istio1.xiaowenx.com:80:127.10.1.2'\n"
        );
        assert_eq!(
            commands_in("/w s/target/release", UNPRIVILEGED_INGRESS_PORT).lines().nth(1),
            Some(
                "  ./prober --target istio1.xiaowenx.com/echo2 \
                 --connect-to 'istio1.xiaowenx.com:80:127.10.1.2:8080'"
            )
        );
        assert!(
            commands_in("/tmp/m", INGRESS_PORT)
                .starts_with("  '/w s/target/release/prober' matrix matrix.yaml\n")
        );
    }
}
