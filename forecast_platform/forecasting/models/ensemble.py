"""One segment's ensemble: members fitted on the region, blended by the segment's own weights.

How a member is fitted belongs to its own module; when, to `forecast_platform.forecasting.training`.
"""

from collections.abc import Iterator, Mapping, Sequence
from itertools import product
from typing import Any, Literal, Self

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from forecast_platform.forecasting.models.base import (
    CorruptModelFiles,
    Estimator,
    State,
    checked_target,
    require_fitted,
    taken,
)
from forecast_platform.forecasting.models.baseline import looked_up, read_table
from forecast_platform.forecasting.models.families import BUILT_IN, Families
from forecast_platform.forecasting.models.objective import Objective
from forecast_platform.forecasting.models.quantiles import HIGH, LOW
from forecast_platform.forecasting.models.ranges import Range
from forecast_platform.forecasting.models.warm_start import WarmStarted, is_warm_started
from forecast_platform.vocabulary import PRODUCT_ID, UNIQUE_ID

SHRINKAGE = 0.3
"""Share of a fitted weight's distance from equal weights that is kept: on the orange-juice data,
fully fitted weights lose to equal ones (0.3202 against 0.3146 MAPE)."""

MAX_REGRET = 0.05
"""If shrinking costs more than this share of the held-out error, the fitted weights are kept."""

STEP = 0.05

Blend = Literal["arithmetic", "geometric"]
"""Weighted mean of the members in units, or of their ``log1p``, as ensembles were before they named
it in their files."""

BLENDS: tuple[Blend, ...] = ("arithmetic", "geometric")


