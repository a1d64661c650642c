"""Promotions at the same time, by real processes, on SQLite and on PostgreSQL."""

import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from forecast_platform.resources.registry import Candidate, ModelRegistry

NAME = "demand-north-large-fast"
WEEKS = list(pd.date_range("2024-01-01", periods=6, freq="W-MON"))

PROMOTE = """
import sys
from pathlib import Path
from forecast_platform.resources.registry import ModelRegistry

uri, artifacts, start, *versions = sys.argv[1:]
registry = ModelRegistry(tracking_uri=uri, artifacts_uri=artifacts)
registry.champion("demand-north-large-fast", "challenger")
Path(start, versions[0]).touch()
while not Path(start, "go").exists():
    pass
for version in versions:
    registry.promote("demand-north-large-fast", int(version))
"""

COUNT = """
import sys, time
from pathlib import Path
from forecast_platform.resources.registry import ModelRegistry

uri, artifacts, start, counter = sys.argv[1:]
registry = ModelRegistry(tracking_uri=uri, artifacts_uri=artifacts)
registry.champion("demand-north-large-fast", "challenger")
Path(start, f"{counter}-{time.monotonic_ns()}").touch()
while not Path(start, "go").exists():
    pass
for _ in range(15):
    with registry.exclusive(["north", "south"]):
        number = int(Path(start, "number").read_text())
        time.sleep(0.005)
        Path(start, "number").write_text(str(number + 1))
"""


@pytest.fixture(params=["sqlite", "postgresql"])
def registry(
    request: pytest.FixtureRequest, make_registry: Callable[[], ModelRegistry], tmp_path: Path
) -> ModelRegistry:
    if request.param == "sqlite":
        return make_registry()
    url = request.getfixturevalue("postgres").replace("postgresql:", "postgresql+psycopg:")
    return ModelRegistry(tracking_uri=url, artifacts_uri=str(tmp_path / "artifacts"))


def register(registry: ModelRegistry) -> list[int]:
    made = []
    for number, week in enumerate(WEEKS):
        one = Candidate(name=NAME, files={"m": bytes([number])}, alias="challenger")
        [found] = registry.log_region_week("north", week, [one], metrics={}, params={}, tags={})
        made.append(found.version)
    return made


def start(code: str, registry: ModelRegistry, folder: Path, *arguments: str) -> subprocess.Popen:
    given = [registry.tracking_uri, registry.artifacts_uri, str(folder), *arguments]
    return subprocess.Popen([sys.executable, "-W", "ignore", "-c", code, *given])


def go(folder: Path, processes: list[subprocess.Popen]) -> None:
    """Let the processes begin together, once all of them are ready."""
    until = time.monotonic() + 120
    while len(list(folder.iterdir())) < len(processes) + (folder / "number").exists():
        assert time.monotonic() < until
        assert all(process.poll() is None for process in processes)
        time.sleep(0.02)
    (folder / "go").touch()


@pytest.mark.slow
def test_of_promotions_at_the_same_time_the_newest_model_wins_and_none_is_without_champion(
    registry: ModelRegistry, tmp_path: Path
):
    versions = register(registry)
    registry.promote(NAME, versions[0])
    folder = tmp_path / "start"
    folder.mkdir()
    rising, falling = [*map(str, versions)], [*map(str, reversed(versions))]
    processes = [
        start(PROMOTE, registry, folder, *order) for order in (rising, falling, rising[3:])
    ]
    go(folder, processes)

    seen = []
    while any(process.poll() is None for process in processes):
        seen.append(registry.champion(NAME).version)  # raises when there is no champion

    assert [process.returncode for process in processes] == [0, 0, 0]
    assert registry.champion(NAME).version == versions[-1]
    assert seen == sorted(seen), "an older champion took the place of a newer one"


@pytest.mark.slow
def test_only_one_process_at_a_time_holds_a_region(registry: ModelRegistry, tmp_path: Path):
    register(registry)
    folder = tmp_path / "start"
    folder.mkdir()
    (folder / "number").write_text("0")
    processes = [start(COUNT, registry, folder, f"counter-{one}") for one in range(2)]
    go(folder, processes)

    assert [process.wait(timeout=240) for process in processes] == [0, 0]
    assert (folder / "number").read_text() == "30"
