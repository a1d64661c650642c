"""Explanations of one region and week from the lake and the registered models.

What is read for which week; how a model or a forecast is taken apart belongs to
`forecast_platform.forecasting.explanation`.
"""

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final

import pandas as pd

from forecast_platform.errors import TableMissing
from forecast_platform.partitions import RegionWeek
from forecast_platform.resources.demand import read_demand
from forecast_platform.resources.experiments.arms import arm_of
from forecast_platform.resources.manifest import Manifest, Row, manifest_at, records
from forecast_platform.resources.registry import Registry
from forecast_platform.resources.scoring import FEATURES
from forecast_platform.resources.serving_models import load_or_copy, read_model
from forecast_platform.resources.snapshot import Snapshot
from forecast_platform.schemas.explanations import IMPORTANCE
from forecast_platform.schemas.forecasts import CHAMPION, EXPERIMENT, PREVIOUS_CHAMPION
from forecast_platform.schemas.models import TRAINED
from forecast_platform.vocabulary import (
    DS,
    ENSEMBLE,
    SEGMENT,
    UNIQUE_ID,
    WEEK,
    Y_HAT,
    H,
    Y,
)

if TYPE_CHECKING:
    from forecast_platform.forecasting.models.ensemble import Ensemble

ROW: Final = [UNIQUE_ID, H]
BY_MODELS: Final = (EXPERIMENT, CHAMPION, PREVIOUS_CHAMPION)
"""Who forecasts by an ensemble; the others carry forward or average."""

MAX_EXPLAINED: Final = 20_000
"""Largest forecasts of a region-week that are taken apart: about 15 s on one core."""

IMPORTANCE_WEEKS: Final = 13
IMPORTANCE_ROWS: Final = 2_000
"""Newest weeks with known demand, and at most so many rows of a segment, that are shuffled."""


def contributions_at(
    key: RegionWeek, tables: Snapshot, registry: Registry, *, limit: int = MAX_EXPLAINED
) -> pd.DataFrame:
    """Take the forecasts of a region-week apart; the largest ``limit`` of them.

    Returns
    -------
    pandas.DataFrame
        The forecasts with the columns `PARTS` of `explanation.contributions`.

    Raises
    ------
    TableMissing
        If nothing was forecast in the week.
    """
    forecasts = tables.read("forecasts", region=key.region, weeks=[key.week])
    if forecasts.empty:
        raise TableMissing(f"{key.key} has no forecasts: materialize forecasts first")
    chosen = forecasts.nlargest(limit, Y_HAT, keep="first").sort_index()
    features = tables.read(FEATURES, region=key.region, weeks=[key.week])
    manifest = manifest_at(key, tables)
    parts = [
        take_apart(
            rows,
            features_of(rows, features),
            _served(records(rows.head(1))[0], key, manifest, tables),
            registry,
        )
        for _, rows in chosen.groupby(["model_name", "model_version", "served_by"], dropna=False)
    ]
    return chosen.join(pd.concat(parts))


def _served(row: Row, key: RegionWeek, manifest: Manifest, tables: Snapshot) -> Row | None:
    """Find the row of the manifest, or of an experiment, that names the model of a forecast."""
    if row["served_by"] not in BY_MODELS:
        return None
    if row["served_by"] == EXPERIMENT:
        return arm_of(row, key, tables)
    return manifest.find(str(row["model_name"]), int(row["model_version"]))


def take_apart(
    rows: pd.DataFrame, features: pd.DataFrame, served: Row | None, registry: Registry
) -> pd.DataFrame:
    """Take forecasts of one model apart; what was averaged or carried forward is all base.

    Parameters
    ----------
    rows : pandas.DataFrame
        Forecasts.
    features : pandas.DataFrame
        As of `features_of`.
    served : Mapping or None
        Row that names their model; see `ensemble_of`.
    registry : Registry
    """
    from forecast_platform.forecasting.explanation.contributions import BASE, PARTS, contributions

    y_hat = rows[Y_HAT].to_numpy(float)
    if rows["served_by"].iloc[0] not in BY_MODELS:
        return pd.DataFrame(0.0, index=rows.index, columns=list(PARTS)).assign(**{BASE: y_hat})
    return contributions(ensemble_of(rows.iloc[0], served, registry), features, y_hat)


