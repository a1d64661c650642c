"""What the command line shares with the UI: the Dagster instance, its regions, the lake.

Nothing here starts a run. See https://docs.dagster.io/deployment/oss/oss-instance-configuration.
"""

import os
import platform
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import dagster as dg
import pandas as pd

from forecast_platform.partitions import RegionWeek, ends_of, regions
from forecast_platform.resources.as_of import build_lake
from forecast_platform.resources.lake import Lake
from forecast_platform.settings import PROJECT_ROOT, Settings

PROCESS_TAG: Final = "forecast_platform/process"
"""``<host>:<pid>`` that executes the run: a later launch can tell a lost run from a live one."""

MAX_RUNS: Final = 2_000
"""Runs that `failed_region_weeks` looks back."""

_BEGUN = (
    dg.DagsterRunStatus.SUCCESS,
    dg.DagsterRunStatus.FAILURE,
    dg.DagsterRunStatus.STARTED,
)
_INSTANCE_FILE = PROJECT_ROOT / "deploy" / "local" / "dagster.yaml"


@contextmanager
def open_instance(settings: Settings, home: Path | None = None) -> Iterator[dg.DagsterInstance]:
    """Open the Dagster instance of the command line, made at the first use.

    That of a past time has the regions of the current one.
    """
    with dg.DagsterInstance.from_config(str(prepare_home(settings, home))) as instance:
        if settings.as_of is not None and home is None:
            with open_instance(settings.model_copy(update={"as_of": None})) as current:
                add_regions(instance, registered_regions(current))
        yield instance


def open_lake(settings: Settings) -> Lake:
    """Open the lake without loading the definitions, which takes seconds."""
    return build_lake(settings)


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
    if settings.as_of is not None:
        return settings.state_home / "dagster_home"
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
    lost = [run for run in started if _is_lost(run)]
    for run in lost:
        instance.report_run_failed(run, "Its process ended without a word: killed, or no memory.")
    return len(lost)


def this_process() -> str:
    """Name this process for `PROCESS_TAG`."""
    return f"{platform.node()}:{os.getpid()}"


def _is_lost(run: dg.DagsterRun) -> bool:
    """Tell whether the process of a run that was started is gone, as far as this machine knows."""
    host, _, pid = run.tags.get(PROCESS_TAG, "").rpartition(":")
    if host != platform.node() or not pid.isdigit():
        return False
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        return False
    return False


def failed_region_weeks(instance: dg.DagsterInstance) -> dict[str, tuple[str, ...]]:
    """Find the region-weeks whose last run failed, by region.

    A later run that succeeded clears a failure; runs of the last 90 days or so are kept. A run
    whose process was killed has failed, also where nobody has marked it yet; one that is under way
    says nothing.
    """
    latest: dict[str, bool] = {}
    order = registered_regions(instance)
    for run in instance.get_runs(dg.RunsFilter(statuses=list(_BEGUN)), limit=MAX_RUNS):
        is_under_way = not run.is_finished and not _is_lost(run)
        for key in [] if is_under_way else _region_weeks_of_run(run, order):
            latest.setdefault(key.key, not run.is_success)
    found: dict[str, tuple[str, ...]] = {}
    for key in sorted(key for key, has_failed in latest.items() if has_failed):
        region, _, week = key.partition("|")
        found[region] = (*found.get(region, ()), week)
    return found


def _region_weeks_of_run(run: dg.DagsterRun, order: Sequence[str]) -> Iterator[RegionWeek]:
    ends = ends_of(run.tags)
    if ends is None or any(one.region not in order for one in ends):
        return
    start, end = ends
    for region in order[order.index(start.region) : order.index(end.region) + 1]:
        for week in pd.date_range(start.week, end.week, freq="W-MON"):
            yield RegionWeek(region, week)
