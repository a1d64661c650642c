"""Forecasts of one region and week from the lake, by the models that `promotion` names.

What is read for which week; loading models and failing over is in `serving`.
"""

from collections.abc import Mapping
from typing import Any

import pandas as pd

from forecast_platform.errors import TableMissing
from forecast_platform.partitions import RegionWeek
from forecast_platform.resources.demand import read_demand
from forecast_platform.resources.registry import Registry
from forecast_platform.resources.serving import Server, newest_manifest
from forecast_platform.resources.snapshot import Snapshot
from forecast_platform.vocabulary import FORMAT, STORE_ID, UNIQUE_ID, H

FEATURES = "demand_features"
PROMOTION = "promotion"


def score(
    key: RegionWeek,
    tables: Snapshot,
    registry: Registry,
    *,
    features: pd.DataFrame | None = None,
) -> pd.DataFrame:
    """Forecast every series of a region as known at the close of a week.

    Parameters
    ----------
    key : RegionWeek
    tables : Snapshot
        Where features, manifest and demand are read.
    registry : Registry
        Has the models' files.
    features : pandas.DataFrame, optional
        Rows to forecast instead of the week's own.

    Returns
    -------
    pandas.DataFrame
        The features with what `Server.forecast` adds, and ``forecast_id``.

    Raises
    ------
    TableMissing
        If the week has no features.
    """
    rows = features
    if rows is None:
        rows = tables.read(FEATURES, region=key.region, weeks=[key.week])
    if rows.empty:
        raise TableMissing(f"{key.key} has no rows in demand_features: materialize it first")

    def fit_baseline(form: str) -> Any:
        from forecast_platform.forecasting.training import fit_baseline

        demand = read_demand(tables, key.region, key.week)
        formats = rows.drop_duplicates(STORE_ID).set_index(STORE_ID)[FORMAT]
        return fit_baseline(demand.assign(format=demand[STORE_ID].map(formats)), form)

    manifest = manifest_at(key, tables)
    made = Server(key.region, key.week, manifest, registry, fit_baseline).forecast(rows)
    return with_ids(key, made)


def with_ids(key: RegionWeek, rows: pd.DataFrame) -> pd.DataFrame:
    """Name each forecast of a region-week, in the column ``forecast_id``."""
    return rows.assign(forecast_id=f"{key.key}|" + rows[UNIQUE_ID] + "|" + rows[H].astype(str))


def manifest_at(key: RegionWeek, tables: Snapshot) -> dict[str, Mapping[str, Any]]:
    """Read who serves as of a week, by model name; nobody if nothing was ever judged."""
    if not tables.exists(PROMOTION):
        return {}
    return newest_manifest(tables.read(PROMOTION, region=key.region, until=key.week))
