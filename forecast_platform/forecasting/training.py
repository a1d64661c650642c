"""Train one region: pooled members, an ensemble per segment, a baseline per format.

The order of events belongs here: folds, weights, final fit. Models, metrics and features are in
their own rooms.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any

import numpy as np
import pandas as pd
from threadpoolctl import threadpool_limits

from forecast_platform.forecasting.evaluation.backtest import KEPT, Fold, backtest, rolling_folds
from forecast_platform.forecasting.evaluation.coverage import (
    RawQuantiles,
    corrections_of,
    with_quantiles,
)
from forecast_platform.forecasting.models.base import Forecaster, require_columns
from forecast_platform.forecasting.models.baseline import HistoricalAverage
from forecast_platform.forecasting.models.ensemble import Ensemble, blend, fit_weights
from forecast_platform.forecasting.models.families import BUILT_IN, Families, build
from forecast_platform.forecasting.models.objective import Objective
from forecast_platform.forecasting.models.quantiles import LEVELS, QuantileHeads
from forecast_platform.forecasting.models.ranges import Range
from forecast_platform.forecasting.models.warm_start import warm_start
from forecast_platform.vocabulary import (
    CATEGORICAL_FEATURES,
    CUTOFF,
    DS,
    ENSEMBLE,
    FORMAT,
    FORMATS,
    HISTORICAL_AVERAGE,
    MEMBERS,
    NUMERIC_FEATURES,
    PRODUCT_ID,
    QUANTILES,
    SEGMENT,
    STORE_ID,
    UNIQUE_ID,
    VELOCITIES,
    VELOCITY,
    WEEK,
    H,
    Y,
)

SEGMENTS = tuple(f"{store}_{velocity}" for store in FORMATS for velocity in VELOCITIES)

HOLDOUT_COLUMNS = (*KEPT, *MEMBERS, ENSEMBLE, HISTORICAL_AVERAGE, *QUANTILES)
"""Of the built-in members; others have a column in the place of ``MEMBERS``."""

RAW_QUANTILES = "raw_quantiles"

LEAST_WARM_WEEKS = 4
"""Least weeks of labels that a warm-started member learns from before its held-out weeks."""

Donors = Mapping[str, Sequence[Forecaster]]
"""Fitted members of other regions, by the name of the member."""


@dataclass(frozen=True, slots=True)
class TrainingConfig:
    """How a region is trained.

    Parameters
    ----------
    numeric, categorical : tuple of str
        Feature columns.
    deviations : tuple of str, default=("segment", "category")
        Columns whose levels have their own coefficients in the LASSO.
    base : str, default="base_level"
        Column with the level that members start from, on the log1p scale.
    objective : {"mape", "mean"}, default="mape"
        What forecasts aim at; see `forecast_platform.forecasting.models.objective`.
    seed : int, default=0
    threads : int or None, default=1
        Threads of torch and of matrix products, put back afterwards; results are equal to the last
        bit for one number. None leaves the numbers alone.
    device : {"auto", "cpu", "cuda"}, default="auto"
        Where nets are trained; auto is a GPU where there is one.
    horizon : int, default=4
        Weeks ahead [weeks].
    n_folds : int, default=2
        Refits before the final one. Weights of reported forecasts come from earlier folds only.
    n_origins : int, default=4
        Weeks from which every fold forecasts [weeks].
    min_history_weeks : int, default=26
        With fewer weeks of labels, no ensemble is trained [weeks].
    min_fold_weeks : int, default=8
        A fold with fewer weeks of labels to learn from is left out [weeks].
    epochs, batch_size : int
        Of the embedding net.
    recency_weeks : float, default=60
        [weeks]
    zero_weight : float, default=0.03
        Weight of rows without demand under ``mape``.
    cap_multiple : float, default=3
        Largest forecast relative to the largest known demand of a series.
    max_rows : int, default=500_000
        Rows that the net is trained on.
    quantiles : tuple of float, default=LEVELS
        Levels that are learnt; a forecast of any level between the first and the last is
        interpolated.
    donors : mapping of str to sequence of forecasters, default={}
        By name of a member, fitted ones of other regions that it starts from; see `warm_start`.
    families : mapping of str to type
        Classes of the members by name; a constructor is given those of the values here that it
        has parameters for.
    """

    numeric: tuple[str, ...] = NUMERIC_FEATURES
    categorical: tuple[str, ...] = CATEGORICAL_FEATURES
    deviations: tuple[str, ...] = (SEGMENT, "category")
    base: str = "base_level"
    objective: Objective = "mape"
    seed: int = 0
    threads: int | None = 1
    device: str = "auto"
    horizon: int = 4
    n_folds: int = 2
    n_origins: int = 4
    min_history_weeks: int = 26
    min_fold_weeks: int = 8
    epochs: int = 3
    batch_size: int = 512
    recency_weeks: float = 60.0
    zero_weight: float = 0.03
    cap_multiple: float = 3.0
    max_rows: int = 500_000
    quantiles: tuple[float, ...] = LEVELS
    families: Families = field(default_factory=lambda: dict(BUILT_IN))
    donors: Donors = field(default_factory=dict)

    def heads(self) -> QuantileHeads:
        """Return the quantile heads, not fitted."""
        return QuantileHeads(
            self.numeric,
            base=self.base,
            levels=self.quantiles,
            recency_weeks=self.recency_weeks,
            seed=self.seed,
            threads=self.threads,
        )

    def members(self) -> dict[str, Forecaster]:
        """Return the members, not fitted."""
        given = self.for_members()
        return {
            name: warm_start(build(family, given), self.donors.get(name, ()))
            for name, family in self.families.items()
        }

    def for_members(self) -> dict[str, Any]:
        """Return what a member's constructor may ask for, by the name of its parameter."""
        given = {one.name: getattr(self, one.name) for one in fields(self)}
        return {**given, "effects": self.categorical}


