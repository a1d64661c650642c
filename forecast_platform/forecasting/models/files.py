"""Models as files: JSON for names and settings, safetensors for arrays, nothing that is executed.

Where files are kept belongs to the registry. Both files carry digests, so a flipped bit is an error
and not another forecast.
"""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load, save

from forecast_platform.forecasting.models.base import CorruptModelFiles
from forecast_platform.forecasting.models.baseline import HistoricalAverage
from forecast_platform.forecasting.models.embedding_net import EmbeddingNetForecaster
from forecast_platform.forecasting.models.ensemble import Ensemble
from forecast_platform.forecasting.models.families import BUILT_IN, Families
from forecast_platform.forecasting.models.lasso import LassoForecaster

Model = Ensemble | HistoricalAverage | LassoForecaster | EmbeddingNetForecaster

MODEL_FILE = "model.json"
ARRAYS_FILE = "arrays.safetensors"
FORMAT_VERSION = 1

KINDS: dict[str, type[Model]] = {
    "ensemble": Ensemble,
    "historical_average": HistoricalAverage,
    "lasso": LassoForecaster,
    "embedding_net": EmbeddingNetForecaster,
}
"""What a file may say it holds; nothing else is ever built from one."""


def to_files(model: Model) -> dict[str, bytes]:
    """Write a fitted model as named files; the same model gives the same bytes."""
    kind = next(name for name, family in KINDS.items() if type(model) is family)
    values, arrays = model.to_state()
    stored = save({name: np.ascontiguousarray(array) for name, array in sorted(arrays.items())})
    body = {
        "format_version": FORMAT_VERSION,
        "kind": kind,
        "state": values,
        "arrays": {name: _described(array) for name, array in arrays.items()},
        "arrays_sha256": hashlib.sha256(stored).hexdigest(),
    }
    document = {"sha256": _digest(body), "body": body}
    return {MODEL_FILE: _encoded(document), ARRAYS_FILE: stored}


def load_model(files: Mapping[str, bytes], families: Families = BUILT_IN) -> Model:
    """Build a model from its files; its forecasts equal the written model's to the last bit.

    Parameters
    ----------
    files : mapping of str to bytes
    families : mapping of str to type
        Classes of an ensemble's members by name. The files name members only; what is not here is
        refused.

    Raises
    ------
    CorruptModelFiles
        If a file is missing or damaged, or says something that no model of ours can be.
    """
    body = _read_body(files)
    arrays = _read_arrays(files, body)
    family = KINDS.get(str(body.get("kind")))
    if family is None:
        raise CorruptModelFiles(f"unknown kind of model: {body.get('kind')!r}")
    try:
        if family is Ensemble:
            return Ensemble.from_state(body["state"], arrays, "", families)
        return family.from_state(body["state"], arrays, "")
    except CorruptModelFiles:
        raise
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise CorruptModelFiles(
            f"{MODEL_FILE} does not describe a {body['kind']}: {error}"
        ) from error


def _read_body(files: Mapping[str, bytes]) -> dict[str, Any]:
    try:
        document = json.loads(_file(files, MODEL_FILE))
        body, digest = document["body"], document["sha256"]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise CorruptModelFiles(f"{MODEL_FILE} cannot be read: {error}") from error
    if not isinstance(body, dict) or _digest(body) != digest:
        raise CorruptModelFiles(f"{MODEL_FILE} does not match its digest")
    if body.get("format_version") != FORMAT_VERSION:
        raise CorruptModelFiles(
            f"format version {body.get('format_version')!r} is not {FORMAT_VERSION}"
        )
    return body


def _read_arrays(files: Mapping[str, bytes], body: dict[str, Any]) -> dict[str, NDArray[Any]]:
    stored = _file(files, ARRAYS_FILE)
    if hashlib.sha256(stored).hexdigest() != body.get("arrays_sha256"):
        raise CorruptModelFiles(f"{ARRAYS_FILE} does not match its digest")
    try:
        arrays = load(stored)
    except (SafetensorError, ValueError, KeyError) as error:
        raise CorruptModelFiles(f"{ARRAYS_FILE} cannot be read: {error}") from error
    if {name: _described(array) for name, array in arrays.items()} != body.get("arrays"):
        raise CorruptModelFiles(f"{ARRAYS_FILE} does not hold the arrays it should")
    return arrays


def _file(files: Mapping[str, bytes], name: str) -> bytes:
    if name not in files:
        raise CorruptModelFiles(f"{name} is missing")
    return files[name]


def _described(array: NDArray[Any]) -> dict[str, Any]:
    return {"dtype": array.dtype.name, "shape": list(array.shape)}


def _encoded(values: Any) -> bytes:
    return json.dumps(values, sort_keys=False, ensure_ascii=True, allow_nan=False).encode()


def _digest(body: Any) -> str:
    return hashlib.sha256(_encoded(body)).hexdigest()
