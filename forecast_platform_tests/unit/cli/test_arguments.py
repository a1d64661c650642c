from datetime import UTC, date, datetime, timedelta, timezone

import pandas as pd
import pytest
import typer

from forecast_platform.cli import arguments
from forecast_platform.cli.arguments import (
    choose_regions,
    choose_weeks,
    last_closed_week,
    names,
    read_time,
)
from forecast_platform.cli.run import _groups
from forecast_platform.errors import UnknownRegion, UnknownWeek
from forecast_platform.settings import Settings

SETTINGS = Settings()


@pytest.fixture(autouse=True)
def _closed_week(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(arguments, "_now", lambda: datetime(2024, 3, 12, 6, tzinfo=UTC))


def test_names_are_split_at_commas_and_said_once() -> None:
    assert names(["b, a", "b", ""]) == ["b", "a"]


def test_no_wish_means_every_region_in_the_order_of_registration() -> None:
    assert choose_regions([], ["west", "east"]) == ["west", "east"]
    assert choose_regions(["all"], ["west", "east"]) == ["west", "east"]


def test_regions_are_run_in_the_order_of_registration() -> None:
    assert choose_regions(["east", "west"], ["west", "north", "east"]) == ["west", "east"]


def test_an_unknown_region_is_answered_with_the_known_ones() -> None:
    with pytest.raises(UnknownRegion, match=r"'nroth'.*registered are north, south"):
        choose_regions(["nroth"], ["north", "south"])


def test_without_any_region_the_way_to_one_is_said() -> None:
    with pytest.raises(UnknownRegion, match="regions add"):
        choose_regions([], [])


def test_no_wish_means_the_last_week_that_closed() -> None:
    assert choose_weeks(None, None, SETTINGS) == [pd.Timestamp("2024-03-04")]


def test_a_range_holds_both_its_ends() -> None:
    weeks = choose_weeks(None, "2024-02-19..2024-03-04", SETTINGS)

    assert [f"{week:%m-%d}" for week in weeks] == ["02-19", "02-26", "03-04"]


@pytest.mark.parametrize(
    ("week", "span", "message"),
    [
        ("2024-03-05", None, "is a Tuesday: a week is named by its Monday, here 2024-03-04"),
        ("2024-03-11", None, "is not over: the last one that closed is 2024-03-04"),
        ("yesterday", None, "write weeks as YYYY-MM-DD"),
        ("2016-12-26", None, "before the first week"),
        (None, "2024-02-05", "is not a range"),
        (None, "2024-03-04..2024-02-05", "ends before it begins"),
        ("2024-03-04", "2024-02-05..2024-03-04", "not both"),
    ],
)
def test_a_wrong_week_is_refused_with_what_is_wrong(
    week: str | None, span: str | None, message: str
) -> None:
    with pytest.raises(UnknownWeek, match=message):
        choose_weeks(week, span, SETTINGS)


def test_the_clock_gives_a_monday_of_the_past(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()

    week = last_closed_week()

    assert week.dayofweek == 0
    assert week + pd.Timedelta(weeks=1) <= pd.Timestamp(date.today())


def test_a_past_time_is_in_utc() -> None:
    six = datetime(2024, 3, 10, 6, tzinfo=UTC)

    assert read_time("2024-03-10T06:00Z") == read_time("2024-03-10T06:00") == six
    assert read_time("2024-03-10T08:00+02:00").tzinfo == UTC
    assert read_time("2024-03-10T08:00+02:00") == six
    assert Settings(as_of=six.astimezone(timezone(timedelta(hours=2)))).as_of == six


@pytest.mark.parametrize(
    ("text", "says"),
    [
        pytest.param("yesterday", "is not a time", id="words"),
        pytest.param("2024-03-12T06:01Z", "lies ahead", id="future"),
    ],
)
def test_what_is_no_past_time_is_refused(text: str, says: str) -> None:
    with pytest.raises(UnknownWeek, match=says):
        read_time(text)


def test_as_of_a_past_time_the_last_week_is_the_last_of_then() -> None:
    past = Settings(as_of=datetime(2024, 2, 21, tzinfo=UTC))

    assert choose_weeks(None, None, past) == [pd.Timestamp("2024-02-12")]
    with pytest.raises(UnknownWeek, match="is not over"):
        choose_weeks("2024-02-19", None, past)


def test_as_of_a_past_time_no_file_is_taken_in() -> None:
    assert "raw" in _groups([])
    for asked in ([], ["data"], ["all"]):
        assert _groups(asked, is_past=True) == [one for one in _groups(asked) if one != "raw"]
    with pytest.raises(typer.Exit):
        _groups(["raw"], is_past=True)
