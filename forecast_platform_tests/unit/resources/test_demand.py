"""Demand is read as it was known: a correction from its own week on, a gap never as a zero."""

from pathlib import Path

import pandas as pd
import pytest

from forecast_platform.partitions import RegionWeek
from forecast_platform.resources.demand import DemandHistory, read_demand, read_demand_history
from forecast_platform.resources.lake import Lake

W = list(pd.date_range("2024-01-01", periods=6, freq="W-MON").as_unit("us"))
SERIES = ("s1/p1", "s2/p1")


def rows(*told: tuple[int, int, str, float], **columns: object) -> pd.DataFrame:
    """Rows of (week, ds, series, y), weeks by number."""
    frame = pd.DataFrame(told, columns=["week", "ds", "unique_id", "y"])
    frame["week"] = [W[number] for number in frame["week"]]
    frame["ds"] = [W[number] for number in frame["ds"]]
    frame[["store_id", "product_id"]] = frame["unique_id"].str.split("/", expand=True)
    return frame.assign(region="north", **columns)


def dense(n_weeks: int = 5) -> list[tuple[int, int, str, float]]:
    return [(week, week, series, 10.0 + week) for week in range(n_weeks) for series in SERIES]


def written(folder: Path, table: pd.DataFrame) -> Lake:
    lake = Lake(uri=str(folder / "lake"))
    keys = [RegionWeek("north", week) for week in sorted(table["week"].unique())]
    lake.write("fct_weekly_demand", table, keys, run_id="test")
    return lake


def told(demand: pd.DataFrame) -> dict[tuple[str, int], float]:
    return {
        (row.unique_id, W.index(row.ds)): row.y
        for row in demand.sort_values(["unique_id", "ds"]).itertuples()
    }


def test_without_corrections_everything_up_to_the_week_is_known(tmp_path: Path) -> None:
    lake = written(tmp_path, rows(*dense()))

    demand = read_demand(lake, "north", W[2])

    assert told(demand) == {(s, w): 10.0 + w for s in SERIES for w in range(3)}
    assert demand.attrs == {
        "table": "fct_weekly_demand",
        "version": lake.version(demand.attrs["table"]),
    }


@pytest.mark.parametrize(
    ("cutoff", "y"),
    [
        pytest.param(2, 11.0, id="the week before it came"),
        pytest.param(3, 99.0, id="the week in which it came"),
        pytest.param(4, 77.0, id="corrected once more"),
    ],
)
def test_a_correction_is_known_from_the_week_in_which_it_came(
    tmp_path: Path, cutoff: int, y: float
) -> None:
    later = [(3, 1, "s1/p1", 99.0), (4, 1, "s1/p1", 77.0)]
    lake = written(tmp_path, rows(*dense(), *later))

    known = told(read_demand(lake, "north", W[cutoff]))

    assert known["s1/p1", 1] == y
    assert known["s2/p1", 1] == 11.0
    assert len(known) == 2 * (cutoff + 1)


def test_a_week_that_was_not_reported_is_a_gap_until_it_is(tmp_path: Path) -> None:
    table = rows(*dense(), (3, 1, "s1/p1", 6.0)).assign(is_reported=True)
    silent = (table["ds"] == W[1]) & (table["week"] == W[1]) & (table["unique_id"] == "s1/p1")
    lake = written(tmp_path, table.assign(is_reported=~silent, y=table["y"].mask(silent, 0.0)))

    before, after = (told(read_demand(lake, "north", W[week])) for week in (2, 3))

    assert ("s1/p1", 1) not in before
    assert before["s2/p1", 1] == 11.0
    assert after["s1/p1", 1] == 6.0


def test_partitions_from_before_the_flag_count_as_reported(tmp_path: Path) -> None:
    lake = written(tmp_path, rows(*dense(2)))
    newer = rows((2, 2, "s1/p1", 5.0), (2, 2, "s2/p1", 0.0), is_reported=[True, False])
    lake.write("fct_weekly_demand", newer, [RegionWeek("north", W[2])], run_id="test")

    demand = read_demand(lake, "north", W[2])

    assert told(demand).keys() == {(s, w) for s in SERIES for w in (0, 1)} | {("s1/p1", 2)}
    assert "is_reported" not in demand


def test_since_is_about_the_week_told_of_not_the_week_of_telling(tmp_path: Path) -> None:
    lake = written(tmp_path, rows(*dense(), (4, 0, "s1/p1", 1.0), (4, 3, "s1/p1", 2.0)))

    demand = read_demand(lake, "north", W[4], since=W[3])

    assert told(demand).keys() == {(s, w) for s in SERIES for w in (3, 4)}
    assert told(demand)["s1/p1", 3] == 2.0


def test_weeks_are_grouped_between_corrections() -> None:
    history = DemandHistory(rows(*dense(2), (2, 1, "s1/p1", 9.0), *dense(5)[4:]))

    assert history.between_corrections(W[:5]) == [W[:2], W[2:5]]
    assert history.between_corrections([W[1], W[4]]) == [[W[1]], [W[4]]]
    assert history.between_corrections(W[2:5]) == [W[2:5]]
    assert DemandHistory(rows(*dense())).between_corrections(W[:5]) == [W[:5]]


def test_a_group_reads_at_its_end_what_each_of_its_weeks_knew(tmp_path: Path) -> None:
    """What lets the features of a group be made in one pass."""
    corrections = [(1, 0, "s1/p1", 90.0), (4, 2, "s2/p1", 80.0)]
    lake = written(tmp_path, rows(*dense(6), *corrections))
    history = read_demand_history(lake, "north", W[5])

    for group in history.between_corrections(W):
        at_end = history.known_at(group[-1])
        for week in group:
            alone = told(read_demand(lake, "north", week))
            assert told(at_end[at_end["ds"] <= week]) == alone
