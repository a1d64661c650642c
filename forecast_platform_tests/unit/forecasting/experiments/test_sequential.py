"""The test that may be looked at every week: it seldom errs, and it decides."""

import math

import numpy as np
import pytest
from scipy.optimize import brentq

from benchmarks.experiments import Panel, correlation, share_decided, weeks_needed
from forecast_platform.forecasting.experiments.sequential import SequentialTest, Winner

RUNS = 1000
ANY = SequentialTest(min_difference=0.0)


def log_evidence(t: float, n: int, g: float) -> float:
    """The mixture of the t-statistic's density over effects, against no effect: by definition."""
    v = n - 1
    return -0.5 * math.log(1 + n * g) - n / 2 * math.log(
        (1 + t * t / (v * (1 + n * g))) / (1 + t * t / v)
    )


@pytest.mark.parametrize("n", [4, 5, 10, 50])
def test_the_interval_ends_where_the_evidence_against_a_mean_is_one_in_alpha(n: int):
    test = SequentialTest(correlation=0.0)
    weeks = np.where(np.arange(n) % 2, 1.0, -1.0)  # of negative correlation: not widened

    _, half = test.intervals(weeks)

    t = brentq(lambda t: log_evidence(t, n, test.effect_variance) - math.log(20), 1e-6, 1e6)
    assert half[-1] == pytest.approx(t * weeks.std(ddof=1) / np.sqrt(n))


@pytest.mark.parametrize(
    "panel",
    [
        pytest.param(Panel(stores=6, products=5), id="usual"),
        pytest.param(Panel(stores=6, products=5, persistence=0.9), id="persistent-models"),
        pytest.param(Panel(stores=4, products=5, persistence=0.9, tails=3.0), id="heavy-tails"),
    ],
)
def test_arms_that_are_alike_are_told_apart_in_at_most_five_percent(panel: Panel):
    """A/A: somebody looks after each of 52 weeks and stops at the first winner."""
    differences, _ = panel.differences(np.random.default_rng(5), RUNS, 52)

    assert share_decided(ANY, differences) <= 0.05
    assert share_decided(SequentialTest(), differences) <= share_decided(ANY, differences)


@pytest.mark.parametrize("phi", [0.0, 0.3])
def test_weeks_that_hang_together_do_not_mislead(phi: float):
    rng, differences = np.random.default_rng(6), np.empty((RUNS, 52))
    differences[:, 0] = rng.normal(size=RUNS)
    for week in range(1, 52):
        noise = np.sqrt(1 - phi**2) * rng.normal(size=RUNS)
        differences[:, week] = phi * differences[:, week - 1] + noise

    assert correlation(differences) == pytest.approx(phi, abs=0.02)
    assert share_decided(ANY, differences) <= 0.05


def test_a_test_of_fixed_size_that_is_looked_at_every_week_would_mislead():
    """What is avoided: the same weeks, judged each week by an ordinary t-test."""
    from scipy.stats import t

    differences = np.random.default_rng(7).normal(size=(RUNS, 52))
    n = np.arange(2, 53)
    mean = np.cumsum(differences, axis=1)[:, 1:] / n
    square = np.cumsum(differences**2, axis=1)[:, 1:] - n * mean**2
    naive = np.abs(mean) > t.ppf(0.975, n - 1) * np.sqrt(square / (n - 1) / n)

    assert naive.any(axis=1).mean() > 0.25
    assert share_decided(ANY, differences) <= 0.05


def test_a_difference_of_five_percent_is_found_and_named_rightly():
    panel = Panel(stores=40, worse=0.28)
    differences, true = panel.differences(np.random.default_rng(8), 200, 40)
    test = SequentialTest()

    median, late = weeks_needed(test, differences)
    named = test.winners(*test.intervals(differences))

    assert true == pytest.approx(0.05, abs=0.01)
    assert median <= 24
    assert late <= 40
    assert not (named == -1).any()


def test_the_interval_covers_the_truth_at_all_weeks_at_once():
    differences = 0.1 + 0.05 * np.random.default_rng(9).normal(size=(RUNS, 52))

    mean, half = ANY.intervals(differences)

    assert (np.abs(mean - 0.1) <= half).all(axis=1).mean() >= 0.95


def test_a_winner_stays_one_though_later_weeks_disagree():
    weeks = np.r_[[0.06, 0.05, 0.07, 0.06, 0.05, 0.06], np.full(30, -0.2)]

    decision = ANY.decide(weeks + 0.001 * np.arange(36) % 0.005)

    assert decision.winner is Winner.A
    assert decision.decided_after == 5
    assert decision.estimate < 0


def test_swapping_the_arms_swaps_the_verdict():
    weeks = np.random.default_rng(10).normal(0.05, 0.02, 12)

    one, other = SequentialTest().decide(weeks), SequentialTest().decide(-weeks)

    assert (one.winner, other.winner) == (Winner.A, Winner.B)
    assert one.decided_after == other.decided_after
    assert (one.lower, one.upper) == pytest.approx((-other.upper, -other.lower))


def test_a_small_difference_that_is_sure_makes_no_winner_worth_having():
    weeks = 0.004 + 0.0005 * np.random.default_rng(11).normal(size=52)

    assert ANY.decide(weeks).winner is Winner.A
    assert SequentialTest(min_difference=0.01).decide(weeks).winner is Winner.NOT_YET


@pytest.mark.parametrize(
    "weeks",
    [
        pytest.param([], id="none"),
        pytest.param([0.5], id="one"),
        pytest.param([0.5, 0.4, 0.5], id="too-few"),
        pytest.param([0.0] * 30, id="the-same-model"),
        pytest.param([0.05] * 30, id="no-noise"),
    ],
)
def test_nothing_is_said_too_early(weeks: list[float]):
    decision = ANY.decide(np.array(weeks))

    assert decision.winner is Winner.NOT_YET
    assert decision.upper == np.inf


@pytest.mark.parametrize(
    "wrong",
    [
        {"alpha": 0.0},
        {"alpha": 1.0},
        {"min_difference": -0.1},
        {"effect_variance": 0.0},
        {"correlation": 0.9},
    ],
)
def test_a_test_that_makes_no_sense_is_refused(wrong: dict[str, float]):
    with pytest.raises(ValueError, match="must"):
        SequentialTest(**wrong)
