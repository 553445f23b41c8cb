//! What the walk needs, checked before anything is changed. A step ends at the first problem;
//! `walk doctor` names every problem.

mod certificates;
mod clusters;
mod images;
mod installed;
mod reach;
mod synced;
mod tools;

use std::cell::Cell;

pub(crate) use certificates::FILES as CERTIFICATE_FILES;
pub(crate) use synced::Patience;

use crate::command::Shell;
use crate::error::{Error, Result};
use crate::settings::Settings;

/// A check. Each has a test in `tests/kubernetes/walk.rs`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Check {
    /// kubectl and istioctl are there, and of the right release.
    Tools,
    /// istioctl is there.
    Istioctl,
    /// Contexts exist and lead to different clusters that answer.
    Contexts,
    /// One may do everything, and Kubernetes is new enough.
    Permissions,
    /// Clusters are on the networks of the settings, or on none yet.
    Networks,
    /// Other clusters can reach the addresses of the API servers.
    ApiServers,
    /// The folder of `make certs` is complete, with one root.
    LocalCerts,
    /// What is installed has the same root.
    InstalledCerts,
    /// All clusters have an authority of one root.
    Certs,
    /// Istio is installed, and what the ingress needs.
    Istio,
    /// The images are pushed.
    Images,
    /// The clients of the sample are ready.
    Clients,
    /// Each API server answers to pods of each other cluster.
    Reach,
}

impl Check {
    fn name(self) -> &'static str {
        match self {
            Self::Tools => "kubectl and istioctl",
            Self::Istioctl => "istioctl",
            Self::Contexts => "contexts",
            Self::Permissions => "permissions",
            Self::Networks => "networks",
            Self::ApiServers => "API servers",
            Self::LocalCerts => "local certificates",
            Self::InstalledCerts => "installed certificates",
            Self::Certs => "certificates of the clusters",
            Self::Istio => "Istio",
            Self::Images => "images",
            Self::Clients => "clients",
            Self::Reach => "API servers from pods of other clusters",
        }
    }
}

/// The checks of `walk doctor`.
const ALL: [Check; 9] = [
    Check::Tools,
    Check::Contexts,
    Check::Permissions,
    Check::Networks,
    Check::ApiServers,
    Check::Certs,
    Check::LocalCerts,
    Check::Images,
    Check::Reach,
];

pub(crate) struct Checks<'a> {
    settings: &'a Settings,
    shell: &'a Shell,
    /// Name every problem instead of ending at the first one.
    all: bool,
    problems: Cell<usize>,
    to_dos: Cell<usize>,
    /// A service of the ingress gateway that must exist.
    ingress: Option<&'static str>,
    /// The TLS secret must exist.
    needs_secret: bool,
}

impl<'a> Checks<'a> {
    pub(crate) fn new(settings: &'a Settings, shell: &'a Shell) -> Self {
        let (problems, to_dos) = (Cell::new(0), Cell::new(0));
        let (all, ingress, needs_secret) = (false, None, false);
        Self { settings, shell, all, problems, to_dos, ingress, needs_secret }
    }

    /// With what an ingress needs: perhaps a service, and the secret of the settings.
    pub(crate) fn of_ingress(mut self, service: Option<&'static str>) -> Self {
        (self.ingress, self.needs_secret) = (service, true);
        self
    }

    /// Checks what a step needs.
    ///
    /// # Errors
    /// The first problem.
    pub(crate) fn need(&self, checks: &[Check]) -> Result<()> {
        if self.shell.dry_run {
            let names: Vec<_> = checks.iter().map(|check| check.name()).collect();
            self.shell.remark(&format!("checked: {}", names.join(", ")));
            return Ok(());
        }
        checks.iter().try_for_each(|check| self.check(*check))
    }

    /// Checks everything, and prints what is wrong, what is to do and what is fine.
    ///
    /// # Errors
    /// If something is wrong. It has been printed.
    pub(crate) fn everything(mut self) -> Result<()> {
        self.all = true;
        if self.shell.dry_run {
            return self.need(&ALL);
        }
        ALL.into_iter().try_for_each(|check| self.check(check))?;
        if self.problems.get() > 0 {
            return Err(Error::Ended(1));
        }
        self.shell.say(&match self.to_dos.get() {
            0 => "all is ready".to_owned(),
            count => format!("nothing is wrong; to do: {count}"),
        });
        Ok(())
    }

    fn check(&self, check: Check) -> Result<()> {
        match check {
            Check::Tools => self.tools(),
            Check::Istioctl => self.istioctl().map(|_| ()),
            Check::Contexts => self.contexts(),
            Check::Permissions => self.permissions(),
            Check::Networks => self.networks(),
            Check::ApiServers => self.api_servers(),
            Check::LocalCerts => self.local_certs(),
            Check::InstalledCerts => self.installed_certs(),
            Check::Certs => self.certs(),
            Check::Istio => self.istio(),
            Check::Images => self.images(),
            Check::Clients => self.clients(),
            Check::Reach => self.reach(),
        }
    }

    /// Something is wrong.
    fn problem(&self, line: String) -> Result<()> {
        if !self.all {
            return Err(Error::ToCorrect(line));
        }
        self.problems.set(self.problems.get() + 1);
        self.shell.complain(&line);
        Ok(())
    }

    /// Something is wrong without which nothing more can be asked.
    fn end(&self, line: String) -> Result<()> {
        self.problem(line)?;
        Err(Error::Ended(1))
    }

    /// A later step brings what is missing: not a problem for `walk doctor`.
    fn to_do(&self, line: String) -> Result<()> {
        if !self.all {
            return self.problem(line);
        }
        self.to_dos.set(self.to_dos.get() + 1);
        self.shell.say(&format!("to do: {line}"));
        Ok(())
    }

    fn fine(&self, line: &str) {
        if self.all {
            self.shell.say(&format!("ok: {line}"));
        }
    }

    fn note(&self, line: &str) {
        self.shell.complain(&format!("note: {line}"));
    }

    /// Where to write a setting of a cluster.
    fn set(&self, cluster: &str, key: &str) -> String {
        format!("set {key} of {cluster} in {}", self.settings.file)
    }
}
