//! A run over time: three stacked panels (answers per cluster, failures, p99 latency) with the
//! run's events marked, and the same data as a table.

mod beside;
mod columns;

use maud::{Markup, html};

use super::plot::{self, ACROSS, Scale};
use super::who::cluster_name;
use crate::report::groups::{Clusters, class};
use crate::tally::Tally;
use crate::units::{shown_round, shown_us};
use beside::{described, legend, table};
use columns::Columns;

/// The panels, in pixels from the top.
#[derive(Clone, Copy)]
struct Layout {
    answers: Panel,
    failed: Panel,
    p99: Panel,
}

#[derive(Clone, Copy)]
struct Panel {
    top: f64,
    height: f64,
}

impl Layout {
    /// Without failures, their panel has no height.
    fn of(columns: &Columns) -> Self {
        let none = columns.failed.iter().all(|count| *count == 0);
        let answers = Panel { top: 36.0, height: 130.0 };
        let failed = Panel { top: answers.end() + 28.0, height: if none { 0.0 } else { 44.0 } };
        let p99 = Panel { top: failed.end() + 28.0, height: 90.0 };
        Self { answers, failed, p99 }
    }

    /// The height of the plot, including the axis.
    fn height(self) -> f64 {
        self.p99.end() + 26.0
    }
}

impl Panel {
    fn end(self) -> f64 {
        self.top + self.height
    }
}

pub(super) fn render(id: &str, tally: &Tally, clusters: &Clusters<'_>) -> Markup {
    let Some(columns) = Columns::of(tally, clusters) else { return html! {} };
    let layout = Layout::of(&columns);
    let (title, desc) = (format!("{id}-timeline"), format!("{id}-timeline-text"));
    html! {
        h3 { "Over time" }
        figure {
            figcaption {
                "Answers per cluster, failures and p99 in columns of " (shown_us(columns.width_us))
            }
            (legend(&columns, tally, clusters))
            div.plot {
                svg.chart role="img" width="100%" height=(layout.height()) aria-labelledby={ (title) " " (desc) } {
                    title id=(title) { "Answers per cluster, failures and latency over time" }
                    desc id=(desc) { (described(&columns, tally, clusters)) }
                    (bands(&columns, layout, tally))
                    (answers(&columns, layout.answers, clusters))
                    (failed(&columns, layout.failed))
                    (p99(&columns, layout.p99))
                    (events(&columns, layout, tally))
                    (axis(&columns, layout))
                    (hover(&columns, layout, clusters))
                }
            }
        }
        (table(&columns, clusters))
    }
}

/// Whether the cluster at a place has a texture: the first and the last colour have none.
fn textured(place: usize, clusters: &Clusters<'_>) -> bool {
    place > 0 && place < clusters.names().len() && place + 1 < crate::report::groups::COLOURS
}

/// The times to failover and to failback that are above 0: (start, duration) in µs.
fn recoveries(tally: &Tally) -> Vec<(u64, u64)> {
    let Some(times) = &tally.failover else { return Vec::new() };
    let from_fault = times.failover_us.map(|took| (times.fault_us, took));
    let from_recovery = times.recovery_us.zip(times.failback_us);
    [from_fault, from_recovery].into_iter().flatten().filter(|(_, took)| *took > 0).collect()
}

fn bands(columns: &Columns, layout: Layout, tally: &Tally) -> Markup {
    html! {
        @for (from, took) in recoveries(tally) {
            rect.band x=(columns.percent(from)) width=(plot::percent(took as f64 / columns.span_us as f64))
                y=(layout.answers.top) height=(layout.p99.end() - layout.answers.top) {}
        }
    }
}

/// The title, ticks and grid lines of a panel.
fn panel(at: Panel, words: &str, scale: &Scale, ticks: &[(f64, String)]) -> Markup {
    html! {
        text.panel x="0" y=(at.top - 7.0) { (words) }
        @for (tick, shown) in ticks {
            @let y = plot::number(at.top + at.height * (1.0 - scale.at(*tick)));
            line.grid x1="0" x2="100%" y1=(y) y2=(y) {}
            text.tick x="-8" y=(y) dy="4" text-anchor="end" { (shown) }
        }
    }
}

/// The inner part of a panel, stretched to its width.
fn inner(at: Panel, content: &Markup) -> Markup {
    html! {
        svg.inner y=(at.top) width="100%" height=(at.height)
            viewBox={ "0 0 " (ACROSS) " " (at.height) }
            preserveAspectRatio="none" { (content) }
    }
}

