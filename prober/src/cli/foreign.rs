//! Flags of other tools, and what prober calls them. A table: a new flag is a new line.

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Command, CommandFactory as _};

use super::Cli;

/// Names of a flag in curl, wrk, hey, ab, k6, oha, vegeta, fortio or kubectl; the flag of prober
/// that does the same, if there is one; and what to write.
type Foreign = (&'static [&'static str], &'static str, &'static str);

const FLAGS: &[Foreign] = &[
    // How many, how long, how fast.
    (&["--timeout", "--request-timeout"], "max-time", "write -m or --max-time, such as -m 5s"),
    (
        &["--count", "--number", "--samples", "--iterations", "--num", "--reps", "-N"],
        "requests",
        "write -n or --requests",
    ),
    (
        &[
            "--connections",
            "--vus",
            "--workers",
            "--parallel",
            "--concurrent",
            "--clients",
            "--parallel-max",
            "-Z",
            "-u",
        ],
        "concurrency",
        "write -c or --concurrency",
    ),
    (
        &["--qps", "--rps", "--rate-limit", "-R", "-r"],
        "rate",
        "write -q or --rate, the requests per second in all",
    ),
    (
        &["--time", "--run-time", "--duration-seconds", "-z"],
        "duration",
        "write -d or --duration, such as -d 30s",
    ),
    (&["--cpus", "--max-workers"], "threads", "write --threads"),
    (&["--keepalive", "--keep-alive", "-K"], "reuse", "write --reuse always"),
    (
        &["--no-keepalive", "--disable-keepalive", "--no-connection-reuse"],
        "reuse",
        "each request has its own connection unless --reuse is given",
    ),
    (&["--warm-up", "--ramp-up"], "warmup", "write --warmup, such as --warmup 5s"),
    (
        &["--wait-for", "--wait-timeout", "--retry-connrefused"],
        "wait",
        "write --wait, such as --wait 60s, to wait for the first answer",
    ),
    (
        &[
            "--retry",
            "--retries",
            "--tries",
            "--retry-delay",
            "--retry-max-time",
            "--retry-all-errors",
        ],
        "wait",
        "nothing is retried, so that every failure is counted; --wait 60s waits for the first answer",
    ),
    (
        &["--latency", "--latencies", "--latency-correction", "--percentiles"],
        "",
        "the report always has the latency; remove it",
    ),
    // The request.
    (&["--headers", "--add-header"], "header", "write -H or --header 'NAME: VALUE'"),
    (&["--host", "--hostname"], "header", "write -H 'Host: NAME'"),
    (&["--user-agent", "-A"], "header", "write -H 'User-Agent: TEXT'"),
    (&["--user", "--basic-auth", "--oauth2-bearer"], "header", "write -H 'Authorization: …'"),
    (&["--cookie", "-b"], "header", "write -H 'Cookie: NAME=VALUE'"),
    (&["--referer"], "header", "write -H 'Referer: URL'"),
    (&["--content-type"], "header", "write -H 'Content-Type: TYPE'"),
    (
        &["--accept", "--compressed"],
        "header",
        "write it as a header, such as -H 'Accept-Encoding: gzip'",
    ),
    (&["--method"], "request", "write -X or --request, such as -X POST"),
    (&["--head", "-I"], "request", "write -X HEAD"),
    (&["--get", "-G"], "", "write the query into the URL, such as 'echo2:8080/?a=1'"),
    (
        &["--body", "--data-raw", "--data-ascii", "--data-urlencode", "--post-data", "-D"],
        "data",
        "write --data",
    ),
    (&["--body-file", "--post-file", "-p"], "data", "write --data @FILE"),
    (
        &["--form", "-F", "--upload-file", "-T"],
        "data",
        "forms and uploads cannot be sent; write the body as --data @FILE",
    ),
    (&["--url", "--urls", "--uri"], "target", "write the URL alone, or --target URL"),
    (
        &["--location", "-L", "--follow", "--follow-redirects", "--max-redirs", "--redirects"],
        "",
        "redirects are not followed: each is a failure that names its location, so probe that URL",
    ),
    (&["--http1", "--http1.0", "-0"], "http1.1", "write --http1.1, the default"),
    (&["--h2", "--http2-only"], "http2", "write --http2"),
    (&["--h2c"], "http2-prior-knowledge", "write --http2-prior-knowledge"),
    (&["--http3", "--http3-only"], "http2", "HTTP/3 is not supported; write --http2"),
    // The connection.
    (
        &[
            "--insecure-skip-tls-verify",
            "--skip-tls-verify",
            "--no-check-certificate",
            "--no-verify",
        ],
        "insecure",
        "write -k or --insecure",
    ),
    (
        &["--ca", "--cafile", "--ca-file", "--root-certs", "--capath"],
        "cacert",
        "write --cacert FILE",
    ),
    (&["-E", "--client-cert"], "cert", "write --cert FILE"),
    (
        &["--tlsv1.2", "--tlsv1.3", "--tlsv1", "-1", "--tls-version"],
        "tls-max",
        "TLS 1.2 and 1.3 are offered; --tls-max 1.2 leaves 1.3 out",
    ),
    (
        &["--no-sessionid", "--session-reuse"],
        "tls-session",
        "sessions are not resumed unless --tls-session reuse is given",
    ),
    (
        &["--proxy", "-x", "--socks5", "--preproxy"],
        "connect-to",
        "proxies are not supported; --connect-to leads connections elsewhere",
    ),
    (&["--noproxy"], "", "prober connects directly, without a proxy; remove it"),
    (&["--unix-socket", "--abstract-unix-socket"], "", "prober connects by TCP; remove it"),
    (
        &["--haproxy-clientip", "--proxy-protocol"],
        "haproxy-protocol",
        "write --haproxy-protocol or --haproxy-protocol=v2",
    ),
    // What is judged, and how it is printed.
    (
        &["--fail", "-f", "--fail-with-body", "--fail-early"],
        "",
        "the exit code is 1 if a request fails; remove it",
    ),
    (
        &["--assert", "--threshold", "--thresholds", "--check"],
        "expect",
        "write -e or --expect 'EXPR'",
    ),
    (&["--json", "-j"], "output", "write --output json"),
    (&["--format"], "output", "write -o or --output: text, json, ndjson or csv"),
    (
        &[
            "--html",
            "--junit",
            "--csv",
            "--markdown",
            "--output-file",
            "--out",
            "--summary-export",
            "-O",
        ],
        "report",
        "write --report FILE; its extension selects the format",
    ),
    (
        &["--silent", "-s", "--no-progress-meter", "--no-tui", "--no-progress"],
        "quiet",
        "write --quiet",
    ),
    (
        &["--show-error", "-S", "--include", "-i", "--write-out", "-w"],
        "show",
        "failures are in the report; --show N prints the first N answers",
    ),
    (&["--debug", "--trace", "--http-debug", "--loglevel"], "verbose", "write -v or --verbose"),
    (&["--no-color", "--no-colour", "--colour"], "color", "write --color never or --color always"),
    (
        &["--context", "--namespace", "--kubeconfig"],
        "",
        "a matrix file names contexts and namespaces: a source with 'kubectl:' (see prober matrix --help)",
    ),
];

