//! Whether istiod of each cluster reads all other clusters.

use std::thread;
use std::time::{Duration, Instant};

use super::Checks;
use crate::command::Command;
use crate::error::{Error, Result};
use crate::settings::Cluster;

const POLL: Duration = Duration::from_secs(2);

/// What to do if a cluster is not read yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Patience {
    /// Wait as long as the settings say, for all clusters together.
    Wait,
    /// Say it at once.
    AtOnce,
}

impl Checks<'_> {
    /// # Errors
    /// The first cluster that does not read another one in time.
    pub(crate) fn synced(&self, patience: Patience) -> Result<()> {
        let most = if patience == Patience::Wait { self.settings.deadline } else { 0 };
        let end = Instant::now() + Duration::from_secs(most);
        for cluster in &self.settings.clusters {
            let name = &cluster.name;
            let command = Command::istioctl(cluster, "remote-clusters");
            if self.shell.dry_run {
                self.shell.remark(&format!(
                    "{name}: waiting until istiod reads all other clusters, at most {most} s"
                ));
                self.shell.ask(&command)?;
                continue;
            }
            let mut first = true;
            loop {
                let missing = self.unsynced(cluster, &command, first)?;
                if missing.is_empty() {
                    self.shell.say(&format!("{name}: istiod reads all other clusters"));
                    break;
                }
                if Instant::now() >= end {
                    return Err(Error::Failed(format!(
                        "{name}: istiod does not read {missing} after {most} s; see {command}, and \
                         whether its pods reach the API server there"
                    )));
                }
                if first {
                    self.shell.say(&format!(
                        "{name}: waiting until istiod reads {missing}, at most {most} s"
                    ));
                }
                first = false;
                thread::sleep(POLL);
            }
        }
        Ok(())
    }

    /// The other clusters that a cluster has not read, or what istioctl complains about.
    fn unsynced(&self, cluster: &Cluster, command: &Command, first: bool) -> Result<String> {
        let answer = match first {
            true => self.shell.try_ask(command)?,
            false => self.shell.try_ask_again(command)?,
        };
        if !answer.succeeded {
            return Ok(answer.complaint());
        }
        let others = self.settings.clusters.iter().filter(|other| *other != cluster);
        let missing = others.map(|other| other.name.as_str());
        let missing: Vec<_> = missing.filter(|name| !is_synced(&answer.stdout, name)).collect();
        Ok(missing.join(" "))
    }
}

/// Whether the table of istioctl has a line with a cluster first and the word `synced`.
fn is_synced(table: &str, name: &str) -> bool {
    table
        .lines()
        .map(str::split_whitespace)
        .any(|mut words| words.next() == Some(name) && words.any(|word| word == "synced"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_whole_words_count() {
        let table = "NAME  SECRET  STATUS  ISTIOD\na-1  s/a  synced  x\na  s/a  timeout  x\nb  s/b  unsynced  x\n";
        assert!(is_synced(table, "a-1"));
        assert!(!is_synced(table, "a") && !is_synced(table, "b") && !is_synced(table, "c"));
    }
}
