"""The platform's models on a fold: just as a region is trained and scored."""

import time
from dataclasses import replace
from typing import Any

import pandas as pd

from benchmarks.accuracy.folds import Fold
from benchmarks.accuracy.report import INTERVAL
from benchmarks.accuracy.timing import Forecasts
from forecast_platform.forecasting.models.ensemble import Ensemble
from forecast_platform.forecasting.models.objective import Objective
from forecast_platform.forecasting.training import TrainingConfig, train_region
from forecast_platform.vocabulary import (
    CATEGORICAL_FEATURES,
    EMBEDDING_NET,
    ENSEMBLE,
    FORMAT,
    HISTORICAL_AVERAGE,
    LASSO,
    NUMERIC_FEATURES,
    SEGMENT,
    VELOCITY,
    H,
    Y,
)

SHOWN = {LASSO: "lasso", EMBEDDING_NET: "net"}


def config_of(fold: Fold, **changes: Any) -> TrainingConfig:
    """Return the platform's defaults on the fold's columns and horizon, with changes."""
    numeric = (*NUMERIC_FEATURES, *fold.extra)
    return TrainingConfig(**{"numeric": numeric, "horizon": int(fold.test[H].max()), **changes})


def ensemble(fold: Fold, objective: Objective = "mape") -> Forecasts:
    """Train the region and forecast each row by its segment's ensemble, members beside it."""
    config = config_of(fold, objective=objective)
    started = time.process_time()
    models = train_region(fold.train, fold.demand, cutoff=fold.cutoff, config=config)
    trained = time.process_time()
    if models.skipped.keys() & set(fold.test[SEGMENT]):
        raise ValueError(f"no ensemble: {models.skipped}")
    tables = []
    for (segment, store_format), part in fold.test.groupby([SEGMENT, FORMAT], observed=True):
        one = models.ensembles[str(segment)]
        members = one.predict_members(part)
        each = members.rename(columns=SHOWN)
        each[ENSEMBLE] = one.combine(members)
        quantiles = one.predict_quantiles(part, members=members).T
        each = each.assign(**dict(zip(INTERVAL, quantiles, strict=True)))
        each[HISTORICAL_AVERAGE] = models.baselines[str(store_format)].predict(part)
        tables.append(each)
    table = pd.concat(tables).reindex(fold.test.index)
    suffix = "" if objective == "mape" else f"_{objective}"
    names = {name: f"{name}{suffix}" for name in table.columns if name != HISTORICAL_AVERAGE}
    scored = time.process_time() - trained
    return Forecasts(table.rename(columns=names), trained - started, scored)


def ensemble_mean(fold: Fold) -> Forecasts:
    """Train for the mean instead of the MAPE."""
    done = ensemble(fold, "mean")
    interval = [f"{name}_mean" for name in INTERVAL]
    return replace(done, table=done.table.drop(columns=[HISTORICAL_AVERAGE, *interval]))


def ensemble_pooled(fold: Fold) -> Forecasts:
    """Train one model for all: no segment has coefficients, embeddings or weights of its own."""
    config = config_of(
        fold,
        deviations=tuple(name for name in TrainingConfig().deviations if name != SEGMENT),
        categorical=tuple(name for name in CATEGORICAL_FEATURES if name not in {FORMAT, VELOCITY}),
    )
    started = time.process_time()
    members = {name: m.fit(fold.train, fold.train[Y]) for name, m in config.members().items()}
    one = Ensemble(members, cap_multiple=config.cap_multiple).fit_caps(fold.demand, fold.demand[Y])
    trained = time.process_time()
    table = pd.DataFrame({"ensemble_pooled": one.predict(fold.test)})
    return Forecasts(table, trained - started, time.process_time() - trained)


def ensemble_apart(fold: Fold) -> Forecasts:
    """Train every segment on its own rows alone, with weights of its own."""
    train_seconds = score_seconds = 0.0
    parts = []
    for segment, test in fold.test.groupby(SEGMENT, observed=True):
        started = time.process_time()
        train = fold.train[(fold.train[SEGMENT] == segment).to_numpy()]
        models = train_region(train, fold.demand, cutoff=fold.cutoff, config=config_of(fold))
        trained = time.process_time()
        if str(segment) not in models.ensembles:
            raise ValueError(f"no ensemble of {segment} alone: {models.skipped}")
        values = models.ensembles[str(segment)].predict(test)
        parts.append(pd.DataFrame({"ensemble_apart": values}, index=test.index))
        train_seconds += trained - started
        score_seconds += time.process_time() - trained
    return Forecasts(pd.concat(parts).reindex(fold.test.index), train_seconds, score_seconds)
