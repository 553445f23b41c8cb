//! The two clusters, and commands that are run on them.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::{Duration, Instant};

pub(crate) const CLUSTERS: [&str; 2] = ["kops", "gke1"];

/// Both clusters, from `lab up` to `lab down`, which comes with the end of this value at the latest.
pub(crate) struct Lab {
    root: PathBuf,
    /// What the clusters had before the walk.
    pub(crate) empty: BTreeSet<String>,
    running: bool,
}

/// What a command said, and whether it succeeded.
pub(crate) struct Said {
    pub(crate) text: String,
    pub(crate) success: bool,
}

impl Said {
    fn of(output: &Output) -> Self {
        let text = [&output.stdout[..], &output.stderr[..]].concat();
        Self { text: String::from_utf8_lossy(&text).into_owned(), success: output.status.success() }
    }

    /// An error with the end of what was said, unless `words` are in it.
    pub(crate) fn contains(&self, words: &str) -> Result<(), String> {
        if self.text.contains(words) {
            Ok(())
        } else {
            Err(format!("these words are missing: {words}\n{}", self.end()))
        }
    }

    /// An error with the end of what was said, if `words` are in it.
    pub(crate) fn lacks(&self, words: &str) -> Result<(), String> {
        if self.text.contains(words) {
            Err(format!("these words must not be there: {words}\n{}", self.end()))
        } else {
            Ok(())
        }
    }

    pub(crate) fn succeeded(self) -> Result<Self, String> {
        if self.success { Ok(self) } else { Err(format!("it failed:\n{}", self.end())) }
    }

    fn end(&self) -> String {
        let lines: Vec<_> = self.text.lines().collect();
        lines[lines.len().saturating_sub(40)..].join("\n")
    }
}

/// The folder of the programs, which `make programs` has built beside this test.
fn programs() -> PathBuf {
    let test = std::env::current_exe().expect("own path");
    test.ancestors().nth(2).expect("target/<profile>/deps/<test>").to_owned()
}

impl Lab {
    /// Brings both clusters up, empty.
    pub(crate) fn up() -> Result<Self, String> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"))
            .parent()
            .expect("the tests are in the repository")
            .to_owned();
        let mut lab = Self { root, empty: BTreeSet::new(), running: true };
        Said::of(&lab.command("tests/cluster/lab").arg("up").output().expect("bash is there"))
            .succeeded()?;
        lab.empty = lab.everything()?;
        Ok(lab)
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(self.root.join(program));
        command.current_dir(&self.root).env("PROGRAMS", programs());
        command
    }

    /// A command that reaches the clusters.
    fn exec(&self, words: &[&str]) -> Command {
        let mut command = self.command("tests/cluster/lab");
        command.arg("exec").args(words);
        command
    }

    /// Runs a command that reaches the clusters.
    pub(crate) fn run(&self, words: &[&str]) -> Said {
        Said::of(&self.exec(words).output().expect("bash is there"))
    }

    /// `make` as the walk's user types it, with what the lab needs besides.
    pub(crate) fn making(&self, words: &[&str]) -> Command {
        // Programs that were built for the images, so that none is built in between.
        let program = |name: &str| programs().join(name).display().to_string();
        let walk = format!("WALK_PROGRAM={}", program("walk"));
        let prober = format!("PROBER={}", program("prober"));
        let mut all = vec![
            "make",
            "IMAGES_PUSHED=1",
            "OVERLAYS=target/cluster/overlays",
            "CERTS=target/cluster/certificates",
            &walk,
            &prober,
        ];
        all.extend(words);
        self.exec(&all)
    }

    pub(crate) fn make(&self, words: &[&str]) -> Said {
        Said::of(&self.making(words).output().expect("make is there"))
    }

    /// `make` that succeeds, each time.
    pub(crate) fn make_twice(&self, words: &[&str]) -> Result<(), String> {
        for _ in 0..2 {
            self.make(words)
                .succeeded()
                .map_err(|why| format!("make {}: {why}", words.join(" ")))?;
        }
        Ok(())
    }

    pub(crate) fn kubectl(&self, cluster: &str, words: &[&str]) -> Said {
        let context = format!("--context={cluster}");
        let mut all = vec!["kubectl", &context];
        all.extend(words);
        self.run(&all)
    }

    /// Repeats a question until its answer is right, at most a minute.
    pub(crate) fn eventually(
        &self,
        mut question: impl FnMut(&Self) -> Result<(), String>,
    ) -> Result<(), String> {
        let end = Instant::now() + Duration::from_secs(60);
        loop {
            match question(self) {
                Err(_) if Instant::now() < end => std::thread::sleep(Duration::from_millis(500)),
                result => return result,
            }
        }
    }

    /// Names of all that both clusters have, without what Kubernetes itself makes and changes all the time.
    pub(crate) fn everything(&self) -> Result<BTreeSet<String>, String> {
        let mut names = BTreeSet::new();
        for cluster in CLUSTERS {
            let kinds = self
                .kubectl(cluster, &["api-resources", "--verbs=list", "--output=name"])
                .succeeded()?
                .text;
            let kinds: Vec<_> = kinds
                .split_whitespace()
                .filter(|kind| {
                    ![
                        "events",
                        "leases",
                        "componentstatuses",
                        "ipaddresses",
                        "endpoints",
                        "endpointslices",
                    ]
                    .contains(&kind.split('.').next().unwrap_or(kind))
                })
                .collect();
            let output = "--output=jsonpath={range .items[*]}{.kind} {.metadata.namespace}/{.metadata.name}{\"\\n\"}{end}";
            let all = self
                .kubectl(cluster, &["get", &kinds.join(","), "--all-namespaces", output])
                .succeeded()?;
            names.extend(all.text.lines().map(|line| format!("{cluster}: {line}")));
        }
        Ok(names)
    }

    /// Ends both clusters; an error if anything of them is left on this machine.
    pub(crate) fn down(&mut self) -> Result<(), String> {
        self.running = false;
        if std::env::var_os("KEEP").is_some() {
            return Ok(());
        }
        Said::of(&self.command("tests/cluster/lab").arg("down").output().expect("bash is there"))
            .succeeded()?;
        let left = "ip netns list | grep ^lab-; ip link show lab0 2>/dev/null; grep -s lab- /proc/mounts; \
                    find /sys/fs/cgroup -maxdepth 2 -name 'lab-*'; pgrep -fl '^(kube|etcd|coredns|containerd-shim)'";
        let said = Said::of(&Command::new("sh").args(["-c", left]).output().expect("sh is there"));
        if said.text.trim().is_empty() {
            Ok(())
        } else {
            Err(format!("this is left:\n{}", said.text))
        }
    }
}

#[allow(clippy::print_stderr, reason = "a test that ends early says what is left")]
impl Drop for Lab {
    fn drop(&mut self) {
        if self.running
            && let Err(why) = self.down()
        {
            eprintln!("test-cluster: {why}");
        }
    }
}
