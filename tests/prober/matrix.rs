//! `prober matrix FILE`: sections in order, sources behind commands, rows that
//! cannot be reached, bad files.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::harness::{Background, bin, bin_dir, command, finish, run};
use crate::servers::{Server, text_echo};

/// A folder with a matrix file in it, and a fake `kubectl` on the path.
struct Bench {
    dir: tempfile::TempDir,
}

impl Bench {
    fn new() -> Self {
        Self { dir: tempfile::tempdir().expect("a folder") }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        fs::write(self.path(name), text).expect("written");
        self.path(name)
    }

    /// A program on the path of [`Bench::matrix`].
    fn program(&self, name: &str, script: &str) {
        let path = self.write(name, &format!("#!/bin/sh\n{script}\n"));
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).expect("executable");
    }

    /// `prober matrix` over this text, with the bench's programs and the built ones on the path.
    fn matrix(&self, text: &str, args: &[&str]) -> std::process::Command {
        let file = self.write("mesh.yaml", text);
        let mut prober = command("prober");
        let system = std::env::var("PATH").unwrap_or_default();
        let path = format!("{}:{}:{system}", self.dir.path().display(), bin_dir().display());
        prober.env("PATH", path).env("BENCH", self.dir.path());
        prober.arg("matrix").arg(file).args(args);
        prober
    }
}

/// A `kubectl exec` that logs its words, knows two contexts, and runs what is behind `--` here.
const KUBECTL: &str = r#"
echo "$*" >> "$BENCH/kubectl.log"
case "$*" in
  "exec --context=kops "*|"exec --context=gke1 "*) ;;
  *) echo 'error: context "mars" does not exist' >&2; exit 1 ;;
esac
while [ "$1" != -- ]; do shift; done
shift
exec "$@"
"#;

fn two_clusters(kops: &Server, gke1: &Server) -> String {
    format!(
        "clusters: [kops, gke1]
defaults: {{requests: 20, min-share: 70%, show: 2, expect: [errors = 0]}}
sources:
  - {{name: 'kops:istio-disabled', cluster: kops, resolve: ['echo1:{kops}:127.0.0.1'],
     kubectl: {{context: kops, namespace: istio-disabled, workload: deploy/sleep, container: prober}}}}
  - {{name: 'mars:istio-disabled',
     kubectl: {{context: mars, namespace: istio-disabled, workload: deploy/sleep}}}}
targets:
  - {{from: 'kops:istio-disabled', url: 'echo1:{kops}', expect: [errors = 0, exactly kops]}}
  - {{from: 'mars:istio-disabled', url: 'echo1:{kops}'}}
  - {{url: '127.0.0.1:{gke1}/echo1', expect: [only gke1]}}
",
        kops = kops.port(),
        gke1 = gke1.port()
    )
}

#[test]
fn sections_come_in_order_and_a_source_that_cannot_run_does_not_stop_the_others() {
    let (kops, gke1) =
        (Server::start(text_echo("a", "kops")), Server::start(text_echo("b", "gke1")));
    let bench = Bench::new();
    bench.program("kubectl", KUBECTL);
    let said = finish(&mut bench.matrix(&two_clusters(&kops, &gke1), &[]));
    assert_eq!(said.code, 2, "{said:?}");
    let line = "prober: from mars:istio-disabled: curl echo1:";
    let line = said.stderr.lines().find(|l| l.starts_with(line)).expect("a line on stderr");
    assert!(line.contains(": kubectl has no context 'mars'; 'kubectl config"), "{said:?}");
    let headings: Vec<_> = said.stdout.lines().filter(|line| line.contains("curl ")).collect();
    let port = kops.port();
    assert_eq!(
        headings,
        [
            format!("from kops:istio-disabled: curl echo1:{port}"),
            format!("from mars:istio-disabled: curl echo1:{port}"),
            format!("curl 127.0.0.1:{}/echo1", gke1.port()),
        ]
    );
    let has = |text: &str| assert!(said.stdout.contains(text), "{text:?}: {}", said.stdout);
    has("the source could not probe: kubectl has no context 'mars'; 'kubectl config get-contexts'");
    has("  PASS  exactly kops: kops 100.0% of 20 answers; errors = 0; about this run only");
    has("  PASS  only gke1: gke1 100.0% of 20 answers");
    has("1 of 3 rows miss their expectations");
    assert_eq!(said.stdout.matches("[pod: a]").count(), 2, "two answers are shown of each row");
    // One command for each source and target, not one for each request.
    let log = fs::read_to_string(bench.path("kubectl.log")).expect("it was run");
    assert_eq!(log.lines().count(), 2, "{log}");
    let prefix =
        "exec --context=kops --namespace=istio-disabled --container=prober deploy/sleep -- prober ";
    assert!(log.lines().any(|line| line.starts_with(prefix)), "{log}");
    assert_eq!((kops.accepted(), gke1.accepted()), (20, 20));
}

