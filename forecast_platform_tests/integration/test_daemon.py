"""The real daemon, code server and run worker: files go in, forecasts come out."""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import dagster as dg
import pytest

from forecast_platform.resources.lake import Lake
from forecast_platform.settings import PROJECT_ROOT
from forecast_platform.simulation import RetailerConfig, simulate

pytestmark = [pytest.mark.slow, pytest.mark.integration]

SECONDS_TO_FORECAST = 240
"""Generous: about 40 s on an idle machine of two cores."""

SECONDS_BETWEEN_LOOKS = 3


@dataclass(frozen=True)
class Installation:
    """A platform of its own, in a folder of its own."""

    home: Path
    instance: dg.DagsterInstance

    @property
    def landing(self) -> Path:
        return self.home / "landing"

    def ticks(self) -> int:
        """Count the sensor's evaluations so far."""
        return sum(
            len(self.instance.get_ticks(state.instigator_origin_id, state.selector_id))
            for state in self.instance.all_instigator_state()
            if state.instigator_name == "landing_sensor"
        )

    def runs(self) -> list[dg.DagsterRun]:
        return list(self.instance.get_runs())


def environment(home: Path) -> dict[str, str]:
    own = {
        "DAGSTER_HOME": str(home / "dagster_home"),
        "DAGSTER_DISABLE_TELEMETRY": "1",
        "FORECAST_PLATFORM_HOME": str(home),
        "FORECAST_PLATFORM_DEPLOYMENT": "dev",
        "FORECAST_PLATFORM_LANDING_INTERVAL_SECONDS": str(SECONDS_BETWEEN_LOOKS),
        "OMP_NUM_THREADS": "1",
    }
    inherited = {name: value for name, value in os.environ.items() if "FORECAST_" not in name}
    return inherited | own


@pytest.fixture
def installation(tmp_path: Path) -> Iterator[Installation]:
    """Start the daemon, which starts the code server, on an empty platform."""
    dagster_home = tmp_path / "dagster_home"
    dagster_home.mkdir()
    (tmp_path / "landing").mkdir()
    shutil.copy(PROJECT_ROOT / "deploy" / "local" / "dagster.yaml", dagster_home)
    with (
        dg.DagsterInstance.from_config(str(dagster_home)) as instance,
        (tmp_path / "daemon.log").open("w") as log,
    ):
        daemon = subprocess.Popen(
            [sys.executable, "-m", "dagster._daemon", "run", "-w", "workspace.yaml"],
            cwd=PROJECT_ROOT,
            env=environment(tmp_path),
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            yield Installation(tmp_path, instance)
        finally:
            stop(daemon)


def stop(daemon: subprocess.Popen[bytes]) -> None:
    """End the daemon and what it started: all are in its own process group."""
    daemon.terminate()
    with contextlib.suppress(subprocess.TimeoutExpired):
        daemon.wait(timeout=20)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(daemon.pid, signal.SIGKILL)
    daemon.wait(timeout=20)


def wait_until(happened: Callable[[], bool], installation: Installation, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not happened():
        if time.monotonic() > deadline:
            log = (installation.home / "daemon.log").read_text()[-4000:]
            pytest.fail(f"did not happen within {seconds} s; the daemon said:\n{log}")
        time.sleep(0.5)


def why(run: dg.DagsterRun, instance: dg.DagsterInstance) -> str:
    """Say what failed in a run."""
    failures = [
        event.dagster_event.step_failure_data.error.to_string()
        for event in instance.all_logs(run.run_id, of_type=dg.DagsterEventType.STEP_FAILURE)
    ]
    return f"{run.status}\n" + "\n".join(failures)


def test_delivered_files_become_forecasts_once(installation: Installation, tmp_path: Path):
    retailer = RetailerConfig(regions=("north",), stores_per_region=4, products=5, n_weeks=1)
    key = f"north|{retailer.first_week}"
    simulate(retailer, tmp_path / "in_transit")
    installation.instance.add_dynamic_partitions("region", ["north"])

    shutil.copytree(tmp_path / "in_transit", installation.landing, dirs_exist_ok=True)

    def has_run() -> bool:
        return any(run.is_finished for run in installation.runs())

    wait_until(has_run, installation, SECONDS_TO_FORECAST)
    ticks = installation.ticks()
    wait_until(lambda: installation.ticks() >= ticks + 3, installation, 60)
    (run,) = installation.runs()
    assert run.is_success, why(run, installation.instance)
    assert run.job_name == "weekly_forecast"
    assert run.tags["dagster/sensor_name"] == "landing_sensor"
    assert installation.instance.get_materialized_partitions(dg.AssetKey("forecasts")) == {key}
    assert not Lake(uri=str(tmp_path / "lake")).read("forecasts", region="north").empty
