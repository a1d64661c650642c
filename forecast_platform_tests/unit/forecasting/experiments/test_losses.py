"""Errors of two arms on the same rows."""

import numpy as np
import pandas as pd
import pytest

from forecast_platform.forecasting.experiments.losses import weekly_losses

FIRST, SECOND = pd.Timestamp("2024-03-04"), pd.Timestamp("2024-03-11")


def pairs(**columns: list) -> pd.DataFrame:
    rows = {
        "unique_id": ["S1/P1", "S1/P2", "S1/P1"],
        "ds": [FIRST, FIRST, SECOND],
        "y": [10.0, 0.0, 20.0],
        "forecast_a": [8.0, 1.0, 20.0],
        "forecast_b": [13.0, 4.0, 30.0],
    }
    return pd.DataFrame(rows | columns)


def test_mape_counts_rows_with_demand_and_wape_all():
    mape, wape = (weekly_losses(pairs(), metric).set_index("ds") for metric in ("mape", "wape"))

    assert mape.loc[FIRST, ["loss_a", "loss_b"]].tolist() == pytest.approx([0.2, 0.3])
    assert wape.loc[FIRST, ["loss_a", "loss_b"]].tolist() == pytest.approx([0.3, 0.7])
    assert (mape.loc[FIRST, "n_rows"], wape.loc[FIRST, "n_rows"]) == (1, 2)
    assert mape.loc[SECOND, "difference"] == 2


def test_swapping_the_arms_turns_the_sign():
    swapped = pairs().rename(columns={"forecast_a": "forecast_b", "forecast_b": "forecast_a"})

    there, back = weekly_losses(pairs(), "wape"), weekly_losses(swapped, "wape")

    np.testing.assert_allclose(there["difference"], -back["difference"])


def test_a_row_that_one_arm_lacks_counts_for_neither():
    rows = pairs(forecast_b=[13.0, 4.0, np.nan])

    losses = weekly_losses(rows, "wape")

    assert losses["ds"].tolist() == [FIRST]


@pytest.mark.parametrize("metric", ["mape", "wape"])
def test_no_rows_make_no_weeks(metric: str):
    losses = weekly_losses(pairs().head(0), metric)

    assert losses.empty
    assert "difference" in losses


def test_arms_without_an_error_are_alike():
    rows = pairs(forecast_a=[10.0, 0.0, 20.0], forecast_b=[10.0, 0.0, 20.0])

    assert weekly_losses(rows)["difference"].tolist() == [0.0, 0.0]
