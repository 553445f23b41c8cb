//! Answers that somebody else collected, such as with curl in a shell loop: lines → rows of a
//! report. A heading as `make echo-status` prints it starts a row.

mod connections;
mod line;
mod sample;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::io::{self, BufRead};

use echo_reply::printable;
use thiserror::Error;

use crate::expectation::Expectation;
use crate::report::Row;
use crate::verdict::Rules;
use line::{Format, Line, LineError};
use sample::Sample;

/// A longer line is refused, in bytes.
const MAX_LINE: u64 = 65_536;

/// Why lines are not answers. `Display` is one line, `file:line: what`.
#[derive(Debug, Error)]
pub enum CollectedError {
    #[error("cannot read {name}: {}", in_words(.error))]
    Unreadable { name: String, error: io::Error },
    #[error("{0} is given twice; give each file once, so that each answer counts once")]
    Twice(String),
    #[error("{name}:{line}: {error}")]
    Line {
        name: String,
        /// From 1.
        line: u64,
        error: LineError,
    },
    #[error("{0} has no answers; write one on each line, such as {{\"cluster\": \"kops\"}}")]
    Empty(String),
}

/// What the system says, without its error number.
fn in_words(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound => "there is no such file; name a file, or - for stdin".to_owned(),
        io::ErrorKind::IsADirectory => "it is a folder; name a file in it".to_owned(),
        _ => usage::system_error(error),
    }
}

/// How the answers are judged.
#[derive(Clone, Debug)]
pub(crate) struct Judging {
    pub expectations: Vec<Expectation>,
    pub rules: Rules,
    /// Sampling until decided gives up after this many.
    pub most: u64,
}

/// The samples of all files, in the order of their headings.
#[derive(Debug)]
pub(crate) struct Collection<'a> {
    judging: &'a Judging,
    samples: Vec<Sample<'a>>,
    /// By source and target, their places in `samples`.
    places: HashMap<(Option<String>, String), usize>,
}

impl<'a> Collection<'a> {
    #[must_use]
    pub(crate) fn new(judging: &'a Judging) -> Self {
        Self { judging, samples: Vec::new(), places: HashMap::new() }
    }

    /// Reads a file to its end. Without headings, it is read only until everything is decided.
    ///
    /// # Errors
    /// If the file cannot be read, a line is not an answer, or the file has no answers.
    pub(crate) fn read(
        &mut self,
        name: &str,
        mut file: impl BufRead,
    ) -> Result<(), CollectedError> {
        let name = &*printable(name);
        // Each file has its own names for connections.
        self.samples.iter_mut().for_each(Sample::forget_connections);
        let mut format = Format::default();
        let (mut current, mut answers, mut number) = (None, 0_u64, 0);
        let mut headings = false;
        let mut bytes = Vec::new();
        loop {
            bytes.clear();
            number += 1;
            let wrong = |error| CollectedError::Line { name: name.to_owned(), line: number, error };
            match read_line(&mut file, &mut bytes) {
                Ok(0) => break,
                Ok(_) if bytes.len() as u64 > MAX_LINE => return Err(wrong(LineError::Long)),
                Ok(_) => {}
                Err(error) => {
                    return Err(CollectedError::Unreadable { name: name.to_owned(), error });
                }
            }
            let text = std::str::from_utf8(&bytes).map_err(|_| wrong(LineError::NotUtf8))?;
            match format.read(text).map_err(wrong)? {
                Line::Nothing => {}
                Line::Heading { source, target } => {
                    headings = true;
                    current = Some(self.sample(source, target));
                }
                Line::Answer(entry) => {
                    answers += 1;
                    let place = match current {
                        Some(place) => place,
                        None => {
                            let url = entry.url.clone().unwrap_or_else(|| "?".to_owned());
                            let place = self.sample(Some(name.to_owned()), url);
                            *current.insert(place)
                        }
                    };
                    self.samples[place].add(entry);
                    if !headings && self.samples[place].stopped() {
                        return Ok(());
                    }
                }
            }
        }
        if answers == 0 { Err(CollectedError::Empty(name.to_owned())) } else { Ok(()) }
    }

    /// The place of a heading's sample.
    fn sample(&mut self, source: Option<String>, target: String) -> usize {
        let heading = (source, target);
        if let Some(place) = self.places.get(&heading) {
            return *place;
        }
        let place = self.samples.len();
        self.samples.push(Sample::new(self.judging, heading.0.clone(), heading.1.clone()));
        self.places.insert(heading, place);
        place
    }

    /// The rows, judged.
    #[must_use]
    pub(crate) fn rows(self) -> Vec<Row> {
        self.samples.into_iter().map(Sample::row).collect()
    }
}

/// Reads a line of at most [`MAX_LINE`] bytes, or the beginning of a longer one.
fn read_line(file: &mut impl BufRead, bytes: &mut Vec<u8>) -> io::Result<usize> {
    use io::Read as _;
    file.by_ref().take(MAX_LINE + 1).read_until(b'\n', bytes)
}
