"""Features of a product's plan over all stores of the region, and of its past weeks like it.

A chain-wide promotion sells otherwise than one of a single store. What single series did is in
`promotions` and `prices`.
"""

import numpy as np

from forecast_platform.forecasting.features import compiled
from forecast_platform.forecasting.features.panel import Bools, Floats
from forecast_platform.forecasting.features.promotions import decay_of_slots, shrunk
from forecast_platform.forecasting.features.response import (
    UNIT_DISCOUNT,
    Response,
    in_kernel_units,
)
from forecast_platform.forecasting.features.windows import mean_by


def chain_at(
    t: int, state: Floats, lift: Floats, learnt: Response, alive: Bools
) -> dict[str, Floats]:
    """Return the product's mean plan over its stores, and what like weeks had over their level.

    Parameters
    ----------
    t : int
        Index of the cutoff.
    state : array of shape (3, series)
        Promotion state planned for the target week.
    lift : array of shape (series,)
        What the plan is expected to lift a series [log].
    learnt : Response
    alive : array of shape (series,)
        Series with an open store and a listed product in the target week.
    """
    product, n = learnt.panel.product, learnt.n_products

    def mean(values: Floats) -> Floats:
        return mean_by(product, np.where(alive, values, np.nan), n)

    planned = np.stack([mean(part) for part in state])
    wanted = in_kernel_units(planned.astype(np.float32)[None])
    sums = np.empty((1, 4, n), np.float32)
    recent, decay = learnt.recent_of_product, decay_of_slots(t)
    compiled.similar_weeks(recent, decay, np.arange(n), wanted, sums)
    total, weight, total_broad, weight_broad = sums[0]
    prior = mean(lift)
    columns = {
        "chain_discount": planned[0] * UNIT_DISCOUNT,
        "chain_feature": planned[1],
        "chain_display": planned[2],
        "kernel_chain_narrow": shrunk(total, weight, prior),
        "kernel_chain_broad": shrunk(total_broad, weight_broad, prior),
    }
    return {name: values[product] for name, values in columns.items()}
