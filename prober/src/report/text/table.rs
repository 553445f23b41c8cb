//! Aligned columns, two spaces apart, in as much width as there is: what is wider shrinks, bars
//! before names, then columns that can be missed are left out.

use comfy_table::{CellAlignment, ContentArrangement, Table as Grid, presets};
use unicode_width::UnicodeWidthStr as _;

use super::Style;
use super::bar::{self, Share};
use super::width::shortened;

/// Columns are this far apart.
const GAP: usize = 2;

/// A column: its head, and what happens to it where there is little width.
#[derive(Clone, Debug)]
pub(super) struct Column {
    head: String,
    right: bool,
    /// How narrow it may become; `None`: it stays as wide as it is.
    least: Option<usize>,
    /// Columns with a rank are left out where there is no room, the lowest first.
    rank: Option<usize>,
}

impl Column {
    /// Numbers and words that are never cut.
    pub(super) fn new(head: impl Into<String>) -> Self {
        Self { head: head.into(), right: false, least: None, rank: None }
    }

    /// Aligned right.
    pub(super) fn right(self) -> Self {
        Self { right: true, ..self }
    }

    /// May shrink to so many characters.
    pub(super) fn shrinks(self, least: usize) -> Self {
        Self { least: Some(least), ..self }
    }

    /// May be left out: the lower the rank, the sooner.
    pub(super) fn rank(self, rank: usize) -> Self {
        Self { rank: Some(rank), ..self }
    }
}

/// What stands in a column.
#[derive(Clone, Debug)]
pub(super) enum Cell {
    /// Text.
    Text(String),
    /// Text in a colour, given as the number of its escape sequence.
    Painted(&'static str, String),
    /// A share as a bar, as wide as the column.
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
    /// A table of these columns.
    pub(super) fn new(columns: Vec<Column>) -> Self {
        Self { columns, rows: Vec::new() }
    }

    /// Adds a line, a cell for each column.
    pub(super) fn row(&mut self, cells: Vec<Cell>) {
        self.rows.push(cells);
    }

    /// The lines, each behind `indent`, without trailing space.
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

    /// The columns that are shown, by their places, and how wide each is.
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
            // The bar first, then whatever is widest, a character at a time.
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
            // What shrank for it may be wide again.
            kept.iter_mut().for_each(|(place, wide)| *wide = natural(*place));
        }
    }
}
