"""Demand added up to regions and clusters of stores, as known at the close of a week.

Which stores are alike belongs here; features of the sums are in `horizon`, models in `models`.
"""

from typing import Any, Final

import numpy as np
import pandas as pd

from forecast_platform.vocabulary import DS, FORMAT, PRODUCT_ID, SHOPPER_COLUMNS, STORE_ID, Y

REGION_SCOPE: Final = "region"
ALL_CATEGORIES: Final = "all"
VOLUME_WEEKS: Final = 52
"""Weeks whose mean volume says how large a store is [weeks]."""


def cluster_stores(
    stores: pd.DataFrame, demand: pd.DataFrame, *, n_clusters: int, seed: int
) -> pd.Series:
    """Put stores that are alike into clusters: by demographics, format and volume.

    Parameters
    ----------
    stores : pandas.DataFrame
        One row per store as known: ``store_id``, ``format`` and `SHOPPER_COLUMNS`.
    demand : pandas.DataFrame
        Known demand: ``store_id``, ``ds``, ``y``.
    n_clusters : int
        At most; never more than one for two stores.
    seed : int

    Returns
    -------
    pandas.Series
        ``cluster_1``, the one with the largest stores, and so on, by ``store_id``. The same for
        the same rows in whatever order.

    References
    ----------
    .. [1] D. Arthur and S. Vassilvitskii, "k-means++: the advantages of careful seeding" (2007).
    """
    from sklearn.cluster import KMeans

    known = stores.drop_duplicates(STORE_ID, keep="last").set_index(STORE_ID).sort_index()
    recent = demand[demand[DS] > demand[DS].max() - pd.Timedelta(weeks=VOLUME_WEEKS)]
    weekly = recent.groupby([STORE_ID, DS], observed=True)[Y].sum().groupby(level=0).mean()
    volume = np.log1p(weekly.reindex(known.index).fillna(0.0).to_numpy(float))
    about = known.reindex(columns=list(SHOPPER_COLUMNS)).astype(float).to_numpy()
    is_large = (known[FORMAT] == "large").to_numpy(float)
    points = _standardised(np.column_stack([about, is_large, volume]))
    count = min(n_clusters, max(1, len(known) // 2))
    tries: Any = 10  # scikit-learn's own hint knows "auto" only
    labels = KMeans(n_clusters=count, n_init=tries, random_state=seed).fit_predict(points)
    size = pd.Series(volume).groupby(labels).mean().sort_values(ascending=False)
    names = {label: f"cluster_{place}" for place, label in enumerate(size.index, 1)}
    return pd.Series([names[label] for label in labels], index=known.index, name="cluster")


def _standardised(points: np.ndarray) -> np.ndarray:
    """Centre and scale columns; what is missing is at the mean, and so is a constant column."""
    known = np.isfinite(points)
    counts = np.maximum(known.sum(axis=0), 1)
    mean = np.where(known, points, 0.0).sum(axis=0) / counts
    centred = np.where(known, points - mean, 0.0)
    spread = np.sqrt((centred**2).sum(axis=0) / counts)
    return centred / np.where(spread > 1e-9, spread, 1.0)


def aggregate(demand: pd.DataFrame, products: pd.DataFrame, clusters: pd.Series) -> pd.DataFrame:
    """Add demand up: the region and each cluster, each category and all of them.

    Parameters
    ----------
    demand : pandas.DataFrame
        Known demand: ``store_id``, ``product_id``, ``ds``, ``y``.
    products : pandas.DataFrame
        ``product_id``, ``category``.
    clusters : pandas.Series
        As of `cluster_stores`.

    Returns
    -------
    pandas.DataFrame
        ``scope`` (``region`` or a cluster), ``category`` (or ``all``), ``unique_id`` =
        ``<scope>/<category>``, ``ds``, ``y`` [units]; a row for each week from the first to the
        last, zero where nothing is known.
    """
    category = products.drop_duplicates(PRODUCT_ID, keep="last").set_index(PRODUCT_ID)["category"]
    rows = pd.DataFrame(
        {
            "scope": demand[STORE_ID].map(clusters).to_numpy(),
            "category": demand[PRODUCT_ID].map(category).fillna("unknown").to_numpy(),
            DS: demand[DS].to_numpy(),
            Y: demand[Y].to_numpy(float),
        }
    )
    cells = rows.groupby(["scope", "category", DS], observed=True)[Y].sum().reset_index()
    region = cells.assign(scope=REGION_SCOPE)
    both = pd.concat(
        [cells, region, *(part.assign(category=ALL_CATEGORIES) for part in (cells, region))]
    )
    summed = both.groupby(["scope", "category", DS])[Y].sum()
    weeks = pd.date_range(demand[DS].min(), demand[DS].max(), freq="W-MON").as_unit("us")
    wide = summed.unstack(DS).reindex(columns=weeks).fillna(0.0)  # noqa: PD010
    long = wide.melt(var_name=DS, value_name=Y, ignore_index=False).reset_index()
    return long.assign(unique_id=long["scope"] + "/" + long["category"])
