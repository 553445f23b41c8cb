//! Files whose values refer to each other, or are nested without end; folders and pipes as files.

use std::fs;
use std::process::Command;

use super::super::reports::huge::measured_program;
use super::{MOST_KIB, only_the_message};
use crate::harness::{bin, finish, run};
use crate::servers::{Server, text_echo};

/// Ten lists, each ten times the one before: ten thousand million words.
fn laughs() -> String {
    let list = |n: usize| match n {
        0 => ["ha"; 10].join(", "),
        _ => vec![format!("*l{}", n - 1); 10].join(", "),
    };
    (0..10).map(|n| format!("&l{n} [{}]", list(n))).collect::<Vec<_>>().join(", ")
}

/// A hundred thousand targets with an expectation of one megabyte.
fn one_target_very_often() -> String {
    let target = format!("&t {{url: 'http://x/', expect: ['reaches {}']}}", "x".repeat(1_000_000));
    format!("clusters: [kops]\ntargets:\n- {target}\n{}", "- *t\n".repeat(100_000))
}

#[test]
fn yaml_that_grows_or_nests_without_end_is_refused_in_one_line() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("bad.yaml");
    let path = file.to_str().expect("UTF-8");
    let (laughs, often) = (laughs(), one_target_very_often());
    let nested = |key: &str| {
        let (lists, maps) = ("[".repeat(200_000), "{a: ".repeat(60_000));
        [format!("{key}: {lists}"), format!("{key}: {maps}"), "- ".repeat(200_000)]
    };
    for (program, command, key, more) in [
        ("prober", &["matrix"][..], "targets", &[often][..]),
        ("prober", &["watch"], "clusters", &[]),
        ("localmesh", &["up", "--topology"], "services", &[]),
        ("localmesh", &["run"], "events", &[]),
    ] {
        let aliases = [format!("{key}: [{laughs}]"), format!("{key}: [{laughs}, *l9, *l9]")];
        for text in aliases.iter().chain(&nested(key)).chain(more) {
            fs::write(&file, text).expect("written");
            let (mut said, peak) = measured_program(program, &[command, &[path]].concat());
            only_the_message(&mut said);
            said.refused(&["bad.yaml:"]);
            assert!(said.stderr.len() < 1_000, "{said:?}");
            assert!(peak < MOST_KIB, "{command:?} took {peak} KiB");
        }
    }
    fs::write(&file, one_target_very_often()).expect("written");
    run("prober", ["matrix", path]).refused(&["bad.yaml:", "more values", "fewer aliases"]);
}

#[test]
fn json_and_expectations_that_nest_without_end_are_refused_in_few_words() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("bad");
    let path = file.to_str().expect("UTF-8");
    let deep = "[".repeat(2_000_000);
    let rows = format!("{{\"schema\":\"prober/1\",\"rows\":{deep}");
    for (text, args) in [
        (deep.clone(), &["report", path][..]),
        (rows.clone(), &["report", path]),
        (rows.clone() + &"]".repeat(2_000_000) + "}", &["compare", path, path]),
        ("[".repeat(60_000), &["judge", path]),
        ("{\"pod\":".repeat(9_000), &["judge", path]),
        ("(".repeat(1_000_000), &["-t", "a", "--expect-file", path]),
        ("not ".repeat(1_000_000), &["-t", "a", "--expect-file", path]),
        ("share(a) by ".repeat(300_000), &["judge", path, "--expect-file", path]),
    ] {
        fs::write(&file, text).expect("written");
        let (said, peak) = measured_program("prober", args);
        assert_eq!((said.code, said.stdout.as_str()), (2, ""), "{said:?}");
        assert!(said.stderr.len() < 3_000, "{} bytes for {args:?}", said.stderr.len());
        assert!(peak < MOST_KIB, "{args:?} took {peak} KiB");
    }
}

#[test]
fn a_folder_is_refused_wherever_a_file_is_read() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().to_str().expect("UTF-8");
    let at = format!("@{path}");
    for (program, args) in [
        ("prober", &["matrix", path][..]),
        ("prober", &["watch", path]),
        ("prober", &["-t", "a", "--expect-file", path]),
        ("prober", &["-t", "a", "-d", "1s", "--event-file", path]),
        ("prober", &["-t", "a", "-H", &at]),
        ("prober", &["-t", "a", "--data", &at]),
        ("prober", &["-t", "a", "--data-binary", &at]),
        ("prober", &["-t", "https://a", "--cacert", path]),
        ("prober", &["-t", "https://a", "--cert", path]),
        ("prober", &["report", path]),
        ("prober", &["merge", path, path]),
        ("prober", &["compare", path, path]),
        ("prober", &["explain-run", path]),
        ("prober", &["judge", path]),
        ("localmesh", &["up", "--topology", path]),
        ("localmesh", &["run", path]),
    ] {
        run(program, args).refused(&[path]);
    }
}

/// Every file may be a pipe, which is read to its end.
#[test]
fn a_pipe_is_read_wherever_a_file_is() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = Server::start(text_echo("a", "kops"));
    let at = |name: &str| folder.path().join(name).to_str().expect("UTF-8").to_owned();
    let (report, target) = (at("run.json"), server.target());
    run("prober", ["-t", &target, "-n", "20", "--quiet", "--report", &report]);
    let url = format!("http://{target}/");
    for (args, text, shown) in [
        ("matrix FIFO", format!("clusters: [kops]\ntargets: [{{url: '{url}'}}]"), "kops"),
        ("-t T -n 20 --expect-file FIFO", "reaches kops".into(), "PASS  reaches kops"),
        ("-t T -n 20 --rate 50 --event-file FIFO", "0.01s true".into(), "true: done"),
        ("-t T -n 20 -H @FIFO", "a: b".into(), "20 requests"),
        ("-t T -n 20 --data @FIFO", "a".into(), "20 requests"),
        ("judge FIFO", "{\"pod\":\"a\",\"cluster\":\"kops\"}".into(), "kops"),
        ("report FIFO", fs::read_to_string(&report).expect("a report"), "20 requests"),
    ] {
        let (fifo, file) = (at("fifo"), at("text"));
        fs::write(&file, text).expect("written");
        let script = "mkfifo \"$1\"; cat \"$2\" >\"$1\" & shift 2; \"$@\"";
        let mut command = Command::new("sh");
        command.args(["-c", script, "sh", &fifo, &file]).arg(bin("prober"));
        let words = args.split(' ').map(|word| word.replace("FIFO", &fifo));
        command.args(words.map(|word| if word == "T" { target.clone() } else { word }));
        let said = finish(&mut command);
        fs::remove_file(&fifo).expect("a pipe");
        assert!(said.code == 0 && said.stdout.contains(shown), "{args}: {said:?}");
    }
}
