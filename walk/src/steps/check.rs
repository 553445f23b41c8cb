//! A check of the expectations in each cluster every five minutes.

use super::{Walk, delete};
use crate::checks::Check;
use crate::error::Result;

pub(crate) fn install(walk: Walk<'_>) -> Result<()> {
    walk.overlays(None)?;
    walk.checks().need(&[Check::Contexts, Check::Clients])?;
    walk.clusters().iter().try_for_each(|cluster| walk.apply(cluster, "check"))
}

pub(crate) fn uninstall(walk: Walk<'_>) -> Result<()> {
    walk.checks().need(&[Check::Contexts])?;
    let mut clusters = walk.clusters().iter();
    clusters.try_for_each(|cluster| {
        walk.shell.run(&delete(cluster, "istio-enabled", "cronjob,serviceaccount check"))
    })
}
