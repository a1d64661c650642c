"""The compiled loop between the matrix products of a training step of the quantile heads.

Only numba functions of arrays belong here; `quantile_training` puts them in order.
"""

import numpy as np

from forecast_platform.forecasting.models.compiled_net import HALF, ONE, ZERO, compiled, exp


@compiled
def slope_of(level, error):  # pragma: no cover
    """Return the derivative of one pinball loss by the quantile."""
    if error > ZERO:
        return -level
    return ONE - level if error < ZERO else HALF - level


@compiled
def turn(outputs, bias, bias_back, goals, start, back):  # pragma: no cover
    """Write the derivative of the mean loss by the outputs, and its sum for the bias.

    Of each row ``outputs`` are, before ``bias``, how far the middle is moved and how much each gap
    between two levels is bent; ``goals`` are residual and weight. ``start`` are the levels, which
    of them is the middle one, where it lies, the gaps, and how far one may be bent.
    """
    levels, position, middle, gaps, largest_bend = start
    n_levels, n_rows = len(levels), np.float32(len(goals))
    bent, slopes = np.empty(n_levels, np.float32), np.empty(n_levels, np.float32)
    bias_back[:] = ZERO
    for row in range(len(goals)):
        residual, weight = goals[row]
        for k in range(1, n_levels):
            bend = min(max(outputs[row, k] + bias[k], -largest_bend), largest_bend)
            bent[k] = gaps[k - 1] * exp(bend)
        quantile = centre = middle + outputs[row, 0] + bias[0]
        for k in range(position - 1, -1, -1):
            quantile -= bent[k + 1]
            slopes[k] = slope_of(levels[k], residual - quantile)
        quantile = centre
        for k in range(position + 1, n_levels):
            quantile += bent[k]
            slopes[k] = slope_of(levels[k], residual - quantile)
        below = above = ZERO
        for k in range(1, position + 1):
            below += slopes[k - 1]
            back[row, k] = -below * bent[k]
        for k in range(n_levels - 1, position, -1):
            above += slopes[k]
            back[row, k] = above * bent[k]
        back[row, 0] = below + slope_of(levels[position], residual - centre) + above
        share = weight / n_rows
        for k in range(n_levels):
            is_free = k == 0 or abs(outputs[row, k] + bias[k]) <= largest_bend
            back[row, k] *= share if is_free else ZERO
            bias_back[k] += back[row, k]
