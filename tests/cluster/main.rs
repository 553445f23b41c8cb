//! The walk of docs/kubernetes.md on two real clusters with real Istio, which tests/cluster/lab brings up: forwards, with
//! faults and options, and back. Steps build on each other, so they run in order and end at the first that fails.
//! `make test-cluster` runs it as root; `KEEP=1` leaves the clusters running.

mod faults;
mod lab;
mod walk;

use std::process::ExitCode;
use std::time::Instant;

use lab::Lab;

type Step = (&'static str, fn(&Lab) -> Result<(), String>);

const STEPS: &[Step] = &[
    ("the doctor finds nothing wrong, and much to do", walk::doctor),
    ("certificates, twice", walk::certificates),
    ("an install that is interrupted is completed by the next", walk::interrupted_install),
    ("install once more, and status", walk::install),
    ("echo and ingress, twice", walk::sample),
    ("all of echo-status is as intended", walk::echo_status),
    ("load from both clusters", walk::load),
    ("check and watch come and go, twice", walk::check_and_watch),
    ("fault: echo2 of gke1 has no pods", faults::no_pods),
    ("fault: the gateway of gke1 is stopped", faults::gateway_stopped),
    ("fault: somebody distributes 80:20", faults::distributed),
    ("fault: subsets are known in one cluster only", faults::subsets_on_one_side),
    ("fault: a route leads to a subset that is nowhere", faults::missing_subset),
    ("fault: traffic goes by a pod's address", faults::bypass),
    ("option STRICT_MTLS comes and goes", walk::strict_mtls),
    ("option OUTLIER_DETECTION comes and goes", walk::outlier_detection),
    ("option TLS_SECRET", walk::tls_secret),
    ("both APIs for gateways, and back", walk::gateway_api),
    ("a second revision comes and goes, and the first stays", walk::second_revision),
    ("uninstall, twice, leaves nothing", walk::uninstall),
];

#[allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "its steps take minutes, so each is told"
)]
fn main() -> ExitCode {
    let begin = Instant::now();
    let mut lab = match Lab::up() {
        Ok(lab) => lab,
        Err(why) => {
            eprintln!("test-cluster: {why}");
            return ExitCode::FAILURE;
        }
    };
    println!("ok      two clusters are up ({:.0} s)", begin.elapsed().as_secs_f64());
    for (name, step) in STEPS {
        let begin = Instant::now();
        let result = step(&lab);
        let word = if result.is_ok() { "ok     " } else { "FAILED " };
        println!("{word} {name} ({:.0} s)", begin.elapsed().as_secs_f64());
        if let Err(why) = result {
            eprintln!("{why}");
            return ExitCode::FAILURE;
        }
    }
    if let Err(why) = lab.down() {
        eprintln!("test-cluster: {why}");
        return ExitCode::FAILURE;
    }
    println!("ok      nothing of the clusters is left on this machine");
    println!("{} steps in {:.0} s", STEPS.len(), begin.elapsed().as_secs_f64());
    ExitCode::SUCCESS
}
