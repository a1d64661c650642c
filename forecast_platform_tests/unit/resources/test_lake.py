"""What the lake promises: whole commits, exact region-weeks, versions, and no way in for text."""

import multiprocessing
import os
import signal
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from deltalake import DeltaTable
from deltalake.exceptions import CommitFailedError

from forecast_platform.errors import TableMissing, WriteConflict, WriteRefused
from forecast_platform.partitions import RegionWeek
from forecast_platform.resources import lake as lake_module
from forecast_platform.resources.lake import Lake

WEEKS = list(pd.date_range("2024-01-01", periods=4, freq="W-MON").as_unit("us"))
TABLE = "fct_weekly_demand"


def rows_for(*keys: RegionWeek, y: float = 1.0, n: int = 2) -> pd.DataFrame:
    return pd.DataFrame(
        [(key.region, key.week, f"S{i}", y) for key in keys for i in range(n)],
        columns=["region", "week", "store_id", "y"],
    )


def keys_of(*regions: str, weeks: list[pd.Timestamp] = WEEKS) -> list[RegionWeek]:
    return [RegionWeek(region, week) for region in regions for week in weeks]


def write(lake: Lake, *keys: RegionWeek, y: float = 1.0, **options):
    return lake.write(TABLE, rows_for(*keys, y=y), keys, run_id="run", **options)


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake(uri=str(tmp_path / "lake"), git_commit="abc")


# what is read is what was written


def test_rows_come_back_with_their_types(lake: Lake):
    key = RegionWeek("north", WEEKS[0])
    rows = pd.DataFrame(
        {
            "region": "north",
            "week": [WEEKS[0]] * 2,
            "store_id": ["a", None],
            "opened_on": pd.to_datetime(["2020-02-29", None]),
            "y": [1.5, np.nan],
            "n": [1, 2],
            "is_holiday": [True, False],
        }
    )

    lake.write("raw_any", rows, [key], run_id="run")

    read = lake.read("raw_any")
    assert list(read.columns) == list(rows.columns)
    assert read["week"].dtype == read["opened_on"].dtype == "datetime64[us]"
    assert read["store_id"].dtype == "str"
    assert read["y"].dtype == "float64"
    assert read["n"].dtype == "int64"
    assert read["is_holiday"].dtype == "bool"
    assert read["opened_on"][0] == pd.Timestamp("2020-02-29")
    assert pd.isna(read["opened_on"][1])
    assert pd.isna(read["store_id"][1])


def test_dates_are_stored_as_dates(lake: Lake):
    write(lake, RegionWeek("north", WEEKS[0]))

    assert lake.read_arrow(TABLE).schema.field("week").type == pa.date32()


def test_a_time_of_day_is_refused(lake: Lake):
    key = RegionWeek("north", WEEKS[0])
    rows = rows_for(key).assign(seen_on=pd.Timestamp("2024-01-01 10:00"))

    with pytest.raises(WriteRefused, match="whole days"):
        lake.write(TABLE, rows, [key], run_id="run")


def test_reading_is_limited_to_regions_weeks_and_columns(lake: Lake):
    write(lake, *keys_of("north", "south", "west"))

    read = lake.read(
        TABLE, region=["west", "north"], since=WEEKS[1], until=WEEKS[2], columns=["week", "region"]
    )

    assert list(read.columns) == ["week", "region"]
    assert set(read["region"]) == {"north", "west"}
    assert set(read["week"]) == {WEEKS[1], WEEKS[2]}
    assert set(lake.read(TABLE, weeks=[WEEKS[0], WEEKS[3]])["week"]) == {WEEKS[0], WEEKS[3]}


def test_rows_come_in_order_of_region_and_week_however_they_were_written(lake: Lake):
    for key in reversed(keys_of("north", "south")):
        write(lake, key)

    read = lake.read(TABLE)

    assert read[["region", "week"]].equals(read.sort_values(["region", "week"])[["region", "week"]])


def test_nothing_that_matches_is_an_empty_frame_with_the_same_types(lake: Lake):
    write(lake, RegionWeek("north", WEEKS[0]))

    read = lake.read(TABLE, region="elsewhere")

    assert read.empty
    assert read.dtypes.equals(lake.read(TABLE).dtypes)


def test_weeks_of_a_region_are_listed_in_order(lake: Lake):
    write(lake, *keys_of("north"), *keys_of("south", weeks=WEEKS[:1]))

    assert lake.weeks_of(TABLE, "north") == WEEKS
    assert lake.weeks_of(TABLE, "south") == WEEKS[:1]
    assert lake.weeks_of(TABLE, "west") == []


# a write replaces exactly its region-weeks


