//! Progress on a terminal.

mod terminal;

use std::collections::BTreeSet;

use crate::servers::{Server, answering, line, linger, read_head, response};
use terminal::{Narrowing, Terminal};

const SIZE: (u16, u16) = (12, 60);

/// Runs a prober whose stderr is an empty terminal.
fn watched(args: &[&str], environment: &[(&str, &str)]) -> (i32, Terminal) {
    let mut terminal = Terminal::showing("", SIZE);
    let code = terminal.run(args, environment, |_| ());
    (code, terminal)
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
    let (code, terminal) = watched(&["-t", &server.target(), "-d", "1500ms", "--rate", "150"], &[]);
    assert_eq!(code, 0);
    let drawn: Vec<_> = terminal.screens.iter().filter(|screen| !screen.is_empty()).collect();
    assert!(drawn.len() >= 3, "drawn again and again: {drawn:#?}");
    let parts = ["█", "░", "%, ", " s left\n", "requests ended, 0 failed\n", " answers/s: "];
    let whole = drawn.iter().filter(|screen| {
        parts.iter().all(|part| screen.contains(part))
            && screen.contains("kops ")
            && screen.contains("gke1 ")
    });
    assert!(whole.count() >= 3, "a bar, the counts, the shares: {drawn:#?}");
    let bars: BTreeSet<_> = drawn.iter().filter_map(|screen| screen.lines().next()).collect();
    assert!(bars.len() >= 3, "it moves: {bars:#?}");
    assert!(drawn.iter().all(|screen| screen.lines().count() <= 3), "in place: {drawn:#?}");
    assert_eq!(terminal.screens.last().map(String::as_str), Some(""), "erased at the end");
    assert!(terminal.stdout.contains("  PASS  errors = 0"), "{}", terminal.stdout);
}

#[test]
fn a_matrix_whose_rows_run_at_the_same_time_has_one_bar() {
    let server = two_clusters();
    let url = format!("http://{}", server.target());
    let file = tempfile::NamedTempFile::new().expect("a file");
    let text = format!(
        "sources: [{{name: a, here: true}}, {{name: b, here: true}}]\n\
         defaults: {{requests: 60, rate: 50}}\n\
         targets: [{{from: a, url: '{url}'}}, {{from: b, url: '{url}'}}]\n"
    );
    std::fs::write(file.path(), text).expect("written");
    let path = file.path().to_str().expect("a path");
    let (code, terminal) = watched(&["matrix", path], &[]);
    assert_eq!(code, 0, "{}", terminal.text());
    let drawn: Vec<_> = terminal.screens.iter().filter(|screen| !screen.is_empty()).collect();
    assert!(drawn.len() >= 3, "{drawn:#?}");
    for screen in &drawn {
        let bars = screen.lines().filter(|line| line.contains('░') || line.contains('█'));
        assert_eq!(bars.count(), 1, "{screen}");
        assert!(screen.contains(" of 2 rows, ") && screen.contains(" of 120 requests"), "{screen}");
    }
}

/// Thirty lines, the last one in the last line of the screen.
fn full() -> String {
    (1..=30).map(|n| format!("line {n}\r\n")).collect()
}

#[test]
fn no_frame_is_left_on_the_screen_or_scrolled_away() {
    let server = two_clusters();
    let target = server.target();
    for (before, size) in [
        ("", SIZE),
        ("old\r\n\u{1b}[H\u{1b}[2J", SIZE),
        ("$ prober\r\n", SIZE),
        (&full(), SIZE),
        (&full(), (2, 60)),
        (&full(), (3, 20)),
        (&full(), (24, 5)),
        ("", (2, 200)),
        ("", (1, 1)),
    ] {
        let mut terminal = Terminal::showing(before, size);
        let shown = terminal.all();
        let short = ["-t", &target, "-d", "900ms", "--rate", "50"];
        assert_eq!(terminal.run(&short, &[], |_| ()), 0);
        assert!(terminal.screens.len() > 3, "{size:?}: {:?}", terminal.screens);
        assert_eq!(terminal.all(), shown, "{size:?}: as before the run");
        // tmux saves the screen if it is erased from its first line on.
        assert_eq!(terminal.commands('J'), 0, "erased line by line: {}", terminal.text());
        assert_eq!(terminal.cursor(), (0, true), "{size:?}");
    }
}

#[test]
fn the_report_follows_what_was_on_the_screen() {
    let server = two_clusters();
    for before in ["$ prober\r\n", &full()] {
        let mut terminal = Terminal::showing(before, (50, 120));
        terminal.has_stdout = true;
        let args = ["-t", &server.target(), "-d", "700ms", "--rate", "50"];
        assert_eq!(terminal.run(&args, &[], |_| ()), 0);
        let all = terminal.all();
        let report = all.strip_prefix(&before.replace("\r\n", "\n"));
        let report = report.unwrap_or_else(|| panic!("it stays: {all}"));
        assert!(report.starts_with(|c: char| !c.is_whitespace()), "{report}");
        assert!(report.contains("errors = 0") && !report.contains("requests ended"), "{report}");
    }
}

