//! Where a report goes: stdout, and files that appear whole or not at all. The only place
//! that writes reports; what is in them is `report`'s.

use std::ffi::OsString;
use std::fmt;
use std::fs::{self, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;
use thiserror::Error;

use crate::cli::OutputArgs;
use crate::report::Report;
use crate::report::format::Format;
use crate::report::text::Style;

/// The variable that names the file of a step's summary.
const SUMMARY: &str = "GITHUB_STEP_SUMMARY";

/// Why a report cannot go where it should. `Display` is one line.
#[derive(Debug, Error)]
pub enum DeliveryError {
    /// Nobody knows what form a file is to have.
    #[error("--report {}: its ending names no form of a report; write one of {}", .0.display(), Format::endings())]
    Ending(PathBuf),
    /// A folder is where the file should be.
    #[error("--report {}: this is a directory; name a file in it", .0.display())]
    Directory(PathBuf),
    /// Two reports would overwrite each other.
    #[error("--report {}: named twice; leave one of them out", .0.display())]
    Twice(PathBuf),
    /// A file cannot be made there.
    #[error("--report {}: cannot be written: {}", .0.display(), .1)]
    File(PathBuf, io::Error),
    /// There is no summary to append to.
    #[error(
        "--summary: {SUMMARY} is not set; GitHub sets it in workflows, elsewhere write \
         --report FILE.md"
    )]
    NoSummary,
    /// The summary cannot be appended to.
    #[error("--summary: {} cannot be written: {}", .0.display(), .1)]
    Summary(PathBuf, io::Error),
    /// Stdout takes no more.
    #[error("cannot write the report to stdout: {0}")]
    Stdout(io::Error),
    /// More than one of these; all other reports were written.
    #[error("{0}")]
    Several(Several),
}

/// Several errors, one after the other on one line.
#[derive(Debug)]
pub struct Several(Vec<DeliveryError>);

impl fmt::Display for Several {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, error) in self.0.iter().enumerate() {
            let between = if place == 0 { "" } else { "; " };
            write!(f, "{between}{error}")?;
        }
        Ok(())
    }
}

/// Where one report goes, and in which forms.
#[derive(Debug)]
pub(crate) struct Delivery {
    stdout: Format,
    style: Style,
    files: Vec<(PathBuf, Format)>,
    summary: Option<PathBuf>,
}

impl Delivery {
    /// Reads what the flags ask for, and makes sure that each file can be made, so that this is
    /// known before anything is sent. `style` dresses text on stdout.
    ///
    /// # Errors
    /// Of the first file that cannot be written.
    pub(crate) fn prepare(args: &OutputArgs, style: Style) -> Result<Self, DeliveryError> {
        let mut files: Vec<(PathBuf, Format)> = Vec::new();
        for path in &args.reports {
            if path.is_dir() {
                return Err(DeliveryError::Directory(path.clone()));
            }
            let unknown = || DeliveryError::Ending(path.clone());
            let format = Format::of_path(path).ok_or_else(unknown)?;
            if files.iter().any(|(known, _)| known == path) {
                return Err(DeliveryError::Twice(path.clone()));
            }
            let target = Target::of(path);
            let checked = target.and_then(|target| target.beside().map(drop));
            checked.map_err(|error| DeliveryError::File(path.clone(), error))?;
            files.push((path.clone(), format));
        }
        let summary = args.summary.then(|| summary(std::env::var_os(SUMMARY))).transpose()?;
        Ok(Self { stdout: args.output.into(), style, files, summary })
    }

    /// Writes the report everywhere. What cannot be written keeps nothing else from being so.
    ///
    /// # Errors
    /// All that could not be written. A reader of stdout that has gone has read enough, and is
    /// none.
    pub(crate) fn deliver(
        &self,
        report: &Report,
        out: &mut dyn Write,
    ) -> Result<(), DeliveryError> {
        let printed = print(out, &self.stdout.render(report, self.style));
        let mut errors: Vec<_> = printed.err().map(DeliveryError::Stdout).into_iter().collect();
        for (path, format) in &self.files {
            let written = write(path, &format.render(report, self.style));
            errors.extend(written.err().map(|error| DeliveryError::File(path.clone(), error)));
        }
        if let Some(path) = &self.summary {
            let appended = append(path, &Format::Markdown.render(report, self.style));
            errors.extend(appended.err().map(|error| DeliveryError::Summary(path.clone(), error)));
        }
        match errors.len() {
            0 => Ok(()),
            1 => Err(errors.remove(0)),
            _ => Err(DeliveryError::Several(Several(errors))),
        }
    }
}

