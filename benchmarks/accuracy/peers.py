"""What users would pick instead: naive methods, AutoETS, LightGBM and CatBoost.

Every choice of a peer is made on weeks before the first fold's cutoff, once, as ours are; learners
get our very features and our weights of recency, unless they are named for making their own.
"""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from benchmarks.accuracy.folds import Fold
from benchmarks.accuracy.timing import Forecasts
from forecast_platform.forecasting.evaluation.metrics import mape
from forecast_platform.forecasting.models.objective import recency_weights
from forecast_platform.vocabulary import (
    CATEGORICAL_FEATURES,
    DS,
    NUMERIC_FEATURES,
    UNIQUE_ID,
    H,
    Y,
)

Floats = NDArray[np.float64]

RECENCY_WEEKS = 60.0
VALIDATION_WEEKS = 8
"""Last weeks before the first cutoff, on which a peer's settings are chosen [weeks]."""

YEAR = 52


def _timed(fold: Fold, name: str, forecast: Callable[[Fold], Floats]) -> Forecasts:
    started = time.process_time()
    values = np.maximum(forecast(fold), 0.0)
    return Forecasts(pd.DataFrame({name: values}), time.process_time() - started, 0.0)


# --- without features ------------------------------------------------------------------------


def geometric_average(fold: Fold) -> Forecasts:
    """Forecast the mean of the series' log1p history (the R ``mean`` of Microsoft's rounds)."""

    def forecast(fold: Fold) -> Floats:
        logs = np.log1p(fold.demand[Y]).groupby(fold.demand[UNIQUE_ID]).mean()
        return np.expm1(fold.test[UNIQUE_ID].map(logs).fillna(logs.mean()).to_numpy())

    return _timed(fold, "historical_average_geometric", forecast)


def seasonal_naive(fold: Fold) -> Forecasts:
    """Forecast the same week of last year, else the last known week."""

    def forecast(fold: Fold) -> Floats:
        wide = fold.demand.pivot_table(index=DS, columns=UNIQUE_ID, values=Y)
        last = wide.ffill().iloc[-1]
        known = fold.demand.set_index([DS, UNIQUE_ID])[Y]
        year_ago = pd.MultiIndex.from_arrays(
            [fold.test[DS] - pd.Timedelta(weeks=YEAR), fold.test[UNIQUE_ID]]
        )
        values = known.reindex(year_ago).to_numpy(np.float64)
        fallback = fold.test[UNIQUE_ID].map(last).fillna(0.0).to_numpy(np.float64)
        return np.where(np.isnan(values), fallback, values)

    return _timed(fold, "seasonal_naive", forecast)


def auto_ets(fold: Fold) -> Forecasts:
    """Forecast by statsforecast's AutoETS on log1p demand, gaps filled along the line."""

    def forecast(fold: Fold) -> Floats:
        from statsforecast import StatsForecast
        from statsforecast.models import AutoETS

        rows = _regular(fold)
        horizon = int(fold.test[H].max())
        fitted = StatsForecast(models=[AutoETS(season_length=1)], freq="W-MON", n_jobs=1)
        ahead = fitted.forecast(df=rows[[UNIQUE_ID, DS, Y]], h=horizon)
        return np.expm1(_looked_up(fold.test, ahead, "AutoETS"))

    return _timed(fold, "auto_ets", forecast)


def _regular(fold: Fold) -> pd.DataFrame:
    """Return log1p demand of every series and week up to the cutoff, gaps interpolated."""
    wide = fold.demand.pivot_table(index=DS, columns=UNIQUE_ID, values=Y)
    weeks = pd.date_range(wide.index.min(), fold.cutoff, freq="W-MON")
    logs = np.log1p(wide.reindex(weeks)).interpolate(limit_area=None).ffill()
    rows = logs.rename_axis(DS).reset_index().melt(DS, value_name=Y, var_name=UNIQUE_ID)
    return rows.dropna(subset=[Y]).sort_values([UNIQUE_ID, DS], ignore_index=True)


def _looked_up(test: pd.DataFrame, ahead: pd.DataFrame, column: str) -> Floats:
    keys = pd.MultiIndex.from_frame(test[[UNIQUE_ID, DS]])
    found = ahead.set_index([UNIQUE_ID, DS])[column]
    found.index = found.index.set_levels(found.index.levels[1].as_unit("us"), level=1)
    values = found.reindex(keys)
    return values.fillna(found.mean()).to_numpy(np.float64)


# --- gradient boosting on our features -------------------------------------------------------


@dataclass(frozen=True)
class _Setting:
    """One point of the grid that a boosted peer is tuned on."""

    leaves: int
    trees: int
    shift: bool


