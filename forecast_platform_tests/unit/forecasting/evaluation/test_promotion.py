from math import inf, nan

import pytest
from hypothesis import given
from hypothesis import strategies as st

from forecast_platform.forecasting.evaluation.promotion import PromotionRule

errors = st.one_of(st.floats(0, 2), st.just(nan), st.just(inf))


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
    verdict = PromotionRule().judge(challenger=challenger, baseline=baseline, champion=champion)

    assert verdict.is_promoted is is_promoted
    assert verdict.reason


@given(errors, errors, st.one_of(st.none(), errors))
def test_no_promoted_challenger_is_undefined_insignificant_or_beaten_by_the_baseline(
    challenger, baseline, champion
):
    verdict = PromotionRule().judge(challenger=challenger, baseline=baseline, champion=champion)

    if verdict.is_promoted:
        assert challenger <= 0.45
        assert challenger < baseline


@given(st.floats(0, 1), errors, st.floats(0, 1))
def test_a_better_challenger_is_never_judged_worse(challenger, baseline, gain):
    rule, better = PromotionRule(), challenger * gain

    before = rule.judge(challenger=challenger, baseline=baseline, champion=0.4)
    after = rule.judge(challenger=better, baseline=baseline, champion=0.4)

    assert after.is_promoted >= before.is_promoted


def test_reasons_carry_the_numbers():
    reason = PromotionRule().judge(challenger=0.4, baseline=0.6, champion=0.3).reason

    assert reason == "MAPE 0.400 is worse than the champion, 0.300, by more than 2%"


@pytest.mark.parametrize("rule", [{"max_mape": 0}, {"max_mape": nan}, {"tolerance": -0.1}])
def test_a_rule_without_meaning_is_refused(rule):
    with pytest.raises(ValueError, match="max_mape"):
        PromotionRule(**rule)
