"""What tells people: one sensor looks at ended runs and at tables, and sends what is due.

One sensor, not one for each source: it alone writes the log of alerts, so that nothing is told
twice, and a message that a receiver did not take is tried again at the next tick. Nothing that
forecasts waits for it, or fails because of it. See
https://docs.dagster.io/guides/automate/sensors.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Final

import dagster as dg

from forecast_platform.automation.run_alerts import RunCursor, RunReader, closed_at
from forecast_platform.automation.schedules import last_complete_week
from forecast_platform.errors import ForecastPlatformError
from forecast_platform.partitions import regions
from forecast_platform.resources.alerts.conditions import CONDITIONS, Condition, View
from forecast_platform.resources.alerts.kinds import ADVICE
from forecast_platform.resources.alerts.messages import Alert, Over
from forecast_platform.resources.alerts.notifier import Delivered, Notifier
from forecast_platform.resources.alerts.resource import Alerts
from forecast_platform.resources.lake import Lake
from forecast_platform.schemas.alerts import Kind, Severity

SCHEDULED_AFTER: Final = timedelta(hours=6)
"""From the close of a week to the tick of its schedule."""


@dataclass
class Cursor:
    """What the sensor remembers.

    Attributes
    ----------
    ended : dict of str to str
        See `RunCursor`.
    versions : dict of str to int
        Version of each table when it was last looked at, by kind of trouble.
    """

    ended: dict[str, str] = field(default_factory=dict)
    versions: dict[str, int] = field(default_factory=dict)

    @classmethod
    def from_text(cls, text: str | None) -> "Cursor":
        """Read what the last tick left."""
        return cls(**json.loads(text)) if text else cls()

    def to_text(self) -> str:
        """Write it down for the next tick."""
        return json.dumps({"ended": self.ended, "versions": self.versions}, sort_keys=True)


def tell_of_runs(notifier: Notifier, cursor: Cursor, reader: RunReader, now: datetime) -> None:
    """Note what the runs tell that have ended since the last tick."""
    runs = RunCursor(cursor.ended).ended_runs(reader.instance)

    def seen() -> Iterator[Alert | Over]:
        for run in runs:  # a later one may end the trouble of an earlier one
            yield from reader.read(run, notifier.history(now).open_troubles())

    notifier.observe(now, seen())


def tell_of_tables(notifier: Notifier, cursor: Cursor, view: View) -> None:
    """Note what is wrong in tables that have changed, and what is no longer wrong."""
    seen: list[Alert | Over] = []
    for condition in CONDITIONS:
        version = view.lake.version(condition.table)
        is_same = version is None or cursor.versions.get(condition.kind.value) == version
        if is_same and not condition.by_clock:
            continue
        seen += _look(condition, notifier, view)
        if version is not None:
            cursor.versions[condition.kind.value] = version
    notifier.observe(view.now, seen)


def _look(condition: Condition, notifier: Notifier, view: View) -> Iterator[Alert | Over]:
    """Look once; a look that fails is told, and ends no trouble."""
    blind = f"alerting|{condition.kind.value}"
    try:
        found = list(condition.find(view))
    except ForecastPlatformError as error:
        yield _cannot_look(condition, view, blind, error)
        return
    names = {alert.fingerprint for alert in found}
    yield from found
    for name, trouble in notifier.history(view.now).open_troubles().items():
        is_of_kind = trouble.latest.kind is condition.kind and name not in names
        if is_of_kind or name == blind:
            yield Over(name)


def _cannot_look(
    condition: Condition, view: View, fingerprint: str, error: ForecastPlatformError
) -> Alert:
    return Alert(
        kind=Kind.ALERTING,
        severity=Severity.WARNING,
        fingerprint=fingerprint,
        occurrence=f"{view.now:%Y-%m-%dT%H}",
        title=f"Cannot look for {condition.kind.value.replace('_', ' ')}",
        happened=f"{type(error).__name__}: {error}",
        done=ADVICE[Kind.ALERTING].done,
        todo=ADVICE[Kind.ALERTING].todo,
        link=view.dagster_url,
    )


def build_alert_sensor(*, running: bool, every_seconds: int) -> dg.SensorDefinition:
    """Build the sensor that tells people what needs them.

    Parameters
    ----------
    running : bool
        Whether a fresh installation starts with the sensor switched on.
    every_seconds : int
        Time between two looks [s].
    """

    @dg.sensor(
        name="alert_sensor",
        minimum_interval_seconds=every_seconds,
        description=(
            "Tell people of failed runs and checks, failovers, stale and degraded models, drift, "
            "missed weeks and promotions that wait, as the alerts file says."
        ),
        default_status=(
            dg.DefaultSensorStatus.RUNNING if running else dg.DefaultSensorStatus.STOPPED
        ),
    )
    def alert_sensor(
        context: dg.SensorEvaluationContext, lake: Lake, alerts: Alerts
    ) -> dg.SensorResult:
        now, cursor = datetime.now(UTC), Cursor.from_text(context.cursor)
        registered = list(context.instance.get_dynamic_partitions(str(regions.name)))
        notifier = alerts.notifier(lake, run_id="alert_sensor", logger=context.log)
        reader = RunReader(context.instance, alerts.dagster_url, registered)
        tell_of_runs(notifier, cursor, reader, now)
        week = last_complete_week(now)
        due_at = closed_at(week).to_pydatetime() + SCHEDULED_AFTER
        view = View(lake, registered, notifier.config, alerts.dagster_url, now, week, due_at)
        tell_of_tables(notifier, cursor, view)
        done = notifier.deliver(now)
        for sink, problem in done.failed.items():
            context.log.warning("alerts for %s wait: %s", sink, problem)
        return dg.SensorResult(skip_reason=_told(done), cursor=cursor.to_text())

    return alert_sensor


def _told(done: Delivered) -> str:
    failed = f", {len(done.failed)} sinks did not take theirs" if done.failed else ""
    waiting = f", {done.waiting} wait" if done.waiting else ""
    return f"{done.sent} messages sent{failed}{waiting}."