/// Flags that are keys of a matrix file under another name.
const KEYS: [(&str, &str); 8] = [
    ("target", "url"),
    ("header", "headers"),
    ("request", "method"),
    ("data-binary", "data"),
    ("http1.1", "protocol"),
    ("http2", "protocol"),
    ("http2-prior-knowledge", "protocol"),
    ("grpc", "protocol"),
];

/// Flags of a plain run that a matrix does not have.
const NOT_IN_A_MATRIX: [&str; 12] = [
    "arrivals",
    "at",
    "event-file",
    "event-timeout",
    "marks",
    "failover-to",
    "hold",
    "expect-file",
    "run-id",
    "start-at",
    "ipv4",
    "ipv6",
];

impl usage::Advice for Cli {
    /// `-timeout=5s`, as Go's flags are written, would be read as `-t imeout=5s`.
    fn before(words: &[String]) -> Option<String> {
        let mut program = Self::command();
        program.build();
        let mut before = "";
        for word in words.iter().take_while(|word| *word != "--") {
            let stem = word.strip_prefix('-').and_then(|stem| stem.split('=').next());
            let stem = stem.filter(|stem| stem.len() > 2 && !stem.starts_with('-'));
            if let Some(stem) =
                stem.filter(|_| !["--data", "--data-binary", "--pass"].contains(&before))
            {
                let flag = format!("--{stem}");
                let right = match find(&flag) {
                    Some((_, _, right)) => Some((*right).to_owned()),
                    None => has_flag(&program, stem).then(|| format!("write {flag}")),
                };
                if let Some(right) = right {
                    return Some(format!("'{word}': long flags have two dashes; {right}"));
                }
            }
            before = word;
        }
        None
    }

