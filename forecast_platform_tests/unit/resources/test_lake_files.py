"""Rows out of a table's files: read one by one from a disk, or scanned through any storage."""

from datetime import date
from pathlib import Path

import pandas as pd
import pyarrow.dataset as pads
import pytest

from forecast_platform.partitions import RegionWeek
from forecast_platform.resources.lake import Lake
from forecast_platform.resources.lake_files import read_files
from forecast_platform.resources.lake_keys import build_filters

TABLE = "fct_weekly_demand"
WEEKS = [pd.Timestamp("2024-01-01") + pd.Timedelta(weeks=n) for n in range(3)]
KEYS = [RegionWeek(region, week) for region in ("north", "south") for week in WEEKS]
COLUMNS = ["y", "week", "note", "unique_id", "region"]


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    """Two regions and three weeks; the last week brought a column that older files lack."""
    lake = Lake(uri=str(tmp_path / "lake"))
    rows = pd.DataFrame(KEYS, columns=["region", "week"]).loc[[0, 0, 1, 2, 3, 4, 5]]
    rows = rows.assign(unique_id=[f"s/{n}" for n in range(len(rows))], y=range(len(rows)))
    old = rows["week"] < WEEKS[2]
    lake.write(TABLE, rows[old], [key for key in KEYS if key.week < WEEKS[2]], run_id="1")
    new = rows[~old].assign(note="late")
    lake.write(TABLE, new, [key for key in KEYS if key.week == WEEKS[2]], run_id="2")
    return lake


@pytest.mark.parametrize("columns", [COLUMNS, ["week"], ["region", "y"], ["unique_id"]])
@pytest.mark.parametrize(
    ("region", "since", "until", "weeks"),
    [
        (None, None, None, None),
        ("north", None, None, None),
        (["north", "south"], WEEKS[1], None, None),
        ("south", None, WEEKS[1], None),
        (None, None, None, [WEEKS[0], WEEKS[2]]),
        ("nobody", None, None, None),
        (None, None, None, []),
    ],
)
def test_files_of_a_disk_are_read_as_a_scan_reads_them(
    lake: Lake, columns, region, since, until, weeks
) -> None:
    source, folder = lake.open(TABLE), Path(lake.uri_of(TABLE))
    filters = build_filters(region, since, until, weeks, None)

    own, scanned = (read_files(source, at, columns, filters) for at in (folder, None))

    assert own.schema == scanned.schema
    assert own.to_pylist() == scanned.to_pylist()
    assert own.column_names == columns


@pytest.mark.parametrize("is_local", [True, False])
def test_only_rows_that_are_kept_are_returned(lake: Lake, *, is_local: bool) -> None:
    kept = (pads.field("y") > 1) & (pads.field("week") != date(2024, 1, 8))
    folder = Path(lake.uri_of(TABLE)) if is_local else None

    rows = read_files(lake.open(TABLE), folder, ["y", "week"], [], kept)

    assert rows["y"].to_pylist() == [3, 4, 6]


def test_a_column_that_older_files_lack_is_missing_there(lake: Lake) -> None:
    rows = lake.read(TABLE, region="north", columns=["week", "note"])

    assert rows["note"].isna().tolist() == [True, True, True, False]
    assert rows["week"].tolist() == [WEEKS[0], WEEKS[0], WEEKS[1], WEEKS[2]]


def test_a_column_that_nobody_wrote_is_named(lake: Lake) -> None:
    with pytest.raises(ValueError, match="has no column nope"):
        lake.read(TABLE, columns=["y", "nope"])


def test_rows_of_several_files_of_a_week_are_all_read(lake: Lake) -> None:
    more = pd.DataFrame({"region": "north", "week": [WEEKS[0]], "unique_id": "s/9", "y": [9]})
    lake.append(TABLE, more, run_id="3")

    rows = lake.read(TABLE, region="north", weeks=[WEEKS[0]])

    assert sorted(rows["y"]) == [0, 1, 9]
