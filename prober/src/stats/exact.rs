//! A share judged from a sample whose size was fixed beforehand: exact binomial tests and bounds
//! for independent trials (Clopper & Pearson 1934), and Chernoff's for any. Pure.

use super::special::{beta_reg, bisect};

/// The chance of at least `hits` among `trials`, each a hit with chance `p`. `hits` need
/// not be whole: an effective sample size seldom is.
#[must_use]
pub(crate) fn at_least(hits: f64, trials: f64, p: f64) -> f64 {
    if hits <= 0.0 { 1.0 } else { beta_reg(hits, trials - hits + 1.0, p) }
}

/// The chance of at most `hits` among `trials`, each a hit with chance `p`.
#[must_use]
pub(crate) fn at_most(hits: f64, trials: f64, p: f64) -> f64 {
    if hits >= trials { 1.0 } else { beta_reg(trials - hits, hits + 1.0, 1.0 - p) }
}

/// The Clopper–Pearson bound below a share: a lower one would give so many hits with a
/// chance of at most `risk`.
#[must_use]
pub(crate) fn lower(hits: f64, trials: f64, risk: f64) -> f64 {
    if hits <= 0.0 { 0.0 } else { bisect(0.0, 1.0, |p| at_least(hits, trials, p) < risk) }
}

/// The Clopper–Pearson bound above a share.
#[must_use]
pub(crate) fn upper(hits: f64, trials: f64, risk: f64) -> f64 {
    if hits >= trials { 1.0 } else { bisect(0.0, 1.0, |p| at_most(hits, trials, p) >= risk) }
}

/// An upper bound of the chance of at least `hits` among `trials`. The chance of each trial may depend
/// on all trials before it; these chances average at most `p`. The bound is
/// `exp(-trials·KL(hits/trials ‖ p))` (Chernoff 1952; for dependent trials Azuma's argument with
/// the exact moment-generating function, which is concave in the chance).
#[must_use]
pub(crate) fn chernoff(hits: f64, trials: f64, p: f64) -> f64 {
    let share = hits / trials;
    if trials <= 0.0 || share <= p {
        return 1.0;
    }
    let part = |x: f64, y: f64| if x <= 0.0 { 0.0 } else { x * (x / y).ln() };
    (-trials * (part(share, p) + part(1.0 - share, 1.0 - p))).exp()
}

/// The lower bound of a share by [`chernoff`].
#[must_use]
pub(crate) fn chernoff_lower(hits: f64, trials: f64, risk: f64) -> f64 {
    if hits <= 0.0 { 0.0 } else { bisect(0.0, hits / trials, |p| chernoff(hits, trials, p) < risk) }
}