    fn of(error: &clap::Error) -> Option<String> {
        let text = |kind| match error.get(kind) {
            Some(ContextValue::String(text)) => Some(text.as_str()),
            _ => None,
        };
        let flag = text(ContextKind::InvalidArg)?;
        match error.kind() {
            ErrorKind::UnknownArgument => unknown(flag, &command_of(error)),
            ErrorKind::InvalidValue if flag.starts_with("--output") => {
                let file =
                    text(ContextKind::InvalidValue).filter(|value| value.contains(['.', '/']))?;
                Some(format!(
                    "--output '{file}': it selects the format on stdout; for a file write --report {file}"
                ))
            }
            _ => None,
        }
    }
}

/// The command whose usage an error shows; the program itself for a plain run.
fn command_of(error: &clap::Error) -> Command {
    let mut program = Cli::command();
    program.build();
    let text = error.render().to_string();
    let usage = text.lines().find_map(|line| line.strip_prefix("Usage: prober "));
    let name = usage.and_then(|usage| usage.split_whitespace().next()).unwrap_or_default();
    program.find_subcommand(name).cloned().unwrap_or(program)
}

/// What to write instead of a flag that a command does not have.
fn unknown(flag: &str, command: &Command) -> Option<String> {
    let foreign = find(flag);
    let name = command.get_name();
    let known = match foreign {
        Some((_, known, _)) => (*known).to_owned(),
        None => long_of(flag),
    };
    let known = known.as_str();
    let right = match name {
        "wait" => {
            "it takes no arguments: it waits for SIGTERM; to wait for a target's first answer, \
                   write prober URL --wait 60s"
                .to_owned()
        }
        "matrix" if known == "pass" => "set PROBER_PASS in the environment".to_owned(),
        "matrix" if !has_flag(command, known) => in_the_file(known)?,
        _ => {
            let (_, known, right) = foreign?;
            let is_here = known.is_empty() || has_flag(command, known);
            is_here.then(|| (*right).to_owned())?
        }
    };
    let whose = if name == "prober" { "prober".to_owned() } else { format!("prober {name}") };
    Some(format!("{whose} has no {flag}; {right}"))
}

/// Where a matrix file has what a plain run has as a flag.
fn in_the_file(flag: &str) -> Option<String> {
    let is_a_run = has_flag(&Cli::command(), flag) && !NOT_IN_A_MATRIX.contains(&flag);
    let key = KEYS.iter().find(|(known, _)| *known == flag).map_or(flag, |(_, key)| key);
    is_a_run.then(|| match key {
        "url" => "the file names the targets, each with the key 'url'".to_owned(),
        "clusters" => "write it into the file, as the key 'clusters'".to_owned(),
        key => format!("write it into the file, as the key '{key}' of a target or of 'defaults'"),
    })
}

/// The long name of a flag of a plain run, which may be given by its letter.
fn long_of(flag: &str) -> String {
    let name = flag.trim_start_matches('-');
    let program = Cli::command();
    let mut letters = name.chars();
    let letter = letters.next().filter(|_| letters.next().is_none());
    let named = program.get_arguments().find(|arg| letter.is_some() && arg.get_short() == letter);
    named.and_then(clap::Arg::get_long).unwrap_or(name).to_owned()
}

fn find(flag: &str) -> Option<&'static Foreign> {
    FLAGS.iter().find(|(names, _, _)| names.contains(&flag))
}

