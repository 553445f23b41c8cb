//! Scales, ticks and paths of the page's plots. Horizontal positions are percentages of the plot's
//! width: a plot fits any screen without scaling its text.

use std::fmt::Write as _;

use crate::units::decimal;

/// The width of the stretched inner part of a plot, in its own units.
pub(super) const ACROSS: f64 = 1000.0;

/// Times that differ by more than this ratio get a logarithmic scale.
const LOG_FROM: f64 = 20.0;

/// Maps values to positions on an axis.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Scale {
    low: f64,
    high: f64,
    log: bool,
}

impl Scale {
    /// From 0 to a round number that is at least `most`.
    pub(super) fn linear(most: f64) -> Self {
        let most = if most > 0.0 { most } else { 1.0 };
        let step = step(most, 4.0);
        Self { low: 0.0, high: (most / step).ceil() * step, log: false }
    }

    /// For positive values: linear from 0, or logarithmic if they differ by more than [`LOG_FROM`].
    pub(super) fn of_times(values: impl Iterator<Item = f64> + Clone) -> Self {
        let most = values.clone().fold(1.0, f64::max);
        let least = values.fold(most, f64::min).max(1.0);
        if most / least <= LOG_FROM {
            return Self::linear(most);
        }
        let low = ticks_of_decades(least / 10.0, least).last().copied().unwrap_or(least);
        let high = ticks_of_decades(most, most * 10.0).first().copied().unwrap_or(most);
        Self { low, high, log: true }
    }

    pub(super) fn is_log(&self) -> bool {
        self.log
    }

    /// The position of a value: 0 at the low end, 1 at the high end.
    pub(super) fn at(&self, value: f64) -> f64 {
        let part = if self.log {
            (value.max(self.low) / self.low).ln() / (self.high / self.low).ln()
        } else {
            (value - self.low) / (self.high - self.low)
        };
        part.clamp(0.0, 1.0)
    }

    /// A handful of round values.
    pub(super) fn ticks(&self) -> Vec<f64> {
        if !self.log {
            let step = step(self.high, 4.0);
            let count = (self.high / step).round() as u32;
            return (0..=count).map(|n| f64::from(n) * step).collect();
        }
        let all = ticks_of_decades(self.low, self.high);
        let decades: Vec<_> = all.iter().copied().filter(|tick| is_decade(*tick)).collect();
        if decades.len() >= 2 { decades } else { all }
    }
}

/// The values 1, 2 and 5 times a power of ten in a range, both ends included.
fn ticks_of_decades(low: f64, high: f64) -> Vec<f64> {
    let first = low.log10().floor() as i32;
    let last = high.log10().ceil() as i32;
    let all = (first..=last).flat_map(|n| [1.0, 2.0, 5.0].map(|m| m * 10f64.powi(n)));
    all.filter(|tick| *tick >= low * 0.999_999 && *tick <= high * 1.000_001).collect()
}

fn is_decade(tick: f64) -> bool {
    (tick.log10() - tick.log10().round()).abs() < 1e-6
}

/// The round step (1, 2 or 5 times a power of ten) that divides `range` into about `parts`.
pub(super) fn step(range: f64, parts: f64) -> f64 {
    let rough = range / parts;
    let power = 10f64.powf(rough.log10().floor());
    let factor = match rough / power {
        f if f <= 1.0 => 1.0,
        f if f <= 2.0 => 2.0,
        f if f <= 5.0 => 5.0,
        _ => 10.0,
    };
    factor * power
}

/// A part of the width as the value of an attribute: `12.5%`.
pub(crate) fn percent(part: f64) -> String {
    format!("{}%", number(part * 100.0))
}

/// A coordinate: at most two decimals.
pub(super) fn number(value: f64) -> String {
    decimal(value, 2)
}

/// The path of a line through points (x, y).
pub(super) fn line(points: &[(f64, f64)]) -> String {
    let mut path = String::new();
    for (place, (x, y)) in points.iter().enumerate() {
        let command = if place == 0 { 'M' } else { 'L' };
        let _ = write!(path, "{command}{} {}", number(*x), number(*y));
    }
    path
}

/// The path of a step line: one level piece of equal width for each height, and a gap for `None`.
pub(super) fn steps(heights: &[Option<f64>], width: f64) -> String {
    let mut path = String::new();
    let mut before = false;
    for (place, height) in heights.iter().enumerate() {
        if let Some(y) = height {
            let (left, y) = (number(place as f64 * width), number(*y));
            if before {
                let _ = write!(path, "V{y}");
            } else {
                let _ = write!(path, "M{left} {y}");
            }
            let _ = write!(path, "H{}", number((place + 1) as f64 * width));
        }
        before = height.is_some();
    }
    path
}

/// The path of the area between two step lines.
pub(super) fn area(top: &[f64], bottom: &[f64], width: f64) -> String {
    let upper: Vec<_> = top.iter().copied().map(Some).collect();
    let mut path = steps(&upper, width);
    for (place, y) in bottom.iter().enumerate().rev() {
        let (right, left) = ((place + 1) as f64 * width, place as f64 * width);
        let _ = write!(path, "L{} {}H{}", number(right), number(*y), number(left));
    }
    if !path.is_empty() {
        path.push('Z');
    }
    path
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round_and_cover_the_values() {
        assert_eq!(Scale::linear(47.0).ticks(), [0.0, 20.0, 40.0, 60.0]);
        assert_eq!(Scale::linear(0.0).ticks().first(), Some(&0.0));
        let near = Scale::of_times([800.0, 1400.0].into_iter());
        assert!(!near.is_log() && near.at(0.0) == 0.0);
        let far = Scale::of_times([900.0, 250_000.0].into_iter());
        assert!(far.is_log());
        assert_eq!(far.ticks(), [1e3, 1e4, 1e5]);
        assert!(far.at(900.0) < 0.1 && far.at(250_000.0) > 0.89, "{far:?}");
        let some = Scale::of_times([2100.0, 43_000.0].into_iter());
        assert_eq!(some.ticks(), [2e3, 5e3, 1e4, 2e4, 5e4], "one power of ten is too few");
    }

    #[test]
    fn values_outside_the_scale_are_clamped() {
        let scale = Scale::linear(10.0);
        assert_eq!((scale.at(-1.0), scale.at(99.0)), (0.0, 1.0));
    }

    #[test]
    fn step_lines_have_gaps() {
        assert_eq!(steps(&[Some(1.0), None, Some(2.0), Some(3.0)], 10.0), "M0 1H10M20 2H30V3H40");
        assert_eq!(area(&[1.0, 2.0], &[5.0, 5.0], 10.0), "M0 1H10V2H20L20 5H10L10 5H0Z");
        assert_eq!(line(&[(0.0, 1.5), (2.0, 3.0)]), "M0 1.5L2 3");
    }
}
