"""What a check found: the form that all judges of sources answer in.

Judging is in `freshness`, `volume` and `drift`; where verdicts are kept is in
`forecast_platform.schemas.quality`.
"""

from dataclasses import dataclass
from math import nan
from typing import Final

PAST_WEEKS: Final = 8
"""Weeks before the judged one that say what is usual."""

MIN_WEEKS: Final = 4
"""With fewer of them nothing is usual yet, and nothing is judged."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What one check found out about one source in one region-week.

    Attributes
    ----------
    check : str
        A sentence that is true when it passes, such as ``has_usual_volume``.
    passed : bool
    value : float
        The number that was judged; ``nan`` when there was nothing to judge.
    limit : float
        The largest value that passes; ``nan`` when there was nothing to judge.
    description : str
        What was judged, in words.
    """

    check: str
    passed: bool
    value: float
    limit: float
    description: str


def not_judged(check: str, why: str) -> Verdict:
    """Let pass what cannot be judged, and say why."""
    return Verdict(check, passed=True, value=nan, limit=nan, description=f"not judged: {why}")


def worst(check: str, found: list[Verdict]) -> Verdict:
    """Join verdicts on the parts of a source: the one that is furthest over its limit speaks.

    Raises
    ------
    ValueError
        If there is nothing to join.
    """
    first = max(found, key=lambda one: one.value / one.limit if one.limit else one.value)
    failed = [one.description for one in found if not one.passed]
    return Verdict(
        check, not failed, first.value, first.limit, "; ".join(failed) or first.description
    )
