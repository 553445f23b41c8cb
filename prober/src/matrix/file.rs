//! The matrix file: YAML → rows that are ready to run. Errors name the file and the line, before
//! anything is sent. Pure.

mod entries;

use clap::Parser as _;
use serde_saphyr::{Location, Spanned};
use thiserror::Error;

use super::Row;
use crate::cli::Cli;
use crate::matrix::source::Source;
use crate::plan::{Access, Envoy};
use crate::{expectation, plan};
use entries::{Count, Entry, File, SourceEntry};

/// Why a text is not a matrix. `Display` is one line, `file:line: what`.
#[derive(Debug, Error)]
#[error("{file}:{line}: {what}")]
pub struct FileError {
    file: String,
    line: u64,
    what: String,
    pointer: Option<String>,
}

impl FileError {
    /// Lines that point at the place, if there is one to point at.
    #[must_use]
    pub fn pointer(&self) -> Option<String> {
        self.pointer.clone()
    }
}

/// Settings of the command line that replace those of the file.
#[derive(Clone, Debug, Default)]
pub(crate) struct Overrides {
    /// Requests for each row.
    pub requests: Option<u64>,
    /// Answers printed verbatim for each row.
    pub show: Option<u64>,
    /// Whether Envoys are read to explain each row.
    pub explain: bool,
    /// Requests for each row that has neither a number of requests nor a duration.
    pub round: Option<u64>,
}

#[derive(Clone, Debug)]
pub(crate) struct Matrix {
    /// In the order in which they are shown.
    pub clusters: Vec<String>,
    /// In the order in which they are shown.
    pub rows: Vec<Row>,
}

/// Reads a matrix; `file` is its name, for messages.
pub(crate) fn parse(file: &str, text: &str, overrides: &Overrides) -> Result<Matrix, FileError> {
    let parsed: File = serde_saphyr::from_str(text).map_err(|error| {
        let (line, what) = usage::yaml::problem(text, &error, "'targets:'");
        FileError { file: file.to_owned(), line, what, pointer: None }
    })?;
    let reader = Reader { file, parsed: &parsed, overrides };
    if parsed.targets.is_empty() {
        return Err(reader.error(1, "the file has no targets; write at least one under 'targets:'"));
    }
    reader.check_defaults()?;
    reader.check_sources()?;
    let rows: Result<Vec<_>, _> = parsed.targets.iter().map(|entry| reader.row(entry)).collect();
    Ok(Matrix { clusters: parsed.clusters.clone(), rows: rows? })
}

struct Reader<'a> {
    file: &'a str,
    parsed: &'a File,
    overrides: &'a Overrides,
}

