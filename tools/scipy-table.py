#!/usr/bin/env python3
"""Writes prober/src/stats/scipy.tsv: values of SciPy that the tests hold prober's own code to.

Needs SciPy, which nothing else of this project does: python3 -m venv V && V/bin/pip install scipy
Then: V/bin/python tools/scipy-table.py > prober/src/stats/scipy.tsv
"""

import itertools
import math

from scipy import optimize, special, stats

print("# function\targuments\tvalue; written by tools/scipy-table.py")


def row(function, arguments, value):
    print(function, " ".join(repr(float(a)) for a in arguments), repr(float(value)), sep="\t")


for a, b in itertools.product([0.5, 1, 3, 40.5, 700, 20_000], [0.5, 2, 11, 333.25, 20_000]):
    row("ln_beta", (a, b), special.betaln(a, b))
    mean = a / (a + b)
    spread = (mean * (1 - mean) / (a + b + 1)) ** 0.5
    for x in sorted({1e-3, 0.1, 0.5, 0.9, *(mean + k * spread for k in (-6, -3, 0, 2, 5))}):
        if 0 < x < 1 and special.betainc(a, b, x) > 1e-280:
            row("beta_reg", (a, b, x), special.betainc(a, b, x))
for freedom, x in itertools.product([1, 2, 3, 11, 100], [0.01, 0.5, 1, 3.84, 10.83, 60, 250]):
    row("chi_square_above", (x, freedom), stats.chi2.sf(x, freedom))
for z in [-8, -2.5, -1, 0, 0.3, 1.96, 3.0902, 6, 20]:
    row("normal_above", (z,), stats.norm.sf(z))
for tail in [0.999, 0.5, 0.025, 1e-3, 1e-6, 1e-12]:
    row("normal_quantile_above", (tail,), stats.norm.isf(tail))
for trials in [1, 10, 100, 2_718, 20_000]:
    for hits in sorted({0, 1, trials // 3, trials // 2, trials - 1, trials}):
        for risk in [0.05, 1e-3, 1e-6]:
            if hits > 0:
                row("lower", (hits, trials, risk), stats.beta.ppf(risk, hits, trials - hits + 1))
            if hits < trials:
                row("upper", (hits, trials, risk), stats.beta.isf(risk, hits + 1, trials - hits))
        for p in [0.01, 0.45, 0.5]:
            row("at_least", (hits, trials, p), stats.binom.sf(hits - 1, trials, p))
            row("at_most", (hits, trials, p), stats.binom.cdf(hits, trials, p))
# A mixture of likelihood ratios, and both ends of what a mixture of tilts leaves inside.
ALTERNATIVES = [(0.52, 0.5), (0.6, 0.3), (0.9, 0.2)]
for hits, trials, null in [(6, 10, 0.5), (60, 100, 0.45), (1500, 2700, 0.5), (20_000, 20_000, 0.51)]:
    logs = [
        math.log(weight) + stats.binom.logpmf(hits, trials, q) - stats.binom.logpmf(hits, trials, null)
        for q, weight in ALTERNATIVES
    ]
    flat = [part for pair in ALTERNATIVES for part in pair]
    row("ln_evidence_above", (hits, trials, null, *flat), special.logsumexp(logs))
for hits, trials, risk in [(4, 10, 0.001), (48, 100, 0.05), (480, 1_000, 1e-3), (19_000, 20_000, 1e-6)]:

    def outside(mean, sign):
        tilts = [sign * 0.01 * 2**k for k in range(11)]
        logs = [t * hits - trials * math.log1p(mean * math.expm1(t)) for t in tilts]
        return special.logsumexp(logs) - math.log(22) + math.log(risk)

    share = hits / trials
    precise = {"xtol": 1e-15, "rtol": 1e-14}
    row("sequence_low", (hits, trials, risk), optimize.brentq(outside, 1e-12, share, (1,), **precise))
    row("sequence_high", (hits, trials, risk), optimize.brentq(outside, share, 1 - 1e-12, (-1,), **precise))
for before, after in [((52, 48), (61, 39)), ((500, 510, 490), (450, 560, 490)), ((2700, 300), (2500, 500))]:
    g = stats.chi2_contingency([before, after], correction=False, lambda_="log-likelihood")
    row("homogeneity", (*before, *after), g.pvalue)
