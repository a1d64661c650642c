"""The Dagster instance that the command line shares with the UI, its regions and lost runs.

Nothing here starts a run. See https://docs.dagster.io/deployment/oss/oss-instance-configuration.
"""

import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import dagster as dg

from forecast_platform.partitions import regions
from forecast_platform.settings import PROJECT_ROOT, Settings

PID_TAG: Final = "forecast_platform/pid"
"""Process that executes the run, so that a later launch can tell a lost run from a live one."""

_INSTANCE_FILE = PROJECT_ROOT / "deploy" / "local" / "dagster.yaml"


@contextmanager
def open_instance(settings: Settings, home: Path | None = None) -> Iterator[dg.DagsterInstance]:
    """Open the Dagster instance of the command line, made at the first use."""
    with dg.DagsterInstance.from_config(str(prepare_home(settings, home))) as instance:
        yield instance


def prepare_home(settings: Settings, home: Path | None = None) -> Path:
    """Make Dagster's home with the instance settings of one machine, unless it is there.

    An existing ``DAGSTER_HOME`` is used as it is, with its owner's ``dagster.yaml``.
    """
    folder = (home or dagster_home(settings)).resolve()
    folder.mkdir(parents=True, exist_ok=True)
    config = folder / "dagster.yaml"
    if not config.exists():
        if _INSTANCE_FILE.exists():
            shutil.copyfile(_INSTANCE_FILE, config)
        else:
            config.write_text("telemetry:\n  enabled: false\n")
    return folder


def dagster_home(settings: Settings) -> Path:
    """Return ``DAGSTER_HOME``, which is Dagster's own variable, or the default below ``home``."""
    named = os.environ.get("DAGSTER_HOME")  # noqa: TID251 - Dagster's variable, not ours
    return Path(named) if named else settings.home / "dagster_home"


def add_regions(instance: dg.DagsterInstance, names: Sequence[str]) -> list[str]:
    """Register regions, in the order given; return those that were new."""
    known = set(registered_regions(instance))
    new = [name for name in dict.fromkeys(names) if name not in known]
    if new:
        instance.add_dynamic_partitions(str(regions.name), new)
    return new


def registered_regions(instance: dg.DagsterInstance) -> list[str]:
    """Return the registered regions, in the order of registration."""
    return list(instance.get_dynamic_partitions(str(regions.name)))


def close_lost_runs(instance: dg.DagsterInstance) -> int:
    """Mark runs as failed whose process is gone: killed, or lost with its machine.

    Returns
    -------
    int
        How many there were.
    """
    started = instance.get_runs(dg.RunsFilter(statuses=[dg.DagsterRunStatus.STARTED]))
    lost = [run for run in started if PID_TAG in run.tags and not _is_alive(run.tags[PID_TAG])]
    for run in lost:
        instance.report_run_failed(run, "Its process ended without a word: killed, or no memory.")
    return len(lost)


def _is_alive(pid: str) -> bool:
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
