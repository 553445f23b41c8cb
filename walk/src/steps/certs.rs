//! The root and the authorities: made here, brought to the clusters, taken out of them.

use super::{Walk, delete};
use crate::checks::{CERTIFICATE_FILES, Check};
use crate::command::{Command, quoted};
use crate::error::{Error, Result};

/// Makes a root, and an authority for each cluster.
pub(crate) fn make(walk: Walk<'_>) -> Result<()> {
    let settings = walk.settings;
    let clusters: Vec<_> = walk.clusters().iter().map(|cluster| cluster.name.clone()).collect();
    if walk.shell.dry_run {
        let out = quoted(&settings.certs.display().to_string());
        walk.shell
            .say(&format!("certs generate --out {out} --cluster {}", clusters.join(" --cluster ")));
        return Ok(());
    }
    let (out, key) = (settings.certs.clone(), certs::KeyKind::Rsa4096);
    let request = certs::Request { out, clusters, key, force: false };
    let report = certs::generate(&request).map_err(|error| Error::ToCorrect(error.to_string()))?;
    report.to_string().lines().for_each(|line| walk.shell.say(line));
    Ok(())
}

/// Gives each cluster its authority.
pub(crate) fn install(walk: Walk<'_>) -> Result<()> {
    walk.overlays(None)?;
    walk.checks().need(&[Check::Contexts, Check::LocalCerts, Check::InstalledCerts])?;
    for cluster in walk.clusters() {
        walk.apply(cluster, "namespace")?;
        let folder = walk.settings.certs.join(&cluster.name);
        let words = "--namespace=istio-system create secret generic cacerts";
        let secret = Command::kubectl(cluster, words);
        let secret = CERTIFICATE_FILES.iter().fold(secret, |secret, file| {
            secret.word(format!("--from-file={}", folder.join(file).display()))
        });
        let secret = secret.words("--dry-run=client --output=yaml");
        walk.apply_from(&secret, cluster)?;
    }
    Ok(())
}

/// Takes the authorities out of the clusters.
pub(crate) fn uninstall(walk: Walk<'_>) -> Result<()> {
    walk.checks().need(&[Check::Contexts])?;
    let mut clusters = walk.clusters().iter();
    clusters
        .try_for_each(|cluster| walk.shell.run(&delete(cluster, "istio-system", "secret cacerts")))
}
