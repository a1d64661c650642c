"""The landing sensor against the real landing area, raw assets and lake."""

import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import dagster as dg
import pandas as pd
import pytest

from forecast_platform.assets.raw import raw_assets
from forecast_platform.automation import sensors
from forecast_platform.automation.deliveries import Cursor
from forecast_platform.automation.sensors import Due, ask_for_changes, ask_for_many, look_at
from forecast_platform.partitions import RegionWeek, parse_week
from forecast_platform.resources.lake import Lake
from forecast_platform.resources.landing import Landing
from forecast_platform.simulation import RetailerConfig, simulate

pytestmark = pytest.mark.integration

RETAILER = RetailerConfig(regions=("north", "south"), stores_per_region=4, products=5, n_weeks=2)
WEEKS = (str(RETAILER.first_week), str(RETAILER.last_week))


@dataclass
class Platform:
    landing: Landing
    lake: Lake
    instance: dg.DagsterInstance

    def take_in(self, region: str, week: str) -> None:
        result = dg.materialize(
            raw_assets,
            partition_key=f"{region}|{week}",
            resources={"landing": self.landing, "lake": self.lake},
            instance=self.instance,
        )
        assert result.success

    def asked(self, cursor: Cursor, n_ticks: int = 2) -> list[str]:
        asked = []
        for _ in range(n_ticks):
            look = look_at(self.landing, {"north", "south"}, parse_week(WEEKS[-1]))
            asked += ask_for_changes(self.landing, self.lake, look, cursor)
        return [str(request.partition_key) for request in asked]

    def file(self, source: str, region: str, week: str) -> Path:
        (file,) = (Path(self.landing.uri) / source / region / week).iterdir()
        return file


@pytest.fixture
def platform(tmp_path: Path) -> Iterator[Platform]:
    simulate(RETAILER, tmp_path / "landing")
    with dg.DagsterInstance.ephemeral() as instance:
        instance.add_dynamic_partitions("region", ["north", "south"])
        landing, lake = Landing(uri=str(tmp_path / "landing")), Lake(uri=str(tmp_path / "lake"))
        yield Platform(landing, lake, instance)


def test_what_the_raw_assets_took_in_is_not_asked_for_and_the_rest_is(platform):
    platform.take_in("north", WEEKS[0])

    assert platform.asked(Cursor()) == [
        f"south|{WEEKS[0]}",
        f"north|{WEEKS[1]}",
        f"south|{WEEKS[1]}",
    ]


def test_a_corrected_delivery_is_asked_for_until_it_is_taken_in(platform):
    for week in WEEKS:
        platform.take_in("south", week)
    cursor = Cursor()
    platform.asked(cursor)
    shipments = platform.file("shipments", "south", WEEKS[0])
    header, _, *rest = shipments.read_text().splitlines(keepends=True)

    shipments.write_text("".join([header, *rest]))

    assert platform.asked(cursor) == [f"south|{WEEKS[0]}"]
    platform.take_in("south", WEEKS[0])
    assert f"south|{WEEKS[0]}" not in platform.asked(Cursor())


class Many:
    """Shipments in one file of all regions and weeks, the rest as the platform has it."""

    def __init__(self, platform: Platform, tmp_path: Path):
        self.platform, self.cursor = platform, Cursor()
        root = Path(platform.landing.uri)
        files = sorted(root.glob("shipments/*/*/*.csv"))
        parts = [pd.read_csv(one).assign(area=one.parts[-3]) for one in files]
        self.file = root / "all.csv"
        self.write(pd.concat(parts))
        shutil.rmtree(root / "shipments")
        described = {
            name: {"path": f"{name}/{{region}}/{{week}}/*.csv", "required": "optional"}
            for name in ("returns", "weather")
        }
        described["shipments"] = {
            "path": "all.csv",
            "required": "weekly",
            "columns": {"region": "area"},
        }
        described["events"] = {
            "sql": {"connection": "NOT_SET_URL", "table": "events", "week_column": "week"},
            "required": "optional",
            "region": "north",
        }
        (tmp_path / "sources.yaml").write_text(json.dumps({"sources": described}))
        platform.landing = Landing(
            uri=platform.landing.uri, sources_file=str(tmp_path / "sources.yaml")
        )

    def write(self, rows: pd.DataFrame) -> None:
        self.rows = rows
        rows.to_csv(self.file, index=False)

    def asked(self, n_ticks: int = 2, *, regions: tuple[str, ...] = ("north", "south")):
        """Region-weeks that ticks ask for because of the one file alone."""
        due = Due(set(regions), parse_week(WEEKS[-1]))
        asked = []
        for _ in range(n_ticks):
            look = look_at(self.platform.landing, due.registered, due.last_week)
            asked += ask_for_many(self.platform.landing, self.platform.lake, look, self.cursor, due)
            self.cursor = Cursor.from_text(self.cursor.to_text())
        return [str(one.partition_key) for one in asked]

    def take_in(self, region: str, week: str) -> None:
        result = dg.materialize(
            [one for one in raw_assets if one.key.path[-1] == "raw_shipments"],
            partition_key=f"{region}|{week}",
            resources={"landing": self.platform.landing, "lake": self.platform.lake},
            instance=self.platform.instance,
        )
        assert result.success