@pytest.mark.parametrize(
    "replaced",
    [
        keys_of("north", weeks=WEEKS[1:2]),
        keys_of("north", "south", weeks=WEEKS[:3]),
        [*keys_of("north", weeks=WEEKS[:1]), *keys_of("south", weeks=[WEEKS[1], WEEKS[3]])],
    ],
    ids=["one", "box", "no box"],
)
def test_a_write_replaces_exactly_its_region_weeks_in_one_commit(lake: Lake, replaced):
    everything = keys_of("north", "south", "west")
    write(lake, *everything, y=1)
    before = lake.version(TABLE)

    receipt = write(lake, *replaced, y=2)

    assert receipt.version == before + 1
    assert receipt.rows == 2 * len(replaced)
    assert receipt.rows_of == dict.fromkeys(replaced, 2)
    read = lake.read(TABLE)
    assert len(read) == 2 * len(everything)
    changed = {RegionWeek(*key) for key in read[read["y"] == 2][["region", "week"]].to_numpy()}
    assert changed == set(replaced)


def test_rows_outside_of_the_keys_are_refused_and_nothing_is_written(lake: Lake):
    inside, outside = keys_of("north", weeks=WEEKS[:2])
    write(lake, inside)

    with pytest.raises(WriteRefused, match=r"outside.*north\|2024-01-08"):
        lake.write(TABLE, rows_for(inside, outside), [inside], run_id="run")

    assert lake.version(TABLE) == 1


def test_a_key_without_rows_is_refused_unless_it_may_be_empty(lake: Lake):
    full, empty = keys_of("north", weeks=WEEKS[:2])
    write(lake, full, empty)

    with pytest.raises(WriteRefused, match="would delete what is there"):
        lake.write(TABLE, rows_for(full), [full, empty], run_id="run")
    receipt = lake.write(TABLE, rows_for(full), [full, empty], run_id="run", allow_empty=True)

    assert receipt.rows_of == {full: 2, empty: 0}
    assert lake.weeks_of(TABLE, "north") == [full.week]


def test_no_keys_are_refused(lake: Lake):
    with pytest.raises(WriteRefused, match="nothing to write"):
        lake.write(TABLE, rows_for(), [], run_id="run")


def test_a_table_without_rows_exists_with_its_columns(lake: Lake):
    key = RegionWeek("north", WEEKS[0])
    rows = rows_for(key).iloc[:0].astype({"region": "str", "store_id": "str", "y": "float64"})

    lake.write(TABLE, rows.assign(week=pd.DatetimeIndex([])), [key], run_id="r", allow_empty=True)

    assert lake.exists(TABLE)
    assert list(lake.read(TABLE).columns) == ["region", "week", "store_id", "y"]


def test_writers_of_a_side_table_leave_one_another_alone(lake: Lake):
    key = RegionWeek("north", WEEKS[0])
    for source in ("returns", "shipments", "returns"):
        rows = rows_for(key).assign(source=source)
        lake.write("row_ledger", rows, [key], run_id="run", extra_keys={"source": source})

    assert lake.read("row_ledger")["source"].value_counts().to_dict() == {
        "returns": 2,
        "shipments": 2,
    }
    assert len(lake.read("row_ledger", where={"source": "returns"})) == 2


def test_a_new_column_is_added_and_old_rows_have_none(lake: Lake):
    old, new = keys_of("north", weeks=WEEKS[:2])
    write(lake, old)

    lake.write(TABLE, rows_for(new).assign(brand="B"), [new], run_id="run")

    read = lake.read(TABLE).set_index("week")
    assert read.loc[old.week, "brand"].isna().all()
    assert (read.loc[new.week, "brand"] == "B").all()


def test_a_column_that_is_left_out_is_empty(lake: Lake):
    old, new = keys_of("north", weeks=WEEKS[:2])
    write(lake, old)

    lake.write(TABLE, rows_for(new).drop(columns="y"), [new], run_id="run")

    assert lake.read(TABLE, weeks=[new.week])["y"].isna().all()


def test_a_column_of_another_type_is_refused(lake: Lake):
    key = RegionWeek("north", WEEKS[0])
    write(lake, key)

    with pytest.raises(WriteRefused, match=r"column y.*double"):
        lake.write(TABLE, rows_for(key).assign(y="many"), [key], run_id="run")


# versions and audit


class Parts:
    """Rows by the batch; they can be read again, as a lost commit needs."""

    def __init__(self, *parts: pd.DataFrame):
        self.parts = [pa.Table.from_pandas(one, preserve_index=False) for one in parts]
        self.schema = self.parts[0].schema

    def batches(self):
        return iter(self.parts)


