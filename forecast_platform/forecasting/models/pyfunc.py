"""The champions of a region as one model that MLflow's scoring server can call.

Only what runs in the server belongs here: it is exported with the few modules that it needs, and
imports nothing else. What is exported is put together in `forecast_platform.resources.export`.
"""

import hashlib
import json
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd

from forecast_platform.forecasting.models.base import CorruptModelFiles
from forecast_platform.forecasting.models.families import Families
from forecast_platform.forecasting.models.files import ARRAYS_FILE, MODEL_FILE, Model, load_model
from forecast_platform.vocabulary import FORMAT, SEGMENT

INDEX_FILE: Final = "serving.json"


class RegionModel:
    """Forecasts every row by the champion of its segment, or else by the average of its format.

    Parameters
    ----------
    index : mapping
        ``models``, by segment or format: name, version and the digests of the files.
    models : mapping
        The same keys, the models themselves.
    """

    def __init__(self, index: Mapping[str, Any], models: Mapping[str, Model]) -> None:
        self._index, self._models = index, models

    def predict(self, X: pd.DataFrame, params: Any = None) -> pd.DataFrame:  # noqa: ARG002
        """Forecast one value per row [units], and say which model made it.

        Returns
        -------
        pandas.DataFrame
            ``y_hat``, ``model_name``, ``model_version``, indexed as ``X``.

        Raises
        ------
        ValueError
            If a segment or format is not one of the region.
        """
        made = pd.DataFrame(index=X.index, columns=["y_hat", "model_name", "model_version"])
        for (segment, form), rows in X.groupby([SEGMENT, FORMAT], sort=False):
            key = str(segment) if segment in self._models else str(form)
            if key not in self._models:
                known = ", ".join(sorted(self._models))
                raise ValueError(f"no model for {segment!r} or {form!r}; there are: {known}")
            described = self._index["models"][key]
            forecast = np.clip(self._models[key].predict(rows), 0, None)
            made.loc[rows.index, "y_hat"] = forecast
            made.loc[rows.index, ["model_name", "model_version"]] = [
                described["model_name"],
                described["model_version"],
            ]
        return made.astype({"y_hat": "float64", "model_version": "int64"})


def _load_pyfunc(path: str) -> RegionModel:
    """Read an exported region: the entry point that MLflow calls.

    Raises
    ------
    CorruptModelFiles
        If a file is not the one that was exported.
    """
    folder = Path(path)
    index = json.loads((folder / INDEX_FILE).read_text())
    families = {name: _imported(where) for name, where in index["members"].items()}
    models = {key: _read(folder, one, families) for key, one in index["models"].items()}
    return RegionModel(index, models)


def _imported(path: str) -> Any:
    """Import a member's class: one that the settings named at the export, never a model's file."""
    module, _, name = path.partition(":")
    return getattr(import_module(module), name)


def _read(folder: Path, described: Mapping[str, Any], families: Families) -> Model:
    files = {}
    for name in (MODEL_FILE, ARRAYS_FILE):
        content = (folder / described["model_name"] / name).read_bytes()
        if hashlib.sha256(content).hexdigest() != described["files"][name]:
            raise CorruptModelFiles(
                f"{described['model_name']}/{name} was changed since its export"
            )
        files[name] = content
    return load_model(files, families)
