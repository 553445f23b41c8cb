//! Which values an identity may have: those that fit a response header.

/// The longest identity value, in bytes: as long as a name in Kubernetes may be.
pub(crate) const MAX_LENGTH: usize = 253;

/// What an identity value may be, in words for an error message.
pub(crate) const WHAT_FITS: &str =
    "must be at most 253 printable ASCII characters, with spaces only between them";

/// Whether `value` can stand in a response header as it is. An empty value can:
/// it means "not known".
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
