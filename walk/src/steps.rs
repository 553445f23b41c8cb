//! The steps of the walk, a file for each, and what several of them do.

pub(crate) mod certs;
pub(crate) mod check;
pub(crate) mod images;
pub(crate) mod ingress;
pub(crate) mod istio;
pub(crate) mod load;
pub(crate) mod sample;
pub(crate) mod watch;

use std::path::Path;

use crate::checks::Checks;
use crate::command::{Command, Shell, write_file};
use crate::error::{Error, Result};
use crate::overlay;
use crate::settings::{Cluster, Settings};

/// The settings, and what runs commands.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Walk<'a> {
    pub(crate) settings: &'a Settings,
    pub(crate) shell: &'a Shell,
}

impl<'a> Walk<'a> {
    pub(crate) fn checks(self) -> Checks<'a> {
        Checks::new(self.settings, self.shell)
    }

    fn clusters(self) -> &'a [Cluster] {
        &self.settings.clusters
    }

    /// Writes the overlays of all clusters.
    ///
    /// # Errors
    /// If they cannot be written, or the bases are not here.
    pub(crate) fn overlays(self, run: Option<&overlay::Run>) -> Result<()> {
        let folder = self.settings.overlays.display();
        if self.shell.dry_run {
            self.shell.remark(&format!("'walk overlays' with the same settings writes {folder}"));
            return Ok(());
        }
        self.check_bases()?;
        for cluster in self.clusters() {
            for overlay in overlay::of_cluster(self.settings, cluster, run) {
                let folder = self.settings.overlay(cluster, overlay.name);
                write_file(&folder.join("kustomization.yaml"), overlay.text.as_bytes())?;
            }
        }
        Ok(())
    }

    fn check_bases(self) -> Result<()> {
        if Path::new("k8s/istio").is_dir() {
            return Ok(());
        }
        let line = "the folder k8s/istio is not here; run this in the folder of the repository";
        Err(Error::ToCorrect(line.to_owned()))
    }

    /// The command that applies an overlay.
    fn applying(self, cluster: &Cluster, name: &str) -> Command {
        let folder = self.settings.overlay(cluster, name).display().to_string();
        Command::kubectl(cluster, "apply --server-side --force-conflicts -k").word(folder)
    }

    fn apply(self, cluster: &Cluster, name: &str) -> Result<()> {
        self.shell.run(&self.applying(cluster, name))
    }

    /// Applies what another command prints.
    fn apply_from(self, from: &Command, cluster: &Cluster) -> Result<()> {
        let words = "apply --server-side --force-conflicts -f -";
        self.shell.pipe(from, &Command::kubectl(cluster, words))
    }

    fn kubectl(self, cluster: &Cluster, words: impl AsRef<str>) -> Result<()> {
        self.shell.run(&Command::kubectl(cluster, words))
    }

    /// Runs a command that waits; says for whom, how long at most, and where to look if in vain.
    fn wait(self, cluster: &Cluster, what: &str, wait: &Wait) -> Result<()> {
        let (name, most) = (&cluster.name, self.settings.deadline);
        self.shell.remark(&format!("{name}: waiting {}, at most {most} s", wait.until));
        let namespace = &wait.namespace;
        let words = format!("{namespace}{} --timeout={most}s {what}", wait.words);
        let see = Command::kubectl(cluster, format!("{namespace}describe {}", wait.describe));
        self.shell.run_or(&Command::kubectl(cluster, words), || {
            format!("{name}: {} in {most} s; see why: {see}", wait.in_vain)
        })
    }

    /// Waits until a load balancer has given an address to a Service of istio-system.
    fn wait_address(self, cluster: &Cluster, service: &str) -> Result<()> {
        let what = format!("service/{service}");
        let wait = Wait {
            namespace: "--namespace=istio-system ".to_owned(),
            words: "wait --for=jsonpath={.status.loadBalancer.ingress}",
            until: format!("for the external address of {what}"),
            in_vain: format!("{what} got no external address"),
            describe: what.clone(),
        };
        self.wait(cluster, &what, &wait)
    }

    /// Waits until a Gateway of istio-system is brought up.
    fn wait_programmed(self, cluster: &Cluster, gateway: &str) -> Result<()> {
        let what = format!("{GATEWAYS}/{gateway}");
        let wait = Wait {
            namespace: "--namespace=istio-system ".to_owned(),
            words: "wait --for=condition=Programmed",
            until: format!("until gateway/{gateway} is brought up"),
            in_vain: format!("gateway/{gateway} was not brought up"),
            describe: what.clone(),
        };
        self.wait(cluster, &what, &wait)
    }

    fn wait_rollout(self, cluster: &Cluster, namespace: &str, deployment: &str) -> Result<()> {
        let what = format!("deployment/{deployment}");
        let wait = Wait {
            namespace: format!("--namespace={namespace} "),
            words: "rollout status",
            until: format!("until {what} is up"),
            in_vain: format!("{what} did not come up"),
            describe: "pods".to_owned(),
        };
        self.wait(cluster, &what, &wait)
    }

    /// Runs commands if a cluster knows a kind of resource: kubectl refuses unknown kinds.
    fn if_known(self, cluster: &Cluster, kind: &str, commands: &[Command]) -> Result<()> {
        let words = format!("get crd {kind} --ignore-not-found --output=name");
        self.if_answered(&Command::kubectl(cluster, words), commands)
    }

    /// Runs commands if a question has an answer.
    fn if_answered(self, question: &Command, commands: &[Command]) -> Result<()> {
        let known = self.shell.ask(question)?;
        if self.shell.dry_run {
            self.shell.conditional("if it is there:", commands);
        }
        if known.is_empty() {
            return Ok(());
        }
        commands.iter().try_for_each(|command| self.shell.run(command))
    }

    /// Installs the resource definitions of the Gateway API, which are not part of Kubernetes.
    /// Those that are there stay.
    fn gateway_api(self, cluster: &Cluster) -> Result<()> {
        let question = Command::kubectl(cluster, format!("get crd {GATEWAYS}"));
        let version = &self.settings.gateway_api_version;
        let install = Command::kubectl(cluster, "apply --server-side -f").word(format!(
            "https://github.com/kubernetes-sigs/gateway-api/releases/download/{version}/\
             standard-install.yaml"
        ));
        if self.shell.dry_run {
            self.shell.ask(&question)?;
            self.shell.conditional("if it is not there:", &[install]);
        } else if !self.shell.try_ask(&question)?.succeeded {
            self.shell.run(&install)?;
        }
        let what = format!("crd/{GATEWAYS}");
        let wait = Wait {
            namespace: String::new(),
            words: "wait --for=condition=Established",
            until: format!("until {what} is established"),
            in_vain: format!("{what} was not established"),
            describe: what.clone(),
        };
        self.wait(cluster, &what, &wait)
    }
}

/// What is waited for, and the words that say so.
struct Wait {
    /// A flag with a blank behind it, or nothing.
    namespace: String,
    words: &'static str,
    /// After `waiting`.
    until: String,
    /// Before `in 300 s`.
    in_vain: String,
    /// After `kubectl describe`.
    describe: String,
}

/// The kind of gateway of the Gateway API, and that of Istio.
const GATEWAYS: &str = "gateways.gateway.networking.k8s.io";
const ISTIO_GATEWAYS: &str = "gateways.networking.istio.io";
/// The kinds of resources that a gateway of istioctl is made of.
const OF_A_GATEWAY: &str = "deployment,service,serviceaccount,hpa,pdb,role,rolebinding";

/// `kubectl delete` of what may be gone already, in a namespace.
fn delete(cluster: &Cluster, namespace: &str, what: &str) -> Command {
    let words = format!("--namespace={namespace} delete {what} --ignore-not-found");
    Command::kubectl(cluster, words)
}
