//! Latency by percentile, one line per backend, as in HdrHistogram's plots: the x axis is
//! logarithmic in the distance to 100 %, so p90, p99 and p99.9 are equally far apart.

use maud::{Markup, html};

use super::plot::{self, ACROSS, Scale};
use super::words::name;
use crate::report::groups::{Backend, Clusters, Groups};
use crate::tally::Tally;
use crate::tally::latency::Latency;
use crate::units::{shown_round, shown_time};

/// The most lines that a reader can tell apart.
const MOST_LINES: usize = 8;
/// The number of dash patterns in the style sheet.
const DASHES: usize = 6;
/// The height of the plot, in pixels.
const HEIGHT: f64 = 220.0;
/// Points per nine of the percentile.
const POINTS: u32 = 24;

struct Line<'a> {
    backend: &'a Backend<'a>,
    class: String,
    /// (nines of the percentile, latency in µs)
    points: Vec<(f64, f64)>,
}

pub(super) fn render(
    id: &str,
    tally: &Tally,
    groups: &Groups<'_>,
    clusters: &Clusters<'_>,
) -> Markup {
    let lines = lines(groups, clusters);
    if lines.is_empty() {
        return html! {};
    }
    let all = || lines.iter().flat_map(|line| &line.points);
    let nines = all().map(|(nines, _)| *nines).fold(1.0, f64::max);
    let times: Vec<f64> = all().map(|(_, us)| *us).collect();
    let scale = Scale::of_times(times.iter().copied());
    let (title, desc) = (format!("{id}-latency"), format!("{id}-latency-text"));
    html! {
        h3 { "Latency" }
        figure {
            figcaption {
                "Latency by percentile" @if scale.is_log() { ", on a logarithmic scale" }
                @if lines.len() < tally.backends.len() {
                    ", for the " (lines.len()) " backends with the most answers"
                }
            }
            (legend(&lines))
            div.plot {
                svg.chart role="img" width="100%" height=(HEIGHT + 26.0)
                    aria-labelledby={ (title) " " (desc) } {
                    title id=(title) { "Latency by percentile and backend" }
                    desc id=(desc) { (described(&lines)) }
                    @for tick in scale.ticks() { (grid(&scale, tick)) }
                    @for (place, (words, at)) in percentiles(nines).iter().enumerate() {
                        line.grid x1=(plot::percent(at / nines)) x2=(plot::percent(at / nines)) y1="0" y2=(HEIGHT) {}
                        text.tick.minor[place == 1] x=(plot::percent(at / nines)) y=(HEIGHT + 18.0)
                            text-anchor=(if place == 0 { "start" } else { "middle" }) { (words) }
                    }
                    svg.inner width="100%" height=(HEIGHT) viewBox={ "0 0 " (ACROSS) " " (HEIGHT) }
                        preserveAspectRatio="none" {
                        @for line in &lines {
                            path.{ "line " (line.class) } d=(path(line, &scale, nines)) {}
                        }
                    }
                    @for line in &lines {
                        @if let Some((at, us)) = line.points.last() {
                            circle.{ "dot " (line.class) } cx=(plot::percent(at / nines))
                                cy=(plot::number(HEIGHT * (1.0 - scale.at(*us)))) r="3.5" {}
                        }
                    }
                }
            }
        }
    }
}

/// The lines of the backends with the most answers, in the order of the table.
fn lines<'a>(groups: &'a Groups<'a>, clusters: &Clusters<'_>) -> Vec<Line<'a>> {
    let mut answers: Vec<_> = groups.backends.iter().map(|b| b.counted.answers).collect();
    answers.sort_unstable_by_key(|answers| std::cmp::Reverse(*answers));
    let least = answers.get(MOST_LINES - 1).copied().unwrap_or(0);
    let mut of_cluster = [0; crate::report::groups::COLOURS + 1];
    let shown = groups.backends.iter().filter(|backend| backend.counted.answers >= least);
    shown
        .take(MOST_LINES)
        .map(|backend| {
            let nth = &mut of_cluster[clusters.place(&backend.who.cluster)];
            let class = format!("{} d{}", clusters.class(&backend.who.cluster), *nth % DASHES);
            *nth += 1;
            Line { backend, class, points: points(&backend.counted.latency()) }
        })
        .filter(|line| !line.points.is_empty())
        .collect()
}