def test_rows_by_the_batch_are_written_in_one_commit_also_after_a_lost_one(
    lake: Lake, monkeypatch: pytest.MonkeyPatch
):
    north, south = keys_of("north", "south", weeks=WEEKS[:1])
    write(lake, north, south, y=9.0)
    lost = iter([CommitFailedError("somebody was first")])
    once = lake_module._write_once

    def lose_one(target, fitted, predicate, commit):
        for error in lost:
            list(fitted.parts)
            raise error
        once(target, fitted, predicate, commit)

    monkeypatch.setattr(lake_module, "_write_once", lose_one)
    parts = Parts(rows_for(north), rows_for(north, n=3), rows_for(south))

    receipt = lake.write(TABLE, parts, [north, south], run_id="run")

    assert (receipt.version, receipt.rows_of) == (2, {north: 5, south: 2})
    assert lake.read(TABLE)["y"].tolist() == [1.0] * 7


def test_a_batch_of_another_region_week_or_type_is_refused_and_nothing_is_written(lake: Lake):
    north, south = keys_of("north", "south", weeks=WEEKS[:1])
    write(lake, north)

    with pytest.raises(WriteRefused, match=r"south\|2024-01-01"):
        lake.write(TABLE, Parts(rows_for(north), rows_for(south)), [north], run_id="run")
    many = rows_for(north).assign(y="many")
    with pytest.raises(WriteRefused, match="column y: it is double"):
        lake.write(TABLE, Parts(many.assign(y="1"), many), [north], run_id="run")

    assert lake.version(TABLE) == 1
    assert len(lake.read(TABLE)) == 2


def test_old_versions_can_be_read(lake: Lake):
    key = RegionWeek("north", WEEKS[0])
    first = write(lake, key, y=1)
    second = write(lake, key, y=2)

    assert lake.version(TABLE) == second.version
    assert set(lake.read(TABLE, version=first.version)["y"]) == {1}
    assert lake.read(TABLE, version=first.version).attrs == {
        "table": TABLE,
        "version": first.version,
    }
    assert set(lake.read(TABLE)["y"]) == {2}


def test_a_commit_says_who_made_it_of_what(lake: Lake):
    write(lake, RegionWeek("north", WEEKS[0]), provenance={"read": {"raw_shipments": 3}})

    commit = lake.history(TABLE, 1)[0]

    assert commit["run_id"] == "run"
    assert commit["git_commit"] == "abc"
    assert commit["provenance"] == {"read": {"raw_shipments": 3}}


def test_versions_are_kept_for_the_audit_period(tmp_path: Path):
    lake = Lake(uri=str(tmp_path), audit_days=90)
    write(lake, RegionWeek("north", WEEKS[0]))

    configuration = DeltaTable(tmp_path / TABLE).metadata().configuration

    assert configuration["delta.logRetentionDuration"] == "interval 90 days"
    assert configuration["delta.deletedFileRetentionDuration"] == "interval 90 days"


def test_a_missing_table_or_version_is_told(lake: Lake):
    with pytest.raises(TableMissing, match=r"no table fct_weekly_demand.*materialize"):
        lake.read(TABLE)
    assert lake.version(TABLE) is None
    assert not lake.exists(TABLE)
    write(lake, RegionWeek("north", WEEKS[0]))
    with pytest.raises(TableMissing, match="no version 17"):
        lake.read(TABLE, version=17)


# nothing but names gets into paths and predicates


HOSTILE = [
    "x' OR '1'='1",
    "../secrets",
    "a/b",
    "A",
    "",
    "north;drop",
    "north'--",
    "\uff4eorth",
    "a\n",
]


@pytest.mark.parametrize("region", HOSTILE)
def test_a_hostile_region_gets_nowhere(lake: Lake, region: str):
    key = RegionWeek("north", WEEKS[0])
    write(lake, key)

    with pytest.raises(ValueError, match="not a region name"):
        lake.read(TABLE, region=region)
    with pytest.raises(ValueError, match="not a region name"):
        lake.write(
            TABLE,
            rows_for(RegionWeek(region, WEEKS[0])),
            [RegionWeek(region, WEEKS[0])],
            run_id="run",
        )
    assert lake.version(TABLE) == 1


@pytest.mark.parametrize("table", ["../x", "raw files", "Raw", "t'; --", "", "a/b"])
def test_a_hostile_table_gets_nowhere(lake: Lake, table: str):
    key = RegionWeek("north", WEEKS[0])

    with pytest.raises(TableMissing, match="not a table name"):
        lake.write(table, rows_for(key), [key], run_id="run")
    assert not Path(lake.uri).exists()


@pytest.mark.parametrize("source", ["x' OR 1=1", "../x", "", "a b"])
def test_a_hostile_extra_key_gets_nowhere(lake: Lake, source: str):
    key = RegionWeek("north", WEEKS[0])

    with pytest.raises(ValueError, match="is not a key"):
        lake.write(
            TABLE,
            rows_for(key).assign(source=source),
            [key],
            run_id="run",
            extra_keys={"source": source},
        )


