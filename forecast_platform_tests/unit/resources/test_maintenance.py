"""Maintenance: what the audit period holds stays to the row, what is older goes, writers go on."""

import json
import multiprocessing
import os
import signal
from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pandas as pd
import pytest
from deltalake import DeltaTable

from forecast_platform.errors import TableMissing
from forecast_platform.partitions import RegionWeek
from forecast_platform.resources import maintenance
from forecast_platform.resources.as_of import version_at
from forecast_platform.resources.lake import Lake
from forecast_platform.resources.maintenance import look_at, maintain, maintain_table, tables_of

TABLE = "forecasts"
DAYS = 30
DAY = 86_400
WEEK = pd.Timestamp("2024-01-01").as_unit("us")
KEY = RegionWeek("north", WEEK)
NOW = datetime.now(UTC)


def rows(y: float, n: int = 1, key: RegionWeek = KEY) -> pd.DataFrame:
    return pd.DataFrame({"region": key.region, "week": key.week, "n": range(n), "y": float(y)})


def put(lake: Lake, y: float) -> int:
    return lake.write(TABLE, rows(y), [KEY], run_id="run").version


def add(lake: Lake, y: float, n: int = 1, key: RegionWeek = KEY) -> int:
    return lake.append(TABLE, rows(y, n, key), run_id="run").version


def grow_old(lake: Lake, versions: Iterable[int], days: int) -> None:
    """Let commits and the files that they added look as if they were made so many days before."""
    folder = Path(lake.uri) / TABLE
    times = {"commitInfo": "timestamp", "add": "modificationTime", "remove": "deletionTimestamp"}
    for version in versions:
        log = folder / "_delta_log" / f"{version:020d}.json"
        actions = [json.loads(line) for line in log.read_text().splitlines()]
        for action in actions:
            for kind, name in times.items():
                if kind in action:
                    action[kind][name] -= days * DAY * 1000
            if "add" in action:
                touch(folder / action["add"]["path"], days)
        log.write_text("".join(json.dumps(action) + "\n" for action in actions))
        touch(log, days)


def touch(path: Path, days: float) -> None:
    then = (NOW - timedelta(days=days)).timestamp()
    os.utime(path, (then, then))


def care(lake: Lake, **options):
    return maintain_table(lake, TABLE, now=NOW, run_id="care", **options)


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake(uri=str(tmp_path / "lake"), audit_days=DAYS)


@pytest.fixture
def aged(lake: Lake) -> Lake:
    """Versions 1 to 4 of 100 days ago, 5 of 20 days ago, 6 and 7 of today; each with its y."""
    for number in range(1, 8):
        assert put(lake, number) == number
    grow_old(lake, range(5), 100)
    grow_old(lake, [5], 20)
    return lake


# the audit period


@pytest.mark.parametrize("version", [4, 5, 6, 7])
def test_a_version_that_was_current_in_the_audit_period_is_read_afterwards(aged: Lake, version):
    """Version 4 is older than the period, and was what a reader at its beginning saw."""
    care(aged)

    assert aged.read(TABLE, version=version)["y"].tolist() == [version]


@pytest.mark.parametrize("version", [1, 2, 3])
def test_an_older_version_is_refused_in_plain_words(aged: Lake, version):
    care(aged)

    with pytest.raises(TableMissing, match=r"kept for 30 days"):
        aged.read(TABLE, version=version)


def test_a_time_in_the_period_finds_its_version_and_an_older_one_is_refused(aged: Lake):
    care(aged)

    assert version_at(aged, TABLE, NOW - timedelta(days=DAYS - 1)) == 4
    assert version_at(aged, TABLE, NOW - timedelta(days=10)) == 5
    with pytest.raises(TableMissing, match=r"cannot be read as of.*kept for 30 days"):
        version_at(aged, TABLE, NOW - timedelta(days=101))


