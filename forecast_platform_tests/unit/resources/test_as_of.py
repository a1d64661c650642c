"""Tables of a past time under an overlay: rows of then where nothing was made again."""

import time
from datetime import UTC, datetime
from pathlib import Path

import pandas as pd
import pytest

from forecast_platform.errors import TableMissing
from forecast_platform.partitions import RegionWeek
from forecast_platform.resources.as_of import LakeAsOf, version_at
from forecast_platform.resources.lake import Lake

W = list(pd.date_range("2024-01-01", periods=4, freq="W-MON").as_unit("us"))
NORTH = [RegionWeek("north", week) for week in W]
SOUTH = [RegionWeek("south", week) for week in W]


def write(
    lake: Lake, keys: list[RegionWeek], y: float, table: str = "facts", **more: object
) -> None:
    rows = pd.DataFrame([(*key, "S1", y) for key in keys], columns=["region", "week", "store", "y"])
    lake.write(table, rows.assign(**more), keys, run_id="run")


def now() -> datetime:
    time.sleep(0.005)
    moment = datetime.now(UTC)
    time.sleep(0.005)
    return moment


@pytest.fixture
def base(tmp_path: Path) -> Lake:
    return Lake(uri=str(tmp_path / "lake"))


@pytest.fixture
def past(base: Lake, tmp_path: Path) -> LakeAsOf:
    """Four weeks of two regions with y = 1; since then, y = 2 and another table."""
    write(base, [*NORTH, *SOUTH], 1.0)
    then = now()
    write(base, [*NORTH, *SOUTH], 2.0)
    write(base, NORTH, 2.0, table="newer")
    return LakeAsOf(
        uri=str(tmp_path / "overlay"), base_uri=base.uri, as_of=then.isoformat(), git_commit="abc"
    )


def values(lake: Lake, **selection: object) -> dict[tuple[str, int], float]:
    rows = lake.read("facts", **selection)
    return {(row.region, W.index(row.week)): row.y for row in rows.itertuples()}


def test_rows_are_those_of_the_time(past: LakeAsOf) -> None:
    assert set(values(past).values()) == {1.0}
    assert past.version("facts") == past.read("facts").attrs["version"]


def test_what_came_later_is_not_there(past: LakeAsOf) -> None:
    assert not past.exists("newer")
    with pytest.raises(TableMissing, match="was not there at"):
        past.read("newer")
    with pytest.raises(TableMissing, match="was not there at"):
        past.column_names("newer")


def test_written_region_weeks_win_and_the_others_stay(past: LakeAsOf) -> None:
    write(past, NORTH[1:3], 9.0)

    found = values(past)

    assert found == {
        (key.region, W.index(key.week)): 9.0 if key in NORTH[1:3] else 1.0
        for key in (*NORTH, *SOUTH)
    }
    assert list(found) == [(region, week) for region in ("north", "south") for week in range(4)]
    assert values(past, region="north", since=W[2]) == {("north", 2): 9.0, ("north", 3): 1.0}


def test_the_current_table_does_not_change(past: LakeAsOf, base: Lake) -> None:
    version = base.version("facts")

    write(past, NORTH, 9.0)

    assert base.version("facts") == version
    assert set(values(base).values()) == {2.0}


def test_a_region_week_made_empty_is_empty(past: LakeAsOf) -> None:
    no_rows = past.read("facts").head(0)

    past.write("facts", no_rows, [NORTH[0]], run_id="run", allow_empty=True)

    assert ("north", 0) not in values(past)
    assert past.weeks_of("facts", "north") == W[1:]
    assert past.weeks_of("facts", "south") == W


def test_further_keys_are_replaced_one_by_one(base: Lake, tmp_path: Path) -> None:
    for source in ("shipments", "returns"):
        rows = pd.DataFrame({"region": "north", "week": [W[0]], "source": source, "n": [1]})
        base.write("ledger", rows, NORTH[:1], run_id="run", extra_keys={"source": source})
    past = LakeAsOf(uri=str(tmp_path / "overlay"), base_uri=base.uri, as_of=now().isoformat())

    rows = pd.DataFrame({"region": "north", "week": [W[0]], "source": "returns", "n": [5]})
    past.write("ledger", rows, NORTH[:1], run_id="run", extra_keys={"source": "returns"})

    assert dict(past.read("ledger")[["source", "n"]].itertuples(index=False)) == {
        "shipments": 1,
        "returns": 5,
    }
    only = past.read("ledger", columns=["n"], where={"source": "returns"})
    assert only["n"].tolist() == [5]


def test_added_rows_stand_beside_the_old_ones(past: LakeAsOf, base: Lake) -> None:
    version = base.version("facts")
    rows = pd.DataFrame({"region": "north", "week": [W[0]], "store": "S2", "y": [9.0]})

    past.append("facts", rows, run_id="run")

    found = past.read("facts", region="north", weeks=[W[0]])
    assert found["y"].tolist() == [1.0, 9.0]
    assert past.weeks_of("facts", "north") == W
    assert base.version("facts") == version


def test_a_column_of_the_overlay_is_missing_in_old_rows(past: LakeAsOf) -> None:
    write(past, NORTH[:1], 9.0, note="new")

    rows = past.read("facts", region="north", columns=["week", "note"])

    assert rows["note"].isna().tolist() == [False, True, True, True]
    assert past.column_names("facts") == ["region", "week", "store", "y", "note"]


def test_a_table_of_the_overlay_alone_is_read_from_it(past: LakeAsOf) -> None:
    write(past, NORTH, 9.0, table="newer")

    assert set(past.read("newer")["y"]) == {9.0}
    assert [commit["run_id"] for commit in past.history("newer") if "run_id" in commit] == ["run"]


def test_a_commit_whose_clock_went_back_comes_after_the_one_before_it(
    base: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(base, NORTH, 1.0)
    stamps = [1_000, 5_000, 3_000, 9_000]
    commits = [{"version": number, "timestamp": stamp} for number, stamp in enumerate(stamps)]
    monkeypatch.setattr(Lake, "history", lambda *_: list(reversed(commits)))

    at = [version_at(base, "facts", datetime.fromtimestamp(second, UTC)) for second in (1, 4, 6, 9)]

    assert at == [0, 0, 2, 3]


def test_versions_that_are_no_longer_kept_are_named(
    base: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(base, NORTH, 1.0)
    monkeypatch.setattr(Lake, "history", lambda *_: [{"version": 7, "timestamp": 5_000}])

    with pytest.raises(TableMissing, match="kept for 730 days, the oldest one is of 1970-01-01"):
        version_at(base, "facts", datetime.fromtimestamp(1, UTC))
