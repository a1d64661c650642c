"""``forecast-platform dev``: the Dagster UI and daemon on this machine."""

import os
import signal
import sys
from pathlib import Path
from typing import Annotated

import typer

from forecast_platform.cli.console import err, is_interactive, plain_errors

LOOPBACK = "127.0.0.1"
"""The UI has no login: nobody but this machine may reach it."""

OF_NO_USE = (
    "Function `dev_command` is superseded",
    "Parameter `backfill_policy` of function `asset` is currently in beta",
    "Specifying a partitions_def on an AssetCheckSpec is currently in preview",
)
"""Beginnings of Dagster's warnings about its own interfaces: nobody who looks at the UI can act on
them, and there is one for each asset and check."""


def dev(
    *,
    port: Annotated[int, typer.Option(help="Port of the UI.", min=1, max=65535)] = 3000,
) -> None:
    """Open the Dagster UI with its daemon on 127.0.0.1, until Ctrl-C or SIGTERM.

    It shows the same runs and tables as the other commands. The UI has no login, so it listens on
    this machine only.
    """
    from forecast_platform.launching.instance import prepare_home
    from forecast_platform.settings import get_settings

    with plain_errors():
        home = prepare_home(get_settings())
    if is_interactive():
        err.print(f"Dagster's UI: http://{LOOPBACK}:{port}   (records in {home}; Ctrl-C ends it)")
    dagster = str(Path(sys.executable).with_name("dagster"))
    where = ["-m", "forecast_platform.definitions", "-h", LOOPBACK, "-p", str(port)]
    environment = dict(os.environ)  # noqa: TID251 - handed on whole to Dagster
    environment |= {"DAGSTER_HOME": str(home), "DAGSTER_DISABLE_TELEMETRY": "1"}
    environment["PYTHONWARNINGS"] = quietened(environment.get("PYTHONWARNINGS", ""))
    # Dagster ends by SIGINT, SIGTERM too. Shells start what runs in the background (&, nohup) with
    # SIGINT ignored, which all that is started from it inherits: it would never end.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    os.execve(dagster, [dagster, "dev", *where], environment)  # noqa: S606 - fixed command


def quietened(filters: str) -> str:
    """Ignore what is of no use, and keep the filters of the one who calls: the last one decides.

    Examples
    --------
    >>> quietened("error").endswith(",error")
    True
    """
    return ",".join([*(f"ignore:{beginning}" for beginning in OF_NO_USE), *filter(None, [filters])])
