"""Reading what a person typed: regions, weeks, stages. Nothing is run here."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Final

import typer

from forecast_platform.errors import UnknownRegion, UnknownWeek

if TYPE_CHECKING:
    import pandas as pd

    from forecast_platform.settings import Settings

ALL: Final = "all"

Regions = Annotated[
    list[str] | None,
    typer.Option("--region", "--regions", help="One, several (a,b or repeated) or all."),
]


def last_closed_week(as_of: datetime | None = None) -> "pd.Timestamp":
    """Say which week was the last to close: at a past time, or now."""
    from forecast_platform.automation.schedules import last_complete_week

    return last_complete_week(as_of or _now())


def _now() -> datetime:
    """Ask the clock: the one place of the command line."""
    return datetime.now(UTC)  # noqa: TID251 - asked once, then passed on


def read_time(text: str) -> datetime:
    """Read a past time; one without a time zone is in UTC.

    Raises
    ------
    UnknownWeek
        If it is no time, or lies ahead: what will be known is not known.
    """
    try:
        time = datetime.fromisoformat(text.strip())
    except ValueError:
        raise UnknownWeek(
            f"{text!r} is not a time: write --as-of 2024-03-20T06:00Z, in UTC"
        ) from None
    time = (time if time.tzinfo else time.replace(tzinfo=UTC)).astimezone(UTC)
    if time > _now():
        raise UnknownWeek(f"{time:%Y-%m-%d %H:%M}Z lies ahead: --as-of takes a past time")
    return time


def names(values: Sequence[str] | None) -> list[str]:
    """Split ``a,b`` and repeated options into names.

    >>> names(["a,b", "c"])
    ['a', 'b', 'c']
    """
    split = (part.strip() for value in values or () for part in value.split(","))
    return list(dict.fromkeys(part for part in split if part))


def choose_regions(asked: Sequence[str], known: Sequence[str]) -> list[str]:
    """Return the regions that were asked for, in the order of registration.

    Raises
    ------
    UnknownRegion
        If one is not registered; the message lists those that are.
    """
    if not known:
        raise UnknownRegion(
            "no region is registered yet: `forecast-platform regions add NAME`, or "
            "`forecast-platform simulate` for a simulated retailer"
        )
    if not asked or ALL in asked:
        return list(known)
    unknown = [name for name in asked if name not in known]
    if unknown:
        raise UnknownRegion(
            f"no region is called {', '.join(map(repr, unknown))}; registered are "
            f"{', '.join(known)}. `forecast-platform regions add` registers one"
        )
    return [name for name in known if name in asked]


def choose_weeks(week: str | None, span: str | None, settings: "Settings") -> "list[pd.Timestamp]":
    """Return the Mondays that were asked for; without a wish, the last week that closed.

    Raises
    ------
    UnknownWeek
        If a date is not a Monday, lies before the first week, or its week is not over.
    """
    if week and span:
        raise UnknownWeek("give --week for one week or --weeks for a range, not both")
    if not week and not span:
        return [last_closed_week(settings.as_of)]
    first, _, last = (span or "").partition("..") if span else (str(week), "", str(week))
    if not last:
        raise UnknownWeek(f"{span!r} is not a range: write --weeks 2024-01-01..2024-03-04")
    return _mondays(read_week(first, settings), read_week(last, settings))


def read_week(text: str, settings: "Settings") -> "pd.Timestamp":
    """Read one Monday whose week is over.

    Raises
    ------
    UnknownWeek
        If it is none.
    """
    import pandas as pd

    from forecast_platform.partitions import parse_week

    try:
        monday = parse_week(text.strip())
    except ValueError as error:
        raise UnknownWeek(str(error)) from None
    closed = last_closed_week(settings.as_of)
    if monday > closed:
        raise UnknownWeek(
            f"the week of {monday:%Y-%m-%d} is not over: the last one that closed is "
            f"{closed:%Y-%m-%d}"
        )
    if monday < pd.Timestamp(settings.first_week):
        raise UnknownWeek(
            f"{monday:%Y-%m-%d} lies before the first week, {settings.first_week}: "
            "FORECAST_PLATFORM_FIRST_WEEK sets it"
        )
    return monday


def _mondays(first: "pd.Timestamp", last: "pd.Timestamp") -> "list[pd.Timestamp]":
    import pandas as pd

    if last < first:
        raise UnknownWeek(f"the range ends before it begins: {first:%Y-%m-%d}..{last:%Y-%m-%d}")
    return list(pd.date_range(first, last, freq="W-MON"))
