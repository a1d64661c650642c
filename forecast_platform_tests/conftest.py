"""Fixtures that more than one folder shares."""

import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from forecast_platform import settings as settings_module
from forecast_platform.resources.registry import ModelRegistry
from forecast_platform.settings import Settings


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty FORECAST_PLATFORM_HOME, in force in this process."""
    monkeypatch.delenv("DAGSTER_HOME", raising=False)
    settings = Settings(home=tmp_path / "home")
    monkeypatch.setattr(settings_module, "get_settings", lambda: settings)
    return settings.home


@pytest.fixture(scope="session")
def prepared_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty MLflow database; making its tables takes seconds, copying it does not."""
    path = tmp_path_factory.mktemp("registry") / "mlflow.db"
    registry = ModelRegistry(tracking_uri=f"sqlite:///{path}")
    with registry._connected():
        pass
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")  # into the one file that is copied
    return path


@pytest.fixture
def make_registry(prepared_database: Path, tmp_path: Path) -> Callable[[], ModelRegistry]:
    def make() -> ModelRegistry:
        path = tmp_path / "registry" / "mlflow.db"
        path.parent.mkdir(exist_ok=True)
        shutil.copy(prepared_database, path)
        return ModelRegistry(
            tracking_uri=f"sqlite:///{path}", artifacts_uri=str(path.parent / "artifacts")
        )

    return make
