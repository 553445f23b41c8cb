//! `--select each`: the plan of a name becomes a plan for every address of it.

use std::collections::HashSet;

use tokio_util::sync::CancellationToken;

use super::{EngineError, Run};
use crate::engine::connect;
use crate::plan::{ProbePlan, Select};
use crate::resolve::Names;

/// Looks up the names of the plans that want every address, each once and before
/// anything is sent, and puts a plan for each address in their place; a name without
/// address becomes one plan, whose requests fail with the reason. Other plans stay as
/// they are, and so does what `stop` comes before.
///
/// # Errors
/// What keeps such a plan from being run, too: a file that cannot be read, or a system
/// that gives no event queue.
pub(crate) fn expand(
    plans: Vec<ProbePlan>,
    stop: &CancellationToken,
) -> Result<Vec<ProbePlan>, EngineError> {
    let Some(first) = plans.iter().find(|plan| plan.select == Select::Each) else {
        return Ok(plans);
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    // The flags about names are the same for all plans of a command line.
    let names = Names::new(&first.names)?;
    for plan in &plans {
        Run::prepare(plan)?;
    }
    let mut expanded = Vec::new();
    for plan in plans {
        match plan.select {
            Select::Each => {
                let selected = runtime.block_on(stop.run_until_cancelled(selected(&plan, &names)));
                let selected = selected.unwrap_or_else(|| vec![Select::Each]);
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

async fn selected(plan: &ProbePlan, names: &Names) -> Vec<Select> {
    match connect::of_target(plan, names).await {
        Ok(addresses) => {
            let mut seen = HashSet::new();
            let unique = addresses.into_iter().filter(|address| seen.insert(*address));
            unique.map(Select::Only).collect()
        }
        Err(failure) => vec![Select::Nowhere(failure.what)],
    }
}
