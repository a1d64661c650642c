"""Forecasts of one region and week from the lake, by the models that `promotion` names.

What is read for which week; loading models and failing over is in `serving`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd
from threadpoolctl import threadpool_limits

from forecast_platform.errors import LakeError, TableMissing
from forecast_platform.forecasting.evaluation.guard_rails import FailoverRule
from forecast_platform.partitions import RegionWeek
from forecast_platform.resources.carrying import Earlier, last_good
from forecast_platform.resources.demand import read_demand
from forecast_platform.resources.experiments.arms import with_experiments
from forecast_platform.resources.manifest import manifest_at
from forecast_platform.resources.registry import Registry
from forecast_platform.resources.serving import Server
from forecast_platform.resources.snapshot import Snapshot
from forecast_platform.vocabulary import DS, FORMAT, STORE_ID, UNIQUE_ID, H, Y

FEATURES = "demand_features"

in_one_thread = threadpool_limits.wrap(limits=1)
"""Matrix products of several threads are summed in another order: a forecast is the same to the
last bit whatever the process that makes it was given."""


@in_one_thread
def score(
    key: RegionWeek,
    tables: Snapshot,
    registry: Registry,
    *,
    features: pd.DataFrame | None = None,
    rule: FailoverRule | None = None,
    served_by: Mapping[str, str] | None = None,
) -> pd.DataFrame:
    """Forecast every series of a region as known at the close of a week.

    Parameters
    ----------
    key : RegionWeek
    tables : Snapshot
        Where features, manifest, demand and earlier forecasts are read.
    registry : Registry
        Has the models' files.
    features : pandas.DataFrame, optional
        Rows to forecast instead of the week's own.
    rule : FailoverRule, optional
        When a model may not serve.
    served_by : mapping of str to str, optional
        By segment, who is to serve; see `Server`.

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
    scene = _Scene(key, tables, rows, rule or FailoverRule())
    server = Server(
        region=key.region,
        week=key.week,
        manifest=manifest_at(key, tables),
        registry=registry,
        fit_baseline=scene.fit_baseline,
        recent=scene.recent,
        earlier=scene.earlier,
        rule=scene.rule,
        served_by=served_by or {},
    )
    made = with_experiments(key, server.forecast(rows), tables, server)
    return with_ids(key, made)


@dataclass(frozen=True)
class _Scene:
    """What a server may ask for while it forecasts, read when it does."""

    key: RegionWeek
    tables: Snapshot
    rows: pd.DataFrame
    rule: FailoverRule

    def fit_baseline(self, form: str) -> Any:
        """Make the historical average of a format from the demand known at the week."""
        from forecast_platform.forecasting.training import fit_baseline

        demand = read_demand(self.tables, self.key.region, self.key.week)
        formats = self.rows.drop_duplicates(STORE_ID).set_index(STORE_ID)[FORMAT]
        return fit_baseline(demand.assign(format=demand[STORE_ID].map(formats)), form)

    def recent(self) -> pd.DataFrame:
        """Read the demand that guard rails are laid by."""
        return recent_demand(self.key, self.tables, self.rule.guard_rails.recent_weeks)

    def earlier(self, name: str) -> Earlier | None:
        """Find the last good forecast by the name of its model."""
        return last_good(self.key, name, self.rule.max_carry_weeks, self.tables)


def recent_demand(key: RegionWeek, tables: Snapshot, weeks: int) -> pd.DataFrame:
    """Read the demand of the last weeks; without rows where none can be read."""
    since = key.week - pd.Timedelta(weeks=weeks - 1)
    try:
        return read_demand(tables, key.region, key.week, since=since)
    except LakeError:
        return pd.DataFrame(columns=[UNIQUE_ID, DS, Y])


def with_ids(key: RegionWeek, rows: pd.DataFrame) -> pd.DataFrame:
    """Name each forecast of a region-week, in the column ``forecast_id``."""
    return rows.assign(forecast_id=f"{key.key}|" + rows[UNIQUE_ID] + "|" + rows[H].astype(str))
