"""What is known of one region: the frames that features are built from.

Only the container lives here; reading tables belongs to the assets, arrays to `panel`.
"""

from dataclasses import dataclass

import pandas as pd


@dataclass(frozen=True)
class History:
    """Marts of one region, as known at the close of the latest cutoff.

    Rows of later weeks may be present: they are never read for an earlier cutoff.

    Parameters
    ----------
    demand : pandas.DataFrame
        ``region, ds, unique_id, store_id, product_id, y``: one row per series and week [units].
    stores : pandas.DataFrame
        One row per ``week`` and ``store_id``: zip, format, opened_on, closed_on, demographics.
    products : pandas.DataFrame
        One row per ``week`` and ``product_id``: category, brand, package_size, launched_on,
        delisted_on.
    weather : pandas.DataFrame
        One row per ``week``, ``zip`` and ``h``: 0 is observed, from 1 as forecast at ``week``.
    events : pandas.DataFrame
        One row per ``week``, ``store_id`` and ``h``: the calendar as known at ``week``.
    prices : pandas.DataFrame
        One row per ``week``, ``unique_id`` and ``h``: the plan as known at ``week``; may be empty.
    """

    demand: pd.DataFrame
    stores: pd.DataFrame
    products: pd.DataFrame
    weather: pd.DataFrame
    events: pd.DataFrame
    prices: pd.DataFrame
