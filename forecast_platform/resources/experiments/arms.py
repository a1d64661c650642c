"""Forecasts of both arms beside those that serve, and who serves which row.

Put over the forecasts that the champion, or who stands in for it, has made: an arm that cannot
forecast leaves its rows to them, and says why. Which experiments there are is in `book`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from forecast_platform.errors import CorruptModel, ForecastPlatformError, LakeError
from forecast_platform.forecasting.experiments.assignment import A, B
from forecast_platform.partitions import RegionWeek
from forecast_platform.resources.experiments.book import (
    CHALLENGER,
    CHAMPION,
    Arm,
    Experiment,
    Version,
    serving_at,
)
from forecast_platform.resources.serving import Server
from forecast_platform.resources.snapshot import Snapshot
from forecast_platform.schemas.forecasts import CHAMPION as BY_CHAMPION
from forecast_platform.schemas.forecasts import EXPERIMENT
from forecast_platform.schemas.models import TRAINED
from forecast_platform.vocabulary import CUTOFF, SEGMENT, Y_HAT

NO_EXPERIMENT: Final[dict[str, Any]] = {
    "experiment": None,
    "arm": None,
    "forecast_a": np.nan,
    "forecast_b": np.nan,
    "version_a": None,
    "version_b": None,
    "experiment_note": None,
}
"""Columns of forecasts that tell of an experiment, as they are without one."""

TRAINED_ENSEMBLES: Final = "trained_ensembles"
CHALLENGER_WEEKS: Final = 13
"""How far back the newest trained model of a segment is looked for [weeks]."""


@dataclass(frozen=True)
class Scene:
    """Where arms forecast: a region-week, the tables as they were read, and who can forecast."""

    key: RegionWeek
    tables: Snapshot
    server: Server


@dataclass(frozen=True)
class ArmForecast:
    """What one arm forecasts of the rows of a segment.

    Attributes
    ----------
    served : dict of str to Any
        Columns of the forecasts when the arm serves; empty when they are so already.
    problem : str
        Why it cannot forecast; empty if it can.
    """

    y_hat: NDArray[np.float64] | None
    version: int | None
    served: dict[str, Any]
    problem: str = ""


def with_experiments(
    key: RegionWeek, made: pd.DataFrame, tables: Snapshot, server: Server
) -> pd.DataFrame:
    """Add what the experiments of a region-week forecast, and let their arms serve.

    Never fails because of an experiment: rows are left as they were then, with a note.

    Parameters
    ----------
    key : RegionWeek
    made : pandas.DataFrame
        Features and forecasts, as `Server.forecast` returns them.
    tables : Snapshot
    server : Server
        Made ``made``; lets the arms forecast under the same rules.

    Returns
    -------
    pandas.DataFrame
        The same rows with the columns of `NO_EXPERIMENT`.
    """
    columns = {**NO_EXPERIMENT}
    try:
        experiments = serving_at(key, tables)
    except LakeError as error:
        experiments, columns["experiment_note"] = [], f"experiments cannot be read: {error}"
    told = pd.DataFrame(columns, index=made.index)
    told = told.astype({"version_a": "Int64", "version_b": "Int64"})
    made = pd.concat([made, told], axis=1)
    scene = Scene(key, tables, server)
    for experiment in experiments:
        for segment in experiment.segments:
            rows = made[made[SEGMENT] == segment]
            if not rows.empty:
                made = _put(made, _serve(scene, experiment, segment, rows))
    return made


def arm_version(arm: Arm, key: RegionWeek, segment: str, tables: Snapshot) -> Version | None:
    """Say which version an arm is for a segment in a week; None for the champion.

    Raises
    ------
    CorruptModel
        If there is none.
    """
    if arm.follows == CHAMPION:
        return None
    if arm.follows != CHALLENGER:
        if segment not in arm.versions:
            raise CorruptModel(f"the arm names no version for {segment}")
        return arm.versions[segment]
    rows = tables.read(
        TRAINED_ENSEMBLES,
        region=key.region,
        since=key.week - pd.Timedelta(weeks=CHALLENGER_WEEKS),
        until=key.week,
    )
    rows = rows[(rows[SEGMENT] == segment) & (rows["status"] == TRAINED)]
    if rows.empty:
        raise CorruptModel(f"no model of {segment} was trained in {CHALLENGER_WEEKS} weeks")
    newest = rows.sort_values("week").iloc[-1]
    return Version(
        model_name=str(newest["model_name"]),
        version=int(newest["model_version"]),
        sha256=str(newest["sha256"]),
        artifact_uri=str(newest["artifact_uri"]),
        cutoff=f"{newest[CUTOFF]:%Y-%m-%d}",
    )


def _serve(scene: Scene, experiment: Experiment, segment: str, rows: pd.DataFrame) -> pd.DataFrame:
    """Let both arms forecast all rows of a segment, and each serve its own."""
    both = {
        name: _forecast(arm, scene, segment, rows)
        for name, arm in ((A, experiment.a), (B, experiment.b))
    }
    problems = [f"{name}: {one.problem}" for name, one in both.items() if one.problem]
    arms = experiment.arms_of(rows, scene.key.week)
    served = rows.assign(
        experiment=experiment.name,
        arm=arms,
        forecast_a=np.nan if both[A].y_hat is None else both[A].y_hat,
        forecast_b=np.nan if both[B].y_hat is None else both[B].y_hat,
        version_a=pd.array([both[A].version] * len(rows), dtype="Int64"),
        version_b=pd.array([both[B].version] * len(rows), dtype="Int64"),
        experiment_note="; ".join(problems) or None,
    )
    for name, one in both.items():
        own = pd.Series(arms == name, index=rows.index)
        for column, value in one.served.items():
            new = pd.Series(value, index=rows.index)
            served[column] = served[column].where(~own, new)
    return served


def _forecast(arm: Arm, scene: Scene, segment: str, rows: pd.DataFrame) -> ArmForecast:
    try:
        version = arm_version(arm, scene.key, segment, scene.tables)
        if version is None:
            return _of_champion(rows)
        return _of_version(version, rows, scene.server)
    except ForecastPlatformError as error:
        return ArmForecast(None, None, {}, str(error))
    except Exception as error:  # noqa: BLE001 - whatever an arm does, the planner gets a forecast
        return ArmForecast(None, None, {}, f"{type(error).__name__}: {error}")


def _of_champion(rows: pd.DataFrame) -> ArmForecast:
    if not (rows["served_by"] == BY_CHAMPION).all():
        return ArmForecast(None, None, {}, str(rows["failover_reason"].iloc[0]))
    version = rows["model_version"].iloc[0]
    return ArmForecast(rows[Y_HAT].to_numpy(float), int(version), {})


def _of_version(version: Version, rows: pd.DataFrame, server: Server) -> ArmForecast:
    served, _ = server.by_version(version.model_name, version.as_row(), EXPERIMENT, rows)
    forecast = np.asarray(served[Y_HAT], dtype=float)
    return ArmForecast(forecast, version.version, {**served, "failover_reason": None})


def _put(made: pd.DataFrame, served: pd.DataFrame) -> pd.DataFrame:
    """Put the rows of one segment back into their places."""
    others = made.drop(index=served.index)
    both = pd.concat([others, served]) if len(others) else served
    return both.loc[made.index]


def arm_of(row: Mapping[str, Any], key: RegionWeek, tables: Snapshot) -> dict[str, Any] | None:
    """Describe the model behind a forecast that an arm served, as a row of the manifest does.

    Returns
    -------
    dict of str to Any or None
        None if the experiment, or its version of that week, is not known any more.
    """
    for experiment in serving_at(key, tables):
        if experiment.name != row["experiment"]:
            continue
        arm = experiment.a if row["arm"] == A else experiment.b
        try:
            version = arm_version(arm, key, str(row[SEGMENT]), tables)
        except CorruptModel:
            return None
        if version is not None:
            why = f"arm {row['arm']} of experiment {experiment.name}: {experiment.why}"
            return version.as_row() | {"week": key.week, "verdict": EXPERIMENT, "reason": why}
    return None
