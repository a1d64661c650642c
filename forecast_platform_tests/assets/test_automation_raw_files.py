"""The landing sensor against the real landing area, raw assets and lake."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import dagster as dg
import pytest

from forecast_platform.assets.raw import raw_assets
from forecast_platform.automation.deliveries import Cursor
from forecast_platform.automation.sensors import ask_for_changes, look_at
from forecast_platform.partitions import parse_week
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


def test_a_week_that_is_not_over_waits(platform):
    look = look_at(platform.landing, {"north", "south"}, parse_week(WEEKS[0]))

    assert {key.week.date() for key in look.deliveries} == {date.fromisoformat(WEEKS[0])}
    assert look.n_early > 0
