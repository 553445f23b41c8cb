//! `prober judge [FILE…]`: verdicts on answers that something else collected.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Write};
use std::path::{Path, PathBuf};

use echo_reply::printable;

use super::Error;
use super::files::{STDIN, read_expectations};
use crate::cli::CollectedArgs;
use crate::clock;
use crate::collected::{CollectedError, Collection, Judging};
use crate::output;
use crate::plan::judging;
use crate::report::Report;

/// Returns the exit code.
pub(crate) fn run(mut args: CollectedArgs, out: &mut (dyn Write + Send)) -> Result<u8, Error> {
    let delivery = output::delivery(&args.output)?;
    read_expectations(&mut args.judge)?;
    let (expectations, rules, most) = judging::of_file(&args.judge, args.until_decided)?;
    let judging = Judging { expectations, rules, most };
    once_each(&args.files)?;
    let started = clock::wall();
    let mut collection = Collection::new(&judging);
    for path in &args.files {
        let (name, file) = open(path)?;
        collection.read(&name, file)?;
    }
    let rows = collection.rows();
    let clusters = args.judge.clusters;
    // Several rows have headings, as a matrix has.
    let (interrupted, matrix) = (false, rows.len() > 1);
    let report = Report { run_id: None, started, interrupted, matrix, clusters, rows }.cleaned();
    // Advice would be about a run.
    delivery.deliver(&report, out)?;
    Ok(report.exit_code())
}

fn once_each(files: &[PathBuf]) -> Result<(), CollectedError> {
    let twice = files.iter().enumerate().find(|(n, file)| files[..*n].contains(file));
    match twice {
        Some((_, file)) => Err(CollectedError::Twice(name(file))),
        None => Ok(()),
    }
}

/// The name of a file in messages.
fn name(file: &Path) -> String {
    if file == Path::new("-") {
        STDIN.to_owned()
    } else {
        printable(&file.to_string_lossy()).into_owned()
    }
}

/// A file with its name for messages; `-` is stdin.
fn open(path: &Path) -> Result<(String, Box<dyn BufRead>), CollectedError> {
    let name = name(path);
    if path == Path::new("-") {
        return Ok((name, Box::new(BufReader::new(io::stdin()))));
    }
    match File::open(path) {
        Ok(file) => Ok((name, Box::new(BufReader::new(file)))),
        Err(error) => Err(CollectedError::Unreadable { name, error }),
    }
}
