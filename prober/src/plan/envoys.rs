//! `--explain` and `--envoy-admin`: which Envoys are read before and after the run. Pure.

use std::fmt;

use url::Url;

use super::error::PlanError;
use crate::cli::EnvoyArgs;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Envoy {
    /// Its name, such as `gke1/eastwestgateway`; `None` for the client's own.
    pub name: Option<String>,
    pub access: Access,
}

/// How to reach an admin interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Access {
    /// At this URL, without a path: `http://127.0.0.1:15000`.
    Url(String),
    /// By `pilot-agent request GET` behind this command.
    Command(Vec<String>),
}

impl fmt::Display for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Url(url) => f.write_str(url),
            Self::Command(prefix) => write!(f, "{} pilot-agent", prefix.join(" ")),
        }
    }
}

/// The admin interface of a sidecar, from inside its pod.
const OWN_SIDECAR: &str = "http://127.0.0.1:15000";

/// The Envoys to read for each target; empty lists without `--explain`.
pub(super) fn read(args: &EnvoyArgs, targets: usize) -> Result<Vec<Vec<Envoy>>, PlanError> {
    if !args.explain {
        return Ok(vec![Vec::new(); targets]);
    }
    let all: Vec<_> =
        args.envoy_admin.iter().map(|given| parse(given)).collect::<Result<_, _>>()?;
    let (clients, named): (Vec<_>, Vec<_>) = all.into_iter().partition(|e| e.name.is_none());
    for (n, envoy) in named.iter().enumerate() {
        if let Some(twice) = named[..n].iter().find(|other| other.name == envoy.name) {
            let given = twice.name.clone().unwrap_or_default();
            return Err(wrong(&given, "two Envoys have this name; give each its own name"));
        }
    }
    let own = match clients.len() {
        0 if named.is_empty() => vec![Some(client(OWN_SIDECAR)); targets],
        0 => vec![None; targets],
        1 => vec![clients.first().cloned(); targets],
        n if n == targets => clients.into_iter().map(Some).collect(),
        n => return Err(PlanError::EnvoysPerTarget { envoys: n, targets }),
    };
    Ok(own.into_iter().map(|own| of_target(own, &named)).collect())
}

/// The client's Envoy first, then the others, each once.
pub(crate) fn of_target(own: Option<Envoy>, named: &[Envoy]) -> Vec<Envoy> {
    let others = named
        .iter()
        .filter(|other| own.as_ref().is_none_or(|own: &Envoy| own.access != other.access));
    own.iter().chain(others).cloned().collect()
}

fn client(url: &str) -> Envoy {
    Envoy { name: None, access: Access::Url(url.to_owned()) }
}

/// Reads `[NAME=]URL`.
fn parse(given: &str) -> Result<Envoy, PlanError> {
    let (name, url) = match given.split_once('=') {
        Some((name, url)) if !name.contains("://") => (Some(name), url),
        _ => (None, given),
    };
    let named = |name: &str| match name.trim() {
        "" => Err(wrong(given, "the name before '=' is missing")),
        name if !printable::is_clean(name) => Err(wrong(given, "the name has a control character")),
        name => Ok(name.to_owned()),
    };
    let name = name.map(named).transpose()?;
    let url = admin(url).map_err(|why| wrong(given, why))?;
    Ok(Envoy { name, access: Access::Url(url) })
}

fn wrong(given: &str, wrong: &'static str) -> PlanError {
    PlanError::EnvoyAdmin { given: given.escape_debug().to_string(), wrong }
}

/// Reads the URL of an admin interface. `http://` may be missing; nothing may follow the port.
///
/// # Errors
/// What is wrong with the URL.
pub(crate) fn admin(given: &str) -> Result<String, &'static str> {
    let whole = match given.contains("://") {
        true => given.to_owned(),
        false => format!("http://{given}"),
    };
    let url = Url::parse(&whole).map_err(|_| "this is not a URL")?;
    if url.scheme() != "http" {
        return Err("Envoy's admin interface needs plain http");
    }
    if url.path() != "/" || url.query().is_some() || url.fragment().is_some() {
        return Err("remove what follows the port");
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("remove the user and the password");
    }
    let host = url.host_str().filter(|host| !host.is_empty()).ok_or("the host is missing")?;
    Ok(format!("http://{host}:{}", url.port().unwrap_or(80)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn envoys(given: &[&str], targets: usize) -> Result<Vec<Vec<Envoy>>, PlanError> {
        let envoy_admin = given.iter().map(|given| (*given).to_owned()).collect();
        read(&EnvoyArgs { explain: true, envoy_admin }, targets)
    }

    fn shown(given: &[&str], targets: usize) -> Vec<String> {
        let one = |envoy: &Envoy| {
            format!("{}={}", envoy.name.as_deref().unwrap_or("client"), envoy.access)
        };
        let all = envoys(given, targets).unwrap();
        all.iter().map(|all| all.iter().map(one).collect::<Vec<_>>().join(" ")).collect()
    }

    #[test]
    fn one_envoy_serves_all_targets_and_several_serve_one_each() {
        assert_eq!(shown(&[], 2), vec!["client=http://127.0.0.1:15000"; 2]);
        assert_eq!(shown(&["a:1"], 2), vec!["client=http://a:1"; 2]);
        assert_eq!(
            shown(&["a:1", "http://[::1]:2/"], 2),
            ["client=http://a:1", "client=http://[::1]:2"]
        );
        assert_eq!(
            shown(&["gw=http://a:1"], 1),
            ["gw=http://a:1"],
            "no client unless one is given"
        );
        assert_eq!(shown(&["gw=a:1", "a:1", "x/y=b:2"], 1), ["client=http://a:1 x/y=http://b:2"]);
        let args = EnvoyArgs { explain: false, envoy_admin: Vec::new() };
        assert_eq!(read(&args, 2).unwrap(), vec![Vec::new(); 2]);
    }

    #[test]
    fn wrong_admin_interfaces_are_refused_in_one_line() {
        for (given, targets, part) in [
            (&["https://a:1"][..], 1, "plain http"),
            (&["a:1/stats"], 1, "follows the port"),
            (&["a:1?x"], 1, "follows the port"),
            (&["a:99999"], 1, "not a URL"),
            (&[""], 1, "not a URL"),
            (&["=a:1"], 1, "the name before '='"),
            (&["a\u{1b}=a:1"], 1, "control character"),
            (&["me@a:1"], 1, "remove the user"),
            (&["x=a:1", "x=b:1"], 1, "two Envoys"),
            (&["a:1", "b:1"], 3, "2 Envoys for 3 targets"),
        ] {
            let said = envoys(given, targets).expect_err(part).to_string();
            assert!(said.contains(part), "{given:?}: {said}");
            assert_eq!(said.lines().count(), 1, "{said}");
            assert!(!said.contains(char::is_control), "{said}");
        }
    }
}
