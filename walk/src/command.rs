//! Calls of kubectl, istioctl, docker and prober: printed as a shell line, then run without a
//! shell. A dry run only prints.

use std::fmt;
use std::io::{self, Write as _};
use std::path::Path;
use std::process::{self, ExitStatus, Output, Stdio};

use crate::error::{Error, Result};
use crate::settings::Cluster;

/// A program with its arguments.
#[derive(Clone, Debug)]
pub(crate) struct Command {
    /// The name of the cluster, for messages.
    cluster: Option<String>,
    environment: Option<(&'static str, &'static str)>,
    program: String,
    words: Vec<String>,
}

impl Command {
    pub(crate) fn new(program: impl Into<String>) -> Self {
        Self { cluster: None, environment: None, program: program.into(), words: Vec::new() }
    }

    /// `kubectl` in a cluster. `words` are parted by blanks.
    pub(crate) fn kubectl(cluster: &Cluster, words: impl AsRef<str>) -> Self {
        let context = format!("--context={}", cluster.context);
        Self { cluster: Some(cluster.name.clone()), ..Self::new("kubectl") }
            .word(context)
            .words(words)
    }

    /// `kubectl` with a question. A server that does not answer is not waited for long.
    pub(crate) fn question(cluster: &Cluster, words: impl AsRef<str>) -> Self {
        Self::kubectl(cluster, "--request-timeout=20s").words(words)
    }

    /// `istioctl` in a cluster: `words` first, because the context belongs to its commands.
    pub(crate) fn istioctl(cluster: &Cluster, words: impl AsRef<str>) -> Self {
        let context = format!("--context={}", cluster.context);
        Self { cluster: Some(cluster.name.clone()), ..Self::new("istioctl") }
            .words(words)
            .word(context)
    }

    /// Adds words that are parted by blanks.
    pub(crate) fn words(mut self, words: impl AsRef<str>) -> Self {
        self.words.extend(words.as_ref().split_whitespace().map(str::to_owned));
        self
    }

    /// Adds one word.
    pub(crate) fn word(mut self, word: impl Into<String>) -> Self {
        self.words.push(word.into());
        self
    }

    pub(crate) fn environment(mut self, name: &'static str, value: &'static str) -> Self {
        self.environment = Some((name, value));
        self
    }

    fn prepared(&self) -> process::Command {
        let mut command = process::Command::new(&self.program);
        command.args(&self.words).envs(self.environment);
        command
    }

    /// `kops: kubectl apply`: what names the command in an error.
    fn name(&self) -> String {
        let flag = |word: &&String| word.starts_with('-');
        let verb = self.words.iter().find(|word| !flag(word)).map_or("", String::as_str);
        let cluster = self.cluster.as_ref().map(|name| format!("{name}: ")).unwrap_or_default();
        format!("{cluster}{} {verb}", self.program)
    }

    fn not_started(&self, error: &io::Error) -> Error {
        if error.kind() == io::ErrorKind::NotFound {
            return Error::ToCorrect(format!("{} is missing; install it", self.program));
        }
        let why = usage::system_error(error);
        Error::Failed(format!("{} cannot be started: {why}", self.program))
    }
}

/// As a person types it.
impl fmt::Display for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some((name, value)) = self.environment {
            write!(f, "{name}={value} ")?;
        }
        f.write_str(&quoted(&self.program))?;
        self.words.iter().try_for_each(|word| write!(f, " {}", quoted(word)))
    }
}

/// A word of a shell. A path never holds NUL, which shells cannot have.
pub(crate) fn quoted(word: &str) -> String {
    // Only what a shell would change is quoted.
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=,@%+".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', "'\\''"))
}

/// What a question brought.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) succeeded: bool,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Answer {
    /// The last line that the command complained with.
    pub(crate) fn complaint(&self) -> String {
        last_line(if self.stderr.trim().is_empty() { &self.stdout } else { &self.stderr })
    }
}

impl From<Output> for Answer {
    fn from(output: Output) -> Self {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Self {
            succeeded: output.status.success(),
            stdout: text(&output.stdout),
            stderr: text(&output.stderr),
        }
    }
}

/// The last line of a text, at most 300 characters of it.
pub(crate) fn last_line(text: &str) -> String {
    text.trim_end().lines().next_back().unwrap_or_default().chars().take(300).collect()
}

/// Whether a program is in the search path.
pub(crate) fn is_installed(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    program.contains('/') && Path::new(program).is_file()
        || std::env::split_paths(&path).any(|folder| folder.join(program).is_file())
}

/// Runs commands, or prints them only.
#[derive(Debug)]
pub(crate) struct Shell {
    pub(crate) dry_run: bool,
    /// The step, for the advice to run it again.
    step: &'static str,
}

impl Shell {
    pub(crate) fn new(step: &'static str, dry_run: bool) -> Self {
        Self { dry_run, step }
    }

    /// Prints a line on stdout. A closed pipe does not stop a step in the middle.
    pub(crate) fn say(&self, line: &str) {
        let mut stdout = io::stdout().lock();
        let line = printable::clean(line);
        let _ = writeln!(stdout, "{line}").and_then(|()| stdout.flush());
    }

    /// Prints a remark: a comment between the lines of a dry run.
    pub(crate) fn remark(&self, line: &str) {
        self.say(&if self.dry_run { format!("# {line}") } else { line.to_owned() });
    }

    /// Prints commands of a dry run that only run under a condition.
    pub(crate) fn conditional(&self, condition: &str, commands: &[Command]) {
        self.remark(condition);
        commands.iter().for_each(|command| self.say(&format!("  {command}")));
    }

