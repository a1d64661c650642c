import numpy as np
import pandas as pd
import pytest

from forecast_platform.forecasting.evaluation.coverage import range_scores
from forecast_platform.forecasting.evaluation.metrics import mape
from forecast_platform.forecasting.models.files import load_model, to_files
from forecast_platform.forecasting.training import (
    HOLDOUT_COLUMNS,
    SEGMENTS,
    TrainingConfig,
    fit_baseline,
    train_region,
)
from forecast_platform.vocabulary import MEMBERS, QUANTILES
from forecast_platform_tests.oracles.backtest import a_demand, a_frame

CONFIG = TrainingConfig(
    numeric=("lag_0", "lag_1", "lag_2", "discount"),
    categorical=("store_id", "product_id", "event", "format", "velocity"),
)


@pytest.fixture(scope="module")
def demand():
    return a_demand(4, 4, 52)


@pytest.fixture(scope="module")
def frame(demand):
    return a_frame(demand)


@pytest.fixture(scope="module")
def cutoff(demand):
    return demand["ds"].max()


@pytest.fixture(scope="module")
def trained(frame, demand, cutoff):
    return train_region(frame, demand, cutoff=cutoff, config=CONFIG)


def digest(models):
    return [to_files(model) for model in [*models.ensembles.values(), *models.baselines.values()]]


def test_a_region_has_four_ensembles_and_two_baselines(trained):
    assert set(trained.ensembles) == set(SEGMENTS)
    assert set(trained.baselines) == {"large", "small"}
    assert trained.skipped == {}


def test_each_ensemble_has_its_own_weights_on_the_simplex(trained):
    for segment, ensemble in trained.ensembles.items():
        assert ensemble.segment == segment
        assert tuple(ensemble.weights) == MEMBERS
        assert sum(ensemble.weights.values()) == pytest.approx(1)


def test_sizes_count_rows_and_series(trained, frame, demand):
    assert sum(trained.sizes[segment][0] for segment in SEGMENTS) == len(frame)
    assert sum(trained.sizes[segment][1] for segment in SEGMENTS) == demand["unique_id"].nunique()
    assert trained.sizes["large"][0] + trained.sizes["small"][0] == len(demand)


def test_the_holdout_has_every_model_on_the_same_known_rows(trained, cutoff):
    holdout = trained.holdout

    assert tuple(holdout.columns) == HOLDOUT_COLUMNS
    assert not holdout.isna().any(axis=None)
    assert not holdout.duplicated(["unique_id", "week", "h"]).any()
    assert holdout["ds"].max() == cutoff
    assert set(holdout["h"]) == {1, 2, 3, 4}
    assert set(holdout["segment"]) == set(SEGMENTS)


def test_the_ensemble_beats_the_historical_average(trained):
    holdout = trained.holdout

    ensemble, average = (
        mape(holdout["y"], holdout[name]) for name in ("ensemble", "historical_average")
    )

    assert ensemble < 0.45
    assert ensemble < 0.75 * average


def test_training_twice_in_any_order_is_bitwise_equal(trained, frame, demand, cutoff):
    shuffled = frame.sample(frac=1, random_state=1), demand.sample(frac=1, random_state=2)

    again = train_region(*shuffled, cutoff=cutoff, config=CONFIG)

    assert digest(again) == digest(trained)
    pd.testing.assert_frame_equal(again.holdout, trained.holdout, check_exact=True)


def test_rewriting_the_future_changes_nothing(frame, demand, cutoff):
    earlier = cutoff - pd.Timedelta(weeks=6)

    def rewritten(table):
        future = table["ds"] > earlier
        return table.assign(
            y=table["y"].mask(future, 1e6), discount=table["discount"].mask(future, 9.0)
        )

    before = train_region(frame, demand, cutoff=earlier, config=CONFIG)
    after = train_region(rewritten(frame), rewritten(demand), cutoff=earlier, config=CONFIG)

    assert digest(after) == digest(before)
    assert after.holdout.equals(before.holdout)


def test_held_out_forecasts_do_not_know_the_weeks_they_are_about(trained, frame, demand, cutoff):
    newest_fold = trained.holdout["week"].min()

    def rewritten(table):
        return table.assign(y=table["y"].mask(table["ds"] > newest_fold, 3.0))

    after = train_region(rewritten(frame), rewritten(demand), cutoff=cutoff, config=CONFIG).holdout

    forecasts = [*MEMBERS, "ensemble", "historical_average", *QUANTILES]
    pd.testing.assert_frame_equal(after[forecasts], trained.holdout[forecasts], check_exact=True)


def test_each_ensemble_stands_alone(trained, frame):
    for segment, ensemble in trained.ensembles.items():
        rows = frame[frame["segment"] == segment]

        read = load_model(to_files(ensemble))

        assert (read.predict(rows) == ensemble.predict(rows)).all()


