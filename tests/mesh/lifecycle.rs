//! The program `localmesh`: starts, stops, refuses, and leaves nothing behind.

use std::net::TcpListener;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use rustix::process::Signal;

use super::*;
use crate::harness::{Background, Said, bin, bin_dir, command, finish, wait_until};

pub(super) fn localmesh(subcommand: &str, block: u8) -> Command {
    let mut localmesh = command("localmesh");
    localmesh.args([subcommand, "--block", &block.to_string()]).arg("--envoy");
    localmesh.arg(tools().envoy.path);
    localmesh
}

/// Starts `localmesh up` and waits for its summary.
fn up(block: u8) -> Background {
    up_with(&mut localmesh("up", block))
}

fn up_with(command: &mut Command) -> Background {
    let mut up = Background::start(command);
    up.wait_for("the summary's last line", |line| {
        line.starts_with("files and logs: ").then_some(())
    });
    up
}

/// The processes that the summary names.
fn pids(up: &Background) -> Vec<u32> {
    let said = up.said();
    let table = said.lines().filter(|line| line.contains(" 127."));
    let pids: Vec<_> =
        table.filter_map(|line| line.split_whitespace().last()?.parse().ok()).collect();
    assert_eq!(pids.len(), 12, "eight Envoys and four echoes: {said}");
    pids
}

/// Whether a process runs; one that only waits to be buried does not.
fn runs(pid: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with(['Z', 'X']))
}

#[track_caller]
fn assert_all_end(pids: &[u32]) {
    wait_until("no process is left", || pids.iter().all(|pid| !runs(*pid)).then_some(()));
}

fn temporary_folder(up: &Background) -> std::path::PathBuf {
    let said = up.said();
    said.lines().find_map(|line| line.strip_prefix("files and logs: ")).unwrap().into()
}

#[test]
fn mesh_up_says_what_runs_and_stops_all_on_sigterm() {
    let mut up = up(block::UP);
    let said = up.said();
    for part in ["kops and gke1 joined by 8 Envoys 1.40.0", "kops (network1", "127.40.2.3:15443"] {
        assert!(said.contains(part), "{part:?} is missing: {said}");
    }
    assert!(
        said.contains("prober matrix ") && said.contains("--target istio1.xiaowenx.com/echo2 --")
    );
    let (pids, folder) = (pids(&up), temporary_folder(&up));
    assert!(pids.iter().all(|pid| runs(*pid)));
    assert!(folder.join("matrix.yaml").is_file());
    up.signal(Signal::TERM);
    assert_eq!(up.wait(), 0);
    assert!(!pids.iter().any(|pid| runs(*pid)), "all ended before localmesh did");
    assert!(!folder.exists(), "the temporary folder is gone");
}

#[test]
fn mesh_up_leaves_no_orphan_when_killed() {
    let mut up = up(block::SIGKILL);
    let (pids, folder) = (pids(&up), temporary_folder(&up));
    up.signal(Signal::KILL);
    assert_eq!(up.wait(), -1);
    assert_all_end(&pids);
    std::fs::remove_dir_all(folder).unwrap();
}

#[test]
fn mesh_up_refuses_a_second_mesh_and_names_the_first() {
    let mut first = up(block::SECOND);
    let refused = finish(&mut localmesh("up", block::SECOND));
    refused.refused(&["127.42.0.0/16 already runs", &format!("(pid {})", first.pid()), "--block"]);
    assert!(pids(&first).iter().all(|pid| runs(*pid)), "the first goes on");
    first.signal(Signal::INT);
    assert_eq!(first.wait(), 0);
}

#[test]
fn mesh_up_names_a_busy_address_and_starts_nothing() {
    let busy = TcpListener::bind(("127.43.2.3", 15443)).unwrap();
    let refused = finish(&mut localmesh("up", block::BUSY));
    refused.refused(&["127.43.2.3:15443 is in use by ", &format!("(pid {})", std::process::id())]);
    drop(busy);
    let port80 = TcpListener::bind("127.43.1.2:8099").unwrap();
    let refused = finish(localmesh("demo", block::BUSY).args(["--ingress-port", "8099"]));
    refused.refused(&["127.43.1.2:8099 is in use"]);
    drop(port80);
}

/// Kills what it holds.
struct Leftover(Child);

