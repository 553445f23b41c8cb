//! Makes a directory with a shared root and a directory per cluster. Missing parts are made
//! and matching ones kept. Anything that does not match is refused before a change.

use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::thread;

use rcgen::KeyPair;

use crate::authority::Authority;
use crate::authority::check_cluster_name;
use crate::authority::folder;
use crate::certificate::Certificate;
use crate::error::Error;
use crate::files::{self, CA_CERT, CLUSTER_FILES, ROOT_CERT, ROOT_KEY, Staging};
use crate::key::KeyKind;

#[derive(Debug, Clone)]
pub struct Request {
    pub out: PathBuf,
    pub clusters: Vec<String>,
    pub key: KeyKind,
    /// Replace everything that exists.
    pub force: bool,
}

/// What was done with the root or a cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Done {
    Made,
    Kept,
    Replaced,
}

/// What was done.
#[derive(Debug, Clone)]
pub struct Report {
    out: PathBuf,
    root: (Certificate, Done),
    clusters: Vec<(String, Done)>,
}

/// Makes the root and the missing clusters. A second run changes nothing.
///
/// # Errors
/// If a cluster name is invalid, existing files do not match or have expired, or the
/// directory cannot be written. The directory is then unchanged.
pub fn generate(request: &Request) -> Result<Report, Error> {
    check_names(&request.clusters)?;
    let was_there = request.out.exists();
    files::make_folder(&request.out)?;
    let lock = files::lock(&request.out)?;
    files::sweep(&request.out);
    let result = generate_in(request);
    drop(lock);
    if result.is_err() && !was_there {
        let _ = fs::remove_dir(&request.out);
    }
    result
}

fn generate_in(request: &Request) -> Result<Report, Error> {
    let Request { out, key, .. } = request;
    let plan = if request.force { plan_anew(request)? } else { plan_missing(request)? };
    let missing: Vec<_> = plan.clusters.iter().filter(|(_, done)| *done != Done::Kept).collect();
    if let (Some(root), true) = (&plan.root, missing.is_empty()) {
        let root = (root.clone(), plan.root_done);
        return Ok(Report { out: out.clone(), root, clusters: plan.clusters });
    }

    // All checks come before the keys, which take long.
    let existing = if plan.root.is_some() { Some(signing_root(out)?) } else { None };
    let staging = Staging::new(out)?;
    let mut places = Vec::new();
    let mut keys = make_keys(*key, missing.len() + usize::from(existing.is_none()))?;
    let root = match existing {
        Some(root) => root,
        None => {
            let root = Authority::root_with(keys.swap_remove(0))?;
            root.stage_root(&staging)?;
            places.extend([ROOT_KEY, ROOT_CERT].map(PathBuf::from));
            root
        }
    };
    for ((cluster, done), key) in missing.into_iter().zip(keys) {
        root.intermediate_with(cluster, key)?.stage(&staging, cluster)?;
        match done {
            Done::Replaced => {
                places.extend(CLUSTER_FILES.map(|file| Path::new(cluster).join(file)))
            }
            _ => places.push(cluster.into()),
        }
    }
    staging.publish(places)?;
    let root = (root.certificate().clone(), plan.root_done);
    Ok(Report { out: out.clone(), root, clusters: plan.clusters })
}

/// The existing files that match.
struct Plan {
    root: Option<Certificate>,
    root_done: Done,
    clusters: Vec<(String, Done)>,
}

/// Replaces everything; refused if a cluster would keep the old root.
fn plan_anew(request: &Request) -> Result<Plan, Error> {
    let Request { out, clusters, .. } = request;
    let stays = clusters_in(out)?.into_iter().find(|found| !clusters.contains(found));
    if let Some(cluster) = stays {
        return Err(Error::InTheWay {
            path: out.join(&cluster),
            problem: format!("would keep the old root; add --cluster {cluster}, or remove it"),
        });
    }
    let clusters = clusters.iter().map(|cluster| {
        let empty = is_empty(&out.join(cluster))?;
        Ok((cluster.clone(), if empty { Done::Made } else { Done::Replaced }))
    });
    let had_root = out.join(ROOT_CERT).exists() || out.join(ROOT_KEY).exists();
    Ok(Plan {
        root: None,
        root_done: if had_root { Done::Replaced } else { Done::Made },
        clusters: clusters.collect::<Result<_, Error>>()?,
    })
}

