//! Nobody reads the log, or it cannot be written: `echo` answers all the same, counts what it
//! drops, and ends in time.

use std::fs::{self, File};
use std::io::{BufRead as _, BufReader, ErrorKind, PipeReader, PipeWriter, Write as _, pipe};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::process::{Pid, Resource, Rlimit, Signal, kill_process, prlimit};

use super::{curl, json};
use crate::harness::{DEADLINE, command, wait_until};

/// More lines than fit into the queue and into the pipe.
const REQUESTS: usize = 3_000;
/// How many are sent before their answers are read.
const AT_ONCE: usize = 20;
/// The length of each path.
const PATH: usize = 500;
/// How long the end may take: the last lines are waited for, for a second.
const END: Duration = Duration::from_secs(10);

/// `Background` keeps reading what is printed; here nobody may.
struct KilledAtTheEnd(Child);

impl Drop for KilledAtTheEnd {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// An echo whose log goes to a place of its own.
struct Logging {
    process: KilledAtTheEnd,
    address: SocketAddr,
    admin: SocketAddr,
}

impl Logging {
    /// Starts it; `first_line` reads its first line from where the log goes.
    #[track_caller]
    fn start(log: impl Into<Stdio>, first_line: impl FnOnce() -> String) -> Self {
        let mut program = command("echo");
        program.args(["--host", "127.0.0.1", "--port", "0", "--admin-port", "0"]);
        // One thread: if it waits, nothing is answered.
        program.args(["--threads", "1", "--log-format", "json"]);
        program.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        let process = KilledAtTheEnd(program.spawn().expect("echo starts"));
        // The command holds the log open, and a reader would never see its end.
        drop(program);
        let line = first_line();
        let mut urls = line.split("http://").skip(1).map(|rest| {
            let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.' && c != ':');
            rest[..end.unwrap_or(rest.len())].parse().expect("an address")
        });
        let mut url = || urls.next().unwrap_or_else(|| panic!("no ports in {line:?}"));
        Self { process, address: url(), admin: url() }
    }

    fn admin(&self, path: &str) -> String {
        curl(&format!("http://{}{path}", self.admin), &[])
    }

    fn dropped(&self) -> usize {
        let text = self.admin("/metrics");
        let value =
            text.lines().find_map(|line| line.strip_prefix("echo_log_lines_dropped_total "));
        value.expect("the counter").parse().expect("a number")
    }

    /// Sends so many requests on one connection, each with a long path; all must be answered.
    #[track_caller]
    fn ask(&self, requests: usize) {
        let stream = TcpStream::connect(self.address).expect("echo listens");
        stream.set_read_timeout(Some(DEADLINE)).expect("a timeout");
        let mut answers = BufReader::new(stream.try_clone().expect("a descriptor"));
        let request = format!("GET /{} HTTP/1.1\r\nHost: h\r\n\r\n", "a".repeat(PATH));
        let mut left = requests;
        while left > 0 {
            let now = left.min(AT_ONCE);
            (&stream).write_all(request.repeat(now).as_bytes()).expect("echo reads");
            for number in 0..now {
                let mut line = String::new();
                while !line.ends_with("] in [cluster: <unknown>]\n") {
                    let read = answers.read_line(&mut line);
                    assert!(matches!(read, Ok(1..)), "{} of {left}: {read:?}: {line}", number + 1);
                }
                assert!(line.starts_with("HTTP/1.1 200 "), "{line}");
            }
            left -= now;
        }
    }

