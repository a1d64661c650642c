"""What is known of an experiment at the close of a week: rows of `experiment_results`.

Reads the forecasts of both arms and the demand that followed; the judgement is the core's, in
`forecast_platform.forecasting.experiments`.
"""

from typing import Any, Final

import numpy as np
import pandas as pd

from forecast_platform.forecasting.experiments.assignment import A, B
from forecast_platform.forecasting.experiments.losses import DIFFERENCE, weekly_losses
from forecast_platform.forecasting.experiments.sequential import Decision, SequentialTest
from forecast_platform.partitions import RegionWeek
from forecast_platform.resources.demand import read_demand
from forecast_platform.resources.experiments.book import Experiment, experiments_of
from forecast_platform.resources.snapshot import Snapshot
from forecast_platform.schemas.experiments import ExperimentResults
from forecast_platform.schemas.tables import as_table
from forecast_platform.vocabulary import DS, UNIQUE_ID, Y_HAT, H, Y

FORECASTS: Final = "forecasts"
COLUMNS: Final = (
    *("week", UNIQUE_ID, DS, H, Y_HAT),
    *("experiment", "arm", "forecast_a", "forecast_b", "experiment_note"),
)
HORIZON_WEEKS: Final = 13
"""So long after its last week an experiment may still get actuals [weeks]."""


def results_of(key: RegionWeek, tables: Snapshot) -> pd.DataFrame:
    """Judge every experiment of a region by what was known at the close of a week.

    Returns
    -------
    pandas.DataFrame
        Of the form `ExperimentResults`; without rows where nothing is compared.
    """
    found = [
        _describe(key, one, *judge(key, one, tables))
        for one in experiments_of(tables, key.region)
        if _is_judged(one, key.week)
    ]
    if not found:
        return as_table(
            pd.DataFrame(columns=list(ExperimentResults.to_schema().columns)), ExperimentResults
        )
    return as_table(pd.DataFrame(found), ExperimentResults)


def judge(
    key: RegionWeek, experiment: Experiment, tables: Snapshot
) -> tuple[Decision, pd.DataFrame, pd.DataFrame]:
    """Compare the arms on every week that has actuals.

    Returns
    -------
    tuple
        What is known, the losses of each week, and the rows they are made of.
    """
    rows = scored_rows(key, experiment, tables)
    losses = weekly_losses(rows, experiment.metric)
    test = SequentialTest(alpha=experiment.alpha, min_difference=experiment.min_difference)
    return test.decide(losses[DIFFERENCE].to_numpy(float)), losses, rows


def scored_rows(key: RegionWeek, experiment: Experiment, tables: Snapshot) -> pd.DataFrame:
    """Join the experiment's forecasts with the demand known at the close of a week."""
    if not tables.exists(FORECASTS) or not set(COLUMNS) <= set(tables.column_names(FORECASTS)):
        return pd.DataFrame(columns=[*COLUMNS, Y])
    last = key.week if experiment.last_week is None else min(key.week, experiment.last_week)
    rows = tables.read(
        FORECASTS,
        region=key.region,
        since=experiment.first_week,
        until=last,
        columns=list(COLUMNS),
    )
    rows = rows[(rows["experiment"] == experiment.name) & (rows[DS] <= key.week)]
    demand = read_demand(tables, key.region, key.week, since=experiment.first_week)
    actual = demand[[UNIQUE_ID, DS, Y]].drop_duplicates([UNIQUE_ID, DS], keep="last")
    return rows.merge(actual, on=[UNIQUE_ID, DS], how="inner")


def _is_judged(experiment: Experiment, week: pd.Timestamp) -> bool:
    if week < experiment.first_week:
        return False
    last = experiment.last_week
    return last is None or week <= last + pd.Timedelta(weeks=HORIZON_WEEKS)


def _describe(
    key: RegionWeek,
    experiment: Experiment,
    decision: Decision,
    losses: pd.DataFrame,
    rows: pd.DataFrame,
) -> dict[str, Any]:
    pairs = rows.dropna(subset=["forecast_a", "forecast_b"])
    served = {arm: rows[rows["arm"] == arm] for arm in (A, B)}
    is_finite = np.isfinite(decision.upper)
    return {
        "region": key.region,
        "week": key.week,
        "experiment": experiment.name,
        "design": experiment.design.value,
        "metric": experiment.metric,
        "n_weeks": decision.n_weeks,
        "n_rows": int(losses["n_rows"].sum()),
        "n_series": int(pairs[UNIQUE_ID].nunique()),
        "n_unpaired": len(rows) - len(pairs),
        "loss_a": _loss(pairs, "forecast_a", experiment.metric),
        "loss_b": _loss(pairs, "forecast_b", experiment.metric),
        "served_a": _loss(served[A], Y_HAT, experiment.metric),
        "served_b": _loss(served[B], Y_HAT, experiment.metric),
        "estimate": decision.estimate,
        "lower": decision.lower if is_finite else np.nan,
        "upper": decision.upper if is_finite else np.nan,
        "verdict": decision.winner.value,
        "decided_after": decision.decided_after,
        "note": _note(rows),
    }


def _loss(rows: pd.DataFrame, column: str, metric: str) -> float:
    from forecast_platform.forecasting.evaluation.metrics import mape, wape

    if rows.empty:
        return float("nan")
    return float({"mape": mape, "wape": wape}[metric](rows[Y], rows[column]))


def _note(rows: pd.DataFrame) -> str | None:
    """Tell of each reason why an arm did not serve, and in how many rows."""
    counts = rows["experiment_note"].dropna().value_counts().sort_index()
    return "; ".join(f"{note} ({count} rows)" for note, count in counts.items()) or None
