"""Families of members: what a class promises to be one, and how one is built and tried.

Which families there are is decided outside and handed in; a model's file names a member and never a
class or a module, so that nothing is imported because a file says so.
"""

import inspect
import json
from collections.abc import Mapping
from typing import Any, Final, Protocol, Self, cast, runtime_checkable

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from forecast_platform.forecasting.models.base import Floats, State
from forecast_platform.forecasting.models.embedding_net import EmbeddingNetForecaster
from forecast_platform.forecasting.models.lasso import LassoForecaster
from forecast_platform.vocabulary import (
    CATEGORICAL_FEATURES,
    DS,
    EMBEDDING_NET,
    FORMAT,
    FORMATS,
    LASSO,
    NUMERIC_FEATURES,
    PRODUCT_ID,
    SEGMENT,
    STORE_ID,
    UNIQUE_ID,
    VELOCITIES,
    VELOCITY,
)

TRIAL_WEEKS: Final = 26
"""Weeks of the made-up rows on which `try_family` fits."""


@runtime_checkable
class Member(Protocol):
    """A forecaster that can be written down as data and read back."""

    def get_params(self, deep: bool = True) -> dict[str, Any]:  # noqa: FBT001, FBT002
        """Return the parameters given to the constructor, as scikit-learn does."""
        ...

    def fit(self, X: pd.DataFrame, y: ArrayLike) -> Self:
        """Learn from rows ``X`` whose demand ``y`` [units] is known."""
        ...

    def predict(self, X: pd.DataFrame) -> Floats:
        """Forecast one value per row of ``X``, in its order [units]."""
        ...

    def to_state(self) -> State:
        """Return the fitted member as JSON values and named arrays."""
        ...

    @classmethod
    def from_state(cls, values: Any, arrays: Mapping[str, NDArray[Any]], prefix: str) -> Self:
        """Read back what `to_state` gave; its arrays lie under ``<prefix><name>``."""
        ...


Families = Mapping[str, type[Member]]
"""Classes that may be trained and read from files, by the name of the member."""

BUILT_IN: Final[Families] = {LASSO: LassoForecaster, EMBEDDING_NET: EmbeddingNetForecaster}

PROMISED: Final = {
    "get_params": "get_params(deep=True) -> dict (inherit models.base.Estimator)",
    "fit": "fit(X, y) -> self",
    "predict": "predict(X) -> array of len(X) [units]",
    "to_state": "to_state() -> (JSON values, dict of arrays)",
    "from_state": "classmethod from_state(values, arrays, prefix)",
}
"""What a class needs, in words for an error."""


class UnfitFamily(TypeError):  # noqa: N818 (named for what is wrong)
    """A class does not do what a member must; the message says what and how to mend it."""


def check_family(name: str, family: Any) -> type[Member]:
    """Return ``family`` if it is a class with every method of a member.

    Raises
    ------
    UnfitFamily
        Naming everything that is missing at once.
    """
    if not inspect.isclass(family):
        raise UnfitFamily(f"member {name!r} must be a class, got {type(family).__name__}")
    missing = [told for verb, told in PROMISED.items() if not callable(getattr(family, verb, None))]
    if missing:
        raise UnfitFamily(f"member {name!r}: {family.__qualname__} lacks {'; '.join(missing)}")
    if not inspect.ismethod(getattr(family, "from_state", None)):
        raise UnfitFamily(f"member {name!r}: {family.__qualname__}.from_state is no classmethod")
    return cast("type[Member]", family)


def build(family: type[Member], settings: Mapping[str, Any]) -> Member:
    """Make a member, giving its constructor those settings of the training that it asks for.

    Parameters
    ----------
    family : type
    settings : mapping of str to object
        By name of a constructor's parameter: ``numeric``, ``categorical``, ``seed`` and so on.
        What a constructor does not name is not passed.

    Examples
    --------
    >>> build(LassoForecaster, {"numeric": ("lag_0",), "epochs": 3}).get_params()["numeric"]
    ('lag_0',)
    """
    asked = inspect.signature(family).parameters
    return family(**{name: value for name, value in settings.items() if name in asked})


