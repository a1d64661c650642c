"""What is delivered in a week is seen from that week on: corrections and weather forecasts."""

import csv
import shutil
from collections.abc import Sequence

import dagster as dg
import pandas as pd
import pytest
import yaml

from forecast_platform.definitions import build_definitions
from forecast_platform.launching.instance import open_lake
from forecast_platform.partitions import RegionWeek
from forecast_platform.resources.demand import read_demand
from forecast_platform.resources.lake import Lake
from forecast_platform.resources.sources import DEFAULT_SOURCES
from forecast_platform.settings import Settings
from forecast_platform.simulation import RetailerConfig, simulate

pytestmark = [pytest.mark.integration, pytest.mark.slow]

RETAILER = RetailerConfig(regions=("north",), stores_per_region=4, products=5, n_weeks=34)
FIRST, LAST = pd.Timestamp(RETAILER.first_week), pd.Timestamp(RETAILER.last_week)
TOLD = LAST.as_unit("us")
BEFORE = TOLD - pd.Timedelta(weeks=1)
ABOUT = TOLD - pd.Timedelta(weeks=6)
DATA = ("raw", "conditioned", "features")
MODELS = ("training", "validation", "promotion", "forecasting")
OF_THE_RUN = ["run_id", "git_commit", "model_version", "mlflow_run_id", "artifact_uri"]
BY_WEEK = ("fct_weekly_demand", "fct_weekly_weather", "demand_features")
BY_MODELS = ("holdout_forecasts", "validation_metrics", "forecasts")


def run(settings: Settings, first: pd.Timestamp, last: pd.Timestamp, groups: Sequence[str]) -> None:
    definitions = build_definitions(settings)
    keys = [
        spec.key
        for spec in definitions.resolve_all_asset_specs()
        if spec.group_name in groups and spec.partitions_def is not None
    ]
    job = definitions.resolve_job_def(
        "condition_data" if set(groups) <= set(DATA) else "weekly_forecast"
    )
    span = {
        "dagster/asset_partition_range_start": f"north|{first:%Y-%m-%d}",
        "dagster/asset_partition_range_end": f"north|{last:%Y-%m-%d}",
    }
    with dg.DagsterInstance.ephemeral() as instance:
        instance.add_dynamic_partitions("region", ["north"])
        assert job.execute_in_process(instance=instance, asset_selection=keys, tags=span).success


def correct(settings: Settings) -> Settings:
    """Deliver five times the shipments of an earlier week inside the last one's delivery."""
    folder = settings.home / "landing" / "shipments" / "north"
    [old] = (folder / f"{ABOUT:%Y-%m-%d}").glob("*.csv")
    with old.open(newline="") as file:
        rows = list(csv.DictReader(file))
    with (folder / f"{TOLD:%Y-%m-%d}" / "shipments_corrected.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(
            row | {"units_shipped": str(5 * int(row["units_shipped"]))} for row in rows
        )
    sources = yaml.safe_load(DEFAULT_SOURCES.read_text())
    sources["sources"]["shipments"]["allow_corrections"] = True
    path = settings.home / "sources.yaml"
    path.write_text(yaml.safe_dump(sources))
    return settings.model_copy(update={"sources_file": path})


def forecast_other_weather(lake: Lake) -> None:
    """Let the weather forecasts that were issued in the last week say something else."""
    rows = lake.read("raw_weather", region="north", weeks=[TOLD])
    is_forecast = rows["kind"] == "forecast"
    colder = rows["temperature_c"].mask(is_forecast, rows["temperature_c"] - 30)
    assert is_forecast.any()
    changed = rows.assign(temperature_c=colder)
    lake.write("raw_weather", changed, [RegionWeek("north", TOLD)], run_id="test")


@pytest.fixture(scope="module")
def lakes(tmp_path_factory: pytest.TempPathFactory) -> tuple[Lake, Lake]:
    """The same retailer with and without what its last week told of others; all is made anew."""
    folder = tmp_path_factory.mktemp("known_then")
    plain, corrected = (Settings(home=folder / name, epochs=1) for name in ("plain", "corrected"))
    simulate(RETAILER, plain.home / "landing")
    run(plain, FIRST, LAST, DATA)
    shutil.copytree(plain.home, corrected.home)
    corrected = correct(corrected)
    run(corrected, TOLD, TOLD, DATA[:1])
    forecast_other_weather(open_lake(corrected))
    run(corrected, FIRST, LAST, DATA[1:])
    for settings in (plain, corrected):
        run(settings, BEFORE, BEFORE, MODELS)
        run(settings, TOLD, TOLD, MODELS)
    return open_lake(plain), open_lake(corrected)


def rows(lake: Lake, table: str, **selection: pd.Timestamp) -> pd.DataFrame:
    found = lake.read(table, region="north", **selection)
    return found.drop(columns=[name for name in OF_THE_RUN if name in found])


@pytest.mark.parametrize("table", [*BY_WEEK, *BY_MODELS])
def test_no_earlier_week_sees_it(lakes: tuple[Lake, Lake], table: str) -> None:
    plain, corrected = (rows(lake, table, until=BEFORE) for lake in lakes)

    assert len(plain)
    pd.testing.assert_frame_equal(plain, corrected, check_exact=True)


@pytest.mark.parametrize("table", [*BY_WEEK, *BY_MODELS])
def test_the_week_that_was_told_sees_it(lakes: tuple[Lake, Lake], table: str) -> None:
    plain, corrected = (rows(lake, table, since=TOLD) for lake in lakes)

    assert not plain.equals(corrected)


def test_the_correction_replaces_what_it_corrects(lakes: tuple[Lake, Lake]) -> None:
    plain, corrected = (
        read_demand(lake, "north", TOLD).set_index(["unique_id", "ds"])["y"] for lake in lakes
    )

    assert not corrected.index.has_duplicates
    assert set(corrected.index) == set(plain.index)
    differs = corrected[corrected != plain.reindex(corrected.index)]
    assert set(differs.index.get_level_values("ds")) == {ABOUT}
    sold = plain.xs(ABOUT, level="ds").sum()
    assert corrected.xs(ABOUT, level="ds").sum() > 4 * sold


def test_labels_of_the_training_are_corrected_from_the_week_on(lakes: tuple[Lake, Lake]) -> None:
    for week, is_same in ((BEFORE, True), (TOLD, False)):
        digests = [
            lake.read("trained_ensembles", region="north", weeks=[week])["sha256"].tolist()
            for lake in lakes
        ]
        assert (digests[0] == digests[1]) is is_same


def test_weather_is_the_forecast_that_had_been_issued(lakes: tuple[Lake, Lake]) -> None:
    plain, corrected = (
        rows(lake, "demand_features", since=BEFORE).set_index(["week", "unique_id", "ds"])[
            "temperature"
        ]
        for lake in lakes
    )

    colder = (plain - corrected) > 20
    assert not colder[BEFORE].any()
    assert colder[TOLD].any()