@dataclass(frozen=True, slots=True)
class RegionModels:
    """What training one region gives.

    Parameters
    ----------
    ensembles : dict of str to Ensemble
        By segment; with `skipped`, all four.
    baselines : dict of str to HistoricalAverage
        By format; a format without demand has none and a reason in `skipped`.
    holdout : pandas.DataFrame
        Forecasts of weeks that neither the models nor the weights knew; columns
        `HOLDOUT_COLUMNS`, where ``week`` is the week at whose close a forecast was made. Its models
        are up to ``n_origins - 1`` weeks older, as they may be when they serve.
    skipped : dict of str to str
        Reason by segment, or by format for a baseline.
    sizes : dict of str to (int, int)
        Training rows and series, by segment, and rows and series of demand by format.
    members : tuple of str
        Names of the members, which are columns of ``holdout``.
    donors : tuple of str
        Registered models of other regions that the members were started from.
    """

    ensembles: dict[str, Ensemble]
    baselines: dict[str, HistoricalAverage]
    holdout: pd.DataFrame
    skipped: dict[str, str] = field(default_factory=dict)
    sizes: dict[str, tuple[int, int]] = field(default_factory=dict)
    members: tuple[str, ...] = MEMBERS
    donors: tuple[str, ...] = ()


def with_short_history(config: TrainingConfig, n_weeks: int, donors: Donors) -> TrainingConfig:
    """Return how a region with ``n_weeks`` of labels is trained from donors: one fold, held out.

    Examples
    --------
    >>> with_short_history(TrainingConfig(), 9, {}).n_origins
    2
    """
    n_origins = int(np.clip(n_weeks - config.horizon - LEAST_WARM_WEEKS + 1, 1, config.n_origins))
    return replace(
        config,
        donors=donors,
        n_folds=1,
        n_origins=n_origins,
        min_fold_weeks=1,
        min_history_weeks=config.horizon + LEAST_WARM_WEEKS,
    )


def train_region(
    frame: pd.DataFrame,
    demand: pd.DataFrame,
    *,
    cutoff: pd.Timestamp,
    config: TrainingConfig | None = None,
) -> RegionModels:
    """Train the four ensembles and two baselines of one region as known at ``cutoff``.

    Members are fitted on all rows of the region at once, because pooling beats fitting segments
    apart; weights are the segment's own. Three fits of each member: on the older fold, whose
    forecasts give the weights of the reported ones; on the newer fold, which is reported; on
    everything. The final weights use both folds.

    Parameters
    ----------
    frame : pandas.DataFrame
        Training rows: features, ``week``, ``ds``, ``h``, ``format``, ``velocity``, ``segment``,
        ``y``.
        Rows about weeks after ``cutoff`` are not read.
    demand : pandas.DataFrame
        Weekly demand of the region: ``unique_id``, ``store_id``, ``product_id``, ``ds``, ``y``,
        and ``format`` where it is known of stores without training rows.
    cutoff : pandas.Timestamp
        Last known week.
    config : TrainingConfig or None, default=None

    Returns
    -------
    RegionModels
        Equal to the last bit for the same rows in whatever order, seed and threads.
    """
    config = config or TrainingConfig()
    with threadpool_limits(config.threads):
        return _train(frame, demand, cutoff, config)


