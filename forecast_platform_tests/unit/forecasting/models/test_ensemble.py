import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from forecast_platform.forecasting.models.base import CorruptModelFiles, NotFitted
from forecast_platform.forecasting.models.ensemble import Ensemble, blend, fit_weights

KEYS = pd.DataFrame({"unique_id": ["s1/a", "s2/a", "s9/z"], "product_id": ["a", "a", "z"]})


class Constant:
    """Forecasts one number."""

    def __init__(self, value):
        self.value = value

    def fit(self, X, y):
        return self

    def predict(self, X):
        return np.full(len(X), float(self.value))

    def to_state(self):
        return {"value": self.value}, {}

    @classmethod
    def from_state(cls, values, arrays, prefix):
        return cls(values["value"])


units = st.integers(0, 800).map(lambda eighths: eighths / 8)
numbers = st.lists(st.tuples(units, units, units), min_size=1, max_size=20)


@given(numbers, st.sampled_from(["mape", "mean"]))
def test_fitted_weights_lie_on_the_simplex(rows, objective):
    table = pd.DataFrame(rows, columns=["a", "b", "y"])

    weights = fit_weights(table, table["y"], ("a", "b"), objective=objective)

    assert min(weights.values()) >= 0
    assert sum(weights.values()) == pytest.approx(1)


@given(numbers)
def test_a_blend_lies_between_its_members(rows):
    table = pd.DataFrame(rows, columns=["a", "b", "y"])

    blended = blend(table, {"a": 0.3, "b": 0.7})

    assert (blended >= table[["a", "b"]].min(axis=1) - 1e-9).all()
    assert (blended <= table[["a", "b"]].max(axis=1) + 1e-9).all()


def test_weights_of_equal_members_are_equal():
    table = pd.DataFrame({"a": [1.0, 2.0], "b": [1.0, 2.0]})

    assert fit_weights(table, [2.0, 3.0], ("a", "b")) == {"a": 0.5, "b": 0.5}


def test_a_slightly_better_member_gets_a_little_more():
    y = np.linspace(10, 20, 40)
    table = pd.DataFrame({"a": 1.20 * y, "b": 1.21 * y})

    weights = fit_weights(table, y, ("a", "b"))

    assert weights == pytest.approx({"a": 0.65, "b": 0.35})


def test_a_useless_member_gets_nothing():
    y = np.linspace(10, 20, 40)

    weights = fit_weights(pd.DataFrame({"a": y, "b": 50 * y}), y, ("a", "b"))

    assert weights == {"a": 1.0, "b": 0.0}


def test_weights_are_equal_where_no_row_can_tell():
    table = pd.DataFrame({"a": [1.0], "b": [2.0], "c": [3.0]})

    weights = fit_weights(table, [0.0], ("a", "b", "c"))

    assert weights == pytest.approx(dict.fromkeys("abc", 1 / 3))


def test_forecasts_are_held_to_a_multiple_of_what_was_ever_demanded():
    ensemble = Ensemble({"a": Constant(1e9), "b": Constant(1e9)}, cap_multiple=2.0)
    known = pd.DataFrame({"unique_id": ["s1/a", "s3/a"], "product_id": ["a", "a"]})

    ensemble.fit(known, [5.0, 7.0])

    expected = {"own series": 10.0, "its product": 14.0, "of all": 14.0}
    assert ensemble.predict(KEYS) == pytest.approx(list(expected.values()))


def test_a_series_that_never_sold_may_start_to():
    ensemble = Ensemble({"a": Constant(5.0)}).fit(KEYS, [0.0, 0.0, 0.0])

    assert ensemble.predict(KEYS) == pytest.approx([1.0, 1.0, 1.0])


def test_members_are_forecast_apart_and_combine_to_the_forecast():
    ensemble = Ensemble({"a": Constant(3.0), "b": Constant(0.0)}, weights={"a": 0.5, "b": 0.5})
    ensemble.fit(KEYS, [9.0, 9.0, 9.0])

    members = ensemble.predict_members(KEYS.set_axis([7, 8, 9]))

    assert members.columns.tolist() == ["a", "b"]
    assert members.index.tolist() == [7, 8, 9]
    assert ensemble.combine(members) == pytest.approx([1.5, 1.5, 1.5])
    assert (ensemble.combine(members) == ensemble.predict(KEYS)).all()


@pytest.mark.parametrize(
    "weights",
    [{"a": 1.0}, {"a": 0.4, "b": 0.4}, {"a": -0.5, "b": 1.5}, {"a": float("nan"), "b": 1.0}],
)
def test_weights_off_the_simplex_are_refused(weights):
    ensemble = Ensemble({"a": Constant(1), "b": Constant(1)}, weights=weights).fit(KEYS, [1, 1, 1])

    with pytest.raises(ValueError, match="weights"):
        ensemble.predict(KEYS)


def test_an_ensemble_must_be_fitted():
    with pytest.raises(NotFitted):
        Ensemble({"a": Constant(1)}).predict(KEYS)


FAMILIES = {"a": Constant, "b": Constant}


def saved(blend):
    members = {"a": Constant(3.0), "b": Constant(8.0)}
    return Ensemble(members, blend=blend).fit(KEYS, [9.0, 9.0, 9.0]).to_state()


@pytest.mark.parametrize(("blend", "expected"), [("arithmetic", 5.5), ("geometric", 5.0)])
def test_an_ensemble_is_read_with_the_blend_that_it_was_saved_with(blend, expected):
    read = Ensemble.from_state(*saved(blend), "", FAMILIES)

    assert read.predict(KEYS) == pytest.approx([expected] * 3)


def test_files_that_name_no_blend_forecast_as_they_did_when_there_was_one_blend():
    values, arrays = saved("arithmetic")
    del values["blend"]

    assert Ensemble.from_state(values, arrays, "", FAMILIES).predict(KEYS) == pytest.approx(
        [5.0] * 3
    )


def test_a_blend_that_does_not_exist_is_refused():
    values, arrays = saved("arithmetic")

    with pytest.raises(CorruptModelFiles, match="blend"):
        Ensemble.from_state({**values, "blend": "harmonic"}, arrays, "", FAMILIES)
