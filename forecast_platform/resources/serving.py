"""Forecasts of one region and week by the models that its manifest names, with failover.

A model that is missing, corrupt, out of reach, or answers nonsense is replaced by the baseline,
and the rows say so. Which models are promoted is decided in the promotion asset; what a model
computes belongs to `forecast_platform.forecasting.models`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from forecast_platform.errors import CorruptModel, NoChampion, RegistryError
from forecast_platform.resources.members import as_columns, member_families
from forecast_platform.resources.registry import Registry, model_name
from forecast_platform.schemas.forecasts import CHAMPION
from forecast_platform.vocabulary import (
    FORMAT,
    HISTORICAL_AVERAGE,
    SEGMENT,
    VELOCITY,
    Y_HAT,
)


@dataclass(frozen=True)
class ServingModel:
    """A model that is ready to forecast, and who it is."""

    model: Any
    name: str
    version: int | None
    cutoff: pd.Timestamp


@dataclass
class Server:
    """Forecasts one region and week.

    Parameters
    ----------
    region : str
    week : pandas.Timestamp
        The cutoff that is scored.
    manifest : Mapping[str, Mapping[str, Any]]
        The newest row of `promotion` as of ``week`` for each model name.
    registry : Registry
    fit_baseline : Callable[[str], Any]
        Makes the historical average of a format from the demand known at ``week``: the last
        resort, when the registered baseline cannot be loaded either.
    """

    region: str
    week: pd.Timestamp
    manifest: Mapping[str, Mapping[str, Any]]
    registry: Registry
    fit_baseline: Callable[[str], Any]
    _baselines: dict[str, ServingModel] = field(default_factory=dict)

    def forecast(self, features: pd.DataFrame) -> pd.DataFrame:
        """Forecast every row of the features, in their order."""
        parts = [self._segment(rows) for _, rows in features.groupby(SEGMENT, sort=True)]
        return pd.concat(parts).loc[features.index]

    def _segment(self, rows: pd.DataFrame) -> pd.DataFrame:
        form, velocity = rows[FORMAT].iloc[0], rows[VELOCITY].iloc[0]
        name = model_name(self.region, form, velocity)
        baseline = self._baseline(form)
        average = _checked(baseline.model.predict(rows), baseline.name)
        nobody = as_columns(pd.DataFrame(index=rows.index))
        made = rows.assign(**{Y_HAT: average, HISTORICAL_AVERAGE: average, **nobody})
        made = made.assign(**_origin(baseline, HISTORICAL_AVERAGE))
        try:
            champion = self._load(name)
            members = champion.model.predict_members(rows)
            forecast = _checked(champion.model.combine(members), champion.name)
        except RegistryError as error:
            return made.assign(failover_reason=str(error))
        served = {Y_HAT: forecast, **as_columns(members), **_origin(champion, CHAMPION)}
        return made.assign(**served, failover_reason=None)

    def _baseline(self, form: str) -> ServingModel:
        """Load the registered baseline of a format, or make it again."""
        if form not in self._baselines:
            name = model_name(self.region, form, HISTORICAL_AVERAGE)
            try:
                loaded = self._load(name)
            except RegistryError:
                loaded = ServingModel(self.fit_baseline(form), name, None, self.week)
            self._baselines[form] = loaded
        return self._baselines[form]

    def _load(self, name: str) -> ServingModel:
        row = self.manifest.get(name)
        if row is None:
            raise NoChampion(f"{name} was not judged by {self.week:%Y-%m-%d}")
        if pd.isna(row["champion_version"]):
            raise NoChampion(f"{name} has no champion: {row['reason']}")
        model = load_registered(self.registry, row["artifact_uri"], row["sha256"])
        return ServingModel(model, name, int(row["champion_version"]), row["cutoff"])


def load_registered(registry: Registry, artifact_uri: str, digest: str) -> Any:
    """Fetch a model, verify it, and read it as data.

    Raises
    ------
    CorruptModel
        If its files are gone, differ from the registered ones, or are no model.
    RegistryUnavailable
        If they cannot be reached.
    """
    from forecast_platform.forecasting.models.base import CorruptModelFiles
    from forecast_platform.forecasting.models.files import load_model

    files = registry.fetch(artifact_uri, digest)
    try:
        return load_model(files, member_families())
    except CorruptModelFiles as error:
        raise CorruptModel(f"{artifact_uri}: {error}") from error


def newest_manifest(promotion: pd.DataFrame) -> dict[str, Mapping[str, Any]]:
    """Pick the newest row of each model name out of the promotions of one region."""
    newest = promotion.sort_values("week").groupby("model_name").tail(1)
    return {row["model_name"]: row for row in records(newest)}


def records(rows: pd.DataFrame) -> list[dict[str, Any]]:
    """Turn rows into mappings from column to value."""
    return [dict(zip(rows.columns, row, strict=True)) for row in rows.itertuples(index=False)]


def _origin(model: ServingModel, served_by: str) -> dict[str, Any]:
    return {
        "model_name": model.name,
        "model_version": model.version,
        "cutoff": model.cutoff,
        "served_by": served_by,
    }


def _checked(forecast: np.ndarray, name: str) -> np.ndarray:
    """Refuse forecasts that are no numbers; demand is never below zero."""
    if not np.isfinite(forecast).all():
        raise CorruptModel(f"{name} forecasts values that are not finite")
    return np.clip(forecast, 0, None)
