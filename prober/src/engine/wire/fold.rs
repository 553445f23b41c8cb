//! Header values over several lines (obs-fold), which nobody should send any more. Pure.

/// Joins the header lines that continue on the next line, each line end becoming spaces, as RFC 9112
/// (5.2) demands of whoever reads a response. Returns whether there were any. Continues after interim
/// (1xx) responses, and leaves the body as it is.
pub(super) fn unfold(buffer: &mut [u8]) -> bool {
    let mut folded = false;
    let mut lines = Lines::Status;
    let mut interim = false;
    let mut start = 0;
    while let Some(end) = buffer[start..].iter().position(|byte| *byte == b'\n') {
        let end = start + end;
        let cr = usize::from(end > start && buffer[end - 1] == b'\r');
        let line = &buffer[start..end - cr];
        match lines {
            // Blank lines before a status line are skipped.
            Lines::Status if line.is_empty() => {}
            Lines::Status => {
                interim = line.get(8..10) == Some(b" 1") && line.get(10..12) != Some(b"01");
                lines = Lines::First;
            }
            _ if line.is_empty() && interim => lines = Lines::Status,
            _ if line.is_empty() => return folded,
            // What continues the status line is refused (RFC 9112, 2.2).
            Lines::First => lines = Lines::Further,
            Lines::Further => {}
        }
        let continues = buffer.get(end + 1).is_some_and(|byte| b" \t".contains(byte));
        if lines == Lines::Further && continues {
            buffer[end - cr..=end].fill(b' ');
            folded = true;
        }
        start = end + 1;
    }
    folded
}

/// Where the lines of a head are.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Lines {
    Status,
    /// The line after the status line.
    First,
    Further,
}
