"""What a week tells of the forecasts made before it, and of the models that serve it.

Only what is read for which region-week, and how it becomes rows; scores, tests and their formulas
are in `forecast_platform.forecasting.monitoring`, the spread of features is judged by
`forecast_platform.quality.drift`.
"""

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import pandas as pd

from forecast_platform.partitions import RegionWeek
from forecast_platform.quality.drift import Columns, judge_values, sketch_weeks
from forecast_platform.quality.verdicts import PAST_WEEKS
from forecast_platform.resources.demand import read_demand_history
from forecast_platform.resources.snapshot import Snapshot
from forecast_platform.schemas.forecasts import CHAMPION, EXPERIMENT
from forecast_platform.schemas.models import AGEING_AFTER, STALE_AFTER
from forecast_platform.schemas.monitoring import (
    SEGMENTS,
    ForecastAccuracy,
    Health,
    ModelDrift,
    ModelHealth,
)
from forecast_platform.schemas.tables import as_table
from forecast_platform.vocabulary import (
    CUTOFF,
    DS,
    ENSEMBLE,
    HISTORICAL_AVERAGE,
    SEGMENT,
    UNIQUE_ID,
    WEEK,
    Y_HAT,
    H,
    Y,
)

ONE_WEEK: Final = pd.Timedelta(weeks=1)
LONGEST_HORIZON: Final = 13 * ONE_WEEK
"""How long before its week a forecast may have been made."""

CORRECTED: Final = 26 * ONE_WEEK
"""How old a week may be whose scores follow a correction of its demand."""

RECENT_WEEKS: Final = 8
"""Scored weeks that say what a model is worth now."""

HISTORY: Final = 52 * ONE_WEEK

WATCHED: Final = Columns(
    numbers=(
        "base_level",
        "product_trend_4",
        "store_trend_4",
        "zero_share_13",
        "lift_own",
        "log_price",
        "discount",
        "temperature_anomaly",
    )
)
"""Features whose spread is compared; those of the calendar are known to change."""

_SERVED: Final = (WEEK, UNIQUE_ID, DS, H, SEGMENT, Y_HAT, HISTORICAL_AVERAGE, CUTOFF, "served_by")
_RANGE: Final = ("y_hat_p10", "y_hat_p90")


class Past:
    """Demand and forecasts of one region, read once for all weeks of a run.

    Parameters
    ----------
    tables : Snapshot
    region : str
    weeks : sequence of pandas.Timestamp
        Weeks that will be asked for.
    """

    def __init__(self, tables: Snapshot, region: str, weeks: Sequence[pd.Timestamp]) -> None:
        first, last = min(weeks), max(weeks)
        self.tables, self.region = tables, region
        self.demand = read_demand_history(tables, region, last, since=first - CORRECTED)
        self.forecasts = self._forecasts(first - CORRECTED - LONGEST_HORIZON, last)
        self.promised = self._promised()

    def _forecasts(self, since: pd.Timestamp, until: pd.Timestamp) -> pd.DataFrame:
        if not self.tables.exists("forecasts"):
            return pd.DataFrame(columns=[*_SERVED])
        there = self.tables.column_names("forecasts")
        columns = [*_SERVED, *(name for name in _RANGE if name in there)]
        return self.tables.read(
            "forecasts", region=self.region, since=since, until=until, columns=columns
        )

    def _promised(self) -> pd.DataFrame:
        """Look up the MAPE that validation found, by training cutoff and segment."""
        names = {ENSEMBLE: "mape_promised", HISTORICAL_AVERAGE: "mape_baseline_promised"}
        if not self.tables.exists("validation_metrics") or self.forecasts.empty:
            return pd.DataFrame(columns=[WEEK, SEGMENT, *names.values()])
        scores = self.tables.read(
            "validation_metrics",
            region=self.region,
            weeks=sorted(self.forecasts[CUTOFF].unique()),
            columns=[WEEK, SEGMENT, "model", "mape"],
        )
        scores = scores[scores["model"].isin(list(names))]
        table = scores.pivot_table(
            index=[WEEK, SEGMENT], columns="model", values="mape", aggfunc="first"
        )
        table = table.reindex(columns=list(names)).rename(columns=names)
        return table.reset_index()

    def served(self, weeks: Sequence[pd.Timestamp], known_at: pd.Timestamp) -> pd.DataFrame:
        """Select the forecasts about some weeks, with what was promised of their models."""
        rows = self.forecasts
        rows = rows[rows[DS].isin(list(weeks)) & (rows[WEEK] < known_at)]
        promised = self.promised.rename(columns={WEEK: CUTOFF})
        rows = rows.merge(promised, on=[CUTOFF, SEGMENT], how="left")
        by = rows["served_by"]
        rows["mape_promised"] = rows["mape_promised"].where(
            by != HISTORICAL_AVERAGE, rows["mape_baseline_promised"]
        )
        return rows.assign(is_champion=by == CHAMPION, is_arm=by == EXPERIMENT)