#[test]
fn the_json_holds_the_same_and_says_where_each_row_started() {
    let (kops, gke1) =
        (Server::start(text_echo("a", "kops")), Server::start(text_echo("b", "gke1")));
    let bench = Bench::new();
    bench.program("kubectl", KUBECTL);
    let said =
        finish(&mut bench.matrix(&two_clusters(&kops, &gke1), &["--output=json", "-n", "7"]));
    let report: Value = serde_json::from_str(&said.stdout).expect("JSON");
    assert_eq!((&report["exit_code"], &report["clusters"][0]), (&2.into(), &"kops".into()));
    let rows = report["rows"].as_array().expect("rows");
    assert_eq!(rows.len(), 3);
    assert_eq!(
        (&rows[0]["source"], &rows[0]["answers"]),
        (&"kops:istio-disabled".into(), &7.into())
    );
    assert_eq!(
        rows[0]["backends"][0]["latency"]["histogram"].as_str().map(|h| &h[..4]),
        Some("HIST")
    );
    assert!(rows[1]["unreachable"].as_str().is_some_and(|reason| reason.contains("mars")));
    assert_eq!(rows[1]["could_not_run"], true);
    // The exit code is kept with the report.
    let file = bench.write("report.json", &said.stdout);
    assert_eq!(run("prober", ["report".as_ref(), file.as_os_str()]).code, 2);
    assert_eq!((&rows[2]["source"], &rows[2]["verdict"]), (&Value::Null, &"pass".into()));
}

#[test]
fn every_way_in_which_a_command_can_fail_is_a_row_with_its_reason() {
    let bench = Bench::new();
    bench.program("silent", "exit 3");
    bench.program("chatty", "echo hello; echo first >&2; echo last words >&2");
    bench.program("killed", "kill -9 $$");
    let text = "
sources:
  - {name: absent, command: [no-such-command]}
  - {name: silent, command: [silent]}
  - {name: chatty, command: [chatty]}
  - {name: killed, command: [killed]}
  - {name: no-prober, command: [env], prober: no-such-prober}
targets:
  - {from: absent, url: a}
  - {from: silent, url: a}
  - {from: chatty, url: a}
  - {from: killed, url: a}
  - {from: no-prober, url: a}
";
    let said = finish(&mut bench.matrix(text, &["--output=json"]));
    assert_eq!(said.code, 2, "{said:?}");
    let report: Value = serde_json::from_str(&said.stdout).expect("JSON");
    let reasons: Vec<_> =
        (0..5).map(|n| report["rows"][n]["unreachable"].as_str().expect("a reason")).collect();
    assert!(reasons[0].starts_with("cannot run 'no-such-command'"), "{reasons:?}");
    assert!(reasons[1].starts_with("'silent' printed no report (exit status: 3)"), "{reasons:?}");
    assert!(
        reasons[2].contains("not a prober report") && reasons[2].contains("last words"),
        "{reasons:?}"
    );
    assert!(reasons[3].contains("signal: 9"), "{reasons:?}");
    assert!(reasons[4].contains("no-such-prober"), "{reasons:?}");
    // A wrong setting of the source is a row that could not run; what the cluster may cause is not.
    let could_not_run: Vec<_> =
        (0..5).map(|n| report["rows"][n]["could_not_run"] == Value::Bool(true)).collect();
    assert_eq!(could_not_run, [true, false, false, false, true], "{report}");
    assert!(!reasons.iter().any(|reason| reason.contains("os error")), "{reasons:?}");
}