class Ensemble(Estimator):
    """Blend members by a weighted mean.

    Parameters
    ----------
    members : dict of str to Forecaster
        Fitted or not; `fit` fits them.
    weights : dict of str to float or None, default=None
        Not negative, with sum one; None weighs equally.
    cap_multiple : float, default=3
        No forecast exceeds this multiple of the largest demand known of its series.
    segment : str, default=""
        ``<format>_<velocity>`` that the ensemble is for.
    blend : {"arithmetic", "geometric"}, default="arithmetic"
        Mean in units, or of logarithms.

    Notes
    -----
    The mean is that of units, not of logarithms: members that are fitted for MAPE forecast low, and
    where they are far apart, demand lies nearer to the higher one more often than the geometric
    mean allows for (docs/accuracy.md).

    The cap guards against one extreme input. A series not seen in ``fit`` is held to the largest
    demand of its product, a new product to the largest of all. At least one unit can always be
    forecast, so a series that has only known zeros can start to sell.

    Attributes
    ----------
    range_ : Range or None
        Forecasts the quantiles; training sets it, and without it there are none.
    """

    range_: Range | None = None
    caps_: pd.Series
    product_caps_: pd.Series
    overall_cap_: float

    def __init__(
        self,
        members: dict[str, Any],
        *,
        weights: dict[str, float] | None = None,
        cap_multiple: float = 3.0,
        segment: str = "",
        blend: Blend = "arithmetic",
    ) -> None:
        self.members = members
        self.weights = weights
        self.cap_multiple = cap_multiple
        self.segment = segment
        self.blend: Blend = blend

    def fit(self, X: pd.DataFrame, y: ArrayLike) -> Self:
        """Fit every member on the same rows and learn the caps from them."""
        self.members = {name: member.fit(X, y) for name, member in self.members.items()}
        return self.fit_caps(X, y)

    def fit_caps(self, X: pd.DataFrame, y: ArrayLike) -> Self:
        """Learn the largest known demand per series and product; members stay as they are."""
        known = pd.DataFrame(
            {UNIQUE_ID: X[UNIQUE_ID], PRODUCT_ID: X[PRODUCT_ID], "y": checked_target(X, y)}
        )
        self.caps_ = known.groupby(UNIQUE_ID, observed=True)["y"].max()
        self.product_caps_ = known.groupby(PRODUCT_ID, observed=True)["y"].max()
        self.overall_cap_ = float(known["y"].max())
        return self

    @property
    def weights_(self) -> dict[str, float]:
        """Weight of each member; sum one."""
        if self.weights is None:
            return dict.fromkeys(self.members, 1.0 / len(self.members))
        check_weights(self.weights, tuple(self.members))
        return self.weights

    def predict(self, X: pd.DataFrame) -> NDArray[np.float64]:
        """Forecast one value per row of ``X``, in its order [units]; finite and not negative."""
        return self.combine(self.predict_members(X))

    def predict_members(self, X: pd.DataFrame) -> pd.DataFrame:
        """Forecast by each member on its own, a column each, indexed as ``X`` [units]."""
        require_fitted(self, "caps_")
        cap = self._cap(X)
        each = {name: np.minimum(member.predict(X), cap) for name, member in self.members.items()}
        return pd.DataFrame(each, index=X.index)

    def combine(self, members: pd.DataFrame) -> NDArray[np.float64]:
        """Blend what `predict_members` gave [units]."""
        if self.blend == "geometric":
            logs = members.transform(np.log1p)
            return np.expm1(blend(logs, self.weights_))
        return blend(members, self.weights_)

    def predict_quantiles(
        self,
        X: pd.DataFrame,
        levels: Sequence[float] = (LOW, 0.5, HIGH),
        *,
        members: pd.DataFrame | None = None,
    ) -> NDArray[np.float64]:
        """Forecast quantiles of demand, shape (n_rows, n_levels) [units]; nan without `range_`.

        Levels never cross, and none is negative. Those up to `LOW` and from `HIGH` on are moved so
        that the forecast lies between them: an optimal forecast for MAPE lies below the median.

        Parameters
        ----------
        X : pandas.DataFrame
            Features, with ``h``.
        levels : sequence of float, default=(0.1, 0.5, 0.9)
        members : pandas.DataFrame or None, default=None
            What `predict_members` gave, where it is known already.
        """
        if self.range_ is None:
            return np.full((len(X), len(levels)), np.nan)
        members = self.predict_members(X) if members is None else members
        made = np.minimum(self.range_.predict(X, members, levels), self._cap(X)[:, None])
        forecast, asked = self.combine(members)[:, None], np.asarray(levels)
        made = np.where(asked <= LOW, np.minimum(made, forecast), made)
        return np.where(asked >= HIGH, np.maximum(made, forecast), made)

    def _cap(self, X: pd.DataFrame) -> NDArray[np.float64]:
        series = looked_up(self.caps_, X[UNIQUE_ID])
        products = looked_up(self.product_caps_, X[PRODUCT_ID])
        largest = np.where(np.isnan(series), products, series)
        largest = np.where(np.isnan(largest), self.overall_cap_, largest)
        return np.maximum(self.cap_multiple * largest, 1.0)

    def to_state(self) -> State:
        """Return the fitted ensemble, members included, as JSON values and arrays."""
        require_fitted(self, "caps_")
        states = {name: member.to_state() for name, member in self.members.items()}
        values = {
            "segment": self.segment,
            "weights": self.weights_,
            "cap_multiple": self.cap_multiple,
            "blend": self.blend,
            "series": [str(name) for name in self.caps_.index],
            "products": [str(name) for name in self.product_caps_.index],
            "members": {name: state for name, (state, _) in states.items()},
        }
        arrays = {
            "series": self.caps_.to_numpy(np.float64),
            "products": self.product_caps_.to_numpy(np.float64),
            "overall": np.array([self.overall_cap_]),
        }
        for name, (_, own) in states.items():
            arrays |= {f"{name}/{key}": array for key, array in own.items()}
        if self.range_ is not None:
            values["range"], own = self.range_.to_state()
            arrays |= {f"range/{key}": array for key, array in own.items()}
        return values, arrays

    @classmethod
    def from_state(
        cls,
        values: Any,
        arrays: Mapping[str, NDArray[Any]],
        prefix: str,
        families: Families = BUILT_IN,
    ) -> Self:
        """Read back what `to_state` gave, the arrays under ``prefix``.

        A member is read by the class that ``families`` has for its name; one without is refused.
        Files that name no blend are of an ensemble that had the geometric one.
        """
        unknown = sorted(values["members"].keys() - families.keys())
        if unknown:
            raise CorruptModelFiles(
                f"unknown members: {', '.join(unknown)}; configured are {', '.join(families)}: "
                "configure those that the model was trained with (docs/extending.md)"
            )
        members = {
            name: WarmStarted.read(families[name], state, arrays, f"{prefix}{name}/")
            if is_warm_started(state)
            else families[name].from_state(state, arrays, f"{prefix}{name}/")
            for name, state in values["members"].items()
        }
        weights = {name: float(weight) for name, weight in values["weights"].items()}
        check_weights(weights, tuple(members))
        how: Blend = values.get("blend", "geometric")
        if how not in BLENDS:
            raise CorruptModelFiles(f"blend must be one of {', '.join(BLENDS)}, got {how!r}")
        model = cls(
            members,
            weights=weights,
            cap_multiple=float(values["cap_multiple"]),
            segment=str(values["segment"]),
            blend=how,
        )
        model.caps_ = read_table(values["series"], arrays, f"{prefix}series")
        model.product_caps_ = read_table(values["products"], arrays, f"{prefix}products")
        model.overall_cap_ = float(taken(arrays, f"{prefix}overall", (1,))[0])
        if "range" in values:
            model.range_ = Range.from_state(values["range"], arrays, f"{prefix}range/")
        return model


