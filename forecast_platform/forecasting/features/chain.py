"""Features of a product's plan over all stores of the region, and of its past weeks like it.

A chain-wide promotion sells otherwise than one of a single store. What single series did is in
`promotions` and `prices`.
"""

import numpy as np

from forecast_platform.forecasting.features import compiled_plans
from forecast_platform.forecasting.features.columns import stretch
from forecast_platform.forecasting.features.compiled_plans import Plan
from forecast_platform.forecasting.features.panel import Bools, Floats
from forecast_platform.forecasting.features.promotions import KERNEL_ROWS
from forecast_platform.forecasting.features.response import KERNEL_UNIT, UNIT_DISCOUNT, Response

KERNELS = stretch("kernel_chain_narrow", "kernel_chain_broad")
PLANNED = stretch("chain_discount", "chain_feature", "chain_display")

_UNITS = np.stack([np.array([UNIT_DISCOUNT, 1, 1]), KERNEL_UNIT])


def write_chain(plan: Plan, learnt: Response, alive: Bools, out: Floats) -> None:
    """Write products' mean plans over their stores, and what like weeks had over their level.

    Parameters
    ----------
    plan : Plan
    learnt : Response
    alive : array of shape (horizon, series)
        Series with an open store and a listed product in each week ahead.
    out : array of shape (horizon, features, series)
    """
    recent, product, at = (
        learnt.products.recent,
        learnt.panel.product,
        (PLANNED.start, KERNELS.start),
    )
    compiled_plans.chain(plan, alive, recent, _UNITS, product, KERNEL_ROWS, out, at)