@pytest.mark.parametrize("day", ["2024-01-02", "2024-01-01 12:00"])
def test_a_week_that_is_no_monday_gets_nowhere(lake: Lake, day: str):
    write(lake, RegionWeek("north", WEEKS[0]))

    with pytest.raises(ValueError, match=r"Monday|time of day"):
        lake.read(TABLE, weeks=[pd.Timestamp(day)])


# many writers, and writers that die


def test_a_lost_commit_is_tried_again_until_the_tries_run_out(lake: Lake, monkeypatch):
    key = RegionWeek("north", WEEKS[0])
    write(lake, key)
    tried = []

    def always_lost(*_args, **_options):
        tried.append(1)
        raise CommitFailedError("somebody else was faster")

    monkeypatch.setattr(lake_module, "write_deltalake", always_lost)
    monkeypatch.setattr(lake_module.time, "sleep", lambda _seconds: None)

    with pytest.raises(WriteConflict, match="30 commits lost"):
        write(lake, key)
    assert len(tried) == 30


def _write_many(uri: str, number: int) -> list[int]:
    lake = Lake(uri=uri, git_commit="abc")
    keys = [
        RegionWeek(region, week) for week in WEEKS[:2] for region in (f"r{number}", "contested")
    ]
    return [
        lake.write(TABLE, rows_for(key, y=number), [key], run_id=f"{number}").version
        for key in keys
    ]


@pytest.mark.slow
def test_eight_processes_write_at_once_and_no_commit_is_lost(tmp_path: Path):
    """Each writes region-weeks of its own and contested ones; they race to make the table, too."""
    with ProcessPoolExecutor(8, mp_context=multiprocessing.get_context("spawn")) as pool:
        versions = list(pool.map(_write_many, [str(tmp_path)] * 8, range(8)))

    lake = Lake(uri=str(tmp_path))
    told = {version: number for number, made in enumerate(versions) for version in made}
    commits = {c["version"]: c["run_id"] for c in lake.history(TABLE) if "run_id" in c}
    assert {version: int(run_id) for version, run_id in commits.items()} == told
    assert len(told) == 8 * 4
    written = lake.read(TABLE).groupby(["region", "week"])["y"].agg(["size", "nunique"])
    assert len(written) == 9 * 2
    assert (written["size"] == 2).all()
    assert (written["nunique"] == 1).all()


def _write_for_ever(uri: str, started) -> None:
    lake = Lake(uri=uri)
    keys = keys_of("north", "south")
    for number in range(2, 10_000):
        lake.write(TABLE, rows_for(*keys, y=number, n=2000), keys, run_id="victim")
        started.set()


@pytest.mark.slow
def test_a_writer_that_is_killed_leaves_a_whole_table(tmp_path: Path):
    lake = Lake(uri=str(tmp_path))
    keys = keys_of("north", "south")
    lake.write(TABLE, rows_for(*keys, y=1, n=2000), keys, run_id="first")
    context = multiprocessing.get_context("spawn")
    started = context.Event()
    victim = context.Process(target=_write_for_ever, args=(str(tmp_path), started))
    victim.start()
    assert started.wait(timeout=60)
    os.kill(victim.pid, signal.SIGKILL)
    victim.join()

    read = lake.read(TABLE)
    assert len(read) == 2000 * len(keys)
    assert len(set(read["y"])) == 1
    assert write(lake, *keys, y=0).rows == 2 * len(keys)


def test_appended_rows_are_added_to_those_that_are_there(lake: Lake):
    key, other = RegionWeek("north", WEEKS[0]), RegionWeek("south", WEEKS[1])

    lake.append(TABLE, rows_for(key, y=1.0), run_id="first")
    receipt = lake.append(TABLE, rows_for(key, other, y=2.0), run_id="second")

    assert sorted(lake.read(TABLE, region="north")["y"]) == [1.0, 1.0, 2.0, 2.0]
    assert receipt.rows_of == {key: 2, other: 2}
    assert lake.history(TABLE, 1)[0]["run_id"] == "second"
    with pytest.raises(WriteRefused, match="no region-week"):
        lake.append(TABLE, rows_for(), run_id="third")


def _append(uri: str, n: int) -> None:
    lake = Lake(uri=uri)
    for i in range(5):
        lake.append(TABLE, rows_for(RegionWeek("north", WEEKS[0]), y=n * 10 + i, n=1), run_id="r")


def test_processes_that_append_at_once_lose_no_row(tmp_path: Path):
    context = multiprocessing.get_context("spawn")
    writers = [context.Process(target=_append, args=(str(tmp_path / "lake"), n)) for n in range(4)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()

    found = Lake(uri=str(tmp_path / "lake")).read(TABLE)["y"]
    assert sorted(found) == [n * 10.0 + i for n in range(4) for i in range(5)]