def check_weights(weights: Mapping[str, float], members: tuple[str, ...]) -> None:
    """Raise ``ValueError`` unless each member has a weight and they form a simplex."""
    if set(weights) != set(members):
        raise ValueError(f"weights are for {sorted(weights)}, members are {sorted(members)}")
    values = np.array(list(weights.values()))
    if not np.isfinite(values).all() or (values < 0).any() or abs(values.sum() - 1.0) > 1e-9:
        raise ValueError(f"weights must be at least 0 and sum to 1, got {dict(weights)}")


def blend(forecasts: pd.DataFrame, weights: Mapping[str, float]) -> NDArray[np.float64]:
    """Return the weighted mean of the members' forecasts [units]."""
    blended = np.zeros(len(forecasts))
    for name, weight in weights.items():
        blended += weight * forecasts[name].to_numpy(np.float64)
    return blended


def fit_weights(
    forecasts: pd.DataFrame,
    y: ArrayLike,
    members: tuple[str, ...],
    *,
    objective: Objective = "mape",
    shrinkage: float = SHRINKAGE,
) -> dict[str, float]:
    """Find the members' weights on held-out rows: the best of a grid, shrunk towards equal weights.

    Parameters
    ----------
    forecasts : pandas.DataFrame
        One column per member [units].
    y : array-like of shape (n_rows,)
        Actual demand [units].
    members : tuple of str
    objective : {"mape", "mean"}, default="mape"
        Measured by MAPE, or by squared error.
    shrinkage : float, default=0.3
        Share of the distance from equal weights that is kept.

    Returns
    -------
    dict of str to float
        Equal weights where no row can tell.
    """
    actual = np.asarray(y, dtype=np.float64)
    equal = dict.fromkeys(members, 1.0 / len(members))
    rows = actual > 0 if objective == "mape" else np.ones(len(actual), dtype=bool)
    if not rows.any():
        return equal
    held_out, known = forecasts.loc[rows, list(members)], actual[rows]

    def error(weights: Mapping[str, float]) -> float:
        errors = blend(held_out, weights) - known
        mean = np.mean(np.abs(errors) / known if objective == "mape" else errors**2)
        return float(np.format_float_scientific(mean, precision=9))  # ties stay ties

    best = min((dict(zip(members, point, strict=True)) for point in _grid(len(members))), key=error)
    shrunk = {name: equal[name] + shrinkage * (best[name] - equal[name]) for name in members}
    return shrunk if error(shrunk) <= (1 + MAX_REGRET) * error(best) else best


def _grid(n_members: int) -> Iterator[tuple[float, ...]]:
    """Yield the points of the simplex on a grid, those nearest to equal weights first."""
    steps = round(1 / STEP)
    points = [
        (*head, steps - sum(head))
        for head in product(range(steps + 1), repeat=n_members - 1)
        if sum(head) <= steps
    ]
    points.sort(key=lambda point: sum(share * share for share in point))
    for point in points:
        yield tuple(share / steps for share in point)
