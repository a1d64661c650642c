"""The promotion rule: when a challenger becomes champion.

Only the judgement on measured numbers belongs here; measuring, registering and recording it does
not.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from math import inf, isfinite, nan
from typing import Self

from pydantic import BaseModel, ConfigDict, Field, model_validator


@dataclass(frozen=True, slots=True)
class Measured:
    """What was measured of a challenger; fractions, nan where it could not be.

    Parameters
    ----------
    challenger, baseline : float
        MAPE of the new model and of the historical average on the same held-out rows.
    bias : float, default=nan
        Sum of (forecast - actual) over sum of actual, on those rows.
    coverage : float, default=nan
        Share of actuals within the 80 % interval; nan for models without one.
    champion : float or None, default=None
        MAPE of the serving model on the rows of the duel; None if it was not measured.
    rival : float, default=nan
        MAPE of the challenger on the rows of the duel.
    duel : str, default="there is no champion"
        On what the two were compared, or why not.
    groups : Mapping[str, tuple[float, float]], optional
        MAPE of champion and challenger on each large group of rows of the duel.
    """

    challenger: float
    baseline: float
    bias: float = nan
    coverage: float = nan
    champion: float | None = None
    rival: float = nan
    duel: str = "there is no champion"
    groups: Mapping[str, tuple[float, float]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Finding:
    """One condition of the rule, held against one number.

    Parameters
    ----------
    condition : str
        Name of the condition.
    value, limit : float
        The number, and what it may be at most (or at least); nan where there is none.
    passed : bool
    words : str
        For a person.
    """

    condition: str
    value: float
    limit: float
    passed: bool
    words: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether the challenger is promoted, and why, in words for a person.

    Parameters
    ----------
    is_promoted : bool
    reason : str
    findings : tuple of Finding
        Every condition that was looked at, with its number.
    """

    is_promoted: bool
    reason: str
    findings: tuple[Finding, ...] = ()