ALL = [f"{region}|{week}" for week in WEEKS for region in ("north", "south")]


def test_a_file_of_many_weeks_asks_for_its_region_weeks_once_it_has_come_to_rest(
    platform, tmp_path: Path
):
    many = Many(platform, tmp_path)

    assert many.asked(n_ticks=1) == []
    assert many.asked(n_ticks=1) == ALL
    assert many.asked(n_ticks=4) == []


def test_what_was_made_from_the_very_content_of_a_file_of_many_weeks_is_not_asked_for(
    platform, tmp_path: Path
):
    many = Many(platform, tmp_path)
    many.take_in("north", WEEKS[0])
    assert many.asked() == ALL[1:]

    many.write(many.rows.assign(units_shipped=many.rows["units_shipped"] + 1))
    assert many.asked() == ALL


def test_of_a_history_file_that_grows_the_changed_weeks_alone_are_asked_for(
    platform, tmp_path: Path
):
    many = Many(platform, tmp_path)
    for key in ALL[:3]:  # as if south had nothing yet in the second week
        many.take_in(*key.split("|"))
    is_last = (many.rows["area"] == "south") & (many.rows["week"] == WEEKS[1])
    whole = many.rows
    many.write(whole[~is_last])
    for key in ALL[:3]:
        many.take_in(*key.split("|"))

    many.write(pd.concat([whole[is_last], whole[~is_last]]))
    assert many.asked() == ALL[3:]

    many.take_in(*ALL[3].split("|"))
    is_first = (many.rows["area"] == "north") & (many.rows["week"] == WEEKS[0])
    many.write(many.rows.assign(units_shipped=many.rows["units_shipped"] + is_first))
    assert many.asked() == ALL[:1]


def test_a_ledger_of_an_earlier_release_is_read_and_grows_the_new_column(platform, tmp_path: Path):
    many = Many(platform, tmp_path)
    for key in ALL:
        many.take_in(*key.split("|"))
    ledger = platform.lake.read("row_ledger").drop(columns="rows_sha256")
    shutil.rmtree(Path(platform.lake.uri) / "row_ledger")
    for source, rows in ledger.groupby("source"):
        keys = {RegionWeek.of(*one) for one in zip(rows["region"], rows["week"], strict=True)}
        extra = {"source": str(source)}
        platform.lake.write("row_ledger", rows, keys, run_id="before", extra_keys=extra)

    assert many.asked() == []
    many.write(many.rows.iloc[:-1])
    assert many.asked() == ALL, "only the digest of the whole file was kept"
    many.take_in(*ALL[0].split("|"))

    kept = platform.lake.read("row_ledger").set_index(["region", "week"])["rows_sha256"]
    assert kept.notna().sum() == 1
    many.cursor = Cursor()
    assert many.asked() == ALL[1:]


def test_a_file_of_many_weeks_is_read_again_for_a_region_that_was_registered_later(
    platform, tmp_path: Path
):
    many = Many(platform, tmp_path)
    north = [key for key in ALL if key.startswith("north")]
    assert many.asked(regions=("north",)) == north
    for week in WEEKS:
        many.take_in("north", week)

    assert many.asked() == [key for key in ALL if key not in north]


def test_region_weeks_of_a_file_of_many_weeks_are_spread_over_ticks(
    platform, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(sensors, "MAX_REQUESTS", 3)
    many = Many(platform, tmp_path)
    many.asked(n_ticks=1)

    assert [many.asked(n_ticks=1) for _ in range(3)] == [ALL[:3], ALL[3:], []]


def test_a_file_of_many_weeks_that_cannot_be_read_is_told_and_asks_for_nothing(
    platform, tmp_path: Path
):
    many = Many(platform, tmp_path)
    many.file.write_bytes(b"")
    due = Due({"north"}, parse_week(WEEKS[-1]))
    for _ in range(2):
        look = look_at(platform.landing, due.registered, due.last_week)
        assert ask_for_many(platform.landing, platform.lake, look, many.cursor, due) == []

    assert "all.csv cannot be read" in look.told()


def test_a_week_that_is_not_over_waits(platform):
    look = look_at(platform.landing, {"north", "south"}, parse_week(WEEKS[0]))

    assert {key.week.date() for key in look.deliveries} == {date.fromisoformat(WEEKS[0])}
    assert look.n_early > 0
