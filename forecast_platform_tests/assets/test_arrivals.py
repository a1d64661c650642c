"""Files as they really arrive: late, twice, in parts, corrected in place and corrected later."""

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import dagster as dg
import pandas as pd
import pytest

from forecast_platform.assets.raw import raw_assets
from forecast_platform.automation.deliveries import Cursor
from forecast_platform.automation.sensors import ask_for_changes, look_at
from forecast_platform.checks.raw import raw_account_checks
from forecast_platform.partitions import parse_week
from forecast_platform.resources.lake import Lake
from forecast_platform.resources.landing import Landing

HEADER = "store_id,product_id,week,units_shipped"
FIRST, SECOND, THIRD = "2024-03-04", "2024-03-11", "2024-03-18"
BY_WEEK = "shipments/{region}/{week}/*.csv"
SHIPMENTS = [one for one in raw_assets if one.key.path[-1] == "raw_shipments"]


@dataclass
class Feed:
    """One source of one region: its files, the sensor's ticks, the raw table and its ledger."""

    root: Path
    instance: dg.DagsterInstance
    lake: Lake
    cursor: Cursor = field(default_factory=Cursor)
    keys: dict[str, object] = field(default_factory=dict)

    @property
    def landing(self) -> Landing:
        described = {"path": BY_WEEK, "required": "weekly", "max_refused_share": 1} | self.keys
        file = self.root / "sources.yaml"
        file.write_text(json.dumps({"sources": {"shipments": described}}))
        return Landing(uri=str(self.root / "landing"), sources_file=str(file))

    def deliver(self, name: str, *rows: str, at: int = 1_700_000_000) -> Path:
        path = self.root / "landing/shipments/north" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("\n".join([HEADER, *rows]) + "\n")
        os.utime(path, (at, at))
        return path

    def asked(self) -> list[str]:
        """Weeks that two ticks ask for."""
        found = []
        for _ in range(2):
            look = look_at(self.landing, {"north"}, parse_week(THIRD))
            found += ask_for_changes(self.landing, self.lake, look, self.cursor)
        return [str(one.partition_key).partition("|")[2] for one in found]

    def take_in(self, *weeks: str) -> None:
        for week in weeks:
            result = dg.materialize(
                [*SHIPMENTS, raw_account_checks],
                selection=dg.AssetSelection.assets(*SHIPMENTS),
                partition_key=f"north|{week}",
                resources={"landing": self.landing, "lake": self.lake},
                instance=self.instance,
            )
            assert result.success
            assert [one.passed for one in result.get_asset_check_evaluations()] == [True]

    def units(self, week: str, version: int | None = None) -> dict[tuple[str, str], float]:
        """Units by product and the week that they are about."""
        rows = self.lake.read("raw_shipments", weeks=[pd.Timestamp(week)], version=version)
        keys = zip(rows["product_id"], rows["ds"].astype(str), strict=True)
        return dict(zip(keys, rows["units_shipped"], strict=True))

    def fates(self, week: str) -> list[tuple[object, ...]]:
        """Rows accepted, refused and repeated of each file, and why."""
        rows = self.lake.read("row_ledger", weeks=[pd.Timestamp(week)]).sort_values("file")
        counts = ["rows_accepted", "rows_quarantined", "rows_duplicate", "reasons"]
        return list(rows[counts].itertuples(index=False, name=None))


@pytest.fixture
def feed(tmp_path: Path) -> Iterator[Feed]:
    with dg.DagsterInstance.ephemeral() as instance:
        instance.add_dynamic_partitions("region", ["north"])
        yield Feed(tmp_path, instance, Lake(uri=str(tmp_path / "lake"), git_commit="abc"))


def test_a_week_that_comes_late_is_asked_for_alone_and_changes_no_later_week(feed: Feed):
    for week in (SECOND, THIRD):
        feed.deliver(f"{week}/s.csv", f"S1,P1,{week},2")
    assert feed.asked() == [SECOND, THIRD]
    feed.take_in(SECOND, THIRD)

    feed.deliver(f"{FIRST}/s.csv", f"S1,P1,{FIRST},1")

    assert feed.asked() == [FIRST]
    feed.take_in(FIRST)
    assert [feed.units(week) for week in (FIRST, SECOND, THIRD)] == [
        {("P1", FIRST): 1},
        {("P1", SECOND): 2},
        {("P1", THIRD): 2},
    ]
    assert feed.asked() == []


def test_a_week_that_is_delivered_twice_is_taken_in_once(feed: Feed):
    feed.deliver(f"{FIRST}/s.csv", f"S1,P1,{FIRST},1")
    assert feed.asked() == [FIRST]
    feed.take_in(FIRST)

    feed.deliver(f"{FIRST}/s.csv", f"S1,P1,{FIRST},1", at=1_700_000_999)

    assert feed.asked() == []
    assert feed.fates(FIRST) == [(1, 0, 0, "{}")]


