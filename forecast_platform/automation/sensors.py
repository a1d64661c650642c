"""What runs because files arrived.

The landing sensor lists the landing area and asks for exactly the region-weeks whose files are
new or changed, once. What it remembers is in ``deliveries.py``; what the files mean is for the
raw assets. See https://docs.dagster.io/guides/automate/sensors.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final

import dagster as dg
import pandas as pd

from forecast_platform.automation.deliveries import (
    Cursor,
    DeliveredFile,
    LandingArea,
    Progress,
    Tables,
    contents_of,
    fingerprint,
    recorded_contents,
)
from forecast_platform.automation.jobs import weekly_forecast
from forecast_platform.automation.schedules import last_complete_week
from forecast_platform.errors import BadFile
from forecast_platform.partitions import RegionWeek, regions, weeks
from forecast_platform.resources.triggers import trigger_tag
from forecast_platform.schemas.models import Trigger

MAX_REQUESTS: Final = 20
"""Runs asked for in one tick; the next tick goes on."""

MAX_BYTES_READ: Final = 256 * 1024 * 1024
"""Bytes of changed files whose digest one tick computes, so that it ends within its minute."""

Delivery = Sequence[DeliveredFile]


@dataclass
class Look:
    """What one look at the landing area found.

    Attributes
    ----------
    deliveries : dict of RegionWeek to Delivery
        Files of region-weeks that can be asked for.
    unregistered : set of str
        Regions that have files but are not registered. They are told, not added: a folder with
        a misspelled name must not become a region.
    incomplete : dict of RegionWeek to set of str
        Required sources that a region-week still waits for. It is not asked for without them: the
        run could only fail. The schedule's run does, and so tells that they never came.
    n_early : int
        Files of weeks that are not over, which wait, or that lie before the first week.
    unread : dict of str to str
        What is wrong with files of many weeks that could not be looked into.
    """

    deliveries: dict[RegionWeek, list[DeliveredFile]] = field(default_factory=dict)
    unregistered: set[str] = field(default_factory=set)
    incomplete: dict[RegionWeek, set[str]] = field(default_factory=dict)
    n_early: int = 0
    unread: dict[str, str] = field(default_factory=dict)

    @property
    def fingerprints(self) -> dict[RegionWeek, str]:
        """Names, sizes and times of change of each region-week's files, in short."""
        return {
            key: fingerprint(
                f"{one.source}/{one.file}:{one.size_bytes}:{one.modified}" for one in files
            )
            for key, files in self.deliveries.items()
        }

    def told(self) -> str:
        """Say what was seen and left alone."""
        notes = [f"{len(self.deliveries)} region-weeks in the landing area."]
        if self.unregistered:
            names = ", ".join(sorted(self.unregistered))
            notes.append(
                f"Not registered, so not looked at: {names}. "
                "`forecast-platform regions add <region>` registers a region."
            )
        if self.incomplete:
            first = min(self.incomplete)
            missing = ", ".join(sorted(self.incomplete[first]))
            notes.append(
                f"{len(self.incomplete)} wait for a required source: {first.key} for {missing}."
            )
        if self.n_early:
            notes.append(
                f"{self.n_early} files of weeks that are not over or before the first week."
            )
        notes += [f"{name}: {why}." for name, why in sorted(self.unread.items())]
        return " ".join(notes)


@dataclass(frozen=True)
class Due:
    """Which region-weeks may be asked for.

    Attributes
    ----------
    registered : set of str
    last_week : pandas.Timestamp
        The last week that is over.
    """

    registered: set[str]
    last_week: pd.Timestamp

    def of(self, places: Collection[RegionWeek]) -> list[RegionWeek]:
        """Select the region-weeks that may be asked for, in the order in which they are."""
        first = pd.Timestamp(weeks.start.date())
        found = [
            key
            for key in places
            if key.region in self.registered and first <= key.week <= self.last_week
        ]
        return sorted(found, key=_turn)


def look_at(landing: LandingArea, registered: set[str], last_week: pd.Timestamp) -> Look:
    """List the landing area and sort its files by region-week."""
    first_week = pd.Timestamp(weeks.start.date())
    look = Look()
    for one in landing.files():
        if one.region not in registered:
            look.unregistered.add(one.region)
        elif not first_week <= one.week <= last_week:
            look.n_early += 1
        else:
            look.deliveries.setdefault(RegionWeek(one.region, one.week), []).append(one)
    required = set(landing.required_sources())
    for key, files in look.deliveries.items():
        if missing := required - {one.source for one in files}:
            look.incomplete[key] = missing
    for key in look.incomplete:
        del look.deliveries[key]
    return look


def ask_for_changes(
    landing: LandingArea, lake: Tables, look: Look, cursor: Cursor
) -> list[dg.RunRequest]:
    """Ask for the region-weeks whose contents differ from what the lake was made from.

    The cursor moves on to what was asked for; what does not fit into this tick stays for the
    next.
    """
    marks = look.fingerprints
    ready = cursor.observe(marks)
    recorded = recorded_contents(lake, ready)
    requests: list[dg.RunRequest] = []
    n_bytes = 0
    for key in ready:
        if len(requests) == MAX_REQUESTS or n_bytes > MAX_BYTES_READ:
            break
        delivery = look.deliveries[key]
        n_bytes += sum(one.size_bytes for one in delivery)
        contents = contents_of(landing, delivery)
        if contents != recorded.get(key):
            requests.append(_request(key, contents, delivery))
        cursor.mark_handled(key)
    cursor.settle(marks)
    return requests