    /// Prints a line on stderr.
    pub(crate) fn complain(&self, line: &str) {
        let _ = writeln!(io::stderr().lock(), "walk: {}", printable::clean(line));
    }

    fn show(&self, line: &str) {
        self.say(&if self.dry_run { line.to_owned() } else { format!("+ {line}") });
    }

    /// Runs a command that changes something; its output is shown.
    ///
    /// # Errors
    /// If it fails: what it said is above, and the step can be run again.
    pub(crate) fn run(&self, command: &Command) -> Result<()> {
        self.run_or(command, || self.failed(command))
    }

    /// The same with another error.
    pub(crate) fn run_or(&self, command: &Command, line: impl Fn() -> String) -> Result<()> {
        let status = self.status(command)?;
        if status.is_none_or(|status| status.success()) {
            return Ok(());
        }
        Err(Error::Failed(line()))
    }

    /// Runs a command, and returns how it ended; `None` in a dry run.
    pub(crate) fn status(&self, command: &Command) -> Result<Option<ExitStatus>> {
        self.show(&command.to_string());
        if self.dry_run {
            return Ok(None);
        }
        let status = command.prepared().status();
        status.map(Some).map_err(|error| command.not_started(&error))
    }

    fn failed(&self, command: &Command) -> String {
        self.and_again(&format!("{} failed, as it says above", command.name()))
    }

    /// What went wrong, and that the step can be run again.
    pub(crate) fn and_again(&self, line: &str) -> String {
        format!("{line}; 'make {}' can be run again once that is corrected", self.step)
    }

    /// Runs `from | into`. What goes through the pipe is never shown and never in a file.
    ///
    /// # Errors
    /// If one of them fails. `into` is not started if `from` fails.
    pub(crate) fn pipe(&self, from: &Command, into: &Command) -> Result<()> {
        self.show(&format!("{from} | {into}"));
        if self.dry_run {
            return Ok(());
        }
        let bytes = self.output(from)?;
        let mut into_command = into.prepared();
        let child = into_command.stdin(Stdio::piped()).spawn();
        let mut child = child.map_err(|error| into.not_started(&error))?;
        if let Some(mut stdin) = child.stdin.take() {
            // One that ends early says why itself.
            let _ = stdin.write_all(&bytes);
        }
        let ended = child.wait().map_err(|error| into.not_started(&error))?;
        if ended.success() { Ok(()) } else { Err(Error::Failed(self.failed(into))) }
    }

    /// Runs `command >path`.
    pub(crate) fn write(&self, command: &Command, path: &Path) -> Result<()> {
        self.show(&format!("{command} >{}", quoted(&path.display().to_string())));
        if self.dry_run {
            return Ok(());
        }
        write_file(path, &self.output(command)?)
    }

    /// What a command prints. Its complaints are shown, and it can ask for a login.
    fn output(&self, command: &Command) -> Result<Vec<u8>> {
        let output = command.prepared().stdin(Stdio::inherit()).stderr(Stdio::inherit()).output();
        let output = output.map_err(|error| command.not_started(&error))?;
        if output.status.success() {
            return Ok(output.stdout);
        }
        Err(Error::Failed(self.failed(command)))
    }

    /// Asks something; the caller decides what a failure means. Not for dry runs.
    pub(crate) fn try_ask(&self, command: &Command) -> Result<Answer> {
        self.show(&command.to_string());
        self.try_ask_again(command)
    }

    /// The same without the line, for what is asked many times.
    pub(crate) fn try_ask_again(&self, command: &Command) -> Result<Answer> {
        let output = command.prepared().stdin(Stdio::inherit()).output();
        output.map(Answer::from).map_err(|error| command.not_started(&error))
    }

    /// Asks something that must be answered; a dry run only prints the question, and the answer is
    /// empty.
    ///
    /// # Errors
    /// If the command fails.
    pub(crate) fn ask(&self, command: &Command) -> Result<String> {
        if self.dry_run {
            self.show(&command.to_string());
            return Ok(String::new());
        }
        let answer = self.try_ask(command)?;
        if answer.succeeded {
            return Ok(answer.stdout.trim().to_owned());
        }
        let line = format!("{} failed: {}", command.name(), answer.complaint());
        Err(Error::Failed(self.and_again(&line)))
    }
}

/// Writes a file, and the folders that it is in.
pub(crate) fn write_file(path: &Path, bytes: &[u8]) -> Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    let written = std::fs::create_dir_all(folder).and_then(|()| std::fs::write(path, bytes));
    written.map_err(|error| {
        let why = usage::system_error(&error);
        Error::ToCorrect(format!("cannot write {}: {why}", path.display()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_printed_as_a_shell_reads_it() {
        let command = Command::new("kubectl")
            .words("--namespace=a  wait")
            .word("--for=jsonpath={.status}")
            .word("it's");
        let line = command.to_string();
        assert_eq!(line, "kubectl --namespace=a wait '--for=jsonpath={.status}' 'it'\\''s'");
        let words = shlex::split(&line).expect("words of a shell");
        assert_eq!(words[1..], command.words);
        let docker = Command::new("docker").environment("A", "1").words("build .");
        assert_eq!(docker.to_string(), "A=1 docker build .");
    }

    #[test]
    fn the_last_line_is_the_complaint() {
        assert_eq!(last_line("a\nb\n\n"), "b");
        assert_eq!(last_line(""), "");
        assert_eq!(last_line(&"x".repeat(400)).len(), 300);
    }
}
