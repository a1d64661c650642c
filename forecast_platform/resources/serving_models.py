"""Models that are ready to forecast: fetched and verified, from their store or the local copy.

What a model is asked for, and who serves when one cannot, is in `serving`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from forecast_platform.errors import CorruptModel, RegistryError, RegistryUnavailable
from forecast_platform.resources.manifest import Row
from forecast_platform.resources.members import member_families
from forecast_platform.resources.registry import Registry
from forecast_platform.vocabulary import QUANTILES


class Unserved(RegistryError):  # noqa: N818 - named as its siblings
    """One step of the failover could not serve; the message says why."""


@dataclass(frozen=True)
class ServingModel:
    """A model that is ready to forecast, and who it is.

    Attributes
    ----------
    copy_used : str or None
        Why its local copy was taken; None where it came from its store.
    """

    model: Any
    name: str
    version: int | None
    cutoff: pd.Timestamp
    copy_used: str | None = None


def load_or_copy(registry: Registry, name: str, row: Row) -> tuple[Any, str | None]:
    """Fetch a promoted model; where its store does not answer, take the verified local copy.

    Returns
    -------
    model : object
    copy_used : str or None
        Why the copy was taken.

    Raises
    ------
    CorruptModel
        If its files are gone, differ from the registered ones, or are no model.
    RegistryUnavailable
        If they cannot be reached and there is no copy.
    """
    files, copy_used = fetch_or_copy(registry, name, row)
    model = read_model(files, str(row["artifact_uri"]))
    if copy_used is None:
        registry.copies.keep(name, str(row["sha256"]), files)
    return model, copy_used


def fetch_or_copy(registry: Registry, name: str, row: Row) -> tuple[dict[str, bytes], str | None]:
    """Fetch the verified files of a promoted model, or its local copy; see `load_or_copy`."""
    uri, digest = str(row["artifact_uri"]), str(row["sha256"])
    try:
        return registry.fetch(uri, digest), None
    except RegistryUnavailable as error:
        copied = registry.copies.find(name, digest)
        if copied is None:
            raise RegistryUnavailable(f"{error}; there is no local copy") from error
        return copied, str(error)


def read_model(files: Mapping[str, bytes], what: str) -> Any:
    """Read verified files as a model.

    Raises
    ------
    CorruptModel
        If they are none.
    """
    from forecast_platform.forecasting.models.base import CorruptModelFiles
    from forecast_platform.forecasting.models.files import load_model

    try:
        return load_model(files, member_families())
    except CorruptModelFiles as error:
        raise CorruptModel(f"{what}: {error}") from error


def origin_of(model: ServingModel, served_by: str) -> dict[str, Any]:
    """Name the model in columns of forecasts."""
    return {
        "model_name": model.name,
        "model_version": model.version,
        "cutoff": model.cutoff,
        "served_by": served_by,
    }


def range_of(
    model: ServingModel, rows: pd.DataFrame, forecast: NDArray[np.float64], **known: Any
) -> dict[str, NDArray[np.float64]]:
    """Forecast the range, a column each; nan of a model that was made before there were ranges.

    Raises
    ------
    Unserved
        If it are no numbers, or they cross, or do not hold the forecast.
    """
    levels = tuple(QUANTILES.values())
    quantiles = model.model.predict_quantiles(rows, levels, **known)
    if np.isnan(quantiles).all():
        return dict(zip(QUANTILES, quantiles.T, strict=True))
    rising = np.isfinite(quantiles).all() and (np.diff(quantiles, axis=1) >= 0).all()
    low, high = quantiles[:, 0], quantiles[:, -1]
    if not rising or (low < 0).any() or (forecast < low).any() or (forecast > high).any():
        raise Unserved("it forecasts a range that does not hold its forecast")
    return dict(zip(QUANTILES, quantiles.T, strict=True))


def range_or_none(
    model: ServingModel, rows: pd.DataFrame, forecast: NDArray[np.float64]
) -> dict[str, Any]:
    """Forecast the range of the last resort: where that fails, there is none."""
    try:
        return range_of(model, rows, forecast)
    except Unserved:
        return dict.fromkeys(QUANTILES, np.nan)


class LevelOfFeatures:
    """The level of each series in its features: what is left when no demand can be read."""

    def predict(self, rows: pd.DataFrame) -> NDArray[np.float64]:
        """Forecast the level of each row [units]."""
        return np.expm1(np.nan_to_num(rows["base_level"].to_numpy(float)))

    def predict_quantiles(self, rows: pd.DataFrame, levels: Sequence[float]) -> NDArray[np.float64]:
        """Say that nothing is known about a range."""
        return np.full((len(rows), len(levels)), np.nan)
