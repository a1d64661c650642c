import numpy as np
import pytest
from pydantic import ValidationError

from forecast_platform.forecasting.evaluation.guard_rails import FailoverRule, GuardRails

RECENT = np.array([80.0, 100.0, 120.0])


@pytest.mark.parametrize(
    ("totals", "is_fine"),
    [
        pytest.param([100, 110], True, id="as-usual"),
        pytest.param([600, 100], True, id="five-times-the-largest"),
        pytest.param([603, 100], False, id="beyond-five-times-and-a-unit-a-series"),
        pytest.param([6, 100], True, id="a-tenth-less-a-unit-a-series"),
        pytest.param([5.9, 100], False, id="below-a-tenth"),
        pytest.param([np.nan, 100], False, id="nan"),
        pytest.param([np.inf, 100], False, id="infinite"),
    ],
)
def test_totals_are_held_to_the_recent_range(totals, is_fine):
    complaint = GuardRails().complaint(np.array(totals, float), RECENT, n_series=2)

    assert (complaint is None) is is_fine


def test_tiny_segments_are_not_judged_by_chance():
    recent = np.array([0.0, 1.0, 0.0])

    assert GuardRails().complaint(np.array([9.0, 0.0]), recent, n_series=5) is None


def test_without_any_recent_demand_only_numbers_are_asked_for():
    rails = GuardRails()

    assert rails.complaint(np.array([1e9]), np.array([]), n_series=1) is None
    assert rails.complaint(np.array([np.nan]), np.array([]), n_series=1)


@pytest.mark.parametrize(
    "settings", [{"max_multiple": 1}, {"min_share": 1}, {"recent_weeks": 0}, {"max": 3}]
)
def test_rails_without_meaning_are_refused(settings):
    with pytest.raises(ValidationError):
        GuardRails(**settings)


def test_a_rule_is_read_from_plain_values():
    rule = FailoverRule.model_validate({"max_age_days": 60, "guard_rails": {"max_multiple": 3}})

    assert rule.guard_rails.max_multiple == 3
