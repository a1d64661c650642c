"""What a class must do to be a member, and what is said of one that does not."""

import numpy as np
import pytest

from forecast_platform.forecasting.models.baseline import HistoricalAverage
from forecast_platform.forecasting.models.families import (
    BUILT_IN,
    UnfitFamily,
    check_family,
    try_family,
)
from forecast_platform.forecasting.training import TrainingConfig

GIVEN = TrainingConfig(epochs=1).for_members()


class Forgetful(HistoricalAverage):
    """Reads back something else than it wrote."""

    @classmethod
    def from_state(cls, values, arrays, prefix):
        model = super().from_state(values, arrays, prefix)
        model.series_ = model.series_ + 1
        return model


class Negative(HistoricalAverage):
    def predict(self, X):
        return super().predict(X) - 1e6


class Short(HistoricalAverage):
    def predict(self, X):
        return super().predict(X)[:3]


class Fickle(HistoricalAverage):
    made = 0

    def fit(self, X, y):
        type(self).made += 1
        return super().fit(X, np.asarray(y) * type(self).made)


class Pickler(HistoricalAverage):
    def to_state(self):
        values, arrays = super().to_state()
        return values, {**arrays, "model": np.array([object()])}


class Unwritable(HistoricalAverage):
    def to_state(self):
        return {"series": self.series_}, {}


@pytest.mark.parametrize("name", sorted(BUILT_IN))
def test_the_built_in_members_keep_every_promise(name):
    try_family(name, check_family(name, BUILT_IN[name]), GIVEN)


@pytest.mark.parametrize(
    ("family", "told"),
    [
        (Forgetful, "read back from its state it forecasts otherwise"),
        (Negative, "below zero"),
        (Short, r"shape \(3,\) for 156 rows"),
        (Fickle, "fitted twice"),
        (Pickler, "not data"),
        (Unwritable, "not JSON serializable"),
    ],
)
def test_a_broken_promise_is_named(family, told):
    with pytest.raises(UnfitFamily, match=told):
        try_family("mine", check_family("mine", family), GIVEN)


def test_everything_that_a_class_lacks_is_told_at_once():
    class Bare:
        def from_state(self, values, arrays, prefix): ...

    with pytest.raises(UnfitFamily, match=r"get_params.*fit\(X, y\).*predict.*to_state"):
        check_family("mine", Bare)


def test_from_state_must_not_need_an_instance():
    class Instance(HistoricalAverage):
        def from_state(self, values, arrays, prefix):
            return self

    with pytest.raises(UnfitFamily, match="no classmethod"):
        check_family("mine", Instance)