def _inputs(fold: Fold, rows: pd.DataFrame) -> pd.DataFrame:
    columns = [*NUMERIC_FEATURES, *fold.extra]
    codes = {
        name: pd.Categorical(rows[name].astype("str"), categories=_levels(fold, name)).codes
        for name in CATEGORICAL_FEATURES
    }
    return pd.concat([rows[columns], pd.DataFrame(codes, index=rows.index)], axis=1)


def _levels(fold: Fold, name: str) -> list[str]:
    return sorted(set(fold.train[name].astype("str")))


def _relative(rows: pd.DataFrame, y: Floats) -> tuple[Floats, Floats]:
    """Return demand relative to the level, and the weight that makes its L1 error the MAPE."""
    level = 1.0 + np.expm1(rows["base_level"].to_numpy(np.float64))
    weight = np.where(y > 0, level / np.maximum(y, 1e-9), 0.25)
    return (1.0 + y) / level, np.minimum(weight, 50.0)


class _Booster:
    """A boosted model of demand over level; tuned at the first fold, refitted at each."""

    def __init__(self, name: str, fit: Callable[..., Any], grid: tuple[tuple[int, ...], ...]):
        self.name, self._fit, self._grid = name, fit, grid
        self._setting: _Setting | None = None

    def __call__(self, fold: Fold) -> Forecasts:
        """Forecast one fold; the seconds of tuning are printed and not counted in the fold's."""
        if self._setting is None:
            started = time.process_time()
            self._setting = self._tuned(fold)
            spent = time.process_time() - started
            print(f"  {self.name}: tuned to {self._setting} in {spent:.0f} s", flush=True)
        started = time.process_time()
        model = self._fitted(fold, fold.train, self._setting)
        shift = self._shift(fold, self._setting) if self._setting.shift else 0.0
        trained = time.process_time()
        values = self._forecast(fold, model, fold.test, shift)
        table = pd.DataFrame({self.name: values})
        return Forecasts(table, trained - started, time.process_time() - trained)

    def _fitted(self, fold: Fold, rows: pd.DataFrame, setting: _Setting) -> Any:
        weights = recency_weights(rows[DS].to_numpy(), RECENCY_WEEKS)
        return self._fit(_inputs(fold, rows), rows, weights, setting)

    def _forecast(self, fold: Fold, model: Any, rows: pd.DataFrame, shift: float) -> Floats:
        log_ratio = model(_inputs(fold, rows))
        logs = np.clip(log_ratio + shift + rows["base_level"].to_numpy(np.float64), 0, 20)
        return np.expm1(logs)

    def _split(self, fold: Fold) -> tuple[pd.DataFrame, pd.DataFrame]:
        """Split the rows known at the cutoff into learning and validation by their week."""
        edge = fold.train[DS].max() - pd.Timedelta(weeks=VALIDATION_WEEKS)
        later = fold.train[(fold.train["week"] >= edge) & (fold.train[DS] > edge)]
        return fold.train[fold.train[DS] <= edge], later

    def _tuned(self, fold: Fold) -> _Setting:
        known, later = self._split(fold)
        scores = {}
        for leaves, trees in product(*self._grid):
            model = self._fitted(fold, known, _Setting(leaves, trees, shift=False))
            plain = self._forecast(fold, model, later, 0.0)
            # half of the validation weeks set the shift, the other half judge it
            half = later[DS] <= later[DS].median()
            shift = _best_shift(later[Y][half].to_numpy(), plain[half])
            shifted = np.expm1(np.log1p(plain) + shift)
            judged = ~half.to_numpy()
            y = later[Y].to_numpy()[judged]
            scores[_Setting(leaves, trees, shift=False)] = mape(y, plain[judged])
            scores[_Setting(leaves, trees, shift=True)] = mape(y, shifted[judged])
        return min(scores, key=lambda setting: scores[setting])

    def _shift(self, fold: Fold, setting: _Setting) -> float:
        """Learn the shift of the newest weeks by a model that does not know them."""
        known, later = self._split(fold)
        model = self._fitted(fold, known, setting)
        return _best_shift(later[Y].to_numpy(), self._forecast(fold, model, later, 0.0))


def _best_shift(y: Floats, y_hat: Floats) -> float:
    steps = np.linspace(-0.6, 0.3, 37)
    errors = [mape(y, np.expm1(np.log1p(y_hat) + step)) for step in steps]
    return float(steps[int(np.argmin(errors))])


