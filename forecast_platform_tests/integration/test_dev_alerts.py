"""What `forecast-platform dev` starts: people are told of what failed, and it ends when asked."""

import contextlib
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import dagster as dg
import pandas as pd
import pytest
import requests
import yaml
from aiosmtpd.controller import Controller

from forecast_platform.assets.training import trained_ensembles
from forecast_platform.assets.validation import validation_metrics
from forecast_platform.checks.accuracy import mape_is_significant
from forecast_platform.launching.instance import add_regions, prepare_home
from forecast_platform.partitions import RegionWeek, region_weeks
from forecast_platform.resources.io_manager import LakeIOManager
from forecast_platform.resources.lake import Lake
from forecast_platform.resources.model_settings import ModelSettings
from forecast_platform.schemas.metrics import HoldoutForecasts
from forecast_platform.schemas.tables import as_table
from forecast_platform.settings import PROJECT_ROOT, Settings
from forecast_platform_tests.fakes import InMemoryRegistry
from forecast_platform_tests.receivers import Endpoint, Mailbox, free_port, http_endpoint

pytestmark = [pytest.mark.slow, pytest.mark.integration]

KEY = RegionWeek("north", pd.Timestamp("2024-03-04"))
COMMAND = str(Path(sys.executable).with_name("forecast-platform"))
IN_BACKGROUND = 'trap "" INT; exec "$0" "$@"'
PATIENCE = 240
"""Seconds until something has happened at the latest, on a busy machine too."""


@dataclass(frozen=True)
class Installation:
    """A platform that `forecast-platform dev` runs, and who is told of its troubles."""

    home: Path
    url: str
    instance: dg.DagsterInstance
    mailbox: Mailbox
    endpoint: Endpoint

    def n_looks(self) -> int:
        return sum(
            len(self.instance.get_ticks(state.instigator_origin_id, state.selector_id))
            for state in self.instance.all_instigator_state()
            if state.instigator_name == "alert_sensor"
        )

    def wait_until(self, happened: Callable[[], bool]) -> None:
        until = time.monotonic() + PATIENCE
        while not happened():
            if time.monotonic() > until:
                pytest.fail((self.home / "dev.log").read_text()[-4000:])
            time.sleep(0.5)

    def ask(self, query: str) -> dict:
        """Ask the UI's own interface."""
        answer = requests.post(f"{self.url}/graphql", json={"query": query}, timeout=60)
        return answer.json()["data"]


def alerts_file(folder: Path, mail_port: int) -> Path:
    mail = {"host": "127.0.0.1", "port": mail_port, "security": "none", "sender": "f@example.org"}
    path = folder / "alerts.yaml"
    told = {
        "sinks": {
            "mail": {"type": "email", "to": ["ops@example.org"], **mail},
            "hook": {"type": "webhook", "format": "json", "url_env": "HOOK_URL"},
        },
        "routes": [{"to": ["mail", "hook"], "kinds": ["run_failed", "check_failed"]}],
        "missed_after_hours": None,
    }
    path.write_text(yaml.safe_dump(told))
    return path


