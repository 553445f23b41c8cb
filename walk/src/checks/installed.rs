//! What earlier steps brought: Istio, what an ingress needs, the clients of the sample.

use super::Checks;
use crate::command::{Command, quoted};
use crate::error::Result;
use crate::settings::Cluster;

impl Checks<'_> {
    pub(super) fn has_istiod(&self, cluster: &Cluster) -> Result<bool> {
        let words = "--namespace=istio-system get deployments --selector=app=istiod --output=name";
        Ok(!self.shell.ask(&Command::question(cluster, words))?.is_empty())
    }

    /// Whether a resource of istio-system exists.
    fn exists(&self, cluster: &Cluster, kind: &str, name: &str) -> Result<bool> {
        let command = Command::question(cluster, "--namespace=istio-system get")
            .words(kind)
            .word(name)
            .words("--ignore-not-found --output=name");
        Ok(!self.shell.ask(&command)?.is_empty())
    }

    pub(super) fn istio(&self) -> Result<()> {
        for cluster in &self.settings.clusters {
            let name = &cluster.name;
            if !self.has_istiod(cluster)? {
                self.problem(format!("{name}: Istio is not installed; run: make install"))?;
            }
            if let Some(service) = self.ingress
                && !self.exists(cluster, "service", service)?
            {
                self.problem(format!(
                    "{name}: there is no service {service} in istio-system: Istio was installed for \
                     the Gateway API; run: make install, and then this again"
                ))?;
            }
            if let Some(secret) = self.settings.tls_secret.as_ref().filter(|_| self.needs_secret)
                && !self.exists(cluster, "secret", secret)?
            {
                let context = quoted(&cluster.context);
                self.problem(format!(
                    "{name}: there is no secret {secret} in istio-system; make it: kubectl \
                     --context={context} --namespace=istio-system create secret tls {secret} \
                     --cert=… --key=…"
                ))?;
            }
        }
        Ok(())
    }

    pub(super) fn clients(&self) -> Result<()> {
        for cluster in &self.settings.clusters {
            for namespace in ["istio-disabled", "istio-enabled"] {
                let words = format!(
                    "--namespace={namespace} get deployment sleep --ignore-not-found \
                     --output=jsonpath={{.status.readyReplicas}}"
                );
                let ready = self.shell.ask(&Command::question(cluster, words))?;
                if ready.parse::<u32>().unwrap_or(0) == 0 {
                    let name = &cluster.name;
                    self.problem(format!(
                        "{name}: no client is ready in {namespace}; run: make echo-install"
                    ))?;
                }
            }
        }
        Ok(())
    }
}
