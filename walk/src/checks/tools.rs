//! Which releases of kubectl and istioctl are here.

use serde_json::Value;

use super::Checks;
use crate::command::{Command, is_installed};
use crate::error::Result;

/// The first release of kubectl that can wait for the value of a field.
const OLDEST_KUBECTL: (u32, u32) = (1, 31);
pub(super) const NO_KUBECTL: &str =
    "kubectl is missing; see https://kubernetes.io/docs/tasks/tools/";

impl Checks<'_> {
    pub(super) fn tools(&self) -> Result<()> {
        if is_installed("kubectl") {
            self.kubectl()?;
        } else {
            self.problem(NO_KUBECTL.to_owned())?;
        }
        if !self.istioctl()? {
            return Ok(());
        }
        let command = Command::new("istioctl").words("version --remote=false --output=json");
        let said = self.shell.try_ask(&command)?.stdout;
        let want = &self.settings.istio_version;
        match version(&said, "clientVersion", "version") {
            None => self.problem("istioctl does not say its version; is it istioctl?".to_owned()),
            Some(have) if text(have) == *want => {
                self.fine(&format!("istioctl {want}"));
                Ok(())
            }
            Some(have) => self.problem(format!(
                "istioctl is {}, and {} says istio-version: {want}; get that one, or change the \
                 setting",
                text(have),
                self.settings.file
            )),
        }
    }

    fn kubectl(&self) -> Result<()> {
        let command = Command::new("kubectl").words("version --client --output=json");
        let said = self.shell.try_ask(&command)?.stdout;
        match version(&said, "clientVersion", "gitVersion") {
            None => self.problem("kubectl does not say its version; is it kubectl?".to_owned()),
            Some(have) if have < OLDEST_KUBECTL => self.problem(format!(
                "kubectl is {}; 1.31 or later is needed, to wait for addresses",
                text(have)
            )),
            Some(have) => {
                self.fine(&format!("kubectl {}", text(have)));
                Ok(())
            }
        }
    }

    /// Whether istioctl is here.
    pub(super) fn istioctl(&self) -> Result<bool> {
        if is_installed("istioctl") {
            return Ok(true);
        }
        self.problem(format!(
            "istioctl is missing; get that of Istio {}: \
             https://istio.io/latest/docs/ops/diagnostic-tools/istioctl/",
            self.settings.istio_version
        ))?;
        Ok(false)
    }
}

/// The major and minor number of a version, in what a program says of itself as JSON.
pub(super) fn version(said: &str, part: &str, key: &str) -> Option<(u32, u32)> {
    let said: Value = serde_json::from_str(said).ok()?;
    let version = said[part][key].as_str()?.trim_start_matches('v');
    let (major, rest) = version.split_once('.')?;
    let end = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
    Some((major.parse().ok()?, rest[..end].parse().ok()?))
}

pub(super) fn text((major, minor): (u32, u32)) -> String {
    format!("{major}.{minor}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read() {
        let said = |version: &str| format!("{{\"a\": {{\"v\": \"{version}\"}}}}");
        let read = |text: &str| version(&said(text), "a", "v");
        assert_eq!(read("v1.35.4-gke.100"), Some((1, 35)));
        assert_eq!(read("1.31"), Some((1, 31)));
        assert_eq!(read("1.9+"), Some((1, 9)));
        assert_eq!(read("1.31-alpha.0"), Some((1, 31)));
        assert_eq!((read("1"), read("unknown"), read("1.x")), (None, None, None));
        assert_eq!(version("error", "a", "v"), None);
        assert!((1, 9) < OLDEST_KUBECTL && (2, 0) > OLDEST_KUBECTL);
    }
}
