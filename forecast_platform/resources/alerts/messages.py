"""What an alert says, and how it reads as text, in Slack and in Teams.

Sending is in `sinks`; which alerts become a message is decided in `notifier`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import quote, urlencode

from forecast_platform.schemas.alerts import EVERYWHERE, Event, Kind, Severity

MAX_SHOWN: Final = 10
"""Alerts told in full in one message; of the others only the title."""

MAX_TITLES: Final = 40
MAX_TEXT: Final = 900
"""Characters of one part: Slack takes 3,000 in a section, Teams 28 kB in a card."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Alert:
    """One trouble, seen once.

    Parameters
    ----------
    kind : Kind
    severity : Severity
    fingerprint : str
        Names the trouble: alerts with the same one are folded.
    occurrence : str
        Names what happened, such as a run: seen again, it is not counted again.
    title, happened, done, todo : str
        In a line; with numbers; what was done automatically; what to do.
    link : str
        Where to look.
    region : str, default="all"
    partition : str, optional
        ``<region>|<week>``, or a range of them.
    """

    kind: Kind
    severity: Severity
    fingerprint: str
    occurrence: str
    title: str
    happened: str
    done: str
    todo: str
    link: str
    region: str = EVERYWHERE
    partition: str | None = None


@dataclass(frozen=True, slots=True)
class Over:
    """The trouble of a fingerprint is over."""

    fingerprint: str


@dataclass(frozen=True, slots=True)
class Line:
    """One alert in a message: what it is, how often it was seen, and since when."""

    alert: Alert
    event: Event
    count: int = 1
    since: str = ""

    @property
    def title(self) -> str:
        """What happened, in a line."""
        text = " ".join(self.alert.title.split())
        return f"Over: {text}" if self.event is Event.RECOVERED else text

    @property
    def parts(self) -> list[tuple[str, str]]:
        """Name and text of each part, in the order in which they are told."""
        alert = self.alert
        if self.event is Event.RECOVERED:
            told = [("What happened", f"It is over: {alert.happened}")]
        else:
            told = [("What happened", alert.happened)]
        if self.count > 1:
            told.append(("How often", f"{self.count} times since {self.since}"))
        if self.event is not Event.RECOVERED:
            told += [("Done automatically", alert.done), ("What to do", alert.todo)]
        told.append(("Link", alert.link))
        return [(name, shorten(text)) for name, text in told if text]


