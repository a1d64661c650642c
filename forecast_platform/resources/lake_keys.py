"""Region-weeks and further keys as the lake writes them: in filters, predicates and commits.

Nothing here reads or writes a table. What is named here is pasted into SQL and folder names, so
that everything is checked first.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, timedelta
from typing import Any, Final

import numpy as np
import pandas as pd

from forecast_platform.errors import WriteRefused
from forecast_platform.partitions import RegionWeek, by_region, parse_region, parse_week
from forecast_platform.vocabulary import REGION, WEEK

TABLE_PATTERN: Final = re.compile(r"[a-z][a-z0-9_]{0,62}")
VALUE_PATTERN: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,62}")
"""Values of extra keys: they end in folder names and predicates."""


def build_filters(
    region: str | Sequence[str] | None,
    since: pd.Timestamp | None,
    until: pd.Timestamp | None,
    weeks: Sequence[pd.Timestamp] | None,
    where: Mapping[str, str] | None,
) -> list[tuple[str, str, Any]]:
    """Say which files to read; every value is checked."""
    filters: list[tuple[str, str, Any]] = []
    if region is not None:
        names = [region] if isinstance(region, str) else list(region)
        filters.append((REGION, "in", [parse_region(name) for name in names]))
    if weeks is not None:
        filters.append((WEEK, "in", [_iso(week) for week in weeks]))
    if since is not None:
        filters.append((WEEK, ">=", _iso(since)))
    if until is not None:
        filters.append((WEEK, "<=", _iso(until)))
    filters += [(name, "=", value) for name, value in checked_extra(where or {}).items()]
    return filters


def _iso(week: pd.Timestamp | date) -> str:
    """Write a week as its Monday; anything else is refused before it reaches a predicate."""
    stamp = pd.Timestamp(week)
    if stamp != stamp.normalize():
        raise ValueError(f"{stamp} is not a week: it has a time of day")
    return f"{parse_week(f'{stamp:%Y-%m-%d}'):%Y-%m-%d}"


def checked_keys(table: str, keys: Iterable[RegionWeek]) -> list[RegionWeek]:
    """Sort region-weeks, once each; refuse names and days that are none, and an empty list."""
    checked = [RegionWeek(parse_region(key.region), pd.Timestamp(_iso(key.week))) for key in keys]
    if not checked:
        raise WriteRefused(f"table {table}: no region-week was named, so there is nothing to write")
    return sorted(set(checked))


def spans_of(keys: Iterable[RegionWeek]) -> dict[str, list[str]]:
    """Write region-weeks shortly: for each region its weeks, consecutive ones as ``FROM..TO``.

    Examples
    --------
    >>> weeks = pd.date_range("2024-01-01", periods=4, freq="W-MON")
    >>> spans_of(RegionWeek("north", weeks[number]) for number in (0, 1, 3))
    {'north': ['2024-01-01..2024-01-08', '2024-01-22']}
    """
    return {region: _spans(weeks) for region, weeks in by_region(keys).items()}


def _spans(weeks: Sequence[pd.Timestamp]) -> list[str]:
    spans: list[list[pd.Timestamp]] = []
    for week in weeks:
        if spans and week - spans[-1][-1] == pd.Timedelta(weeks=1):
            spans[-1][1:] = [week]
        else:
            spans.append([week])
    return ["..".join(map(_iso, span)) for span in spans]


def is_in_spans(spans: Mapping[str, Sequence[str]], key: RegionWeek) -> bool:
    """Tell whether `spans_of` wrote down a region-week.

    Examples
    --------
    >>> spans = {"north": ["2024-01-01..2024-01-15"]}
    >>> is_in_spans(spans, RegionWeek("north", pd.Timestamp("2024-01-08")))
    True
    """
    week = f"{key.week:%Y-%m-%d}"
    ends = (span_ends(span) for span in spans.get(key.region, ()))
    return any(first <= week <= last for first, last in ends)


def span_ends(span: str) -> tuple[str, str]:
    """Read the first and the last week of one span of `spans_of`, as ISO dates."""
    first, _, last = span.partition("..")
    return first, last or first


def weeks_in(spans: Iterable[str]) -> list[pd.Timestamp]:
    """List the weeks of a region that `spans_of` wrote down.

    Examples
    --------
    >>> [f"{week:%d}" for week in weeks_in(["2024-01-01..2024-01-08", "2024-01-22"])]
    ['01', '08', '22']
    """
    ends = (map(date.fromisoformat, span_ends(span)) for span in spans)
    return [
        pd.Timestamp(first + timedelta(days=days)).as_unit("us")
        for first, last in ends
        for days in range(0, (last - first).days + 1, 7)
    ]


def checked_extra(extra: Mapping[str, str]) -> dict[str, str]:
    """Refuse names and values that could be read as SQL or as a folder."""
    for name, value in extra.items():
        if not (TABLE_PATTERN.fullmatch(name) and VALUE_PATTERN.fullmatch(value)):
            raise ValueError(f"{name}={value!r} is not a key: use letters, digits, '_', '-', '.'")
    return dict(extra)


def build_predicate(keys: Sequence[RegionWeek], extra: Mapping[str, str]) -> str:
    """Name the region-weeks in SQL, as few boxes of regions times weeks."""
    boxes: dict[tuple[pd.Timestamp, ...], list[str]] = {}
    for region, weeks in by_region(keys).items():
        boxes.setdefault(tuple(weeks), []).append(region)
    parts = [
        f"({REGION} IN ({_quoted(regions)}) AND {_weeks_sql(weeks)})"
        for weeks, regions in boxes.items()
    ]
    named = [f"{name} = '{value}'" for name, value in extra.items()]
    return " AND ".join([f"({' OR '.join(parts)})", *named])


def _weeks_sql(weeks: Sequence[pd.Timestamp]) -> str:
    if len(weeks) > 2 and bool(
        np.all(np.diff(pd.DatetimeIndex(list(weeks))) == pd.Timedelta(weeks=1))
    ):
        return f"{WEEK} >= '{_iso(weeks[0])}' AND {WEEK} <= '{_iso(weeks[-1])}'"
    return f"{WEEK} IN ({_quoted(map(_iso, weeks))})"


def _quoted(values: Iterable[str]) -> str:
    return ", ".join(f"'{value}'" for value in values)