    /// Ends it by SIGTERM, and returns how long that took.
    #[track_caller]
    fn end(&mut self) -> Duration {
        let start = Instant::now();
        kill_process(Pid::from_child(&self.process.0), Signal::TERM).expect("it lives");
        assert_eq!(ended(&mut self.process.0), 0);
        start.elapsed()
    }
}

/// Waits for the end; the exit code, -1 if a signal ended it.
#[track_caller]
fn ended(child: &mut Child) -> i32 {
    let status = wait_until("echo ends", || child.try_wait().expect("can be asked"));
    status.code().unwrap_or(-1)
}

/// The next line, within the deadline.
#[track_caller]
fn line(from: &mut BufReader<PipeReader>) -> String {
    if from.buffer().is_empty() {
        let within = DEADLINE.try_into().expect("a short time");
        let mut pipe = [PollFd::new(from.get_ref(), PollFlags::IN)];
        assert_eq!(poll(&mut pipe, Some(&within)), Ok(1), "a line comes");
    }
    let mut line = String::new();
    from.read_line(&mut line).expect("in UTF-8");
    line
}

fn is_answer(line: &str) -> bool {
    json(line)["message"] == "answered"
}

fn non_blocking(pipe: &PipeWriter, yes: bool) {
    rustix::io::ioctl_fionbio(pipe, yes).expect("a pipe can be so");
}

#[test]
fn a_log_that_nobody_reads_delays_nothing_and_the_dropped_lines_are_told() {
    // Another program that has the same pipe may have made it non-blocking.
    for shared in [false, true] {
        let (reader, writer) = pipe().expect("a pipe");
        non_blocking(&writer, shared);
        let mut log = BufReader::new(reader);
        let mut echo = Logging::start(writer, || line(&mut log));
        echo.ask(REQUESTS);
        assert_eq!(echo.admin("/healthz"), "ok\n");
        let dropped = echo.dropped();
        assert!(dropped > 0, "the lines do not all fit");

        // The reader is back.
        let (mut bytes, mut answers) = (0, 0);
        let told = loop {
            let line = line(&mut log);
            if !is_answer(&line) {
                break json(&line);
            }
            bytes += line.len();
            answers += 1;
        };
        assert_eq!(told["level"], "WARN", "{told}");
        assert_eq!(told["dropped_since_start"], dropped, "{told}");
        assert_eq!(answers + dropped, REQUESTS, "each line is either there or counted");
        assert!(bytes < (1 << 20) + (128 << 10), "{bytes} bytes waited");
        echo.ask(1);
        assert!(is_answer(&line(&mut log)), "the log goes on");

        // Nobody reads at the end either.
        echo.ask(REQUESTS);
        let took = echo.end();
        assert!(took < END, "{took:?}");
    }
}

#[test]
fn the_last_lines_are_written_before_the_end() {
    let (reader, writer) = pipe().expect("a pipe");
    let mut log = BufReader::new(reader);
    let mut echo = Logging::start(writer, || line(&mut log));
    // They fit into the queue, and not into the pipe.
    echo.ask(500);
    let reading = std::thread::spawn(move || log.lines().map_while(Result::ok).collect::<Vec<_>>());
    echo.end();
    let lines = reading.join().expect("it only reads");
    assert_eq!(lines.iter().filter(|line| is_answer(line)).count(), 500);
    let last = json(lines.last().expect("lines"));
    assert_eq!(last["message"], "stopped", "{last}");
}

#[test]
fn a_full_disk_costs_lines_only() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("log");
    let file = File::options().append(true).create(true).open(&path).expect("a file");
    let read = || fs::read_to_string(&path).expect("in UTF-8");
    let first = || wait_until("the first line", || read().lines().next().map(str::to_owned));
    let mut echo = Logging::start(file, first);
    let pid = Some(Pid::from_child(&echo.process.0));
    let may_be = |bytes| {
        let limit = Rlimit { current: bytes, maximum: None };
        prlimit(pid, Resource::Fsize, limit).expect("the own child");
    };
    // Ten bytes of the next line fit.
    let begin = read();
    may_be(Some(begin.len() as u64 + 10));
    echo.ask(3);
    wait_until("all lines are counted", || (echo.dropped() == 3).then_some(()));
    assert_eq!(echo.admin("/healthz"), "ok\n");

    // There is room again.
    may_be(None);
    echo.ask(1);
    let told = |text: &str| text.contains("dropped_since_start");
    let text = wait_until("the loss is told", || Some(read()).filter(|text| told(text)));
    let lines: Vec<_> = text[begin.len()..].lines().collect();
    assert_eq!(lines.len(), 3, "{lines:?}");
    assert_eq!(lines[0].len(), 10, "what was written before the disk was full");
    assert!(is_answer(lines[1]), "a line of its own: {lines:?}");
    assert_eq!(json(lines[2])["dropped_since_start"], 3);
    echo.end();
}

#[test]
fn a_reader_that_is_gone_costs_lines_only() {
    let (reader, writer) = pipe().expect("a pipe");
    let mut echo = Logging::start(writer, || line(&mut BufReader::new(reader)));
    echo.ask(100);
    wait_until("all lines are counted", || (echo.dropped() == 100).then_some(()));
    assert!(echo.end() < END);
}

#[test]
fn an_error_that_nobody_reads_ends_echo_all_the_same() {
    let (_reader, mut writer) = pipe().expect("a pipe");
    non_blocking(&writer, true);
    let full = loop {
        if let Err(error) = writer.write(&[b'a'; 4096]) {
            break error;
        }
    };
    assert_eq!(full.kind(), ErrorKind::WouldBlock);
    non_blocking(&writer, false);
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = taken.local_addr().expect("bound").port().to_string();
    let mut program = command("echo");
    program.args(["--host", "127.0.0.1", "--port", &port]);
    program.stdin(Stdio::null()).stdout(Stdio::null()).stderr(writer);
    let mut process = KilledAtTheEnd(program.spawn().expect("echo starts"));
    assert_eq!(ended(&mut process.0), 2);
}
