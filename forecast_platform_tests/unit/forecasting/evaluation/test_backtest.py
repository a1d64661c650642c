import numpy as np
import pandas as pd
import pytest

from forecast_platform.forecasting.evaluation.backtest import backtest, refit, rolling_folds
from forecast_platform.forecasting.models.baseline import HistoricalAverage
from forecast_platform_tests.oracles.backtest import slow_backtest


@pytest.fixture
def frame():
    weeks = pd.date_range("2024-01-01", periods=12, freq="W-MON")
    rows = [
        {
            "unique_id": f"s/{p}",
            "product_id": p,
            "week": week,
            "h": h,
            "y": float(i + h) * (p == "a"),
        }
        for i, week in enumerate(weeks)
        for p in ("a", "b")
        for h in (1, 2)
    ]
    rows = pd.DataFrame(rows)
    return rows.assign(ds=rows["week"] + pd.to_timedelta(7 * rows["h"], unit="D"))


def test_folds_never_forecast_past_the_next_folds_cutoff():
    cutoff = pd.Timestamp("2024-06-03")
    folds = rolling_folds(cutoff, n_folds=3, n_origins=4, horizon=4)

    latest = [fold.origins[-1] + pd.Timedelta(weeks=4) for fold in folds]

    assert [fold.cutoff for fold in folds[1:]] == latest[:-1]
    assert latest[-1] == cutoff
    assert all(fold.origins[0] == fold.cutoff for fold in folds)


def test_a_fold_needs_weeks():
    with pytest.raises(ValueError, match="at least 1"):
        rolling_folds(pd.Timestamp("2024-06-03"), n_folds=1, n_origins=0, horizon=4)


def test_backtest_equals_one_forecast_at_a_time(frame):
    folds = rolling_folds(frame["ds"].max(), n_folds=2, n_origins=2, horizon=2)

    table = backtest(frame, folds, refit({"average": HistoricalAverage()}))

    slow = slow_backtest(
        frame,
        [fold.cutoff for fold in folds],
        lambda cutoff: (cutoff, cutoff + pd.Timedelta(weeks=1)),
        lambda known: HistoricalAverage().fit(known, known["y"]),
    )
    fast = {(r.week, r.unique_id, r.h): r.average for r in table.itertuples()}
    assert fast == pytest.approx(slow)
    assert len(table) == 2 * 2 * 2 * 2


def test_rewriting_the_future_changes_no_forecast(frame):
    folds = rolling_folds(frame["ds"].max(), n_folds=1, n_origins=2, horizon=2)
    fit = refit({"average": HistoricalAverage()})
    rewritten = frame.assign(y=frame["y"].where(frame["ds"] <= folds[0].cutoff, 1e6))

    before, after = backtest(frame, folds, fit), backtest(rewritten, folds, fit)

    pd.testing.assert_series_equal(before["average"], after["average"])


def test_the_models_given_are_not_fitted_themselves(frame):
    model = HistoricalAverage()

    backtest(
        frame,
        rolling_folds(frame["ds"].max(), n_folds=1, n_origins=1, horizon=1),
        refit({"average": model}),
    )

    assert not hasattr(model, "series_")


def test_folds_without_rows_give_no_forecasts(frame):
    folds = rolling_folds(pd.Timestamp("2010-01-04"), n_folds=1, n_origins=1, horizon=1)

    assert backtest(frame, folds, refit({"average": HistoricalAverage()})).empty


def test_a_model_that_forecasts_another_number_of_rows_is_refused(frame):
    class Short(HistoricalAverage):
        def predict(self, X):
            return np.zeros(1)

    folds = rolling_folds(frame["ds"].max(), n_folds=1, n_origins=1, horizon=2)
    with pytest.raises(ValueError, match="forecasts of shape"):
        backtest(frame, folds, refit({"short": Short()}))
