//! Who am I: the flags' and the environment's values, and the host name where
//! they are silent. Only what fits a response header passes.

use echo_reply::{Identity, UNKNOWN_CLUSTER};

use crate::cli::IdentityFlags;

/// The longest identity value, in bytes: as long as a name in Kubernetes may be.
pub const MAX_LENGTH: usize = 253;

/// What an identity value may be, in words for an error message.
pub const WHAT_FITS: &str =
    "must be at most 253 printable ASCII characters, with spaces only between them";

/// No pod name was given, and the host's name cannot stand for it.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error(
    "the host name {0:?} cannot be a pod name: it {WHAT_FITS}; give one with --pod or POD_NAME"
)]
pub struct UnfitHostName(String);

/// Whether `value` can stand in a response header as it is. An empty value can:
/// it means "not known".
#[must_use]
pub fn fits(value: &str) -> bool {
    value.len() <= MAX_LENGTH
        && value.bytes().all(|byte| (b' '..=b'~').contains(&byte))
        && value.trim() == value
}

/// The identity that the flags state; empty values count as not given, and
/// `host_name` stands in for the pod's name.
///
/// # Errors
///
/// When the host's name is needed and does not fit.
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
    fn what_fits_is_what_a_header_can_carry() {
        for good in ["", "a", "<unknown>", "a b", &"x".repeat(MAX_LENGTH)] {
            assert!(fits(good), "{good:?}");
        }
        for bad in [" a", "a ", "a\n", "a\tb", "é", "\u{7f}", &"x".repeat(MAX_LENGTH + 1)] {
            assert!(!fits(bad), "{bad:?}");
        }
    }

    #[test]
    fn the_host_name_stands_in_only_for_the_pod() {
        let mut flags = IdentityFlags { zone: Some(String::new()), ..Default::default() };
        let identity = from_flags(&flags, "host-1").unwrap();
        assert_eq!(identity, Identity::new("host-1", UNKNOWN_CLUSTER));

        assert_eq!(from_flags(&flags, "bäd"), Err(UnfitHostName("bäd".into())));
        assert!(from_flags(&flags, "").is_err());
        flags.pod = Some("pod-1".into());
        assert_eq!(from_flags(&flags, "bäd").unwrap().pod, "pod-1");
    }
}
