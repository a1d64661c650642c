"""The historical average: what every model has to beat, and what serves when none does.

No other simple method belongs here; the ensemble does not know this one.
"""

from collections.abc import Mapping
from typing import Any, Self

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from forecast_platform.forecasting.models.base import (
    CorruptModelFiles,
    Estimator,
    State,
    checked_target,
    require_columns,
    require_fitted,
    taken,
)
from forecast_platform.vocabulary import DS, PRODUCT_ID, UNIQUE_ID


class HistoricalAverage(Estimator):
    """Forecast each series by the arithmetic mean of its known weeks.

    Fitted on weekly demand of one region and format: one row per series and week, zeros included.

    Parameters
    ----------
    window : int or None, default=None
        Most recent weeks averaged per series [weeks]; None averages all.

    Attributes
    ----------
    series_ : pandas.Series
        Mean demand by ``unique_id`` [units/week].
    products_ : pandas.Series
        Mean demand by ``product_id``: the forecast for a series not seen in ``fit`` [units/week].
    overall_ : float
        Mean of all rows: the forecast for a product not seen either [units/week].

    References
    ----------
    .. [1] R. J. Hyndman and G. Athanasopoulos, *Forecasting: Principles and Practice*, 3rd ed.,
       section 5.2, "Some simple forecasting methods".

    Examples
    --------
    >>> demand = pd.DataFrame({"unique_id": "s1/a", "product_id": "a"}, index=range(3))
    >>> new = pd.DataFrame({"unique_id": ["s1/a", "s2/a"], "product_id": ["a", "a"]})
    >>> HistoricalAverage().fit(demand, [10.0, 20.0, 60.0]).predict(new)
    array([30., 30.])
    """

    series_: pd.Series
    products_: pd.Series
    overall_: float

    def __init__(self, window: int | None = None) -> None:
        self.window = window

    def fit(self, X: pd.DataFrame, y: ArrayLike) -> Self:
        """Average the known weeks of each series."""
        if self.window is not None and self.window < 1:
            raise ValueError(f"window must be at least 1 week, got {self.window}")
        require_columns(X, (UNIQUE_ID, PRODUCT_ID) if self.window is None else (UNIQUE_ID, DS))
        columns = [name for name in (UNIQUE_ID, PRODUCT_ID, DS) if name in X.columns]
        known = X[columns].assign(_y=checked_target(X, y))
        if self.window is not None:
            known = known.sort_values(DS, kind="stable").groupby(UNIQUE_ID).tail(self.window)
        self.series_ = known.groupby(UNIQUE_ID, observed=True)["_y"].mean()
        self.products_ = known.groupby(PRODUCT_ID, observed=True)["_y"].mean()
        self.overall_ = float(known["_y"].mean())
        return self

    def predict(self, X: pd.DataFrame) -> NDArray[np.float64]:
        """Forecast one value per row of ``X``, in its order [units]."""
        require_fitted(self, "series_")
        require_columns(X, (UNIQUE_ID, PRODUCT_ID))
        series = looked_up(self.series_, X[UNIQUE_ID])
        products = looked_up(self.products_, X[PRODUCT_ID])
        filled = np.where(np.isnan(series), products, series)
        return np.where(np.isnan(filled), self.overall_, filled)

    def to_state(self) -> State:
        """Return the fitted model as JSON values and arrays."""
        require_fitted(self, "series_")
        values = {
            "params": self.get_params(),
            "series": [str(name) for name in self.series_.index],
            "products": [str(name) for name in self.products_.index],
        }
        arrays = {
            "series": self.series_.to_numpy(np.float64),
            "products": self.products_.to_numpy(np.float64),
            "overall": np.array([self.overall_]),
        }
        return values, arrays

    @classmethod
    def from_state(cls, values: Any, arrays: Mapping[str, NDArray[Any]], prefix: str) -> Self:
        """Read back what `to_state` gave, the arrays under ``prefix``."""
        model = cls(**values["params"])
        model.series_ = read_table(values["series"], arrays, f"{prefix}series")
        model.products_ = read_table(values["products"], arrays, f"{prefix}products")
        model.overall_ = float(taken(arrays, f"{prefix}overall", (1,))[0])
        return model


def looked_up(table: pd.Series, keys: pd.Series) -> NDArray[np.float64]:
    """Look every key up in a table of numbers; nan where it is absent."""
    positions = pd.Index(table.index).get_indexer(pd.Index(keys))
    return np.append(table.to_numpy(np.float64), np.nan)[positions]


def read_table(names: Any, arrays: Mapping[str, NDArray[Any]], array: str) -> pd.Series:
    """Read a table of numbers by distinct names from a model's files."""
    if not isinstance(names, list) or len(set(map(str, names))) != len(names):
        raise CorruptModelFiles(f"names of {array!r} must be a list without repeats")
    values = taken(arrays, array, (len(names),))
    return pd.Series(values, index=pd.Index([str(name) for name in names], dtype="str"))
