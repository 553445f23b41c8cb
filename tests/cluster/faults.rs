//! Faults on the real mesh, and the cause that the client of kops names for each.

use crate::lab::{Lab, Said};

/// What a client in kops says, with causes, of 400 requests to a URL, as soon as it names `cause`; none of `others` may be named beside it.
fn explained(lab: &Lab, url: &str, cause: &str, others: &[&str]) -> Result<(), String> {
    lab.eventually(|lab| {
        let said = asked(lab, url);
        said.contains(cause)?;
        others.iter().try_for_each(|other| said.lacks(other))
    })
}

fn asked(lab: &Lab, url: &str) -> Said {
    lab.kubectl(
        "kops",
        &[
            "--namespace=istio-enabled",
            "exec",
            "deploy/sleep",
            "--",
            "prober",
            url,
            "--requests=400",
            "--explain",
            "--quiet",
            "--expect",
            "reaches kops,gke1",
        ],
    )
}

fn scale(lab: &Lab, namespace: &str, deployment: &str, replicas: &str) -> Result<(), String> {
    let (namespace, deployment) =
        (format!("--namespace={namespace}"), format!("deployment/{deployment}"));
    lab.kubectl("gke1", &[&namespace, "scale", &deployment, &format!("--replicas={replicas}")])
        .succeeded()?;
    lab.kubectl("gke1", &[&namespace, "rollout", "status", "--timeout=120s", &deployment])
        .succeeded()
        .map(drop)
}

/// The mesh is well again: both clusters answer.
fn recovered(lab: &Lab) -> Result<(), String> {
    lab.eventually(|lab| asked(lab, "echo2:8080").contains("PASS  reaches kops,gke1"))
}

/// Applies a file of tests/cluster/faults to kops, looks, and takes it back.
fn with(lab: &Lab, file: &str, look: impl Fn() -> Result<(), String>) -> Result<(), String> {
    let file = format!("tests/cluster/faults/{file}.yaml");
    lab.kubectl("kops", &["apply", "--server-side", "-f", &file]).succeeded()?;
    let result = look();
    lab.kubectl("kops", &["delete", "-f", &file]).succeeded()?;
    result?;
    recovered(lab)
}

pub(crate) fn no_pods(lab: &Lab) -> Result<(), String> {
    scale(lab, "istio-enabled", "echo2", "0")?;
    explained(lab, "echo2:8080", "no remote mTLS endpoints", &["(gateway)", "least request"])?;
    scale(lab, "istio-enabled", "echo2", "2")?;
    recovered(lab)
}

pub(crate) fn gateway_stopped(lab: &Lab) -> Result<(), String> {
    scale(lab, "istio-system", "istio-eastwestgateway", "0")?;
    explained(lab, "echo2:8080", "(gateway)", &["no remote mTLS endpoints", "distribute"])?;
    scale(lab, "istio-system", "istio-eastwestgateway", "1")?;
    recovered(lab)
}

pub(crate) fn distributed(lab: &Lab) -> Result<(), String> {
    with(lab, "distribute", || {
        explained(
            lab,
            "echo2:8080",
            "distribute (client balancer)",
            &["least request", "(gateway)"],
        )
    })
}

pub(crate) fn subsets_on_one_side(lab: &Lab) -> Result<(), String> {
    with(lab, "subsets", || {
        explained(
            lab,
            "echo2:8080",
            "is the DestinationRule with subset all in that cluster too?",
            &["least request"],
        )
    })
}

pub(crate) fn missing_subset(lab: &Lab) -> Result<(), String> {
    with(lab, "missing-subset", || {
        explained(
            lab,
            "echo2:8080",
            "no such cluster (client balancer)",
            &["(gateway)", "least request"],
        )
    })
}

pub(crate) fn bypass(lab: &Lab) -> Result<(), String> {
    let pod = lab
        .kubectl(
            "kops",
            &[
                "--namespace=istio-enabled",
                "get",
                "pods",
                "--selector=app=echo2",
                "--output=jsonpath={.items[0].status.podIP}",
            ],
        )
        .succeeded()?;
    explained(
        lab,
        &format!("http://{}:8080/hello", pod.text.trim()),
        "unknown host",
        &["least request", "(gateway)"],
    )
}
