//! `--select each`: the plan for a name becomes one plan for each of its addresses.

use std::collections::HashSet;

use tokio_util::sync::CancellationToken;

use super::waiting::{self, Note};
use super::{EngineError, Run};
use crate::plan::{ProbePlan, Select};

/// Looks up the names of the plans with `--select each` before anything is sent, and
/// replaces each of these plans by one plan per address. A name without an address becomes one
/// plan whose requests fail with the reason. Other plans stay as they are, and so do those that
/// `stop` cuts short.
///
/// # Errors
/// Whatever prevents a run: a file that cannot be read, or no event queue.
pub(crate) fn expand(
    plans: Vec<ProbePlan>,
    stop: &CancellationToken,
    note: Note<'_>,
) -> Result<Vec<ProbePlan>, EngineError> {
    if plans.iter().all(|plan| plan.select != Select::Each) {
        return Ok(plans);
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    for plan in &plans {
        Run::prepare(plan)?;
    }
    let mut expanded = Vec::new();
    for plan in plans {
        match plan.select {
            Select::Each => {
                let selected = selected(&plan, stop, note);
                let selected = runtime.block_on(stop.run_until_cancelled(selected));
                let selected = selected.unwrap_or_else(|| Ok(vec![Select::Each]))?;
                expanded.extend(selected.into_iter().map(|select| with(&plan, select)));
            }
            _ => expanded.push(plan),
        }
    }
    Ok(expanded)
}

fn with(plan: &ProbePlan, select: Select) -> ProbePlan {
    ProbePlan { select, ..plan.clone() }
}

async fn selected(
    plan: &ProbePlan,
    stop: &CancellationToken,
    note: Note<'_>,
) -> Result<Vec<Select>, EngineError> {
    Ok(match waiting::addresses(plan, stop, note).await? {
        Ok(addresses) => {
            let mut seen = HashSet::new();
            let unique = addresses.into_iter().filter(|address| seen.insert(*address));
            unique.map(Select::Only).collect()
        }
        Err(why) => vec![Select::Nowhere(why)],
    })
}
