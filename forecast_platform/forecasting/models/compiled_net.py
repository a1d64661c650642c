"""Compiled loops between the matrix products of a net's training step, on the CPU.

Only numba functions of arrays belong here: `net_pass` puts them in order, and has the same step in
torch for a GPU; `descent` has the optimiser's. Each reads its numbers once, where torch would make
several passes. Imported when a net is fitted, never to forecast with one.
"""

import numpy as np

from forecast_platform.forecasting.compiling import FAST, kept

AHEAD, LINE = 32, 16
"""Rows that are touched before they are read, and numbers in a line of the cache."""

SQUARE_DECAY, EPSILON = 0.999, 1e-8
"""Of AdamW: what is left of the square after a step, and what keeps its root from being zero."""

ZERO, ONE, HALF = np.float32(0), np.float32(1), np.float32(0.5)
LEAST_SCALE, LOWEST, HIGHEST = np.float32(1e-6), np.float32(-4), np.float32(3)
LEAST, MOST, LOG2_E = np.float32(-87), np.float32(88), np.float32(1.44269504)
LN_2 = (np.float32(0.693359375), np.float32(-2.1219444e-4))
TERMS = tuple(
    np.float32(term)
    for term in (
        0.5,
        1.6666665459e-1,
        4.1665795894e-2,
        8.3334519073e-3,
        1.39819995e-3,
        1.98756915e-4,
    )
)

compiled = kept(fastmath=FAST)


@kept(inline="always")
def exp(x):  # pragma: no cover
    """Return the exponential of a float32, held between those of -87 and 88, to its last bit or so.

    The C library's is a call for each number; this is arithmetic, which runs on eight numbers at
    once: a power of two times the polynomial of Cephes' ``expf``.
    """
    x = min(max(x, LEAST), MOST)
    power = np.floor(x * LOG2_E + HALF)
    rest = x - power * LN_2[0] - power * LN_2[1]
    terms = (TERMS[5] * rest + TERMS[4]) * rest + TERMS[3]
    terms = ((terms * rest + TERMS[2]) * rest + TERMS[1]) * rest + TERMS[0]
    bits = np.int32((np.int32(power) + np.int32(127)) << 23)
    return (terms * rest * rest + rest + ONE) * bits.view(np.float32)


@compiled
def touch(values, rows):  # pragma: no cover
    """Read a number of every line of the cache that these rows lie in; their sum is of no use."""
    touched = ZERO
    for row in rows:
        for column in range(0, values.shape[1], LINE):
            touched += np.float32(values[row, column])
    return touched


@compiled
def take_rows(source, chosen, hidden, embedding, batch):  # pragma: no cover
    """Write the chosen rows: numbers and embeddings side by side, codes, and what the loss needs.

    ``source`` is numbers, codes and numbers of the loss of all rows, and the code that stands for
    unknown in each column; it is taken where ``hidden`` says so. ``batch`` is overwritten. Rows
    come from all over the memory: some are touched before they are read, so that the processor
    waits for many at once.
    """
    numbers, levels, losses, unknown = source
    inputs, codes, goals = batch
    n_numbers, size, touched = numbers.shape[1], embedding.shape[1], ZERO
    for row in range(len(chosen)):
        if row % AHEAD == 0:
            ahead = chosen[row : row + AHEAD]
            touched += touch(numbers, ahead) + touch(levels, ahead) + touch(losses, ahead)
        place = chosen[row]
        for column in range(n_numbers):
            inputs[row, column] = numbers[place, column]
        for column in range(losses.shape[1]):
            goals[row, column] = losses[place, column]
        for column in range(len(unknown)):
            level = unknown[column] if hidden[row, column] else levels[place, column]
            codes[row, column] = level
            start = n_numbers + column * size
            for k in range(size):
                inputs[row, start + k] = embedding[level, k]
    return touched


@compiled
def activate(before, bias, kept, hidden, slope):  # pragma: no cover
    """Write ``silu(before + bias) * kept``, and its derivative by ``before``."""
    for row in range(before.shape[0]):
        for unit in range(before.shape[1]):
            x = before[row, unit] + bias[unit]
            share = ONE / (ONE + exp(-x))
            value = x * share
            hidden[row, unit] = value * kept[row, unit]
            slope[row, unit] = (share + value * (ONE - share)) * kept[row, unit]


