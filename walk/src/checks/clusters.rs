//! Whether the clusters answer, are different ones, and let one do what installing needs.

use super::Checks;
use super::tools::{NO_KUBECTL, text, version};
use crate::command::{Command, is_installed};
use crate::error::Result;
use crate::settings::Cluster;

/// The oldest Kubernetes that Istio supports.
const OLDEST_KUBERNETES: (u32, u32) = (1, 32);

impl Checks<'_> {
    pub(super) fn contexts(&self) -> Result<()> {
        if !is_installed("kubectl") {
            // The tools have been checked where all is.
            return match self.all {
                true => Err(crate::error::Error::Ended(1)),
                false => self.end(NO_KUBECTL.to_owned()),
            };
        }
        let command = Command::new("kubectl").words("config get-contexts --output=name");
        let known = self.shell.ask(&command)?;
        for cluster in &self.settings.clusters {
            let Cluster { name, context, .. } = cluster;
            if !known.lines().any(|known| known == context) {
                let known = known.split_whitespace().collect::<Vec<_>>().join(" ");
                let known = if known.is_empty() { "none" } else { &known };
                self.end(format!(
                    "kubectl has no context '{context}' for cluster {name}; it has: {known}; {}",
                    self.set(name, "context")
                ))?;
            }
        }
        let mut seen: Vec<(&str, String)> = Vec::new();
        for cluster in &self.settings.clusters {
            let name = cluster.name.as_str();
            let words = "get namespace kube-system --output=jsonpath={.metadata.uid}";
            let answer = self.shell.try_ask(&Command::question(cluster, words))?;
            if !answer.succeeded {
                let why = answer.complaint();
                self.end(format!("{name}: its API server does not answer: {why}"))?;
            }
            let uid = answer.stdout.trim().to_owned();
            if let Some((other, _)) = seen.iter().find(|(_, known)| *known == uid) {
                self.problem(format!(
                    "{other} and {name} are the same cluster: their contexts lead to one API server"
                ))?;
            }
            seen.push((name, uid));
            self.fine(&format!("{name} answers"));
        }
        Ok(())
    }

    pub(super) fn permissions(&self) -> Result<()> {
        for cluster in &self.settings.clusters {
            let name = &cluster.name;
            let words = "auth can-i * * --all-namespaces";
            if self.shell.try_ask(&Command::question(cluster, words))?.stdout.trim() == "yes" {
                self.fine(&format!("{name}: you may do everything"));
            } else {
                self.problem(format!(
                    "{name}: you may not do everything in this cluster, as installing Istio must; \
                     get cluster-admin there"
                ))?;
            }
            let said = self.shell.try_ask(&Command::question(cluster, "version --output=json"))?;
            match version(&said.stdout, "serverVersion", "gitVersion") {
                None => self.problem(format!("{name}: it does not say its version"))?,
                Some(have) if have < OLDEST_KUBERNETES => self.problem(format!(
                    "{name}: it runs Kubernetes {}; Istio {} supports {} and later",
                    text(have),
                    self.settings.istio_version,
                    text(OLDEST_KUBERNETES)
                ))?,
                Some(have) => self.fine(&format!("{name}: Kubernetes {}", text(have))),
            }
        }
        Ok(())
    }

    pub(super) fn networks(&self) -> Result<()> {
        for cluster in &self.settings.clusters {
            let Cluster { name, network, .. } = cluster;
            let words = "get namespace istio-system --ignore-not-found \
                 --output=jsonpath={.metadata.labels.topology\\.istio\\.io/network}";
            let label = self.shell.ask(&Command::question(cluster, words))?;
            if label.is_empty() || label == *network {
                self.fine(&format!("{name}: network {network}"));
            } else {
                self.problem(format!(
                    "{name}: istio-system is on network '{label}' already, and the settings say \
                     '{network}'; {}, or run make uninstall first",
                    self.set(name, "network")
                ))?;
            }
        }
        Ok(())
    }

    /// The address of an API server that other clusters are told.
    pub(super) fn address_of(&self, cluster: &Cluster) -> Result<String> {
        if let Some(address) = &cluster.api_server {
            return Ok(address.clone());
        }
        let command = Command::new("kubectl")
            .words("config view --minify")
            .word(format!("--context={}", cluster.context))
            .words("--output=jsonpath={.clusters[0].cluster.server}");
        self.shell.ask(&command)
    }

    pub(super) fn api_servers(&self) -> Result<()> {
        for cluster in &self.settings.clusters {
            let name = &cluster.name;
            let address = self.address_of(cluster)?;
            if is_of_this_machine(&address) {
                self.problem(format!(
                    "{name}: its API server is {address}, which no other cluster can reach; {} to \
                     an address that they can",
                    self.set(name, "api-server")
                ))?;
            } else {
                self.fine(&format!("{name}: API server {address}"));
            }
        }
        Ok(())
    }
}

/// Whether a URL leads to this machine only.
fn is_of_this_machine(url: &str) -> bool {
    let host = url.split_once("://").map_or(url, |(_, host)| host);
    ["127.", "localhost", "[::1]", "0.0.0.0"].iter().any(|local| host.starts_with(local))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_this_machine_are_known() {
        for local in
            ["https://127.0.0.1:6443", "https://localhost", "https://[::1]:1", "http://0.0.0.0:1"]
        {
            assert!(is_of_this_machine(local), "{local}");
        }
        for other in ["https://10.0.0.1:6443", "https://kops.example.com", "https://[2001:db8::1]"]
        {
            assert!(!is_of_this_machine(other), "{other}");
        }
    }
}
