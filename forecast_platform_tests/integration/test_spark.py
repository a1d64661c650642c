"""The same simulated box, conditioned by the same dbt models on DuckDB and on Spark."""

import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import dagster as dg
import numpy as np
import pandas as pd
import pytest

from forecast_platform.definitions import build_definitions
from forecast_platform.partitions import RegionWeek
from forecast_platform.resources.conditioning import Conditioning, TestOutcome
from forecast_platform.resources.conditioning_inputs import RAW_TABLES
from forecast_platform.resources.dbt_project import ConditioningFailed
from forecast_platform.resources.lake import Lake
from forecast_platform.resources.lake_rows import to_pandas
from forecast_platform.schemas.conditioned import MARTS
from forecast_platform.settings import PROJECT_ROOT, Settings
from forecast_platform.simulation import RetailerConfig, simulate

needs_spark = [
    pytest.mark.skipif(
        not (PROJECT_ROOT / ".venv-spark" / ".installed").exists(),
        reason="Spark is not installed: make setup-spark",
    ),
    pytest.mark.skipif(
        not (shutil.which("java") or os.environ.get("JAVA_HOME")),
        reason="Java is not installed: apt-get install openjdk-17-jre-headless",
    ),
]
pytestmark = [pytest.mark.spark, pytest.mark.slow, pytest.mark.integration, *needs_spark]

REGIONS = ("north", "south")
RETAILER = RetailerConfig(regions=REGIONS, stores_per_region=6, products=8, n_weeks=24)
WEEKS = list(pd.date_range(RETAILER.first_week, periods=RETAILER.n_weeks, freq="7D").as_unit("us"))
BOX = [RegionWeek(region, week) for region in REGIONS for week in WEEKS[12:]]
WARTS = ("duplicate_rows", "unknown_store", "negative_units")
RELATIVE = 1e-12
"""Sums and means: two engines add the same numbers in different orders."""


class Build(NamedTuple):
    """What one engine made of the box."""

    marts: Mapping[str, pd.DataFrame]
    tests: list[TestOutcome]


def land(home: Path) -> Lake:
    """Simulate, land and accept all weeks; return the lake with the raw tables."""
    settings = Settings(home=home)
    simulate(RETAILER, Path(settings.landing), warts=WARTS)
    definitions = build_definitions(settings)
    box = {
        "dagster/asset_partition_range_start": f"{REGIONS[0]}|{WEEKS[0]:%Y-%m-%d}",
        "dagster/asset_partition_range_end": f"{REGIONS[-1]}|{WEEKS[-1]:%Y-%m-%d}",
    }
    with dg.DagsterInstance.ephemeral() as instance:
        for region in REGIONS:
            instance.add_dynamic_partitions("region", [region])
        job = definitions.resolve_job_def("condition_data")
        raw = [dg.AssetKey(name) for name in RAW_TABLES]
        assert job.execute_in_process(instance=instance, tags=box, asset_selection=raw).success
    return definitions.resources["lake"]


def deliver_late(lake: Lake) -> None:
    """Let a store of the north say nothing of a week, and say it with a correction two later."""
    silent, corrected, delivered = WEEKS[15], WEEKS[16], WEEKS[17]
    shipments = lake.read("raw_shipments", region="north", since=silent, until=delivered)
    store = shipments["store_id"].iloc[0]
    is_late = (shipments["store_id"] == store) & (shipments["week"] == silent)
    late = shipments[is_late].assign(ds=silent, week=delivered)
    restated = shipments[shipments["week"] == corrected].head(5)
    restated = restated.assign(
        units_shipped=restated["units_shipped"] + 3, ds=corrected, week=delivered
    )
    rows = pd.concat([shipments[~is_late], late, restated], ignore_index=True)
    rows["known_on"] = rows["week"] + pd.Timedelta(days=6)
    keys = [RegionWeek("north", week) for week in (silent, corrected, delivered)]
    lake.write("raw_shipments", rows, keys, run_id="late")
    returns = lake.read("raw_returns", region="north", weeks=[silent])
    others = returns[returns["store_id"] != store]
    lake.write("raw_returns", others, keys[:1], run_id="late", allow_empty=True)


def lose_weather(lake: Lake) -> None:
    """Let the south lose the forecast of one week, and all that was said of one day in a zip."""
    weeks = WEEKS[14:19]
    weather = lake.read("raw_weather", region="south", weeks=weeks)
    is_day = (weather["zip"] == weather["zip"].min()) & (
        weather["day"] == weeks[-1] + pd.Timedelta(days=2)
    )
    is_forecast = (weather["kind"] == "forecast") & (weather["week"] == weeks[-1])
    keys = [RegionWeek("south", week) for week in weeks]
    lake.write("raw_weather", weather[~(is_day | is_forecast)], keys, run_id="lost")


