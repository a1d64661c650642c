"""Delivered files become raw tables, and every row of them is accounted for."""

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dagster as dg
import pandas as pd
import pytest

from forecast_platform.assets.raw import raw_assets
from forecast_platform.checks.raw import raw_account_checks, raw_schema_checks
from forecast_platform.partitions import RegionWeek, parse_key
from forecast_platform.resources.lake import Lake, WriteReceipt
from forecast_platform.resources.landing import Landing
from forecast_platform.resources.reporting import is_part
from forecast_platform.simulation import WARTS, RetailerConfig, simulate

RETAILER = RetailerConfig(regions=("north", "south"), stores_per_region=4, products=5, n_weeks=10)
WEEKS = [str(week.date()) for week in pd.date_range(RETAILER.first_week, periods=10, freq="W-MON")]
FIRST, LAST = f"north|{WEEKS[0]}", f"south|{WEEKS[-1]}"
COUNTS = ["rows_read", "rows_accepted", "rows_quarantined", "rows_duplicate"]


@dataclass
class Intake:
    landing: Landing
    lake: Lake
    instance: dg.DagsterInstance

    @property
    def folder(self) -> Path:
        return Path(self.landing.uri)

    def take(self, first: str, last: str | None = None, source: str = "shipments"):
        """Take in one source for a region-week, or for the range up to another one."""
        tags = {
            "dagster/asset_partition_range_start": first,
            "dagster/asset_partition_range_end": last or first,
        }
        assets = [one for one in raw_assets if one.key.path[-1] == f"raw_{source}"]
        checks = [
            one
            for one in raw_schema_checks
            if next(iter(one.check_keys)).asset_key == assets[0].key
        ]
        return dg.materialize(
            [*assets, *checks, raw_account_checks],
            selection=dg.AssetSelection.assets(*assets),
            instance=self.instance,
            resources={"landing": self.landing, "lake": self.lake},
            tags=tags if last else None,
            partition_key=None if last else first,
            raise_on_error=False,
        )

    def audit(self, first: str, last: str, source: str = "shipments") -> dg.AssetCheckEvaluation:
        """Hold what is stored of a range to the ledger, without taking anything in."""
        (check,) = (key for key in raw_account_checks.check_keys if source in str(key.asset_key))
        result = dg.materialize(
            [*raw_assets, raw_account_checks],
            selection=dg.AssetSelection.checks(check),
            instance=self.instance,
            resources={"landing": self.landing, "lake": self.lake},
            tags={
                "dagster/asset_partition_range_start": first,
                "dagster/asset_partition_range_end": last,
            },
            raise_on_error=False,
        )
        evaluations = result.get_asset_check_evaluations()
        (evaluation,) = [one for one in evaluations if not is_part(one)]
        return evaluation

    def files(self, week: str, source: str = "shipments", region: str = "north") -> list[Path]:
        return sorted((self.folder / source / region / week).iterdir())

    def counts(self, week: str, source: str = "shipments") -> list[list[int]]:
        files = self.lake.read("row_ledger", region="north", weeks=[pd.Timestamp(week)])
        files = files[files["source"] == source].sort_values("file")
        return files[COUNTS].to_numpy().tolist()

    def refused(self, week: str) -> pd.DataFrame:
        return self.lake.read("quarantine", region="north", weeks=[pd.Timestamp(week)])

    def rows(self, week: str, source: str = "shipments") -> pd.DataFrame:
        return self.lake.read(f"raw_{source}", region="north", weeks=[pd.Timestamp(week)])


def why(result: dg.ExecuteInProcessResult) -> str:
    (failure,) = result.get_step_failure_events()
    return failure.step_failure_data.user_failure_data.description or ""


def event_of(result: dg.ExecuteInProcessResult, key: str) -> dg.AssetMaterialization:
    (event,) = [
        one.step_materialization_data.materialization
        for one in result.get_asset_materialization_events()
        if one.partition == key
    ]
    return event


