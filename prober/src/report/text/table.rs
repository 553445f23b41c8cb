//! Aligned columns that fit the width: too wide columns shrink (bars before names), then columns
//! with a low rank are left out.

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
    /// The colour of the head.
    colour: Option<&'static str>,
}

impl Column {
    /// A column that is never cut or left out, aligned left.
    pub(super) fn new(head: impl Into<String>) -> Self {
        Self { head: head.into(), right: false, least: None, rank: None, colour: None }
    }

    pub(super) fn right(self) -> Self {
        Self { right: true, ..self }
    }

    /// May shrink to `least` characters.
    pub(super) fn shrinks(self, least: usize) -> Self {
        Self { least: Some(least), ..self }
    }

    /// The head has this colour.
    pub(super) fn in_colour(self, colour: &'static str) -> Self {
        Self { colour: Some(colour), ..self }
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
    /// A bar as wide as the column, in a colour.
    Bar(Share, &'static str),
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
            Self::Bar(..) => bar::WIDEST,
        }
    }

    /// The text without its colour, and its colour.
    fn shown(&self, width: usize, style: Style) -> (String, Option<&'static str>) {
        match self {
            Self::Text(text) => (shortened(text, width, style.unicode), None),
            Self::Painted(code, text) => (shortened(text, width, style.unicode), Some(code)),
            Self::Bar(share, code) => (bar::interval(*share, width, style.unicode), Some(code)),
        }
    }
}

/// A table without lines.
#[derive(Debug)]
pub(super) struct Table {
    columns: Vec<Column>,
    rows: Vec<Vec<Cell>>,
    /// The least width of each column, so that it is as wide as in other tables.
    floors: Vec<usize>,
}

/// Makes each column as wide in all of the tables. They have the same columns.
pub(super) fn align(tables: &mut [&mut Table]) {
    let places = tables.iter().map(|table| table.columns.len()).max().unwrap_or(0);
    let widest = |place: usize| {
        let natural = tables.iter().filter(|table| place < table.columns.len());
        natural.map(|table| table.natural(place)).max().unwrap_or(0)
    };
    let floors: Vec<_> = (0..places).map(widest).collect();
    tables.iter_mut().for_each(|table| table.floors.clone_from(&floors));
}

impl Table {
    pub(super) fn new(columns: Vec<Column>) -> Self {
        Self { columns, rows: Vec::new(), floors: Vec::new() }
    }

    /// Adds a line with one cell per column.
    pub(super) fn row(&mut self, cells: Vec<Cell>) {
        self.rows.push(cells);
    }

    /// The lines, indented, without trailing spaces.
    pub(super) fn render(&self, indent: &str, style: Style) -> String {
        let kept = self.fit(style.width.saturating_sub(indent.len()));
        let head = |place: usize| {
            let Column { head, colour, .. } = self.columns[place].clone();
            colour
                .map_or_else(|| Cell::Text(head.clone()), |code| Cell::Painted(code, head.clone()))
        };
        let mut out = self.line(&kept, indent, style, head);
        for row in &self.rows {
            out.push_str(&self.line(&kept, indent, style, |place| row[place].clone()));
        }
        out
    }

    /// A line of the columns at these places with these widths.
    fn line(
        &self,
        kept: &[(usize, usize)],
        indent: &str,
        style: Style,
        cell: impl Fn(usize) -> Cell,
    ) -> String {
        let (mut line, mut gap) = (indent.to_owned(), 0);
        for (place, width) in kept {
            let (text, code) = cell(*place).shown(*width, style);
            let room = width.saturating_sub(text.width());
            let (before, after) = if self.columns[*place].right { (room, 0) } else { (0, room) };
            if !text.is_empty() {
                line.push_str(&" ".repeat(gap + before));
                line.push_str(&code.map_or_else(|| text.clone(), |code| style.paint(code, &text)));
                gap = 0;
            } else {
                gap += before;
            }
            gap += after + GAP;
        }
        line.push('\n');
        line
    }

    /// The width that a column needs.
    fn natural(&self, place: usize) -> usize {
        let cells = self.rows.iter().map(|row| row[place].width());
        let floor = self.floors.get(place).copied().unwrap_or(0);
        cells.chain([self.columns[place].head.width(), floor]).max().unwrap_or(0)
    }

    /// The places of the columns that are shown, and their widths.
    fn fit(&self, width: usize) -> Vec<(usize, usize)> {
        let mut kept: Vec<_> = (0..self.columns.len()).map(|n| (n, self.natural(n))).collect();
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
                self.rows.first().is_some_and(|row| matches!(row[place], Cell::Bar(..)))
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
            kept.iter_mut().for_each(|(place, wide)| *wide = self.natural(*place));
        }
    }
}
