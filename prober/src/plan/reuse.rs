//! How many requests a connection carries. Pure.

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reuse {
    least: u64,
    most: u64,
}

impl Reuse {
    /// A new connection for each request.
    pub const NEVER: Self = Self { least: 1, most: 1 };
    /// As many requests as the server allows.
    pub const ALWAYS: Self = Self { least: u64::MAX, most: u64::MAX };

    /// How many requests the next connection carries; `random` selects a number from N to M.
    #[must_use]
    pub fn uses(self, random: u64) -> u64 {
        let span = self.most - self.least;
        if span == 0 {
            return self.least;
        }
        // Fibonacci hashing: spreads neighbouring numbers evenly.
        self.least + (random.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 33) % (span + 1)
    }

    /// Reads `never`, `always`, `N` or `N:M` with N at most M.
    #[must_use]
    pub fn parse(given: &str) -> Option<Self> {
        let number =
            |text: &str| usage::count::parse(text).ok().filter(|n| *n > 0 && *n <= 1 << 30);
        let reuse = match given {
            "never" => Self::NEVER,
            "always" => Self::ALWAYS,
            _ => match given.split_once(':') {
                None => Self { least: number(given)?, most: number(given)? },
                Some((least, most)) => Self { least: number(least)?, most: number(most)? },
            },
        };
        (reuse.least <= reuse.most).then_some(reuse)
    }
}

impl std::fmt::Display for Reuse {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match *self {
            Self::NEVER => f.write_str("a new connection for each request"),
            Self::ALWAYS => f.write_str("connections reused"),
            Self { least, most } if least == most => {
                write!(f, "{least} requests on each connection")
            }
            Self { least, most } => write!(f, "{least} to {most} requests on each connection"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reuse_is_within_its_bounds_and_varies() {
        let reuse = Reuse::parse("3:7").unwrap();
        let uses: std::collections::BTreeSet<_> = (0..1000).map(|n| reuse.uses(n)).collect();
        assert!(uses.into_iter().eq(3..=7));
        assert_eq!(Reuse::parse("4").unwrap().uses(9), 4);
        assert_eq!(Reuse::NEVER.uses(1), 1);
    }
}
