"""How often the watch on production raises a false alarm, and how soon it finds a planted shift.

    python -m benchmarks.watching [--home data] [--shift 0.7] [--weekly]

Takes a home whose weeks have features, as `make demo` leaves one. In each region, models of one
week forecast every later one; with ``--weekly`` models are trained again each week, and the
newest forecast. Residuals and features of these weeks are judged as
`forecast_platform.resources.watching` judges them, and once more for every second week with all
demand from it on multiplied by ``--shift``, which no model has learnt from. Nothing is written.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from forecast_platform.forecasting.monitoring.residuals import PAST_WEEKS as PAST_OF_RESIDUALS
from forecast_platform.forecasting.monitoring.residuals import ResidualTest, weekly_residuals
from forecast_platform.partitions import RegionWeek
from forecast_platform.quality.drift import judge_values, sketch_weeks
from forecast_platform.quality.verdicts import PAST_WEEKS
from forecast_platform.resources.lake import Lake
from forecast_platform.resources.model_settings import ModelSettings
from forecast_platform.resources.region_training import TrainingInputs, read_inputs, train_at
from forecast_platform.resources.snapshot import Snapshot
from forecast_platform.resources.watching import WATCHED
from forecast_platform.vocabulary import DS, SEGMENT, UNIQUE_ID, WEEK, Y_HAT, H, Y

WITHIN = 3
"""A shift must be found within so many weeks."""


def _served(
    inputs: TrainingInputs,
    region: str,
    cutoffs: Sequence[pd.Timestamp],
    settings: ModelSettings,
) -> pd.DataFrame:
    """Forecast the weeks from each cutoff to the next one week ahead, beside what was demanded."""
    rows = inputs.features[inputs.features[H] == 1]
    ends = [*cutoffs[1:], rows[WEEK].max() + pd.Timedelta(weeks=1)]
    parts = []
    for cutoff, end in zip(cutoffs, ends, strict=True):
        models = train_at(RegionWeek(region, cutoff), inputs, settings)
        own = rows[(rows[WEEK] >= cutoff) & (rows[WEEK] < end)]
        parts += [
            found.assign(**{Y_HAT: models.ensembles[str(segment)].predict(found)})
            for segment, found in own.groupby(SEGMENT, observed=True)
            if str(segment) in models.ensembles
        ]
    demand = inputs.demand.known_at(rows[WEEK].max())
    made = pd.concat(parts)[[UNIQUE_ID, DS, Y_HAT]]
    return made.merge(demand[[UNIQUE_ID, DS, Y]], on=[UNIQUE_ID, DS])


def _alarms(weekly: pd.Series) -> list[bool]:
    """Judge every week that has enough weeks before it."""
    values = weekly.to_numpy()
    judged = [ResidualTest().judge(values[:i], values[i]) for i in range(1, len(values))]
    return [one.is_drifted for one in judged if np.isfinite(one.limit)]


def _weeks_to_find(served: pd.DataFrame, start: pd.Timestamp, shift: float) -> float:
    """Count the weeks until a shift of demand from a week on raises an alarm; inf if too many."""
    shifted = served.assign(**{Y: served[Y].where(served[DS] < start, served[Y] * shift)})
    weekly = weekly_residuals(shifted)
    values, first = weekly.to_numpy(), list(weekly.index).index(start)
    for i in range(first, first + WITHIN):
        if ResidualTest().judge(values[:i], values[i]).is_drifted:
            return i - first + 1
    return np.inf


def _feature_alarms(features: pd.DataFrame) -> list[bool]:
    rows = features[features[H] == 1].sort_values(WEEK)
    sketches = sketch_weeks(rows, WATCHED)
    weeks = sorted(sketches)
    verdicts = [
        judge_values([sketches[one] for one in weeks[max(0, i - PAST_WEEKS) : i]], sketches[week])
        for i, week in enumerate(weeks)
    ]
    return [not one.passed for one in verdicts if np.isfinite(one.limit)]


def measure(home: Path, shift: float, *, weekly: bool) -> None:
    """Print the share of false alarms, and the weeks until the planted shift is found."""
    lake, settings = Lake(uri=str(home / "lake")), ModelSettings()
    table = lake.read("demand_features", columns=["region", WEEK])
    residuals: list[bool] = []
    features: list[bool] = []
    found: list[float] = []
    for region, rows in table.groupby("region"):
        weeks = sorted(rows[WEEK].unique())
        later = weeks[len(weeks) // (3 if weekly else 2) : -1]
        inputs = read_inputs(Snapshot(lake), str(region), weeks, settings)
        served = _served(inputs, str(region), later if weekly else later[:1], settings)
        means = weekly_residuals(served)
        residuals += _alarms(means)
        features += _feature_alarms(inputs.features)
        starts = means.index[PAST_OF_RESIDUALS : len(means) - WITHIN : 2]
        found += [_weeks_to_find(served, start, shift) for start in starts]
        print(f"{region}: {len(means)} weeks", flush=True)
    for name, alarms in (("residuals", residuals), ("features", features)):
        share = np.mean(alarms) if alarms else np.nan
        print(f"{name}: {sum(alarms)} false alarms in {len(alarms)} region-weeks, {share:.1%}")
    for n in range(1, WITHIN + 1):
        share = np.mean([one <= n for one in found]) if found else np.nan
        print(f"demand x {shift}: {share:.1%} of {len(found)} shifts found within {n} weeks")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m benchmarks.watching", description=__doc__)
    parser.add_argument("--home", type=Path, default=Path("data"), help="home with features")
    parser.add_argument("--weekly", action="store_true", help="train again each week")
    parser.add_argument("--shift", type=float, default=0.7, help="factor of demand")
    asked = parser.parse_args()
    measure(asked.home, asked.shift, weekly=asked.weekly)