def test_a_copy_beside_the_first_file_is_counted_as_duplicates(feed: Feed):
    feed.deliver(f"{FIRST}/s.csv", f"S1,P1,{FIRST},1")
    feed.deliver(f"{FIRST}/s (1).csv", f"S1,P1,{FIRST},1")

    feed.take_in(FIRST)

    assert feed.units(FIRST) == {("P1", FIRST): 1}
    assert sorted(feed.fates(FIRST)) == [(0, 0, 1, "{}"), (1, 0, 0, "{}")]
    assert feed.asked() == []


def test_parts_of_a_week_are_one_delivery(feed: Feed):
    feed.deliver(f"{FIRST}/part-1.csv", f"S1,P1,{FIRST},1", f"S1,P2,{FIRST},2")
    feed.deliver(f"{FIRST}/part-2.csv", f"S1,P3,{FIRST},3")
    assert feed.asked() == [FIRST]
    feed.take_in(FIRST)

    assert feed.units(FIRST) == {("P1", FIRST): 1, ("P2", FIRST): 2, ("P3", FIRST): 3}
    assert feed.fates(FIRST) == [(2, 0, 0, "{}"), (1, 0, 0, "{}")]

    feed.deliver(f"{FIRST}/part-10.csv", f"S1,P4,{FIRST},4")
    assert feed.asked() == [FIRST], "a part that follows belongs to the same week"


def test_a_week_that_is_restated_in_place_is_replaced_and_the_old_one_stays_readable(feed: Feed):
    feed.deliver(f"{FIRST}/s.csv", f"S1,P1,{FIRST},1", f"S1,P2,{FIRST},2")
    assert feed.asked() == [FIRST]
    feed.take_in(FIRST)
    before = feed.lake.version("raw_shipments")

    feed.deliver(f"{FIRST}/s_2.csv", f"S1,P1,{FIRST},9")

    assert feed.asked() == [FIRST]
    feed.take_in(FIRST)
    assert feed.units(FIRST) == {("P1", FIRST): 9, ("P2", FIRST): 2}
    assert feed.units(FIRST, before) == {("P1", FIRST): 1, ("P2", FIRST): 2}
    assert feed.fates(FIRST) == [(1, 1, 0, '{"superseded": 1}'), (1, 0, 0, "{}")]


@pytest.mark.parametrize("path", ["{ds}/{delivered}.csv", "{week}/{delivered}.csv"])
def test_a_correction_that_is_delivered_later_is_known_from_then_on(feed: Feed, path: str):
    feed.keys = {"path": f"shipments/{{region}}/{path}"}
    feed.deliver(f"{FIRST}/2024-03-11.csv", f"S1,P1,{FIRST},1")
    assert feed.asked() == [FIRST]
    feed.take_in(FIRST)

    feed.deliver(f"{FIRST}/2024-03-20.csv", f"S1,P1,{FIRST},9")

    assert feed.asked() == [THIRD]
    feed.take_in(FIRST, THIRD)
    assert feed.units(FIRST) == {("P1", FIRST): 1}, "the old week never sees it"
    assert feed.units(THIRD) == {("P1", FIRST): 9}
    known = feed.lake.read("row_ledger", weeks=[pd.Timestamp(THIRD)])["known_on"]
    assert known.astype(str).tolist() == ["2024-03-20"]


@pytest.mark.parametrize("allowed", [True, False])
def test_rows_of_an_earlier_week_in_a_later_file_correct_it_where_the_source_says_so(
    feed: Feed, *, allowed: bool
):
    feed.keys = {"allow_corrections": allowed}
    feed.deliver(f"{FIRST}/s.csv", f"S1,P1,{FIRST},1")
    feed.deliver(f"{SECOND}/s.csv", f"S1,P1,{SECOND},2", f"S1,P1,{FIRST},9")

    feed.take_in(FIRST, SECOND)

    own = {("P1", SECOND): 2.0}
    assert feed.units(FIRST) == {("P1", FIRST): 1}
    assert feed.units(SECOND) == (own | {("P1", FIRST): 9.0} if allowed else own)
    refused = (2, 0, 0, "{}") if allowed else (1, 1, 0, '{"other_week": 1}')
    assert feed.fates(SECOND) == [refused]


def test_a_row_about_another_week_than_the_path_names_goes_to_quarantine(feed: Feed):
    feed.keys = {"path": "shipments/{region}/{ds}/{delivered}.csv"}
    feed.deliver(f"{FIRST}/2024-03-20.csv", f"S1,P1,{FIRST},1", f"S1,P2,{SECOND},2")

    feed.take_in(THIRD)

    assert feed.units(THIRD) == {("P1", FIRST): 1}
    assert feed.fates(THIRD) == [(1, 1, 0, '{"other_week": 1}')]