def ask_for_many(
    landing: LandingArea,
    lake: Tables,
    look: Look,
    cursor: Cursor,
    due: Due,
    *,
    asked: Collection[str] = (),
) -> list[dg.RunRequest]:
    """Ask for the region-weeks that new or changed files of many weeks have rows of.

    A file is read when two looks have seen the same of it, and again when a region was registered
    or a week has closed. Region-weeks of which the lake was made from the very rows that the file
    has of them need nothing. One file is read in a tick.

    Parameters
    ----------
    landing : LandingArea
    lake : Tables
    look : Look
        What was found of files of single region-weeks.
    cursor : Cursor
    due : Due
    asked : collection of str
        Partition keys that this tick asks for already.
    """
    files = {f"{one.source}/{one.file}": one for one in landing.files_of_many()}
    marks = {
        name: fingerprint([one.size_bytes, one.modified, *sorted(due.registered), due.last_week])
        for name, one in files.items()
    }
    for name in cursor.observe_many(marks):
        one, progress = files[name], cursor.many[name]
        if one.size_bytes > MAX_BYTES_READ:
            look.unread[name] = f"is larger than {MAX_BYTES_READ} bytes: start its runs yourself"
            progress.is_done = True
            continue
        try:
            places, digest = landing.places_in(one), landing.sha256(one)
        except BadFile as error:
            look.unread[name] = str(error)
            progress.is_done = True
            continue
        wanted = due.of(places)
        if landing.required_sources():  # a run without their files could only fail
            wanted = [key for key in wanted if key in look.deliveries]
        rows = {key: places[key] for key in wanted}
        return _ask_for_places(lake, progress, one, digest, rows, asked)
    return []


def _ask_for_places(  # noqa: PLR0917
    lake: Tables,
    progress: Progress,
    one: DeliveredFile,
    digest: str,
    rows: Mapping[RegionWeek, str],
    asked: Collection[str],
) -> list[dg.RunRequest]:
    """Ask for the next region-weeks of a file that the lake was not made from its rows of."""
    of_files = recorded_contents(lake, list(rows))
    of_rows = recorded_contents(lake, list(rows), "rows_sha256")
    requests: list[dg.RunRequest] = []
    left = [key for key in rows if _turn(key) > progress.asked_to]
    for key in left:
        if len(requests) + len(asked) >= MAX_REQUESTS:
            return requests
        is_known = digest in of_files.get(key, {}).get(one.source, ()) or (
            rows[key] in of_rows.get(key, {}).get(one.source, ())
        )
        if not is_known and key.key not in asked:
            mark = fingerprint([rows[key], one.modified])
            requests.append(
                dg.RunRequest(
                    run_key=f"{key.key}|{mark}",
                    partition_key=key.key,
                    tags=_tags(mark),
                )
            )
        progress.asked_to = _turn(key)
    progress.is_done = True
    return requests


def _turn(key: RegionWeek) -> str:
    """Sort region-weeks by week: a week's features are built on the weeks before it."""
    return f"{key.week:%Y-%m-%d}|{key.region}"


def _request(
    key: RegionWeek, contents: Mapping[str, Sequence[str]], delivery: Delivery
) -> dg.RunRequest:
    """Ask once for these contents of a region-week.

    Dagster never repeats a run key. The time of the last change is part of it, so that contents
    that come back after a correction are asked for again.
    """
    digest = fingerprint([*contents.items(), max(str(one.modified) for one in delivery)])
    return dg.RunRequest(
        run_key=f"{key.key}|{digest}",
        partition_key=key.key,
        tags=_tags(digest),
    )


def _tags(delivery: str) -> dict[str, str]:
    return {"forecast_platform/delivery": delivery, **trigger_tag([Trigger.DATA])}


def build_landing_sensor(*, running: bool, every_seconds: int) -> dg.SensorDefinition:
    """Build the sensor that forecasts what new or corrected files touch.

    Parameters
    ----------
    running : bool
        Whether a fresh installation starts with the sensor switched on.
    every_seconds : int
        Time between two looks at the landing area [s]. Files are asked for when two looks
        running have seen the same sizes and times of change.
    """

    @dg.sensor(
        name="landing_sensor",
        job=weekly_forecast,
        minimum_interval_seconds=every_seconds,
        description=(
            "Forecast exactly the region-weeks whose delivered files are new or corrected, once "
            "they are written to the end."
        ),
        default_status=(
            dg.DefaultSensorStatus.RUNNING if running else dg.DefaultSensorStatus.STOPPED
        ),
    )
    def landing_sensor(
        context: dg.SensorEvaluationContext,
        landing: dg.ResourceParam[LandingArea],
        lake: dg.ResourceParam[Tables],
    ) -> dg.SensorResult:
        registered = set(context.instance.get_dynamic_partitions(str(regions.name)))
        due = Due(registered, last_complete_week(datetime.now(UTC)))
        look = look_at(landing, registered, due.last_week)
        cursor = Cursor.from_text(context.cursor)
        requests = ask_for_changes(landing, lake, look, cursor)
        asked = {str(one.partition_key) for one in requests}
        requests += ask_for_many(landing, lake, look, cursor, due, asked=asked)
        if look.unregistered or look.unread:
            context.log.warning(look.told())
        return dg.SensorResult(
            run_requests=requests,
            skip_reason=None if requests else look.told(),
            cursor=cursor.to_text(),
        )

    return landing_sensor