fn answers(columns: &Columns, at: Panel, clusters: &Clusters<'_>) -> Markup {
    let seconds = columns.width_us as f64 / 1e6;
    let scale = Scale::linear(columns.most_answers() as f64 / seconds);
    let width = ACROSS * columns.part();
    let mut below = vec![0u64; columns.len()];
    let height = |count: &u64| at.height * (1.0 - scale.at(*count as f64 / seconds));
    let mut areas = Vec::new();
    for (place, counts) in &columns.clusters {
        let above: Vec<u64> = below.iter().zip(counts).map(|(a, b)| a + b).collect();
        let top: Vec<_> = above.iter().map(height).collect();
        let bottom: Vec<_> = below.iter().map(height).collect();
        areas.push((*place, plot::area(&top, &bottom, width)));
        below = above;
    }
    let content = html! {
        @for (place, path) in &areas {
            path.{ "area " (class(*place, clusters.names().len())) } d=(path) {}
            @if textured(*place, clusters) {
                path d=(path) fill={ "url(#texture-" (place + 1) ")" } {}
            }
        }
    };
    let ticks: Vec<_> = scale.ticks().into_iter().map(|tick| (tick, plot::number(tick))).collect();
    html! {
        (panel(at, "Answers per second", &scale, &ticks))
        (inner(at, &content))
    }
}

fn failed(columns: &Columns, at: Panel) -> Markup {
    let scale = Scale::linear(columns.failed.iter().copied().max().unwrap_or(0) as f64);
    let most = scale.ticks().last().copied().unwrap_or(1.0);
    let width = ACROSS * columns.part();
    let content = html! {
        @for (place, count) in columns.failed.iter().enumerate().filter(|(_, count)| **count > 0) {
            @let height = at.height * scale.at(*count as f64);
            rect.failed x=(plot::number(place as f64 * width)) width=(plot::number(width))
                y=(plot::number(at.height - height)) height=(plot::number(height)) {}
        }
    };
    let ticks = [(0.0, "0".to_owned()), (most, plot::number(most))];
    html! {
        @if at.height > 0.0 {
            (panel(at, "Failed", &scale, &ticks))
            (inner(at, &content))
        } @else {
            (panel(at, "Failed: none", &scale, &[]))
        }
    }
}

fn p99(columns: &Columns, at: Panel) -> Markup {
    let times = columns.p99_us.iter().filter_map(|us| us.map(f64::from));
    let scale = Scale::of_times(times);
    let width = ACROSS * columns.part();
    let heights: Vec<_> = columns
        .p99_us
        .iter()
        .map(|us| us.map(|us| at.height * (1.0 - scale.at(f64::from(us)))))
        .collect();
    let content = html! { path.latency d=(plot::steps(&heights, width)) {} };
    let ticks: Vec<_> = scale.ticks().into_iter().map(|tick| (tick, shown_round(tick))).collect();
    let words = if scale.is_log() { "p99, logarithmic" } else { "p99" };
    html! {
        (panel(at, words, &scale, &ticks))
        (inner(at, &content))
    }
}

fn events(columns: &Columns, layout: Layout, tally: &Tally) -> Markup {
    html! {
        @for (place, event) in tally.events.iter().enumerate() {
            @let x = columns.percent(event.instant_us());
            line.event x1=(x) x2=(x) y1="14" y2=(layout.p99.end()) {}
            circle.mark cx=(x) cy="8" r="8" {}
            text.mark x=(x) y="12" text-anchor="middle" { (place + 1) }
        }
    }
}

fn axis(columns: &Columns, layout: Layout) -> Markup {
    let span = columns.span_us as f64;
    let step = plot::step(span, 6.0);
    let count = (span / step + 1e-9).floor() as u32;
    html! {
        @for n in 0..=count {
            @let at = f64::from(n) * step;
            text.tick.minor[n % 2 == 1] x=(plot::percent(at / span)) y=(layout.height() - 6.0)
                text-anchor=(if n == 0 { "start" } else { "middle" }) { (shown_round(at)) }
        }
    }
}

/// Invisible columns that show their numbers on hover.
fn hover(columns: &Columns, layout: Layout, clusters: &Clusters<'_>) -> Markup {
    html! {
        @for place in 0..columns.len() {
            rect.hover x=(plot::percent(place as f64 * columns.part())) width=(plot::percent(columns.part()))
                y=(layout.answers.top) height=(layout.p99.end() - layout.answers.top) {
                title {
                    "from " (columns.start(place)) ": "
                    @for (cluster, counts) in &columns.clusters {
                        (printable::clean(cluster_name(*cluster, clusters))) " " (counts[place]) ", "
                    }
                    (columns.failed[place]) " failed, p99 " (columns.p99(place))
                }
            }
        }
    }
}
