"""Which commits of the lake wrote the region-weeks that somebody has read.

Reads the logs of tables, no rows. What commits say of themselves is in
`forecast_platform.resources.provenance`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from forecast_platform.errors import TableMissing
from forecast_platform.partitions import RegionWeek
from forecast_platform.resources.lake import Lake
from forecast_platform.resources.lake_keys import is_in_spans, weeks_in
from forecast_platform.resources.provenance import SETTINGS, WITH, versions_in


@dataclass(frozen=True)
class Commit:
    """One version of a table, and what its writer said of it.

    Attributes
    ----------
    made_at : datetime
        When, in UTC, by the writer's clock.
    read : Mapping[str, int]
        Version of every table that the rows were made from.
    """

    table: str
    version: int
    made_at: datetime
    run_id: str
    git_commit: str
    region_weeks: Mapping[str, Sequence[str]] = field(hash=False, compare=False)
    extra_keys: Mapping[str, str] = field(hash=False, compare=False)
    provenance: Mapping[str, Any] = field(hash=False, compare=False)

    @property
    def read(self) -> Mapping[str, int]:
        """Version of every table that the rows were made from."""
        return versions_in(self.provenance)

    @property
    def made_with(self) -> Mapping[str, str]:
        """Machine and libraries that computed; empty where that does not matter."""
        return self.provenance.get(WITH, {})

    @property
    def settings(self) -> Mapping[str, Any] | None:
        """Parameters of the training, of commits that have one."""
        return self.provenance.get(SETTINGS)

    def wrote(self, key: RegionWeek, where: Mapping[str, str] | None = None) -> bool:
        """Tell whether the commit replaced a region-week."""
        is_of = all(self.extra_keys.get(name) == value for name, value in (where or {}).items())
        return is_of and is_in_spans(self.region_weeks, key)

    def weeks_of(self, region: str) -> list[str]:
        """List the weeks of a region that the commit replaced, as ISO dates."""
        return [f"{week:%Y-%m-%d}" for week in weeks_in(self.region_weeks.get(region, ()))]

    def described(self) -> dict[str, Any]:
        """Describe the commit in plain values."""
        return {
            "table": self.table,
            "version": self.version,
            "made_at": f"{self.made_at:%Y-%m-%dT%H:%M:%SZ}",
            "run_id": self.run_id,
            "git_commit": self.git_commit,
            "read": dict(self.read),
        }


class Commits:
    """The commits of a lake's tables; each log is read once."""

    def __init__(self, lake: Lake) -> None:
        self.lake = lake
        self._logs: dict[str, list[Commit]] = {}
        self._states: dict[tuple[str, str], dict[int, dict[str, Commit]]] = {}

    def of(self, table: str) -> list[Commit]:
        """List the commits of a table that somebody wrote rows with, the latest first.

        Raises
        ------
        TableMissing
            If nobody has written the table.
        """
        if table not in self._logs:
            commits = [_commit(table, one) for one in self.lake.history(table)]
            self._logs[table] = sorted(
                (one for one in commits if one.run_id), key=lambda one: -one.version
            )
        return self._logs[table]

    def writers(
        self,
        table: str,
        key: RegionWeek,
        *,
        until: int | None = None,
        where: Mapping[str, str] | None = None,
    ) -> list[Commit]:
        """List the commits up to a version that wrote a region-week, the latest first."""
        return [
            one
            for one in self.of(table)
            if (until is None or one.version <= until) and one.wrote(key, where)
        ]

    def writer(
        self,
        table: str,
        key: RegionWeek,
        *,
        until: int | None = None,
        where: Mapping[str, str] | None = None,
    ) -> Commit:
        """Find the commit whose rows of a region-week a reader of a version got.

        Raises
        ------
        TableMissing
            If no commit that is still known wrote it.
        """
        for one in self.of(table):
            if (until is None or one.version <= until) and one.wrote(key, where):
                return one
        version = "" if until is None else f" up to version {until}"
        raise TableMissing(
            f"no commit of {table}{version} is known to have written {key.key}: logs are kept for "
            f"{self.lake.audit_days} days, and older commits do not name their region-weeks"
        )

    def state(self, table: str, region: str, version: int) -> dict[str, Commit]:
        """Say of each week of a region, at a version of a table, which commit wrote its rows.

        Weeks that no known commit wrote are left out.
        """
        if (table, region) not in self._states:
            self._states[table, region] = _states(self.of(table), region)
        states = self._states[table, region]
        known = [one for one in states if one <= version]
        return states[max(known)] if known else {}


def _states(commits: Sequence[Commit], region: str) -> dict[int, dict[str, Commit]]:
    """Replay the commits of a region, the earliest first."""
    states: dict[int, dict[str, Commit]] = {}
    weeks: dict[str, Commit] = {}
    for one in reversed(commits):
        if region in one.region_weeks:
            weeks = weeks | dict.fromkeys(one.weeks_of(region), one)
            states[one.version] = weeks
    return states


def _commit(table: str, told: Mapping[str, Any]) -> Commit:
    return Commit(
        table=table,
        version=int(told["version"]),
        made_at=datetime.fromtimestamp(told.get("timestamp", 0) / 1000, UTC),
        run_id=str(told.get("run_id", "")),
        git_commit=str(told.get("git_commit", "unknown")),
        region_weeks=told["region_weeks"],
        extra_keys=told["extra_keys"],
        provenance=told["provenance"],
    )
