"""Training rows: features of earlier weeks with the demand that is known by now."""

import pandas as pd
import pytest

from forecast_platform.forecasting.features.assemble import build_features
from forecast_platform.forecasting.features.training import training_frame
from forecast_platform_tests.builders import a_history, weeks_from

WEEKS = weeks_from(n=24)
CUTOFF = WEEKS[20]


@pytest.fixture(scope="module")
def history():
    return a_history(n_weeks=24)


@pytest.fixture(scope="module")
def features(history) -> pd.DataFrame:
    return build_features(history, list(WEEKS), 4)


def test_only_demand_known_at_the_cutoff_becomes_a_label(history, features) -> None:
    frame = training_frame(features, history.demand, CUTOFF, weeks=8)

    assert frame["ds"].max() == CUTOFF
    assert (frame["week"].min(), frame["week"].max()) == (WEEKS[12], WEEKS[19])
    labels = history.demand.set_index(["unique_id", "ds"])["y"]
    told = pd.MultiIndex.from_frame(frame[["unique_id", "ds"]])
    assert frame["y"].tolist() == labels.reindex(told).tolist()
    assert len(frame) == 12 * (5 * 4 + 3 + 2 + 1)


def test_later_demand_changes_nothing(history, features) -> None:
    demand = history.demand.assign(y=history.demand["y"].where(history.demand["ds"] <= CUTOFF, 1e6))

    one, other = (training_frame(features, d, CUTOFF, weeks=8) for d in (history.demand, demand))

    pd.testing.assert_frame_equal(one, other)


def test_velocity_is_that_of_the_cutoff_and_not_of_the_row(history, features) -> None:
    now = features["week"] == CUTOFF
    changed = features.assign(velocity=features["velocity"].where(now, "slow"))

    frame = training_frame(changed, history.demand, CUTOFF, weeks=8)

    wanted = features[now].drop_duplicates(["format", "product_id"])
    wanted = wanted.set_index(["format", "product_id"])["velocity"]
    told = frame.drop_duplicates(["format", "product_id"]).set_index(["format", "product_id"])
    assert told["velocity"].to_dict() == wanted.to_dict()
    assert (frame["segment"] == frame["format"] + "_" + frame["velocity"]).all()


def test_rows_without_demand_are_left_out(history, features) -> None:
    demand = history.demand[history.demand["unique_id"] != "s000/p00"]

    frame = training_frame(features, demand, CUTOFF, weeks=8)

    assert "s000/p00" not in set(frame["unique_id"])


def test_no_weeks_are_refused(history, features) -> None:
    with pytest.raises(ValueError, match="weeks"):
        training_frame(features, history.demand, CUTOFF, weeks=0)
