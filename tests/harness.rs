//! What the topics share: finding and running the built binaries, background
//! processes that never outlive their test, and waiting with a deadline.

use std::ffi::OsStr;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, Once};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// How long any one thing may take before a test gives up on it.
pub(crate) const DEADLINE: Duration = Duration::from_secs(20);

/// The folder of the workspace.
pub(crate) fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("tests/ lies in the workspace").into()
}

/// The folder of the built binaries, of the same profile as this test. All
/// binaries are brought up to date first, once per test run.
pub(crate) fn bin_dir() -> PathBuf {
    static BUILT: Once = Once::new();
    let exe = std::env::current_exe().expect("own path");
    let dir = exe.ancestors().nth(2).expect("target/<profile>/deps/<test>").to_owned();
    BUILT.call_once(|| {
        let mut cargo = Command::new(env!("CARGO"));
        cargo.current_dir(workspace()).args([
            "build",
            "--quiet",
            "--locked",
            "--bins",
            "--workspace",
        ]);
        cargo.env("CARGO_TARGET_DIR", dir.parent().expect("target"));
        if dir.ends_with("release") {
            cargo.arg("--release");
        }
        assert!(cargo.status().expect("cargo runs").success(), "the binaries build");
    });
    dir
}

/// The path of a built binary.
pub(crate) fn bin(name: &str) -> PathBuf {
    bin_dir().join(name)
}

/// What a finished program said.
#[derive(Debug)]
pub(crate) struct Said {
    /// Its exit code; -1 if a signal ended it.
    pub(crate) code: i32,
    /// All of its stdout.
    pub(crate) stdout: String,
    /// All of its stderr.
    pub(crate) stderr: String,
}

impl Said {
    /// Asserts wrong usage: exit 2, nothing on stdout, one line on stderr that
    /// holds every one of `parts`.
    #[track_caller]
    pub(crate) fn refused(&self, parts: &[&str]) {
        assert_eq!(self.code, 2, "{self:?}");
        assert_eq!(self.stdout, "", "{self:?}");
        assert_eq!(self.stderr.trim_end().lines().count(), 1, "one line: {self:?}");
        let said: Vec<_> = self.stderr.trim_end().split(": ").collect();
        assert!(said.windows(2).all(|pair| pair[0] != pair[1]), "said twice: {self:?}");
        for part in parts {
            assert!(self.stderr.contains(part), "{part:?} is missing: {self:?}");
        }
    }
}

/// Runs a built binary to its end, with an empty environment but for `PATH`.
pub(crate) fn run<S: AsRef<OsStr>>(name: &str, args: impl IntoIterator<Item = S>) -> Said {
    finish(command(name).args(args))
}

/// A built binary, its environment empty but for `PATH`.
pub(crate) fn command(name: &str) -> Command {
    let mut command = Command::new(bin(name));
    command.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
    command
}

/// Runs a command to its end.
pub(crate) fn finish(command: &mut Command) -> Said {
    let output = command.stdin(Stdio::null()).output().expect("the program starts");
    Said {
        code: output.status.code().unwrap_or(-1),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

/// Waits until `check` returns something, or fails the test at the deadline.
#[track_caller]
pub(crate) fn wait_until<T>(what: &str, mut check: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(found) = check() {
            return found;
        }
        assert!(start.elapsed() < DEADLINE, "waited {DEADLINE:?} in vain until {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// A size of a process in KiB, such as `VmRSS:`, as Linux says it; `None` if it has ended.
pub(crate) fn memory_kib(pid: u32, name: &str) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let size = status.lines().find_map(|line| line.strip_prefix(name))?;
    size.trim().strip_suffix(" kB")?.parse().ok()
}

/// A program in the background, its output collected; killed when dropped.
pub(crate) struct Background {
    child: Child,
    said: Arc<Mutex<String>>,
    readers: Vec<JoinHandle<()>>,
}

impl Background {
    /// Starts the command; stdout and stderr are collected together.
    pub(crate) fn start(command: &mut Command) -> Self {
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program starts");
        let said = Arc::new(Mutex::new(String::new()));
        let readers = vec![
            collect(child.stdout.take().expect("piped"), &said),
            collect(child.stderr.take().expect("piped"), &said),
        ];
        Self { child, said, readers }
    }

    /// The process id.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The most memory that it has used so far, in KiB; `None` once it has ended.
    pub(crate) fn peak_kib(&self) -> Option<u64> {
        memory_kib(self.pid(), "VmHWM:")
    }

    /// Whether it has ended.
    pub(crate) fn has_ended(&mut self) -> bool {
        self.child.try_wait().expect("can be asked").is_some()
    }

    /// All that it has printed so far.
    pub(crate) fn said(&self) -> String {
        self.said.lock().expect("no panic holds it").clone()
    }

    /// All that it has printed, once it has ended and both pipes are read to their end.
    pub(crate) fn said_all(&mut self) -> String {
        for reader in self.readers.drain(..) {
            reader.join().expect("it only reads");
        }
        self.said()
    }

    /// Waits for a line that `pick` accepts.
    #[track_caller]
    pub(crate) fn wait_for<T>(&mut self, what: &str, pick: impl Fn(&str) -> Option<T>) -> T {
        let start = Instant::now();
        loop {
            if let Some(found) = self.said().lines().find_map(&pick) {
                return found;
            }
            let ended = self.child.try_wait().expect("can be asked");
            assert!(
                ended.is_none() && start.elapsed() < DEADLINE,
                "{what} never came (ended: {ended:?}); it said:\n{}",
                self.said()
            );
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Sends a signal, such as `Signal::TERM`.
    pub(crate) fn signal(&self, signal: rustix::process::Signal) {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, signal).expect("it lives");
    }

    /// Waits for its end and returns the exit code; -1 if a signal ended it.
    #[track_caller]
    pub(crate) fn wait(&mut self) -> i32 {
        let status =
            wait_until("the program ends", || self.child.try_wait().expect("can be asked"));
        status.code().unwrap_or(-1)
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn collect(from: impl std::io::Read + Send + 'static, into: &Arc<Mutex<String>>) -> JoinHandle<()> {
    let into = Arc::clone(into);
    std::thread::spawn(move || {
        for line in BufReader::new(from).lines().map_while(Result::ok) {
            let mut said = into.lock().expect("no panic holds it");
            said.push_str(&line);
            said.push('\n');
        }
    })
}
