"""What was delivered, what the lake was made from, and what the landing sensor remembers.

Bookkeeping: which region-weeks have files that were not looked at yet, which of them have come
to rest, and whether their contents are those that the raw tables recorded. It starts nothing;
``sensors.py`` does.

A region-week's files are reduced to one fingerprint of names, sizes and times of change. The
cursor keeps one fingerprint per region and quarter (13 weeks), so that it grows by four short
entries per region and year, and one per week only for the few quarters under observation.
"""

import hashlib
import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Protocol, Self

import pandas as pd

from forecast_platform.partitions import RegionWeek

EPOCH: Final = pd.Timestamp("1970-01-05")
WEEKS_PER_QUARTER: Final = 13
MAX_QUARTERS_WATCHED: Final = 20
"""Bounds the cursor and one tick's work: the rest of a large landing area waits for its turn."""

Fingerprints = Mapping[RegionWeek, str]
Contents = Mapping[str, tuple[str, ...]]
"""Sorted SHA-256 of the files of each source: what a region-week is made from."""


class DeliveredFile(Protocol):
    """What is known of a file before it is read."""

    @property
    def source(self) -> str: ...  # noqa: D102
    @property
    def region(self) -> str: ...  # noqa: D102
    @property
    def week(self) -> pd.Timestamp: ...  # noqa: D102
    @property
    def file(self) -> str: ...  # noqa: D102
    @property
    def size_bytes(self) -> int: ...  # noqa: D102
    @property
    def modified(self) -> object: ...  # noqa: D102


class LandingArea(Protocol):
    """Where files are delivered."""

    def files(self) -> Iterable[Any]:
        """List every delivered file."""
        ...

    def required_sources(self) -> Collection[str]:
        """Name the sources without whose file a region-week cannot run."""
        ...

    def sha256(self, file: Any) -> str:
        """Digest the content of one file."""
        ...

    def files_of_many(self) -> Iterable[Any]:
        """List every delivered file whose rows tell its regions or weeks."""
        ...

    def places_in(self, file: Any) -> Mapping[RegionWeek, str]:
        """Read which region-weeks such a file has rows of, and digest the rows of each."""
        ...


class Tables(Protocol):
    """What is asked of the lake."""

    def exists(self, table: str) -> bool:
        """Whether a table was ever written."""
        ...

    def read(
        self,
        table: str,
        *,
        region: Sequence[str],
        weeks: Sequence[pd.Timestamp],
        columns: Sequence[str],
    ) -> pd.DataFrame:
        """Read rows of some region-weeks."""
        ...

    def column_names(self, table: str) -> Sequence[str]:
        """Name the columns of a table."""
        ...


def contents_of(landing: LandingArea, files: Iterable[DeliveredFile]) -> Contents:
    """Digest the files of one region-week. Names do not count: a renamed file is nothing new."""
    by_source: dict[str, list[str]] = {}
    for one in files:
        by_source.setdefault(one.source, []).append(landing.sha256(one))
    return {source: tuple(sorted(digests)) for source, digests in sorted(by_source.items())}


def recorded_contents(
    lake: Tables, keys: Sequence[RegionWeek], digest: str = "sha256"
) -> dict[RegionWeek, Contents]:
    """Look up what the raw tables of these region-weeks were made from.

    Parameters
    ----------
    lake : Tables
    keys : sequence of RegionWeek
    digest : str, default="sha256"
        Column of the ledger: the digests of whole files, or ``rows_sha256``, which say of files of
        many region-weeks what they told of each. Ledgers of earlier releases have none of these.
    """
    if not keys or not lake.exists("row_ledger") or digest not in lake.column_names("row_ledger"):
        return {}
    rows = lake.read(
        "row_ledger",
        region=sorted({key.region for key in keys}),
        weeks=sorted({key.week for key in keys}),
        columns=["region", "week", "source", digest],
    )
    recorded: dict[RegionWeek, dict[str, tuple[str, ...]]] = {}
    for region, week, source, one in rows.dropna().sort_values(digest).itertuples(index=False):
        sources = recorded.setdefault(RegionWeek(region, week), {})
        sources[source] = (*sources.get(source, ()), one)
    return dict(recorded)


def fingerprint(parts: Iterable[object]) -> str:
    """Reduce ``parts``, in any order, to 12 hex digits."""
    text = "\n".join(sorted(map(str, parts)))
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def quarter_of(key: RegionWeek) -> str:
    """Name the 13 weeks of a region that share one entry of the cursor."""
    return f"{key.region}|{(key.week - EPOCH).days // 7 // WEEKS_PER_QUARTER}"


@dataclass(slots=True)
class Watch:
    """One region-week of a quarter under observation."""

    fingerprint: str
    at_rest: bool = False
    """Whether the last two ticks saw the same files."""

    handled: bool = False
    """Whether these very files were asked for, or found to need nothing."""


