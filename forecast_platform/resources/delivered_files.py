"""Which delivered files belong to a source, and what their paths tell of region, week and day.

Paths only: where files lie is in `landing_area`, what they hold in `formats`.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple

import pandas as pd

from forecast_platform.partitions import RegionWeek, parse_week
from forecast_platform.resources import unpacking
from forecast_platform.resources.arrivals import SIGNS
from forecast_platform.resources.landing_area import Listed
from forecast_platform.resources.sources import Source
from forecast_platform.schemas.raw import LAST_DAY


@dataclass(frozen=True, slots=True)
class DeliveredFile:
    """One file, before it is read.

    Attributes
    ----------
    region : str or None
        None when only the rows tell.
    week : pandas.Timestamp or None
        Week at whose close it was known; None when the file is of many weeks.
    file : str
        Path below the landing folder.
    format : str
    delivered : pandas.Timestamp or None
        Day of the delivery, where the path names it.
    waits_for : str
        What the file waits for, when it is not written to its end.
    sha256 : str
        What its content must be, where a manifest tells.
    query : str or None
        The SQL that was asked, of a database.
    ds : pandas.Timestamp or None
        Week that all rows are about, where the path names it.
    """

    source: str
    region: str | None
    week: pd.Timestamp | None
    file: str
    size_bytes: int
    modified: object
    format: str = "csv"
    delivered: pd.Timestamp | None = None
    query: str | None = None
    waits_for: str = ""
    sha256: str = ""
    ds: pd.Timestamp | None = None

    @property
    def compression(self) -> str:
        """How the file is packed, by the end of its name."""
        return unpacking.compression_of(self.file)

    @property
    def is_of_one(self) -> bool:
        """Whether all its rows are of one region-week, which its path names."""
        return self.region is not None and self.week is not None

    def known_on(self, week: pd.Timestamp) -> pd.Timestamp:
        """Day on which rows of ``week`` were known: named by the path, or the week's Sunday."""
        return self.delivered if self.delivered is not None else week + LAST_DAY

    def may_hold(self, keys: Mapping[RegionWeek, None]) -> list[RegionWeek]:
        """Region-weeks of ``keys`` that it may hold rows of."""
        if self.region is not None and self.week is not None:
            own = RegionWeek(self.region, self.week)
            return [own] if own in keys else []
        return [
            key
            for key in keys
            if self.region in (None, key.region) and self.week in (None, key.week)
        ]


class TakenFile(NamedTuple):
    """A file that counts as delivered for a region-week.

    Attributes
    ----------
    key : RegionWeek
    file : DeliveredFile
    sha256 : str
        Digest of its content.
    rows_sha256 : str
        Digest of what it says of this region-week: of its rows where it is of many region-weeks, of
        its content otherwise. It stays the same when rows of other region-weeks are added.
    """

    key: RegionWeek
    file: DeliveredFile
    sha256: str
    rows_sha256: str


def matching(name: str, source: Source, listed: Iterable[Listed]) -> Iterator[DeliveredFile]:
    """Select the files whose paths are as a source describes them, and read their paths."""
    for path, size, modified in listed:
        match = source.pattern.fullmatch(path)
        if match is None or path.rpartition("/")[2] in SIGNS:
            continue
        named = match.groupdict()
        try:
            week = parse_week(named["week"]).as_unit("us") if named.get("week") else None
            delivered = _day(named.get("delivered"))
            ds = parse_week(named["ds"]).as_unit("us") if named.get("ds") else None
        except ValueError:
            continue  # a folder that no partition has; `forecast-platform status` lists weeks
        week, delivered = _known(week, delivered, source.days_of_grace(name))
        region = named.get("region") or source.region
        yield DeliveredFile(
            name, region, week, path, size, modified, source.format, delivered, ds=ds
        )


def _known(
    week: pd.Timestamp | None, delivered: pd.Timestamp | None, days_of_grace: int
) -> tuple[pd.Timestamp | None, pd.Timestamp | None]:
    """Say at the close of which week a file was known, and on which day if not then."""
    if delivered is None:
        return week, None
    counted = delivered - pd.Timedelta(days=days_of_grace)
    in_week = counted - pd.Timedelta(days=counted.dayofweek)
    if week is not None and in_week <= week:
        return week, None  # within the week, all of which is known at its close
    if delivered > in_week + LAST_DAY:
        return in_week, None  # in the days of grace, which count as of the close
    return in_week, delivered


def _day(text: str | None) -> pd.Timestamp | None:
    return pd.to_datetime(text, format="%Y-%m-%d").as_unit("us") if text else None


def folder_of(source: Source, key: RegionWeek) -> str:
    """Name the deepest folder without a wildcard in which a region-week's files lie."""
    path = source.path.replace("{region}", key.region)
    # A file known in a later week than it names, by {delivered}, lies in the folder of its own.
    return fixed_folder(
        path if source.has_delivered else path.replace("{week}", f"{key.week:%Y-%m-%d}")
    )


def fixed_folder(path: str) -> str:
    """Name the deepest folder of a path that holds no wildcard."""
    return re.split(r"[{*]", path, maxsplit=1)[0].rpartition("/")[0]


def as_numbered(file: str) -> tuple[str, list[tuple[int, str]]]:
    """Sort names as people number them: a.csv, a_2.csv, a_10.csv, and ``a (1).csv`` after a.csv."""
    folder, _, name = file.rpartition("/")
    parts = re.split(r"([0-9]+)", name.partition(".")[0])
    return folder, [(int(part), "") if part.isdigit() else (0, part) for part in parts]
