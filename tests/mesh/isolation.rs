//! A mesh whose networks are network namespaces: what reaches what, cuts, and that nothing is
//! left. Namespaces are root's: for another user it is asserted that localmesh refuses.

use std::path::Path;
use std::process::Command;

use rustix::process::Signal;

use crate::harness::{self, Background, Said, finish, wait_until};

/// Addresses of their own, which no other topic uses.
mod block {
    pub(super) const UP: u8 = 150;
    pub(super) const NOBODY: u8 = 151;
    pub(super) const DEMO: u8 = 152;
    pub(super) const CUT: u8 = 153;
}

fn localmesh(subcommand: &str, block: u8) -> Command {
    let mut command = harness::command("localmesh");
    command.args([subcommand, "--block", &block.to_string()]);
    let installed = harness::workspace().join(localmesh::envoy::INSTALLED);
    if installed.is_file() && !["do", "state"].contains(&subcommand) {
        command.arg("--envoy").arg(installed);
    }
    command
}

/// Whether this user may make namespaces; if not, what is asked is refused.
fn allowed(command: &mut Command) -> bool {
    let root = rustix::process::geteuid().is_root();
    if !root {
        finish(command).refused(&["--isolate", "needs root"]);
    }
    root
}

fn place(name: &str) -> std::path::PathBuf {
    harness::workspace().join("localmesh").join(name)
}

#[test]
fn isolation_takes_root_and_says_so() {
    let mut up = localmesh("up", block::NOBODY);
    up.arg("--isolate");
    if rustix::process::geteuid().is_root() {
        let mut outer = Command::new("setpriv");
        outer.args(["--reuid", "65534", "--regid", "65534", "--clear-groups"]);
        outer.arg(up.get_program()).args(up.get_args());
        up = outer;
    }
    finish(&mut up).refused(&["--isolate", "needs root"]);
}

/// A command in a network of a mesh that runs.
fn inside(up: &Background, cluster: &str) -> String {
    let said = up.said();
    let line = said.lines().find(|line| line.starts_with(&format!("  {cluster}  ")));
    let line = line.unwrap_or_else(|| panic!("{cluster} is missing: {said}"));
    line[line.find("nsenter").expect("a command")..].to_owned()
}

/// The status that curl gets, behind `enter`; its exit code if it gets none. 28 is a timeout.
fn curl(enter: &str, host: &str, url: &str) -> Result<String, i32> {
    let mut words = enter.split(' ');
    let mut command = Command::new(words.next().expect("a program"));
    command.args(words).args(["curl", "-s", "-m", "2", "-o", "/dev/null", "-w", "%{http_code}"]);
    let said: Said = finish(command.args(["-H", &format!("host: {host}"), url]));
    if said.code == 0 { Ok(said.stdout) } else { Err(said.code) }
}

const TIMED_OUT: Result<String, i32> = Err(28);

