"""The lake as it was at some time, with room of its own for what is made of it again.

Every table is read at its version of that time; what is written goes into an overlay beside it,
whose region-weeks are read instead of the old ones from then on. Nothing current is changed. How
tables are kept is in `lake`; which settings mean a past time, in `forecast_platform.settings`.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime
from functools import cache
from typing import Any, Final

import pandas as pd
import pyarrow as pa
import pyarrow.dataset as pads
from pydantic import Field

from forecast_platform.errors import LandingError, TableMissing
from forecast_platform.partitions import RegionWeek
from forecast_platform.resources.lake import Lake, WriteReceipt
from forecast_platform.resources.lake_keys import is_in_spans, span_ends
from forecast_platform.resources.landing import Delivery, Landing
from forecast_platform.settings import Settings
from forecast_platform.vocabulary import REGION, WEEK

KEYS: Final = (REGION, WEEK)


def build_lake(settings: Settings) -> Lake:
    """Make the lake of a deployment: the current one, or that of ``settings.as_of``."""
    if settings.as_of is None:
        return Lake(
            uri=settings.lake,
            storage_options=settings.storage_options,
            git_commit=settings.code_commit,
            audit_days=settings.audit_days,
        )
    return LakeAsOf(
        uri=str(settings.state_home / "lake"),
        git_commit=settings.code_commit,
        audit_days=settings.audit_days,
        base_uri=settings.lake,
        base_options=settings.storage_options,
        as_of=settings.as_of.isoformat(),
    )


class LakeAsOf(Lake):
    """Tables as they were at some time, under an overlay that takes what is written."""

    base_uri: str = Field(description="Folder or URI of the current tables; never written.")
    base_options: dict[str, str] = Field(
        default_factory=dict, description="Credentials and endpoints of `base_uri`."
    )
    as_of: str = Field(description="The time, as ISO 8601 with a time zone.")

    def read_arrow(self, table: str, *, version: int | None = None, **selection: Any) -> pa.Table:
        """Read as `Lake.read_arrow` does: rows of the overlay, and old ones of what it lacks.

        ``version`` and the version in the metadata are those of the current table.
        """
        if not self._overlay.exists(table):
            return self._base.read_arrow(table, version=version or self._at(table), **selection)
        if not self._is_in_base(table):
            return self._overlay.read_arrow(table, **selection)
        columns = selection.pop("columns", None)
        wanted = list(columns) if columns is not None else self.column_names(table)
        commits = _replacing(self._overlay.history(table))
        keys = [*KEYS, *{name for commit in commits for name in commit["extra_keys"]}]
        old, new = (
            lake.read_arrow(
                table, version=at, columns=_there(lake, table, at, [*wanted, *keys]), **selection
            )
            for lake, at in ((self._base, version or self._at(table)), (self._overlay, None))
        )
        rows = _merged(_kept(old, commits), new)
        return rows.select(wanted).replace_schema_metadata(old.schema.metadata)

    def write(self, table: str, *arguments: Any, **options: Any) -> WriteReceipt:
        """Write as `Lake.write` does, into the overlay."""
        return self._overlay.write(table, *arguments, **options)

    def append(self, table: str, *arguments: Any, **options: Any) -> WriteReceipt:
        """Add rows as `Lake.append` does, to the overlay; old rows stay beside them."""
        return self._overlay.append(table, *arguments, **options)

    def version(self, table: str) -> int | None:
        """Version of the table at the time, or of the overlay's where there was none."""
        return self._at(table) if self._is_in_base(table) else self._overlay.version(table)

    def state_of(self, table: str) -> tuple[int | None, ...]:
        """Say what reads of a table depend on: the table of the time and the overlay's."""
        return self.version(table), self._overlay.version(table)

    def exists(self, table: str) -> bool:
        """Whether the table was there at the time, or was made in the overlay."""
        return self._overlay.exists(table) or self._is_in_base(table)

    def column_names(self, table: str, version: int | None = None) -> list[str]:
        """Name the columns of the table of the time and of the overlay's."""
        names: list[str] = []
        if self._is_in_base(table):
            names += self._base.column_names(table, version or self._at(table))
        if self._overlay.exists(table):
            names += self._overlay.column_names(table)
        if not names:
            self._at(table)  # says what is missing
        return list(dict.fromkeys(names))

    def history(self, table: str, limit: int | None = None) -> list[dict[str, Any]]:
        """List the commits of the overlay, then those of the table up to the time."""
        commits = self._overlay.history(table) if self._overlay.exists(table) else []
        if self._is_in_base(table):
            last = self._at(table)
            commits += [one for one in self._base.history(table) if one["version"] <= last]
        return commits[:limit]

    def weeks_of(self, table: str, region: str) -> list[pd.Timestamp]:
        """Weeks of which the overlay holds rows, or the old table where it was not replaced."""
        found: set[pd.Timestamp] = set()
        spans: list[Mapping[str, Sequence[str]]] = []
        if self._overlay.exists(table):
            found.update(self._overlay.weeks_of(table, region))
            spans = [one["region_weeks"] for one in _replacing(self._overlay.history(table))]
        if self._is_in_base(table):
            rows = self._base.read_arrow(
                table, version=self._at(table), region=region, columns=[WEEK]
            )
            weeks = (pd.Timestamp(week).as_unit("us") for week in rows[WEEK].unique().to_pylist())
            found.update(
                week
                for week in weeks
                if not any(is_in_spans(one, RegionWeek(region, week)) for one in spans)
            )
        return sorted(found)

    @property
    def _overlay(self) -> Lake:
        return Lake(
            uri=self.uri,
            storage_options=self.storage_options,
            audit_days=self.audit_days,
            git_commit=self.git_commit,
            max_tries=self.max_tries,
        )

    @property
    def _base(self) -> Lake:
        return Lake(
            uri=self.base_uri, storage_options=self.base_options, audit_days=self.audit_days
        )

    def _at(self, table: str) -> int:
        options = tuple(sorted(self.base_options.items()))
        return _version_at(self.base_uri, options, table, self.as_of, self.audit_days)

    def _is_in_base(self, table: str) -> bool:
        try:
            self._at(table)
        except TableMissing:
            return False
        return True


