//! Speaking to a mesh that runs in another process. The channel is the socket by which the
//! mesh holds its block (`lock`): one line of JSON each way, one question per connection. A
//! mesh answers its own user and root only.

use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{SocketAddr, UnixStream};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::net::sockopt::socket_peercred;
use rustix::process::geteuid;
use serde::{Deserialize, Serialize};

use super::action::Action;
use super::running::Mesh;
use super::state::State;
use crate::error::Error;

/// How long a change may take, a rolling restart of all pods included.
const PATIENCE: Duration = Duration::from_secs(120);
/// How long the other side may take to send its line.
const LINE: Duration = Duration::from_secs(2);
/// Longer lines are no questions.
const LONGEST: u64 = 64 * 1024;

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Question {
    /// Do what these words say.
    Do(Vec<String>),
    /// Say what every Envoy holds.
    State,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Reply {
    Done,
    State(State),
    Error(String),
}

/// Does what `words` say to the mesh on `block`, and returns once it is in force.
///
/// # Errors
/// If no mesh runs there, or it does not do it.
pub fn perform(block: u8, words: &[String]) -> Result<(), Error> {
    match ask(block, &Question::Do(words.to_vec()))? {
        Reply::Done => Ok(()),
        Reply::Error(why) => Err(Error::NotDone(why)),
        Reply::State(_) => Err(strange(block)),
    }
}

/// What every Envoy of the mesh on `block` holds.
///
/// # Errors
/// If no mesh runs there, or it does not answer.
pub fn state(block: u8) -> Result<State, Error> {
    match ask(block, &Question::State)? {
        Reply::State(state) => Ok(state),
        Reply::Error(why) => Err(Error::NotDone(why)),
        Reply::Done => Err(strange(block)),
    }
}

fn strange(block: u8) -> Error {
    Error::Silent { block, why: "it speaks another version's words".into() }
}

fn ask(block: u8, question: &Question) -> Result<Reply, Error> {
    let silent = |error: &dyn std::fmt::Display| Error::Silent { block, why: error.to_string() };
    let name = super::lock::name(block);
    let address = SocketAddr::from_abstract_name(name).map_err(|error| silent(&error))?;
    let stream = UnixStream::connect_addr(&address).map_err(|_| Error::NotRunning(block))?;
    stream.set_read_timeout(Some(PATIENCE)).map_err(|error| silent(&error))?;
    let line = serde_json::to_string(question).map_err(|error| silent(&error))?;
    writeln!(&stream, "{line}").map_err(|error| silent(&error))?;
    let mut reply = String::new();
    match BufReader::new(&stream).read_line(&mut reply) {
        Ok(0) => Err(Error::Foreign(block)),
        Ok(_) => serde_json::from_str(&reply).map_err(|_| strange(block)),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
            Err(silent(&format_args!("not within {} s", PATIENCE.as_secs())))
        }
        Err(error) => Err(silent(&error)),
    }
}

impl Mesh {
    /// Waits for a question for at most `time` and answers it; whether one came.
    ///
    /// # Errors
    /// If the socket cannot be waited on. What goes wrong with a question is told to who asked.
    pub fn serve(&mut self, time: Duration) -> io::Result<bool> {
        let wait = Timespec::try_from(time).unwrap_or(Timespec { tv_sec: 1, tv_nsec: 0 });
        let listeners = self.lock.listeners();
        let mut ready: Vec<_> =
            listeners.iter().map(|listener| PollFd::new(listener, PollFlags::IN)).collect();
        match poll(&mut ready, Some(&wait)) {
            Ok(0) | Err(rustix::io::Errno::INTR) => return Ok(false),
            Ok(_) => {}
            Err(errno) => return Err(errno.into()),
        }
        let asked = ready.iter().zip(listeners).filter(|(fd, _)| !fd.revents().is_empty());
        let streams: Vec<_> =
            asked.map(|(_, listener)| listener.accept()).collect::<Result<_, _>>()?;
        for (stream, _) in streams {
            // Who has gone needs no answer.
            let _ = self.answer(&stream);
        }
        Ok(true)
    }

    fn answer(&mut self, stream: &UnixStream) -> io::Result<()> {
        let asker = socket_peercred(stream)?.uid;
        if asker != geteuid() && !asker.is_root() {
            return Ok(());
        }
        stream.set_read_timeout(Some(LINE))?;
        let mut line = String::new();
        BufReader::new(stream.take(LONGEST)).read_line(&mut line)?;
        if line.is_empty() {
            return Ok(());
        }
        let reply = match serde_json::from_str(&line) {
            Ok(Question::State) => Reply::State(self.state()),
            Ok(Question::Do(words)) => match Action::parse(&words) {
                Ok(action) => match self.perform(&action) {
                    Ok(()) => Reply::Done,
                    Err(error) => Reply::Error(error.to_string()),
                },
                Err(why) => Reply::Error(why),
            },
            Err(error) => Reply::Error(format!("not a question: {error}")),
        };
        let mut stream = stream;
        let text = serde_json::to_string(&reply)?;
        writeln!(stream, "{text}")
    }
}