def make_outliers(lake: Lake) -> None:
    """Let four series of the south sell out, and four sell a hundred times as much."""
    week = WEEKS[20]
    shipments = lake.read("raw_shipments", region="south", weeks=[week])
    biggest = shipments["units_shipped"].nlargest(8).index
    shipments.loc[biggest[:4], "units_shipped"] = 0
    shipments.loc[biggest[4:], "units_shipped"] *= 100
    lake.write("raw_shipments", shipments, [RegionWeek("south", week)], run_id="odd")


def build(lake: Lake, target: str) -> Build:
    with Conditioning(target=target).build(lake, BOX) as built:
        built.raise_for_problems()
        marts = {mart: to_pandas(built.read(mart, key_of(mart)).to_table()) for mart in MARTS}
        return Build(marts, list(built.tests))


def key_of(mart: str) -> list[str]:
    return list(MARTS[mart].to_schema().unique or [])


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Lake:
    lake = land(tmp_path_factory.mktemp("spark") / "home")
    deliver_late(lake)
    lose_weather(lake)
    make_outliers(lake)
    return lake


@pytest.fixture(scope="module")
def on_duckdb(lake: Lake) -> Build:
    return build(lake, "run")


@pytest.fixture(scope="module")
def on_spark(lake: Lake) -> Build:
    return build(lake, "spark")


@pytest.mark.parametrize("mart", sorted(MARTS))
def test_mart_on_spark_equals_the_mart_on_duckdb(mart: str, on_duckdb, on_spark) -> None:
    expected, found = on_duckdb.marts[mart], on_spark.marts[mart]

    assert not expected.empty
    assert list(found.columns) == list(expected.columns)
    assert found.dtypes.to_dict() == expected.dtypes.to_dict()
    doubles = expected.select_dtypes("float").columns
    exact = expected.columns.difference(doubles)
    pd.testing.assert_frame_equal(found[exact], expected[exact])
    for column in doubles:
        np.testing.assert_allclose(
            found[column], expected[column], rtol=RELATIVE, atol=0, err_msg=column
        )


def test_both_engines_run_the_same_tests_with_the_same_verdicts(on_duckdb, on_spark) -> None:
    def verdicts(build: Build) -> dict[str, tuple[str, int]]:
        return {test.unique_id: (test.status, test.n_failures) for test in build.tests}

    assert len(on_duckdb.tests) > 20
    assert verdicts(on_spark) == verdicts(on_duckdb)


def test_box_has_what_engines_could_disagree_on(on_duckdb) -> None:
    """The comparison would say little of a box where nothing goes wrong."""
    demand = on_duckdb.marts["fct_weekly_demand"]
    weather = on_duckdb.marts["fct_weekly_weather"]
    prices = on_duckdb.marts["fct_weekly_prices"]

    assert (demand["ds"] < demand["week"]).any()
    assert not demand["is_reported"].all()
    assert demand["is_outlier"].any()
    assert demand["is_stock_out_likely"].any()
    assert demand["is_filled"].any()
    assert set(weather["origin"]) >= {"observed", "forecast"}
    assert (weather["n_days_filled"] > 0).any()
    assert prices["relative_price"].notna().any()
    assert (on_duckdb.marts["fct_weekly_events"]["event"] != "none").any()


def test_failing_test_on_spark_publishes_nothing_and_shows_the_rows(lake: Lake) -> None:
    version = lake.version("raw_stores")
    stores = lake.read("raw_stores", region="north", weeks=[WEEKS[0]])
    keys = [RegionWeek("north", WEEKS[0])]
    lake.write("raw_stores", pd.concat([stores, stores]), keys, run_id="twice")
    try:
        with Conditioning(target="spark").build(lake, BOX[:1], select=["dim_stores"]) as built:
            with pytest.raises(ConditioningFailed, match="stg_lake__stores_has_a_unique_key"):
                built.raise_for_problems()
            (failed,) = [test for test in built.tests if test.status == "fail"]
            assert failed.rows is not None
            assert set(failed.rows["n_rows"]) == {2}
    finally:
        lake.write("raw_stores", stores, keys, run_id="mended")
    assert lake.version("raw_stores") == version + 2
