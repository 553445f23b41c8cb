//! Performs an [`Action`] on a running mesh, as istiod or the kubelet would. Returns once the
//! action is in force.

use std::time::{Duration, Instant};

use super::action::{Action, MirrorArgs, Switch, Weights};
use super::authorities::Trust;
use super::files;
use super::find::{PodPlace, Workload, belongs};
use super::ready;
use super::running::Mesh;
use crate::error::Error;
use crate::process::child::{Process, stop_all};
use crate::process::programs::{Kind, of_pod};
use crate::topology::{Destination, Fault, Locality, LocalityLb, Mirror, Role, Service};

/// The drain time of a pod, as in Istio's agent.
const DRAIN: Duration = Duration::from_secs(5);
const POLL: Duration = Duration::from_millis(5);
impl Mesh {
    /// Performs an action. Returns once it is in force.
    ///
    /// # Errors
    /// If the action names something that does not exist, an Envoy refuses its configuration,
    /// or a process does not start again. What an Envoy has refused is taken back.
    pub fn perform(&mut self, action: &Action) -> Result<(), Error> {
        let before = self.snapshot();
        match self.change_by(action) {
            Err(Error::Refused { envoy, log }) => {
                self.restore(&before)?;
                Err(Error::TakenBack { envoy, log })
            }
            done => done,
        }
    }

    /// Long because it has one arm per action.
    fn change_by(&mut self, action: &Action) -> Result<(), Error> {
        match action {
            Action::Kill { target } => self.on_processes(target, Process::kill),
            Action::Stop { target } => {
                let chosen = self.matching(target)?;
                stop_all(chosen);
                Ok(())
            }
            Action::Start { target } => self.start_ended(target),
            Action::Freeze { target } => self.on_processes(target, |process| process.freeze(true)),
            Action::Thaw { target } => self.on_processes(target, |process| process.freeze(false)),
            Action::Throttle { target, percent } => {
                let percent = *percent;
                self.matching(target)?.into_iter().try_for_each(|p| p.throttle(percent))
            }
            Action::Unready { pod } => self.mark(pod, false),
            Action::Ready { pod } => self.mark(pod, true),
            Action::Drain { pod } => {
                self.mark(pod, false)?;
                self.end_drained(pod)
            }
            Action::Scale { workload, replicas } => self.scale(workload, *replicas),
            Action::Restart { workload, abrupt } => self.restart_rolling(workload, *abrupt),
            Action::Locality { target, locality } => self.move_to(target, locality),
            Action::Delay { pod, delay, percent } => {
                let delay = (!delay.is_zero()).then_some(*delay);
                self.fault(pod, |fault| fault.delay = delay, *percent)
            }
            Action::Abort { pod, status, percent } => {
                let abort = (*status != 200).then_some(*status);
                self.fault(pod, |fault| fault.abort = abort, *percent)
            }
            Action::RemoteSecret { cluster, of, switch } => {
                self.remote_secret(cluster, of, *switch)
            }
            Action::DestinationRule { cluster, service, switch } => {
                self.destination_rule(cluster, service, *switch)
            }
            Action::OutboundTraffic { cluster, policy } => {
                let at = self.known_cluster(cluster)?;
                self.topology.clusters[at].outbound_traffic = *policy;
                self.publish()
            }
            Action::Cut { one, other } => self.cut(one, other, true),
            Action::Mend { one, other } => self.cut(one, other, false),
            Action::SwapRoot { cluster, both_roots } => {
                self.known_cluster(cluster)?;
                self.swap_root(cluster, if *both_roots { Trust::BothRoots } else { Trust::NewRoot })
            }
            Action::Account { pod, account } => self.change_account(pod, account),
            Action::Split { service, weights } => self.split(service, weights),
            Action::Distribute { service, weights } => self.distribute(service, weights),
            Action::Failover { service, switch } => self.change(service, |service| {
                service.policy.locality = match switch {
                    Switch::On => LocalityLb::Failover,
                    Switch::Off => LocalityLb::Off,
                };
            }),
            Action::Outlier(args) => {
                let outlier = args.outlier().map_err(Error::NotDone)?;
                self.change(&args.service, |service| service.policy.outlier = outlier)
            }
            Action::Balancer(args) => {
                let balancer = args.balancer().map_err(Error::NotDone)?;
                self.change(&args.service, |service| service.policy.balancer = balancer)
            }
            Action::Breaker(args) => {
                let limits = args.limits().map_err(Error::NotDone)?;
                self.change(&args.service, |service| service.policy.limits = limits)
            }
            Action::Mirror(args) => self.mirror(args),
            Action::Mtls { service, mode } => {
                self.known_to_use_mtls(service)?;
                self.change(service, |service| service.mtls = *mode)
            }
            Action::Retries { service, times } => {
                self.change(service, |service| service.policy.retries = *times)
            }
            Action::Undo => self.undo().map(|_| ()),
            Action::Reset => self.reset().map(|_| ()),
            Action::San { service, account } => {
                self.known_to_use_mtls(service)?;
                self.change(service, |service| {
                    let sans = (account != "off").then(|| vec![service.spiffe_of(account)]);
                    service.policy.sans = sans;
                })
            }
        }
    }

