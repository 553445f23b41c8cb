//! Which values an identity may have: those that fit a response header.

/// The longest identity value, in bytes: the limit of Kubernetes names.
pub(crate) const MAX_LENGTH: usize = 253;

/// Completes an error message: "it …".
pub(crate) const WHAT_FITS: &str =
    "must be at most 253 printable ASCII characters, with spaces only between them";

/// Whether a response header can carry `value` unchanged. An empty value fits: it means
/// "not known".
#[must_use]
pub(crate) fn fits(value: &str) -> bool {
    value.len() <= MAX_LENGTH
        && value.bytes().all(|byte| (b' '..=b'~').contains(&byte))
        && value.trim() == value
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
}
