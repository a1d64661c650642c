"""What a model takes and gives, in the form in which MLflow writes signatures, and an example.

Names and types only; MLflow is not needed to say them. See
https://mlflow.org/docs/latest/ml/model/signatures/.
"""

import json
from importlib.metadata import version
from typing import Any, Final

import pandas as pd

from forecast_platform.vocabulary import (
    CATEGORICAL_FEATURES,
    NUMERIC_FEATURES,
    PRODUCT_ID,
    SEGMENT,
    UNIQUE_ID,
)

TEXT_COLUMNS: Final = tuple(dict.fromkeys((UNIQUE_ID, PRODUCT_ID, SEGMENT, *CATEGORICAL_FEATURES)))
EXAMPLE_ROWS: Final = 3
NEEDED_TO_FORECAST: Final = ("numpy", "pandas", "safetensors")
"""Packages that a model needs to be read and to forecast; training needs more."""


def signature() -> dict[str, str]:
    """Describe inputs and outputs, each as the JSON text that MLflow keeps.

    Numbers are doubles: a feature of 32 bits is one exactly, also on its way through JSON.
    """
    inputs = [_column(name, "string") for name in TEXT_COLUMNS]
    inputs += [_column(name, "double") for name in NUMERIC_FEATURES]
    outputs = [_column("y_hat", "double"), _column("model_name", "string")]
    outputs += [_column("model_version", "long")]
    return {"inputs": json.dumps(inputs), "outputs": json.dumps(outputs)}


def example(features: pd.DataFrame) -> dict[str, Any]:
    """Take the first rows of features as an example, in pandas' split orientation."""
    rows = features.head(EXAMPLE_ROWS)[[*TEXT_COLUMNS, *NUMERIC_FEATURES]]
    text = rows.astype(dict.fromkeys(NUMERIC_FEATURES, "float64"))
    return {"columns": list(text.columns), "data": text.to_numpy(object).tolist()}


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
