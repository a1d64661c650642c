"""The table `alert_log`, and what is known from it: open troubles, messages on their way.

Rows are only added, so that a killed process loses nothing: what was noted and not sent is sent by
the next one. What becomes a message is decided in `notifier`.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import pandas as pd

from forecast_platform.resources.alerts.messages import Alert, Line
from forecast_platform.resources.lake import Lake
from forecast_platform.schemas.alerts import ABOUT_TROUBLES, AlertLog, Event, Kind, Severity
from forecast_platform.schemas.tables import as_table

TABLE: Final = "alert_log"
WEEKS_REMEMBERED: Final = 26
"""A trouble of which nothing was heard for so long is forgotten [weeks]."""

ID_LENGTH: Final = 20
MAX_BACKOFF: Final = timedelta(hours=1)
FIRST_BACKOFF: Final = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class Entry:
    """One row of the log."""

    at: datetime
    event: Event
    alert: Alert
    count: int
    since: str
    sinks: tuple[str, ...] = ()
    message_id: str | None = None
    detail: str | None = None

    def answered(self, event: Event, sink: str, at: datetime, detail: str | None) -> "Entry":
        """Note what became of its message at one sink."""
        return Entry(
            at, event, self.alert, self.count, self.since, (sink,), self.message_id, detail
        )

    @property
    def line(self) -> Line:
        """What its message tells."""
        return Line(self.alert, self.event, self.count, self.since)

    @property
    def batch(self) -> tuple[datetime, Kind, Event]:
        """Messages of one batch go to a sink together, now and in every later try."""
        return self.at, self.alert.kind, self.event


@dataclass
class Trouble:
    """What was heard of one fingerprint.

    Attributes
    ----------
    latest : Alert
    is_open : bool
    count : int
        How often it was seen since it began.
    folded : int
        How often of these nobody was told yet.
    since : datetime.datetime
    told_at : datetime.datetime
        When the last message about it was decided.
    occurrences : set of str
    sinks : list of str
        Who was told since it began.
    """

    latest: Alert
    since: datetime
    told_at: datetime
    is_open: bool = True
    count: int = 0
    folded: int = 0
    worst: Severity = Severity.INFO
    occurrences: set[str] = field(default_factory=set)
    sinks: list[str] = field(default_factory=list)

    def note(self, entry: Entry) -> None:
        """Take one entry in."""
        if entry.event is Event.RECOVERED:
            self.is_open = False
            return
        if not self.is_open:
            self.since, self.count, self.folded = entry.at, 0, 0
            self.is_open, self.worst, self.sinks = True, Severity.INFO, []
        self.latest = entry.alert
        self.worst = max(self.worst, entry.alert.severity, key=lambda one: one.rank)
        if entry.event is Event.RAISED:
            self.occurrences.add(entry.alert.occurrence)
            self.count += 1
            self.folded += 1
        if entry.message_id:
            self.told_at, self.folded = entry.at, 0
            self.sinks += [name for name in entry.sinks if name not in self.sinks]


@dataclass(frozen=True, slots=True)
class Pending:
    """A message that one sink has not taken yet."""

    entry: Entry
    sink: str
    tries: int
    last_try: datetime | None
    problem: str = ""

    def is_due(self, now: datetime) -> bool:
        """Whether it is time to try (again): after 1, 2, 4, ... minutes, at most an hour."""
        if self.last_try is None:
            return True
        return now >= self.last_try + min(FIRST_BACKOFF * 2 ** (self.tries - 1), MAX_BACKOFF)


@dataclass
class History:
    """What the log tells.

    Attributes
    ----------
    troubles : dict of str to Trouble
        By fingerprint.
    entries : list of Entry
        In order.
    """

    troubles: dict[str, Trouble] = field(default_factory=dict)
    entries: list[Entry] = field(default_factory=list)

    def note(self, entries: Iterable[Entry]) -> None:
        """Take entries in, in order."""
        for entry in entries:
            self.entries.append(entry)
            if entry.event not in ABOUT_TROUBLES:
                continue
            name = entry.alert.fingerprint
            if name not in self.troubles:
                self.troubles[name] = Trouble(entry.alert, entry.at, entry.at)
            self.troubles[name].note(entry)

    def open_troubles(self) -> dict[str, Trouble]:
        """Troubles that are not over, by fingerprint."""
        return {name: one for name, one in self.troubles.items() if one.is_open}

    def pending(self) -> list[Pending]:
        """Messages that a sink has neither taken nor been spared, in order."""
        answers: dict[tuple[str | None, str], list[Entry]] = {}
        for entry in self.entries:
            if entry.event not in ABOUT_TROUBLES:
                answers.setdefault((entry.message_id, entry.sinks[0]), []).append(entry)
        return [
            _pending(entry, sink, answers.get((entry.message_id, sink), []))
            for entry in self.entries
            if entry.event in ABOUT_TROUBLES and entry.message_id
            for sink in entry.sinks
            if not _is_settled(answers.get((entry.message_id, sink), []))
        ]


def _is_settled(answers: Sequence[Entry]) -> bool:
    return any(one.event in (Event.SENT, Event.GAVE_UP) for one in answers)


def _pending(entry: Entry, sink: str, failed: Sequence[Entry]) -> Pending:
    if not failed:
        return Pending(entry, sink, 0, None)
    return Pending(entry, sink, len(failed), failed[-1].at, failed[-1].detail or "")


def message_id(event: Event, alert: Alert, at: datetime) -> str:
    """Name a message, so that a receiver can tell a second delivery of it."""
    text = f"{event}\n{alert.fingerprint}\n{alert.occurrence}\n{at.isoformat()}"
    return hashlib.sha256(text.encode()).hexdigest()[:ID_LENGTH]


def read_history(lake: Lake, now: datetime) -> History:
    """Read what was heard in the last half year."""
    history = History()
    if lake.exists(TABLE):
        since = _monday(now) - pd.Timedelta(weeks=WEEKS_REMEMBERED)
        rows = lake.read(TABLE, since=since)
        rows = rows.sort_values(["at", "position"], kind="stable")
        history.note(_entry(row) for row in rows.to_dict("records"))
    return history


def write_entries(lake: Lake, entries: Sequence[Entry], run_id: str) -> None:
    """Add entries to the log, in one commit."""
    if not entries:
        return
    rows = pd.DataFrame([_row(entry, position) for position, entry in enumerate(entries)])
    table = AlertLog.validate(as_table(rows, AlertLog))
    lake.append(TABLE, table, run_id=run_id)


def _row(entry: Entry, position: int) -> dict[str, Any]:
    alert = entry.alert
    return {
        "region": alert.region,
        "week": _monday(entry.at),
        "at": entry.at.astimezone(UTC).isoformat(timespec="microseconds"),
        "position": position,
        "event": entry.event.value,
        "fingerprint": alert.fingerprint,
        "occurrence": alert.occurrence,
        "kind": alert.kind.value,
        "severity": alert.severity.value,
        "partition": alert.partition,
        "title": alert.title,
        "happened": alert.happened,
        "done": alert.done,
        "todo": alert.todo,
        "link": alert.link,
        "message_id": entry.message_id,
        "sinks": json.dumps(list(entry.sinks)),
        "count": entry.count,
        "since": entry.since,
        "detail": entry.detail,
    }


def _entry(row: Mapping[Any, Any]) -> Entry:
    alert = Alert(
        kind=Kind(row["kind"]),
        severity=Severity(row["severity"]),
        fingerprint=row["fingerprint"],
        occurrence=row["occurrence"],
        title=row["title"],
        happened=row["happened"],
        done=row["done"],
        todo=row["todo"],
        link=row["link"],
        region=row["region"],
        partition=_text(row["partition"]),
    )
    return Entry(
        at=datetime.fromisoformat(row["at"]),
        event=Event(row["event"]),
        alert=alert,
        count=int(row["count"]),
        since=row["since"],
        sinks=tuple(json.loads(row["sinks"])),
        message_id=_text(row["message_id"]),
        detail=_text(row["detail"]),
    )


def _text(cell: object) -> str | None:
    return None if pd.isna(cell) else str(cell)  # type: ignore[call-overload]


def _monday(at: datetime) -> pd.Timestamp:
    day = pd.Timestamp(at.astimezone(UTC).date())
    return day - pd.Timedelta(days=day.weekday())