    fn move_to(&mut self, target: &str, locality: &Locality) -> Result<(), Error> {
        let mut found = false;
        for cluster in &mut self.topology.clusters {
            for pod in &mut cluster.pods {
                if target == cluster.name || target == format!("{}/{}", cluster.name, pod.label) {
                    pod.locality = locality.clone();
                    found = true;
                }
            }
        }
        if found { self.publish() } else { Err(self.no_such_target(target)) }
    }

    fn remote_secret(&mut self, cluster: &str, of: &str, switch: Switch) -> Result<(), Error> {
        self.known_cluster(of)?;
        let at = self.known_cluster(cluster)?;
        if cluster == of {
            return Err(Error::OwnSecret(cluster.to_owned()));
        }
        let unseen = &mut self.topology.clusters[at].unseen;
        match switch {
            Switch::On => unseen.remove(of),
            Switch::Off => unseen.insert(of.to_owned()),
        };
        self.publish()
    }

    fn destination_rule(
        &mut self,
        cluster: &str,
        service: &str,
        switch: Switch,
    ) -> Result<(), Error> {
        let at = self.known_cluster(cluster)?;
        self.known_service(service)?;
        let missing = &mut self.topology.clusters[at].without_rule;
        match switch {
            Switch::On => missing.remove(service),
            Switch::Off => missing.insert(service.to_owned()),
        };
        self.publish()
    }

    fn change_account(&mut self, pod: &str, account: &str) -> Result<(), Error> {
        let name = pod;
        let PodPlace { cluster, pod } = self.find_pod(name)?;
        if !files::needs_secrets(&self.topology.clusters[cluster].pods[pod]) {
            return Err(Error::NoCertificate(name.to_owned()));
        }
        account.clone_into(&mut self.topology.clusters[cluster].pods[pod].account);
        let home = &self.topology.clusters[cluster];
        files::write_secrets(&self.authorities, home, &home.pods[pod], self.folder.path())?;
        let admin = home.pods[pod].envoy_admin();
        // Open connections would keep the old certificate.
        self.restart(|process| process.program.admin == admin)
    }

    fn split(&mut self, service: &str, weights: &Weights) -> Result<(), Error> {
        self.known_clusters(&weights.0)?;
        let weights = weights.0.clone();
        self.change(service, |service| {
            service.policy.subsets |= !weights.is_empty();
            service.policy.split = weights;
        })
    }

    fn distribute(&mut self, service: &str, weights: &Weights) -> Result<(), Error> {
        self.known_clusters(&weights.0)?;
        let locality = match weights.0.is_empty() {
            true => LocalityLb::Failover,
            false => LocalityLb::Distribute(weights.0.clone()),
        };
        self.change(service, |service| service.policy.locality = locality)
    }

    fn cut(&mut self, one: &str, other: &str, cut: bool) -> Result<(), Error> {
        let network = |name| -> Result<String, Error> {
            Ok(self.topology.clusters[self.known_cluster(name)?].network.clone())
        };
        let mut networks = [network(one)?, network(other)?];
        let isolation = self.isolation.as_ref().ok_or(Error::NotIsolated)?;
        networks.sort();
        let [a, b] = networks;
        if a == b {
            let (one, other) = (one.to_owned(), other.to_owned());
            return Err(Error::SameNetwork { one, other, network: a });
        }
        let pair = (a, b);
        if self.topology.cuts.contains(&pair) == cut {
            return Ok(());
        }
        isolation.cut(&pair.0, &pair.1, cut)?;
        match cut {
            true => self.topology.cuts.insert(pair),
            false => self.topology.cuts.remove(&pair),
        };
        Ok(())
    }

    fn mirror(&mut self, args: &MirrorArgs) -> Result<(), Error> {
        let mirror = args.mirror().map_err(Error::NotDone)?;
        self.known_service(&args.service)?;
        if let Some(Mirror { to: Destination { service, subset }, .. }) = &mirror {
            let to = self.known_service(service)?;
            if let Some(subset) = subset {
                self.known_cluster(subset)?;
                self.topology.services[to].policy.subsets = true;
            }
        }
        self.change(&args.service, |service| service.policy.mirror = mirror)
    }

    fn change(&mut self, service: &str, change: impl FnOnce(&mut Service)) -> Result<(), Error> {
        let at = self.known_service(service)?;
        change(&mut self.topology.services[at]);
        self.publish()
    }

    fn known_to_use_mtls(&self, service: &str) -> Result<(), Error> {
        let at = self.known_service(service)?;
        match self.topology.services[at].sidecar {
            true => Ok(()),
            false => Err(Error::NoMtls(service.to_owned())),
        }
    }

    fn mark(&mut self, pod: &str, ready: bool) -> Result<(), Error> {
        let PodPlace { cluster, pod } = self.find_pod(pod)?;
        self.topology.clusters[cluster].pods[pod].ready = ready;
        self.publish()
    }