@pytest.fixture
def installation(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Installation]:
    """Start it as a shell starts what runs in the background: with SIGINT ignored."""
    mailbox, port = Mailbox(), free_port()
    mail_server = Controller(mailbox, hostname="127.0.0.1", port=free_port())
    mail_server.start()
    url = f"http://127.0.0.1:{port}"
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    dagster_home = prepare_home(Settings(home=tmp_path), tmp_path / "dagster_home")
    with http_endpoint() as endpoint, dg.DagsterInstance.from_config(str(dagster_home)) as instance:
        add_regions(instance, [KEY.region])
        own = {
            "DAGSTER_HOME": str(dagster_home),
            "FORECAST_PLATFORM_HOME": str(tmp_path),
            "FORECAST_PLATFORM_DEPLOYMENT": "dev",
            "FORECAST_PLATFORM_DAGSTER_URL": url,
            "FORECAST_PLATFORM_ALERTS_FILE": str(alerts_file(tmp_path, mail_server.port)),
            "FORECAST_PLATFORM_ALERTS_INTERVAL_SECONDS": "5",
            "FORECAST_PLATFORM_LANDING_INTERVAL_SECONDS": "3600",
            "FORECAST_PLATFORM_RETRAINING_INTERVAL_SECONDS": "3600",
            "HOOK_URL": endpoint.url,
            "OMP_NUM_THREADS": "1",
        }
        inherited = {name: value for name, value in os.environ.items() if "FORECAST_" not in name}
        with (tmp_path / "dev.log").open("w") as log:
            process = subprocess.Popen(
                ["/bin/sh", "-c", IN_BACKGROUND, COMMAND, "dev", "--port", str(port)],
                cwd=PROJECT_ROOT,
                env=inherited | own,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
            try:
                yield Installation(tmp_path, url, instance, mailbox, endpoint)
                end(process)
            finally:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                process.wait(timeout=20)
                mail_server.stop()


def end(process: subprocess.Popen[bytes]) -> None:
    """Ask it to end; nothing that it started may be left."""
    process.terminate()
    until = time.monotonic() + 80  # without a word it takes for ever
    while (process.poll() is None or is_left(process.pid)) and time.monotonic() < until:
        time.sleep(0.2)
    assert process.poll() == 0
    assert not is_left(process.pid)


def is_left(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


def run_twice(installation: Installation, lake: Lake, asset: str) -> None:
    """Run an asset of the platform and its checks on the installation's records and lake."""
    selection = dg.AssetSelection.assets(asset)
    job = dg.define_asset_job(f"make_{asset}", selection, partitions_def=region_weeks)
    definitions = dg.Definitions(
        assets=[trained_ensembles, validation_metrics],
        asset_checks=[mape_is_significant],
        jobs=[job],
        resources={
            "lake": lake,
            "lake_io_manager": LakeIOManager(lake=lake),
            "registry": InMemoryRegistry(),
            "model_settings": ModelSettings(),
        },
    )
    for _ in range(2):
        definitions.resolve_job_def(job.name).execute_in_process(
            partition_key=KEY.key, instance=installation.instance, raise_on_error=False
        )


def far_off() -> pd.DataFrame:
    """A held-out week that the ensemble has missed by 90 %."""
    series = {"unique_id": "S1/P1", "format": "large", "velocity": "fast", "segment": "large_fast"}
    made = dict.fromkeys(("lasso", "embedding_net", "ensemble", "historical_average"), 19.0)
    between = dict.fromkeys(("y_hat_p10", "y_hat_p50", "y_hat_p90"), 19.0)
    when = {"region": KEY.region, "week": KEY.week, "origin": KEY.week, "ds": KEY.week, "h": 1}
    rows = pd.DataFrame([when | series | made | between | {"y": 10.0, "other_members": None}])
    return as_table(rows, HoldoutForecasts)


def test_what_failed_reaches_people_once_with_a_link_that_leads_there(installation: Installation):
    lake = Lake(uri=str(installation.home / "lake"))
    lake.write("holdout_forecasts", far_off(), [KEY], run_id="test")
    installation.wait_until(lambda: installation.n_looks() >= 1)

    run_twice(installation, lake, "trained_ensembles")
    run_twice(installation, lake, "validation_metrics")

    taken = installation.endpoint.taken
    installation.wait_until(lambda: len(taken) >= 2 and len(installation.mailbox.mails) >= 2)
    looks = installation.n_looks()
    installation.wait_until(lambda: installation.n_looks() >= looks + 3)
    [failed, unpassed] = sorted(taken, key=lambda one: one["alerts"][0]["kind"], reverse=True)
    assert [len(taken), len(installation.mailbox.mails)] == [2, 2], "folded: told once"
    [run_alert], [check_alert] = failed["alerts"], unpassed["alerts"]
    assert (run_alert["kind"], run_alert["partition"]) == ("run_failed", KEY.key)
    assert "failed in trained_ensembles" in run_alert["title"]
    assert (check_alert["kind"], check_alert["severity"]) == ("check_failed", "warning")
    assert "MAPE 0.900 is above 0.45" in check_alert["happened"]
    texts = [mail.get_content() for mail in installation.mailbox.mails]
    for alert in (run_alert, check_alert):
        [text] = [one for one in texts if alert["title"] in one]
        for part in ("What happened", "Done automatically", "What to do"):
            assert re.search(rf"{part}: \S.+", text)
        assert alert["link"] in text
        assert alert["link"].startswith(installation.url)
        assert requests.get(alert["link"], timeout=60).status_code == 200
    run_id = urlsplit(run_alert["link"]).path.rsplit("/", 1)[-1]
    asset = urlsplit(check_alert["link"]).path.rsplit("/", 1)[-1]
    seen = installation.ask(
        f'{{ runOrError(runId: "{run_id}") {{ ... on Run {{ status }} }} '
        f'assetNodeOrError(assetKey: {{path: ["{asset}"]}}) {{ __typename }} }}'
    )
    assert seen["runOrError"] == {"status": "FAILURE"}
    assert seen["assetNodeOrError"] == {"__typename": "AssetNode"}
    log = lake.read("alert_log")
    assert set(log[log["event"] == "raised"].groupby("fingerprint").size()) == {2}
