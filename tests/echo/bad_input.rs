//! Wrong usage of `echo`: exit 2, nothing on stdout, one line that names the
//! flag or the variable and says what fits.

use std::net::TcpListener;

use crate::harness::{command, finish, run};

#[test]
fn a_port_in_use_is_named_with_its_remedy() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let port = taken.local_addr().expect("bound").port().to_string();
    let said = format!("echo: cannot listen on 127.0.0.1:{port}: address in use; choose another");
    let at = ["--host", "127.0.0.1"];
    run("echo", [&at[..], &["--port", &port, "--admin-port", "0"]].concat())
        .refused(&[&said, "with --port"]);
    run("echo", [&at[..], &["--port", "0", "--admin-port", &port]].concat())
        .refused(&[&said, "with --admin-port"]);
    finish(command("echo").args(at).env("PORT", &port)).refused(&[&said, "with --port"]);
}

#[test]
fn one_port_cannot_serve_both() {
    run("echo", ["--port", "8081"]).refused(&["both 8081", "--port or --admin-port"]);
    run("echo", ["--tcp-port", "8080"])
        .refused(&["the echo port and the TCP port are both 8080", "--port or --tcp-port"]);
    run("echo", ["--tls-port", "8081"]).refused(&["both 8081", "--admin-port or --tls-port"]);
}

#[test]
fn an_address_that_is_not_here_is_named() {
    run("echo", ["--host", "192.0.2.1"]).refused(&[
        "cannot listen on 192.0.2.1:8080",
        "no such address",
        "--host",
    ]);
}

#[test]
fn wrong_values_are_refused_by_flag() {
    let long = "x".repeat(254);
    let fits = "at most 253 printable ASCII characters";
    for (flags, parts) in [
        (&["--port", "80a"][..], &["'80a'", "--port", "0 to 65535"][..]),
        (&["--port", "65536"], &["--port", "0 to 65535"]),
        (&["--port="], &["--port", "value"]),
        (&["--admin-port", "-1"], &["'-1'"]),
        (&["--host", "localhost"], &["--host", "127.0.0.1"]),
        (&["--threads", "0"], &["--threads", "from 1 to"]),
        (&["--drain-timeout", "30x"], &["--drain-timeout", "'x' is not a unit of time"]),
        (&["--log", "loud"], &["--log", "off, error, warn, info, debug"]),
        (&["--log-format", "xml"], &["--log-format", "text, json"]),
        (&["--cluster", "a\nb"], &["--cluster", fits]),
        (&["--pod", " a"], &["--pod", fits]),
        (&["--zone", "zürich"], &["--zone", fits]),
        (&["--app-version", &long], &["--app-version", fits]),
        (&["--max-connections", "0"], &["--max-connections", "from 1"]),
        (&["--max-head", "4KiB"], &["--max-head", "from 8KiB to 1MiB"]),
        (&["--max-body", "1GB"], &["--max-body", "8MiB"]),
        (&["--idle-timeout", "10ms"], &["--idle-timeout", "from 1s to 1d"]),
        (&["--drain-delay", "2h"], &["--drain-delay", "from 0s to 1h"]),
        (&["--log-sample", "0"], &["--log-sample", "from 1"]),
        (&["--allow-call", "http://echo2/"], &["--allow-call", "echo2:8080"]),
        (&["--allow-call", "echo2,a b"], &["--allow-call", "'a b'"]),
        (&["--tcp-port", "x"], &["--tcp-port", "0 to 65535"]),
        (&["--clutser", "kops"], &["--clutser", "'--cluster'"]),
        (&["stray"], &["'stray'"]),
    ] {
        run("echo", flags).refused(&[&["echo: "], parts].concat());
    }
}

#[test]
fn wrong_values_are_refused_by_variable() {
    for (name, value, fits) in [
        ("PORT", "tcp://10.0.0.1:80", "0 to 65535"),
        ("ADMIN_PORT", "x", "0 to 65535"),
        ("HOST", "echo.example", "IP address"),
        ("THREADS", "many", "from 1 to"),
        ("DRAIN_TIMEOUT", "soon", "30s"),
        ("FAULTS", "perhaps", "write true or false"),
        ("ALLOW_CALL", "*", "echo2:8080"),
        ("TCP_PORT", "x", "0 to 65535"),
        ("TLS_PORT", "x", "0 to 65535"),
        ("TLS_CLIENT_AUTH", "maybe", "require, optional, none"),
        ("MAX_CONNECTIONS", "x", "from 1"),
        ("MAX_HEAD", "x", "64KiB"),
        ("MAX_BODY", "x", "64KiB"),
        ("IDLE_TIMEOUT", "x", "30s"),
        ("DRAIN_DELAY", "x", "30s"),
        ("LOG_SAMPLE", "x", "from 1"),
        ("LOG_LEVEL", "verbose", "off, error, warn, info, debug"),
        ("LOG_FORMAT", "yaml", "text, json"),
        ("CLUSTER", "a\u{1b}b", "printable ASCII"),
        ("POD_NAME", "a\r\nx-evil: 1", "printable ASCII"),
        ("POD_NAMESPACE", "é", "printable ASCII"),
        ("NODE_NAME", "é", "printable ASCII"),
        ("REGION", "é", "printable ASCII"),
        ("ZONE", "é", "printable ASCII"),
        ("NETWORK", "é", "printable ASCII"),
        ("VERSION", "é", "printable ASCII"),
    ] {
        let said = finish(command("echo").env(name, value));
        said.refused(&["echo: ", &format!("the variable {name}"), fits]);
        assert!(!said.stderr.trim_end().contains(char::is_control), "{said:?}");
    }
}

#[test]
fn a_variable_that_is_not_utf_8_is_refused() {
    use std::os::unix::ffi::OsStrExt as _;
    let value = std::ffi::OsStr::from_bytes(b"\xff");
    finish(command("echo").env("CLUSTER", value)).refused(&["the variable CLUSTER", "UTF-8"]);
}