def test_old_files_and_commits_are_gone_from_the_disk(aged: Lake):
    before = len(list(Path(aged.uri).rglob("*.parquet")))

    done = care(aged)

    assert done.removed_files == 3
    assert done.freed_bytes > 0
    assert done.removed_logs == 4
    left = [path for path in Path(aged.uri).rglob("*.parquet") if "_delta_log" not in path.parts]
    assert len(left) == before - 3


def test_the_longer_period_of_today_counts_for_a_table_made_under_a_shorter_one(aged: Lake):
    longer = Lake(uri=aged.uri, audit_days=365)

    care(longer)

    assert longer.read(TABLE, version=1)["y"].tolist() == [1]
    kept = DeltaTable(Path(aged.uri) / TABLE).metadata().configuration
    assert kept["delta.deletedFileRetentionDuration"] == "interval 365 days"


def test_nothing_young_is_removed_whatever_became_of_it(lake: Lake):
    for number in range(1, 5):
        put(lake, number)

    done = care(lake)

    assert (done.removed_files, done.removed_logs) == (0, 0)
    assert [lake.read(TABLE, version=n)["y"].item() for n in (1, 2, 3, 4)] == [1, 2, 3, 4]


def test_a_second_time_does_nothing(aged: Lake):
    add(aged, 9)
    care(aged)
    version = aged.version(TABLE)

    again = care(aged)

    assert again == maintenance.TableCare(table=TABLE)
    assert aged.version(TABLE) == version


def test_a_dry_run_tells_and_changes_nothing(aged: Lake):
    add(aged, 9)
    before = {path: path.stat().st_mtime_ns for path in Path(aged.uri).rglob("*")}

    told = care(aged, dry_run=True)

    assert {path: path.stat().st_mtime_ns for path in Path(aged.uri).rglob("*")} == before
    assert (told.compacted_from, told.compacted_to, told.removed_files) == (2, 1, 3)
    assert care(aged).removed_files == told.removed_files


# small files, checkpoints, leftovers


def test_files_of_one_region_week_are_put_together_and_the_rows_stay(lake: Lake):
    other = RegionWeek("south", WEEK)
    for number in range(6):
        add(lake, number, n=3)
    add(lake, 7, key=other)
    before = lake.read(TABLE)
    split = lake.version(TABLE)

    done = care(lake)

    assert (done.compacted_from, done.compacted_to) == (6, 1)
    assert (look_at(lake, TABLE).files, look_at(lake, TABLE).small) == (2, 0)
    by = ["region", "y", "n"]
    pd.testing.assert_frame_equal(
        lake.read(TABLE).sort_values(by, ignore_index=True),
        before.sort_values(by, ignore_index=True),
    )
    assert len(lake.read(TABLE, version=split)) == len(before)


def test_a_long_log_gets_a_checkpoint(lake: Lake):
    for number in range(maintenance.MIN_COMMITS):
        put(lake, number)

    assert care(lake).made_checkpoint
    assert list((Path(lake.uri) / TABLE / "_delta_log").glob("*.checkpoint.parquet"))


def test_maintenance_is_told_apart_from_a_writer(lake: Lake):
    """Whoever asks which run wrote a region-week must not be told of a compaction."""
    add(lake, 1)
    add(lake, 2)

    care(lake)

    commit = lake.history(TABLE, 1)[0]
    assert commit["operation"] == "OPTIMIZE"
    assert commit["maintenance_run_id"] == "care"
    assert "run_id" not in commit


def test_what_dead_writers_left_is_removed_when_it_is_old_enough(lake: Lake):
    put(lake, 1)
    folder = Path(lake.uri) / TABLE
    names = ["part-0.parquet#1", "_delta_log/_commit_0a.json.tmp", "note#", "part.parquet"]
    for name in names:
        (folder / name).write_bytes(b"half")
        touch(folder / name, 2)
    young = folder / "part-1.parquet#2"
    young.write_bytes(b"being written")

    assert care(lake).removed_temporary == 2
    assert [(folder / name).exists() for name in names] == [False, False, True, True]
    assert young.exists()


