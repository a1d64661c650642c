"""Features of a product's plan over all stores of the region, and of its past weeks like it.

A chain-wide promotion sells otherwise than one of a single store. What single series did is in
`promotions` and `prices`.
"""

import numpy as np

from forecast_platform.forecasting.features import compiled_plans
from forecast_platform.forecasting.features.columns import stretch
from forecast_platform.forecasting.features.panel import Bools, Floats
from forecast_platform.forecasting.features.promotions import KERNEL_ROWS, Plan, decay_of_slots
from forecast_platform.forecasting.features.response import KERNEL_UNIT, UNIT_DISCOUNT, Response

KERNELS = stretch("kernel_chain_narrow", "kernel_chain_broad")
PLANNED = stretch("chain_discount", "chain_feature", "chain_display")

_UNITS = np.stack([np.array([UNIT_DISCOUNT, 1, 1]), KERNEL_UNIT])


def write_chain(  # noqa: PLR0917
    t: int, h: int, plan: Plan, learnt: Response, alive: Bools, out: Floats
) -> None:
    """Write the product's mean plan over its stores, and what like weeks had over their level.

    Parameters
    ----------
    t : int
        Index of the cutoff.
    h : int
        Weeks ahead, from 1 [weeks].
    plan : Plan
    learnt : Response
    alive : array of shape (series,)
        Series with an open store and a listed product in the target week.
    out : array of shape (features, series)
    """
    recent, product = learnt.products.recent, learnt.panel.product
    states, lift = plan.states[h - 1], plan.lifts[h - 1, 0]
    like = recent, decay_of_slots(t), _UNITS, product, KERNEL_ROWS
    compiled_plans.chain(states, lift, alive, *like, out[PLANNED], out[KERNELS])
