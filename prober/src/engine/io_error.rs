//! What the system says about a failed connection, file or command, in words. Pure.

use std::io;

/// The system's message without its error number: `No route to host`.
#[must_use]
pub(super) fn words(error: &io::Error) -> String {
    let mut text = error.to_string();
    if error.raw_os_error().is_some()
        && let Some(end) = text.rfind(" (os error ")
    {
        text.truncate(end);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn error_numbers_are_left_out() {
        assert_eq!(words(&io::Error::from_raw_os_error(113)), "No route to host");
        assert_eq!(words(&io::Error::other("odd (os error 1)")), "odd (os error 1)");
    }
}