/// If no row could run, there is nothing to report: a line for each reason, and exit code 2.
#[test]
fn a_matrix_of_which_no_row_can_run_is_refused() {
    let bench = Bench::new();
    bench.program("kubectl", KUBECTL);
    let source = "{name: mars, kubectl: {context: mars, workload: deploy/sleep}}";
    let one = format!("sources: [{source}]\ntargets: [{{from: mars, url: a}}]\n");
    let said = finish(&mut bench.matrix(&one, &["--output=json", "--report", "x.json"]));
    said.refused(&["from mars: curl a: kubectl has no context 'mars'"]);
    let two = format!(
        "sources: [{source}, {{name: none, command: [no-such-command]}}]\n\
         targets: [{{from: mars, url: a}}, {{from: none, url: a}}, {{from: mars, url: b}}]\n"
    );
    let said = finish(&mut bench.matrix(&two, &["--quiet"]));
    assert_eq!((said.code, said.stdout.as_str()), (2, ""), "{said:?}");
    let lines: Vec<_> = said.stderr.lines().collect();
    assert_eq!(lines.len(), 2, "one for each reason: {said:?}");
    assert!(
        lines[0].starts_with("prober: from mars: curl a and 1 more row: kubectl has no context")
    );
    assert!(lines[1].contains("from none: curl a: cannot run 'no-such-command': there is no such"));
}