/// Makes only what is missing; refused if the existing files do not match.
fn plan_missing(request: &Request) -> Result<Plan, Error> {
    let Request { out, clusters, .. } = request;
    let root_path = out.join(ROOT_CERT);
    if !root_path.exists() {
        if out.join(ROOT_KEY).exists() {
            let problem = "root-key.pem exists; restore the certificate, or replace all (--force)";
            return Err(Error::Missing { path: root_path, problem });
        }
        let named = clusters.iter().find(|cluster| !is_empty(&out.join(cluster)).unwrap_or(true));
        if let Some(cluster) = clusters_in(out)?.first().or(named) {
            return Err(Error::InTheWay {
                path: out.join(cluster),
                problem: "its root is missing; restore root-cert.pem, or replace all (--force)"
                    .into(),
            });
        }
        let clusters = clusters.iter().map(|cluster| (cluster.clone(), Done::Made)).collect();
        return Ok(Plan { root: None, root_done: Done::Made, clusters });
    }

    let root = folder::read_root_certificate(out)?;
    let root_key = out.join(ROOT_KEY);
    if root_key.exists() {
        // It may not be needed now, but it must not stay readable.
        files::check_secret(&root_key)?;
    }
    let clusters = clusters.iter().map(|cluster| {
        let dir = out.join(cluster);
        if is_empty(&dir)? {
            return Ok((cluster.clone(), Done::Made));
        }
        if *Authority::read(&dir)?.root_certificate() != root {
            let path = dir.join(ROOT_CERT);
            return Err(Error::RootDiffers { path, root: root_path.clone() });
        }
        Ok((cluster.clone(), Done::Kept))
    });
    let clusters = clusters.collect::<Result<_, Error>>()?;
    Ok(Plan { root: Some(root), root_done: Done::Kept, clusters })
}

/// The root with its private key, which only new clusters need.
fn signing_root(out: &Path) -> Result<Authority, Error> {
    let path = out.join(ROOT_KEY);
    if !path.exists() {
        let problem = "it must sign the new clusters; restore it, or replace all (--force)";
        return Err(Error::Missing { path, problem });
    }
    Authority::read_root(out)
}

/// Makes all keys in parallel.
fn make_keys(kind: KeyKind, count: usize) -> Result<Vec<KeyPair>, Error> {
    thread::scope(|scope| {
        let threads: Vec<_> = (0..count).map(|_| scope.spawn(|| kind.generate())).collect();
        let join = |thread: thread::ScopedJoinHandle<'_, _>| {
            thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        };
        threads.into_iter().map(join).collect()
    })
}

fn check_names(clusters: &[String]) -> Result<(), Error> {
    for (index, name) in clusters.iter().enumerate() {
        check_cluster_name(name)?;
        if clusters[..index].contains(name) {
            return Err(Error::ClusterTwice { name: name.clone() });
        }
    }
    Ok(())
}

/// The directories in `out` with a CA certificate, sorted.
fn clusters_in(out: &Path) -> Result<Vec<String>, Error> {
    let unreadable = |reason| Error::Read { path: out.into(), reason };
    let mut found = Vec::new();
    for entry in fs::read_dir(out).map_err(unreadable)? {
        let entry = entry.map_err(unreadable)?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if !name.starts_with('.') && entry.path().join(CA_CERT).exists() {
            found.push(name);
        }
    }
    found.sort();
    Ok(found)
}

/// Whether a directory is missing or empty.
fn is_empty(dir: &Path) -> Result<bool, Error> {
    match fs::read_dir(dir) {
        Ok(mut entries) => Ok(entries.next().is_none()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(true),
        Err(reason) => Err(Error::Read { path: dir.into(), reason }),
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (root, done) = &self.root;
        writeln!(f, "{:9} {}", done.word(), self.out.join(ROOT_CERT).display())?;
        for (cluster, done) in &self.clusters {
            writeln!(f, "{:9} {}", done.word(), self.out.join(cluster).display())?;
        }
        let (subject, until) = (root.subject(), root.not_after().date());
        writeln!(f, "root: {subject}, until {until}, SHA-256 {}", root.fingerprint())
    }
}

impl Done {
    fn word(self) -> &'static str {
        match self {
            Self::Made => "made",
            Self::Kept => "kept",
            Self::Replaced => "replaced",
        }
    }
}
