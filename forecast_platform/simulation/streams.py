"""Independent random streams by name, and weeks as numbers.

A stream is keyed by what it is for (region, purpose, week), never by a position in a loop: that
keeps a region independent of the others, and a week independent of how many follow it.
"""

import hashlib
from datetime import date

import numpy as np


def stable_hash(text: str) -> int:
    """Hash ``text`` the same way in every process."""
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big")


def stream(seed: int, *keys: str | int) -> np.random.Generator:
    """Open the random stream that belongs to these keys."""
    words = [stable_hash(key) if isinstance(key, str) else key for key in keys]
    return np.random.default_rng(np.random.SeedSequence([seed, *words]))


def week_number(day: date) -> int:
    """Count weeks from Monday 0001-01-01 to the week of ``day``.

    >>> monday_of(week_number(date(2024, 3, 4)))
    datetime.date(2024, 3, 4)
    """
    return (day.toordinal() - 1) // 7


def monday_of(number: int) -> date:
    """Return the Monday that opens week ``number``."""
    return date.fromordinal(number * 7 + 1)