def _lightgbm(objective: str, *, relative: bool) -> Callable[..., Any]:
    def fit(X: pd.DataFrame, rows: pd.DataFrame, weights: Floats, setting: _Setting) -> Any:
        import lightgbm

        y = rows[Y].to_numpy(np.float64)
        if relative:
            target, own = _relative(rows, y)
            weights = weights * own
        else:
            target = np.log1p(y) - rows["base_level"].to_numpy(np.float64)
        booster = lightgbm.train(
            {
                "objective": objective,
                "num_leaves": setting.leaves,
                "learning_rate": 0.05,
                "min_data_in_leaf": 50,
                "feature_fraction": 0.6,
                "bagging_fraction": 0.7,
                "bagging_freq": 1,
                "num_threads": 1,
                "deterministic": True,
                "force_col_wise": True,
                "seed": 0,
                "verbose": -1,
            },
            lightgbm.Dataset(
                X, target, weight=weights, categorical_feature=list(CATEGORICAL_FEATURES)
            ),
            num_boost_round=setting.trees,
        )
        if relative:
            return lambda rows: np.log(np.maximum(np.asarray(booster.predict(rows)), 1e-6))
        return lambda rows: np.asarray(booster.predict(rows))

    return fit


def _catboost(X: pd.DataFrame, rows: pd.DataFrame, weights: Floats, setting: _Setting) -> Any:
    import catboost

    target, own = _relative(rows, rows[Y].to_numpy(np.float64))
    depth = {31: 6, 127: 8}.get(setting.leaves, 8)
    model = catboost.CatBoostRegressor(
        loss_function="MAE",
        depth=depth,
        iterations=setting.trees,
        learning_rate=0.08,
        thread_count=1,
        random_seed=0,
        verbose=False,
        allow_writing_files=False,
        cat_features=list(CATEGORICAL_FEATURES),
    )
    model.fit(X, target, sample_weight=weights * own)
    return lambda rows: np.log(np.maximum(model.predict(rows), 1e-6))


_GRID = ((31, 127), (150, 400))

lightgbm_mape = _Booster("lightgbm_mape", _lightgbm("l1", relative=True), _GRID)
lightgbm_l1 = _Booster("lightgbm_l1", _lightgbm("l1", relative=False), _GRID)
lightgbm_l2 = _Booster("lightgbm_l2", _lightgbm("l2", relative=False), _GRID)
catboost_mape = _Booster("catboost_mape", _catboost, ((31, 127), (300,)))


# --- LightGBM through mlforecast, on features of its own -------------------------------------


def mlforecast_lightgbm(fold: Fold) -> Forecasts:
    """Forecast by mlforecast: lags and rolling means of its own, plans known ahead, MAPE."""

    def forecast(fold: Fold) -> Floats:
        import lightgbm
        from mlforecast import MLForecast
        from mlforecast.lag_transforms import RollingMean

        rows = _with_plans(fold, _regular(fold))
        horizon = int(fold.test[H].max())
        model = lightgbm.LGBMRegressor(
            objective="mape",
            n_estimators=300,
            learning_rate=0.05,
            num_leaves=63,
            n_jobs=1,
            random_state=0,
            verbose=-1,
        )
        forecaster = MLForecast(
            models={"lightgbm": model},
            freq="W-MON",
            lags=[1, 2, 3, 4, 5, 6, 8, 13, 26, 52],
            lag_transforms={
                1: [RollingMean(4, min_samples=1), RollingMean(13, min_samples=1)],
                13: [RollingMean(13, min_samples=1)],
            },
            date_features=["week"],
        )
        forecaster.fit(rows, static_features=["series"], dropna=False)
        weeks = pd.date_range(fold.cutoff, periods=horizon + 1, freq="W-MON")[1:]
        series = rows[[UNIQUE_ID]].drop_duplicates()
        future = _with_plans(fold, series.merge(pd.DataFrame({DS: weeks}), how="cross"))
        ahead = forecaster.predict(horizon, X_df=future.drop(columns=["series"]))
        return np.expm1(_looked_up(fold.test, ahead, "lightgbm"))

    return _timed(fold, "mlforecast_lightgbm", forecast)


def _with_plans(fold: Fold, rows: pd.DataFrame) -> pd.DataFrame:
    plans = fold.plans.astype({DS: rows[DS].dtype})
    rows = rows.merge(plans, on=[UNIQUE_ID, DS], how="left")
    return rows.assign(series=pd.Categorical(rows[UNIQUE_ID]).codes)


def missing_libraries() -> Iterator[str]:
    """Name the optional libraries that are not installed."""
    from importlib.util import find_spec

    for name in ("statsforecast", "lightgbm", "catboost", "mlforecast"):
        if find_spec(name) is None:
            yield name