def ensemble_of(
    row: Mapping[str, Any] | pd.Series, served: Row | None, registry: Registry
) -> "Ensemble":
    """Load the ensemble that made a forecast.

    Raises
    ------
    TableMissing
        If nothing names the version: the gate was run again since.
    """
    name, version = str(row["model_name"]), int(row["model_version"])
    if served is None or int(served["champion_version"]) != version:
        raise TableMissing(
            f"{name} version {version} made the forecast, but neither promotion nor an experiment "
            "names it any more: materialize forecasts again"
        )
    return load_or_copy(registry, name, served)[0]


def features_of(rows: pd.DataFrame, features: pd.DataFrame) -> pd.DataFrame:
    """Pick the features of these forecasts, in their order and with their index.

    Raises
    ------
    TableMissing
        If some are gone.
    """
    positions = pd.MultiIndex.from_frame(features[ROW]).get_indexer(
        pd.MultiIndex.from_frame(rows[ROW])
    )
    if (positions < 0).any():
        raise TableMissing(
            "demand_features no longer has the rows that were forecast: materialize forecasts again"
        )
    return features.iloc[positions].set_axis(rows.index)


def explain_models(key: RegionWeek, tables: Snapshot, registry: Registry) -> pd.DataFrame:
    """Say what the ensembles trained in a week have learnt; no row where none was trained.

    Raises
    ------
    TableMissing
        If nothing was trained, not even in vain.
    """
    trained = tables.read("trained_ensembles", region=key.region, weeks=[key.week])
    if trained.empty:
        raise TableMissing(f"{key.key} has no trained_ensembles: materialize them first")
    ensembles = trained[(trained["kind"] == ENSEMBLE) & (trained["status"] == TRAINED)]
    if ensembles.empty:
        return pd.DataFrame()
    known = _newest_known(key, tables)
    tables_of = [
        table.assign(**{name: row[name] for name in _IDENTITY})
        for row in records(ensembles)
        for table in _explained(row, known[known[SEGMENT] == row[SEGMENT]], registry)
    ]
    return pd.concat(tables_of, ignore_index=True)


_IDENTITY: Final = ("region", "week", "segment", "format", "velocity", "model_version")


def _explained(
    row: Mapping[str, Any], known: pd.DataFrame, registry: Registry
) -> Iterator[pd.DataFrame]:
    from forecast_platform.forecasting.explanation.coefficients import has_effects, lasso_effects
    from forecast_platform.forecasting.explanation.groups import GROUPS
    from forecast_platform.forecasting.explanation.importance import permutation_importance

    uri = str(row["artifact_uri"])
    ensemble = read_model(registry.fetch(uri, str(row["sha256"])), uri)
    sample = (
        known if len(known) <= IMPORTANCE_ROWS else known.sample(IMPORTANCE_ROWS, random_state=0)
    )
    for name, member in ensemble.members.items():
        if has_effects(member) and len(sample):
            yield lasso_effects(member, sample).assign(model=name)
    if sample.empty:
        return
    models = {**ensemble.members, ENSEMBLE: ensemble}
    found = permutation_importance(models, sample, sample[Y], GROUPS)
    told = [
        f"without {group.replace('_', ' and ')} its MAPE is {value:+.3f} on the newest rows"
        for group, value in zip(found["feature_group"], found["value"], strict=True)
    ]
    yield found.assign(kind=IMPORTANCE, feature=found["feature_group"], unit="MAPE", meaning=told)


def _newest_known(key: RegionWeek, tables: Snapshot) -> pd.DataFrame:
    """Read the newest rows of features whose demand is known by now."""
    from forecast_platform.forecasting.features.training import training_frame

    since = key.week - pd.Timedelta(weeks=IMPORTANCE_WEEKS)
    features = tables.read(FEATURES, region=key.region, since=since, until=key.week)
    demand = read_demand(tables, key.region, key.week, since=since)
    rows = training_frame(features, demand, key.week, weeks=IMPORTANCE_WEEKS)
    return rows.sort_values([WEEK, DS, UNIQUE_ID], ignore_index=True)
