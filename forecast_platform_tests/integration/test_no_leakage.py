"""Nothing of the past changes when the future does: files to forecasts, the whole way."""

import csv
import shutil
from collections.abc import Callable
from pathlib import Path

import dagster as dg
import pandas as pd
import pytest

from forecast_platform.definitions import build_definitions
from forecast_platform.resources.lake import Lake
from forecast_platform.settings import Settings
from forecast_platform.simulation import RetailerConfig, simulate

pytestmark = [pytest.mark.integration, pytest.mark.slow]

RETAILER = RetailerConfig(regions=("north",), stores_per_region=4, products=5, n_weeks=34)
CUTOFF = pd.Timestamp(RETAILER.first_week) + pd.Timedelta(weeks=30)
LAST = pd.Timestamp(RETAILER.last_week)
BY_WEEK = ("fct_weekly_demand", "fct_weekly_prices", "fct_weekly_weather", "demand_features")
AT_CUTOFF = ("holdout_forecasts", "validation_metrics", "forecasts")
OF_THE_RUN = ["run_id", "git_commit", "model_version", "mlflow_run_id"]


def doubled(value: str) -> str:
    return str(int(value) * 2)


REWRITES: dict[str, tuple[str, Callable[[str], str]]] = {
    "shipments": ("units_shipped", doubled),
    "returns": ("units_returned", lambda _: "1"),
    "weather": ("temperature_c", lambda _: "-12.5"),
    "promotions": ("price", lambda _: "0.99"),
}


def rewrite_after(landing: Path, cutoff: pd.Timestamp) -> int:
    """Change every file that is delivered after ``cutoff``; return how many were."""
    changed = 0
    for source, (column, change) in REWRITES.items():
        for path in sorted((landing / source).rglob("*.csv")):
            if pd.Timestamp(path.parent.name) <= cutoff:
                continue
            with path.open(newline="") as file:
                rows = list(csv.DictReader(file))
            if not rows:
                continue
            with path.open("w", newline="") as file:
                writer = csv.DictWriter(file, list(rows[0]))
                writer.writeheader()
                writer.writerows(row | {column: change(row[column])} for row in rows)
            changed += 1
    return changed


def take_the_whole_way(home: Path) -> Lake:
    """Condition all weeks, then train and forecast as of the cutoff."""
    definitions = build_definitions(Settings(home=home, epochs=1))
    box = {
        "dagster/asset_partition_range_start": f"north|{RETAILER.first_week}",
        "dagster/asset_partition_range_end": f"north|{LAST:%Y-%m-%d}",
    }
    with dg.DagsterInstance.ephemeral() as instance:
        instance.add_dynamic_partitions("region", ["north"])
        data = definitions.resolve_job_def("condition_data")
        assert data.execute_in_process(instance=instance, tags=box).success
        week = definitions.resolve_job_def("weekly_forecast")
        models = [dg.AssetKey(name) for name in ("trained_ensembles", *AT_CUTOFF[1:], "promotion")]
        assert week.execute_in_process(
            instance=instance,
            partition_key=f"north|{CUTOFF:%Y-%m-%d}",
            asset_selection=models,
        ).success
    return definitions.resources["lake"]


@pytest.fixture(scope="module")
def lakes(tmp_path_factory: pytest.TempPathFactory) -> tuple[Lake, Lake]:
    """The same retailer, and one whose weeks after the cutoff went another way."""
    told, rewritten = (tmp_path_factory.mktemp(name) for name in ("told", "rewritten"))
    simulate(RETAILER, told / "landing")
    shutil.copytree(told / "landing", rewritten / "landing")
    assert rewrite_after(rewritten / "landing", CUTOFF) > 2 * len(REWRITES)
    return take_the_whole_way(told), take_the_whole_way(rewritten)


def rows(lake: Lake, table: str, **selection: pd.Timestamp) -> pd.DataFrame:
    table_rows = lake.read(table, region="north", **selection)
    return table_rows.drop(columns=[c for c in OF_THE_RUN if c in table_rows])


@pytest.mark.parametrize("table", BY_WEEK)
def test_later_files_change_no_row_of_earlier_weeks(lakes: tuple[Lake, Lake], table: str) -> None:
    told, rewritten = (rows(lake, table, until=CUTOFF) for lake in lakes)

    pd.testing.assert_frame_equal(told, rewritten)


@pytest.mark.parametrize("table", AT_CUTOFF)
def test_later_files_change_no_model_and_no_forecast(lakes: tuple[Lake, Lake], table: str) -> None:
    told, rewritten = (rows(lake, table, since=CUTOFF, until=CUTOFF) for lake in lakes)

    assert len(told)
    pd.testing.assert_frame_equal(told, rewritten, check_exact=True)


@pytest.mark.parametrize("table", BY_WEEK)
def test_later_files_do_change_later_weeks(lakes: tuple[Lake, Lake], table: str) -> None:
    told, rewritten = (rows(lake, table, since=CUTOFF + pd.Timedelta(weeks=1)) for lake in lakes)

    assert not told.equals(rewritten)
