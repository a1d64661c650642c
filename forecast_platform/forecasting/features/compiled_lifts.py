"""Compiled regressions of `response`: lifts of series, drawn to their product's and the region's.

Only numba functions of arrays belong here; what the numbers mean is said in `response`. A series'
regression is decayed when it is next read, not week by week: most weeks have no promotion, and of
these a regression learns nothing.
"""

import numpy as np

from forecast_platform.forecasting.features.compiled import compiled


@compiled
def solve(gram, s, scale, prior, p, penalty):  # pragma: no cover
    """Solve a 3 x 3 ridge regression whose sums are ``scale * gram[s]``.

    Columns of ``gram``: 00, 01, 02, 11, 12, 22 of the Gram and 3 of the moment; the solution is
    drawn to ``prior[:, p]``.
    """
    a = gram[s, 0] * scale + penalty
    d = gram[s, 3] * scale + penalty
    f = gram[s, 5] * scale + penalty
    b, c, e = gram[s, 1] * scale, gram[s, 2] * scale, gram[s, 4] * scale
    u = gram[s, 6] * scale + penalty * prior[0, p]
    v = gram[s, 7] * scale + penalty * prior[1, p]
    w = gram[s, 8] * scale + penalty * prior[2, p]
    q, r, z = d * f - e * e, c * e - b * f, b * e - c * d
    det = a * q + b * r + c * z
    one = (q * u + r * v + z * w) / det
    two = (r * u + (a * f - c * c) * v + (b * c - a * e) * w) / det
    three = (z * u + (b * c - a * e) * v + (a * d - b * b) * w) / det
    return one, two, three


@compiled
def add_state(gram, s, scale, i, j, k, surprise):  # pragma: no cover
    """Add a week's state and surprise to the sums of a regression, which count ``scale``."""
    gram[s, 0] = gram[s, 0] * scale + i * i
    gram[s, 1] = gram[s, 1] * scale + i * j
    gram[s, 2] = gram[s, 2] * scale + i * k
    gram[s, 3] = gram[s, 3] * scale + j * j
    gram[s, 4] = gram[s, 4] * scale + j * k
    gram[s, 5] = gram[s, 5] * scale + k * k
    gram[s, 6] = gram[s, 6] * scale + i * surprise
    gram[s, 7] = gram[s, 7] * scale + j * surprise
    gram[s, 8] = gram[s, 8] * scale + k * surprise


@compiled
def begin_week(products, decay):  # pragma: no cover
    """Forget a little of the products' regressions, and all of the week before."""
    for p in range(products.gram.shape[0]):
        for part in range(9):
            products.gram[p, part] *= decay
        for row in range(5):
            products.week[row, p] = 0


@compiled
def learn_products(t, products, constants):  # pragma: no cover
    """Draw the lifts of the products to those of the region; keep their mean week."""
    n = products.gram.shape[0]
    region, nothing = np.zeros((1, 9)), np.zeros((3, 1))
    for p in range(n):
        for part in range(9):
            region[0, part] += products.gram[p, part]
    of_region = np.empty((3, 1))
    of_region[0, 0], of_region[1, 0], of_region[2, 0] = solve(
        region, 0, 1.0, nothing, 0, constants.penalties[0]
    )
    slot, week, recent = t % constants.kernel_weeks, products.week, products.recent
    for p in range(n):
        products.lift[0, p], products.lift[1, p], products.lift[2, p] = solve(
            products.gram, p, 1.0, of_region, 0, constants.penalties[1]
        )
        known = max(week[4, p], 1.0)
        for part in range(3):
            mean = np.float32(week[1 + part, p] / known)
            recent[p, part, slot] = mean / constants.kernel_unit[part]
        recent[p, 3, slot] = week[0, p] / known if week[4, p] > 0 else np.nan


@compiled
def lifts_of(t, series, products, constants, out):  # pragma: no cover
    """Write each series' lifts as known after week ``t``, shape (3, series)."""
    for s in range(out.shape[1]):
        scale = constants.powers[t - series.seen[s]]
        out[0, s], out[1, s], out[2, s] = solve(
            series.gram, s, scale, products.lift, series.product[s], constants.penalties[2]
        )
