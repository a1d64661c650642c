"""Compiled kernels of the LASSO: sums of an interaction design, and coordinate descent on its Gram.

Only numba functions of arrays belong here. The module is imported when a LASSO is fitted, never to
forecast with one: numba costs half a second to import.
"""

import numpy as np

from forecast_platform.forecasting.compiling import kept


@kept()
def add_effect_products(matrix, weights, effects, out):  # pragma: no cover
    """Add ``weights * matrix[row]`` to ``out[level]`` for each effect of the rows, in float32."""
    for row in range(effects.shape[0]):
        weight = np.float32(weights[row])
        for column in range(effects.shape[1]):
            level = effects[row, column]
            if level >= 0:
                for position in range(matrix.shape[1]):
                    out[level, position] += weight * matrix[row, position]


@kept()
def effect_gram(effects, weights, weighted_target, gram, moment):  # pragma: no cover
    """Add the Gram of the effect dummies, and their products with the target.

    Of the Gram only what lies in an effect's row before its own column, and itself: effects of a
    later column of ``effects`` come later.
    """
    for row in range(effects.shape[0]):
        for i in range(effects.shape[1]):
            a = effects[row, i]
            if a < 0:
                continue
            moment[a] += weighted_target[row]
            for j in range(i + 1):
                b = effects[row, j]
                if b >= 0:
                    gram[a, b] += weights[row]


@kept()
def add_effects(effects, values, total):  # pragma: no cover
    """Add the effects of each row to its total; position -1 adds nothing."""
    for row in range(effects.shape[0]):
        for column in range(effects.shape[1]):
            level = effects[row, column]
            if level >= 0:
                total[row] += values[level]


@kept()
def _sweep(gram, penalty, coef, gradient, positions):  # pragma: no cover
    largest = 0.0
    for k in range(positions.shape[0]):
        j = positions[k]
        curvature = gram[j, j]
        if curvature <= 0.0:
            continue
        old = coef[j]
        pull = gradient[j] + curvature * old
        shrunk = abs(pull) - penalty[j]
        new = 0.0
        if shrunk > 0.0:
            new = shrunk / curvature if pull > 0.0 else -shrunk / curvature
        change = new - old
        if change != 0.0:
            coef[j] = new
            for i in range(gradient.shape[0]):
                gradient[i] -= change * gram[j, i]
            largest = max(largest, abs(change) * np.sqrt(curvature))
    return largest


@kept()
def descend(gram, moment, penalty, coef, limits):  # pragma: no cover
    """Minimise ``c'Gc / 2 - m'c + sum(penalty * |c|)`` from ``coef``, in place; count sweeps.

    ``limits`` are the smallest change that goes on, and the largest number of sweeps.
    """
    tolerance, max_sweeps = limits
    gradient = moment - gram @ coef
    everything = np.arange(coef.shape[0])
    sweeps = 0
    while sweeps < max_sweeps:
        sweeps += 1
        if _sweep(gram, penalty, coef, gradient, everything) < tolerance:
            break
        active = np.flatnonzero(coef)
        while sweeps < max_sweeps:
            sweeps += 1
            if _sweep(gram, penalty, coef, gradient, active) < tolerance:
                break
    return sweeps
