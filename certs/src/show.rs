//! Certificates as text for people: each certificate once, with all files that contain it,
//! and whether they have the same root.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use time::OffsetDateTime;

use crate::certificate::Certificate;
use crate::certificate::day_and_time;
use crate::error::Error;
use crate::files;

/// Describes every certificate in the files, and in the `*.pem` files of the directories and
/// of their subdirectories.
///
/// # Errors
/// If a path cannot be read or contains no certificate.
pub fn show(paths: &[PathBuf]) -> Result<String, Error> {
    let mut found: Vec<(Certificate, Vec<String>)> = Vec::new();
    for path in paths {
        let files = if path.is_dir() { in_folder(path)? } else { vec![in_file(path)?] };
        for (file, certificates) in files {
            for (index, certificate) in certificates.into_iter().enumerate() {
                let place = match index {
                    0 => file.display().to_string(),
                    _ => format!("{} ({})", file.display(), index + 1),
                };
                match found.iter_mut().find(|(known, _)| *known == certificate) {
                    Some((_, places)) if places.contains(&place) => {}
                    Some((_, places)) => places.push(place),
                    None => found.push((certificate, vec![place])),
                }
            }
        }
    }
    Ok(describe(&found, OffsetDateTime::now_utc()))
}

type InFile = (PathBuf, Vec<Certificate>);

fn in_file(path: &Path) -> Result<InFile, Error> {
    Ok((path.into(), Certificate::parse_all(&files::read(path)?, path)?))
}

/// The `*.pem` files with certificates: those of the directory, then of its subdirectories.
fn in_folder(dir: &Path) -> Result<Vec<InFile>, Error> {
    let (folders, mut files): (Vec<_>, Vec<_>) =
        sorted(dir)?.into_iter().partition(|path| path.is_dir());
    for folder in folders {
        files.extend(sorted(&folder)?);
    }
    let mut found = Vec::new();
    // A pipe could block.
    let is_pem = |path: &&PathBuf| path.extension().is_some_and(|e| e == "pem") && path.is_file();
    for file in files.iter().filter(is_pem) {
        match in_file(file) {
            // A private key, for example.
            Err(Error::NoCertificate { .. }) => {}
            result => found.push(result?),
        }
    }
    if found.is_empty() { Err(Error::NoCertificate { path: dir.into() }) } else { Ok(found) }
}

fn sorted(dir: &Path) -> Result<Vec<PathBuf>, Error> {
    let unreadable = |reason| Error::Read { path: dir.into(), reason };
    let entries = fs::read_dir(dir).map_err(unreadable)?;
    let mut paths = entries
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<Result<Vec<_>, _>>()
        .map_err(unreadable)?;
    paths.sort();
    Ok(paths)
}

fn describe(found: &[(Certificate, Vec<String>)], now: OffsetDateTime) -> String {
    let mut text = String::new();
    for (certificate, places) in found {
        for place in places {
            let _ = writeln!(text, "{place}");
        }
        let facts = [
            ("subject", or_none(certificate.subject()).to_owned()),
            ("issuer", issuer_of(certificate, found)),
            ("valid", validity_of(certificate, now)),
            ("key", certificate.key().to_owned()),
            ("may sign", may_sign(certificate).to_owned()),
            ("names", or_none(&certificate.names().join(", ")).to_owned()),
            ("serial", certificate.serial().to_owned()),
            ("SHA-256", certificate.fingerprint()),
        ];
        for (name, value) in facts {
            let _ = writeln!(text, "    {name:9} {value}");
        }
        text.push('\n');
    }
    let roots = found.iter().filter(|(certificate, _)| is_root(certificate)).count();
    match roots {
        0 => text.push_str("no root certificate given\n"),
        1 => text.push_str("one root\n"),
        _ => {
            let _ = writeln!(text, "{roots} different roots: they do not trust each other");
        }
    }
    text
}

fn is_root(certificate: &Certificate) -> bool {
    certificate.is_authority() && certificate.is_signed_by(certificate)
}

fn or_none(text: &str) -> &str {
    if text.is_empty() { "(none)" } else { text }
}

/// The issuer's name and the file of its certificate: all roots have the same name.
fn issuer_of(certificate: &Certificate, found: &[(Certificate, Vec<String>)]) -> String {
    let name = or_none(certificate.issuer());
    if certificate.is_signed_by(certificate) {
        return format!("{name} (itself)");
    }
    match found.iter().find(|(other, _)| certificate.is_signed_by(other)) {
        Some((_, places)) => format!("{name} (that of {})", places[0]),
        None => format!("{name} (not among these)"),
    }
}

fn validity_of(certificate: &Certificate, now: OffsetDateTime) -> String {
    let (start, end) = (certificate.not_before(), certificate.not_after());
    let left = end - now;
    let state = if now < start {
        "NOT YET VALID".to_owned()
    } else if now > end {
        "EXPIRED".to_owned()
    } else if left.whole_days() > 1 {
        format!("{} days left", left.whole_days())
    } else {
        format!("{} minutes left", left.whole_minutes())
    };
    format!("{} to {} ({state})", day_and_time(start), day_and_time(end))
}

fn may_sign(certificate: &Certificate) -> &'static str {
    match (certificate.is_authority(), certificate.signs_authorities()) {
        (true, true) => "authorities and workloads",
        (true, false) => "workloads",
        (false, _) => "nothing",
    }
}
