//! Progress on a terminal: a pseudo-terminal of ours, read by an emulator.

use std::ffi::OsStr;
use std::fs::{File, OpenOptions};
use std::io::Read as _;
use std::os::unix::ffi::OsStrExt as _;
use std::process::Stdio;

use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};

use crate::harness::{command, wait_until};
use crate::servers::{Server, answering, line, linger, read_head, response};

const LINES: u16 = 12;
const COLUMNS: u16 = 60;

/// What a terminal showed.
struct Seen {
    code: i32,
    bytes: Vec<u8>,
    /// The screen after each piece of output.
    screens: Vec<String>,
    stdout: String,
}

/// Our side of a new terminal, and the program's.
fn terminal() -> (File, File) {
    let ours = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).expect("a pseudo-terminal");
    grantpt(&ours).expect("granted");
    unlockpt(&ours).expect("unlocked");
    let size = Winsize { ws_row: LINES, ws_col: COLUMNS, ws_xpixel: 0, ws_ypixel: 0 };
    tcsetwinsize(&ours, size).expect("a size");
    let name = ptsname(&ours, Vec::new()).expect("a name");
    let path = OsStr::from_bytes(name.as_bytes());
    let theirs = OpenOptions::new().read(true).write(true).open(path).expect("opened");
    (ours.into(), theirs)
}

/// Runs a prober whose stderr is a terminal.
fn watched(args: &[&str], environment: &[(&str, &str)]) -> Seen {
    let (mut ours, theirs) = terminal();
    let mut prober = command("prober");
    prober.args(args).env("TERM", "xterm").envs(environment.iter().copied());
    let mut child = prober
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(theirs)
        .spawn()
        .expect("the program starts");
    // Our copy of the program's side: reading ends when nobody holds it any more.
    drop(prober);
    let mut screen = vt100::Parser::new(LINES, COLUMNS, 0);
    let (mut bytes, mut screens, mut piece) = (Vec::new(), Vec::new(), [0; 4096]);
    while let Ok(n @ 1..) = ours.read(&mut piece) {
        bytes.extend_from_slice(&piece[..n]);
        screen.process(&piece[..n]);
        screens.push(screen.screen().contents());
    }
    let mut stdout = String::new();
    child.stdout.take().expect("piped").read_to_string(&mut stdout).expect("text");
    let status = wait_until("it ends", || child.try_wait().expect("can be asked"));
    Seen { code: status.code().unwrap_or(-1), bytes, screens, stdout }
}

/// Every second connection is answered by the other cluster.
fn two_clusters() -> Server {
    Server::start(|mut stream, connection| {
        read_head(&stream);
        let cluster = ["kops", "gke1"][(connection % 2) as usize];
        let answer = response("200 OK", "", &line("p", cluster));
        let _ = std::io::Write::write_all(&mut stream, answer.as_bytes());
        linger(&stream);
    })
}

#[test]
fn progress_moves_on_a_terminal_and_leaves_nothing_behind() {
    let server = two_clusters();
    let seen = watched(&["-t", &server.target(), "-d", "1500ms", "--rate", "150"], &[]);
    assert_eq!(seen.code, 0);
    let drawn: Vec<_> = seen.screens.iter().filter(|screen| !screen.is_empty()).collect();
    assert!(drawn.len() >= 3, "drawn again and again: {drawn:#?}");
    let whole = drawn.iter().filter(|screen| {
        ["requests ended, 0 failed", " answers/s, ", " s left", "\n  kops  ", "\n  gke1  ", "█"]
            .iter()
            .all(|part| screen.contains(part))
    });
    assert!(whole.count() >= 3, "facts and bars: {drawn:#?}");
    let facts: std::collections::BTreeSet<_> =
        drawn.iter().filter_map(|screen| screen.lines().next()).collect();
    assert!(facts.len() >= 3, "it moves: {facts:#?}");
    assert!(drawn.iter().all(|screen| screen.lines().count() <= 3), "in place: {drawn:#?}");
    assert_eq!(seen.screens.last().map(String::as_str), Some(""), "wiped at the end");
    assert!(seen.stdout.contains("  PASS  errors = 0"), "{}", seen.stdout);
}

#[test]
fn progress_is_for_terminals_that_can_show_it() {
    let server = two_clusters();
    let target = server.target();
    let short = ["-t", &target, "-d", "700ms", "--rate", "50"];
    let dumb = watched(&short, &[("TERM", "dumb")]);
    assert_eq!(String::from_utf8_lossy(&dumb.bytes), "", "a plain line comes after 5 s only");
    let quiet = watched(&[&short[..], &["--quiet"]].concat(), &[]);
    assert_eq!(String::from_utf8_lossy(&quiet.bytes), "");
    let verbose = watched(&[&short[..], &["--verbose"]].concat(), &[]);
    let last = verbose.screens.last().expect("a note");
    assert!(last.starts_with("prober: GET http://"), "the note stays: {last}");
    assert!(!last.contains("requests ended"), "{last}");
}

#[test]
fn progress_shows_failures_in_red_where_colour_is_wanted() {
    let server = Server::start(answering(response("500 Internal Server Error", "", "x")));
    let target = server.target();
    let short = ["-t", &target, "-d", "700ms", "--rate", "50"];
    let red = |args: &[&str], environment: &[(&str, &str)]| {
        let seen = watched(&[&short[..], args].concat(), environment);
        assert_eq!(seen.code, 1);
        assert!(seen.screens.iter().any(|screen| screen.contains(" failed, ")));
        String::from_utf8_lossy(&seen.bytes).contains("\u{1b}[31m")
    };
    assert!(red(&[], &[]));
    assert!(!red(&[], &[("NO_COLOR", "1")]));
    assert!(!red(&["--color", "never"], &[]));
    assert!(red(&["--color", "always"], &[("NO_COLOR", "1")]));
}
