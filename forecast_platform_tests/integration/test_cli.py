"""A small retailer taken the whole way by commands, as a person would type them."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

pytestmark = [pytest.mark.integration, pytest.mark.slow]

WEEKS = 32
LAST, NEXT = "2024-12-30", "2025-01-06"
FIRST = f"{pd.Timestamp(LAST) - pd.Timedelta(weeks=WEEKS - 1):%Y-%m-%d}"
REGIONS = ["north_texas", "south_texas"]
SIZE = ["--regions", "2", "--stores", "4", "--products", "5"]

Call = Callable[..., subprocess.CompletedProcess[str]]


def command_in(home: Path) -> Call:
    """Return a caller of the installed command with its data in ``home``."""
    environment = {key: value for key, value in os.environ.items() if "DAGSTER_HOME" not in key}
    environment |= {
        "FORECAST_PLATFORM_HOME": str(home),
        "FORECAST_PLATFORM_EPOCHS": "1",
        "OMP_NUM_THREADS": "1",
        "COLUMNS": "200",
    }

    def call(*arguments: str) -> subprocess.CompletedProcess[str]:
        script = Path(sys.executable).with_name("forecast-platform")
        return subprocess.run(
            [str(script), *arguments],
            check=False,
            env=environment,
            capture_output=True,
            text=True,
            timeout=300,
        )

    return call


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cli") / "home"


@pytest.fixture(scope="module")
def demo(home: Path) -> subprocess.CompletedProcess[str]:
    return command_in(home)("demo", *SIZE, "--weeks", str(WEEKS))


@pytest.fixture(scope="module")
def call(home: Path, demo: subprocess.CompletedProcess[str]) -> Call:
    """The command, after the demo ran."""
    assert demo.returncode == 0, demo.stderr[-3000:]
    return command_in(home)


def test_the_demo_ends_with_a_row_for_each_region_and_a_total(
    demo: subprocess.CompletedProcess[str],
) -> None:
    assert demo.returncode == 0, demo.stderr[-3000:]
    for name in (*REGIONS, "total"):
        assert name in demo.stdout
    assert "make dev" in demo.stdout


def test_the_demo_called_again_runs_nothing_and_shows_the_same(
    call: Call, demo: subprocess.CompletedProcess[str]
) -> None:
    again = call("demo", *SIZE, "--weeks", str(WEEKS))

    assert again.returncode == 0
    assert "done before" in again.stderr
    assert _table(again.stdout) == _table(demo.stdout)


def test_a_demo_of_another_size_does_not_touch_the_one_that_is_there(call: Call) -> None:
    result = call("demo", "--regions", "3")

    assert result.returncode == 1
    assert "another size" in result.stderr


def test_forecasts_are_shown_with_who_made_them(call: Call) -> None:
    result = call("forecast", "show", "--region", "north_texas", "--limit", "5")

    assert result.returncode == 0, result.stderr
    assert "served_by" in result.stdout
    assert LAST in result.stdout


def test_csv_and_parquet_hold_the_same_forecasts(call: Call, tmp_path: Path) -> None:
    for name in ("forecasts.csv", "forecasts.parquet"):
        assert call("forecast", "export", "--to", str(tmp_path / name)).returncode == 0

    table = pd.read_parquet(tmp_path / "forecasts.parquet")
    text = pd.read_csv(tmp_path / "forecasts.csv")

    assert list(text.columns) == list(table.columns)
    assert sorted(table["region"].unique()) == REGIONS
    assert sorted(table["h"].unique()) == [1, 2, 3, 4]
    assert (table["week"] == pd.Timestamp(LAST)).all()
    pd.testing.assert_series_equal(text["y_hat"], table["y_hat"], check_exact=False)


def test_an_export_of_nothing_fails_and_writes_nothing(call: Call, tmp_path: Path) -> None:
    result = call("forecast", "export", "--store", "nowhere", "--to", str(tmp_path / "none.csv"))

    assert result.returncode == 1
    assert "no forecast fits" in result.stderr
    assert list(tmp_path.iterdir()) == []


def test_the_next_week_of_one_region_is_run_when_its_files_arrive(call: Call) -> None:
    size = [*SIZE, "--weeks", str(WEEKS + 1), "--first-week", FIRST]
    assert call("simulate", *size).returncode == 0

    result = call("run", "--region", "north_texas", "--week", NEXT)

    assert result.returncode == 0, result.stderr[-3000:]
    shown = call("forecast", "show", "--region", "north_texas")
    assert NEXT in shown.stdout
    status = call("status")
    rows = {line.split()[0]: line for line in status.stdout.splitlines() if line.strip()}
    assert rows["north_texas"].count(NEXT) == 3
    assert rows["south_texas"].count(LAST) == 3


def test_a_week_without_files_fails_says_so_and_keeps_what_was_there(
    call: Call, home: Path
) -> None:
    shutil.rmtree(home / "landing" / "shipments" / "south_texas" / NEXT, ignore_errors=True)

    result = call("run", "--region", "south_texas", "--week", NEXT)

    assert result.returncode == 1
    assert "raw_shipments" in result.stderr
    assert "Traceback" not in result.stderr
    assert f"forecast-platform run --regions south_texas --week {NEXT}" in result.stderr
    assert f"failed south_texas: {NEXT}" in call("status").stderr
    assert call("forecast", "show", "--region", "south_texas", "--week", LAST).returncode == 0


def _table(text: str) -> list[str]:
    return [line for line in text.splitlines() if "│" in line]
