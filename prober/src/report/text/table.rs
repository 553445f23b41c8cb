//! Aligned columns, two spaces apart; a head that begins with `>` aligns right.

use comfy_table::{CellAlignment, ContentArrangement, Table as Grid, presets};

/// A table without lines.
#[derive(Debug)]
pub(super) struct Table(Grid);

impl Table {
    /// A table of these columns.
    pub(super) fn new<S: AsRef<str>>(heads: &[S]) -> Self {
        let mut grid = Grid::new();
        grid.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled);
        grid.set_header(heads.iter().map(|head| head.as_ref().trim_start_matches('>')));
        for (head, column) in heads.iter().zip(grid.column_iter_mut()) {
            column.set_padding((0, 2));
            if head.as_ref().starts_with('>') {
                column.set_cell_alignment(CellAlignment::Right);
            }
        }
        Self(grid)
    }

    /// Adds a line.
    pub(super) fn row(&mut self, cells: Vec<String>) {
        self.0.add_row(cells);
    }

    /// The lines, each behind `indent`, without trailing space.
    pub(super) fn render(&self, indent: &str) -> String {
        self.0.lines().map(|line| format!("{indent}{}\n", line.trim_end())).collect()
    }
}