@compiled
def slope_of(loss, prediction, target, scale):  # pragma: no cover
    """Return the derivative of one row's loss by its prediction, as `net_pass.slopes` does.

    ``loss`` is whether it is that of ``mape``, and both bounds of `objective`: handed over, because
    compiled code that is kept does not see that a constant of another file has changed.
    """
    is_mape, slope_cap, largest_ratio = loss
    if not is_mape:
        inside = min(max(prediction, LOWEST), HIGHEST)
        return exp(inside) - min(exp(target), largest_ratio)
    cap, grown = slope_cap * max(scale, ONE), exp(prediction - target)
    if max(scale, LEAST_SCALE) * grown >= cap:
        return cap
    if prediction < target:
        return -scale * grown
    return scale * grown if prediction > target else ZERO


@compiled
def turn(loss, goals, layers, slope, back):  # pragma: no cover
    """Go through the last layer and back, and overwrite its gradients and the last hidden bias's.

    ``loss`` is that of `slope_of`; ``goals`` has target, scale and weight of each row. ``layers``
    are, of the hidden units and of the linear path, inputs, weights and gradients, then bias and
    gradient of the last layer, and the gradient of the hidden units' bias. ``back`` becomes the
    derivative by what the hidden units were before `activate`, whose ``slope`` this is.
    """
    hidden, output, output_back, inputs, skip, skip_back, bias, bias_back, hidden_back = layers
    output_back[:], skip_back[:], hidden_back[:], bias_back[0] = ZERO, ZERO, ZERO, ZERO
    n_units, n_numbers, n_rows = len(output), len(skip), np.float32(len(goals))
    for row in range(len(goals)):
        prediction = bias[0]
        for unit in range(n_units):
            prediction += hidden[row, unit] * output[unit]
        for column in range(n_numbers):
            prediction += inputs[row, column] * skip[column]
        target, scale, weight = goals[row]
        own = slope_of(loss, prediction, target, scale) * weight / n_rows
        bias_back[0] += own
        for column in range(n_numbers):
            skip_back[column] += own * inputs[row, column]
        for unit in range(n_units):
            output_back[unit] += own * hidden[row, unit]
            before = own * output[unit] * slope[row, unit]
            back[row, unit] = before
            hidden_back[unit] += before


@compiled
def through(back, slope, bias_back):  # pragma: no cover
    """Turn the derivative by hidden units into that by what they were before; sum it by unit."""
    bias_back[:] = ZERO
    for row in range(back.shape[0]):
        for unit in range(back.shape[1]):
            before = back[row, unit] * slope[row, unit]
            back[row, unit] = before
            bias_back[unit] += before


@compiled
def add_to_levels(codes, back, gradient):  # pragma: no cover
    """Overwrite the gradient of the embeddings: the sum of each level's rows."""
    gradient[:] = ZERO
    size = gradient.shape[1]
    for row in range(codes.shape[0]):
        for column in range(codes.shape[1]):
            level, start = codes[row, column], column * size
            for k in range(size):
                gradient[level, k] += back[row, start + k]


@compiled
def move_compiled(vectors, rates, largest_norm):  # pragma: no cover
    """Move weights by their gradient; see `descent.move_by_torch`, which does the same."""
    weights, gradient, mean, square = vectors
    momentum, decay, step, bias = rates
    norm = ZERO
    for i in range(len(gradient)):
        norm += gradient[i] * gradient[i]
    norm = np.sqrt(norm)
    cut = np.float32(largest_norm) / norm if norm > largest_norm else ONE
    of_mean, of_square = np.float32(1.0 - momentum), np.float32(1.0 - SQUARE_DECAY)
    keep, length, root = np.float32(decay), np.float32(step), np.float32(1.0 / bias)
    for i in range(len(gradient)):
        own = gradient[i] * cut
        mean[i] += of_mean * (own - mean[i])
        square[i] += of_square * (own * own - square[i])
        scale = np.sqrt(square[i]) * root + np.float32(EPSILON)
        weights[i] = keep * weights[i] - length * mean[i] / scale