/// The file of the summary, as the variable names it.
fn summary(named: Option<OsString>) -> Result<PathBuf, DeliveryError> {
    let path = named.filter(|path| !path.is_empty()).map(PathBuf::from);
    let path = path.ok_or(DeliveryError::NoSummary)?;
    let opened = OpenOptions::new().append(true).create(true).open(&path);
    opened.map_err(|error| DeliveryError::Summary(path.clone(), error))?;
    Ok(path)
}

/// Adds bytes to the end of a file: all of them, or none.
fn append(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new().append(true).create(true).open(path)?;
    let before = file.metadata()?;
    // What is there already may not end its line.
    let separate: &[u8] = if before.len() > 0 { b"\n\n" } else { b"" };
    let written = file.write_all(&[separate, bytes].concat()).and_then(|()| file.sync_all());
    if written.is_err() && before.is_file() {
        let _ = file.set_len(before.len());
    }
    // Devices and pipes have nothing to be brought to a disk.
    written.or_else(|error| match error.kind() {
        io::ErrorKind::InvalidInput if !before.is_file() => Ok(()),
        _ => Err(error),
    })
}

/// Prints on stdout. A reader that closed its end has read enough.
pub(crate) fn print(out: &mut dyn Write, bytes: &[u8]) -> io::Result<()> {
    match out.write_all(bytes).and_then(|()| out.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        result => result,
    }
}

/// Puts bytes into a file: all of them, or none.
fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let target = Target::of(path)?;
    match target.beside()? {
        None => OpenOptions::new().write(true).open(&target.path)?.write_all(bytes),
        Some(mut new) => {
            new.as_file_mut().write_all(bytes)?;
            // Some file systems say only now that they are full.
            new.as_file().sync_all()?;
            new.persist(&target.path).map(drop).map_err(|error| error.error)
        }
    }
}

/// What is behind a path.
struct Target {
    /// The path without links: a link stays one.
    path: PathBuf,
    /// The mode of the file, where it is one that can be replaced.
    replaced: Option<u32>,
}

