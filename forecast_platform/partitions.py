"""Regions, weeks and their product: the partitions of every asset.

The region-week ``north_texas|2024-03-04`` means what was known at the close of the
week that opened on that Monday. See
https://docs.dagster.io/guides/build/partitions-and-backfills/partitioning-assets.
"""

import re
from collections.abc import Iterable, Mapping
from datetime import date
from typing import Final, NamedTuple

import dagster as dg
import pandas as pd

from forecast_platform.settings import get_settings

REGION_PATTERN = re.compile(r"[a-z0-9][a-z0-9_-]{0,31}")
"""Regions are file names, SQL literals and model names: nothing else is let through."""

regions = dg.DynamicPartitionsDefinition(name="region")
weeks = dg.WeeklyPartitionsDefinition(
    start_date=get_settings().first_week.isoformat(), day_offset=1
)
region_weeks = dg.MultiPartitionsDefinition({"region": regions, "week": weeks})

BACKFILL_WEEKS = 26
"""Weeks of one region that a backfill puts into one run."""

backfill_policy = dg.BackfillPolicy.multi_run(max_partitions_per_run=BACKFILL_WEEKS)


class RegionWeek(NamedTuple):
    """One slice of the platform."""

    region: str
    week: pd.Timestamp

    @classmethod
    def of(cls, region: object, week: object) -> "RegionWeek":
        """Make one of two cells of a table.

        >>> RegionWeek.of("florida", "2024-03-04").key
        'florida|2024-03-04'
        """
        return cls(str(region), pd.Timestamp(str(week)).as_unit("us"))

    @property
    def key(self) -> str:
        """Partition key, ``<region>|<Monday>``."""
        return f"{self.region}|{self.week:%Y-%m-%d}"


def parse_region(text: str) -> str:
    """Return ``text`` when it is a valid region name.

    Raises
    ------
    ValueError
        If it has other characters than lower case letters, digits, ``_`` and ``-``.
    """
    if not REGION_PATTERN.fullmatch(text):
        raise ValueError(
            f"{text!r} is not a region name: use 1 to 32 of a-z, 0-9, '_' and '-', "
            "beginning with a letter or digit"
        )
    return text


def parse_week(text: str) -> pd.Timestamp:
    """Read the Monday that names a week.

    Raises
    ------
    ValueError
        If ``text`` is not an ISO date or the date is not a Monday.
    """
    try:
        day = date.fromisoformat(text)
    except ValueError:
        raise ValueError(f"{text!r} is not a date: write weeks as YYYY-MM-DD") from None
    if day.weekday() != 0:
        monday = date.fromordinal(day.toordinal() - day.weekday())
        raise ValueError(f"{text} is a {day:%A}: a week is named by its Monday, here {monday}")
    return pd.Timestamp(day)


def parse_key(key: str) -> RegionWeek:
    """Split a partition key into its region and week."""
    region, _, week = key.partition("|")
    return RegionWeek(parse_region(region), parse_week(week))


PARTITION_TAG: Final = "dagster/partition"
RANGE_START_TAG: Final = "dagster/asset_partition_range_start"
RANGE_END_TAG: Final = "dagster/asset_partition_range_end"
PARTITION_TAGS: Final = (
    PARTITION_TAG,
    *(f"{PARTITION_TAG}/{one.name}" for one in region_weeks.partitions_defs),
    RANGE_START_TAG,
    RANGE_END_TAG,
)
"""Tags by which Dagster tells a run its region-weeks."""


def range_tags(first: RegionWeek, last: RegionWeek) -> dict[str, str]:
    """Write the tags of a run over a range of region-weeks."""
    return {RANGE_START_TAG: first.key, RANGE_END_TAG: last.key}


def ends_of(tags: Mapping[str, str]) -> tuple[RegionWeek, RegionWeek] | None:
    """Read the first and the last region-week of a run from its tags; None if it has none.

    Examples
    --------
    >>> first, last = ends_of({"dagster/partition": "north|2024-03-04"})
    >>> first == last == parse_key("north|2024-03-04")
    True
    """
    key = tags.get(PARTITION_TAG, "")
    try:
        first, last = (parse_key(tags.get(tag, key)) for tag in (RANGE_START_TAG, RANGE_END_TAG))
    except ValueError:
        return None
    return first, last


def region_weeks_of(
    context: dg.AssetExecutionContext | dg.AssetCheckExecutionContext,
) -> list[RegionWeek]:
    """Read every region-week of the run, in order of region and week.

    Raises
    ------
    dagster.Failure
        If the run has none, as when a range ends before it begins: an empty run would
        otherwise succeed and look like work done.
    """
    keys = sorted(parse_key(str(key)) for key in context.partition_keys)
    if not keys:
        raise dg.Failure(
            "This run's partition range holds no region-week: its first week lies after its last. "
            "Launch it again from the partitions dialog, or with "
            "`forecast-platform run --regions ... --weeks FROM..TO`.",
            allow_retries=False,
        )
    return keys


def by_region(keys: Iterable[RegionWeek]) -> dict[str, list[pd.Timestamp]]:
    """Group region-weeks into the sorted weeks of each region."""
    grouped: dict[str, list[pd.Timestamp]] = {}
    for region, week in sorted(keys):
        grouped.setdefault(region, []).append(week)
    return grouped
