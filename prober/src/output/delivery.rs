//! Writes reports to stdout and to files, which appear whole or not at all. The only place that
//! writes reports; `report` renders them.

use std::ffi::OsString;
use std::fmt;
use std::fs::{self, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;
use thiserror::Error;
use usage::system_error;

use crate::cli::OutputArgs;
use crate::report::Report;
use crate::report::format::Format;
use crate::report::json;
use crate::report::text::Style;

/// The environment variable with the path of the summary of a GitHub step.
const SUMMARY: &str = "GITHUB_STEP_SUMMARY";

/// Why a report cannot be written, in one line.
#[derive(Debug, Error)]
pub enum DeliveryError {
    #[error("--report {}: unknown ending; write one of {}", .0.display(), Format::endings())]
    Ending(PathBuf),
    #[error("--report {}: this is a directory; write the path of a file", .0.display())]
    Directory(PathBuf),
    #[error("--report {}: given twice; remove one of them", .0.display())]
    Twice(PathBuf),
    #[error("--report {}: cannot be written: {}", .0.display(), system_error(.1))]
    File(PathBuf, io::Error),
    #[error(
        "--summary: {SUMMARY} is not set; GitHub sets it in workflows, elsewhere write --report \
         FILE.md"
    )]
    NoSummary,
    #[error("--summary: {} cannot be written: {}", .0.display(), system_error(.1))]
    Summary(PathBuf, io::Error),
    #[error("cannot write the report to stdout: {}", system_error(.0))]
    Stdout(io::Error),
    /// Several of these; all other reports were written.
    #[error("{0}")]
    Several(Several),
}

/// Several errors on one line.
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

/// The destinations and formats of a report.
#[derive(Debug)]
pub(crate) struct Delivery {
    stdout: Format,
    style: Style,
    files: Vec<(PathBuf, Format)>,
    summary: Option<PathBuf>,
}

impl Delivery {
    /// Reads the flags and checks that each file can be created. Called before the first request,
    /// so that no run is lost. `style` is for text on stdout.
    ///
    /// # Errors
    /// For the first file that cannot be written.
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

    /// The reports of earlier runs that this one will replace. A file of another kind is skipped.
    #[must_use]
    pub(crate) fn earlier(&self) -> Vec<Report> {
        let json = self.files.iter().filter(|(_, format)| *format == Format::Json);
        let read = |(path, _): &(PathBuf, Format)| {
            fs::metadata(path).ok().filter(fs::Metadata::is_file)?;
            json::parse(&usage::file::read(path, json::MOST_BYTES).ok()?).ok()
        };
        json.filter_map(read).collect()
    }

    /// Writes the report to all destinations, also after one fails.
    ///
    /// # Errors
    /// For all destinations that failed. A closed stdout is not an error: its reader has read
    /// enough.
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

/// The path of the summary, from the value of the variable.
fn summary(named: Option<OsString>) -> Result<PathBuf, DeliveryError> {
    let path = named.filter(|path| !path.is_empty()).map(PathBuf::from);
    let path = path.ok_or(DeliveryError::NoSummary)?;
    let opened = OpenOptions::new().append(true).create(true).open(&path);
    opened.map_err(|error| DeliveryError::Summary(path.clone(), error))?;
    Ok(path)
}

/// Appends all bytes to a file, or none.
fn append(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new().append(true).create(true).open(path)?;
    let before = file.metadata()?;
    // The last line of the file may have no end.
    let separate: &[u8] = if before.len() > 0 { b"\n\n" } else { b"" };
    let written = file.write_all(&[separate, bytes].concat()).and_then(|()| file.sync_all());
    if written.is_err() && before.is_file() {
        let _ = file.set_len(before.len());
    }
    // Devices and pipes cannot be synced to a disk.
    written.or_else(|error| match error.kind() {
        io::ErrorKind::InvalidInput if !before.is_file() => Ok(()),
        _ => Err(error),
    })
}

/// Prints to stdout. A closed stdout is not an error: its reader has read enough.
pub(crate) fn print(out: &mut dyn Write, bytes: &[u8]) -> io::Result<()> {
    match out.write_all(bytes).and_then(|()| out.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        result => result,
    }
}

/// Prints lines without colours to stdout, safe to print.
pub(crate) fn print_lines(out: &mut dyn Write, text: &str) -> io::Result<()> {
    print(out, printable::clean_lines(text).as_bytes())
}

/// Writes all bytes to a file, or none.
fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let target = Target::of(path)?;
    match target.beside()? {
        None => OpenOptions::new().write(true).open(&target.path)?.write_all(bytes),
        Some(mut new) => {
            new.as_file_mut().write_all(bytes)?;
            // Some file systems report only now that they are full.
            new.as_file().sync_all()?;
            new.persist(&target.path).map(drop).map_err(|error| error.error)
        }
    }
}

/// The file that a path leads to.
struct Target {
    /// The path with symbolic links resolved, so that a link stays a link.
    path: PathBuf,
    /// The mode of the file; `None` for devices and pipes, which are not replaced.
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

    /// A new temporary file in the same directory; `None` for devices and pipes.
    fn beside(&self) -> io::Result<Option<NamedTempFile>> {
        let Some(mode) = self.replaced else { return Ok(None) };
        let folder = self.path.parent().filter(|folder| !folder.as_os_str().is_empty());
        let mut new = tempfile::Builder::new();
        let new = new.prefix(".prober-").suffix(".new").permissions(Permissions::from_mode(mode));
        let new = new.tempfile_in(folder.unwrap_or_else(|| Path::new(".")));
        // The message of tempfile has the name of the temporary file.
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
    fn files_that_cannot_be_written_are_rejected_at_once() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        let refused = |paths: &[&Path]| prepare(paths).unwrap_err().to_string();
        fs::create_dir(at("folder.json")).unwrap();
        fs::write(at("file"), "").unwrap();
        for (path, part) in [
            ("folder.json", "this is a directory; write the path of a file"),
            ("run.pdf", "unknown ending; write one of .csv, "),
            ("run", "unknown ending"),
            ("none/run.json", "cannot be written: No such file or directory"),
            ("file/run.json", "cannot be written: Not a directory"),
        ] {
            let line = refused(&[&at(path)]);
            assert!(line.contains(&format!("{path}: ")) && line.contains(part), "{line}");
        }
        assert!(refused(&[&at("a.csv"), &at("a.csv")]).contains("given twice"));
        assert_eq!(names(folder.path()), ["file", "folder.json"]);
    }

    #[test]
    fn a_summary_is_appended_to_and_must_have_a_file() {
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
    fn an_error_does_not_keep_other_reports_from_being_written() {
        /// A full disk.
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
