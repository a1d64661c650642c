"""Assets that take and return frames, kept in the lake by the IO manager."""

from pathlib import Path

import dagster as dg
import pandas as pd
import pyarrow as pa
import pytest

from forecast_platform.errors import WriteRefused
from forecast_platform.partitions import RegionWeek, backfill_policy, region_weeks, region_weeks_of
from forecast_platform.resources.io_manager import (
    COLUMNS,
    MAY_BE_EMPTY,
    READ_VERSIONS,
    LakeIOManager,
)
from forecast_platform.resources.lake import Lake

WEEKS = list(pd.date_range("2024-01-01", periods=3, freq="W-MON").as_unit("us"))
NORTH, SOUTH = RegionWeek("north", WEEKS[0]), RegionWeek("south", WEEKS[0])


@dg.asset(partitions_def=region_weeks, backfill_policy=backfill_policy, io_manager_key="lake_io")
def units(context: dg.AssetExecutionContext) -> pd.DataFrame:
    keys = region_weeks_of(context)
    return pd.DataFrame(keys, columns=["region", "week"]).assign(units=1.0, note="n")


@dg.asset(
    partitions_def=region_weeks,
    backfill_policy=backfill_policy,
    io_manager_key="lake_io",
    ins={"units": dg.AssetIn(metadata={COLUMNS: ["units"]})},
)
def doubled(units: pd.DataFrame) -> pd.DataFrame:
    assert list(units.columns) == ["region", "week", "units"]
    return units.assign(units=units["units"] * 2)


@dg.asset(partitions_def=region_weeks, backfill_policy=backfill_policy, io_manager_key="lake_io")
def counted(units: pa.Table) -> pa.Table:
    return units.select(["region", "week"]).append_column("n", pa.array([len(units)] * len(units)))


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake(uri=str(tmp_path / "lake"))


def make(lake: Lake, assets, first: RegionWeek, last: RegionWeek):
    instance = dg.DagsterInstance.ephemeral()
    instance.add_dynamic_partitions("region", ["north", "south"])
    return dg.materialize(
        assets,
        instance=instance,
        resources={"lake_io": LakeIOManager(lake=lake)},
        tags={
            "dagster/asset_partition_range_start": first.key,
            "dagster/asset_partition_range_end": last.key,
        },
    )


def test_a_box_of_region_weeks_is_one_commit(lake: Lake):
    make(lake, [units], NORTH, RegionWeek("south", WEEKS[1]))

    assert len(lake.read("units")) == 4
    assert lake.version("units") == 1


def test_inputs_are_the_region_weeks_of_the_run_alone(lake: Lake):
    make(lake, [units], NORTH, RegionWeek("south", WEEKS[2]))

    make(lake, [units, doubled, counted], SOUTH, RegionWeek("south", WEEKS[1]))

    assert lake.read("doubled")["units"].tolist() == [2.0, 2.0]
    assert set(lake.read("doubled")["region"]) == {"south"}
    assert lake.read("counted")["n"].tolist() == [2, 2]


def test_each_partition_says_its_rows_and_the_run_its_version(lake: Lake):
    result = make(lake, [units], NORTH, RegionWeek("north", WEEKS[1]))

    made = result.asset_materializations_for_node("units")
    assert {one.partition for one in made} == {RegionWeek("north", week).key for week in WEEKS[:2]}
    assert {one.metadata["dagster/partition_row_count"].value for one in made} == {1}
    assert {one.metadata["lake_version"].value for one in made} == {1}


def test_a_commit_says_its_run_and_what_was_read(lake: Lake):
    @dg.asset(partitions_def=region_weeks, io_manager_key="lake_io")
    def joined() -> dg.Output[pd.DataFrame]:
        rows = pd.DataFrame([NORTH], columns=["region", "week"]).assign(units=1.0)
        return dg.Output(rows, metadata={READ_VERSIONS: dg.MetadataValue.json({"units": 7})})

    result = make(lake, [joined], NORTH, NORTH)

    commit = lake.history("joined", 1)[0]
    assert commit["run_id"] == result.run_id
    assert commit["provenance"]["read"] == {"units": 7}
    (made,) = result.asset_materializations_for_node("joined")
    assert made.metadata[READ_VERSIONS].value == {"units": 7}
    assert made.metadata["git_commit"].value == lake.git_commit


def test_a_replaced_region_week_leaves_the_others_as_they_were(lake: Lake):
    make(lake, [units], NORTH, RegionWeek("south", WEEKS[2]))
    before = lake.read("units")

    make(lake, [units], SOUTH, SOUTH)

    assert lake.version("units") == 2
    pd.testing.assert_frame_equal(lake.read("units"), before)


def test_a_region_week_without_rows_is_refused_unless_the_asset_says_that_it_may_be(lake: Lake):
    columns = pd.DataFrame({"region": pd.Series(dtype="str"), "week": pd.DatetimeIndex([])})

    @dg.asset(partitions_def=region_weeks, io_manager_key="lake_io")
    def none() -> pd.DataFrame:
        return columns

    @dg.asset(partitions_def=region_weeks, io_manager_key="lake_io", metadata={MAY_BE_EMPTY: True})
    def seldom() -> pd.DataFrame:
        return columns

    with pytest.raises(WriteRefused, match="no rows"):
        make(lake, [none], NORTH, NORTH)
    assert make(lake, [seldom], NORTH, NORTH).success


def test_rows_of_another_region_week_are_refused(lake: Lake):
    @dg.asset(partitions_def=region_weeks, io_manager_key="lake_io")
    def wrong() -> pd.DataFrame:
        return pd.DataFrame([NORTH, SOUTH], columns=["region", "week"])

    with pytest.raises(WriteRefused, match=r"outside.*south"):
        make(lake, [wrong], NORTH, NORTH)
    assert not lake.exists("wrong")


def test_what_is_no_table_is_refused(lake: Lake):
    @dg.asset(partitions_def=region_weeks, io_manager_key="lake_io")
    def number():
        return 3

    with pytest.raises(WriteRefused, match="returned int"):
        make(lake, [number], NORTH, NORTH)


def test_an_asset_without_partitions_is_refused(lake: Lake):
    @dg.asset(io_manager_key="lake_io")
    def whole() -> pd.DataFrame:
        return pd.DataFrame([NORTH], columns=["region", "week"])

    with pytest.raises(WriteRefused, match="has no partitions"):
        dg.materialize([whole], resources={"lake_io": LakeIOManager(lake=lake)})
