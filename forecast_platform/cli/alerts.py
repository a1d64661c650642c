"""``forecast-platform alerts``: who is told of what, what was told, and whether it arrives."""

import json
import logging
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from forecast_platform.cli.console import (
    ExitCode,
    compact_table,
    err,
    out,
    plain_errors,
    refuse,
    stop,
)

if TYPE_CHECKING:
    from forecast_platform.resources.alerts.config import AlertsConfig
    from forecast_platform.resources.alerts.history import History, Pending, Trouble
    from forecast_platform.resources.alerts.messages import Message

app = typer.Typer(
    no_args_is_help=True,
    help="See what people were told, and try whether messages arrive.",
)


@app.command("list")
def list_alerts(
    *,
    everything: Annotated[
        bool, typer.Option("--all", help="Also those that are over, of the last half year.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """List troubles that are not over: since when, how often seen, who was told.

    Messages that a receiver has not taken yet are named below the table; they are tried again by
    the sensor [bold]alert_sensor[/].
    """
    from forecast_platform.launching.instance import open_lake
    from forecast_platform.resources.alerts.history import read_history
    from forecast_platform.settings import get_settings

    with plain_errors():
        history = read_history(open_lake(get_settings()), _now())
    found = history.troubles if everything else history.open_troubles()
    if as_json:
        out.print_json(json.dumps(_described(found, history.pending())))
        return
    if not found:
        err.print("No trouble was seen." if everything else "No trouble is open.")
    else:
        _print(found)
    _print_pending(history)


@app.command("test")
def send_test(
    *,
    sink: Annotated[
        list[str] | None, typer.Option("--sink", help="Only this sink (repeat for several).")
    ] = None,
) -> None:
    """Send a test message to every sink of the alerts file, and say what became of it.

    The file is FORECAST_PLATFORM_ALERTS_FILE. Nothing is folded and nothing is noted.

    [bold]Example[/]

    forecast-platform alerts test --sink team_channel
    """
    from forecast_platform.errors import NotDelivered
    from forecast_platform.resources.alerts.config import read_alerts_file
    from forecast_platform.resources.alerts.sinks import build_sinks
    from forecast_platform.settings import get_settings, secret

    settings = get_settings()
    with plain_errors():
        config = read_alerts_file(settings.alerts_file)
    sinks = build_sinks(config, secrets=secret, logger=_stderr_logger())
    if unknown := [name for name in sink or () if name not in sinks]:
        refuse(f"no sink is called {unknown[0]!r}; there are {', '.join(sinks)}")
    now, failed = _now(), 0
    message = _test_message(settings.dagster_url, now)
    for name in sink or sinks:
        try:
            noted = sinks[name].send(message, now)
        except NotDelivered as error:
            failed += 1
            out.print(f"{name}: not delivered: {error}", highlight=False, markup=False)
        else:
            out.print(f"{name}: delivered {noted}".rstrip(), highlight=False, markup=False)
    if failed:
        stop(f"{failed} of {len(sink or sinks)} sinks did not take the message", ExitCode.FAILED)


@app.command("check-config")
def check_config(
    file: Annotated[
        Path | None,
        typer.Argument(help="Alerts file; default that of FORECAST_PLATFORM_ALERTS_FILE."),
    ] = None,
) -> None:
    """Say whether an alerts file is right, and who is told of what by it.

    Nothing is sent. Environment variables that the file names and that are not set are told.
    """
    from forecast_platform.resources.alerts.config import read_alerts_file
    from forecast_platform.settings import get_settings, secret

    path = file or get_settings().alerts_file
    with plain_errors():
        config = read_alerts_file(path)
    if path is None:
        err.print("FORECAST_PLATFORM_ALERTS_FILE names no file: all goes into the log.")
    _print_routes(config)
    unset = [name for name in _variables(config) if not secret(name)]
    if unset:
        stop(f"these environment variables are not set: {', '.join(unset)}", ExitCode.FAILED)


def _print(found: "dict[str, Trouble]") -> None:
    table = compact_table(["trouble", "severity", "since", "told"], ["seen"])
    for trouble in sorted(found.values(), key=lambda one: one.since, reverse=True):
        table.add_row(
            trouble.latest.title if trouble.is_open else f"over: {trouble.latest.title}",
            trouble.latest.severity.value,
            f"{trouble.since:%Y-%m-%d %H:%M}Z",
            ", ".join(trouble.sinks),
            f"{trouble.count:,}",
        )
    out.print(table)


def _print_pending(history: "History") -> None:
    for one in history.pending():
        why = one.problem or "not tried yet"
        told = f"waits for {one.sink}: {one.entry.alert.title} ({one.tries} tries; {why})"
        err.print(told, highlight=False, markup=False)


def _described(found: "dict[str, Trouble]", pending: "list[Pending]") -> list[dict[str, Any]]:
    waiting: dict[str, list[str]] = {}
    for one in pending:
        waiting.setdefault(one.entry.alert.fingerprint, []).append(one.sink)
    return [
        {
            "fingerprint": name,
            "kind": one.latest.kind.value,
            "severity": one.latest.severity.value,
            "region": one.latest.region,
            "partition": one.latest.partition,
            "title": one.latest.title,
            "happened": one.latest.happened,
            "link": one.latest.link,
            "since": one.since.isoformat(),
            "is_open": one.is_open,
            "count": one.count,
            "told": one.sinks,
            "waiting": waiting.get(name, []),
        }
        for name, one in found.items()
    ]


def _print_routes(config: "AlertsConfig") -> None:
    table = compact_table(["kinds", "from", "regions", "to"], [])
    for route in config.routes:
        table.add_row(
            ", ".join(route.kinds) if route.kinds else "all",
            route.severity.value,
            ", ".join(route.regions) if route.regions is not None else "all",
            ", ".join(route.to),
        )
    table.add_row("what no route takes", "", "", "log")
    out.print(table)
    err.print(
        f"One message about a trouble in {config.fold_hours:g} h; a week is missed "
        f"{config.missed_after_hours:g} h after the schedule."
        if config.missed_after_hours
        else f"One message about a trouble in {config.fold_hours:g} h; missed weeks are not told.",
        highlight=False,
    )


def _variables(config: "AlertsConfig") -> list[str]:
    named = (
        value
        for target in config.sinks.values()
        for key, value in target.model_dump().items()
        if key.endswith("_env") and value
    )
    return list(dict.fromkeys(named))


def _test_message(dagster_url: str, now: datetime) -> "Message":
    from forecast_platform.resources.alerts.history import message_id
    from forecast_platform.resources.alerts.kinds import ADVICE
    from forecast_platform.resources.alerts.messages import Alert, Line, Message
    from forecast_platform.schemas.alerts import Event, Kind, Severity

    alert = Alert(
        kind=Kind.TEST,
        severity=Severity.INFO,
        fingerprint="test",
        occurrence=now.isoformat(),
        title="A test message",
        happened="Somebody called `forecast-platform alerts test`.",
        done=ADVICE[Kind.TEST].done,
        todo=ADVICE[Kind.TEST].todo,
        link=dagster_url,
    )
    return Message(message_id(Event.RAISED, alert, now), [Line(alert, Event.RAISED)])


def _stderr_logger() -> logging.Logger:
    logger = logging.getLogger("forecast_platform.alerts")
    if not logger.handlers:
        logger.addHandler(logging.StreamHandler())
    logger.setLevel(logging.INFO)
    logger.propagate = False
    return logger


def _now() -> datetime:
    return datetime.now(UTC)  # noqa: TID251 - the log of alerts is about the clock