fn has_flag(command: &Command, long: &str) -> bool {
    command.get_arguments().any(|arg| arg.get_long() == Some(long))
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser as _;
    use proptest::prelude::*;
    use usage::Advice as _;

    fn advice(words: &[&str]) -> Option<String> {
        let words: Vec<_> = words.iter().map(|&word| word.to_owned()).collect();
        let all = std::iter::once("prober".to_owned()).chain(words.iter().cloned());
        Cli::before(&words).or_else(|| Cli::of(&Cli::try_parse_from(all).err()?))
    }

    /// No line of the table is dead: prober has none of these flags, and has what they lead to.
    #[test]
    fn every_line_of_the_table_is_needed_and_leads_to_a_flag() {
        let program = Cli::command();
        let mut seen = std::collections::BTreeSet::new();
        for (names, known, right) in FLAGS {
            assert!(known.is_empty() || has_flag(&program, known), "--{known}");
            for name in *names {
                assert!(seen.insert(name), "{name} is listed twice");
                let line = advice(&["a", name]).unwrap_or_else(|| panic!("{name} is a flag"));
                assert!(line.ends_with(right), "{name}: {line}");
                assert!(!line.contains('\n') && line.contains(name), "{line}");
            }
        }
    }

    #[test]
    fn a_flag_of_another_tool_is_refused_with_the_right_one() {
        for (words, line) in [
            (
                &["a", "--timeout", "5s"][..],
                "prober has no --timeout; write -m or --max-time, such as -m 5s",
            ),
            (
                &["a", "--timeout=5s"],
                "prober has no --timeout; write -m or --max-time, such as -m 5s",
            ),
            (&["a", "--vus", "5"], "prober has no --vus; write -c or --concurrency"),
            (
                &["a", "-timeout=5s"],
                "'-timeout=5s': long flags have two dashes; write -m or --max-time, such as -m 5s",
            ),
            (
                &["a", "-duration", "5s"],
                "'-duration': long flags have two dashes; write --duration",
            ),
            (&["a", "-version"], "'-version': long flags have two dashes; write --version"),
            (
                &["a", "-o", "run.json"],
                "--output 'run.json': it selects the format on stdout; for a file write --report run.json",
            ),
            (
                &["matrix", "f", "--timeout", "5s"],
                "prober matrix has no --timeout; write it into the file, as the key 'max-time' of a target or of 'defaults'",
            ),
            (
                &["matrix", "f", "--expect", "only a"],
                "prober matrix has no --expect; write it into the file, as the key 'expect' of a target or of 'defaults'",
            ),
            (
                &["matrix", "f", "-t", "a"],
                "prober matrix has no -t; the file names the targets, each with the key 'url'",
            ),
            (&["matrix", "f", "--json"], "prober matrix has no --json; write --output json"),
            (
                &["watch", "-t", "a", "--qps", "9"],
                "prober watch has no --qps; write -q or --rate, the requests per second in all",
            ),
            (
                &["matrix", "f", "--pass", "secret"],
                "prober matrix has no --pass; set PROBER_PASS in the environment",
            ),
            (&["judge", "f", "--json"], "prober judge has no --json; write --output json"),
        ] {
            assert_eq!(advice(words).as_deref(), Some(line), "{words:?}");
        }
        for words in [
            &["a", "-kv"][..],
            &["a", "-n100", "-c10", "-d", "1s"],
            &["a", "--data", "-header"],
            &["a", "--pass", "-header-and-secret"],
            &["a", "--", "-timeout"],
            &["a", "--strange"],
            &["compare", "a", "b", "--timeout", "5s"],
        ] {
            assert_eq!(advice(words), None, "{words:?}");
        }
        assert!(
            advice(&["wait", "60s"]).is_some_and(|line| line.contains("prober URL --wait 60s"))
        );
    }

    proptest! {
        #[test]
        fn no_words_panic(words in prop::collection::vec("-{0,2}[a-z=]{0,9}", 0..4)) {
            let words: Vec<_> = words.iter().map(String::as_str).collect();
            let _ = advice(&words);
        }
    }
}
