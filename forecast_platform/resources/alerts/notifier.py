"""Decides what becomes a message, and sees it through until each sink has it.

First it is noted, then sent, then noted as sent: a process that dies in between loses nothing. A
message is handed over twice only when the process dies, or the receiver falls silent, between its
taking the message and the note of it; it has the same id then. Where troubles come from is in
`conditions` and in `forecast_platform.automation`.
"""

import hashlib
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from forecast_platform.errors import NotDelivered
from forecast_platform.resources.alerts.config import LOG, AlertsConfig
from forecast_platform.resources.alerts.history import (
    ID_LENGTH,
    Entry,
    History,
    Pending,
    Trouble,
    message_id,
    read_history,
    write_entries,
)
from forecast_platform.resources.alerts.messages import Alert, Message, Over
from forecast_platform.resources.alerts.sinks import Sink
from forecast_platform.resources.lake import Lake
from forecast_platform.schemas.alerts import Event

SEND_SECONDS = 30.0
"""After so long no further message is begun; a tick of a sensor has 60 s."""


@dataclass
class Delivered:
    """What became of the messages of one round."""

    sent: int = 0
    failed: dict[str, str] = field(default_factory=dict)
    """Last problem of each sink that did not take a message."""

    gave_up: int = 0
    waiting: int = 0


@dataclass
class Notifier:
    """Folds troubles and sends messages.

    Parameters
    ----------
    lake : Lake
        Keeps the log.
    config : AlertsConfig
    sinks : Mapping[str, Sink]
    run_id : str
        Who writes the log.
    """

    lake: Lake
    config: AlertsConfig
    sinks: Mapping[str, Sink]
    run_id: str
    _history: History | None = None

    def history(self, now: datetime) -> History:
        """Read the log, once."""
        if self._history is None:
            self._history = read_history(self.lake, now)
        return self._history

    def observe(self, now: datetime, seen: Iterable[Alert | Over]) -> int:
        """Note what was seen, in order.

        The same occurrence again changes nothing. A trouble becomes a message when it is new, gets
        worse, or `fold_hours` have passed since the last message; in between it is counted. Who
        was told of it is told when it is over.

        Returns
        -------
        int
            How many messages that makes.
        """
        history, new = self.history(now), []

        def note(entry: Entry | None) -> None:
            if entry is not None:
                history.note([entry])
                new.append(entry)

        for one in seen:
            note(self._over(one, now) if isinstance(one, Over) else self._seen(one, now))
        for trouble in history.open_troubles().values():
            if trouble.folded and self._is_time(trouble, now):
                note(self._told(Event.REMINDED, trouble.latest, trouble, now, trouble.count))
        write_entries(self.lake, new, self.run_id)
        return sum(entry.message_id is not None for entry in new)

    def deliver(self, now: datetime) -> Delivered:
        """Hand over what is due; never raises because a sink does not work."""
        done, history, started = Delivered(), self.history(now), time.monotonic()
        waiting = history.pending()
        due = [one for one in waiting if one.is_due(now)]
        done.waiting = len(waiting) - len(due)
        for batch in _batches(due):
            if time.monotonic() - started > SEND_SECONDS:
                done.waiting += len(batch)
                continue
            answers = self._send(batch, now, done)
            history.note(answers)
            write_entries(self.lake, answers, self.run_id)
        return done

    def _send(self, batch: Sequence[Pending], now: datetime, done: Delivered) -> list[Entry]:
        name = batch[0].sink
        message = Message(_batch_id(batch), [one.entry.line for one in batch])
        try:
            detail = self._sink(name).send(message, now) or None
        except NotDelivered as error:
            is_lost = now - batch[0].entry.at > timedelta(hours=self.config.give_up_hours)
            event = Event.GAVE_UP if is_lost else Event.FAILED
            done.failed[name] = str(error)
            if is_lost:
                done.gave_up += len(batch)
                self.sinks[LOG].send(message, now)
            return [one.entry.answered(event, name, now, str(error)) for one in batch]
        done.sent += 1
        return [one.entry.answered(Event.SENT, name, now, detail) for one in batch]

    def _sink(self, name: str) -> Sink:
        if name not in self.sinks:
            raise NotDelivered(f"the alerts file has no sink {name!r} any more")
        return self.sinks[name]

    def _seen(self, alert: Alert, now: datetime) -> Entry | None:
        trouble = self.history(now).troubles.get(alert.fingerprint)
        if trouble is not None and alert.occurrence in trouble.occurrences:
            return None
        if trouble is None or not trouble.is_open:
            return self._told(Event.RAISED, alert, None, now, 1)
        is_worse = alert.severity.rank > trouble.worst.rank
        if is_worse or self._is_time(trouble, now):
            return self._told(Event.RAISED, alert, trouble, now, trouble.count + 1)
        return Entry(now, Event.RAISED, alert, trouble.count + 1, _shown(trouble.since))

    def _over(self, over: Over, now: datetime) -> Entry | None:
        trouble = self.history(now).troubles.get(over.fingerprint)
        if trouble is None or not trouble.is_open:
            return None
        alert, sinks = trouble.latest, tuple(trouble.sinks)
        id_ = message_id(Event.RECOVERED, alert, now) if sinks else None
        since = _shown(trouble.since)
        return Entry(now, Event.RECOVERED, alert, trouble.count, since, sinks, id_)

    def _told(
        self, event: Event, alert: Alert, trouble: Trouble | None, now: datetime, count: int
    ) -> Entry:
        sinks = self.config.sinks_for(alert.kind, alert.severity, alert.region)
        since = _shown(trouble.since if trouble else now)
        return Entry(now, event, alert, count, since, tuple(sinks), message_id(event, alert, now))

    def _is_time(self, trouble: Trouble, now: datetime) -> bool:
        return now - trouble.told_at >= timedelta(hours=self.config.fold_hours)


def _batches(due: Sequence[Pending]) -> list[list[Pending]]:
    """Put together what one sink gets of one kind at a time, sinks that work first."""
    found: dict[tuple[object, ...], list[Pending]] = {}
    for one in due:
        found.setdefault((one.sink, *one.entry.batch), []).append(one)
    return sorted(found.values(), key=lambda batch: max(one.tries for one in batch))


def _batch_id(batch: Sequence[Pending]) -> str:
    ids = [str(one.entry.message_id) for one in batch]
    if len(ids) == 1:
        return ids[0]
    return hashlib.sha256("\n".join(ids).encode()).hexdigest()[:ID_LENGTH]


def _shown(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M} UTC"
