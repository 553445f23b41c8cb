//! Who answered, as tables: the backends of a row, and the addresses that led to them.

use std::fmt::Write as _;

use super::style::{self, RED, Style};
use super::table::{Cell, Column, Table};
use super::{bar, width};
use crate::report::groups::{self, Clusters, Groups};
use crate::tally::Tally;
use crate::units::{count, percent, rounded_percent, shown_time};
use crate::verdict;

/// From this width on, tables show intervals also as numbers.
const WIDE: usize = 90;
/// The most addresses that are listed.
pub(super) const MAX_ADDRESSES: usize = 16;

/// The backends of a row.
#[derive(Debug)]
pub(super) struct Backends {
    pub(super) table: Table,
    /// The line about the backends that have no line of their own.
    folded: Option<String>,
}

/// The backends with the most answers, one line each, ordered by cluster and answers; `None` if no
/// backend is known. `failures`: whether the table has a column for failures.
pub(super) fn of(
    tally: &Tally,
    clusters: &Clusters<'_>,
    failures: bool,
    style: Style,
) -> Option<Backends> {
    let groups = Groups::of(tally, clusters);
    if groups.backends.is_empty() {
        return None;
    }
    let wide = style.width >= WIDE;
    let mut table = Table::new(columns(wide, failures));
    for backend in &groups.backends {
        let (share, between) = (backend.share.share, backend.share.between);
        let latency = backend.counted.latency();
        let colour = style::of_cluster(clusters.place(&backend.who.cluster), clusters);
        let mut cells: Vec<Cell> = vec![
            Cell::Painted(colour, backend.who.cluster.clone()),
            backend.who.pod.as_str().into(),
            backend.share.answers.to_string().into(),
            backend.counted.connections.to_string().into(),
        ];
        if failures {
            let failed = backend.failed.to_string();
            cells.push(if backend.failed > 0 { Cell::Painted(RED, failed) } else { failed.into() });
        }
        cells.push(rounded_percent(share).into());
        if wide {
            cells.push(bounds(between).into());
        }
        cells.extend([
            Cell::Bar(bar::Share { share, between }, colour),
            shown_time(latency.quantile(0.5)).into(),
            shown_time(latency.quantile(0.99)).into(),
        ]);
        table.row(cells);
    }
    let folded = (groups.folded > 0).then(|| {
        format!(
            "  and {} with {} on {}\n",
            count(groups.folded as u64, "more pod"),
            count(groups.folded_answers, "answer"),
            count(groups.folded_connections, "connection"),
        )
    });
    Some(Backends { table, folded })
}

/// The columns; `wide` is whether there is room for intervals as numbers.
fn columns(wide: bool, failures: bool) -> Vec<Column> {
    let mut columns = vec![
        Column::new("CLUSTER").shrinks(7),
        Column::new("POD").shrinks(12),
        Column::new("ANSWERS").right(),
        Column::new("CONNS").right().rank(1),
    ];
    columns.extend(failures.then(|| Column::new("FAILED").right()));
    columns.push(Column::new("SHARE").right());
    if wide {
        let confidence = percent(verdict::CONFIDENCE);
        columns.push(Column::new(format!("{confidence}% SURE")).right().rank(2));
    }
    columns.extend([
        Column::new("").shrinks(8).rank(3),
        Column::new("P50").right().rank(0),
        Column::new("P99").right(),
    ]);
    columns
}

impl Backends {
    pub(super) fn render(&self, out: &mut String, style: Style) {
        out.push_str(&self.table.render("  ", style));
        if let Some(line) = &self.folded {
            out.push_str(&width::wrapped(line, style));
        }
    }
}

/// Both bounds of an interval in whole percent, rounded outwards: `38–64%`.
fn bounds((lower, upper): (f64, f64)) -> String {
    format!("{:.0}–{:.0}%", (lower * 100.0).floor(), (upper * 100.0).ceil())
}

/// The addresses that were connected to, those with the most answers first. A single address is
/// shown only if the style is verbose.
pub(super) fn addresses(out: &mut String, tally: &Tally, style: Style) {
    let least = if style.verbose { 1 } else { 2 };
    if tally.addresses.len() < least {
        return;
    }
    let all = groups::addresses(tally);
    let numbers = ["CONNECTIONS", "ANSWERS"].map(|head| Column::new(head).right());
    let address = Column::new("ADDRESS").shrinks(12);
    let mut table = Table::new([address].into_iter().chain(numbers).collect());
    for (address, counted) in all.iter().take(MAX_ADDRESSES) {
        let (connections, answers) = (counted.connections, counted.answers);
        let cells = [address.to_string(), connections.to_string(), answers.to_string()];
        table.row(cells.map(Cell::from).to_vec());
    }
    out.push_str(&table.render("  ", style));
    if let Some(more) = all.get(MAX_ADDRESSES..).filter(|more| !more.is_empty()) {
        let answers: u64 = more.iter().map(|(_, counted)| counted.answers).sum();
        let more = count(more.len() as u64, "more address");
        let _ = writeln!(out, "  and {more} with {}", count(answers, "answer"));
    }
}
