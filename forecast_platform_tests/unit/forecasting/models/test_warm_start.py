import json

import numpy as np
import pandas as pd
import pytest

from forecast_platform.forecasting.evaluation.metrics import mape
from forecast_platform.forecasting.models.base import CorruptModelFiles
from forecast_platform.forecasting.models.embedding_net import EmbeddingNetForecaster
from forecast_platform.forecasting.models.ensemble import Ensemble
from forecast_platform.forecasting.models.files import load_model, to_files
from forecast_platform.forecasting.models.lasso import LassoForecaster
from forecast_platform.forecasting.models.warm_start import WarmStarted, warm_start
from forecast_platform_tests.oracles.backtest import a_demand, a_frame

NUMERIC = ("lag_0", "lag_1", "lag_2", "discount")
CATEGORICAL = ("store_id", "product_id", "event", "format", "velocity")


def a_lasso():
    return LassoForecaster(NUMERIC, deviations=("segment",), effects=CATEGORICAL)


def a_net():
    return EmbeddingNetForecaster(NUMERIC, CATEGORICAL, epochs=2)


@pytest.fixture(scope="module")
def donor_rows():
    return a_frame(a_demand(4, 4, 52))


@pytest.fixture(scope="module")
def new_rows():
    """Rows of another region: the donors know none of its stores."""
    rows = a_frame(a_demand(4, 4, 30, seed=7))
    return rows.assign(store_id="new_" + rows["store_id"].astype("str"))


@pytest.fixture(scope="module", params=[a_lasso, a_net])
def started(request, donor_rows, new_rows):
    donor = request.param().fit(donor_rows, donor_rows["y"])
    known = new_rows[new_rows["ds"] <= new_rows["ds"].min() + pd.Timedelta(weeks=1)]
    return request.param, donor, known, warm_start(request.param(), [donor]).fit(known, known["y"])


def test_few_rows_of_its_own_beat_a_start_from_nothing(started, new_rows):
    make, _, known, model = started
    scratch = make().fit(known, known["y"])
    later = new_rows[new_rows["ds"] > known["ds"].max()]

    assert mape(later["y"], model.predict(later)) < mape(later["y"], scratch.predict(later))


def test_a_warm_started_member_in_an_ensemble_is_read_back_to_the_last_bit(started, new_rows):
    make, _, known, model = started
    name = "lasso" if make is a_lasso else "embedding_net"
    ensemble = Ensemble({name: model}).fit_caps(known, known["y"])

    read = load_model(to_files(ensemble))

    assert isinstance(read.members[name], WarmStarted)
    assert (read.predict(new_rows) == ensemble.predict(new_rows)).all()


def test_a_lasso_that_may_learn_nothing_forecasts_what_the_donor_does(donor_rows, new_rows):
    donor = a_lasso().fit(donor_rows, donor_rows["y"])
    penalised = LassoForecaster(NUMERIC, deviations=("segment",), effects=CATEGORICAL, alpha=1e6)

    model = warm_start(penalised, [donor]).fit(new_rows, new_rows["y"])

    moved = np.log1p(model.predict(new_rows)) - np.log1p(donor.predict(new_rows))
    inside = donor.predict(new_rows) > 0
    assert np.ptp(moved[inside]) < 1e-3


def test_donors_that_were_warm_started_themselves_lend_nothing(started):
    make, donor, _, model = started

    assert isinstance(warm_start(make(), [model]), make().__class__)
    assert len(warm_start(make(), [model, donor]).donors) == 1


def test_a_member_without_a_base_starts_from_nothing():
    class Own:
        def get_params(self):
            return {"seed": 0}

    own = Own()

    assert warm_start(own, ["donor"]) is own


def test_a_damaged_warm_start_is_refused(started):
    _, _, _, model = started
    values, arrays = model.to_state()
    values = json.loads(json.dumps(values))
    del values["warm_started"]["donor_0"]

    with pytest.raises(CorruptModelFiles, match="at least one donor"):
        WarmStarted.read(type(model.member), values, arrays, "")
