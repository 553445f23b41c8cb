//! Why an HTTP exchange failed, without the words of the HTTP library.

use std::error::Error;
use std::io;

/// Why there was no answer, by the errors that caused this one: the system's refusal, or what
/// happened to the connection or the answer.
#[must_use]
pub fn why_no_answer(error: &(dyn Error + 'static)) -> String {
    let mut causes = vec![error];
    let mut cause = error.source();
    while let Some(error) = cause {
        causes.push(error);
        cause = error.source();
    }
    let refusal = causes
        .iter()
        .filter_map(|error| error.downcast_ref::<io::Error>())
        .find(|error| error.raw_os_error().is_some());
    if let Some(refusal) = refusal {
        return crate::local_limit(refusal);
    }
    let said: Vec<String> = causes.iter().map(|error| error.to_string().to_lowercase()).collect();
    let has = |part: &str| said.iter().any(|text| text.contains(part));
    let words = if has("timed out") || has("timeout") {
        "timed out"
    } else if has("dns") || has("lookup") || has("resolve") {
        "the host name has no address"
    } else if has("incomplete") || has("closed") || has("eof") || has("canceled") || has("body") {
        "the connection was closed before the answer was complete"
    } else if has("invalid") || has("parse") || has("message head") {
        "the answer is not HTTP/1.1"
    } else {
        "the exchange failed"
    };
    words.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug)]
    struct Outer(&'static str, Option<io::Error>);

    impl std::fmt::Display for Outer {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str(self.0)
        }
    }

    impl Error for Outer {
        fn source(&self) -> Option<&(dyn Error + 'static)> {
            self.1.as_ref().map(|error| error as _)
        }
    }

    #[test]
    fn the_cause_decides() {
        let refused = Outer("error sending request", Some(io::Error::from_raw_os_error(111)));
        assert_eq!(why_no_answer(&refused), "Connection refused");
        for (library, said) in [
            (
                "connection closed before message completed",
                "the connection was closed before the answer was complete",
            ),
            ("invalid HTTP version parsed", "the answer is not HTTP/1.1"),
            ("operation timed out", "timed out"),
            ("unforeseen", "the exchange failed"),
        ] {
            assert_eq!(why_no_answer(&Outer(library, None)), said);
        }
    }
}