@dataclass(frozen=True, slots=True)
class Message:
    """What one sink is handed at a time: one alert, or several of a kind.

    Attributes
    ----------
    id : str
        The same when it is tried again, so that a receiver can tell.
    """

    id: str
    lines: Sequence[Line]

    @property
    def severity(self) -> Severity:
        """That of the worst alert; what is over is no error."""
        if all(line.event is Event.RECOVERED for line in self.lines):
            return Severity.INFO
        return max((line.alert.severity for line in self.lines), key=lambda one: one.rank)

    @property
    def title(self) -> str:
        """Title of the one alert, or how many there are of which kind."""
        if len(self.lines) == 1:
            return self.lines[0].title
        first = self.lines[0]
        what = f"{len(self.lines)} alerts: {first.alert.kind.value.replace('_', ' ')}"
        return f"Over: {what}" if first.event is Event.RECOVERED else what

    @property
    def subject(self) -> str:
        """One line for a mailbox."""
        mark = "OK" if self.severity is Severity.INFO else self.severity.value.upper()
        return shorten(f"[forecast-platform] {mark}: {self.title}", 200)

    def as_text(self) -> str:
        """Tell it in plain text."""
        blocks = [
            "\n".join([line.title, *(f"  {name}: {text}" for name, text in line.parts)])
            for line in self.lines[:MAX_SHOWN]
        ]
        return "\n\n".join([*blocks, *self._others()])

    def as_json(self) -> dict[str, Any]:
        """Tell it in plain values, for a receiver of one's own."""
        return {
            "id": self.id,
            "severity": self.severity.value,
            "title": self.title,
            "alerts": [_plain(line) for line in self.lines],
        }

    def as_slack(self) -> dict[str, Any]:
        """Tell it in blocks of Slack. See https://api.slack.com/reference/block-kit."""
        blocks: list[dict[str, Any]] = [_slack_section(f"*{_slack(self.subject)}*")]
        for line in self.lines[:MAX_SHOWN]:
            told = [f"*{_slack(line.title)}*"] if len(self.lines) > 1 else []
            told += [f"*{name}:* {_slack(text)}" for name, text in line.parts]
            blocks.append(_slack_section("\n".join(told)))
        blocks += [_slack_section(_slack(text)) for text in self._others()]
        return {"text": _slack(self.subject), "blocks": blocks}

    def as_teams(self) -> dict[str, Any]:
        """Tell it in an Adaptive Card, as a Teams workflow takes it.

        See https://learn.microsoft.com/power-automate/teams/teams-app-create.
        """
        body: list[dict[str, Any]] = [
            _teams_text(self.subject, weight="Bolder", size="Medium", color=self._color)
        ]
        for line in self.lines[:MAX_SHOWN]:
            if len(self.lines) > 1:
                body.append(_teams_text(line.title, weight="Bolder"))
            facts = [{"title": name, "value": text} for name, text in line.parts]
            body.append({"type": "FactSet", "facts": facts})
        body += [_teams_text(text) for text in self._others()]
        card = {
            "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
            "type": "AdaptiveCard",
            "version": "1.4",
            "body": body,
        }
        kind = "application/vnd.microsoft.card.adaptive"
        return {"type": "message", "attachments": [{"contentType": kind, "content": card}]}

    @property
    def _color(self) -> str:
        colors: Mapping[Severity, str] = {Severity.INFO: "Good", Severity.WARNING: "Warning"}
        return colors.get(self.severity, "Attention")

    def _others(self) -> list[str]:
        left = [line.title for line in self.lines[MAX_SHOWN:]]
        if not left:
            return []
        more = f"; and {len(left) - MAX_TITLES} more" * (len(left) > MAX_TITLES)
        return [f"Further {len(left)}: {'; '.join(left[:MAX_TITLES])}{more}"]


def shorten(text: str, length: int = MAX_TEXT) -> str:
    """Cut a text that is too long.

    >>> shorten("abcdef", 4)
    'abc…'
    """
    return text if len(text) <= length else f"{text[: length - 1]}…"


def run_link(base: str, run_id: str) -> str:
    """Link to a run in Dagster's UI.

    >>> run_link("http://127.0.0.1:3000/", "abc")
    'http://127.0.0.1:3000/runs/abc'
    """
    return f"{base.rstrip('/')}/runs/{quote(run_id)}"


def asset_link(base: str, asset: str, *, partition: str = "", view: str = "partitions") -> str:
    """Link to an asset in Dagster's UI, where one partition is shown if it is named.

    >>> asset_link("http://127.0.0.1:3000", "forecasts", partition="north|2024-03-04")
    'http://127.0.0.1:3000/assets/forecasts?view=partitions&partition=north%7C2024-03-04'
    """
    query = {"view": view} | ({"partition": partition} if partition else {})
    return f"{base.rstrip('/')}/assets/{quote(asset)}?{urlencode(query)}"


def _plain(line: Line) -> dict[str, Any]:
    alert = line.alert
    return {
        "event": line.event.value,
        "kind": alert.kind.value,
        "severity": alert.severity.value,
        "fingerprint": alert.fingerprint,
        "region": alert.region,
        "partition": alert.partition,
        "title": line.title,
        "happened": alert.happened,
        "done": alert.done,
        "todo": alert.todo,
        "link": alert.link,
        "count": line.count,
        "since": line.since,
    }


def _slack(text: str) -> str:
    """Escape what Slack reads as markup."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _slack_section(text: str) -> dict[str, Any]:
    return {"type": "section", "text": {"type": "mrkdwn", "text": shorten(text, 3000)}}


def _teams_text(text: str, **style: str) -> dict[str, Any]:
    return {"type": "TextBlock", "text": text, "wrap": True, **style}
