"""Fixtures that more than one folder shares."""

from pathlib import Path

import pytest

from forecast_platform import settings as settings_module
from forecast_platform.settings import Settings


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty FORECAST_PLATFORM_HOME, in force in this process."""
    monkeypatch.delenv("DAGSTER_HOME", raising=False)
    settings = Settings(home=tmp_path / "home")
    monkeypatch.setattr(settings_module, "get_settings", lambda: settings)
    return settings.home