/// A deployment is named by a person; a pod that is named may have been replaced.
#[test]
fn a_missing_workload_could_not_run_and_a_missing_pod_is_a_failed_row() {
    let bench = Bench::new();
    let script = "case \"$*\" in
  *deploy/*) echo 'Error from server (NotFound): deployments.apps \"sleep\" not found' >&2 ;;
  *) echo 'Error from server (NotFound): pods \"sleep-1\" not found' >&2 ;;
esac
exit 1";
    bench.program("kubectl", script);
    let matrix = |workload: &str| {
        let text = format!(
            "sources: [{{name: s, kubectl: {{workload: {workload}}}}}]\ntargets: [{{from: s, url: a}}]\n"
        );
        finish(&mut bench.matrix(&text, &["--quiet"]))
    };
    matrix("deploy/sleep").refused(&["the namespace has no deployments.apps 'sleep'"]);
    let said = matrix("sleep-1");
    assert_eq!((said.code, said.stderr.as_str()), (1, ""), "{said:?}");
    assert!(said.stdout.contains("the source could not probe: kubectl: Error from"), "{said:?}");
}

#[test]
fn independent_sources_run_at_the_same_time() {
    // Each waits until the other has begun: one after the other, both would wait in vain.
    let bench = Bench::new();
    let meet = r#"touch "$BENCH/$1"; for _ in $(seq 200); do
        [ -e "$BENCH/$2" ] && shift 2 && exec "$@"; sleep 0.05; done; echo alone >&2; exit 1"#;
    bench.program("meet", meet);
    let server = Server::start(text_echo("a", "kops"));
    let url = server.target();
    let text = format!(
        "sources: [{{name: one, command: [meet, x, y]}}, {{name: two, command: [meet, y, x]}}]
defaults: {{requests: 3}}
targets: [{{from: one, url: '{url}'}}, {{from: two, url: '{url}'}}]\n"
    );
    let said = finish(&mut bench.matrix(&text, &[]));
    assert_eq!(said.code, 0, "{said:?}");
    let place = |text| said.stdout.find(text).expect("it is there");
    assert!(place("from one: ") < place("from two: "), "the order of printing stays");
}

#[test]
fn interrupting_a_matrix_reports_what_there_is_and_leaves_no_command() {
    let bench = Bench::new();
    bench.program(
        "hang",
        r#"echo $$ > "$BENCH/pid.new"; mv "$BENCH/pid.new" "$BENCH/pid"; exec sleep 600"#,
    );
    let server = Server::start(text_echo("a", "kops"));
    let text = format!(
        "sources: [{{name: slow, command: [hang]}}]
targets: [{{url: '{}', requests: 3}}, {{from: slow, url: x}}]\n",
        server.target()
    );
    let mut prober = Background::start(&mut bench.matrix(&text, &[]));
    let pid = crate::harness::wait_until("the command runs", || {
        fs::read_to_string(bench.path("pid")).ok().filter(|_| server.accepted() >= 3)
    });
    let start = Instant::now();
    prober.signal(rustix::process::Signal::INT);
    assert_eq!(prober.wait(), 130);
    assert!(start.elapsed() < Duration::from_secs(5));
    let said = prober.said_all();
    assert!(said.contains("INTERRUPTED") && said.contains("kops 100.0% of 3 answers"), "{said}");
    assert!(said.contains("could not probe: interrupted"), "{said}");
    let process = PathBuf::from(format!("/proc/{}", pid.trim()));
    crate::harness::wait_until("the command is gone", || {
        (!process.exists() || is_zombie(&process)).then_some(())
    });
}

fn is_zombie(process: &Path) -> bool {
    fs::read_to_string(process.join("stat")).is_ok_and(|stat| stat.contains(") Z "))
}

#[test]
fn a_dry_run_prints_commands_that_a_person_could_type() {
    let bench = Bench::new();
    let text = "sources: [{name: 'kops:a', kubectl: {context: kops, workload: deploy/sleep}}]
targets: [{from: 'kops:a', url: 'echo1:8080', expect: ['only kops']}, {url: b}]\n";
    let said = finish(&mut bench.matrix(text, &["--dry-run"]));
    assert_eq!(said.code, 0, "{said:?}");
    assert_eq!(
        said.stdout,
        "# from kops:a: curl echo1:8080\n\
         kubectl exec '--context=kops' deploy/sleep -- prober '--target=echo1:8080' \
         '--show=4' '--expect=only kops' '--output=json' --quiet\n\
         # curl b\n\
         prober '--target=b' '--show=4' '--output=json' --quiet\n"
    );
}

#[test]
fn only_picks_rows_by_their_heading() {
    let (kops, gke1) =
        (Server::start(text_echo("a", "kops")), Server::start(text_echo("b", "gke1")));
    let bench = Bench::new();
    bench.program("kubectl", KUBECTL);
    let text = two_clusters(&kops, &gke1);
    let said = finish(&mut bench.matrix(&text, &["--only", "from kops"]));
    assert_eq!((said.code, gke1.accepted()), (0, 0), "{said:?}");
    let none = finish(&mut bench.matrix(&text, &["--only", "venus"]));
    none.refused(&["--only matches no row", "from kops:istio-disabled"]);
}

#[test]
fn a_bad_file_is_refused_in_one_line_before_anything_runs() {
    let bench = Bench::new();
    for (text, parts) in [
        ("", &["mesh.yaml:1: the file is empty"][..]),
        ("targets: [", &["mesh.yaml:"]),
        ("targets: []", &["mesh.yaml:1: the file has no targets"]),
        (
            "targets:\n  - {url: a}\nclusterz: [b]\n",
            &["mesh.yaml:3: unknown key 'clusterz'", "'clusters'"],
        ),
        ("targets:\n  - {url: a, from: b}\n", &["mesh.yaml:2: unknown source 'b'"]),
        ("targets:\n  - {url: 'a b'}\n", &["mesh.yaml:2: ", "has a space"]),
    ] {
        finish(&mut bench.matrix(text, &[])).refused(parts);
    }
    let binary = bench.path("binary");
    fs::write(&binary, b"\xff\xfe\x00").expect("written");
    run("prober", ["matrix".as_ref(), binary.as_os_str()])
        .refused(&["cannot read the matrix file"]);
    run("prober", ["matrix".as_ref(), bench.dir.path().as_os_str()]).refused(&["directory"]);
    assert!(bin("prober").exists());
}

#[test]
fn a_second_ctrl_c_ends_it_where_it_is_stuck() {
    let bench = Bench::new();
    let fifo = bench.path("fifo");
    assert_eq!(finish(std::process::Command::new("mkfifo").arg(&fifo)).code, 0);
    // A writer that says nothing, so that reading the file never ends.
    let silent = fs::OpenOptions::new().read(true).write(true).open(&fifo).expect("opened");
    let mut prober = Background::start(command("prober").arg("matrix").arg(&fifo));
    std::thread::sleep(Duration::from_millis(300));
    prober.signal(rustix::process::Signal::INT);
    std::thread::sleep(Duration::from_millis(100));
    prober.signal(rustix::process::Signal::INT);
    assert_eq!(prober.wait(), 130);
    drop(silent);
}

#[test]
fn a_timeline_comes_back_from_behind_a_command() {
    let server = Server::start(text_echo("p", "kops"));
    let bench = Bench::new();
    let text = format!(
        "sources: [{{name: far, command: [env]}}]\n\
         targets: [{{from: far, url: '{}', requests: 30, timeline: 1ms}}]\n",
        server.target()
    );
    let said = finish(&mut bench.matrix(&text, &["--output=json", "--quiet"]));
    assert_eq!(said.code, 0, "{said:?}");
    let report: Value = serde_json::from_str(&said.stdout).expect("JSON");
    let backend = &report["rows"][0]["timeline"]["backends"][0];
    let answers = backend["answers"].as_array().expect("a list").iter();
    assert_eq!(answers.map(|count| count.as_u64().expect("a count")).sum::<u64>(), 30, "{report}");
    assert!(backend["sketch"].as_str().is_some_and(|sketch| sketch.len() > 30), "{report}");
}