    fn fault(
        &mut self,
        pod: &str,
        change: impl FnOnce(&mut Fault),
        percent: u32,
    ) -> Result<(), Error> {
        let at = self.find_pod(pod)?;
        let found = &mut self.topology.clusters[at.cluster].pods[at.pod];
        if !matches!(found.role, Role::Echo { behind_sidecar: Some(_), .. }) {
            return Err(Error::NoSidecar(pod.to_owned()));
        }
        let none = Fault { delay: None, abort: None, percent };
        let mut fault = found.fault.take().unwrap_or(none);
        fault.percent = percent;
        change(&mut fault);
        found.fault = (fault.delay.is_some() || fault.abort.is_some()).then_some(fault);
        self.publish()
    }

    pub(super) fn scale(&mut self, workload: &str, replicas: u8) -> Result<(), Error> {
        let Workload { cluster, service } = self.find_workload(workload)?;
        let scaled = self.topology.scale(cluster, service, replicas);
        let labels = &scaled.new;
        let dir = self.folder.path();
        let home = &self.topology.clusters[cluster];
        for pod in home.pods.iter().filter(|pod| labels.contains(&pod.label)) {
            files::write_pod(&self.topology, &self.authorities, home, pod, dir)?;
        }
        // Pods to remove leave the endpoints first, then drain and stop.
        self.publish()?;
        for pod in &scaled.gone {
            let name = format!("{}/{}", self.topology.clusters[cluster].name, pod.label);
            self.end_drained(&name)?;
            self.processes.retain(|process| !belongs(process, &name));
        }
        // New pods enter the endpoints once they are ready.
        for label in labels {
            let home = &self.topology.clusters[cluster];
            let Some(pod) = home.pods.iter().find(|pod| pod.label == *label) else { continue };
            let dir = self.folder.path();
            let programs = of_pod(&self.topology, home, pod, &self.tools, dir);
            for mut program in programs {
                if let Some(isolation) = &self.isolation {
                    program.put_into(isolation);
                }
                let process = Process::start(&self.tools.launcher, program)?;
                self.processes.push(process);
            }
        }
        let home = self.topology.clusters[cluster].name.clone();
        let new = |process: &&mut Process| {
            process.program.cluster == home && labels.contains(&process.program.pod)
        };
        ready::wait_for_processes(self.processes.iter_mut().filter(new), &self.http, &|| false)?;
        for pod in &mut self.topology.clusters[cluster].pods {
            pod.ready |= labels.contains(&pod.label);
        }
        self.publish()
    }

    fn restart_rolling(&mut self, workload: &str, abrupt: bool) -> Result<(), Error> {
        let Workload { cluster, service } = self.find_workload(workload)?;
        let home = &self.topology.clusters[cluster];
        let pods: Vec<_> =
            home.echoes(service).map(|pod| format!("{}/{}", home.name, pod.label)).collect();
        for pod in pods {
            if abrupt {
                stop_all(self.matching(&pod)?);
            } else {
                self.mark(&pod, false)?;
                self.end_drained(&pod)?;
            }
            self.start_ended(&pod)?;
            self.mark(&pod, true)?;
        }
        Ok(())
    }

    /// Stops a pod as Istio's agent and the kubelet do: its sidecar drains its connections.
    /// Once they have ended, or after [`DRAIN`], the processes get SIGTERM.
    fn end_drained(&mut self, pod: &str) -> Result<(), Error> {
        let deadline = Instant::now() + DRAIN;
        let sidecars: Vec<_> = self
            .matching(pod)?
            .into_iter()
            .filter(|process| process.program.kind == Kind::Envoy && process.is_responsive())
            .map(|process| process.program.admin)
            .collect();
        for admin in sidecars {
            // A sidecar that does not answer is stopped without a drain.
            if self.http.post(admin, "/drain_listeners?inboundonly&graceful&skip_exit").is_err() {
                continue;
            }
            let active = r"^http\.inbound_0\.0\.0\.0_8080\.downstream_(cx|rq)_active$";
            while Instant::now() < deadline {
                let left = self.http.statistics(admin, active).unwrap_or_default();
                if left.values().all(|count| *count == 0) {
                    break;
                }
                std::thread::sleep(POLL);
            }
        }
        stop_all(self.matching(pod)?);
        Ok(())
    }

    fn start_ended(&mut self, target: &str) -> Result<(), Error> {
        let launcher = self.tools.launcher.clone();
        let mut chosen = self.matching(target)?;
        chosen.retain(|process| process.pid().is_none());
        for process in &mut chosen {
            process.start_again(&launcher)?;
        }
        let names: Vec<_> = chosen.iter().map(|process| process.program.name.clone()).collect();
        let started = self.processes.iter_mut().filter(|p| names.contains(&p.program.name));
        ready::wait_for_processes(started, &self.http, &|| false)
    }

    fn on_processes(&mut self, target: &str, act: impl Fn(&mut Process)) -> Result<(), Error> {
        self.matching(target)?.into_iter().for_each(act);
        Ok(())
    }
}
