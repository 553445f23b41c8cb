//! The steps of docs/kubernetes.md, each twice, and its options.

use std::io::{BufRead, BufReader};
use std::process::Stdio;

use crate::lab::{CLUSTERS, Lab, Said};

pub(crate) fn doctor(lab: &Lab) -> Result<(), String> {
    let said = lab.make(&["doctor"]).succeeded()?;
    said.contains("to do: kops: there is no secret cacerts")?;
    said.contains("ok: gke1's API server is reachable from kops")?;
    said.contains("nothing is wrong; to do:")
}

pub(crate) fn certificates(lab: &Lab) -> Result<(), String> {
    lab.make_twice(&["certs"])?;
    lab.make_twice(&["certs-install"])
}

/// Ctrl-C once istioctl is at work.
pub(crate) fn interrupted_install(lab: &Lab) -> Result<(), String> {
    use std::os::unix::process::CommandExt as _;
    let mut child = lab
        .making(&["install"])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .process_group(0)
        .spawn()
        .expect("make is there");
    let said = BufReader::new(child.stdout.take().expect("its output is read"));
    let begun =
        said.lines().map_while(Result::ok).any(|line| line.starts_with("+ istioctl install"));
    let group = rustix::process::Pid::from_child(&child);
    let killed = rustix::process::kill_process_group(group, rustix::process::Signal::INT)
        .map_err(|why| why.to_string());
    let ended = child.wait().expect("it ends");
    killed?;
    if !begun || ended.success() {
        return Err("istioctl was not interrupted".to_owned());
    }
    lab.make(&["install"]).succeeded().map(drop)
}

pub(crate) fn install(lab: &Lab) -> Result<(), String> {
    lab.make(&["install"]).succeeded()?;
    let said = lab.make(&["status"]).succeeded()?;
    CLUSTERS.iter().try_for_each(|cluster| {
        said.contains(&format!("{cluster}: istiod reads all other clusters"))
    })
}

pub(crate) fn sample(lab: &Lab) -> Result<(), String> {
    lab.make_twice(&["echo-install"])?;
    lab.make_twice(&["ingress-install"])
}

/// All eight rows pass, as soon as what was applied is in force.
fn status(lab: &Lab, words: &[&str]) -> Result<Said, String> {
    let mut all = vec!["echo-status"];
    all.extend(words);
    let mut last = None;
    lab.eventually(|lab| {
        let said = lab.make(&all).succeeded()?;
        said.contains("all 8 rows meet their expectations")?;
        last = Some(said);
        Ok(())
    })?;
    last.ok_or_else(|| "echo-status was not asked".to_owned())
}

pub(crate) fn echo_status(lab: &Lab) -> Result<(), String> {
    let said = status(lab, &[])?;
    said.contains("from gke1:istio-enabled: curl echo2:8080")?;
    said.contains("[URL: http://echo2:8080/hello] on [pod: echo2-")?;
    said.contains("PASS  exactly kops,gke1")
}

pub(crate) fn load(lab: &Lab) -> Result<(), String> {
    let said = lab.make(&["load", "PODS=1", "RATE=60", "DURATION=10s"]).succeeded()?;
    said.contains("600 requests")?;
    said.contains("PASS")
}

pub(crate) fn check_and_watch(lab: &Lab) -> Result<(), String> {
    for step in ["check", "watch"] {
        lab.make_twice(&[&format!("{step}-install")])?;
    }
    for step in ["check", "watch"] {
        lab.make_twice(&[&format!("{step}-uninstall")])?;
    }
    for cluster in CLUSTERS {
        let left = lab.kubectl(
            cluster,
            &[
                "--namespace=istio-enabled",
                "get",
                "cronjobs,deployments,services,serviceaccounts,configmaps",
                "--output=name",
            ],
        );
        left.lacks("watch")?;
        left.lacks("check")?;
    }
    Ok(())
}

pub(crate) fn strict_mtls(lab: &Lab) -> Result<(), String> {
    lab.make_twice(&["echo-install", "STRICT_MTLS=1"])?;
    status(lab, &[])?;
    // A client without a sidecar is refused, then.
    let outside = |lab: &Lab| {
        lab.kubectl(
            "kops",
            &[
                "--namespace=istio-disabled",
                "exec",
                "deploy/sleep",
                "--",
                "prober",
                "echo2.istio-enabled:8080",
                "--requests=4",
                "--quiet",
            ],
        )
    };
    lab.eventually(|lab| outside(lab).contains("4 failed"))?;
    lab.make_twice(&["echo-install"])?;
    lab.eventually(|lab| outside(lab).contains("0 failed"))
}

