//! Shares as bars of Unicode blocks or ASCII characters.

/// The width of a full bar, in characters.
pub(super) const WIDEST: usize = 20;

/// A share and its interval, 0 to 1.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Share {
    pub(super) share: f64,
    pub(super) between: (f64, f64),
}

/// A bar without an interval: `share` of [`WIDEST`] characters, to an eighth of a character.
pub(crate) fn plain(share: f64, unicode: bool) -> String {
    const EIGHTHS: [&str; 8] = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"];
    let share = share.clamp(0.0, 1.0);
    if !unicode {
        return "#".repeat((share * WIDEST as f64).round() as usize);
    }
    let eighths = (share * (WIDEST * 8) as f64).round() as usize;
    format!("{}{}", "█".repeat(eighths / 8), EIGHTHS[eighths % 8])
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
    fn bars_at_their_edges() {
        assert_eq!(plain(0.0, true), "");
        assert_eq!(plain(1.0, true), "█".repeat(WIDEST));
        assert_eq!(plain(0.5, true), "█".repeat(WIDEST / 2));
        assert_eq!(plain(1.0 / 160.0, true), "▏");
        assert_eq!(plain(0.5, false), "##########");
    }

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