impl Drop for Leftover {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn mesh_up_names_a_leftover_process() {
    let mut leftover = Command::new(bin("echo"));
    leftover.args(["--host", "127.44.1.11"]).stdout(Stdio::null()).stderr(Stdio::null());
    let leftover = Leftover(leftover.spawn().unwrap());
    wait_until("it listens", || std::net::TcpStream::connect("127.44.1.11:8080").ok());
    let refused = finish(&mut localmesh("up", block::LEFTOVER));
    refused.refused(&["127.44.1.11:8080 is in use by echo", &format!("(pid {})", leftover.0.id())]);
}

#[test]
fn mesh_up_goes_on_without_a_process_that_dies_and_says_so() {
    let mut up = up(block::CHILD_DIES);
    let said = up.said();
    let line = said.lines().find(|line| line.contains("echo2 app")).unwrap();
    let pid: i32 = line.split_whitespace().last().unwrap().parse().unwrap();
    let pid = rustix::process::Pid::from_raw(pid).unwrap();
    rustix::process::kill_process(pid, Signal::KILL).unwrap();
    up.wait_for("the loss", |line| {
        line.contains("kops/echo2 app ended (signal: 9 (SIGKILL))").then_some(())
    });
    up.signal(Signal::TERM);
    assert_eq!(up.wait(), 0);
}

#[test]
fn mesh_up_needs_no_privilege() {
    let nobody = ["--reuid", "65534", "--regid", "65534", "--clear-groups"];
    let inner = localmesh("up", block::UNPRIVILEGED);
    let mut outer;
    if rustix::process::geteuid().is_root() {
        outer = Command::new("setpriv");
        outer.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
        outer.args(nobody).arg(inner.get_program()).args(inner.get_args());
    } else {
        outer = inner;
    }
    let mut up = up_with(&mut outer);
    let pids = pids(&up);
    let listens_on_80 = up.said().contains("127.45.1.2:80 ");
    let way = Way {
        to: SocketAddrV4::new([127, 45, 1, 2].into(), if listens_on_80 { 80 } else { 8080 }),
        host: "istio1.xiaowenx.com".into(),
        path: "/echo2".into(),
    };
    assert_eq!(clusters(&way.ask_times(ENOUGH)), exactly(["gke1", "kops"]));
    up.signal(Signal::TERM);
    assert_eq!(up.wait(), 0);
    assert_all_end(&pids);
}

/// A folder with the built programs, but with a script for prober.
fn with_prober(script: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for name in ["echo", "localmesh"] {
        symlink(bin_dir().join(name), folder.path().join(name)).unwrap();
    }
    let prober = folder.path().join("prober");
    std::fs::write(&prober, format!("#!/bin/sh\n{script}\n")).unwrap();
    std::fs::set_permissions(&prober, std::fs::Permissions::from_mode(0o755)).unwrap();
    folder
}

fn demo(block: u8, bin_dir: &Path) -> Command {
    let mut demo = localmesh("demo", block);
    demo.arg("--bin-dir").arg(bin_dir);
    demo
}

#[test]
fn mesh_demo_ends_as_its_prober_does() {
    let folder = with_prober(r#"echo "asked: $*"; test -s "$2" || exit 9; exit 3"#);
    let said: Said = finish(demo(block::DEMO, folder.path()).args(["--", "-n", "20"]));
    assert_eq!(said.code, 3, "{said:?}");
    assert!(said.stdout.starts_with("asked: matrix /"), "{said:?}");
    assert!(said.stdout.ends_with("/matrix.yaml -n 20\n"), "{said:?}");
    assert_eq!(said.stderr.lines().count(), 1, "one line about the mesh: {said:?}");
    assert!(said.stderr.contains("8 Envoys"), "{said:?}");
}

#[test]
fn mesh_demo_interrupted_is_130_and_leaves_nothing() {
    let folder = with_prober("echo \"prober $$\"; exec sleep 60");
    let mut demo = Background::start(&mut demo(block::DEMO_INTERRUPTED, folder.path()));
    let prober: u32 = demo.wait_for("prober's pid", |line| {
        line.strip_prefix("prober ").and_then(|pid| pid.parse().ok())
    });
    let children = children_of(demo.pid());
    assert_eq!(children.len(), 13, "twelve of the mesh, and prober");
    demo.signal(Signal::INT);
    assert_eq!(demo.wait(), 130);
    assert!(!runs(prober));
    assert_all_end(&children);
}

fn children_of(pid: u32) -> Vec<u32> {
    let list = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap();
    list.split_whitespace().map(|pid| pid.parse().unwrap()).collect()
}

#[test]
fn mesh_refuses_what_cannot_run_in_one_line() {
    let run = |args: &[&str]| harness::run("localmesh", args);
    let block = block::REFUSED.to_string();
    let empty = tempfile::tempdir().unwrap();
    let empty = empty.path().to_str().unwrap();
    run(&["up", "--block", &block, "--envoy", "/none/envoy"])
        .refused(&["/none/envoy", "make envoy"]);
    run(&["up", "--block", &block, "--envoy", "/bin/true"]).refused(&["not a working Envoy"]);
    run(&["up", "--block", &block, "--bin-dir", empty]).refused(&["echo is missing in", empty]);
    run(&["up", "--block", &block, "--bin-dir", "/none"]).refused(&["/none: No such file"]);
    run(&["up", "--block", "0"])
        .refused(&["the number is out of range; write a number from 1 to 254"]);
    run(&["up", "--block", "255"])
        .refused(&["the number is out of range; write a number from 1 to 254"]);
    run(&["up", "--ingress-port", "65536"]).refused(&["65536"]);
    run(&["upp"]).refused(&["unrecognized subcommand 'upp'", "'up'"]);
    run(&["guard", "--parent", "1", "--", "/bin/true"]).refused(&["has ended"]);
}

#[test]
fn mesh_up_says_which_process_did_not_start_and_why() {
    let folder = with_prober("true");
    let echo = folder.path().join("echo");
    std::fs::remove_file(&echo).unwrap();
    std::fs::write(&echo, "#!/bin/sh\necho 'error: no luck today' >&2; exit 7\n").unwrap();
    std::fs::set_permissions(&echo, std::fs::Permissions::from_mode(0o755)).unwrap();
    let mut up = localmesh("up", block::NEVER_READY);
    let refused = finish(up.arg("--bin-dir").arg(folder.path()));
    refused.refused(&["app ended while starting (exit status: 7)", "no luck today"]);
}
