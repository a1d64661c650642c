"""Features of one region, from the marts as they were known.

Only what is read for which cutoff; features are computed in
`forecast_platform.forecasting.features`, and their table is written by the asset.
"""

from collections.abc import Sequence
from functools import partial
from typing import Final

import pandas as pd
import pyarrow.dataset as pads

from forecast_platform.resources.demand import DEMAND, read_demand_history
from forecast_platform.resources.snapshot import Snapshot
from forecast_platform.vocabulary import (
    FORMAT,
    PRODUCT_ID,
    SHOPPER_COLUMNS,
    STORE_ID,
    UNIQUE_ID,
    WEEK,
    H,
)

MARTS: Final = {
    "demand": DEMAND,
    "stores": "dim_stores",
    "products": "dim_products",
    "weather": "fct_weekly_weather",
    "events": "fct_weekly_events",
    "prices": "fct_weekly_prices",
}
"""Tables that features are made from, by their part in a `History`."""

COLUMNS: Final = {
    "stores": (STORE_ID, "zip", FORMAT, "opened_on", "closed_on", *SHOPPER_COLUMNS),
    "products": (PRODUCT_ID, "category", "brand", "package_size", "launched_on", "delisted_on"),
    "weather": ("zip", H, "temperature_c", "precipitation_mm", "snow_cm"),
    "events": (STORE_ID, H, "event", "n_event_days", "is_holiday"),
    "prices": (UNIQUE_ID, H, "price", "feature", "display"),
}
"""What is read of each, beside the week; of demand see `read_demand_history`."""

SNAPSHOTS: Final = ("stores", "products")
"""Parts of which each week tells everything: only those of the cutoffs are read."""


def make_features(
    marts: Snapshot, region: str, weeks: Sequence[pd.Timestamp], horizon: int
) -> pd.DataFrame:
    """Make the features of a region at some cutoffs.

    Cutoffs between which demand was corrected are made apart from one another, so that none sees
    a correction that was known later. Each such group costs a pass over the history.

    Parameters
    ----------
    marts : Snapshot
        Where `MARTS` are read.
    region : str
    weeks : sequence of pandas.Timestamp
        Cutoffs.
    horizon : int
        Weeks ahead [weeks].

    Returns
    -------
    pandas.DataFrame
        As of `build_features`, in order of the cutoffs.

    Raises
    ------
    TableMissing
        If nobody has written one of `MARTS`.
    """
    from forecast_platform.forecasting.features.assemble import build_features
    from forecast_platform.forecasting.features.history import History

    last = max(weeks)
    others = {part: _read(part, marts, region, weeks) for part in COLUMNS}
    history = read_demand_history(marts, region, last)
    made = [
        build_features(History(history.known_at(group[-1]), **others), group, horizon)
        for group in history.between_corrections(weeks)
    ]
    return pd.concat(made, ignore_index=True).assign(region=region)


def _read(part: str, marts: Snapshot, region: str, weeks: Sequence[pd.Timestamp]) -> pd.DataFrame:
    """Read what the features of some cutoffs need of a mart."""
    columns, cutoffs = (WEEK, *COLUMNS[part]), sorted({week.date() for week in weeks})
    read = partial(marts.read, MARTS[part], region=region, columns=columns)
    if part not in SNAPSHOTS:  # what happened, and plans only as known at the cutoffs
        of_cutoff = pads.field(WEEK).isin(cutoffs)
        return read(until=max(weeks), kept=(pads.field(H) == 0) | of_cutoff)
    rows = read(weeks=weeks)
    has_all = rows[WEEK].nunique() == len(cutoffs)
    return rows if has_all else read(until=max(weeks))  # an older one stands in
