//! The programs that the mesh needs: Envoy, echo, prober and localmesh itself.

use std::path::{Path, PathBuf};

use super::envoy::Envoy;
use crate::error::Error;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tools {
    pub envoy: Envoy,
    pub echo: PathBuf,
    /// The mesh itself does not run it.
    pub prober: PathBuf,
    /// `localmesh`, which starts all processes (`guard`).
    pub launcher: PathBuf,
}

impl Tools {
    /// Finds all programs. `bin_dir` holds those of the workspace, by default the directory of
    /// the running program.
    ///
    /// # Errors
    /// If one is missing, or Envoy does not work.
    pub fn find(envoy: Option<&Path>, bin_dir: Option<&Path>) -> Result<Self, Error> {
        let own = std::env::current_exe().map_err(Error::file("/proc/self/exe"))?;
        let dir = match bin_dir {
            Some(dir) => dir.canonicalize().map_err(Error::file(dir))?,
            None => own.parent().map(Path::to_owned).unwrap_or_default(),
        };
        let beside = |name: &'static str| {
            let path = dir.join(name);
            if path.is_file() { Ok(path) } else { Err(Error::NoBinary { name, dir: dir.clone() }) }
        };
        Ok(Self {
            echo: beside("echo")?,
            prober: beside("prober")?,
            launcher: beside("localmesh")?,
            envoy: Envoy::find(envoy)?,
        })
    }
}