@pytest.fixture(scope="module")
def delivered(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    right, spoiled = tmp_path_factory.mktemp("right"), tmp_path_factory.mktemp("spoiled")
    simulate(RETAILER, right)
    simulate(RETAILER, spoiled, warts=set(WARTS))
    return lambda warts: spoiled if warts else right


@pytest.fixture
def make(tmp_path: Path, delivered: Callable[..., Path]):
    with dg.DagsterInstance.ephemeral() as instance:
        instance.add_dynamic_partitions("region", ["north", "south"])

        def make(*, warts: bool = False) -> Intake:
            shutil.copytree(delivered(warts), tmp_path / "landing")
            landing = Landing(uri=str(tmp_path / "landing"))
            return Intake(landing, Lake(uri=str(tmp_path / "lake"), git_commit="abc"), instance)

        yield make


@pytest.fixture
def intake(make) -> Intake:
    return make()


@pytest.fixture
def spoiled(make) -> Intake:
    return make(warts=True)


def week_of(wart: str) -> str:
    return WEEKS[WARTS[wart].week_index]


# single region-weeks and ranges


@pytest.mark.parametrize("source", ["shipments", "weather", "stores", "events", "promotions"])
def test_a_region_week_is_taken_in_with_every_row(intake: Intake, source: str):
    assert intake.take(f"north|{WEEKS[0]}", source=source).success

    n_rows = len(pd.read_csv(intake.files(WEEKS[0], source)[0]))
    assert len(intake.rows(WEEKS[0], source)) == n_rows
    assert intake.counts(WEEKS[0], source) == [[n_rows, n_rows, 0, 0]]
    assert intake.lake.read(f"raw_{source}")["region"].unique().tolist() == ["north"]


def test_a_range_takes_in_what_its_region_weeks_take_in_one_by_one(intake: Intake):
    assert intake.take(FIRST, LAST).success
    at_once = intake.lake.read("raw_shipments")
    assert intake.take(f"south|{WEEKS[3]}").success

    pd.testing.assert_frame_equal(intake.lake.read("raw_shipments"), at_once)
    assert len(intake.lake.weeks_of("raw_shipments", "south")) == len(WEEKS)


def test_a_range_writes_each_table_once(intake: Intake):
    intake.take(FIRST, LAST)

    versions = {t: intake.lake.version(t) for t in ("raw_shipments", "quarantine", "row_ledger")}
    assert versions == {"raw_shipments": 1, "quarantine": 1, "row_ledger": 1}


def test_each_region_week_says_its_rows_and_files(intake: Intake):
    result = intake.take(FIRST, LAST)

    for key in (FIRST, LAST):
        region, week = key.split("|")
        metadata = event_of(result, key).metadata
        file = intake.files(week, region=region)[0]
        n_rows = len(pd.read_csv(file))
        assert metadata["dagster/partition_row_count"].value == n_rows
        assert metadata["rows_accepted"].value == n_rows
        (one,) = metadata["files"].value
        assert (one["file"], one["size_bytes"]) == (
            file.relative_to(intake.folder).as_posix(),
            file.stat().st_size,
        )


def test_taking_in_again_changes_nothing(intake: Intake):
    intake.take(FIRST)
    before = intake.rows(WEEKS[0]), intake.counts(WEEKS[0])

    intake.take(FIRST)

    pd.testing.assert_frame_equal(intake.rows(WEEKS[0]), before[0])
    assert intake.counts(WEEKS[0]) == before[1]


def test_rows_of_a_withdrawn_file_go_away(intake: Intake):
    intake.take(FIRST, source="promotions")
    assert len(intake.rows(WEEKS[0], "promotions"))
    intake.files(WEEKS[0], "promotions")[0].unlink()

    assert intake.take(FIRST, source="promotions").success

    assert intake.rows(WEEKS[0], "promotions").empty
    assert intake.counts(WEEKS[0], "promotions") == []


def test_a_weekly_file_may_hold_a_header_alone(intake: Intake):
    file = intake.files(WEEKS[0], "returns")[0]
    file.write_text(file.read_text().splitlines()[0] + "\n")

    assert intake.take(FIRST, source="returns").success
    assert intake.counts(WEEKS[0], "returns") == [[0, 0, 0, 0]]


# the data version follows the content


def version_of(intake: Intake) -> tuple[str, object]:
    event = event_of(intake.take(FIRST), FIRST)
    return event.tags["dagster/data_version"], event.metadata["content_digest"].value


def test_the_data_version_changes_with_the_content_and_only_then(intake: Intake):
    first = version_of(intake)
    assert version_of(intake) == first
    file = intake.files(WEEKS[0])[0]
    content = file.read_bytes()

    file.write_bytes(content)
    assert version_of(intake) == first, "touching a file is no change"
    file.write_bytes(content + content.splitlines()[1] + b"\n")
    changed = version_of(intake)
    file.write_bytes(content)

    assert changed[0] != first[0]
    assert changed[1] != first[1]
    assert version_of(intake) == first, "the same content is the same version"


def test_a_range_tells_the_same_digest_of_each_region_week(intake: Intake):
    _, digest = version_of(intake)

    at_once = event_of(intake.take(FIRST, LAST), FIRST)

    assert at_once.metadata["content_digest"].value == digest


# what is wrong with one delivery does not stop the others


def test_a_missing_week_fails_by_name_and_the_others_are_written(spoiled: Intake):
    week = week_of("missing_week")

    result = spoiled.take(f"north|{WEEKS[1]}", f"north|{WEEKS[3]}")

    assert not result.success
    assert "1 region-weeks could not be taken in, 2 were" in why(result)
    assert f"north|{week}: no file was delivered" in why(result)
    assert f"shipments/north/{week}/*.csv" in why(result)
    written = spoiled.lake.weeks_of("raw_shipments", "north")
    assert [str(one.date()) for one in written] == [WEEKS[1], WEEKS[3]]


def test_the_weeks_that_a_failing_range_has_written_are_told_to_dagster(intake: Intake):
    intake.files(WEEKS[1])[0].write_text("")

    result = intake.take(FIRST, f"north|{WEEKS[2]}")

    assert not result.success
    told = event_of(result, FIRST)
    assert told.metadata["rows_accepted"].value == len(intake.rows(WEEKS[0]))
    assert told.tags["dagster/data_version"] == version_of(intake)[0]
    partitions = {one.partition for one in result.get_asset_materialization_events()}
    assert partitions == {FIRST, f"north|{WEEKS[2]}"}


def test_a_missing_week_alone_writes_nothing(spoiled: Intake):
    assert not spoiled.take(f"north|{week_of('missing_week')}").success
    assert spoiled.lake.version("raw_shipments") is None


@pytest.mark.parametrize("source", ["stores", "promotions", "events"])
def test_what_need_not_be_delivered_every_week_may_be_missing(intake: Intake, source: str):
    shutil.rmtree(intake.folder / source / "north" / WEEKS[0])

    assert intake.take(FIRST, source=source).success


def test_a_bad_file_fails_by_name_and_the_others_are_written(intake: Intake):
    intake.files(WEEKS[1])[0].write_text("")

    result = intake.take(FIRST, f"north|{WEEKS[2]}")

    assert f"shipments/north/{WEEKS[1]}/shipments.csv cannot be read as csv" in why(result)
    written = intake.lake.weeks_of("raw_shipments", "north")
    assert [str(one.date()) for one in written] == [WEEKS[0], WEEKS[2]]
    assert intake.counts(WEEKS[1]) == []


def test_a_bad_file_leaves_what_was_taken_in_before(intake: Intake):
    intake.take(FIRST)
    before = intake.rows(WEEKS[0])
    intake.files(WEEKS[0])[0].write_text("")

    assert not intake.take(FIRST).success

    pd.testing.assert_frame_equal(intake.rows(WEEKS[0]), before)


def test_an_empty_landing_area_says_what_to_do(intake: Intake):
    shutil.rmtree(intake.folder)

    assert "is empty or does not exist: deliver files as" in why(intake.take(FIRST))


# every row is accounted for


class LosingLake(Lake):
    """A lake that loses the last row of raw tables."""

    def write(self, table: str, rows: pd.DataFrame, *args: Any, **kwargs: Any) -> WriteReceipt:
        kept = rows.iloc[:-1] if table.startswith("raw_") else rows
        return super().write(table, kept, *args, **kwargs)


def test_a_row_that_was_lost_fails_the_run_and_stops_what_is_downstream(intake: Intake):
    @dg.asset(deps=["raw_shipments"])
    def downstream() -> None: ...

    result = dg.materialize(
        [raw_assets[0], downstream, raw_account_checks],
        instance=intake.instance,
        resources={
            "landing": intake.landing,
            "lake": LosingLake(uri=intake.lake.uri, git_commit="abc"),
        },
        partition_key=FIRST,
        raise_on_error=False,
    )

    assert not result.success
    (evaluation,) = [one for one in result.get_asset_check_evaluations() if not is_part(one)]
    assert not evaluation.passed
    n_rows = intake.counts(WEEKS[0])[0][0]
    assert (
        f"rows_accepted is {n_rows} in row_ledger, and raw_shipments holds {n_rows - 1} rows"
        in str(evaluation.description)
    )
    assert not result.asset_materializations_for_node("downstream")


def lose_refused(lake: Lake, key: RegionWeek) -> None:
    rows = lake.read("quarantine", region=key.region, weeks=[key.week])
    extra = {"source": "shipments"}
    lake.write("quarantine", rows.iloc[1:], [key], run_id="x", extra_keys=extra)


def double_rows(lake: Lake, key: RegionWeek) -> None:
    rows = lake.read("raw_shipments", region=key.region, weeks=[key.week])
    lake.write("raw_shipments", pd.concat([rows, rows]), [key], run_id="x")


def forget_files(lake: Lake, key: RegionWeek) -> None:
    rows = lake.read("row_ledger", region=key.region, weeks=[key.week])
    extra = {"source": "shipments"}
    lake.write("row_ledger", rows[:0], [key], run_id="x", extra_keys=extra, allow_empty=True)


@pytest.mark.parametrize(
    ("damage", "told"),
    [
        (lose_refused, "rows_quarantined is 3 in row_ledger, and quarantine holds 2 rows"),
        (double_rows, "rows_accepted is"),
        (forget_files, "none in row_ledger"),
    ],
)
def test_a_table_that_disagrees_with_the_ledger_is_told_by_its_week(spoiled: Intake, damage, told):
    week = week_of("negative_units")
    range_ = f"north|{week}", f"south|{week}"
    assert spoiled.take(*range_).success
    assert spoiled.audit(*range_).passed

    damage(spoiled.lake, parse_key(range_[0]))

    evaluation = spoiled.audit(*range_)
    assert not evaluation.passed
    assert told in str(evaluation.description)
    assert evaluation.metadata["failed_region_weeks"].value == [range_[0]]


def test_a_week_that_was_not_published_is_held_to_its_quarantine_alone(intake: Intake):
    assert intake.take(FIRST).success
    file = intake.files(WEEKS[0])[0]
    header, *rows = file.read_text().splitlines()
    file.write_text("\n".join([header, rows[0], *(row + "x" for row in rows[1:])]))

    assert "max_refused_share" in why(intake.take(FIRST))
    assert intake.audit(FIRST, FIRST).passed

    lose_refused(intake.lake, parse_key(FIRST))
    assert not intake.audit(FIRST, FIRST).passed


def test_rows_that_no_partition_can_hold_are_told_with_their_region(intake: Intake, tmp_path: Path):
    rows = pd.read_csv(intake.files(WEEKS[0])[0]).assign(area="north")
    lost = rows.head(3).assign(area=["nroth", "nroth", None])
    early = rows.head(1).assign(week="2001-01-01")
    pd.concat([rows, lost, early]).to_csv(intake.folder / "all.csv", index=False)
    described = "{path: all.csv, required: weekly, columns: {region: area}}"
    (tmp_path / "sources.yaml").write_text(f"sources: {{shipments: {described}}}")
    intake.landing = Landing(uri=str(intake.folder), sources_file=str(tmp_path / "sources.yaml"))

    metadata = event_of(intake.take(FIRST), FIRST).metadata

    assert metadata["rows_unplaced"].value == 4
    assert metadata["unplaced"].value == {
        f"(no region)|{WEEKS[0]}": 1,
        "north|2001-01-01": 1,
        f"nroth|{WEEKS[0]}": 2,
    }
    assert intake.counts(WEEKS[0]) == [[len(rows), len(rows), 0, 0]]


# every wart that the simulator knows


def test_duplicate_rows_are_dropped_and_counted(spoiled: Intake):
    week = week_of("duplicate_rows")

    assert spoiled.take(f"north|{week}").success

    ((read, accepted, refused, duplicate),) = spoiled.counts(week)
    assert duplicate > 0
    assert refused == 0
    assert accepted == read - duplicate == len(spoiled.rows(week))


def test_a_late_correction_replaces_the_rows_that_it_names(spoiled: Intake):
    week = week_of("late_correction")
    right = pd.read_csv(spoiled.files(week)[1])

    assert spoiled.take(f"north|{week}").success

    first, correction = spoiled.counts(week)
    assert first[2] + first[3] == len(right)
    assert correction[1] == correction[0] == len(right)
    mended = spoiled.rows(week)
    mended = mended[mended["source_file"].str.contains("correction")]
    assert mended["units_shipped"].tolist() == right["units_shipped"].tolist()
    reasons = set(spoiled.refused(week)["reason"])
    assert reasons <= {"was replaced by a later file of the same week"}


def test_rows_of_an_unknown_store_are_kept_for_the_marts_to_judge(spoiled: Intake):
    week = week_of("unknown_store")

    assert spoiled.take(f"north|{week}").success

    assert "XX00-9999" in set(spoiled.rows(week)["store_id"])


def test_negative_units_are_refused(spoiled: Intake):
    week = week_of("negative_units")

    assert spoiled.take(f"north|{week}").success

    refused = spoiled.refused(week)
    assert refused["row_number"].tolist() == [2, 3, 4]
    assert set(refused["reason"]) == {"fails greater_than_or_equal_to(0)"}


def test_a_renamed_column_fails_with_what_the_file_has(spoiled: Intake):
    result = spoiled.take(f"north|{week_of('renamed_column')}")

    assert "has no column units_shipped" in why(result)
    assert "qty_shipped" in why(result)


def test_a_truncated_file_fails_and_nothing_of_it_is_taken(spoiled: Intake):
    week = week_of("truncated_file")

    result = spoiled.take(f"north|{week}", source="weather")

    assert f"weather/north/{week}/weather.csv cannot be read as csv" in why(result)
    assert spoiled.lake.version("raw_weather") is None


def test_unreadable_units_are_refused_one_by_one(spoiled: Intake):
    week = week_of("unreadable_units")

    assert spoiled.take(f"north|{week}").success

    assert spoiled.refused(week)["value"].tolist() == ["1_000", "inf", "n/a"]
    assert 12.5 in set(spoiled.rows(week)["units_shipped"]), "units may be weights"
