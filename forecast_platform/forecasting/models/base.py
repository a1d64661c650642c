"""What every forecaster promises, and the small parts that all of them share.

Only the protocol, parameter handling and the files' error belong here: no model, no encoder and
no loss.
"""

import inspect
from collections.abc import Mapping
from typing import Any, Protocol, Self, runtime_checkable

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.floating[Any]]
State = tuple[dict[str, Any], dict[str, NDArray[Any]]]
"""A fitted model as plain JSON values and named arrays: data, nothing to execute."""


class CorruptModelFiles(ValueError):  # noqa: N818 (named for what is wrong)
    """The files of a model are missing, damaged or of another format."""


class NotFitted(ValueError):  # noqa: N818 (named for what is wrong)
    """A forecaster was asked for forecasts before it was fitted."""


@runtime_checkable
class Forecaster(Protocol):
    """Anything that learns from rows of known demand and forecasts other rows."""

    def fit(self, X: pd.DataFrame, y: ArrayLike) -> Self:
        """Learn from rows ``X`` whose demand ``y`` [units] is known."""
        ...

    def predict(self, X: pd.DataFrame) -> Floats:
        """Forecast one value per row of ``X``, in its order [units]."""
        ...


class Estimator:
    """Parameters in scikit-learn's form, so that ``sklearn.base.clone`` and grids work.

    Notes
    -----
    scikit-learn's own ``BaseEstimator`` is not used: a scoring process then never pays the two
    seconds that importing it costs.
    """

    @classmethod
    def _names(cls) -> tuple[str, ...]:
        return tuple(name for name in inspect.signature(cls.__init__).parameters if name != "self")

    def get_params(self, deep: bool = True) -> dict[str, Any]:  # noqa: ARG002, FBT001, FBT002
        """Return the parameters given to the constructor."""
        return {name: getattr(self, name) for name in self._names()}

    def set_params(self, **params: Any) -> Self:
        """Replace parameters; an unknown name is refused."""
        unknown = sorted(params.keys() - set(self._names()))
        if unknown:
            raise ValueError(f"{type(self).__name__} has no parameter {', '.join(unknown)}")
        for name, value in params.items():
            setattr(self, name, value)
        return self

    def __repr__(self) -> str:
        shown = ", ".join(f"{name}={value!r}" for name, value in self.get_params().items())
        return f"{type(self).__name__}({shown})"


def require_fitted(model: object, attribute: str) -> None:
    """Raise `NotFitted` unless ``model`` has what ``fit`` sets."""
    if not hasattr(model, attribute):
        raise NotFitted(f"{type(model).__name__} is not fitted yet")


def checked_target(X: pd.DataFrame, y: ArrayLike) -> NDArray[np.float64]:
    """Return ``y`` as float64 after the checks that every ``fit`` makes.

    Raises
    ------
    ValueError
        If there are no rows, the lengths differ, or a value is negative or not finite: net demand
        is clipped at zero upstream, so such a value is a defect and not an observation.
    """
    values = np.asarray(y, dtype=np.float64)
    if len(X) == 0:
        raise ValueError("cannot fit on no rows")
    if values.shape != (len(X),):
        raise ValueError(f"y has shape {values.shape}, expected ({len(X)},)")
    if not np.isfinite(values).all() or (values < 0).any():
        raise ValueError("y must be finite and not negative")
    return values


def require_columns(X: pd.DataFrame, columns: tuple[str, ...]) -> None:
    """Raise ``KeyError`` naming every column that ``X`` lacks."""
    missing = [column for column in columns if column not in X.columns]
    if missing:
        raise KeyError(f"columns missing from the frame: {', '.join(missing)}")


def taken(arrays: Mapping[str, NDArray[Any]], name: str, shape: tuple[int, ...]) -> NDArray[Any]:
    """Take a float array out of a model's files, of exactly this shape and finite.

    Raises
    ------
    CorruptModelFiles
        If it is absent, of another shape or kind, or holds a value that is not finite.
    """
    if name not in arrays:
        raise CorruptModelFiles(f"array {name!r} is missing")
    array = arrays[name]
    if array.shape != shape:
        raise CorruptModelFiles(f"array {name!r} has shape {array.shape}, expected {shape}")
    if array.dtype.kind != "f" or not np.isfinite(array).all():
        raise CorruptModelFiles(f"array {name!r} must hold finite floating-point numbers")
    return array


def with_tuples(params: Any) -> dict[str, Any]:
    """Undo what JSON does to a constructor's parameters: lists back to tuples."""
    if not isinstance(params, dict):
        raise CorruptModelFiles("parameters must be a mapping")
    return {
        name: tuple(value) if isinstance(value, list) else value for name, value in params.items()
    }
