//! The end of an `echo`: unready at once, what is in flight finishes, exit 0.

use std::net::TcpStream;
use std::time::Instant;

use rustix::process::Signal;

use super::{Echo, Raw, header};
use crate::harness::{DEADLINE, wait_until};

const HALF_A_REQUEST: &str = "POST /slow HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nab";

impl Echo {
    /// A request of which echo has begun to read the body.
    fn in_flight(&self) -> Raw {
        let mut raw = self.connect();
        raw.send(HALF_A_REQUEST);
        wait_until("the request is in flight", || {
            self.admin("/metrics").1.contains("\necho_requests_in_flight 1\n").then_some(())
        });
        raw
    }
}

#[test]
fn a_request_in_flight_is_finished_and_nothing_new_is_taken() {
    for signal in [Signal::TERM, Signal::INT] {
        let mut echo = Echo::start();
        let mut idle = echo.connect();
        idle.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n").answer();
        let mut slow = echo.in_flight();

        echo.process.signal(signal);
        wait_until("it is unready", || (echo.admin("/readyz").0 == "503").then_some(()));
        assert_eq!(echo.admin("/healthz").0, "200", "draining is not being ill");
        assert_eq!(echo.admin("/readyz").1, "draining\n");
        assert_eq!(idle.rest(), "", "a resting connection is closed");
        wait_until("the port is closed", || TcpStream::connect(echo.address).err());

        let (head, body) = slow.send("cde").answer();
        assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
        assert_eq!(header(&head, "connection"), Some("close"));
        assert!(body.contains("/slow] on [pod: echo1-x]"), "{body}");
        assert_eq!(slow.rest(), "");
        assert_eq!(echo.process.wait(), 0);
    }
}

#[test]
fn what_takes_longer_than_the_drain_timeout_is_cut_off() {
    let mut echo = Echo::with(&["--drain-timeout", "50ms"], &[]);
    let mut slow = echo.in_flight();
    echo.process.signal(Signal::TERM);
    assert_eq!(slow.rest(), "", "no answer");
    assert_eq!(echo.process.wait(), 0);
    assert!(echo.process.said().contains("cut off after 50ms"), "{}", echo.process.said());
}

#[test]
fn a_second_signal_ends_it_at_once() {
    let mut echo = Echo::with(&["--drain-timeout", "1h"], &[]);
    let _slow = echo.in_flight();
    echo.process.signal(Signal::INT);
    echo.process.wait_for("the drain", |line| line.contains("draining").then_some(()));
    let before = Instant::now();
    echo.process.signal(Signal::INT);
    assert_eq!(echo.process.wait(), 0);
    assert!(before.elapsed() < DEADLINE);
}
