import pandas as pd
import pytest

from forecast_platform.automation.deliveries import MAX_QUARTERS_WATCHED, Cursor, quarter_of
from forecast_platform.partitions import RegionWeek

FIRST = RegionWeek("north", pd.Timestamp("2024-03-04"))
SECOND = RegionWeek("north", pd.Timestamp("2024-03-11"))
OTHER = RegionWeek("south", pd.Timestamp("2024-03-04"))


def tick(cursor: Cursor, files: dict[RegionWeek, str]) -> tuple[list[RegionWeek], Cursor]:
    """Look once, handle everything that is ready, go through the stored text."""
    ready = cursor.observe(files)
    for key in ready:
        cursor.mark_handled(key)
    cursor.settle(files)
    return ready, Cursor.from_text(cursor.to_text())


def after_ticks(files: dict[RegionWeek, str], n: int = 2) -> Cursor:
    cursor = Cursor()
    for _ in range(n):
        _, cursor = tick(cursor, files)
    return cursor


def test_files_are_ready_at_the_second_look_only():
    first_look, cursor = tick(Cursor(), {FIRST: "a"})
    second_look, _ = tick(cursor, {FIRST: "a"})

    assert (first_look, second_look) == ([], [FIRST])


def test_files_that_keep_changing_are_never_ready():
    cursor = Cursor()
    for size in range(5):
        ready, cursor = tick(cursor, {FIRST: f"size-{size}"})
        assert ready == []


def test_a_growing_week_does_not_hold_up_its_neighbours():
    _, cursor = tick(Cursor(), {FIRST: "a", SECOND: "half"})

    ready, _ = tick(cursor, {FIRST: "a", SECOND: "whole"})

    assert ready == [FIRST]


def test_what_was_handled_is_not_ready_again():
    files = {FIRST: "a", OTHER: "b"}
    cursor = after_ticks(files)

    assert [tick(cursor, files)[0] for _ in range(3)] == [[], [], []]
    assert not cursor.is_behind(files)


def test_what_was_not_handled_stays_ready():
    cursor = after_ticks({FIRST: "a"}, n=1)
    cursor.observe({FIRST: "a"})
    cursor.settle({FIRST: "a"})

    assert Cursor.from_text(cursor.to_text()).observe({FIRST: "a"}) == [FIRST]


def test_a_changed_week_is_found_inside_a_settled_quarter():
    cursor = after_ticks({FIRST: "a", SECOND: "b", OTHER: "c"})
    corrected = {FIRST: "a", SECOND: "b2", OTHER: "c"}

    _, cursor = tick(cursor, corrected)
    ready = cursor.observe(corrected)

    assert SECOND in ready
    assert OTHER not in ready


def test_weeks_come_oldest_first():
    files = {SECOND: "b", OTHER: "c", FIRST: "a"}

    assert after_ticks(files, n=1).observe(files) == [FIRST, OTHER, SECOND]


def test_the_cursor_of_a_large_landing_area_stays_small():
    mondays = pd.date_range("2017-01-02", periods=260, freq="W-MON")
    files = {RegionWeek(f"region_{n:02}", week): "x" for n in range(14) for week in mondays}
    cursor, sizes, seen = Cursor(), [], []
    while cursor.is_behind(files):
        ready, cursor = tick(cursor, files)
        seen += ready
        sizes.append(len(cursor.to_text()))

    assert len(seen) == len(set(seen)) == len(files)
    assert max(sizes) < 30_000
    assert len(sizes) < 2 * len({quarter_of(key) for key in files}) / MAX_QUARTERS_WATCHED + 2


def test_a_region_that_disappears_is_forgotten():
    cursor = after_ticks({FIRST: "a", OTHER: "c"})

    _, cursor = tick(cursor, {OTHER: "c"})

    assert list(cursor.settled) == [quarter_of(OTHER)]


@pytest.mark.parametrize("text", [None, ""])
def test_no_text_is_an_empty_memory(text):
    assert Cursor.from_text(text) == Cursor()