/// With it Istio prefers endpoints nearby, and `echo-status` expects so.
pub(crate) fn outlier_detection(lab: &Lab) -> Result<(), String> {
    lab.make_twice(&["echo-install", "OUTLIER_DETECTION=1"])?;
    status(lab, &["OUTLIER_DETECTION=1"])?;
    lab.make_twice(&["echo-install"])?;
    status(lab, &[]).map(drop)
}

pub(crate) fn tls_secret(lab: &Lab) -> Result<(), String> {
    let made = "cd target/cluster && openssl req -x509 -newkey rsa:2048 -nodes -days 30 -subj /CN=ingress \
                -addext subjectAltName=DNS:istio1.xiaowenx.com,DNS:istio2.xiaowenx.com -keyout ingress.key -out ingress.crt 2>/dev/null";
    lab.run(&["sh", "-c", made]).succeeded()?;
    lab.make(&["ingress-install", "TLS_SECRET=ingress"])
        .contains("there is no secret ingress in istio-system; make it:")?;
    for cluster in CLUSTERS {
        let files = ["--cert=target/cluster/ingress.crt", "--key=target/cluster/ingress.key"];
        lab.kubectl(
            cluster,
            &["--namespace=istio-system", "create", "secret", "tls", "ingress", files[0], files[1]],
        )
        .succeeded()?;
    }
    lab.make_twice(&["ingress-install", "TLS_SECRET=ingress"])?;
    status(lab, &["TLS_SECRET=ingress", "TLS_CACERT=target/cluster/ingress.crt"])?
        .contains("https://istio1.xiaowenx.com/echo2")?;
    lab.make_twice(&["ingress-install"])?;
    status(lab, &[]).map(drop)
}

pub(crate) fn gateway_api(lab: &Lab) -> Result<(), String> {
    let both = ["API=gateway", "EAST_WEST=gateway"];
    for step in ["install", "ingress-install"] {
        lab.make_twice(&[step, both[0], both[1]])?;
    }
    status(lab, &both)?;
    let services = |cluster| {
        lab.kubectl(cluster, &["--namespace=istio-system", "get", "services", "--output=name"]).text
    };
    for cluster in CLUSTERS {
        let (now, gone) = (
            services(cluster),
            ["service/istio-ingressgateway", "service/istio-eastwestgateway\n"],
        );
        if gone.iter().any(|name| now.contains(name)) {
            return Err(format!("{cluster} still has gateways of the other API:\n{now}"));
        }
    }
    for step in ["install", "ingress-install"] {
        lab.make_twice(&[step])?;
    }
    status(lab, &[])?;
    for cluster in CLUSTERS {
        let now = services(cluster);
        if now.contains("-istio\n") {
            return Err(format!("{cluster} still has gateways of the Gateway API:\n{now}"));
        }
    }
    Ok(())
}

pub(crate) fn second_revision(lab: &Lab) -> Result<(), String> {
    lab.make(&["install", "ISTIO_REVISION=1-31"]).succeeded()?;
    lab.make_twice(&["uninstall", "ISTIO_REVISION=1-31"])?;
    for cluster in CLUSTERS {
        let ours = ["--all-namespaces", "--selector=istio.io/rev=1-31", "--output=name"];
        let words = ["get", "all,secrets", ours[0], ours[1], ours[2]];
        // Pods take a while to end.
        lab.eventually(|lab| lab.kubectl(cluster, &words).succeeded()?.lacks("/"))?;
        lab.kubectl(cluster, &["--namespace=istio-system", "get", "deployment/istiod"])
            .succeeded()?;
    }
    // Brings back what the revision had taken over.
    lab.make(&["install"]).succeeded()?;
    status(lab, &[]).map(drop)
}

pub(crate) fn uninstall(lab: &Lab) -> Result<(), String> {
    lab.make_twice(&["uninstall"])?;
    lab.eventually(|lab| {
        let left: Vec<_> = lab.everything()?.difference(&lab.empty).cloned().collect();
        if left.is_empty() { Ok(()) } else { Err(format!("this is left:\n{}", left.join("\n"))) }
    })
}
