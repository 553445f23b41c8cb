//! Controls a mesh that runs in another process, through the socket that locks its block
//! (`lock`): one request per connection, one line of JSON each way. A mesh answers only its
//! own user and root.

use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{SocketAddr, UnixStream};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::net::sockopt::socket_peercred;
use rustix::process::geteuid;
use serde::{Deserialize, Serialize};

use super::running::Mesh;
use super::state::State;
use crate::error::Error;

/// The time limit of a change, long enough for a rolling restart of all pods.
const PATIENCE: Duration = Duration::from_secs(120);
/// The time limit for the line of a request.
const LINE: Duration = Duration::from_secs(2);
/// The longest request, in bytes.
const LONGEST: u64 = 64 * 1024;

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Request {
    /// Perform this action.
    Do(Vec<String>),
    /// Return the endpoints of every Envoy.
    State,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Reply {
    /// With what there is to say.
    Done(Option<String>),
    State(State),
    Error(String),
}

/// Performs an action on the mesh on `block`. Returns once it is in force, with what there is to
/// say: which change `undo` has taken back.
///
/// # Errors
/// If no mesh runs there, or the action fails.
pub fn perform(block: u8, words: &[String]) -> Result<Option<String>, Error> {
    match ask(block, &Request::Do(words.to_vec()))? {
        Reply::Done(said) => Ok(said),
        Reply::Error(why) => Err(Error::NotDone(why)),
        Reply::State(_) => Err(strange(block)),
    }
}

/// The state of the mesh on `block`.
///
/// # Errors
/// If no mesh runs there, or it does not answer.
pub fn state(block: u8) -> Result<State, Error> {
    match ask(block, &Request::State)? {
        Reply::State(state) => Ok(state),
        Reply::Error(why) => Err(Error::NotDone(why)),
        Reply::Done(_) => Err(strange(block)),
    }
}

fn strange(block: u8) -> Error {
    Error::Silent {
        block,
        why: "its answer has another format; use the same version of localmesh for both".into(),
    }
}

fn ask(block: u8, request: &Request) -> Result<Reply, Error> {
    let silent = |why: String| Error::Silent { block, why };
    let refused = |error: io::Error| silent(usage::system_error(&error));
    let name = super::lock::name(block);
    let address = SocketAddr::from_abstract_name(name).map_err(refused)?;
    let stream = UnixStream::connect_addr(&address).map_err(|_| Error::NotRunning(block))?;
    stream.set_read_timeout(Some(PATIENCE)).map_err(refused)?;
    let line = serde_json::to_string(request).expect("requests are texts and numbers");
    writeln!(&stream, "{line}").map_err(refused)?;
    let mut reply = String::new();
    match BufReader::new(&stream).read_line(&mut reply) {
        Ok(0) => Err(Error::Foreign(block)),
        Ok(_) => serde_json::from_str(&reply).map_err(|_| strange(block)),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
            Err(silent(format!("timed out after {} s", PATIENCE.as_secs())))
        }
        Err(error) => Err(refused(error)),
    }
}

impl Mesh {
    /// Waits at most `time` for requests and answers them. Returns whether any arrived.
    ///
    /// # Errors
    /// If waiting on the socket fails. Errors of a request are sent to its client.
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
            // A client that has gone needs no answer.
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
            Ok(Request::State) => Reply::State(self.state()),
            Ok(Request::Do(words)) => match self.act(&words) {
                Ok(said) => Reply::Done(said),
                Err(error) => Reply::Error(error.to_string()),
            },
            Err(error) => Reply::Error(format!("not a request: {}", usage::json::problem(&error))),
        };
        let mut stream = stream;
        let text = serde_json::to_string(&reply)?;
        writeln!(stream, "{text}")
    }
}