def _train(
    frame: pd.DataFrame, demand: pd.DataFrame, cutoff: pd.Timestamp, config: TrainingConfig
) -> RegionModels:
    require_columns(frame, (UNIQUE_ID, STORE_ID, DS, WEEK, H, FORMAT, SEGMENT, Y))
    known = _prepared(frame, cutoff, config)
    past = _with_format(demand[demand[DS] <= cutoff], known)
    baselines = _fit_baselines(past)
    skipped = {name: "no known demand" for name in FORMATS if name not in baselines}
    sizes = _sizes(known, SEGMENT) | _sizes(past, FORMAT)
    folds, names = _folds(known, cutoff, config), tuple(config.families)
    if not folds:
        reason = _too_short(known, config)
        skipped |= dict.fromkeys(SEGMENTS, reason)
        return RegionModels({}, baselines, _empty_holdout(config), skipped, sizes, names)
    fitter = _Fitter(config, past)
    table = backtest(known, folds, fitter)
    members = fitter.members(known)
    ensembles = _final_ensembles(known, past, members, table, config)
    _add_ranges(ensembles, fitter.heads(members, known), table)
    skipped |= {name: "no rows in the segment" for name in SEGMENTS if name not in ensembles}
    return RegionModels(ensembles, baselines, _reported(table, config), skipped, sizes, names)


class _Fitter:
    """Fits members and baselines at a cutoff."""

    def __init__(self, config: TrainingConfig, demand: pd.DataFrame) -> None:
        self._config, self._demand = config, demand

    def members(self, known: pd.DataFrame) -> dict[str, Forecaster]:
        """Fit the members on these rows."""
        members = self._config.members()
        return {name: member.fit(known, known[Y]) for name, member in members.items()}

    def heads(self, members: Mapping[str, Forecaster], known: pd.DataFrame) -> QuantileHeads:
        """Fit the quantile heads on what the members say about the rows that they know."""
        heads = self._config.heads()
        rows = known.iloc[heads.chosen(len(known))]
        made = {name: member.predict(rows) for name, member in members.items()}
        return heads.fit(rows, rows[Y], pd.DataFrame(made, index=rows.index))

    def __call__(self, known: pd.DataFrame, cutoff: pd.Timestamp) -> Mapping[str, Forecaster]:
        """Fit members, capped as they will be when served, and the formats' baselines."""
        past = self._demand[self._demand[DS] <= cutoff]
        members = self.members(known)
        capped = {
            name: Ensemble({name: member}, cap_multiple=self._config.cap_multiple).fit_caps(
                past, past[Y]
            )
            for name, member in members.items()
        }
        return {
            **capped,
            RAW_QUANTILES: RawQuantiles(self.heads(members, known), capped),
            HISTORICAL_AVERAGE: _ByFormat(_fit_baselines(past)),
        }


class _ByFormat:
    """Forecasts every row by the model of its format."""

    def __init__(self, models: Mapping[str, HistoricalAverage]) -> None:
        self._models = models

    def fit(self, X: pd.DataFrame, y: Any) -> "_ByFormat":  # noqa: ARG002
        """Do nothing: the models are fitted."""
        return self

    def predict(self, X: pd.DataFrame) -> Any:
        """Forecast; nan where the format has no model."""
        forecasts = np.full(len(X), np.nan)
        for name, model in self._models.items():
            rows = (X[FORMAT] == name).to_numpy()
            if rows.any():
                forecasts[rows] = model.predict(X[rows])
        return forecasts


def _prepared(frame: pd.DataFrame, cutoff: pd.Timestamp, config: TrainingConfig) -> pd.DataFrame:
    """Keep known rows in one order and the columns that are read, text as categories."""
    text = dict.fromkeys((*config.categorical, *config.deviations, FORMAT, VELOCITY, SEGMENT))
    columns = dict.fromkeys((*KEPT, STORE_ID, PRODUCT_ID, *text, *config.numeric, config.base))
    require_columns(frame, tuple(columns))
    known = frame.loc[(frame[DS] <= cutoff).to_numpy(), list(columns)]
    known = known.sort_values([WEEK, UNIQUE_ID, H], kind="stable", ignore_index=True)
    return known.astype(dict.fromkeys(text, "category"))


def _with_format(demand: pd.DataFrame, known: pd.DataFrame) -> pd.DataFrame:
    """Add each store's format, where demand has none; stores of no known format are left out.

    In a region's first weeks there is demand, but no training row yet.
    """
    columns = [UNIQUE_ID, STORE_ID, PRODUCT_ID, DS, Y]
    if FORMAT in demand.columns:
        past = demand.loc[demand[FORMAT].notna(), [*columns, FORMAT]]
        return past.sort_values([DS, UNIQUE_ID], kind="stable", ignore_index=True)
    formats = known.drop_duplicates(STORE_ID, keep="last").set_index(STORE_ID)[FORMAT].astype("str")
    formats.index = formats.index.astype("str")
    past = demand[columns].assign(**{FORMAT: demand[STORE_ID].map(formats)})
    past = past[past[FORMAT].notna()]
    return past.sort_values([DS, UNIQUE_ID], kind="stable", ignore_index=True)


