"""Compiled loops of the encoders: blocks of columns become rows of a matrix.

Only numba functions of arrays belong here. Imported when a model is fitted, never to forecast with
one: numba costs half a second to import.
"""

import numpy as np

from forecast_platform.forecasting.compiling import kept

TILE = 16
"""Rows that are written at once: as many numbers of a column as the processor reads at once."""


@kept()
def standardise_rows(block, mean, scale, clip, places, matrix):  # pragma: no cover
    """Write ``(value - mean) / scale``, clipped, a missing value as 0, to each row's place.

    ``block`` is (columns, rows) and is used up; ``matrix`` has a row of numbers for each of
    ``places``, and may be wider.
    """
    for column in range(block.shape[0]):
        own_mean, own_scale = mean[column], scale[column]
        for row in range(block.shape[1]):
            value = (block[column, row] - own_mean) / own_scale
            value = clip if value > clip else value
            value = -clip if value < -clip else value
            block[column, row] = value if value == value else np.float32(0)  # noqa: PLR0124 (NaN)
    for first in range(0, block.shape[1], TILE):
        last = min(first + TILE, block.shape[1])
        for column in range(block.shape[0]):
            for row in range(first, last):
                matrix[places[row], column] = block[column, row]
