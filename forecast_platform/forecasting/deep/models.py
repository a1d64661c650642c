"""The blend of members for deep horizons, its backtest, and the simple methods it must beat.

Members are those of the segments' ensembles, given other features; the sums are in `aggregates`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Self

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from forecast_platform.forecasting.deep.horizon import (
    DEEP_CATEGORICAL,
    DEEP_NUMERIC,
    LONGEST_HORIZON,
    MIN_WEEKS,
    YEAR,
    deep_rows,
)
from forecast_platform.forecasting.evaluation.backtest import Fold, backtest
from forecast_platform.forecasting.evaluation.metrics import bias, mape, wape
from forecast_platform.forecasting.models.base import Forecaster
from forecast_platform.forecasting.models.baseline import HistoricalAverage
from forecast_platform.forecasting.models.ensemble import Ensemble, blend, fit_weights
from forecast_platform.forecasting.models.families import BUILT_IN, Families, build
from forecast_platform.forecasting.models.objective import Objective
from forecast_platform.vocabulary import (
    CUTOFF,
    DS,
    ENSEMBLE,
    HISTORICAL_AVERAGE,
    UNIQUE_ID,
    WEEK,
    H,
    Y,
)

SEASONAL_NAIVE: Final = "seasonal_naive"
BANDS: Final = {"1-12": (1, 12), "13-26": (13, 26), "27-52": (27, 52)}
"""Weeks ahead whose errors are scored, and whose ranges are learnt, together."""

FOLDS_BACK: Final = (52, 39, 26)
"""Cutoffs of the backtest, in weeks before the last known one."""

EIGHTY_PERCENT: Final = (0.1, 0.9)
"""Quantiles of the errors that the range lies between."""

KEPT: Final = (UNIQUE_ID, "scope", "category", DS, H, WEEK, Y)


@dataclass(frozen=True, slots=True)
class DeepConfig:
    """How deep horizons are forecast.

    Parameters
    ----------
    horizon : int, default=52
        [weeks]
    n_clusters : int, default=3
        Clusters of stores.
    cutoff_step : int, default=2
        Weeks between the cutoffs that are learnt from: neighbours are near duplicates [weeks].
    objective : {"mean", "mape"}, default="mean"
        Plans of a region are added up, so the mean is aimed at.
    epochs, batch_size, recency_weeks, seed, threads
        As of `TrainingConfig`.
    families : mapping of str to type
        Classes of the members by name.
    """

    horizon: int = LONGEST_HORIZON
    n_clusters: int = 3
    cutoff_step: int = 2
    objective: Objective = "mean"
    epochs: int = 4
    batch_size: int = 512
    recency_weeks: float = 104.0
    seed: int = 0
    threads: int | None = 1
    families: Families = field(default_factory=lambda: dict(BUILT_IN))

    def members(self) -> dict[str, Any]:
        """Return the members, not fitted."""
        given = {
            "numeric": DEEP_NUMERIC,
            "categorical": DEEP_CATEGORICAL,
            "effects": DEEP_CATEGORICAL,
            "deviations": ("scope",),
            "base": "base_level",
            "objective": self.objective,
            "epochs": self.epochs,
            "batch_size": self.batch_size,
            "recency_weeks": self.recency_weeks,
            "seed": self.seed,
            "threads": self.threads,
        }
        return {name: build(family, given) for name, family in self.families.items()}


class SeasonalNaive:
    """Forecast what was sold in the same week of the year before.

    References
    ----------
    .. [1] R. J. Hyndman and G. Athanasopoulos, *Forecasting: Principles and Practice*, 3rd ed.,
       section 5.2.
    """

    known_: pd.Series

    def fit(self, X: pd.DataFrame, y: ArrayLike) -> Self:
        """Remember the demand of every series and week."""
        index = pd.MultiIndex.from_frame(X[[UNIQUE_ID, DS]])
        self.known_ = pd.Series(np.asarray(y, np.float64), index=index)
        return self

    def predict(self, X: pd.DataFrame) -> NDArray[np.float64]:
        """Forecast one value per row [units]; the level, where nothing is known of that week."""
        then = X[DS] - pd.Timedelta(weeks=YEAR)
        found = self.known_.reindex(pd.MultiIndex.from_arrays([X[UNIQUE_ID], then])).to_numpy()
        return np.where(np.isnan(found), np.expm1(X["base_level"].to_numpy(float)), found)


def backtest_deep(sums: pd.DataFrame, config: DeepConfig) -> pd.DataFrame:
    """Forecast the last year from the weeks before it, as it would have been.

    The ensemble of a fold is blended, and its range is laid, by what earlier folds have shown.

    Parameters
    ----------
    sums : pandas.DataFrame
        As of `aggregates.aggregate`.
    config : DeepConfig

    Returns
    -------
    pandas.DataFrame
        A row per fold, series and week ahead: `KEPT`, ``cutoff``, a column per member and simple
        method, ``ensemble``, and ``low`` and ``high`` (missing in the first fold) [units]. Without
        a fold that leaves half a year to learn from, it has no rows.
    """
    last, weeks = sums[DS].max(), np.sort(sums[DS].unique())
    cutoffs = [last - pd.Timedelta(weeks=back) for back in FOLDS_BACK]
    enough = [cutoff for cutoff in cutoffs if (weeks <= cutoff).sum() >= 2 * MIN_WEEKS]
    if not enough:
        return pd.DataFrame()
    rows = _learning_rows(sums, config, enough)

    def fit(known: pd.DataFrame, cutoff: pd.Timestamp) -> Mapping[str, Forecaster]:
        past = sums[sums[DS] <= cutoff].assign(product_id=lambda own: own["category"])
        members = {name: _fitted(member, known, past) for name, member in config.members().items()}
        naive = SeasonalNaive().fit(past, past[Y])
        return {**members, SEASONAL_NAIVE: naive, HISTORICAL_AVERAGE: _average(past)}

    folds = [Fold(cutoff, (cutoff,)) for cutoff in enough]
    table = backtest(rows, folds, fit, keep=KEPT)
    parts = []
    for cutoff in enough:
        earlier, own = table[table[CUTOFF] < cutoff], table[table[CUTOFF] == cutoff]
        earlier = earlier[earlier[DS] <= cutoff]  # what was known of it by then
        parts.append(with_range(own, earlier, config))
    made = pd.concat(parts, ignore_index=True)
    return made[made[Y].notna()].reset_index(drop=True)


def with_range(rows: pd.DataFrame, earlier: pd.DataFrame, config: DeepConfig) -> pd.DataFrame:
    """Blend the members of ``rows`` and lay the 80 % range, both by earlier folds."""
    names = tuple(config.families)
    equal = dict.fromkeys(names, 1 / len(names))
    weights = fit_weights(earlier, earlier[Y], names) if len(earlier) else equal
    made = rows.assign(**{ENSEMBLE: blend(rows, weights)})
    if earlier.empty:
        return made.assign(low=np.nan, high=np.nan)
    spreads = _spreads(earlier.assign(**{ENSEMBLE: blend(earlier, weights)}))
    errors = np.array([spreads[str(band)] for band in _band_of(rows[H])]).reshape(-1, 2)
    logs = np.log1p(made[ENSEMBLE].to_numpy())
    low, high = logs + np.minimum(0.0, errors[:, 0]), logs + np.maximum(0.0, errors[:, 1])
    return made.assign(low=np.expm1(np.maximum(low, 0.0)), high=np.expm1(high))


def _spreads(earlier: pd.DataFrame) -> dict[str, tuple[float, float]]:
    """Quantiles of the held-out errors by band; a band that no fold reached takes the widest."""
    errors = np.log1p(earlier[Y].to_numpy()) - np.log1p(earlier[ENSEMBLE].to_numpy())
    of_band = pd.Series(errors).groupby(_band_of(earlier[H]).to_numpy())
    found = {str(name): tuple(np.quantile(own, EIGHTY_PERCENT)) for name, own in of_band}
    widest = (min(low for low, _ in found.values()), max(high for _, high in found.values()))
    return {name: found.get(name, widest) for name in BANDS}


def forecast_deep(sums: pd.DataFrame, held_out: pd.DataFrame, config: DeepConfig) -> pd.DataFrame:
    """Forecast the year after the last known week.

    Parameters
    ----------
    sums : pandas.DataFrame
        As of `aggregates.aggregate`.
    held_out : pandas.DataFrame
        As of `backtest_deep`: sets weights and range.
    config : DeepConfig

    Returns
    -------
    pandas.DataFrame
        As of `backtest_deep`, for the weeks to come; ``y`` is missing.
    """
    last = sums[DS].max()
    rows = _learning_rows(sums, config, [last])
    known = rows[rows[Y].notna()]
    asked = rows[rows[WEEK] == last]
    past = sums.assign(product_id=sums["category"])
    made = asked[[*KEPT]].assign(**{CUTOFF: last})
    for name, member in config.members().items():
        made[name] = _fitted(member, known, past).predict(asked)
    made[SEASONAL_NAIVE] = SeasonalNaive().fit(past, past[Y]).predict(asked)
    made[HISTORICAL_AVERAGE] = _average(past).predict(asked)
    return with_range(made, held_out, config)


def score_deep(held_out: pd.DataFrame, members: tuple[str, ...]) -> pd.DataFrame:
    """Score every model of a backtest by scope and weeks ahead, all on the same rows.

    Returns
    -------
    pandas.DataFrame
        ``scope`` (``region`` or ``cluster``), ``band``, ``model``, ``mape``, ``wape``, ``bias`` and
        for the ensemble ``coverage`` of its 80 % range [fractions], ``n_rows``.
    """
    scope = held_out["scope"].where(held_out["scope"] == "region", "cluster")
    models = (ENSEMBLE, *members, SEASONAL_NAIVE, HISTORICAL_AVERAGE)
    found = []
    for (name, band), rows in held_out.groupby([scope, _band_of(held_out[H])], sort=True):
        actual = rows[Y].to_numpy(float)
        ranged = rows[rows["low"].notna()]
        inside = ranged[Y].between(ranged["low"], ranged["high"])
        for model in models:
            forecast = rows[model].to_numpy(float)
            found.append(
                {
                    "scope": name,
                    "band": band,
                    "model": model,
                    "mape": mape(actual, forecast),
                    "wape": wape(actual, forecast),
                    "bias": bias(actual, forecast),
                    "coverage": float(inside.mean()) if model == ENSEMBLE else np.nan,
                    "n_rows": len(rows),
                }
            )
    return pd.DataFrame(found)


def _learning_rows(
    sums: pd.DataFrame, config: DeepConfig, asked: list[pd.Timestamp]
) -> pd.DataFrame:
    """Rows of every second cutoff (or so), counted back from the last, and of those asked for."""
    weeks = np.sort(sums[DS].unique())
    cutoffs = sorted({*weeks[:: -config.cutoff_step], *(np.datetime64(one, "us") for one in asked)})
    return deep_rows(sums, [pd.Timestamp(one) for one in cutoffs], config.horizon)


def _fitted(member: Any, known: pd.DataFrame, past: pd.DataFrame) -> Ensemble:
    """Fit a member, capped by what its series have ever sold."""
    fitted = member.fit(known, known[Y])
    return Ensemble({ENSEMBLE: fitted}).fit_caps(past, past[Y])


def _average(past: pd.DataFrame) -> HistoricalAverage:
    return HistoricalAverage().fit(past, past[Y])


def _band_of(h: pd.Series) -> pd.Series:
    edges = [0, *(last for _, last in BANDS.values())]
    return pd.cut(h, edges, labels=list(BANDS)).astype("str")