def test_rows_that_were_never_committed_go_after_the_audit_period(lake: Lake):
    put(lake, 1)
    folder = Path(lake.uri) / TABLE
    for name, days in (("old.parquet", DAYS + 1), ("young.parquet", DAYS - 1)):
        (folder / name).write_bytes(b"orphan")
        touch(folder / name, days)

    assert care(lake).removed_files == 1
    assert not (folder / "old.parquet").exists()
    assert (folder / "young.parquet").exists()


# the whole lake


def test_every_table_is_cared_for_and_nothing_else(lake: Lake):
    assert tables_of(lake) == []
    lake.write("raw_any", rows(1), [KEY], run_id="run")
    put(lake, 1)
    (Path(lake.uri) / "no_table").mkdir()
    (Path(lake.uri) / "Notes").mkdir()

    assert tables_of(lake) == [TABLE, "raw_any"]
    assert [one.table for one in maintain(lake, now=NOW, run_id="care")] == [TABLE, "raw_any"]


def test_a_table_is_described(aged: Lake):
    before = look_at(aged, TABLE)
    care(aged)
    after = look_at(aged, TABLE)

    assert (before.version, before.files, before.commits) == (7, 1, 8)
    assert before.bytes > 0
    made_at = {one["version"]: one["timestamp"] / 1000 for one in aged.history(TABLE)}
    assert before.oldest.timestamp() < made_at[4]
    assert after.oldest.timestamp() == made_at[4]


# beside writers, and killed


def _write_all_the_time(uri: str, region: str, n: int) -> int:
    lake = Lake(uri=uri, audit_days=DAYS)
    key = RegionWeek(region, WEEK)
    for number in range(n):
        if number % 5 == 0:
            lake.write(TABLE, rows(0, 10, key), [key], run_id=region)
        else:
            lake.append(TABLE, rows(number, 10, key), run_id=region)
    return 10 * ((n - 1) % 5 + 1)


def _maintain_all_the_time(uri: str, n: int) -> int:
    lake = Lake(uri=uri, audit_days=DAYS)
    now = datetime.now(UTC)
    return sum(
        one.compacted_from for _ in range(n) for one in maintain(lake, now=now, run_id="care")
    )


@pytest.mark.slow
def test_writers_lose_nothing_beside_maintenance(lake: Lake):
    put(lake, 0)
    with ProcessPoolExecutor(3, mp_context=multiprocessing.get_context("spawn")) as pool:
        writers = [pool.submit(_write_all_the_time, lake.uri, region, 23) for region in "ab"]
        cared = pool.submit(_maintain_all_the_time, lake.uri, 15)
        wanted = [one.result(timeout=300) for one in writers]
        cared.result(timeout=300)

    assert [len(lake.read(TABLE, region=region)) for region in "ab"] == wanted
    version = lake.version(TABLE)
    assert all(lake.read(TABLE, version=n) is not None for n in range(1, version + 1))


def _compact_for_ever(uri: str, started) -> None:
    lake = Lake(uri=uri, audit_days=DAYS)
    while True:
        for number in range(4):
            lake.append(TABLE, rows(number, 500), run_id="more")
        started.set()
        _maintain_all_the_time(uri, 1)


@pytest.mark.slow
@pytest.mark.parametrize("wait", [0.0, 0.02, 0.05, 0.1])
def test_maintenance_that_is_killed_leaves_a_whole_table(lake: Lake, wait: float):
    context = multiprocessing.get_context("spawn")
    started = context.Event()
    victim = context.Process(target=_compact_for_ever, args=(lake.uri, started))
    victim.start()
    assert started.wait(timeout=60)
    victim.join(timeout=wait)
    os.kill(victim.pid, signal.SIGKILL)
    victim.join()

    found = lake.read(TABLE)
    assert len(found) > 0
    assert len(found) % 500 == 0
    care(lake)
    assert look_at(lake, TABLE).small == 0
    assert len(lake.read(TABLE)) == len(found)
    assert add(lake, 1) == lake.version(TABLE)
