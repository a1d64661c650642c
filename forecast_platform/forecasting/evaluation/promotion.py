"""The promotion rule: when a challenger becomes champion.

Only the judgement on measured numbers belongs here; registering and recording it does not.
"""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether the challenger is promoted, and why, in words for a person.

    Parameters
    ----------
    is_promoted : bool
    reason : str
    """

    is_promoted: bool
    reason: str


@dataclass(frozen=True, slots=True)
class PromotionRule:
    """How good a challenger must be: significant, better than the baseline, not worse than before.

    Parameters
    ----------
    max_mape : float, default=0.45
        Largest MAPE of a significant model.
    tolerance : float, default=0.02
        Share of the champion's MAPE by which the challenger may be worse: it knows newer weeks, and
        two measurements on few rows differ by chance.

    Examples
    --------
    >>> PromotionRule().judge(challenger=0.30, baseline=0.50, champion=0.31).is_promoted
    True
    >>> PromotionRule().judge(challenger=0.30, baseline=0.25).reason
    'MAPE 0.300 is not lower than the historical average, 0.250, on the same rows'
    """

    max_mape: float = 0.45
    tolerance: float = 0.02

    def __post_init__(self) -> None:
        if not (self.max_mape > 0 and self.tolerance >= 0):
            raise ValueError("max_mape must be positive and tolerance not negative")

    def judge(
        self, *, challenger: float, baseline: float, champion: float | None = None
    ) -> Verdict:
        """Judge by MAPEs over the same rows; a number that is not finite never wins.

        Parameters
        ----------
        challenger, baseline : float
            MAPE of the new model and of the historical average; fractions.
        champion : float or None, default=None
            MAPE of the serving model; None if there is none, nan if it could not be measured.
        """
        if not np.isfinite(challenger):
            return Verdict(is_promoted=False, reason="the challenger's MAPE is undefined")
        if challenger > self.max_mape:
            reason = f"MAPE {challenger:.3f} is above {self.max_mape:.3f}"
            return Verdict(is_promoted=False, reason=reason)
        if not np.isfinite(baseline):
            reason = "the historical average's MAPE is undefined: nothing shows that it is beaten"
            return Verdict(is_promoted=False, reason=reason)
        if challenger >= baseline:
            reason = (
                f"MAPE {challenger:.3f} is not lower than the historical average, "
                f"{baseline:.3f}, on the same rows"
            )
            return Verdict(is_promoted=False, reason=reason)
        return self._against_champion(challenger, baseline, champion)

    def _against_champion(
        self, challenger: float, baseline: float, champion: float | None
    ) -> Verdict:
        gate = (
            f"MAPE {challenger:.3f} is at most {self.max_mape:.3f} and lower than the historical "
            f"average, {baseline:.3f}"
        )
        if champion is None:
            return Verdict(is_promoted=True, reason=f"{gate}; there is no champion")
        if not np.isfinite(champion):
            return Verdict(is_promoted=True, reason=f"{gate}; the champion's MAPE is undefined")
        if challenger > champion * (1 + self.tolerance):
            reason = (
                f"MAPE {challenger:.3f} is worse than the champion, {champion:.3f}, by more than "
                f"{self.tolerance:.0%}"
            )
            return Verdict(is_promoted=False, reason=reason)
        return Verdict(is_promoted=True, reason=f"{gate}; the champion has {champion:.3f}")
