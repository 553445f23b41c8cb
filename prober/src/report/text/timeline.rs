//! A timeline as a small chart: one line of blocks per cluster and one for failures.

use std::collections::BTreeMap;

use unicode_width::UnicodeWidthStr as _;

use super::table::{self, Column, Table};
use super::{Style, width};
use crate::tally::timeline::{Cell, Timeline};
use crate::units::{count, shown_round, shown_us};

/// The width of the widest chart, in characters.
const COLUMNS: usize = 60;
/// From few to most; zero is a space.
const BLOCKS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
const ASCII: [char; 8] = ['.', ':', '-', '=', '+', '*', '%', '#'];
/// The width that names shrink to.
const NAME: usize = 16;

/// Answers per cluster and failures over time, on one scale.
pub(super) fn render(out: &mut String, timeline: &Timeline, style: Style) {
    let bins = timeline.bins();
    if bins == 0 {
        return;
    }
    let names = timeline.backends.keys().map(|who| who.cluster.width());
    let name = names.chain(["other pods".len()]).max().unwrap_or(0).min(NAME);
    let most = COLUMNS.min(style.width.saturating_sub(name + 4)).max(1);
    let group = bins.div_ceil(most);
    let columns = bins.div_ceil(group);
    let mut clusters: BTreeMap<&str, Vec<u64>> = BTreeMap::new();
    for (who, cells) in &timeline.backends {
        add(clusters.entry(&who.cluster).or_insert_with(|| vec![0; columns]), cells, group);
    }
    let mut others = vec![0; columns];
    add(&mut others, &timeline.others, group);
    let mut failed = vec![0; columns];
    for (place, bin) in timeline.failures.iter().enumerate() {
        failed[place / group] += bin.iter().sum::<u64>();
    }
    let lines: Vec<_> = clusters
        .into_iter()
        .chain([("other pods", others)])
        .filter(|(_, line)| line.iter().any(|count| *count > 0))
        .collect();
    let most = lines.iter().flat_map(|(_, line)| line).chain(&failed).max().copied().unwrap_or(1);
    let ends = |bins: usize| timeline.width_ms.saturating_mul(1000).saturating_mul(bins as u64);
    let head = format!("each {}, at most {most}", shown_round(ends(group) as f64));
    let mut table = Table::new(vec![Column::new("OVER TIME").shrinks(NAME), Column::new(head)]);
    for (name, line) in &lines {
        table.row(vec![(*name).into(), picture(line, most, style).into()]);
    }
    if failed.iter().any(|count| *count > 0) {
        table.row(vec!["failed".into(), table::Cell::Painted("31", picture(&failed, most, style))]);
    }
    table.row(vec!["".into(), axis(columns, &shown_us(ends(bins))).into()]);
    out.push_str(&table.render("  ", style));
    if let Some(span) = span(timeline) {
        out.push_str(&width::wrapped(&format!("  {span}\n"), style));
    }
}

fn add(line: &mut [u64], cells: &[Cell], group: usize) {
    for (place, cell) in cells.iter().enumerate() {
        line[place / group] += cell.answers;
    }
}

fn picture(line: &[u64], most: u64, style: Style) -> String {
    let blocks = if style.unicode { BLOCKS } else { ASCII };
    let block = |count: &u64| match (u128::from(*count) * 8).div_ceil(u128::from(most.max(1))) {
        0 => ' ',
        eighths => blocks[eighths as usize - 1],
    };
    line.iter().map(block).collect::<String>().trim_end().to_owned()
}

/// `0` below the first column, and the end of the run below the last one if there is room.
fn axis(columns: usize, end: &str) -> String {
    let room = columns.saturating_sub(end.chars().count()).max(2);
    format!("0{}{end}", " ".repeat(room - 1))
}

/// When requests failed, more precisely than the chart shows.
fn span(timeline: &Timeline) -> Option<String> {
    let some = |bin: &[u64]| bin.iter().any(|count| *count > 0);
    let first = timeline.failures.iter().position(|bin| some(bin))?;
    let last = timeline.failures.iter().rposition(|bin| some(bin))? + 1;
    let [from, to] = [first, last].map(|bins| {
        let us = timeline.width_ms.saturating_mul(1000).saturating_mul(bins as u64);
        if us == 0 { "0 ms".to_owned() } else { shown_round(us as f64) }
    });
    let failed: u64 = timeline.failures.iter().flatten().sum();
    Some(format!("{} failed, started between {from} and {to}", count(failed, "request")))
}
