//! `--interface`: which end of this machine connections start from. Pure.

use super::error::PlanError;

/// What `--interface` names. Whether it exists is known where the connections start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    pub name: String,
    /// Whether it may be a network interface.
    pub device: bool,
    /// Whether it may be an address or a host name.
    pub host: bool,
}

impl Source {
    /// Reads `NAME`, `if!NAME` or `host!NAME`, as curl does.
    pub(super) fn parse(given: &str) -> Result<Self, PlanError> {
        let (name, device, host) = match (given.strip_prefix("if!"), given.strip_prefix("host!")) {
            (Some(name), _) => (name, true, false),
            (_, Some(name)) => (name, false, true),
            _ => (given, true, true),
        };
        if name.is_empty() || name.contains(|c: char| c.is_whitespace() || printable::is_hidden(c))
        {
            return Err(PlanError::Interface(given.escape_debug().to_string()));
        }
        Ok(Self { name: name.to_owned(), device, host })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_forms_are_those_of_curl() {
        let read = |given: &str| {
            let Source { name, device, host } = Source::parse(given).unwrap();
            (name, device, host)
        };
        assert_eq!(read("eth0"), ("eth0".to_owned(), true, true));
        assert_eq!(read("if!eth0"), ("eth0".to_owned(), true, false));
        assert_eq!(read("host!1.2.3.4"), ("1.2.3.4".to_owned(), false, true));
        assert_eq!(read("IF!a"), ("IF!a".to_owned(), true, true), "as in curl");
        for wrong in ["", "if!", "host!", "a b", "a\n"] {
            let line = Source::parse(wrong).unwrap_err().to_string();
            assert!(line.contains("write an interface") && line.lines().count() == 1, "{line}");
        }
    }

    proptest! {
        #[test]
        fn no_text_panics(text in any::<String>()) {
            if let Err(error) = Source::parse(&text) {
                prop_assert!(!error.to_string().contains(char::is_control));
            }
        }
    }
}