#[test]
fn a_terminal_that_changes_its_width_shows_no_trash() {
    let server = two_clusters();
    let target = server.target();
    for narrowing in [Narrowing::Cuts, Narrowing::Wraps] {
        let mut terminal = Terminal::showing("$ prober\r\n", SIZE);
        let mut widths = [40, 30, 50, 25, 80, 20].into_iter();
        let mut pieces = 0;
        let args = ["-t", &target, "-d", "2500ms", "--rate", "50"];
        let code = terminal.run(&args, &[], |terminal| {
            pieces += 1;
            if pieces % 3 == 0
                && let Some(columns) = widths.next()
            {
                terminal.resize(columns, narrowing);
            }
        });
        assert_eq!((code, widths.next()), (0, None), "{narrowing:?}: all widths were tried");
        assert_eq!(terminal.all(), "$ prober", "{narrowing:?}");
        let lines = terminal.screens.iter().map(|screen| screen.lines().count()).max();
        assert_eq!(lines, Some(4), "{narrowing:?}: {:#?}", terminal.screens);
    }
}

#[test]
fn an_interrupted_run_leaves_a_clean_screen_and_a_visible_cursor() {
    let server = two_clusters();
    let mut terminal = Terminal::showing("$ prober\r\n", SIZE);
    let mut pieces = 0;
    let args = ["-t", &server.target(), "-d", "60s", "--rate", "50"];
    let code = terminal.run(&args, &[], |terminal| {
        pieces += 1;
        if pieces == 4 {
            terminal.interrupt();
        }
    });
    assert_eq!(code, 130);
    assert_eq!(terminal.all(), "$ prober");
    assert_eq!(terminal.cursor(), (0, true));
    assert!(!terminal.text().contains("\u{1b}[?25l"), "never hidden: {}", terminal.text());
}

#[test]
fn lines_that_do_not_fit_are_cut() {
    let server = Server::start(|mut stream, connection| {
        read_head(&stream);
        let cluster = format!("a-cluster-with-a-long-name-{}", connection % 20);
        let answer = response("200 OK", "", &line("p", &cluster));
        let _ = std::io::Write::write_all(&mut stream, answer.as_bytes());
        linger(&stream);
    });
    let (_, terminal) = watched(&["-t", &server.target(), "-d", "900ms", "--rate", "100"], &[]);
    let widest = terminal.screens.iter().flat_map(|screen| screen.lines());
    let widest = widest.map(|line| line.chars().count()).max();
    assert_eq!(widest, Some(usize::from(SIZE.1) - 1), "{:#?}", terminal.screens);
    assert!(terminal.screens.iter().all(|screen| screen.lines().count() <= 3));
}

#[test]
fn progress_is_for_terminals_that_can_show_it() {
    let server = two_clusters();
    let target = server.target();
    let short = ["-t", &target, "-d", "700ms", "--rate", "50"];
    let (_, dumb) = watched(&short, &[("TERM", "dumb")]);
    assert_eq!(dumb.text(), "", "a plain line comes after 5 s only");
    let (_, quiet) = watched(&[&short[..], &["--quiet"]].concat(), &[]);
    assert_eq!(quiet.text(), "");
    let said = crate::harness::run("prober", short);
    assert_eq!(said.stderr, "", "a pipe is not a terminal");
    let (_, ascii) = watched(&[&short[..], &["--ascii"]].concat(), &[]);
    assert!(ascii.text().contains("##") && ascii.text().is_ascii(), "{}", ascii.text());
}

#[test]
fn a_note_stays_above_the_progress() {
    let server = two_clusters();
    let target = server.target();
    // The second note comes while the bar is there.
    let args = ["-t", &target, "-t", &target, "-d", "700ms", "--rate", "50", "--verbose"];
    let (_, mut terminal) = watched(&args, &[]);
    let notes = terminal.all();
    assert_eq!(notes.matches("prober: GET http://").count(), 2, "{notes}");
    assert!(!notes.contains("requests ended"), "{notes}");
    let above = |screen: &&String| screen.trim_start().starts_with("prober: GET http://");
    let with_bar = terminal.screens.iter().filter(|screen| screen.contains("requests ended"));
    let with_bar: Vec<_> = with_bar.collect();
    assert!(!with_bar.is_empty() && with_bar.iter().all(above), "{with_bar:#?}");
}

#[test]
fn progress_shows_failures_in_red_where_colour_is_wanted() {
    let server = Server::start(answering(response("500 Internal Server Error", "", "x")));
    let target = server.target();
    let short = ["-t", &target, "-d", "700ms", "--rate", "50"];
    let red = |args: &[&str], environment: &[(&str, &str)]| {
        let (code, terminal) = watched(&[&short[..], args].concat(), environment);
        assert_eq!(code, 1);
        assert!(terminal.screens.iter().any(|screen| screen.contains(" failed\n")));
        terminal.text().contains("\u{1b}[31m")
    };
    assert!(red(&[], &[]));
    assert!(!red(&[], &[("NO_COLOR", "1")]));
    assert!(!red(&["--color", "never"], &[]));
    assert!(red(&["--color", "always"], &[("NO_COLOR", "1")]));
}