#[test]
fn isolation_networks_reach_gateways_only_and_a_cut_is_a_cut() {
    let mut command = localmesh("up", block::UP);
    command.arg("--isolate");
    if !allowed(&mut command) {
        return;
    }
    let mut up = Background::start(&mut command);
    up.wait_for("the summary's end", |line| line.starts_with("files and logs: ").then_some(()));
    let (kops, gke1) = (inside(&up, "kops"), inside(&up, "gke1"));
    let ok = || Ok("200".to_owned());
    let pod = "http://10.150.2.11:8080/";
    assert_eq!(curl(&gke1, "echo1", pod), ok(), "a pod is reached in its network");
    assert_eq!(curl(&kops, "echo1", pod), TIMED_OUT, "and from another one it is not");
    let gateway = || curl(&kops, "istio2.xiaowenx.com", "http://10.150.2.2/echo1");
    assert_eq!(gateway(), ok());
    let admin = || curl(&kops, "envoy", "http://10.150.2.12:15000/ready");
    assert_eq!(admin(), ok(), "prober --explain reads the Envoys of all networks");

    let act = |words: &[&str]| finish(localmesh("do", block::UP).args(words));
    let done = |words: &[&str]| {
        let said = act(words);
        assert_eq!((said.code, said.stdout.as_str(), said.stderr.as_str()), (0, "", ""));
    };
    done(&["cut", "kops", "gke1"]);
    let again = act(&["cut", "gke1", "kops"]);
    assert_eq!((again.code, again.stderr.as_str()), (0, ""), "both ways are one cut");
    assert!(again.stdout.starts_with("nothing changed: "), "{again:?}");
    assert_eq!(gateway(), TIMED_OUT, "no refusal and no reset: nothing comes back");
    assert_eq!(admin(), ok(), "a cut does not cut what is read of the Envoys");
    let state = finish(&mut localmesh("state", block::UP)).stdout;
    assert!(state.starts_with("network1 and network2: cut\n"), "{state}");
    // From inside a network the mesh is asked as from outside.
    let mend = localmesh("do", block::UP);
    let mut words = kops.split(' ');
    let mut entered = Command::new(words.next().expect("a program"));
    entered.args(words).arg(mend.get_program()).args(mend.get_args());
    assert_eq!(finish(entered.args(["mend", "kops", "gke1"])).code, 0);
    assert_eq!(gateway(), ok());
    act(&["cut", "kops", "kops"]).refused(&["kops and kops are both in network1"]);
    act(&["cut", "kops", "eks1"]).refused(&["unknown cluster \"eks1\""]);

    // An undo of the cut's end cuts again, an undo of the cut ends it.
    for (undone, reached) in [("mend kops gke1", TIMED_OUT), ("cut kops gke1", ok())] {
        let said = act(&["undo"]);
        assert_eq!((said.code, said.stdout), (0, format!("undone: {undone}\n")));
        assert_eq!(gateway(), reached, "without {undone}");
    }
    done(&["cut", "kops", "gke1"]);
    assert_eq!(act(&["reset"]).code, 0);
    assert_eq!(gateway(), ok());

    // What is made new is in its network too.
    done(&["scale", "gke1/echo1", "2"]);
    assert_eq!(curl(&gke1, "echo1", "http://10.150.2.13:8080/"), ok());

    let said = up.said();
    let paths = said.split("nsenter --net=").skip(1);
    let paths: Vec<_> = paths.filter_map(|rest| rest.split_whitespace().next()).collect();
    assert_eq!(paths.len(), 3, "two networks, and the internet: {said}");
    let folder = said.lines().find_map(|line| line.strip_prefix("files and logs: "));
    up.signal(Signal::KILL);
    assert_eq!(up.wait(), -1);
    wait_until("no process holds a namespace", || {
        paths.iter().all(|path| !Path::new(path).exists()).then_some(())
    });
    std::fs::remove_dir_all(folder.expect("a folder")).expect("removed");
}

#[test]
fn isolation_the_matrix_of_three_clusters_on_two_networks_holds() {
    let mut demo = localmesh("demo", block::DEMO);
    demo.arg("--isolate").arg("--topology").arg(place("topologies/shared-network.yaml"));
    if !allowed(&mut demo) {
        return;
    }
    let said = finish(demo.args(["--", "-n", "300", "--quiet"]));
    assert_eq!(said.code, 0, "{said:?}");
    assert!(said.stdout.contains("from internet: curl istio3.xiaowenx.com/echo2"), "{said:?}");
    assert!(said.stdout.ends_with("all 12 rows meet their expectations\n"), "{said:?}");
}

#[test]
fn isolation_the_scenario_of_a_cut_shows_what_its_file_says() {
    let mut run = localmesh("run", block::CUT);
    run.arg(place("scenarios/isolated/network-cut.yaml"));
    if rustix::process::geteuid().is_root() {
        let said = finish(&mut run);
        assert_eq!(said.code, 0, "{said:?}");
        assert!(said.stdout.ends_with("1 of 1 scenarios met their expectations\n"), "{said:?}");
    } else {
        let said = finish(&mut run);
        assert_eq!(said.code, 2, "{said:?}");
        assert!(said.stderr.contains("--isolate") && said.stderr.contains("root"), "{said:?}");
    }
}
