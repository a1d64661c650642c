"""The commands that show and try alerts."""

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
from typer.testing import CliRunner

from forecast_platform import settings as settings_module
from forecast_platform.cli.app import app
from forecast_platform.resources.alerts.resource import Alerts
from forecast_platform.resources.lake import Lake
from forecast_platform_tests.unit.alerts.conftest import LOGGER, an_alert

FILE = """
sinks:
  hook: {type: webhook, format: slack, url_env: TEST_HOOK_URL, max_tries: 1, timeout_seconds: 1}
routes:
  - {to: [hook, log], kinds: [run_failed], severity: error}
"""


@pytest.fixture
def file(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    file = tmp_path / "alerts.yaml"
    file.write_text(FILE)
    settings = settings_module.Settings(home=home, alerts_file=file)
    monkeypatch.setattr(settings_module, "get_settings", lambda: settings)
    return file


def test_a_test_says_of_each_sink_whether_it_took_the_message(
    file: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("TEST_HOOK_URL", "http://127.0.0.1:9/")
    monkeypatch.setenv("no_proxy", "127.0.0.1")

    result = CliRunner().invoke(app, ["alerts", "test"])

    assert result.exit_code == 1
    assert "log: delivered" in result.stdout
    assert "hook: not delivered: the receiver of TEST_HOOK_URL: Conn" in result.stdout
    assert "1 of 2 sinks did not take" in result.stderr


def test_a_test_of_an_unknown_sink_names_those_that_there_are(file: Path):
    result = CliRunner().invoke(app, ["alerts", "test", "--sink", "fax"])

    assert result.exit_code == 2
    assert "there are log, hook" in result.stderr


def test_check_config_shows_routes_and_names_variables_that_are_not_set(file: Path):
    result = CliRunner().invoke(app, ["alerts", "check-config"])

    assert result.exit_code == 1
    assert "run_failed" in result.stdout
    assert "not set: TEST_HOOK_URL" in result.stderr


def test_check_config_names_a_mistake_with_its_place(file: Path):
    file.write_text("routes: [{to: [fax]}]")

    result = CliRunner().invoke(app, ["alerts", "check-config", str(file)])

    assert result.exit_code == 1
    assert "routes.0.to: 'fax' is no sink" in result.stderr


def test_list_shows_open_troubles_and_messages_that_wait(file: Path, home: Path):
    assert "No trouble is open." in CliRunner().invoke(app, ["alerts", "list"]).stderr
    notifier = Alerts(file=str(file), dagster_url="http://ui").notifier(
        Lake(uri=str(home / "lake")), run_id="test", logger=LOGGER
    )
    now = datetime.now(UTC)
    notifier.observe(now, [an_alert("the region")])
    notifier.deliver(now)

    shown = CliRunner().invoke(app, ["alerts", "list"])
    [described] = json.loads(CliRunner().invoke(app, ["alerts", "list", "--json"]).stdout)

    assert "the region failed" in shown.stdout
    assert "waits for hook: the region failed (1 tries; the environment" in shown.stderr
    assert (described["told"], described["waiting"]) == (["hook", "log"], ["hook"])