def score_week(key: RegionWeek, past: Past) -> pd.DataFrame:
    """Score the forecasts of the weeks about which this one told the demand.

    That is the week itself, and earlier ones that were corrected in it: their scores are written
    again here, so that the newest row of a ``ds`` is the one that counts.

    Returns
    -------
    pandas.DataFrame
        Rows of `ForecastAccuracy`; none where nothing was forecast for these weeks.
    """
    from forecast_platform.forecasting.monitoring.realised import score_realised

    told = past.demand.rows
    weeks = told.loc[(told[WEEK] == key.week) & (told[DS] > key.week - CORRECTED), DS].unique()
    served = past.served(weeks, key.week)
    known = past.demand.known_at(key.week)
    scores = score_realised(served, known[known[DS].isin(weeks)])
    if scores.empty:
        return as_table(pd.DataFrame(columns=_columns(ForecastAccuracy)), ForecastAccuracy)
    return as_table(scores.assign(region=key.region, week=key.week), ForecastAccuracy)


def judge_drift(key: RegionWeek, past: Past) -> pd.DataFrame:
    """Hold features and residuals of a week to those of the region's weeks before.

    Returns
    -------
    pandas.DataFrame
        Two rows of `ModelDrift`.
    """
    rows = [_features(key, past.tables), _residuals(key, past)]
    table = pd.DataFrame(rows).assign(region=key.region, week=key.week)
    return as_table(table, ModelDrift)


def _features(key: RegionWeek, tables: Snapshot) -> dict[str, Any]:
    if not tables.exists("demand_features"):
        return _judged("features", "not judged: there are no features")
    rows = tables.read(
        "demand_features",
        region=key.region,
        since=key.week - PAST_WEEKS * ONE_WEEK,
        until=key.week,
        columns=[WEEK, H, *WATCHED.numbers],
    )
    sketches = sketch_weeks(rows[rows[H] == 1], WATCHED)
    if key.week not in sketches:
        return _judged("features", "not judged: the week has no features")
    before = [one for week, one in sketches.items() if week < key.week]
    verdict = judge_values(before, sketches[key.week])
    return _judged(
        "features",
        verdict.description,
        is_drifted=not verdict.passed,
        value=verdict.value,
        limit=verdict.limit,
    )


def _residuals(key: RegionWeek, past: Past) -> dict[str, Any]:
    from forecast_platform.forecasting.monitoring.residuals import ResidualTest, weekly_residuals

    ahead = past.forecasts[(past.forecasts[H] == 1) & (past.forecasts[WEEK] < key.week)]
    known = past.demand.known_at(key.week)
    rows = ahead[[UNIQUE_ID, DS, Y_HAT]].merge(known[[UNIQUE_ID, DS, Y]], on=[UNIQUE_ID, DS])
    weekly = weekly_residuals(rows)
    now = float(weekly.get(key.week, np.nan))
    shift = ResidualTest().judge(weekly[weekly.index < key.week], now)
    if not np.isfinite(shift.limit):
        return _judged("residuals", "not judged: too few weeks were forecast before")
    span = "demand is" if shift.n_weeks == 1 else f"demand of {shift.n_weeks} weeks is"
    text = f"{span} off its forecast by {shift.value:.2f} more log units than usual"
    return _judged(
        "residuals",
        f"{text} (limit {shift.limit:.2f})",
        is_drifted=shift.is_drifted,
        value=shift.value,
        limit=shift.limit,
    )


