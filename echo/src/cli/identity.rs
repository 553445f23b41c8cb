//! The identity that the flags and variables state. The host's name replaces a missing
//! pod name.

use echo_reply::{Identity, UNKNOWN_CLUSTER};

use super::IdentityFlags;
use crate::identity::{WHAT_FITS, fits};

/// No pod name was given, and the host name does not fit.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("the host name {0:?} cannot be the pod name: it {WHAT_FITS}; set --pod or POD_NAME")]
pub struct UnfitHostName(String);

/// The identity that the flags state. Empty values count as not given, and `host_name`
/// replaces a missing pod name.
///
/// # Errors
///
/// If the host name is needed and does not fit.
pub fn from_flags(flags: &IdentityFlags, host_name: &str) -> Result<Identity, UnfitHostName> {
    let given = |value: &Option<String>| value.clone().filter(|value| !value.is_empty());
    let pod = match given(&flags.pod) {
        Some(pod) => pod,
        None if fits(host_name) && !host_name.is_empty() => host_name.to_owned(),
        None => return Err(UnfitHostName(host_name.to_owned())),
    };
    Ok(Identity {
        pod,
        cluster: given(&flags.cluster).unwrap_or_else(|| UNKNOWN_CLUSTER.to_owned()),
        namespace: given(&flags.namespace),
        node: given(&flags.node),
        region: given(&flags.region),
        zone: given(&flags.zone),
        network: given(&flags.network),
        version: given(&flags.app_version),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_host_name_replaces_only_the_pod_name() {
        let mut flags = IdentityFlags { zone: Some(String::new()), ..Default::default() };
        let identity = from_flags(&flags, "host-1").unwrap();
        assert_eq!(identity, Identity::new("host-1", UNKNOWN_CLUSTER));

        assert_eq!(from_flags(&flags, "bäd"), Err(UnfitHostName("bäd".into())));
        assert!(from_flags(&flags, "").is_err());
        flags.pod = Some("pod-1".into());
        assert_eq!(from_flags(&flags, "bäd").unwrap().pod, "pod-1");
    }
}
