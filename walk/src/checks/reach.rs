//! Whether pods of each cluster reach the API servers of the others. A prober in a pod asks.

use serde_json::{Value, json};

use super::Checks;
use crate::command::{Command, last_line};
use crate::error::Result;
use crate::settings::Cluster;

/// What a prober found out about an address.
#[derive(Debug, PartialEq, Eq)]
enum Reached {
    /// Any answer will do, also one that forbids.
    Yes,
    /// Why not.
    No(String),
    /// What was said instead of a report.
    Unknown(String),
}

impl Checks<'_> {
    pub(super) fn reach(&self) -> Result<()> {
        for (from, to) in self.settings.pairs() {
            let address = self.address_of(to)?;
            // kubectl can attach to the pod too late to see what it said: once more.
            let reached = match self.ask_from(from, &address)? {
                Reached::Unknown(_) => self.ask_from(from, &address)?,
                reached => reached,
            };
            let (from, to) = (&from.name, &to.name);
            match reached {
                Reached::Yes => self.fine(&format!("{to}'s API server is reachable from {from}")),
                Reached::No(why) => self.problem(format!(
                    "{to}'s API server {address} does not answer to pods of {from}: {why}; open \
                     the way, or {}",
                    self.set(to, "api-server")
                ))?,
                Reached::Unknown(said) => self.note(&format!(
                    "whether {to}'s API server is reachable from {from} is not known: {said}"
                )),
            }
        }
        Ok(())
    }

    /// The pod goes when it has ended.
    fn ask_from(&self, from: &Cluster, address: &str) -> Result<Reached> {
        let words = "--namespace=default delete pod prober-doctor --ignore-not-found";
        self.shell.ask(&Command::question(from, words))?;
        let command = Command::kubectl(from, "--namespace=default run prober-doctor")
            .word(format!("--image={}", self.settings.prober_image))
            .words("--restart=Never --rm --attach --quiet --pod-running-timeout=60s")
            .words("--override-type=strategic")
            .word(format!("--overrides={}", pod()))
            .word("--")
            .word(format!("--target={address}/readyz"))
            .words("--insecure --requests=1 --output=json --quiet");
        let answer = self.shell.try_ask(&command)?;
        Ok(read(&format!("{}{}", answer.stdout, answer.stderr)))
    }
}

/// A pod that may do nothing.
fn pod() -> Value {
    json!({"spec": {
        "automountServiceAccountToken": false,
        "securityContext": {
            "runAsNonRoot": true,
            "runAsUser": 65532,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "containers": [{
            "name": "prober-doctor",
            "securityContext": {
                "allowPrivilegeEscalation": false,
                "capabilities": {"drop": ["ALL"]},
            },
        }],
    }})
}

/// What a prober's report says, with what kubectl says around it.
fn read(said: &str) -> Reached {
    if !said.contains("\"schema\": \"prober/1\"") {
        return Reached::Unknown(last_line(said));
    }
    if ["status", "unidentified"].iter().any(|kind| said.contains(&format!("\"kind\": \"{kind}\"")))
    {
        return Reached::Yes;
    }
    let what = said.lines().find_map(|line| line.split_once("\"what\": \""));
    let what = what.map(|(_, what)| what.trim_end_matches(',').trim_end_matches('"'));
    Reached::No(what.unwrap_or("no answer").to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_says_whether_there_was_an_answer() {
        let report = |kind: &str| {
            format!(
                "W: odd\n{{\n  \"schema\": \"prober/1\",\n  \"what\": \"no route\",\n  \"kind\": \"{kind}\"\n}}\n"
            )
        };
        assert_eq!(read(&report("status")), Reached::Yes);
        assert_eq!(read(&report("unidentified")), Reached::Yes);
        assert_eq!(read(&report("connect")), Reached::No("no route".to_owned()));
        assert_eq!(read("{\"schema\": \"prober/1\"}"), Reached::No("no answer".to_owned()));
        assert_eq!(read("a\npod deleted\n"), Reached::Unknown("pod deleted".to_owned()));
    }
}
