//! Whether the authorities here and in the clusters have one root.

use std::fs;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::Checks;
use crate::command::Command;
use crate::error::{Error, Result};
use crate::settings::Cluster;

/// The files of a cluster's authority, as istiod reads them.
pub(crate) const FILES: [&str; 4] =
    ["ca-cert.pem", "ca-key.pem", "root-cert.pem", "cert-chain.pem"];

impl Checks<'_> {
    /// Ends at the first thing that is not there: the others would say the same.
    pub(super) fn local_certs(&self) -> Result<()> {
        let folder = &self.settings.certs;
        let root = fs::read(folder.join("root-cert.pem")).unwrap_or_default();
        for cluster in &self.settings.clusters {
            let own = folder.join(&cluster.name);
            for file in FILES {
                let file = own.join(file);
                if fs::metadata(&file).map_or(0, |file| file.len()) == 0 {
                    let file = file.display();
                    return self.to_do(format!("{file} is not there; run: make certs"));
                }
            }
            if fs::read(own.join("root-cert.pem")).unwrap_or_default() != root {
                return self.problem(format!(
                    "{}/root-cert.pem is not the root {}/root-cert.pem; run: make certs",
                    own.display(),
                    folder.display()
                ));
            }
        }
        let folder = folder.display();
        self.fine(&format!("{folder} has an authority for each cluster, of one root"));
        Ok(())
    }

    /// The root in a cluster's secret, in base64; empty without that secret.
    fn root_of(&self, cluster: &Cluster) -> Result<String> {
        let words = "--namespace=istio-system get secret cacerts --ignore-not-found \
             --output=jsonpath={.data.root-cert\\.pem}";
        self.shell.ask(&Command::question(cluster, words))
    }

    /// Before anything is replaced: what is installed must have the same root.
    pub(super) fn installed_certs(&self) -> Result<()> {
        let path = self.settings.certs.join("root-cert.pem");
        let root = fs::read(&path).map_err(|error| {
            let why = usage::system_error(&error);
            Error::ToCorrect(format!("cannot read {}: {why}; run: make certs", path.display()))
        })?;
        let local = STANDARD.encode(root);
        for cluster in &self.settings.clusters {
            let name = &cluster.name;
            let root = self.root_of(cluster)?;
            if root.is_empty() {
                if self.has_istiod(cluster)? {
                    self.problem(format!(
                        "{name}: istiod runs without our certificates and signs with a root of its \
                         own; run make uninstall first, then certs-install and install"
                    ))?;
                }
            } else if root != local {
                self.problem(format!(
                    "{name}: another root is installed than {}; use the folder it was made from \
                     (CERTS=…), or run make uninstall first",
                    path.display()
                ))?;
            }
        }
        Ok(())
    }

    pub(super) fn certs(&self) -> Result<()> {
        let mut first: Option<(&str, String)> = None;
        for cluster in &self.settings.clusters {
            let name = cluster.name.as_str();
            let root = self.root_of(cluster)?;
            match &first {
                _ if root.is_empty() => self.to_do(format!(
                    "{name}: there is no secret cacerts in istio-system, so it would trust no other \
                     cluster; run: make certs certs-install"
                ))?,
                Some((other, known)) if !known.is_empty() && *known != root => {
                    self.problem(format!(
                        "{other} and {name} have different roots, so neither trusts the other; run \
                         make uninstall, certs-install and install"
                    ))?;
                }
                _ => self.fine(&format!("{name}: has an authority")),
            }
            if first.as_ref().is_none_or(|(_, known)| known.is_empty()) {
                first = Some((name, root));
            }
        }
        Ok(())
    }
}
