//! Aligned columns that fit the width: too wide columns shrink (bars before names), then columns
//! with a low rank are left out.

use comfy_table::{CellAlignment, ContentArrangement, Table as Grid, presets};
use unicode_width::UnicodeWidthStr as _;

use super::Style;
use super::bar::{self, Share};
use super::width::shortened;

/// Spaces between columns.
const GAP: usize = 2;

/// A column: its head, and how it adapts to a narrow layout.
#[derive(Clone, Debug)]
pub(super) struct Column {
    head: String,
    right: bool,
    /// The least width to shrink to; `None` if the column does not shrink.
    least: Option<usize>,
    /// Columns with a rank are left out if there is no room, the lowest rank first.
    rank: Option<usize>,
}

impl Column {
    /// A column that is never cut or left out, aligned left.
    pub(super) fn new(head: impl Into<String>) -> Self {
        Self { head: head.into(), right: false, least: None, rank: None }
    }

    pub(super) fn right(self) -> Self {
        Self { right: true, ..self }
    }

    /// May shrink to `least` characters.
    pub(super) fn shrinks(self, least: usize) -> Self {
        Self { least: Some(least), ..self }
    }

    /// May be left out; lower ranks go first.
    pub(super) fn rank(self, rank: usize) -> Self {
        Self { rank: Some(rank), ..self }
    }
}

#[derive(Clone, Debug)]
pub(super) enum Cell {
    Text(String),
    /// Text in a colour, given as the number of its escape sequence (SGR).
    Painted(&'static str, String),
    /// A bar as wide as the column.
    Bar(Share),
}

impl<T: Into<String>> From<T> for Cell {
    fn from(text: T) -> Self {
        Self::Text(text.into())
    }
}

impl Cell {
    fn width(&self) -> usize {
        match self {
            Self::Text(text) | Self::Painted(_, text) => text.width(),
            Self::Bar(_) => bar::WIDEST,
        }
    }

    fn shown(&self, width: usize, style: Style) -> String {
        match self {
            Self::Text(text) => shortened(text, width, style.unicode),
            Self::Painted(code, text) => style.paint(code, &shortened(text, width, style.unicode)),
            Self::Bar(share) => bar::interval(*share, width, style.unicode),
        }
    }
}

/// A table without lines.
#[derive(Debug)]
pub(super) struct Table {
    columns: Vec<Column>,
    rows: Vec<Vec<Cell>>,
}

impl Table {
    pub(super) fn new(columns: Vec<Column>) -> Self {
        Self { columns, rows: Vec::new() }
    }

    /// Adds a line with one cell per column.
    pub(super) fn row(&mut self, cells: Vec<Cell>) {
        self.rows.push(cells);
    }

    /// The lines, indented, without trailing spaces.
    pub(super) fn render(&self, indent: &str, style: Style) -> String {
        let kept = self.fit(style.width.saturating_sub(indent.len()));
        let mut grid = Grid::new();
        grid.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled);
        grid.set_header(
            kept.iter()
                .map(|(place, width)| shortened(&self.columns[*place].head, *width, style.unicode)),
        );
        for ((place, _), column) in kept.iter().zip(grid.column_iter_mut()) {
            column.set_padding((0, GAP as u16));
            if self.columns[*place].right {
                column.set_cell_alignment(CellAlignment::Right);
            }
        }
        for row in &self.rows {
            grid.add_row(kept.iter().map(|(place, width)| row[*place].shown(*width, style)));
        }
        grid.lines().map(|line| format!("{indent}{}\n", line.trim_end())).collect()
    }

    /// The places of the columns that are shown, and their widths.
    fn fit(&self, width: usize) -> Vec<(usize, usize)> {
        let natural = |place: usize| {
            let cells = self.rows.iter().map(|row| row[place].width());
            cells.chain([self.columns[place].head.width()]).max().unwrap_or(0)
        };
        let mut kept: Vec<_> = (0..self.columns.len()).map(|n| (n, natural(n))).collect();
        loop {
            let all: usize = kept.iter().map(|(_, wide)| wide + GAP).sum();
            let over = (all.saturating_sub(GAP)).saturating_sub(width);
            if over == 0 {
                return kept;
            }
            let shrinkable = |(place, wide): &(usize, usize)| {
                self.columns[*place].least.is_some_and(|least| *wide > least)
            };
            let bar = |place: usize| {
                self.rows.first().is_some_and(|row| matches!(row[place], Cell::Bar(_)))
            };
            // Shrinks the bar first, then the widest column, one character at a time.
            let widest = kept
                .iter_mut()
                .filter(|column| shrinkable(column))
                .max_by_key(|(place, wide)| (bar(*place), *wide));
            if let Some((_, wide)) = widest {
                *wide -= 1;
                continue;
            }
            let least = kept.iter().filter_map(|(n, _)| Some((self.columns[*n].rank?, *n))).min();
            let Some((_, gone)) = least else { return kept };
            kept.retain(|(place, _)| *place != gone);
            // The other columns may use the new room.
            kept.iter_mut().for_each(|(place, wide)| *wide = natural(*place));
        }
    }
}
