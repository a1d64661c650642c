"""The platform's models on a fold: just as a region is trained and scored."""

import time
from dataclasses import replace

import pandas as pd

from benchmarks.accuracy.folds import Fold
from benchmarks.accuracy.report import INTERVAL
from benchmarks.accuracy.timing import Forecasts
from forecast_platform.forecasting.models.objective import Objective
from forecast_platform.forecasting.training import TrainingConfig, train_region
from forecast_platform.vocabulary import (
    EMBEDDING_NET,
    ENSEMBLE,
    FORMAT,
    HISTORICAL_AVERAGE,
    LASSO,
    NUMERIC_FEATURES,
    SEGMENT,
    H,
)

SHOWN = {LASSO: "lasso", EMBEDDING_NET: "net"}


def ensemble(fold: Fold, objective: Objective = "mape") -> Forecasts:
    """Train the region and forecast each row by its segment's ensemble, members beside it."""
    config = TrainingConfig(
        numeric=(*NUMERIC_FEATURES, *fold.extra),
        objective=objective,
        horizon=int(fold.test[H].max()),
    )
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
        low, _, high = one.predict_quantiles(part, members=members).T
        each = each.assign(**dict(zip(INTERVAL, (low, high), strict=True)))
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
