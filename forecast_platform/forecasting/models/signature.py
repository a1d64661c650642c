"""What a model takes and gives, in the form in which MLflow writes signatures, and an example.

Names and types only; MLflow is not needed to say them. See
https://mlflow.org/docs/latest/ml/model/signatures/.
"""

import json
from collections.abc import Iterable, Sequence
from importlib.metadata import version
from typing import Any, Final

import pandas as pd

from forecast_platform.forecasting.models.warm_start import DONOR_LEVEL, parts_of
from forecast_platform.vocabulary import (
    CATEGORICAL_FEATURES,
    NUMERIC_FEATURES,
    PRODUCT_ID,
    SEGMENT,
    UNIQUE_ID,
)

TEXT_COLUMNS: Final = tuple(dict.fromkeys((UNIQUE_ID, PRODUCT_ID, SEGMENT, *CATEGORICAL_FEATURES)))
ALL_COLUMNS: Final = (*TEXT_COLUMNS, *NUMERIC_FEATURES)
EXAMPLE_ROWS: Final = 3
NEEDED_TO_FORECAST: Final = ("numpy", "pandas", "safetensors")
"""Packages that a model needs to be read and to forecast; training needs more."""


def columns_of(models: Iterable[Any]) -> tuple[str, ...]:
    """Name the columns that some models read: older ones may read others than those of today.

    Parameters
    ----------
    models : iterable
        Ensembles and baselines; members name their columns in their parameters.
    """
    named: list[str] = []
    for model in models:
        for member in getattr(model, "members", {}).values():
            for one in parts_of(member):
                params = one.get_params(deep=False)
                named += [name for value in params.values() for name in _names_in(value)]
                named += [params["base"]] if isinstance(params.get("base"), str) else []
    made = {*TEXT_COLUMNS, DONOR_LEVEL}
    numbers = [name for name in dict.fromkeys(named) if name not in made]
    return (*TEXT_COLUMNS, *numbers)


def _names_in(value: Any) -> list[str]:
    is_names = isinstance(value, (tuple, list)) and all(isinstance(one, str) for one in value)
    return list(value) if is_names else []


def signature(columns: Sequence[str] = ALL_COLUMNS) -> dict[str, str]:
    """Describe inputs and outputs, each as the JSON text that MLflow keeps.

    Numbers are doubles: a feature of 32 bits is one exactly, also on its way through JSON.
    """
    text = set(TEXT_COLUMNS)
    inputs = [_column(name, "string" if name in text else "double") for name in columns]
    outputs = [_column("y_hat", "double"), _column("model_name", "string")]
    outputs += [_column("model_version", "long")]
    return {"inputs": json.dumps(inputs), "outputs": json.dumps(outputs)}


def example(features: pd.DataFrame, columns: Sequence[str] = ALL_COLUMNS) -> dict[str, Any]:
    """Take the first rows of features as an example, in pandas' split orientation.

    Raises
    ------
    KeyError
        If the features lack a column.
    """
    rows = features.head(EXAMPLE_ROWS)[list(columns)]
    numbers = [name for name in columns if name not in TEXT_COLUMNS]
    plain = rows.astype(dict.fromkeys(numbers, "float64"))
    return {"columns": list(columns), "data": plain.to_numpy(object).tolist()}


def requirements() -> list[str]:
    """Pin what a model needs to forecast to the versions that are installed here."""
    return [f"{name}=={version(name)}" for name in NEEDED_TO_FORECAST]


def descriptors(features: pd.DataFrame) -> dict[str, bytes]:
    """Write signature, input example and requirements as files, the same ones for the same rows."""
    return {
        "signature.json": json.dumps(signature(), indent=1).encode(),
        "input_example.json": json.dumps(example(features)).encode(),
        "requirements.txt": ("\n".join(requirements()) + "\n").encode(),
    }


def _column(name: str, kind: str) -> dict[str, Any]:
    return {"type": kind, "name": name, "required": True}