class PromotionRule(BaseModel):
    """How good a challenger must be to serve; every bound is configuration.

    Parameters
    ----------
    max_mape : float, default=0.45
        Largest MAPE of a significant model.
    max_of_baseline : float, default=1
        The MAPE must be below this share of the historical average's.
    tolerance : float, default=0.02
        Share of the champion's MAPE by which the challenger may be worse: it knows newer weeks, and
        two measurements on few rows differ by chance.
    min_bias, max_bias : float, default=-0.45, 0.25
        See Notes.
    min_coverage, max_coverage : float, default=0.6, 1
        Of the 80 % interval, where the model has one; see Notes.
    max_group_regression : float, default=0.2
        Share by which the challenger's MAPE may exceed the champion's on any large group.
    min_group_rows : int, default=60
        Rows with demand in the duel that make a group large.

    Notes
    -----
    A forecast that minimizes MAPE lies below the mean, the more so the harder the data: for demand
    that is lognormal with standard deviation s on the log scale, by ``exp(-1.5 s**2)``. A model
    that is just significant, MAPE 0.45, is at best at s = 0.6, where that is -42 %. Hence the lower
    bound of -45 %: below it something else is wrong than the objective. Nothing of the kind pulls a
    forecast up, so the upper bound is nearer; it leaves room for a segment whose demand fell in the
    held-out weeks. A deployment that trains for the mean should set both nearer to 0.

    A group of 60 rows tells a relative difference of MAPE to some 7 % (one standard deviation, of
    paired errors); 20 % is about three of them, so that one group among many seldom fails by
    chance.

    An interval that covers too much blocks nothing by default: counts of a slow series are whole
    numbers, so that the narrowest interval of 80 % may cover 95 % and more, and a better point
    forecast must not wait for that. A deployment that orders by the quantiles can set the bound.

    Examples
    --------
    >>> rule = PromotionRule()
    >>> rule.judge(Measured(challenger=0.30, baseline=0.50, champion=0.31, rival=0.30)).is_promoted
    True
    >>> rule.judge(Measured(challenger=0.30, baseline=0.25)).reason
    'MAPE 0.300 is not lower than the historical average, 0.250, on the same rows'
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    max_mape: float = Field(default=0.45, gt=0, allow_inf_nan=False)
    max_of_baseline: float = Field(default=1.0, gt=0, allow_inf_nan=False)
    tolerance: float = Field(default=0.02, ge=0, allow_inf_nan=False)
    min_bias: float = Field(default=-0.45, ge=-1, lt=0, allow_inf_nan=False)
    max_bias: float = Field(default=0.25, gt=0, allow_inf_nan=False)
    min_coverage: float = Field(default=0.6, ge=0, le=1)
    max_coverage: float = Field(default=1.0, ge=0, le=1)
    max_group_regression: float = Field(default=0.2, ge=0, allow_inf_nan=False)
    min_group_rows: int = Field(default=60, ge=1)

    @model_validator(mode="after")
    def _bounds_are_in_order(self) -> Self:
        if self.min_coverage > self.max_coverage:
            raise ValueError(
                f"min_coverage {self.min_coverage} is above max_coverage {self.max_coverage}"
            )
        return self

    def judge(self, measured: Measured) -> Verdict:
        """Hold every condition against its number; a MAPE that is not finite never wins."""
        findings = tuple(self._look(measured))
        failed = [one.words for one in findings if not one.passed]
        words = failed or [one.words for one in findings]
        return Verdict(not failed, "; ".join(words), findings)

    def _look(self, measured: Measured) -> Iterator[Finding]:
        yield self._significance(measured.challenger)
        yield self._baseline(measured)
        yield self._duel(measured)
        if isfinite(measured.bias):
            yield self._bias(measured.bias)
        if isfinite(measured.coverage):
            yield self._coverage(measured.coverage)
        if measured.groups:
            yield self._groups(measured.groups)

    def _significance(self, mape: float) -> Finding:
        passed = isfinite(mape) and mape <= self.max_mape
        words = f"MAPE {mape:.3f} is {'at most' if passed else 'above'} {self.max_mape:.3f}"
        if not isfinite(mape):
            words = "the challenger's MAPE is undefined"
        return Finding("mape", mape, self.max_mape, passed, words)

    def _baseline(self, measured: Measured) -> Finding:
        limit = measured.baseline * self.max_of_baseline
        passed = isfinite(limit) and isfinite(measured.challenger) and measured.challenger < limit
        share = "" if self.max_of_baseline == 1 else f"{self.max_of_baseline:g} times "
        words = (
            f"MAPE {measured.challenger:.3f} is {'' if passed else 'not '}lower than {share}the "
            f"historical average, {measured.baseline:.3f}, on the same rows"
        )
        if not isfinite(limit):
            words = "the historical average's MAPE is undefined: nothing shows that it is beaten"
        return Finding("mape_baseline", measured.challenger, limit, passed, words)

    def _duel(self, measured: Measured) -> Finding:
        """Look at the champion; one that could not be measured need not be beaten."""
        champion = nan if measured.champion is None else measured.champion
        if not isfinite(champion):
            return Finding("mape_champion", measured.rival, nan, passed=True, words=measured.duel)
        limit = champion * (1 + self.tolerance)
        passed = isfinite(measured.rival) and measured.rival <= limit
        words = f"MAPE {measured.rival:.3f} against the champion's {champion:.3f} {measured.duel}"
        if not passed:
            words += f": worse by more than {self.tolerance:.0%}"
        return Finding("mape_champion", measured.rival, limit, passed, words)

    def _bias(self, bias: float) -> Finding:
        limit = self.min_bias if bias < 0 else self.max_bias
        passed = self.min_bias <= bias <= self.max_bias
        return _bounded("bias", bias, limit, (self.min_bias, self.max_bias), passed=passed)

    def _coverage(self, coverage: float) -> Finding:
        limit = self.min_coverage if coverage < self.min_coverage else self.max_coverage
        bounds = (self.min_coverage, self.max_coverage)
        passed = bounds[0] <= coverage <= bounds[1]
        return _bounded("coverage_80", coverage, limit, bounds, passed=passed)

    def _groups(self, groups: Mapping[str, tuple[float, float]]) -> Finding:
        """Look at the group that got worst against the champion."""
        worse = {name: _regression(*mapes) for name, mapes in groups.items()}
        name = max(worse, key=lambda one: worse[one])
        passed = worse[name] <= self.max_group_regression
        champion, challenger = groups[name]
        words = (
            f"of {len(groups)} large groups, {name} fares worst: MAPE {challenger:.3f} against the "
            f"champion's {champion:.3f}"
        )
        if not passed:
            words += f", worse by more than {self.max_group_regression:.0%}"
        return Finding("group_regression", worse[name], self.max_group_regression, passed, words)


def _regression(champion: float, challenger: float) -> float:
    """Compute by which share the challenger is worse; a challenger that is undefined is lost."""
    if not isfinite(challenger):
        return inf
    if not isfinite(champion):
        return -1.0
    if champion == 0:
        return 0.0 if challenger == 0 else inf
    return challenger / champion - 1


def _bounded(
    condition: str, value: float, limit: float, bounds: tuple[float, float], *, passed: bool
) -> Finding:
    where = "within" if passed else "outside of"
    words = f"{condition} {value:+.3f} is {where} {bounds[0]:+.3f} to {bounds[1]:+.3f}"
    return Finding(condition, value, limit, passed, words)
