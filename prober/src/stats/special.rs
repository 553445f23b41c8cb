//! Special functions: the incomplete beta and gamma functions and the normal
//! distribution. Pure. Held to SciPy's values by `prober/src/stats/scipy.tsv`.

/// Continued fractions end when a step changes them by less than this, relative.
const PRECISION: f64 = 1e-15;
/// Keeps a denominator of Lentz's method away from zero.
const TINY: f64 = 1e-300;
/// Far more steps than any argument here takes: about the root of the largest one.
const MOST_STEPS: u32 = 100_000;

/// The logarithm of the beta function, `ln B(a, b)`, for positive `a` and `b`.
#[must_use]
pub(crate) fn ln_beta(a: f64, b: f64) -> f64 {
    libm::lgamma(a) + libm::lgamma(b) - libm::lgamma(a + b)
}

/// The regularised incomplete beta function `I_x(a, b)` for positive `a` and `b`: with
/// whole numbers, the chance of at least `a` successes in `a + b - 1` trials of chance `x`.
/// By the continued fraction DLMF 8.17.22, on the side of the mean where it converges fast.
#[must_use]
pub(crate) fn beta_reg(a: f64, b: f64, x: f64) -> f64 {
    if x <= 0.0 {
        return 0.0;
    }
    if x >= 1.0 {
        return 1.0;
    }
    let front = (a * x.ln() + b * f64::ln_1p(-x) - ln_beta(a, b)).exp();
    if x <= (a + 1.0) / (a + b + 2.0) {
        front * beta_fraction(a, b, x) / a
    } else {
        1.0 - front * beta_fraction(b, a, 1.0 - x) / b
    }
}

/// The continued fraction of the incomplete beta function by Lentz's method.
fn beta_fraction(a: f64, b: f64, x: f64) -> f64 {
    let away = |value: f64| if value.abs() < TINY { TINY } else { value };
    let mut c = 1.0;
    let mut d = 1.0 / away(1.0 - (a + b) * x / (a + 1.0));
    let mut whole = d;
    for step in 1..MOST_STEPS {
        let m = f64::from(step);
        let even = m * (b - m) * x / ((a + 2.0 * m - 1.0) * (a + 2.0 * m));
        let odd = -(a + m) * (a + b + m) * x / ((a + 2.0 * m) * (a + 2.0 * m + 1.0));
        let mut change = 1.0;
        for part in [even, odd] {
            d = 1.0 / away(1.0 + part * d);
            c = away(1.0 + part / c);
            change *= c * d;
        }
        whole *= change;
        if (change - 1.0).abs() < PRECISION {
            break;
        }
    }
    whole
}

/// The chance that a chi-square variable with `freedom` degrees exceeds `x`:
/// `Q(freedom / 2, x / 2)`, by the series (DLMF 8.11.4) below its mean and by the continued
/// fraction (DLMF 8.9.2) above.
#[must_use]
pub(crate) fn chi_square_above(x: f64, freedom: f64) -> f64 {
    let (a, x) = (freedom / 2.0, x / 2.0);
    if x <= 0.0 {
        return 1.0;
    }
    let front = (a * x.ln() - x - libm::lgamma(a)).exp();
    if x < a + 1.0 {
        let (mut term, mut sum) = (1.0 / a, 1.0 / a);
        for step in 1..MOST_STEPS {
            term *= x / (a + f64::from(step));
            sum += term;
            if term < sum * PRECISION {
                break;
            }
        }
        return 1.0 - front * sum;
    }
    let mut b = x + 1.0 - a;
    let (mut c, mut d) = (1.0 / TINY, 1.0 / b);
    let mut whole = d;
    for step in 1..MOST_STEPS {
        let n = f64::from(step);
        let part = -n * (n - a);
        b += 2.0;
        d = 1.0 / (part * d + b);
        c = b + part / c;
        whole *= c * d;
        if (c * d - 1.0).abs() < PRECISION {
            break;
        }
    }
    front * whole
}

/// The chance that a standard normal variable exceeds `z`.
#[must_use]
pub(crate) fn normal_above(z: f64) -> f64 {
    libm::erfc(z / std::f64::consts::SQRT_2) / 2.0
}

/// The value that a standard normal variable exceeds with the chance `tail` (0 to 1).
#[must_use]
pub(crate) fn normal_quantile_above(tail: f64) -> f64 {
    bisect(-38.0, 38.0, |z| normal_above(z) > tail)
}

/// Where `below` turns from true to false between `low` and `high`, to the last bit.
pub(crate) fn bisect(mut low: f64, mut high: f64, below: impl Fn(f64) -> bool) -> f64 {
    // A double has less than 200 halvings in it.
    for _ in 0..200 {
        let middle = low + (high - low) / 2.0;
        if middle <= low || middle >= high {
            break;
        }
        if below(middle) {
            low = middle;
        } else {
            high = middle;
        }
    }
    low + (high - low) / 2.0
}