/// The latencies from the shortest to the longest. The longest is drawn at the percentile
/// `1 - 1/count`.
fn points(latency: &Latency) -> Vec<(f64, f64)> {
    let count = latency.count();
    if count == 0 {
        return Vec::new();
    }
    let most = (count as f64).log10();
    let steps = (most * f64::from(POINTS)).ceil() as u32;
    let nines = (0..steps).map(|step| f64::from(step) / f64::from(POINTS)).chain([most]);
    let us = |nines: f64| {
        let time = latency.quantile(1.0 - 10f64.powf(-nines)).unwrap_or_default();
        time.as_micros() as f64
    };
    let mut points: Vec<_> = nines.map(|nines| (nines, us(nines))).collect();
    if let (Some(last), Some(max)) = (points.last_mut(), latency.max()) {
        last.1 = max.as_micros() as f64;
    }
    points
}

/// The labels of the x axis, each with its place in nines.
fn percentiles(nines: f64) -> Vec<(String, f64)> {
    let mut all = vec![("min".to_owned(), 0.0), ("p50".to_owned(), 2f64.log10())];
    for n in 1..=nines.floor() as usize {
        let words = match n {
            1 => "p90".to_owned(),
            2 => "p99".to_owned(),
            n => format!("p99.{}", "9".repeat(n - 2)),
        };
        all.push((words, n as f64));
    }
    all
}

fn grid(scale: &Scale, tick: f64) -> Markup {
    let y = plot::number(HEIGHT * (1.0 - scale.at(tick)));
    html! {
        line.grid x1="0" x2="100%" y1=(y) y2=(y) {}
        text.tick x="-8" y=(y) dy="4" text-anchor="end" { (shown_round(tick)) }
    }
}

fn path(line: &Line<'_>, scale: &Scale, nines: f64) -> String {
    let at = |(x, us): &(f64, f64)| (ACROSS * x / nines, HEIGHT * (1.0 - scale.at(*us)));
    plot::line(&line.points.iter().map(at).collect::<Vec<_>>())
}

fn legend(lines: &[Line<'_>]) -> Markup {
    html! {
        ul.legend {
            @for line in lines {
                li {
                    svg.sample width="28" height="10" aria-hidden="true" {
                        line.{ "line " (line.class) } x1="0" x2="28" y1="5" y2="5" {}
                    }
                    (name(&line.backend.who.pod)) " " span.from { (name(&line.backend.who.cluster)) }
                }
            }
        }
    }
}

/// The plot in words, for screen readers.
fn described(lines: &[Line<'_>]) -> String {
    let one = |line: &Line<'_>| {
        let latency = line.backend.counted.latency();
        let [p50, p99, max] = [0.5, 0.99, 1.0].map(|q| shown_time(latency.quantile(q)));
        format!("{}: p50 {p50}, p99 {p99}, max {max}", printable::clean(&line.backend.who.pod))
    };
    lines.iter().map(one).collect::<Vec<_>>().join("; ") + "."
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn a_line_ends_at_the_longest_latency() {
        let mut latency = Latency::default();
        (1..=1000).for_each(|ms| latency.record(Duration::from_millis(ms)));
        let points = points(&latency);
        let at = |nines: f64| points.iter().find(|(x, _)| (x - nines).abs() < 1e-9).unwrap().1;
        let near = |shown: f64, ms: f64| (shown / 1000.0 / ms - 1.0).abs() < 0.002;
        assert!(near(at(1.0), 900.0) && near(at(2.0), 990.0), "{points:?}");
        assert!(near(points[0].1, 1.0) && near(points.last().unwrap().1, 1000.0));
        assert!(points.windows(2).all(|pair| pair[0].0 < pair[1].0 && pair[0].1 <= pair[1].1));
    }

    #[test]
    fn one_answer_is_a_point() {
        let mut latency = Latency::default();
        latency.record(Duration::from_millis(3));
        assert_eq!(points(&latency).len(), 1);
        assert!(points(&Latency::default()).is_empty());
    }

    #[test]
    fn percentiles_have_a_nine_more_each() {
        let words: Vec<_> = percentiles(4.2).into_iter().map(|(words, _)| words).collect();
        assert_eq!(words, ["min", "p50", "p90", "p99", "p99.9", "p99.99"]);
    }
}