class LandingAsOf(Landing):
    """The landing area of a past time: there is none, since delivered files have no versions."""

    def read(self, name: str, keys: Sequence[RegionWeek]) -> Delivery:
        """Refuse.

        Raises
        ------
        LandingError
            Always.
        """
        raise LandingError(
            f"{name} of {', '.join(key.key for key in keys[:3])} cannot be read as of a past time: "
            "files that were delivered since would be among them. The raw tables of that time are "
            "in the lake; begin with the stage conditioned"
        )


def version_at(lake: Lake, table: str, time: datetime) -> int:
    """Find the version that a table had at some time.

    A commit whose clock went back counts as made after the one before it.

    Raises
    ------
    TableMissing
        If the table was not there yet, or its versions of that time are no longer known.
    """
    commits = sorted(lake.history(table), key=lambda commit: commit["version"])
    if not commits:
        raise TableMissing(f"table {table} has no commit any more")
    found = None
    for commit in commits:
        made = datetime.fromtimestamp(commit["timestamp"] / 1000, UTC)
        if made > time:
            break
        found = int(commit["version"])
    if found is None:
        first = datetime.fromtimestamp(commits[0]["timestamp"] / 1000, UTC)
        when = f"{time:%Y-%m-%d %H:%M:%S}Z"
        if commits[0]["version"] == 0:
            raise TableMissing(
                f"table {table} was not there at {when}: it was made at {first:%Y-%m-%d %H:%M:%S}Z"
            )
        raise TableMissing(
            f"table {table} cannot be read as of {when}: versions are kept for {lake.audit_days} "
            f"days, the oldest one is of {first:%Y-%m-%d %H:%M:%S}Z"
        )
    return found


@cache
def _version_at(
    uri: str, options: tuple[tuple[str, str], ...], table: str, time: str, audit_days: int
) -> int:
    """Find a version once: the past does not change."""
    lake = Lake(uri=uri, storage_options=dict(options), audit_days=audit_days)
    return version_at(lake, table, datetime.fromisoformat(time))


def _there(lake: Lake, table: str, version: int | None, names: Sequence[str]) -> list[str]:
    there = set(lake.column_names(table, version))
    return [name for name in dict.fromkeys(names) if name in there]


def _replacing(commits: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Leave out commits that only added rows."""
    return [one for one in commits if one.get("operationParameters", {}).get("mode") != "Append"]


def _kept(rows: pa.Table, commits: Sequence[Mapping[str, Any]]) -> pa.Table:
    """Leave out the rows of region-weeks that were written again."""
    for commit in commits:
        for region, spans in commit["region_weeks"].items():
            for span in spans:
                first, last = map(date.fromisoformat, span_ends(span))
                is_replaced = (
                    (pads.field(REGION) == region)
                    & (pads.field(WEEK) >= first)
                    & (pads.field(WEEK) <= last)
                )
                for name, value in commit["extra_keys"].items():
                    is_replaced &= pads.field(name) == value
                rows = rows.filter(~is_replaced)
    return rows


def _merged(old: pa.Table, new: pa.Table) -> pa.Table:
    """Put rows in order of region and week, as `Lake.read` returns them, in the old types."""
    fields = [
        old.schema.field(one.name) if one.name in old.schema.names else one for one in new.schema
    ]
    rows = pa.concat_tables(
        [
            old.replace_schema_metadata(None),
            new.replace_schema_metadata(None).cast(pa.schema(fields)),
        ],
        promote_options="default",
    )
    if not (old.num_rows and new.num_rows):
        return rows
    return rows.sort_by([(key, "ascending") for key in KEYS])
