import re
import shlex
from pathlib import Path

import pytest
import typer

from forecast_platform.cli.app import app
from forecast_platform.definitions import defs
from forecast_platform.settings import PROJECT_ROOT, Settings

PAGES = [
    PROJECT_ROOT / "README.md",
    PROJECT_ROOT / "deploy" / "README.md",
    *sorted((PROJECT_ROOT / "docs").rglob("*.md")),
]
ASSETS = sorted(
    node.key.to_user_string()
    for node in defs.resolve_asset_graph().asset_nodes
    if node.is_executable
)
SETTINGS = [f"FORECAST_PLATFORM_{name.upper()}" for name in Settings.model_fields]
AUTOMATION = ["weekly_forecast", "condition_data", "weekly_forecast_schedule", "landing_sensor"]
AUTOMATION += ["deep_forecast", "deep_forecast_schedule"]
AUTOMATION += ["lake_maintenance", "lake_maintenance_schedule", "alert_sensor"]
AUTOMATION += ["decide_on_models", "rescue_sensor", "forecast_anyway"]
AUTOMATION += ["retrain_ensemble", "retraining_sensor"]
AUTOMATION += ["start_experiment", "stop_experiment"]


GUIDES = [*PAGES, PROJECT_ROOT / "CONTRIBUTING.md", *(PROJECT_ROOT / "examples").rglob("*.md")]
COMMAND_LINE = re.compile(r"^(?:\$ )?(?:\w+=\S+ )*(?:\S*/)?forecast-platform (.+)$", re.MULTILINE)
QUOTED = re.compile(r"`(?:\S*/)?forecast-platform ([^`]+)`")


def commands_in(page: Path) -> list[str]:
    """What a page tells its reader to type after ``forecast-platform``."""
    text = page.read_text(encoding="utf-8").replace("\\\n", " ")
    return [*COMMAND_LINE.findall(text), *QUOTED.findall(text)]


def wrong_with(told: str) -> str:
    """Say which command or option does not exist; nothing if all do."""
    words, command = shlex.split(told, comments=True), typer.main.get_command(app)
    while words and words[0] in (known := getattr(command, "commands", {})):
        command = known[words.pop(0)]
    if words and hasattr(command, "commands") and not words[0].startswith("-"):
        return f"no command {words[0]}"
    options = {name for one in command.params for name in [*one.opts, *one.secondary_opts]}
    given = {word.partition("=")[0] for word in words if word.startswith("--")}
    return ", ".join(sorted(given - options - {"--help"}))


def test_every_command_that_a_page_shows_exists_with_its_options() -> None:
    told = [(page.name, command) for page in GUIDES for command in commands_in(page)]

    assert len(told) > 50
    assert {one: wrong_with(one[1]) for one in told if wrong_with(one[1])} == {}


@pytest.mark.parametrize("told", ["modelz list", "models lst north", "run --regoin north"])
def test_a_command_that_does_not_exist_is_seen(told: str) -> None:
    assert wrong_with(told)


@pytest.fixture(scope="module")
def docs() -> str:
    return "\n".join(Path(page).read_text(encoding="utf-8") for page in PAGES)


@pytest.mark.parametrize("name", [*ASSETS, *SETTINGS, *AUTOMATION])
def test_the_documentation_mentions(name, docs):
    assert name in docs
