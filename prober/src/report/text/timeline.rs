//! A timeline as a small picture: a line of blocks for each cluster, one for failures.

use std::collections::BTreeMap;
use std::time::Duration;

use unicode_width::UnicodeWidthStr as _;

use super::table::{self, Column, Table};
use super::{Style, width};
use crate::tally::timeline::{Cell, Timeline};
use crate::units::shown_time;

/// The widest picture, in characters.
const COLUMNS: usize = 60;
/// From few to most; nothing is a space.
const BLOCKS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
const ASCII: [char; 8] = ['.', ':', '-', '=', '+', '*', '%', '#'];
/// The widest name beside it, where there is little width.
const NAME: usize = 16;

/// Answers per cluster and failures over time, all on one scale.
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
        count(clusters.entry(&who.cluster).or_insert_with(|| vec![0; columns]), cells, group);
    }
    let mut others = vec![0; columns];
    count(&mut others, &timeline.others, group);
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
    let bin = Duration::from_millis(timeline.width_ms);
    let each = bin.saturating_mul(u32::try_from(group).unwrap_or(u32::MAX));
    let head = format!("each {}, at most {most}", shown_width(each));
    let mut table = Table::new(vec![Column::new("OVER TIME").shrinks(NAME), Column::new(head)]);
    for (name, line) in &lines {
        table.row(vec![(*name).into(), picture(line, most, style).into()]);
    }
    if failed.iter().any(|count| *count > 0) {
        table.row(vec!["failed".into(), table::Cell::Painted("31", picture(&failed, most, style))]);
    }
    let end = shown_time(Some(bin.saturating_mul(u32::try_from(bins).unwrap_or(u32::MAX))));
    table.row(vec!["".into(), axis(columns, &end).into()]);
    out.push_str(&table.render("  ", style));
    if let Some(span) = span(timeline, bin) {
        out.push_str(&width::wrapped(&format!("  {span}\n"), style));
    }
}

fn count(line: &mut [u64], cells: &[Cell], group: usize) {
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

/// `0` under the first column, and the end under the last one if there is room between.
fn axis(columns: usize, end: &str) -> String {
    let room = columns.saturating_sub(end.chars().count()).max(2);
    format!("0{}{end}", " ".repeat(room - 1))
}

/// When requests failed: what a picture of few columns cannot tell.
fn span(timeline: &Timeline, width: Duration) -> Option<String> {
    let some = |bin: &[u64]| bin.iter().any(|count| *count > 0);
    let first = timeline.failures.iter().position(|bin| some(bin))?;
    let last = timeline.failures.iter().rposition(|bin| some(bin))? + 1;
    let time =
        |bins: usize| shown_width(width.saturating_mul(u32::try_from(bins).unwrap_or(u32::MAX)));
    let count: u64 = timeline.failures.iter().flatten().sum();
    Some(format!(
        "failed: {count} of the requests that started between {} and {}",
        time(first),
        time(last)
    ))
}

/// A time of whole ms, exactly: `100 ms`, `1.2 s`.
fn shown_width(width: Duration) -> String {
    match width.as_millis() {
        ms if ms < 1000 => format!("{ms} ms"),
        ms => format!("{} s", ms as f64 / 1000.0),
    }
}
