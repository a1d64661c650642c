"""Forecasts of one region and week by the models that its manifest names, with failover.

In this order: the champion, the champion before it, the last good forecast of the same model
carried forward, the historical average. Each serves when all before it are missing, corrupt, too
old, out of reach, or answer nonsense; the rows say which one did and why. Which models are promoted
is decided in the promotion asset; fetching one is in `serving_models`; what it computes belongs to
`forecast_platform.forecasting.models`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from forecast_platform.errors import LakeError, NoChampion, RegistryError
from forecast_platform.forecasting.evaluation.guard_rails import FailoverRule
from forecast_platform.resources.carrying import Earlier
from forecast_platform.resources.manifest import Manifest, Row
from forecast_platform.resources.members import as_columns
from forecast_platform.resources.registry import Registry, model_name
from forecast_platform.resources.serving_models import (
    LevelOfFeatures,
    ServingModel,
    Unserved,
    load_or_copy,
    origin_of,
    range_of,
    range_or_none,
)
from forecast_platform.schemas.forecasts import (
    CARRIED_FORWARD,
    CHAMPION,
    PREVIOUS_CHAMPION,
    SERVERS,
)
from forecast_platform.schemas.lifecycle import ServingState
from forecast_platform.vocabulary import (
    DS,
    FORMAT,
    HISTORICAL_AVERAGE,
    QUANTILES,
    SEGMENT,
    UNIQUE_ID,
    VELOCITY,
    Y_HAT,
    Y,
)

STATE = "state"
COPY_USED = "copy_used"
"""Columns of a server's answer that are not of the forecasts: the `ServingState` of the segment,
and why the local copy of a model served; missing where it came from its store."""


@dataclass
class Server:
    """Forecasts one region and week.

    Parameters
    ----------
    region : str
    week : pandas.Timestamp
        The cutoff that is scored.
    manifest : Manifest
        Promotions as of ``week``.
    registry : Registry
    fit_baseline : Callable[[str], Any]
        Makes the historical average of a format from the demand known at ``week``, when the
        registered one cannot be loaded.
    recent : Callable[[], pandas.DataFrame]
        Demand of the recent weeks, ``unique_id``, ``ds``, ``y``, that guard rails are laid by.
    earlier : Callable[[str], Earlier | None]
        Finds the last good forecast by the name of its model.
    rule : FailoverRule
    served_by : Mapping[str, str], optional
        By segment, who is to serve: the steps before it are passed over. To make again what was
        made when something was amiss.
    """

    region: str
    week: pd.Timestamp
    manifest: Manifest
    registry: Registry
    fit_baseline: Callable[[str], Any]
    recent: Callable[[], pd.DataFrame]
    earlier: Callable[[str], Earlier | None]
    rule: FailoverRule = field(default_factory=FailoverRule)
    served_by: Mapping[str, str] = field(default_factory=dict)
    _baselines: dict[str, ServingModel] = field(default_factory=dict)
    _demand: pd.DataFrame | None = None

    def forecast(self, features: pd.DataFrame) -> pd.DataFrame:
        """Forecast every row of the features, in their order."""
        parts = [self._segment(rows) for _, rows in features.groupby(SEGMENT, sort=True)]
        return pd.concat(parts).loc[features.index]

    def _segment(self, rows: pd.DataFrame) -> pd.DataFrame:
        """Go from step to step until one serves; the average always does."""
        form, velocity = str(rows[FORMAT].iloc[0]), str(rows[VELOCITY].iloc[0])
        name = model_name(self.region, form, velocity)
        made, reasons, state = self._averaged(rows, form), [], ServingState.HISTORICAL_AVERAGE
        for step, serve in self._steps(str(rows[SEGMENT].iloc[0])):
            try:
                return serve(made, name, reasons)
            except NoChampion as error:
                reasons.append(str(error))
                state = ServingState.NO_CHAMPION
                break  # nothing of this segment was ever promoted: the rest would find nothing
            except Exception as error:  # noqa: BLE001 - whatever fails, the planner gets a forecast
                reasons.append(f"{step.replace('_', ' ')}: {_told(error)}")
        told = "; ".join(reasons) or "it was asked for"
        return made.assign(failover_reason=told, **{STATE: state})

    def _steps(self, segment: str) -> list[tuple[str, Callable[..., pd.DataFrame]]]:
        steps = [
            (CHAMPION, self._by_champion),
            (PREVIOUS_CHAMPION, self._by_previous),
            (CARRIED_FORWARD, self._by_earlier),
        ]
        asked = self.served_by.get(segment, CHAMPION)
        return [one for one in steps if SERVERS.index(one[0]) >= SERVERS.index(asked)]

    def _by_champion(self, made: pd.DataFrame, name: str, _: list[str]) -> pd.DataFrame:
        return self._by(self.manifest.champion(name), CHAMPION, made, name, None)

    def _by_previous(self, made: pd.DataFrame, name: str, reasons: list[str]) -> pd.DataFrame:
        row = self.manifest.previous(name)
        if row is None:
            raise Unserved("there is none")
        reason = "; ".join(reasons) or "it was asked for"
        return self._by(row, PREVIOUS_CHAMPION, made, name, reason)

    def _by(
        self, row: Row | None, served_by: str, made: pd.DataFrame, name: str, reason: str | None
    ) -> pd.DataFrame:
        """Let a promoted model forecast, unless it is too old or talks nonsense."""
        served, copy_used = self.by_version(name, row, served_by, made)
        state = ServingState(served_by)
        if state is ServingState.CHAMPION and copy_used:
            state = ServingState.LOCAL_COPY
        served |= {STATE: state, COPY_USED: copy_used}
        return made.assign(**served, failover_reason=reason)

    def by_version(
        self, name: str, row: Row | None, served_by: str, made: pd.DataFrame
    ) -> tuple[dict[str, Any], str | None]:
        """Let the model of a manifest's row forecast, unless it is too old or talks nonsense.

        Returns
        -------
        dict of str to Any
            Columns of the forecasts that it makes.
        str or None
            Why its local copy was taken; None where it came from its store.

        Raises
        ------
        RegistryError
            If it cannot be loaded, or its forecast is not to be served.
        """
        serving = self._load(name, row)
        self._refuse_old(serving.cutoff)
        members = serving.model.predict_members(made)
        forecast = self._checked(np.asarray(serving.model.combine(members), float), made)
        between = range_of(serving, made, forecast, members=members)
        served = {Y_HAT: forecast, **between, **as_columns(members)}
        return served | origin_of(serving, served_by), serving.copy_used

    def _by_earlier(self, made: pd.DataFrame, name: str, reasons: list[str]) -> pd.DataFrame:
        """Carry the last good forecast forward; series that it has not get the average."""
        found = self.earlier(name)
        if found is None:
            weeks = self.rule.max_carry_weeks
            raise Unserved(f"the model has forecast nothing in the last {weeks} weeks")
        self._refuse_old(found.cutoff)
        carried = found.onto(made)
        known = carried[Y_HAT].notna()
        if not known.any():
            raise Unserved(f"the forecast of {found.week:%Y-%m-%d} has none of the series")
        forecast = carried[Y_HAT].where(known, made[Y_HAT]).to_numpy(float)
        self._checked(forecast, made)
        result = made.assign(**{name: made[name].mask(known) for name in QUANTILES})
        for column in carried:
            own = result.get(column)
            result[column] = carried[column] if own is None else carried[column].where(known, own)
        told = "; ".join(reasons) or "it was asked for"
        of_week = f"{told}; the forecast of {found.week:%Y-%m-%d} is carried forward"
        lacks = f"{of_week}: it lacks the series"
        result["served_by"] = np.where(known, CARRIED_FORWARD, HISTORICAL_AVERAGE)
        result["failover_reason"] = np.where(known, of_week, lacks)
        return result.assign(**{STATE: ServingState.CARRIED_FORWARD})

    def _averaged(self, rows: pd.DataFrame, form: str) -> pd.DataFrame:
        baseline = self._baseline(form)
        average = np.asarray(baseline.model.predict(rows), float)
        if not np.isfinite(average).all():
            baseline = self._level_of(form)
            average = baseline.model.predict(rows)
        average = np.clip(average, 0, None)
        nobody = as_columns(pd.DataFrame(index=rows.index))
        made = rows.assign(**{Y_HAT: average, HISTORICAL_AVERAGE: average, **nobody})
        made = made.assign(**range_or_none(baseline, rows, average))
        return made.assign(**{COPY_USED: None, **origin_of(baseline, HISTORICAL_AVERAGE)})

    def _baseline(self, form: str) -> ServingModel:
        """Load the registered baseline of a format, or make it again."""
        if form not in self._baselines:
            name = model_name(self.region, form, HISTORICAL_AVERAGE)
            try:
                loaded = self._load(name, self.manifest.champion(name))
            except RegistryError:
                loaded = self._baseline_made_again(name, form)
            self._baselines[form] = loaded
        return self._baselines[form]

    def _baseline_made_again(self, name: str, form: str) -> ServingModel:
        try:
            return ServingModel(self.fit_baseline(form), name, None, self.week)
        except (LakeError, ValueError):  # no demand to be read, or none of the format
            return self._level_of(form)

    def _level_of(self, form: str) -> ServingModel:
        name = model_name(self.region, form, HISTORICAL_AVERAGE)
        return ServingModel(LevelOfFeatures(), name, None, self.week)

    def _load(self, name: str, row: Row | None) -> ServingModel:
        if row is None:
            raise NoChampion(f"{name} was not judged by {self.week:%Y-%m-%d}")
        if pd.isna(row["champion_version"]):
            raise NoChampion(f"{name} has no champion: {row['reason']}")
        model, copy_used = load_or_copy(self.registry, name, row)
        return ServingModel(model, name, int(row["champion_version"]), row["cutoff"], copy_used)

    def _refuse_old(self, cutoff: pd.Timestamp) -> None:
        age = (self.week - cutoff).days
        if age > self.rule.max_age_days:
            raise Unserved(
                f"its training cutoff is {age} days back, more than {self.rule.max_age_days}"
            )

    def _checked(self, forecast: NDArray[np.float64], rows: pd.DataFrame) -> NDArray[np.float64]:
        """Refuse forecasts outside of the guard rails; demand is never below zero."""
        if not np.isfinite(forecast).all():
            raise Unserved("it forecasts values that are not finite")
        forecast = np.clip(forecast, 0, None)
        totals = pd.Series(forecast, index=rows.index).groupby(rows[DS]).sum()
        own = set(rows[UNIQUE_ID])
        demand = self._recent_demand()
        recent = demand[demand[UNIQUE_ID].isin(own)].groupby(DS)[Y].sum()
        complaint = self.rule.guard_rails.complaint(
            np.asarray(totals, np.float64), np.asarray(recent, np.float64), n_series=len(own)
        )
        if complaint:
            raise Unserved(complaint)
        return forecast

    def _recent_demand(self) -> pd.DataFrame:
        if self._demand is None:
            self._demand = self.recent()
        return self._demand


def _told(error: Exception) -> str:
    """Say what went wrong; errors of others with their type."""
    told = " ".join(str(error).split())[:300]
    return told if isinstance(error, RegistryError) else f"{type(error).__name__}: {told}"
