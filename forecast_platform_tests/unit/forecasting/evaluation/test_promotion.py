from math import inf, isfinite, nan

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from forecast_platform.forecasting.evaluation.promotion import Measured, PromotionRule, Verdict

errors = st.one_of(st.floats(0, 2), st.just(nan), st.just(inf))


def judge(rule: PromotionRule | None = None, **numbers) -> Verdict:
    good = {"challenger": 0.30, "baseline": 0.50, "bias": -0.2, "coverage": 0.8}
    return (rule or PromotionRule()).judge(Measured(**(good | numbers)))


@pytest.mark.parametrize(
    ("challenger", "baseline", "champion", "is_promoted"),
    [
        pytest.param(0.30, 0.50, 0.35, True, id="clear-win"),
        pytest.param(0.30, 0.50, None, True, id="first-champion"),
        pytest.param(0.306, 0.50, 0.30, True, id="worse-by-exactly-the-tolerance"),
        pytest.param(0.307, 0.50, 0.30, False, id="worse-than-the-tolerance"),
        pytest.param(0.45, 0.50, None, True, id="just-significant"),
        pytest.param(0.4501, 0.50, None, False, id="not-significant"),
        pytest.param(0.30, 0.30, None, False, id="only-as-good-as-the-baseline"),
        pytest.param(0.30, 0.50, nan, True, id="champion-not-measurable"),
        pytest.param(0.30, nan, None, False, id="baseline-undefined"),
        pytest.param(nan, 0.50, 0.60, False, id="challenger-undefined"),
        pytest.param(nan, nan, nan, False, id="nothing-defined"),
    ],
)
def test_a_challenger_is_promoted_only_when_it_passes_all_sides_of_the_gate(
    challenger, baseline, champion, is_promoted
):
    verdict = judge(challenger=challenger, baseline=baseline, champion=champion, rival=challenger)

    assert verdict.is_promoted is is_promoted
    assert verdict.reason


@pytest.mark.parametrize(
    ("numbers", "is_promoted", "told"),
    [
        pytest.param({"bias": -0.45}, True, "bias -0.450 is within", id="bias-at-its-bound"),
        pytest.param({"bias": -0.46}, False, "bias -0.460 is outside of -0.450", id="far-too-low"),
        pytest.param({"bias": 0.26}, False, "outside of -0.450 to +0.250", id="far-too-high"),
        pytest.param({"bias": nan}, True, "there is no champion", id="bias-undefined"),
        pytest.param({"coverage": 0.59}, False, "coverage_80 +0.590 is outside", id="too-narrow"),
        pytest.param({"coverage": 0.96}, True, "coverage_80 +0.960 is within", id="wide-counts"),
        pytest.param({"coverage": 1.0}, True, "coverage_80 +1.000 is within", id="covers-all"),
        pytest.param({"coverage": nan}, True, "there is no champion", id="without-interval"),
        pytest.param({"groups": {"a": (0.3, 0.36)}}, True, "fares worst", id="group-at-its-bound"),
        pytest.param(
            {"groups": {"a": (0.3, 0.2), "b": (0.3, 0.37)}},
            False,
            "of 2 large groups, b fares worst: MAPE 0.370 against the champion's 0.300",
            id="one-group-of-two-regresses",
        ),
        pytest.param({"groups": {"a": (0.3, nan)}}, False, "a fares worst", id="group-undefined"),
    ],
)
def test_bias_coverage_and_groups_are_held_to_their_bounds(numbers, is_promoted, told):
    verdict = judge(**numbers)

    assert verdict.is_promoted is is_promoted
    assert told in verdict.reason


def test_a_deployment_can_refuse_intervals_that_are_too_wide():
    verdict = judge(PromotionRule(max_coverage=0.9), coverage=0.96)

    assert not verdict.is_promoted
    assert "coverage_80 +0.960 is outside of +0.600 to +0.900" in verdict.reason


def test_a_verdict_carries_every_number_also_when_the_first_one_decides():
    verdict = judge(challenger=0.9, champion=0.3, rival=0.9, groups={"a": (0.3, 0.3)})

    assert [(one.condition, one.passed) for one in verdict.findings] == [
        ("mape", False),
        ("mape_baseline", False),
        ("mape_champion", False),
        ("bias", True),
        ("coverage_80", True),
        ("group_regression", True),
    ]
    assert verdict.findings[0].value == 0.9
    assert verdict.findings[0].limit == 0.45


def test_all_reasons_of_a_refusal_are_told():
    reason = judge(challenger=0.5, baseline=0.4, bias=-0.6).reason

    assert "above 0.450" in reason
    assert "not lower than the historical average" in reason
    assert "bias" in reason


@given(errors, errors, st.one_of(st.none(), errors), st.one_of(errors, st.floats(-1, 0)))
def test_no_promoted_challenger_is_undefined_insignificant_biased_or_beaten_by_the_baseline(
    challenger, baseline, champion, bias
):
    verdict = judge(challenger=challenger, baseline=baseline, champion=champion, bias=bias)

    if verdict.is_promoted:
        assert challenger <= 0.45
        assert challenger < baseline
        assert not isfinite(bias) or -0.45 <= bias <= 0.25


@given(st.floats(0, 1), errors, st.floats(0, 1))
def test_a_better_challenger_is_never_judged_worse(challenger, baseline, gain):
    better = challenger * gain

    before = judge(challenger=challenger, rival=challenger, baseline=baseline, champion=0.4)
    after = judge(challenger=better, rival=better, baseline=baseline, champion=0.4)

    assert after.is_promoted >= before.is_promoted


def test_reasons_carry_the_numbers():
    reason = judge(challenger=0.4, baseline=0.6, champion=0.3, rival=0.4, duel="on 80 rows").reason

    assert reason == ("MAPE 0.400 against the champion's 0.300 on 80 rows: worse by more than 2%")


@pytest.mark.parametrize(
    "rule",
    [
        {"max_mape": 0},
        {"max_mape": nan},
        {"tolerance": -0.1},
        {"min_bias": 0.1},
        {"min_coverage": 0.9, "max_coverage": 0.8},
        {"max_map": 0.4},
    ],
)
def test_a_rule_without_meaning_is_refused(rule):
    with pytest.raises(ValidationError):
        PromotionRule(**rule)
