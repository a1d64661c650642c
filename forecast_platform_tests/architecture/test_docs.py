from pathlib import Path

import pytest

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


@pytest.fixture(scope="module")
def docs() -> str:
    return "\n".join(Path(page).read_text(encoding="utf-8") for page in PAGES)


@pytest.mark.parametrize("name", [*ASSETS, *SETTINGS, *AUTOMATION])
def test_the_documentation_mentions(name, docs):
    assert name in docs
