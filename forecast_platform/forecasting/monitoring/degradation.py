r"""Whether served forecasts are worse than validation had promised, at a stated false-alarm rate.

Judges a sequence of weekly scores; how they are made is in `realised`. The number of a week is

.. math:: d = \log\frac{\mathrm{MAPE}}{\mathrm{MAPE_{baseline}}}
          - \log\frac{\mathrm{MAPE^{promised}}}{\mathrm{MAPE^{promised}_{baseline}}}

the skill that was lost against the historical average made at the same time, so that a week that is
hard for everybody does not count as decay.
"""

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from forecast_platform.forecasting.experiments.sequential import SequentialTest, Winner
from forecast_platform.forecasting.monitoring.realised import BASELINE_PROMISED, PROMISED
from forecast_platform.vocabulary import DS

BLOCK_WEEKS: Final = 26
"""A sequence of weeks that is tested as one; the next begins afresh [weeks]."""

EPOCH: Final = pd.Timestamp("1970-01-05")
MIN_POSITIVE: Final = 10
"""A week with fewer rows with demand says nothing about a MAPE."""


@dataclass(frozen=True, slots=True)
class Degradation:
    """What is known of one segment.

    Attributes
    ----------
    is_degraded : bool
    lost : float
        Mean log skill lost in the block that says most; nan without a week.
    lower : float
        Lower end of its interval, which holds at all times at once; ``-inf`` while it is unknown.
    n_weeks : int
        Weeks of that block.
    """

    is_degraded: bool
    lost: float
    lower: float
    n_weeks: int


@dataclass(frozen=True, slots=True)
class DegradationTest:
    """A sequential test of weekly losses of skill.

    Parameters
    ----------
    alpha : float, default=0.05
        Largest share of half-years without any decay in which it ever raises an alarm.
    tolerance : float, default=0.1
        Loss that is put up with, on the log scale: what validation promised is an estimate from a
        few weeks, and off by that much without anything being wrong.

    Notes
    -----
    Weeks are tested in blocks of 26, by `SequentialTest`, so that looking every week costs nothing.
    Two rows of blocks that are shifted by 13 weeks share ``alpha``: a decay that begins late in a
    block of one row is early in the other's.
    """

    alpha: float = 0.05
    tolerance: float = 0.1

    def judge(self, scores: pd.DataFrame, week: pd.Timestamp) -> Degradation:
        """Judge a segment at the close of a week.

        Parameters
        ----------
        scores : pandas.DataFrame
            One row per ``ds`` up to ``week``: ``mape``, ``mape_baseline``, ``mape_promised``,
            ``mape_baseline_promised``, ``n_positive``. Weeks without one of them do not count.
        week : pandas.Timestamp
            A Monday.
        """
        usable = scores[(scores["n_positive"] >= MIN_POSITIVE) & (scores[DS] <= week)]
        usable = usable.sort_values(DS)
        lost = skill_lost(usable)
        known = np.isfinite(lost)
        number = ((usable[DS] - EPOCH).dt.days // 7).to_numpy()[known]
        now = (week - EPOCH).days // 7
        found = [
            self._judge_block(lost[known][_block(number, shift) == _block(now, shift)])
            for shift in (0, BLOCK_WEEKS // 2)
        ]
        return max(found, key=lambda one: (one.is_degraded, one.lower, one.n_weeks))

    def _judge_block(self, lost: NDArray[np.float64]) -> Degradation:
        test = SequentialTest(alpha=self.alpha / 2, min_difference=self.tolerance)
        decision = test.decide(lost)
        is_degraded = decision.winner is Winner.A
        return Degradation(is_degraded, decision.estimate, decision.lower, decision.n_weeks)


def _block(week: Any, shift: int) -> Any:
    return (week + shift) // BLOCK_WEEKS


def skill_lost(scores: pd.DataFrame) -> NDArray[np.float64]:
    """Return the log skill lost against what was promised; nan where a score is missing or zero."""
    parts = ("mape", "mape_baseline", PROMISED, BASELINE_PROMISED)
    columns = scores[list(parts)].to_numpy(np.float64)
    logs = np.log(np.where(columns > 0, columns, np.nan))
    return (logs[:, 0] - logs[:, 1]) - (logs[:, 2] - logs[:, 3])