impl Target {
    fn of(path: &Path) -> io::Result<Self> {
        let path = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
        let replaced = match fs::metadata(&path) {
            Ok(known) => known.is_file().then(|| known.permissions().mode()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Some(0o666),
            Err(error) => return Err(error),
        };
        Ok(Self { path, replaced })
    }

    /// An empty file in the same folder, gone when dropped; none where a device or a pipe is to
    /// be written itself.
    fn beside(&self) -> io::Result<Option<NamedTempFile>> {
        let Some(mode) = self.replaced else { return Ok(None) };
        let folder = self.path.parent().filter(|folder| !folder.as_os_str().is_empty());
        let mut new = tempfile::Builder::new();
        let new = new.prefix(".prober-").suffix(".new").permissions(Permissions::from_mode(mode));
        let new = new.tempfile_in(folder.unwrap_or_else(|| Path::new(".")));
        // Its own words name the file that is not there yet.
        new.map(Some).map_err(|error| io::Error::from(error.kind()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::samples;

    const STYLE: Style = Style::PLAIN;

    fn prepare(paths: &[&Path]) -> Result<Delivery, DeliveryError> {
        use clap::Parser as _;
        let words = paths.iter().map(|path| format!("--report={}", path.display()));
        let words = ["prober".to_owned()].into_iter().chain(words);
        Delivery::prepare(&crate::cli::Cli::try_parse_from(words).unwrap().run.output, STYLE)
    }

    fn names(folder: &Path) -> Vec<String> {
        let entries = fs::read_dir(folder).unwrap();
        let mut names: Vec<_> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn files_are_replaced_whole_and_keep_their_mode_and_their_links() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        fs::write(at("old.json"), "old, and much longer than nothing").unwrap();
        fs::set_permissions(at("old.json"), Permissions::from_mode(0o640)).unwrap();
        std::os::unix::fs::symlink("old.json", at("link.json")).unwrap();
        let report = samples::plain();
        let delivery = prepare(&[&at("link.json"), &at("new.csv")]).unwrap();
        assert_eq!(names(folder.path()), ["link.json", "old.json"], "nothing is left of the check");
        let mut stdout = Vec::new();
        delivery.deliver(&report, &mut stdout).unwrap();
        assert_eq!(stdout, Format::Text.render(&report, STYLE));
        assert_eq!(fs::read(at("old.json")).unwrap(), Format::Json.render(&report, STYLE));
        assert_eq!(fs::read(at("new.csv")).unwrap(), Format::Csv.render(&report, STYLE));
        assert_eq!(fs::metadata(at("old.json")).unwrap().permissions().mode() & 0o777, 0o640);
        assert!(fs::symlink_metadata(at("link.json")).unwrap().is_symlink());
        assert_eq!(names(folder.path()), ["link.json", "new.csv", "old.json"]);
    }

    #[test]
    fn what_can_never_be_written_is_refused_at_once() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        let refused = |paths: &[&Path]| prepare(paths).unwrap_err().to_string();
        fs::create_dir(at("folder.json")).unwrap();
        fs::write(at("file"), "").unwrap();
        for (path, part) in [
            ("folder.json", "this is a directory; name a file in it"),
            ("run.pdf", "its ending names no form of a report; write one of .csv, "),
            ("run", "its ending names no form"),
            ("none/run.json", "cannot be written: entity not found"),
            ("file/run.json", "cannot be written: Not a directory"),
        ] {
            let line = refused(&[&at(path)]);
            assert!(line.contains(&format!("{path}: ")) && line.contains(part), "{line}");
        }
        assert!(refused(&[&at("a.csv"), &at("a.csv")]).contains("named twice"));
        assert_eq!(names(folder.path()), ["file", "folder.json"]);
    }

    #[test]
    fn a_summary_is_appended_to_and_must_be_somewhere() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("summary.md");
        for nowhere in [None, Some(OsString::new())] {
            let error = summary(nowhere).unwrap_err().to_string();
            assert!(error.starts_with("--summary: GITHUB_STEP_SUMMARY is not set;"), "{error}");
        }
        let error = summary(Some(folder.path().into())).unwrap_err().to_string();
        assert!(error.contains("cannot be written: Is a directory"), "{error}");
        assert_eq!(summary(Some(path.clone().into())).unwrap(), path);
        append(&path, b"one\n").unwrap();
        append(&path, b"two\n").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "one\n\n\ntwo\n");
        let full = append(Path::new("/dev/full"), b"x").unwrap_err();
        assert_eq!(full.kind(), io::ErrorKind::StorageFull);
        append(Path::new("/dev/null"), b"x").unwrap();
    }

    #[test]
    fn what_fails_keeps_nothing_else_from_being_written() {
        /// A disk that is full.
        struct Full;
        impl Write for Full {
            fn write(&mut self, _: &[u8]) -> io::Result<usize> {
                Err(io::ErrorKind::StorageFull.into())
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        fs::create_dir(at("gone")).unwrap();
        let (gone, here) = (at("gone/a.json"), at("b.csv"));
        let delivery = prepare(&[&gone, &here]).unwrap();
        fs::remove_dir(at("gone")).unwrap();
        let error = delivery.deliver(&samples::plain(), &mut Full).unwrap_err().to_string();
        assert!(error.starts_with("cannot write the report to stdout: "), "{error}");
        assert!(error.contains("; --report ") && error.contains("gone/a.json: cannot"), "{error}");
        assert_eq!(names(folder.path()), ["b.csv"]);
        assert_eq!(
            fs::read(here).unwrap(),
            Format::Csv.render(&samples::plain(), STYLE),
            "the others are written"
        );
    }
}
