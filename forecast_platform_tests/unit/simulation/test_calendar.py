"""Moving dates against a calendar on the wall."""

from datetime import date

import pytest

from forecast_platform.simulation.calendar import (
    CATEGORIES,
    LOG_LIFT,
    easter,
    holidays,
    memorial_day,
    super_bowl,
    window_share,
)
from forecast_platform.simulation.streams import monday_of, week_number


@pytest.mark.parametrize(
    "sunday",
    [
        "2017-04-16",
        "2018-04-01",
        "2019-04-21",
        "2024-03-31",
        "2025-04-20",
        "2026-04-05",
        "2038-04-25",
    ],
)
def test_easter_is_on_the_published_date(sunday: str):
    assert easter(int(sunday[:4])).isoformat() == sunday


@pytest.mark.parametrize("game", ["2019-02-03", "2021-02-07", "2022-02-13", "2024-02-11"])
def test_super_bowl_moved_a_week_in_2022(game: str):
    assert super_bowl(int(game[:4])).isoformat() == game


def test_memorial_day_is_the_last_monday_of_may():
    assert [memorial_day(y).day for y in (2021, 2022, 2023, 2024)] == [31, 30, 29, 27]


def test_thanksgiving_is_the_fourth_thursday_of_november():
    starts = {y: _starts(y)["thanksgiving"] for y in (2018, 2023, 2024)}
    assert starts == {2018: date(2018, 11, 22), 2023: date(2023, 11, 23), 2024: date(2024, 11, 28)}


def _starts(year: int) -> dict[str, date]:
    return {holiday.event: holiday.starts_on for holiday in holidays(year)}


def test_every_holiday_sells_something_in_categories_that_exist():
    assert set(LOG_LIFT) == {holiday.event for holiday in holidays(2024)}
    assert {name for lifts in LOG_LIFT.values() for name in lifts} <= set(CATEGORIES)


@pytest.mark.parametrize("year", [2017, 2020, 2024])
def test_a_holidays_shopping_is_spread_over_weeks_without_loss(year: int):
    for holiday in holidays(year):
        week = week_number(holiday.starts_on)
        shares = [window_share(holiday.starts_on, monday_of(week + i)) for i in (-2, -1, 0, 1)]
        assert sum(shares) == pytest.approx(1)
        assert shares[0] == shares[3] == 0