def test_a_short_history_leaves_the_baselines_and_says_why(frame, demand, cutoff):
    recent = frame[frame["ds"] > cutoff - pd.Timedelta(weeks=12)]

    models = train_region(recent, demand, cutoff=cutoff, config=CONFIG)

    assert models.ensembles == {}
    assert set(models.baselines) == {"large", "small"}
    assert set(models.skipped) == set(SEGMENTS)
    assert models.skipped["large_fast"] == "history too short: 12 weeks of labels, 26 needed"
    assert list(models.holdout.columns) == list(HOLDOUT_COLUMNS)


def test_history_for_one_fold_only_gives_equal_weights_in_an_honest_holdout(frame, demand, cutoff):
    recent = frame[frame["ds"] > cutoff - pd.Timedelta(weeks=17)]
    config = TrainingConfig(
        numeric=CONFIG.numeric, categorical=CONFIG.categorical, min_history_weeks=10
    )

    holdout = train_region(recent, demand, cutoff=cutoff, config=config).holdout

    equal = holdout[["lasso", "embedding_net"]].mean(axis=1)
    assert holdout["ensemble"].to_numpy() == pytest.approx(equal.to_numpy())


def test_a_segment_without_rows_is_skipped_with_a_reason(frame, demand, cutoff):
    models = train_region(
        frame[frame["segment"] != "small_slow"], demand, cutoff=cutoff, config=CONFIG
    )

    assert models.skipped == {"small_slow": "no rows in the segment"}
    assert len(models.ensembles) == 3


def test_a_format_without_stores_has_neither_ensembles_nor_baseline(frame, demand, cutoff):
    large, sold = frame[frame["format"] == "large"], demand[demand["format"] == "large"]

    models = train_region(large, sold, cutoff=cutoff, config=CONFIG)

    assert set(models.ensembles) == {"large_slow", "large_fast"}
    assert set(models.baselines) == {"large"}
    assert set(models.skipped) == {"small", "small_slow", "small_fast"}


def test_a_segment_of_three_series_has_an_ensemble(frame, demand, cutoff):
    few = frame.loc[frame["segment"] == "small_slow", "unique_id"].unique()[:3]
    rows = frame[(frame["segment"] != "small_slow") | frame["unique_id"].isin(few)]

    models = train_region(rows, demand, cutoff=cutoff, config=CONFIG)

    assert models.sizes["small_slow"][1] == 3
    assert np.isfinite(models.ensembles["small_slow"].predict(rows)).all()


def test_silent_series_and_one_huge_outlier_do_no_harm(frame, demand, cutoff):
    silent = demand["unique_id"].iloc[0]

    def spoiled(table):
        y = table["y"].mask(table["unique_id"] == silent, 0.0)
        return table.assign(y=y.mask((table["unique_id"] == "s1/p1") & (y == y.max()), 1e6))

    models = train_region(spoiled(frame), spoiled(demand), cutoff=cutoff, config=CONFIG)

    forecasts = models.holdout[[*MEMBERS, "ensemble"]]
    assert np.isfinite(forecasts).all(axis=None)
    assert (forecasts >= 0).all(axis=None)
    assert models.holdout.loc[models.holdout["unique_id"] == silent, "ensemble"].max() <= 1.0


def test_a_baseline_alone_equals_the_trained_one(trained, demand):
    alone = fit_baseline(demand, "large")

    large = demand[demand["format"] == "large"]
    assert (alone.predict(large) == trained.baselines["large"].predict(large)).all()


def test_the_seed_changes_the_net_and_not_the_lasso(trained, frame, demand, cutoff):
    config = TrainingConfig(numeric=CONFIG.numeric, categorical=CONFIG.categorical, seed=1)

    other = train_region(frame, demand, cutoff=cutoff, config=config).holdout

    assert (other["lasso"] == trained.holdout["lasso"]).all()
    assert (other["embedding_net"] != trained.holdout["embedding_net"]).any()


def test_the_first_week_of_a_region_has_baselines_before_it_has_training_rows(frame, demand):
    first = demand["ds"].min()

    models = train_region(frame[frame["ds"] < first], demand, cutoff=first, config=CONFIG)

    assert set(models.baselines) == {"large", "small"}
    assert models.ensembles == {}


def test_the_held_out_range_covers_what_it_says(trained):
    scores = range_scores(trained.holdout)

    assert 0.7 < scores["coverage_80"] < 0.97
    assert scores["pinball"] < 0.2


def test_an_ensemble_read_back_forecasts_the_same_quantiles_to_the_last_bit(trained, frame):
    for segment, ensemble in trained.ensembles.items():
        rows = frame[frame["segment"] == segment]

        made = ensemble.predict_quantiles(rows, (0.05, 0.1, 0.3, 0.5, 0.9))

        assert np.isfinite(made).all()
        assert (np.diff(made, axis=1) >= 0).all()
        assert (made[:, 1] <= ensemble.predict(rows)).all()
        assert (made[:, -1] >= ensemble.predict(rows)).all()
        read = load_model(to_files(ensemble))
        assert (read.predict_quantiles(rows, (0.05, 0.1, 0.3, 0.5, 0.9)) == made).all()
