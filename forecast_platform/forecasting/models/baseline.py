"""The historical average: what every model has to beat, and what serves when none does.

No other simple method belongs here; the ensemble does not know this one.
"""

from collections.abc import Mapping, Sequence
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
from forecast_platform.forecasting.models.conformal import at_levels
from forecast_platform.forecasting.models.quantiles import HIGH, LEVELS, LOW
from forecast_platform.vocabulary import DS, PRODUCT_ID, UNIQUE_ID

PRIOR_WEEKS = 8.0
"""Weeks of its own at which a series' quantiles count as much as those of all series together,
brought to its mean: one known week says nothing about a range."""


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
    quantiles_ : dict of str to ndarray, float32
        Empirical quantiles at `LEVELS`: ``series``, ``products`` and ``overall``, in the order of
        the means [units/week]. Empty in a model that was written before there were any.

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
    quantiles_: dict[str, NDArray[np.float32]]

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
        self.quantiles_ = self._quantiles(known)
        return self

    def predict(self, X: pd.DataFrame) -> NDArray[np.float64]:
        """Forecast one value per row of ``X``, in its order [units]."""
        require_fitted(self, "series_")
        require_columns(X, (UNIQUE_ID, PRODUCT_ID))
        series = looked_up(self.series_, X[UNIQUE_ID])
        products = looked_up(self.products_, X[PRODUCT_ID])
        filled = np.where(np.isnan(series), products, series)
        return np.where(np.isnan(filled), self.overall_, filled)

    def predict_quantiles(
        self, X: pd.DataFrame, levels: Sequence[float] = (LOW, 0.5, HIGH)
    ) -> NDArray[np.float64]:
        """Forecast quantiles of demand, shape (n_rows, n_levels) [units].

        Those up to `LOW` and from `HIGH` on are moved so that the mean lies between them. nan of a
        model that was written before there were any.
        """
        require_fitted(self, "series_")
        if not self.quantiles_:
            return np.full((len(X), len(levels)), np.nan)
        q = self.quantiles_
        series = _rows_of(self.series_, q["series"], X[UNIQUE_ID])
        products = _rows_of(self.products_, q["products"], X[PRODUCT_ID])
        filled = np.where(np.isnan(series), products, series)
        filled = np.where(np.isnan(filled), q["overall"], filled)
        made, mean = at_levels(filled, LEVELS, levels), self.predict(X)[:, None]
        asked = np.asarray(levels)
        made = np.where(asked <= LOW, np.minimum(made, mean), made)
        return np.where(asked >= HIGH, np.maximum(made, mean), made)

    def _quantiles(self, known: pd.DataFrame) -> dict[str, NDArray[np.float32]]:
        y = known["_y"].to_numpy(np.float64)
        series = pd.Index(self.series_.index).get_indexer(pd.Index(known[UNIQUE_ID]))
        products = pd.Index(self.products_.index).get_indexer(pd.Index(known[PRODUCT_ID]))
        means = self.series_.to_numpy(np.float64)
        level = means[series]
        ratios = y[level > 0] / level[level > 0]
        spread = np.quantile(ratios, LEVELS) if len(ratios) else np.zeros(len(LEVELS))
        weeks = np.bincount(series, minlength=len(means))[:, None]
        own = grouped_quantiles(series, y, LEVELS)
        shrunk = (weeks * own + PRIOR_WEEKS * means[:, None] * spread) / (weeks + PRIOR_WEEKS)
        made = {
            "series": shrunk,
            "products": grouped_quantiles(products, y, LEVELS),
            "overall": np.quantile(y, LEVELS),
        }
        return {name: values.astype(np.float32) for name, values in made.items()}

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
        if self.quantiles_:
            values["levels"] = list(LEVELS)
            arrays |= {f"quantiles/{name}": array for name, array in self.quantiles_.items()}
        return values, arrays

    @classmethod
    def from_state(cls, values: Any, arrays: Mapping[str, NDArray[Any]], prefix: str) -> Self:
        """Read back what `to_state` gave, the arrays under ``prefix``."""
        model, n_levels = cls(**values["params"]), len(LEVELS)
        model.series_ = read_table(values["series"], arrays, f"{prefix}series")
        model.products_ = read_table(values["products"], arrays, f"{prefix}products")
        model.overall_ = float(taken(arrays, f"{prefix}overall", (1,))[0])
        model.quantiles_ = {}
        if values.get("levels") == list(LEVELS):
            sizes = {"series": (len(model.series_),), "products": (len(model.products_),)}
            model.quantiles_ = {
                name: taken(arrays, f"{prefix}quantiles/{name}", (*sizes.get(name, ()), n_levels))
                for name in ("series", "products", "overall")
            }
        return model


def grouped_quantiles(
    groups: NDArray[np.intp], values: NDArray[np.float64], levels: Sequence[float]
) -> NDArray[np.float64]:
    """Return the quantiles of each group, as `numpy.quantile` gives them.

    Parameters
    ----------
    groups : ndarray of shape (n_rows,)
        Number of each row's group, from 0; none may be empty.
    values : ndarray of shape (n_rows,)
    levels : sequence of float

    Examples
    --------
    >>> grouped_quantiles(np.array([0, 1, 0]), np.array([1.0, 5.0, 3.0]), [0.5]).tolist()
    [[2.0], [5.0]]
    """
    ordered = values[np.lexsort((values, groups))]
    counts = np.bincount(groups)
    starts = np.cumsum(counts) - counts
    at = (counts[:, None] - 1) * np.asarray(levels)
    below = np.floor(at).astype(np.intp)
    left = ordered[starts[:, None] + below]
    right = ordered[starts[:, None] + np.minimum(below + 1, counts[:, None] - 1)]
    return left + (at - below) * (right - left)


def _rows_of(
    table: pd.Series, quantiles: NDArray[np.float32], keys: pd.Series
) -> NDArray[np.float64]:
    """Look every key's quantiles up; nan where it is absent."""
    positions = pd.Index(table.index).get_indexer(pd.Index(keys))
    absent = np.full((1, quantiles.shape[1]), np.nan)
    return np.concatenate([quantiles.astype(np.float64), absent])[positions]


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
