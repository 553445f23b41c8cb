//! All rows of a report in one table.

use super::style::{self, RED, Style, YELLOW};
use super::table::{Cell, Column, Table};
use super::width;
use crate::report::Report;
use crate::report::groups::{self, Clusters};
use crate::tally::Label;
use crate::units::rounded_percent;

/// The most clusters of the table. No layout has room for more columns.
const MAX_CLUSTERS: usize = 100;

/// A count in a colour unless it is 0.
fn counted(n: u64, colour: &'static str, shown: String) -> Cell {
    if n > 0 { Cell::Painted(colour, shown) } else { shown.into() }
}

/// A table with one line per row: share of each cluster, failures, retries, verdict.
pub(super) fn render(out: &mut String, report: &Report, shown: &Clusters<'_>, style: Style) {
    let mut clusters = report.all_clusters();
    clusters.truncate(MAX_CLUSTERS);
    let mut columns = ["SOURCE", "TARGET"].map(|head| Column::new(head).shrinks(8)).to_vec();
    // Without room for all clusters, the last ones are left out first.
    columns.extend(clusters.iter().enumerate().map(|(place, name)| {
        let colour = style::of_cluster(shown.place(name), shown);
        Column::new(name.as_str())
            .right()
            .shrinks(6)
            .rank(1 + clusters.len() - place)
            .in_colour(colour)
    }));
    columns.push(Column::new("FAILED").right().rank(2 + clusters.len()));
    columns.extend([Column::new("RETRIED").right().rank(0), Column::new("VERDICT")]);
    let mut table = Table::new(columns);
    for row in &report.rows {
        let source = row.source.clone().unwrap_or_else(|| "here".to_owned());
        let mut cells: Vec<Cell> = vec![source.into(), row.target_shown().into()];
        let verdict = row.verdict();
        match row.tally() {
            Some(tally) => {
                let answers = tally.answers_by(Label::Cluster);
                let total = tally.answers();
                cells.extend(clusters.iter().map(|cluster| match answers.get(cluster.as_str()) {
                    Some(n) => rounded_percent(*n as f64 / total as f64).into(),
                    None => "–".into(),
                }));
                cells.push(counted(
                    tally.failed_requests(),
                    RED,
                    tally.failed_requests().to_string(),
                ));
                let retried = tally.known_retries();
                let shown = groups::retries_cell(retried);
                cells.push(counted(retried.unwrap_or(0), YELLOW, shown));
                cells.push(Cell::Painted(style::of_verdict(verdict), verdict.word().to_owned()));
            }
            None => {
                cells.extend(vec!["–".into(); clusters.len() + 2]);
                let word = format!("{} not probed", verdict.word());
                cells.push(Cell::Painted(style::of_verdict(verdict), word));
            }
        }
        table.row(cells);
    }
    out.push_str(&table.render("", style));
    out.push_str(&width::wrapped(&format!("\n{}\n", report.summary()), style));
}
