"""What lies between the matrix products of a net that forecasts: numpy alone, a row per column.

How nets are trained is in `net_pass` and `quantile_training`.
"""

import numpy as np

from forecast_platform.forecasting.models.base import Floats


def silu(hidden: Floats, bias: Floats) -> Floats:
    """Return ``x / (1 + exp(-x))`` of ``hidden`` (units, rows) plus its bias, in its memory."""
    hidden += bias[:, None]
    room = np.negative(hidden)
    with np.errstate(over="ignore"):  # x / inf is the limit
        np.exp(room, out=room)
    room += 1.0
    hidden /= room
    return hidden