@dataclass(slots=True)
class Progress:
    """How far the region-weeks of one file of many were asked for."""

    fingerprint: str
    asked_to: str = ""
    """Partition key of the last one that was asked for or needed nothing."""

    is_done: bool = False


@dataclass(slots=True)
class Cursor:
    """The sensor's memory.

    Attributes
    ----------
    settled : dict of str to str
        Fingerprint of each quarter in which nothing is left to do.
    watched : dict of str to dict of str to Watch
        The region-weeks of each quarter in which something changed, by partition key.
    many : dict of str to Progress
        Files whose rows tell their regions or weeks, by source and path.
    """

    settled: dict[str, str] = field(default_factory=dict)
    watched: dict[str, dict[str, Watch]] = field(default_factory=dict)
    many: dict[str, Progress] = field(default_factory=dict)

    @classmethod
    def from_text(cls, text: str | None) -> Self:
        """Read what ``to_text`` wrote; nothing is an empty memory."""
        stored = json.loads(text) if text else {}
        watched = {
            quarter: {key: Watch(mark, handled=handled) for key, (mark, handled) in weeks.items()}
            for quarter, weeks in stored.get("watched", {}).items()
        }
        many = {file: Progress(*known) for file, known in stored.get("many", {}).items()}
        return cls(settled=stored.get("settled", {}), watched=watched, many=many)

    def to_text(self) -> str:
        """Write the memory as JSON."""
        watched = {
            quarter: {key: [watch.fingerprint, watch.handled] for key, watch in weeks.items()}
            for quarter, weeks in self.watched.items()
        }
        many = {
            file: [known.fingerprint, known.asked_to, known.is_done]
            for file, known in self.many.items()
        }
        stored = {"settled": self.settled, "watched": watched, "many": many}
        return json.dumps(stored, separators=(",", ":"))

    def observe_many(self, files: Mapping[str, str]) -> list[str]:
        """Take in the fingerprints of the files whose rows tell their regions or weeks.

        Returns
        -------
        list of str
            Files that two looks running saw the same, and that are not done with.
        """
        ready = [
            name
            for name, mark in files.items()
            if (known := self.many.get(name)) and known.fingerprint == mark and not known.is_done
        ]
        self.many = {
            name: known
            if (known := self.many.get(name)) and known.fingerprint == mark
            else Progress(mark)
            for name, mark in files.items()
        }
        return sorted(ready)

    def observe(self, files: Fingerprints) -> list[RegionWeek]:
        """Take in what lies in the landing area now.

        Returns
        -------
        list of RegionWeek
            Region-weeks at rest whose files were not handled yet, oldest first: a week's
            features are built on the weeks before it.
        """
        quarters = _by_quarter(files)
        self.settled = {name: mark for name, mark in self.settled.items() if name in quarters}
        self.watched = {name: weeks for name, weeks in self.watched.items() if name in quarters}
        for name in sorted(quarters, key=lambda name: min(key.week for key in quarters[name])):
            if name not in self.watched and self.settled.get(name) == _quarter_mark(quarters[name]):
                continue
            if name in self.watched or len(self.watched) < MAX_QUARTERS_WATCHED:
                self.watched[name] = _look_again(self.watched.get(name, {}), quarters[name])
        ready = [
            key
            for name in self.watched
            for key in quarters[name]
            if (watch := self.watched[name][key.key]).at_rest and not watch.handled
        ]
        return sorted(ready, key=lambda key: (key.week, key.region))

    def mark_handled(self, key: RegionWeek) -> None:
        """Remember that nothing is left to do for these files of a region-week."""
        self.watched[quarter_of(key)][key.key].handled = True

    def settle(self, files: Fingerprints) -> None:
        """Reduce every quarter in which all is handled to one fingerprint."""
        for name, weeks in _by_quarter(files).items():
            watches = self.watched.get(name)
            if watches is not None and all(watch.handled for watch in watches.values()):
                self.settled[name] = _quarter_mark(weeks)
                del self.watched[name]

    def is_behind(self, files: Fingerprints) -> bool:
        """Whether something of the landing area is still to be looked at."""
        unknown = (
            name
            for name, weeks in _by_quarter(files).items()
            if self.settled.get(name) != _quarter_mark(weeks)
        )
        return bool(self.watched) or any(unknown)


def _by_quarter(files: Fingerprints) -> dict[str, dict[RegionWeek, str]]:
    quarters: dict[str, dict[RegionWeek, str]] = {}
    for key, mark in files.items():
        quarters.setdefault(quarter_of(key), {})[key] = mark
    return quarters


def _quarter_mark(weeks: Fingerprints) -> str:
    return fingerprint(f"{key.key}={mark}" for key, mark in weeks.items())


def _look_again(before: Mapping[str, Watch], now: Fingerprints) -> dict[str, Watch]:
    return {
        key.key: (
            Watch(mark, at_rest=True, handled=seen.handled)
            if (seen := before.get(key.key)) and seen.fingerprint == mark
            else Watch(mark)
        )
        for key, mark in now.items()
    }