def try_family(name: str, family: type[Member], settings: Mapping[str, Any]) -> None:
    """Fit a family on made-up rows and hold it to everything that the platform relies on.

    Raises
    ------
    UnfitFamily
        If it cannot be built and fitted, forecasts something else than one finite number of at
        least zero per row, gives another forecast when it is fitted again or read back from what
        it wrote, or writes something that is not data.
    """
    rows = trial_rows()
    try:
        fitted = build(family, settings).fit(rows, rows["y"])
        again = build(family, settings).fit(rows, rows["y"])
        forecast = np.asarray(fitted.predict(rows), dtype=np.float64)
        read = _round_trip(fitted)
        same = np.asarray(read.predict(rows)), np.asarray(again.predict(rows))
    except UnfitFamily:
        raise
    except Exception as error:
        told = f"{type(error).__name__}: {error}"
        raise UnfitFamily(f"member {name!r} fails on made-up rows: {told}") from error
    problems = {
        f"predict gave shape {forecast.shape} for {len(rows)} rows": forecast.shape != (len(rows),),
        "predict gave values that are not finite": not np.isfinite(forecast).all(),
        "predict gave values below zero": bool((forecast < 0).any()),
        "read back from its state it forecasts otherwise": not np.array_equal(forecast, same[0]),
        "fitted twice with one seed it forecasts otherwise": not np.array_equal(forecast, same[1]),
    }
    found = [problem for problem, is_there in problems.items() if is_there]
    if found:
        raise UnfitFamily(f"member {name!r}: {'; '.join(found)}")


def _round_trip(fitted: Member) -> Member:
    values, arrays = fitted.to_state()
    kept = json.loads(json.dumps(values, allow_nan=False))
    stored = {f"x/{name}": np.ascontiguousarray(array) for name, array in arrays.items()}
    if any(array.dtype.hasobject for array in stored.values()):
        raise UnfitFamily(f"{type(fitted).__qualname__}.to_state gives arrays of objects: not data")
    return type(fitted).from_state(kept, stored, "x/")


def trial_rows() -> pd.DataFrame:
    """Make rows of six series with every column that a member may be given, and demand ``y``."""
    rng = np.random.default_rng(0)
    weeks = pd.date_range("2024-01-01", periods=TRIAL_WEEKS, freq="W-MON").as_unit("us")
    series = pd.DataFrame({STORE_ID: ["s0", "s1", "s2"]}).merge(
        pd.DataFrame({PRODUCT_ID: ["p0", "p1"]}), how="cross"
    )
    rows = series.merge(pd.DataFrame({DS: weeks}), how="cross")
    formats = np.where(rows[STORE_ID] == "s0", *FORMATS)
    velocities = np.where(rows[PRODUCT_ID] == "p0", *VELOCITIES)
    named = {
        UNIQUE_ID: rows[STORE_ID] + "/" + rows[PRODUCT_ID],
        "week": rows[DS] - pd.Timedelta(weeks=1),
        "h": 1,
        FORMAT: formats,
        VELOCITY: velocities,
        SEGMENT: [f"{form}_{velocity}" for form, velocity in zip(formats, velocities, strict=True)],
    }
    rows = rows.assign(**named)
    others = [name for name in CATEGORICAL_FEATURES if name not in rows]
    rows = rows.assign(**{name: rng.choice(["a", "b"], len(rows)) for name in others})
    numbers = rng.random((len(rows), len(NUMERIC_FEATURES))).astype(np.float32)
    rows = pd.concat([rows, pd.DataFrame(numbers, columns=list(NUMERIC_FEATURES))], axis=1)
    return rows.assign(y=rng.poisson(2 + 4 * rows["base_level"]).astype(float))
