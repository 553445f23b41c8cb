//! Shares as bars of Unicode blocks or ASCII characters.

/// The width of a full bar, in characters.
pub(super) const WIDEST: usize = 20;

/// A share and its interval, 0 to 1.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Share {
    pub(super) share: f64,
    pub(super) between: (f64, f64),
}

/// A bar with its interval, in `width` characters. Solid: lower bound. Shaded: measured share.
/// Faint: upper bound.
pub(super) fn interval(share: Share, width: usize, unicode: bool) -> String {
    let Share { share, between: (lower, upper) } = share;
    let [full, shaded, faint] = if unicode { ['█', '▓', '░'] } else { ['#', '=', '-'] };
    let glyph = |place: usize| {
        let at = (place as f64 + 0.5) / width as f64;
        match at {
            at if at < lower => full,
            at if at < share => shaded,
            at if at < upper => faint,
            _ => ' ',
        }
    };
    (0..width).map(glyph).collect::<String>().trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_interval_ends_at_its_bounds() {
        let bar = |share, lower, upper, unicode| {
            interval(Share { share, between: (lower, upper) }, 10, unicode)
        };
        assert_eq!(bar(0.5, 0.3, 0.8, true), "███▓▓░░░");
        assert_eq!(bar(0.5, 0.3, 0.8, false), "###==---");
        assert_eq!(bar(1.0, 0.9, 1.0, true), "█████████▓");
        assert_eq!(bar(0.0, 0.0, 0.2, true), "░░");
        assert_eq!(bar(0.0, 0.0, 0.0, true), "");
    }
}