def _judged(
    subject: str,
    description: str,
    *,
    is_drifted: bool = False,
    value: float = np.nan,
    limit: float = np.nan,
) -> dict[str, Any]:
    return {
        "subject": subject,
        "is_drifted": is_drifted,
        "value": value,
        "limit": limit,
        "description": description,
    }


def health_of(
    key: RegionWeek, tables: Snapshot, scores: pd.DataFrame, drift: pd.DataFrame
) -> pd.DataFrame:
    """Say of each segment of a region-week what serves it and what that is worth.

    Parameters
    ----------
    key : RegionWeek
    tables : Snapshot
        Has the forecasts of the week.
    scores : pandas.DataFrame
        Rows of `ForecastAccuracy` of the region, as of `newest_scores`.
    drift : pandas.DataFrame
        Rows of `ModelDrift` of the week.

    Returns
    -------
    pandas.DataFrame
        Four rows of `ModelHealth`.
    """
    served = _served_now(key, tables)
    is_drifted = bool(drift["is_drifted"].any())
    rows = [
        {
            "segment": segment,
            **_age(served.get(segment), key.week),
            **_worth(scores[scores[SEGMENT] == segment], key.week),
            "is_drifted": is_drifted,
        }
        for segment in SEGMENTS
    ]
    return as_table(pd.DataFrame(rows).assign(region=key.region, week=key.week), ModelHealth)


def newest_scores(scores: pd.DataFrame, week: pd.Timestamp) -> pd.DataFrame:
    """Pick of each scored week and segment the row that was known last at the close of a week."""
    whole = scores[(scores[H] == 0) & (scores[WEEK] <= week)].sort_values(WEEK, kind="stable")
    return whole.drop_duplicates([DS, SEGMENT], keep="last").sort_values(DS)


def _served_now(key: RegionWeek, tables: Snapshot) -> dict[str, dict[str, Any]]:
    """Describe the oldest model that serves each segment."""
    if not tables.exists("forecasts"):
        return {}
    columns = [SEGMENT, CUTOFF, "model_name", "model_version", "served_by", "failover_reason"]
    rows = tables.read("forecasts", region=key.region, weeks=[key.week], columns=columns)
    oldest = rows.sort_values(CUTOFF, kind="stable").drop_duplicates(SEGMENT)
    return {str(row[SEGMENT]): dict(row) for _, row in oldest.iterrows()}


def _age(served: dict[str, Any] | None, week: pd.Timestamp) -> dict[str, Any]:
    names = ("model_name", "model_version", "served_by", "failover_reason")
    if served is None:
        nothing = {CUTOFF: pd.NaT, "age_days": None, **dict.fromkeys(names)}
        return nothing | {"status": Health.NO_FORECAST.value}
    age = week - served[CUTOFF]
    status = Health.OK
    if age > STALE_AFTER:
        status = Health.STALE
    elif age >= AGEING_AFTER:
        status = Health.AGEING
    known = {name: served[name] for name in (CUTOFF, *names)}
    return known | {"age_days": age.days, "status": status.value}


def _worth(scores: pd.DataFrame, week: pd.Timestamp) -> dict[str, Any]:
    from forecast_platform.forecasting.monitoring.degradation import DegradationTest

    recent = scores.tail(RECENT_WEEKS)
    verdict = DegradationTest().judge(scores, week)
    means = recent[["mape", "mape_baseline", "mape_promised"]].mean()
    return {
        "n_weeks": verdict.n_weeks,
        "mape_realised": means["mape"],
        "mape_baseline": means["mape_baseline"],
        "mape_promised": means["mape_promised"],
        "is_degraded": verdict.is_degraded,
        "skill_lost": verdict.lost,
        "skill_lost_at_least": verdict.lower if np.isfinite(verdict.lower) else np.nan,
    }


def _columns(schema: Any) -> list[str]:
    return list(schema.to_schema().columns)
