"""Backtest the platform's models on the orange juice data, in the rounds of published results.

Each round trains on all weeks up to its cutoff, skips a week and forecasts the two after it, on
the features that the platform wrote as known at that cutoff. See README.md beside this file.
"""

import argparse
import time
from collections.abc import Sequence

import pandas as pd

from forecast_platform.forecasting.evaluation.metrics import score
from forecast_platform.forecasting.features.training import training_frame
from forecast_platform.forecasting.models.ensemble import Ensemble
from forecast_platform.forecasting.training import RegionModels, TrainingConfig, train_region
from forecast_platform.resources.demand import read_demand
from forecast_platform.resources.lake import Lake
from forecast_platform.settings import get_settings
from forecast_platform.vocabulary import (
    DS,
    ENSEMBLE,
    FORMAT,
    HISTORICAL_AVERAGE,
    MEMBERS,
    SEGMENT,
    UNIQUE_ID,
    WEEK,
    H,
    Y,
)

FIRST_MONDAY = pd.Timestamp("1989-09-11")
"""Monday of the data set's week 1, which opens on a Thursday."""

CUTOFFS = tuple(range(135, 154, 2))
"""Last known week of rounds 1 to 10, as the data set numbers weeks."""

HORIZONS = (2, 3)
"""One week is skipped, the two after it are forecast [weeks ahead]."""

MODELS = (ENSEMBLE, *MEMBERS, HISTORICAL_AVERAGE)
SHOWN = ("model", "mape", "wape", "bias", "n_positive", "n_zero")


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the rounds that are asked for and print their scores."""
    asked = _parse(arguments)
    lake = Lake(uri=asked.lake)
    features = lake.read("demand_features", region=asked.region)
    last = lake.weeks_of("fct_weekly_demand", asked.region)[-1]
    demand = read_demand(lake, asked.region, last)
    tables = []
    for number in asked.rounds:
        started = time.perf_counter()
        forecasts = forecast_round(features, demand, monday(CUTOFFS[number - 1]), asked)
        tables.append(forecasts)
        took = time.perf_counter() - started
        print(f"\nRound {number}, cutoff week {CUTOFFS[number - 1]}, {took:.0f} s")
        print(scores(forecasts), flush=True)
    if len(tables) > 1:
        print(f"\nAll {len(tables)} rounds")
        print(scores(pd.concat(tables)))


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    settings = get_settings()
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--lake", default=settings.lake, help="folder or URI of the lake")
    parser.add_argument("--region", default="chicago")
    parser.add_argument(
        "--rounds", type=int, nargs="+", default=range(1, 11), choices=range(1, 11), metavar="N"
    )
    parser.add_argument("--epochs", type=int, default=settings.epochs, help="of the net")
    parser.add_argument("--threads", type=int, default=settings.threads)
    return parser.parse_args(arguments)


def monday(week: int) -> pd.Timestamp:
    """Return the Monday of a week of the data set."""
    return FIRST_MONDAY + pd.Timedelta(weeks=week - 1)


def forecast_round(
    features: pd.DataFrame,
    demand: pd.DataFrame,
    cutoff: pd.Timestamp,
    asked: argparse.Namespace,
) -> pd.DataFrame:
    """Train as known at ``cutoff`` and forecast the weeks of `HORIZONS` after it.

    Returns
    -------
    pandas.DataFrame
        A row per series and week that was forecast: a column per model and ``y`` [units].
    """
    known = demand[demand[DS] <= cutoff]
    frame = training_frame(features, known, cutoff, weeks=get_settings().training_weeks)
    config = TrainingConfig(epochs=asked.epochs, threads=asked.threads, seed=get_settings().seed)
    models = train_region(frame, known, cutoff=cutoff, config=config)
    wanted = features[(features[WEEK] == cutoff) & features[H].isin(HORIZONS)]
    forecasts = _forecast(models, wanted)
    return forecasts.merge(demand[[UNIQUE_ID, DS, Y]], on=[UNIQUE_ID, DS], validate="1:1")


def _forecast(models: RegionModels, rows: pd.DataFrame) -> pd.DataFrame:
    """Forecast each row by the models of its segment and format."""
    tables = []
    for (segment, store_format), part in rows.groupby([SEGMENT, FORMAT], observed=True):
        ensemble: Ensemble = models.ensembles[str(segment)]
        members = ensemble.predict_members(part)
        members[ENSEMBLE] = ensemble.combine(members)
        members[HISTORICAL_AVERAGE] = models.baselines[str(store_format)].predict(part)
        tables.append(part[[UNIQUE_ID, DS, SEGMENT]].join(members))
    return pd.concat(tables)


def scores(forecasts: pd.DataFrame) -> str:
    """Score every model on the same rows, as a table; MAPE is over the rows with sales."""
    return score(forecasts, MODELS)[list(SHOWN)].round(4).to_string(index=False)


if __name__ == "__main__":
    main()
