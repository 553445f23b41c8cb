//! Load from pods in each cluster, whose reports are collected and merged.

use std::fs;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use time::OffsetDateTime;

use super::{Walk, sample};
use crate::checks::Check;
use crate::command::{Command, last_line, write_file};
use crate::error::{Error, Result};
use crate::overlay::{self, Run};
use crate::settings::Cluster;

const POLL: Duration = Duration::from_secs(2);

/// Runs the load, collects the reports and merges them with prober.
pub(crate) fn run(walk: Walk<'_>, prober: &Path) -> Result<()> {
    walk.checks().need(&[Check::Contexts, Check::Clients])?;
    walk.overlays(Some(&Run::of(OffsetDateTime::now_utc())))?;
    let load = &walk.settings.load;
    walk.shell.remark(&format!(
        "{} pods in each cluster ask {} for {}, each {} times a second, {} s from now",
        load.pods,
        load.target,
        load.duration,
        overlay::rate_per_pod(walk.settings),
        Run::AHEAD.as_secs()
    ));
    let deadline = walk.settings.deadline;
    for cluster in walk.clusters() {
        let words = format!(
            "--namespace=istio-enabled delete job load --ignore-not-found --timeout={deadline}s"
        );
        walk.kubectl(cluster, words)?;
        walk.apply(cluster, "load")?;
    }
    let folder = walk.settings.overlays.join("load");
    if !walk.shell.dry_run {
        remove_reports(&folder)?;
    }
    let mut reports = Vec::new();
    for cluster in walk.clusters() {
        wait(walk, cluster)?;
        for index in 0..walk.settings.load.pods {
            reports.push(collect(walk, cluster, index, &folder)?);
        }
    }
    let merge = Command::new(prober.display().to_string()).word("merge");
    let merge = reports.iter().fold(merge, |merge, file| merge.word(file.display().to_string()));
    sample::run_prober(walk, &merge)
}

/// Removes the reports of earlier loads.
fn remove_reports(folder: &Path) -> Result<()> {
    let wrong = |error: std::io::Error| {
        let why = usage::system_error(&error);
        Error::Failed(format!("cannot empty {}: {why}", folder.display()))
    };
    fs::create_dir_all(folder).map_err(wrong)?;
    for entry in fs::read_dir(folder).map_err(wrong)? {
        let path = entry.map_err(wrong)?.path();
        if path.extension().is_some_and(|end| end == "json") {
            fs::remove_file(path).map_err(wrong)?;
        }
    }
    Ok(())
}

fn question(cluster: &Cluster, words: &str) -> Command {
    Command::kubectl(cluster, "--namespace=istio-enabled").words(words)
}

/// Waits until all pods of a cluster have ended. The deadline counts from when the last one did.
fn wait(walk: Walk<'_>, cluster: &Cluster) -> Result<()> {
    let (name, pods) = (&cluster.name, walk.settings.load.pods);
    let deadline = walk.settings.deadline;
    let command = question(cluster, "get job load")
        .word("--output=jsonpath={.status.succeeded} {.status.failed}");
    walk.shell.remark(&format!(
        "{name}: waiting until {pods} pods have ended, at most {deadline} s for the next one"
    ));
    if walk.shell.dry_run {
        return walk.shell.ask(&command).map(|_| ());
    }
    let mut ended: Option<u32> = None;
    let mut end = Instant::now();
    loop {
        let answer = match ended {
            None => walk.shell.try_ask(&command)?,
            Some(_) => walk.shell.try_ask_again(&command)?,
        };
        if !answer.succeeded {
            let why = answer.complaint();
            return Err(Error::Failed(format!("{name}: kubectl get job load failed: {why}")));
        }
        let counts = answer.stdout.split_whitespace().filter_map(|count| count.parse::<u32>().ok());
        let now = counts.sum();
        if ended != Some(now) {
            walk.shell.say(&format!("{name}: {now} of {pods} pods have ended"));
            ended = Some(now);
            end = Instant::now() + Duration::from_secs(deadline);
        }
        if now >= pods {
            return Ok(());
        }
        if Instant::now() >= end {
            let see = question(cluster, "describe job load");
            return Err(Error::Failed(format!(
                "{name}: {now} of {pods} pods have ended, and none more in {deadline} s; see {see}"
            )));
        }
        thread::sleep(POLL);
    }
}

/// Writes the report of a pod into a file, and returns its path.
fn collect(walk: Walk<'_>, cluster: &Cluster, index: u32, folder: &Path) -> Result<PathBuf> {
    let name = &cluster.name;
    let file = folder.join(format!("{name}-{index}.json"));
    let selector = format!(
        "--selector=batch.kubernetes.io/job-name=load,\
         batch.kubernetes.io/job-completion-index={index}"
    );
    let pods = question(cluster, "get pods").word(selector).word("--output=name");
    let pods = walk.shell.ask(&pods)?;
    if walk.shell.dry_run {
        let logs = question(cluster, "logs --container=prober POD");
        walk.shell.remark(&format!("with that POD, into {}: {logs}", file.display()));
        return Ok(file);
    }
    let Some(pod) = pods.lines().next() else {
        let line = format!("{name}: the pod of index {index} is gone; run make load again");
        return Err(Error::Failed(line));
    };
    let logs = question(cluster, "logs --container=prober").word(pod);
    let report = walk.shell.ask(&logs)?;
    write_file(&file, format!("{report}\n").as_bytes())?;
    if !report.contains("\"schema\": \"prober/1\"") {
        let said = last_line(&report);
        return Err(Error::Failed(format!("{name}: {pod} printed no report; it said: {said}")));
    }
    Ok(file)
}