impl Reader<'_> {
    fn error(&self, line: u64, what: impl ToString) -> FileError {
        FileError { file: self.file.to_owned(), line, what: what.to_string(), pointer: None }
    }

    fn at(&self, place: Location, what: impl ToString) -> FileError {
        self.error(place.line(), what)
    }

    fn check_defaults(&self) -> Result<(), FileError> {
        let defaults = &self.parsed.defaults;
        let own = [&defaults.from, &defaults.url, &defaults.heading, &defaults.envoy_admin];
        match own.into_iter().flatten().next() {
            Some(own) => {
                let what = "only a target can have 'from', 'url', 'heading' and 'envoy-admin'; move them there";
                Err(self.at(own.referenced, what))
            }
            None => Ok(()),
        }
    }

    fn check_sources(&self) -> Result<(), FileError> {
        for (n, source) in self.parsed.sources.iter().enumerate() {
            let place = source.name.referenced;
            let name = &source.name.value;
            if self.parsed.sources[..n].iter().any(|other| other.name.value == *name) {
                return Err(self.at(place, format!("two sources are named '{name}'; rename one")));
            }
            let clusters = &self.parsed.clusters;
            if let Some(cluster) = source.cluster.as_ref().filter(|_| !clusters.is_empty())
                && !clusters.contains(cluster)
            {
                let right = nearest("cluster", cluster, clusters.iter().map(String::as_str));
                return Err(self.at(place, right));
            }
            self.origin(source)?;
        }
        Ok(())
    }

    fn origin(&self, source: &SourceEntry) -> Result<Source, FileError> {
        let prober = source.prober.clone().unwrap_or_else(|| "prober".to_owned());
        let prefix = match (source.here, &source.command, &source.kubectl) {
            (true, None, None) => return Ok(Source::Here),
            (false, Some(command), None) if !command.is_empty() => command.clone(),
            (false, None, Some(kubectl)) => kubectl.words(),
            _ => {
                let name = &source.name.value;
                let what = format!(
                    "source '{name}' needs exactly one of 'here: true', 'command: [WORD, …]' \
                     and 'kubectl: {{context: …, namespace: …, workload: …}}'"
                );
                return Err(self.at(source.name.referenced, what));
            }
        };
        Ok(Source::Command { prefix, prober })
    }

    fn row(&self, entry: &Spanned<Entry>) -> Result<Row, FileError> {
        let place = entry.referenced;
        let entry = &entry.value;
        let no_url = || self.at(place, "this target has no 'url'; add one");
        let url = entry.url.as_ref().ok_or_else(no_url)?;
        let source = self.source(entry)?;
        let origin = source.map_or(Ok(Source::Here), |source| self.origin(source))?;
        for expected in entry.expected(&self.parsed.defaults) {
            self.check_expectation(expected)?;
        }
        if let Some(select) = entry.selected(&self.parsed.defaults)
            && select.value == "each"
        {
            let what = "a target is one row, and 'select: each' needs a row for each address; write a \
                        target for each address, with 'resolve'";
            return Err(self.at(select.referenced, what));
        }
        let arguments = self.arguments(entry, &url.value, source);
        // Parsed here are the words that run elsewhere, so that both mean the same.
        let words = std::iter::once("prober".to_owned()).chain(arguments.iter().cloned());
        let line = url.referenced;
        let cli =
            Cli::try_parse_from(words).map_err(|error| self.at(line, usage::one_line(&error)))?;
        let mut plans = plan::run(&cli.run).map_err(|error| self.at(line, error))?;
        let mut plan = plans.remove(0);
        if let Some(heading) = &entry.heading {
            if heading.value.trim().is_empty() {
                let what = "the heading is empty; write how the target is to be called";
                return Err(self.at(heading.referenced, what));
            }
            plan.target.given.clone_from(&heading.value);
        }
        // Checked without --explain, too, so that the flags do not decide whether a file is valid.
        let envoys = self.envoys(entry, source)?;
        plan.envoys = if self.overrides.explain { envoys } else { Vec::new() };
        let source = source.map(|source| source.name.value.clone());
        Ok(Row { source, origin, arguments, plan })
    }

    /// The Envoys to read for one row, the client's own first.
    fn envoys(&self, entry: &Entry, source: Option<&SourceEntry>) -> Result<Vec<Envoy>, FileError> {
        let url = |given: &Spanned<String>| {
            plan::envoys::admin(&given.value).map(Access::Url).map_err(|wrong| {
                let what = format!(
                    "envoy-admin '{}': {wrong}; write a URL such as http://127.0.0.1:15000",
                    given.value.escape_debug()
                );
                self.at(given.referenced, what)
            })
        };
        let given = entry.envoy_admin.as_ref().or(source.and_then(|s| s.envoy_admin.as_ref()));
        let behind = source.and_then(|source| match (&source.kubectl, &source.command) {
            (Some(kubectl), _) => Some(kubectl.in_sidecar()),
            (None, command) => command.clone(),
        });
        let own = match given {
            Some(given) => Some(url(given)?),
            None => behind.map(Access::Command),
        };
        let own = own.map(|access| Envoy { name: None, access });
        let named = self.parsed.envoys.iter().map(|(name, given)| {
            Ok(Envoy { name: Some(printable::clean(name).into_owned()), access: url(given)? })
        });
        let named: Result<Vec<_>, FileError> = named.collect();
        Ok(plan::envoys::of_target(own, &named?))
    }

    fn source(&self, entry: &Entry) -> Result<Option<&SourceEntry>, FileError> {
        let Some(from) = &entry.from else { return Ok(None) };
        let sources = &self.parsed.sources;
        let found = sources.iter().find(|source| source.name.value == from.value);
        found.map(Some).ok_or_else(|| {
            let names = sources.iter().map(|source| source.name.value.as_str());
            self.at(from.referenced, nearest("source", &from.value, names))
        })
    }

    fn check_expectation(&self, text: &Spanned<String>) -> Result<(), FileError> {
        let parsed = expectation::parse(&text.value).map_err(|error| FileError {
            pointer: Some(error.pointer()),
            ..self.at(text.referenced, error)
        })?;
        let clusters = &self.parsed.clusters;
        let strange = |name: &&str| !name.starts_with('<') && !clusters.iter().any(|c| c == name);
        match parsed.clusters().into_iter().find(strange) {
            Some(name) if !clusters.is_empty() => {
                let right = nearest("cluster", name, clusters.iter().map(String::as_str));
                Err(self.at(text.referenced, format!("expectation '{}': {right}", text.value)))
            }
            _ => Ok(()),
        }
    }

    /// The prober's arguments for one row.
    fn arguments(&self, entry: &Entry, url: &str, source: Option<&SourceEntry>) -> Vec<String> {
        let mut entry = entry.clone();
        entry.requests = self.overrides.requests.map(Count).or(entry.requests);
        if entry.is_open(&self.parsed.defaults) {
            entry.requests = self.overrides.round.map(Count);
        }
        entry.show = self.overrides.show.map(Count).or(entry.show);
        let mut words = vec![format!("--target={url}")];
        let once = self.overrides.round.is_none();
        words.extend(entry.flags(&self.parsed.defaults, source, once));
        let clusters = &self.parsed.clusters;
        let balanced = |text: &Spanned<String>| {
            expectation::parse(&text.value).is_ok_and(|read| read.is_about_all_clusters())
        };
        if !clusters.is_empty() && entry.expected(&self.parsed.defaults).iter().any(balanced) {
            words.push(format!("--clusters={}", clusters.join(",")));
        }
        words.extend(["--output=json", "--quiet"].map(str::to_owned));
        words
    }
}

fn nearest<'a>(kind: &str, name: &str, known: impl Iterator<Item = &'a str> + Clone) -> String {
    match usage::nearest(name, known.clone()) {
        Some(near) => format!("unknown {kind} '{name}'; did you mean '{near}'?"),
        None => match known.collect::<Vec<_>>().join(", ").as_str() {
            "" => format!("unknown {kind} '{name}'; add it under '{kind}s:'"),
            known => format!("unknown {kind} '{name}'; write one of {known}"),
        },
    }
}

#[cfg(test)]
mod tests;
