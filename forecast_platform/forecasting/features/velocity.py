"""Velocity of products: fast or slow, per store format, as known at a cutoff.

Which model serves a velocity belongs to training; here it is only told.

Notes
-----
The volume of a product in a format is its mean weekly demand per store that sells it, over the
trailing 13 weeks up to the cutoff. The products of a format are ranked by it (ties: by
``product_id``) and the upper half is fast, the middle one of an odd number included. So both
classes exist wherever a format sells two products. A product without a row in those weeks is slow.
"""

import numpy as np
import pandas as pd

from forecast_platform.forecasting.features import compiled_columns
from forecast_platform.forecasting.features.panel import Bools, Floats, week_numbers
from forecast_platform.vocabulary import (
    DS,
    FORMAT,
    PRODUCT_ID,
    STORE_ID,
    UNIQUE_ID,
    VELOCITIES,
    VELOCITY,
    WEEK,
    Y,
)

VELOCITY_WEEKS = 13
"""Trailing weeks whose volume decides [weeks]."""


def is_fast(volume: Floats, sold: Bools) -> Bools:
    """Tell which of the sold products, in the order of their names, are in the upper half.

    Examples
    --------
    >>> is_fast(np.array([5.0, 1.0, 5.0]), np.array([True, True, True])).tolist()
    [True, False, True]
    """
    return compiled_columns.upper_half(volume, sold)


def classify_velocity(
    demand: pd.DataFrame,
    stores: pd.DataFrame,
    cutoff: pd.Timestamp,
    *,
    weeks: int = VELOCITY_WEEKS,
) -> pd.DataFrame:
    """Classify every product of every format as known at ``cutoff``.

    Parameters
    ----------
    demand : pandas.DataFrame
        ``ds, unique_id, store_id, product_id, y`` of one region [units].
    stores : pandas.DataFrame
        ``week, store_id, format``; the latest snapshot up to ``cutoff`` counts.
    cutoff : pandas.Timestamp
        Rows of later weeks are not read.
    weeks : int, default=13
        Trailing weeks [weeks].

    Returns
    -------
    pandas.DataFrame
        ``format, product_id, velocity``: one row per format and product with demand up to
        ``cutoff`` in a store of the snapshot, sorted.
    """
    snapshot = stores[stores[WEEK] <= cutoff]
    snapshot = snapshot.loc[snapshot[WEEK] == snapshot[WEEK].max(), [STORE_ID, FORMAT]]
    known = demand.loc[demand[DS] <= cutoff, [DS, UNIQUE_ID, STORE_ID, PRODUCT_ID, Y]]
    known = known.merge(snapshot, on=STORE_ID)
    age = week_numbers(pd.Series([cutoff]))[0] - week_numbers(known[DS])
    known = known.assign(**{Y: known[Y].where(age < weeks)})
    volume = known.groupby([FORMAT, PRODUCT_ID])[Y].mean().reset_index()
    volume = volume.sort_values([FORMAT, PRODUCT_ID], ignore_index=True)
    fast = np.zeros(len(volume), bool)
    for name in volume[FORMAT].unique():
        of_format = (volume[FORMAT] == name).to_numpy()
        fast |= is_fast(volume[Y].to_numpy(), of_format & volume[Y].notna().to_numpy())
    return volume[[FORMAT, PRODUCT_ID]].assign(
        **{VELOCITY: np.where(fast, VELOCITIES[1], VELOCITIES[0])}
    )
