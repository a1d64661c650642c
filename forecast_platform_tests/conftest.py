"""Fixtures that more than one folder shares."""

import os
import shutil
import sqlite3
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import hypothesis
import pytest

_HOME = tempfile.TemporaryDirectory(prefix="forecast-platform-tests-")
os.environ["FORECAST_PLATFORM_HOME"] = _HOME.name
"""What is read of the settings when a module is imported, as the code location is, must not lead to
the data of the person who runs the tests."""

from forecast_platform import settings as settings_module  # noqa: E402
from forecast_platform.resources.registry import ModelRegistry  # noqa: E402
from forecast_platform.settings import Settings  # noqa: E402

hypothesis.settings.register_profile("unhurried", deadline=None)
hypothesis.settings.load_profile("unhurried")  # a loaded machine is no mistake of the code

BINARIES = Path("/usr/lib/postgresql/15/bin")


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty FORECAST_PLATFORM_HOME, in force in this process."""
    monkeypatch.delenv("DAGSTER_HOME", raising=False)
    settings = Settings(home=tmp_path / "home")
    monkeypatch.setattr(settings_module, "get_settings", lambda: settings)
    return settings.home


@pytest.fixture(scope="session")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A PostgreSQL server of its own, over a socket in a folder of its own."""
    if not (BINARIES / "initdb").exists():
        pytest.skip("PostgreSQL 15 is not installed")
    folder = Path(tempfile.mkdtemp(prefix="pg"))
    as_user: dict[str, str] = {}
    if os.geteuid() == 0:
        as_user = {"user": "postgres"}
        shutil.chown(folder, "postgres")
    data = str(folder / "data")

    def run(*command: str) -> None:
        subprocess.run(command, check=True, capture_output=True, cwd=folder, **as_user)

    run(str(BINARIES / "initdb"), "-D", data, "-A", "trust", "-N", "-U", "postgres")
    options = f"-k {folder} -c listen_addresses='' -c fsync=off"
    run(str(BINARIES / "pg_ctl"), "-D", data, "-o", options, "-l", f"{folder}/log", "-w", "start")
    try:
        yield f"postgresql://postgres:s3cr%40t@/postgres?host={folder}"
    finally:
        run(str(BINARIES / "pg_ctl"), "-D", data, "-m", "immediate", "-w", "stop")
        shutil.rmtree(folder)


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
