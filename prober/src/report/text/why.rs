//! Why the answers are distributed as they are: the section of `--explain`.

use std::fmt::Write as _;

use super::Style;
use crate::diagnosis::{Explanation, Finding};

/// The section of a row; empty without an explanation.
pub(super) fn render(out: &mut String, explanation: Option<&Explanation>, style: Style) {
    let Some(Explanation { findings, unknown, well }) = explanation else { return };
    let _ = writeln!(out, "  {}", style.bold("WHY"));
    for Finding { layer, cause, evidence, next, .. } in findings {
        let cause = style.paint("33", cause.words());
        let _ = writeln!(out, "    {cause} ({}): {evidence}", layer.words());
        let _ = writeln!(out, "      next: {next}");
    }
    if let Some(line) = well {
        let _ = writeln!(out, "    {line}");
    }
    for line in unknown {
        let _ = writeln!(out, "    cannot tell: {line}");
    }
}
