"""The landing sensor's ticks, on files in a folder and a lake of one table."""

import hashlib
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import dagster as dg
import pandas as pd
import pytest

from forecast_platform.automation.sensors import MAX_REQUESTS, build_landing_sensor

RECORDED = ["region", "week", "source", "sha256"]


@dataclass(frozen=True)
class File:
    source: str
    region: str
    week: pd.Timestamp
    file: str
    size_bytes: int
    modified: int


@dataclass
class Folder:
    """The landing area's layout, without the real resource's other duties."""

    root: Path
    digested: list[str] = field(default_factory=list)

    def files(self) -> list[File]:
        return [
            File(
                *path.relative_to(self.root).parts[:2],
                pd.Timestamp(path.parts[-2]),
                path.name,
                path.stat().st_size,
                path.stat().st_mtime_ns,
            )
            for path in sorted(self.root.rglob("*.csv"))
        ]

    def files_of_many(self) -> list[File]:
        return []

    def required_sources(self) -> set[str]:
        return {"shipments"}

    def sha256(self, file: File) -> str:
        self.digested.append(file.file)
        path = self.root / file.source / file.region / f"{file.week:%Y-%m-%d}" / file.file
        return hashlib.sha256(path.read_bytes()).hexdigest()


@dataclass
class RecordedFiles:
    """A lake that knows which files the raw tables were made from."""

    rows: pd.DataFrame = field(default_factory=lambda: pd.DataFrame(columns=RECORDED))

    def exists(self, table: str) -> bool:
        return not self.rows.empty

    def column_names(self, table: str) -> list[str]:
        return RECORDED

    def read(
        self,
        table: str,
        *,
        region: Sequence[str],
        weeks: Sequence[pd.Timestamp],
        columns: list[str],
    ) -> pd.DataFrame:
        wanted = self.rows["region"].isin(region) & self.rows["week"].isin(weeks)
        return self.rows.loc[wanted, columns]


@dataclass
class Platform:
    """A landing area, its sensor and the daemon's part in a tick."""

    landing: Folder
    lake: RecordedFiles
    instance: dg.DagsterInstance
    cursor: str | None = None
    seen_keys: set[str] = field(default_factory=set)

    def deliver(
        self, region: str, week: str, content: str = "a", *, source="shipments", at: int = 0
    ) -> None:
        path = self.landing.root / source / region / week / f"{source}.csv"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
        os.utime(path, ns=(at, at))

    def tick(self) -> dg.SensorResult:
        sensor = build_landing_sensor(running=True, every_seconds=30)
        context = dg.build_sensor_context(
            instance=self.instance,
            cursor=self.cursor,
            resources={"landing": self.landing, "lake": self.lake},
        )
        result = sensor(context)
        self.cursor = result.cursor
        return result

    def asked(self, n_ticks: int = 2) -> list[str]:
        """Tick and return the partitions of the runs that Dagster would launch."""
        requests = [r for _ in range(n_ticks) for r in self.tick().run_requests or ()]
        new = [r for r in requests if r.run_key not in self.seen_keys]
        self.seen_keys |= {str(r.run_key) for r in new}
        return [str(r.partition_key) for r in new]

    def record(self) -> None:
        """Let the raw assets have read everything that lies in the landing area."""
        rows = [(f.region, f.week, f.source, self.landing.sha256(f)) for f in self.landing.files()]
        self.lake.rows = pd.DataFrame(rows, columns=RECORDED)


@pytest.fixture
def platform(tmp_path: Path) -> Iterator[Platform]:
    with dg.DagsterInstance.ephemeral() as instance:
        instance.add_dynamic_partitions("region", ["north", "south"])
        yield Platform(Folder(tmp_path), RecordedFiles(), instance)


def test_exactly_the_delivered_region_weeks_are_asked_for(platform):
    platform.deliver("north", "2024-03-04")
    platform.deliver("south", "2024-03-11")
    platform.deliver("south", "2024-03-11", source="returns")

    assert platform.asked() == ["north|2024-03-04", "south|2024-03-11"]


def test_ticks_over_unchanged_files_ask_for_nothing_more_and_read_no_file(platform):
    platform.deliver("north", "2024-03-04")
    platform.asked()
    platform.landing.digested.clear()

    assert platform.asked(n_ticks=5) == []
    assert platform.landing.digested == []


