"""Holidays of the United States with their moving dates, and how they sell.

Only what is the same everywhere and every year; events of a town or store are in `events`.
"""

from datetime import date, timedelta
from functools import cache
from typing import NamedTuple

CATEGORIES = (
    "soft_drinks",
    "juice",
    "chips",
    "cookies",
    "ice_cream",
    "soup",
    "bread",
    "coffee",
)


class Holiday(NamedTuple):
    """A named span of days, both ends included."""

    event: str
    starts_on: date
    ends_on: date
    is_holiday: bool


def easter(year: int) -> date:
    """Date of Easter Sunday (Gregorian, anonymous algorithm).

    >>> easter(2024)
    datetime.date(2024, 3, 31)
    """
    a, b, c = year % 19, year // 100, year % 100
    d, e = divmod(b, 4)
    g = (8 * b + 13) // 25
    h = (19 * a + b - d - g + 15) % 30
    i, k = divmod(c, 4)
    n = (32 + 2 * e + 2 * i - h - k) % 7
    m = (a + 11 * h + 22 * n) // 451
    month, day = divmod(h + n - 7 * m + 114, 31)
    return date(year, month, day + 1)


def nth_weekday(year: int, month: int, weekday: int, n: int) -> date:
    """Return the ``n``-th ``weekday`` (0 Monday) of a month.

    >>> nth_weekday(2024, 11, 3, 4)  # Thanksgiving
    datetime.date(2024, 11, 28)
    """
    first = date(year, month, 1)
    return first + timedelta((weekday - first.weekday()) % 7 + 7 * (n - 1))


def super_bowl(year: int) -> date:
    """Sunday of the game: the first in February, since 2022 the second."""
    return nth_weekday(year, 2, 6, 2 if year >= 2022 else 1)


def memorial_day(year: int) -> date:
    """Last Monday of May."""
    return date(year, 5, 31) - timedelta(date(year, 5, 31).weekday())


@cache
def holidays(year: int) -> tuple[Holiday, ...]:
    """List the events that every store of the country sees, in order of date."""
    sunday, memorial = easter(year), memorial_day(year)
    labor, thanks = nth_weekday(year, 9, 0, 1), nth_weekday(year, 11, 3, 4)
    game, mothers = super_bowl(year), nth_weekday(year, 5, 6, 2)
    days = timedelta
    return (
        Holiday("new_year", date(year, 1, 1), date(year, 1, 1), is_holiday=True),
        Holiday("super_bowl", game, game, is_holiday=False),
        Holiday("easter", sunday - days(2), sunday, is_holiday=True),
        Holiday("mothers_day", mothers, mothers, is_holiday=False),
        Holiday("memorial_day", memorial - days(2), memorial, is_holiday=True),
        Holiday("independence_day", date(year, 7, 4), date(year, 7, 4), is_holiday=True),
        Holiday("labor_day", labor - days(2), labor, is_holiday=True),
        Holiday("halloween", date(year, 10, 31), date(year, 10, 31), is_holiday=False),
        Holiday("thanksgiving", thanks, thanks + days(1), is_holiday=True),
        Holiday("christmas", date(year, 12, 24), date(year, 12, 26), is_holiday=True),
    )


_USUAL_LIFT = 0.12
LOG_LIFT: dict[str, dict[str, float]] = {
    "new_year": {"soft_drinks": 0.3, "chips": 0.35, "coffee": 0.2},
    "super_bowl": {"soft_drinks": 0.45, "chips": 0.65, "cookies": 0.2},
    "easter": {"bread": 0.35, "cookies": 0.4, "juice": 0.3, "ice_cream": 0.2},
    "mothers_day": {"cookies": 0.2, "juice": 0.25, "coffee": 0.2},
    "memorial_day": {"soft_drinks": 0.4, "chips": 0.45, "ice_cream": 0.4, "bread": 0.3},
    "independence_day": {"soft_drinks": 0.5, "chips": 0.55, "ice_cream": 0.55, "bread": 0.35},
    "labor_day": {"soft_drinks": 0.35, "chips": 0.4, "ice_cream": 0.35, "bread": 0.25},
    "halloween": {"cookies": 0.45, "soft_drinks": 0.25, "chips": 0.25},
    "thanksgiving": {"bread": 0.5, "soup": 0.45, "juice": 0.3, "coffee": 0.3, "soft_drinks": 0.3},
    "christmas": {"cookies": 0.6, "soft_drinks": 0.4, "coffee": 0.4, "juice": 0.35, "soup": 0.3},
}
"""Log of the lift that a full shopping window gives, by event and category."""


def holiday_lift(event: str, category: str) -> float:
    """Log of the lift of a category when a whole shopping window falls into the week."""
    return LOG_LIFT[event].get(category, _USUAL_LIFT)


def window_share(starts_on: date, monday: date) -> float:
    """Share of the six shopping days up to ``starts_on`` that lie in the week of ``monday``.

    A Thursday's holiday sells mostly in its own week, a Monday's mostly in the week before.

    >>> window_share(date(2024, 11, 28), date(2024, 11, 25))
    0.6666666666666666
    """
    opens = max(starts_on - timedelta(5), monday)
    closes = min(starts_on, monday + timedelta(6))
    return max((closes - opens).days + 1, 0) / 6
