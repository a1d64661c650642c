"""What the alerts file may say, and what one learns when it says something else."""

from pathlib import Path

import pytest

from forecast_platform.errors import BadAlerts
from forecast_platform.resources.alerts.config import AlertsConfig, read_alerts_file

MAIL = "{type: email, host: mail, sender: a@b.c, to: [d@e.f]%s}"


def written(tmp_path: Path, text: str) -> Path:
    file = tmp_path / "alerts.yaml"
    file.write_text(text)
    return file


@pytest.mark.parametrize(
    ("text", "told"),
    [
        pytest.param("sinkz: {}", "sinkz: is not a key here. Did you mean sinks?", id="key"),
        pytest.param(
            "sinks: {hook: {type: webhook, format: slack, url: http://x}}",
            "sinks.hook.webhook.url: is not a key here: put it into an environment variable and "
            "name that in url_env",
            id="secret-url",
        ),
        pytest.param(
            f"sinks: {{mail: {MAIL % ', password: hunter2'}}}",
            "name that in password_env",
            id="secret-password",
        ),
        pytest.param(
            f"sinks: {{mail: {MAIL % ', password_env: P'}}}",
            "a login needs both username_env and password_env",
            id="half-a-login",
        ),
        pytest.param(
            f"sinks: {{mail: {MAIL % ', security: none, username_env: U, password_env: P'}}}",
            "a password is not sent in clear text",
            id="clear-password",
        ),
        pytest.param("routes: [{to: [logg]}]", "Did you mean log?", id="unknown-sink"),
        pytest.param("routes: [{to: [log], kinds: [drifft]}]", "routes.0.kinds.0", id="kind"),
        pytest.param("routes: [{to: [log], region: north}]", "Did you mean regions?", id="route"),
        pytest.param("routes: [{to: [log], regions: [Nord!]}]", "not a region name", id="region"),
        pytest.param("sinks: [", "is not YAML", id="yaml"),
        pytest.param("sinks: {x: {type: fax}}", "'log', 'email', 'webhook'", id="type"),
        pytest.param("fold_hours: -1", "fold_hours: Input should be greater", id="number"),
    ],
)
def test_a_mistake_is_named_with_its_place(tmp_path: Path, text: str, told: str):
    with pytest.raises(BadAlerts) as problem:
        read_alerts_file(written(tmp_path, text))

    assert told in str(problem.value)
    assert "hunter2" not in str(problem.value)


def test_a_file_that_is_not_there_is_named(tmp_path: Path):
    with pytest.raises(BadAlerts, match=r"nowhere\.yaml: cannot be read"):
        read_alerts_file(tmp_path / "nowhere.yaml")


@pytest.mark.parametrize("text", ["", "# nothing yet"])
def test_an_empty_file_sends_all_into_the_log(tmp_path: Path, text: str):
    assert read_alerts_file(written(tmp_path, text)) == AlertsConfig() == read_alerts_file(None)