def test_a_corrected_file_asks_for_its_region_week_and_no_other(platform):
    for week in ("2024-03-04", "2024-03-11", "2024-03-18"):
        platform.deliver("north", week)
        platform.deliver("south", week)
    platform.asked()
    platform.record()

    platform.deliver("north", "2024-03-11", "corrected", at=1)

    assert platform.asked(n_ticks=4) == ["north|2024-03-11"]


def test_a_further_source_of_a_known_week_asks_for_that_week_again(platform):
    platform.deliver("north", "2024-03-04")
    platform.asked()
    platform.record()

    platform.deliver("north", "2024-03-04", source="returns")

    assert platform.asked() == ["north|2024-03-04"]


def test_contents_that_come_back_after_a_correction_are_asked_for_again(platform):
    asked = []
    for at, content in enumerate(["first", "second", "first"]):
        platform.deliver("north", "2024-03-04", content, at=at)
        asked += platform.asked()
        platform.record()

    assert asked == ["north|2024-03-04"] * 3


def test_a_file_that_is_still_being_written_waits(platform):
    platform.deliver("north", "2024-03-04", "ha", at=1)
    assert platform.asked(n_ticks=1) == []
    platform.deliver("north", "2024-03-04", "half and more", at=2)
    assert platform.asked(n_ticks=1) == []

    assert platform.asked(n_ticks=1) == ["north|2024-03-04"]


def test_a_touched_file_with_the_recorded_content_asks_for_nothing(platform):
    platform.deliver("north", "2024-03-04")
    platform.asked()
    platform.record()

    platform.deliver("north", "2024-03-04", at=99)

    assert platform.asked(n_ticks=4) == []


def test_history_that_was_loaded_by_command_starts_no_run(platform):
    for week in pd.date_range("2023-01-02", periods=60, freq="W-MON"):
        platform.deliver("north", f"{week:%Y-%m-%d}")
    platform.record()

    assert platform.asked(n_ticks=5) == []


def test_a_large_delivery_is_spread_over_ticks_oldest_week_first(platform):
    weeks = [f"{week:%Y-%m-%d}" for week in pd.date_range("2023-01-02", periods=50, freq="W-MON")]
    for week in reversed(weeks):
        platform.deliver("north", week)
    platform.asked(n_ticks=1)

    ticks = [platform.asked(n_ticks=1) for _ in range(4)]

    assert [len(keys) for keys in ticks] == [MAX_REQUESTS, MAX_REQUESTS, 10, 0]
    assert [key for keys in ticks for key in keys] == [f"north|{week}" for week in weeks]


def test_an_unregistered_region_is_told_and_not_asked_for(platform):
    platform.deliver("nroth", "2024-03-04")

    result = platform.tick()

    assert platform.asked() == []
    assert "nroth" in str(result.skip_reason)
    assert "regions add" in str(result.skip_reason)
    assert platform.instance.get_dynamic_partitions("region") == ["north", "south"]


def test_a_region_week_waits_for_its_required_sources_and_says_so(platform):
    platform.deliver("north", "2024-03-04", source="returns")

    assert platform.asked() == []
    assert "north|2024-03-04 for shipments" in str(platform.tick().skip_reason)

    platform.deliver("north", "2024-03-04", source="shipments")

    assert platform.asked() == ["north|2024-03-04"]


def test_a_region_is_asked_for_when_it_is_registered_later(platform):
    platform.deliver("west", "2024-03-04")
    platform.asked()

    platform.instance.add_dynamic_partitions("region", ["west"])

    assert platform.asked() == ["west|2024-03-04"]


@pytest.mark.parametrize("week", ["2999-01-07", "2016-12-26"])
def test_a_week_that_is_not_over_or_before_the_first_is_not_asked_for(platform, week):
    platform.deliver("north", week)

    assert platform.asked() == []
    assert "not over" in str(platform.tick().skip_reason)


def test_a_tick_that_is_evaluated_twice_has_the_same_run_keys(platform):
    """The daemon died after it launched the runs and before it stored the cursor."""
    platform.deliver("north", "2024-03-04")
    platform.tick()
    before = platform.cursor

    (first,) = platform.tick().run_requests
    platform.cursor = before
    (second,) = platform.tick().run_requests

    assert first.run_key == second.run_key


def test_an_empty_landing_area_is_no_error(platform):
    assert "0 region-weeks" in str(platform.tick().skip_reason)