def fit_baseline(demand: pd.DataFrame, store_format: str) -> HistoricalAverage:
    """Fit the historical average of one format on known demand, outside of training.

    Without a column ``format`` all of ``demand`` is used: a known series' forecast stays the same,
    only the fallback for a new series then looks at both formats.
    """
    rows = demand[demand[FORMAT] == store_format] if FORMAT in demand.columns else demand
    return HistoricalAverage().fit(rows, rows[Y])


def _fit_baselines(past: pd.DataFrame) -> dict[str, HistoricalAverage]:
    return {name: fit_baseline(past, name) for name in FORMATS if (past[FORMAT] == name).any()}


def _sizes(rows: pd.DataFrame, column: str) -> dict[str, tuple[int, int]]:
    groups = rows.groupby(column, observed=True, sort=True)[UNIQUE_ID]
    return {str(name): (len(series), series.nunique()) for name, series in groups}


def _folds(known: pd.DataFrame, cutoff: pd.Timestamp, config: TrainingConfig) -> list[Fold]:
    """Return the folds that leave enough weeks of labels to learn from."""
    folds = rolling_folds(
        cutoff, n_folds=config.n_folds, n_origins=config.n_origins, horizon=config.horizon
    )
    weeks = known[DS].unique()
    if len(weeks) < config.min_history_weeks:
        return []
    return [fold for fold in folds if (weeks <= fold.cutoff).sum() >= config.min_fold_weeks]


def _too_short(known: pd.DataFrame, config: TrainingConfig) -> str:
    ahead = config.horizon + config.n_origins - 1
    needed = max(config.min_history_weeks, config.min_fold_weeks + ahead)
    return f"history too short: {known[DS].nunique()} weeks of labels, {needed} needed"


def _weights(table: pd.DataFrame, segment: str, config: TrainingConfig) -> dict[str, float]:
    rows = table[(table[SEGMENT] == segment).to_numpy()]
    return fit_weights(rows, rows[Y], tuple(config.families), objective=config.objective)


def _final_ensembles(
    known: pd.DataFrame,
    past: pd.DataFrame,
    members: dict[str, Forecaster],
    table: pd.DataFrame,
    config: TrainingConfig,
) -> dict[str, Ensemble]:
    ensembles = {}
    for segment in SEGMENTS:
        series = known.loc[(known[SEGMENT] == segment).to_numpy(), UNIQUE_ID].unique()
        own = past[past[UNIQUE_ID].isin(series)]
        if own.empty:
            continue
        weights = _weights(table, segment, config)
        ensemble = Ensemble(
            members, weights=weights, cap_multiple=config.cap_multiple, segment=segment
        )
        ensembles[segment] = ensemble.fit_caps(own, own[Y])
    return ensembles


def _add_ranges(
    ensembles: Mapping[str, Ensemble], heads: QuantileHeads, table: pd.DataFrame
) -> None:
    """Give each ensemble the region's heads with its segment's corrections."""
    corrections = corrections_of(table, heads.levels)
    for segment, ensemble in ensembles.items():
        ensemble.range_ = Range(heads, corrections.get(segment, corrections[""]))


def _reported(table: pd.DataFrame, config: TrainingConfig) -> pd.DataFrame:
    """Blend and correct each reported fold by what only earlier folds have set."""
    cutoffs = sorted(table[CUTOFF].unique())
    reported = cutoffs[1:] or cutoffs
    tables = []
    for cutoff in reported:
        earlier = table[table[CUTOFF] < cutoff]
        corrections = corrections_of(earlier, config.quantiles)
        for segment, rows in table[table[CUTOFF] == cutoff].groupby(SEGMENT, observed=True):
            weights = _weights(earlier, str(segment), config)
            made = rows.assign(**{ENSEMBLE: blend(rows, weights)})
            tables.append(with_quantiles(made, corrections, config.quantiles))
    holdout = pd.concat(tables, ignore_index=True)[_holdout_columns(config)]
    text = dict.fromkeys((FORMAT, VELOCITY, SEGMENT), "str")
    return holdout.astype(text).sort_values([WEEK, UNIQUE_ID, H], ignore_index=True)


def _empty_holdout(config: TrainingConfig) -> pd.DataFrame:
    return pd.DataFrame(columns=_holdout_columns(config))


def _holdout_columns(config: TrainingConfig) -> list[str]:
    return [*KEPT, *config.families, ENSEMBLE, HISTORICAL_AVERAGE, *QUANTILES]
