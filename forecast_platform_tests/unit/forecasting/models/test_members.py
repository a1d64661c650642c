"""Laws that both members obey."""

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.base import clone
from threadpoolctl import threadpool_info, threadpool_limits

from forecast_platform.forecasting.models import lasso
from forecast_platform.forecasting.models.base import Forecaster, NotFitted
from forecast_platform.forecasting.models.embedding_net import EmbeddingNetForecaster
from forecast_platform.forecasting.models.interactions import Design
from forecast_platform.forecasting.models.lasso import LassoForecaster
from forecast_platform.forecasting.models.objective import recency_weights, relative_scale


def a_member(family, columns, **params):
    numeric, categorical = columns
    if family is LassoForecaster:
        return LassoForecaster(numeric, effects=categorical, **params)
    return EmbeddingNetForecaster(numeric, categorical, **params)


both = pytest.mark.parametrize("family", [LassoForecaster, EmbeddingNetForecaster])


@pytest.fixture(scope="module")
def fitted(rows, columns):
    families = (LassoForecaster, EmbeddingNetForecaster)
    return {family: a_member(family, columns).fit(rows, rows["y"]) for family in families}


@both
def test_a_member_is_a_forecaster_whose_parameters_survive_cloning(family, columns):
    member = a_member(family, columns, recency_weeks=9.0, objective="mean")

    copy = clone(member)

    assert isinstance(copy, Forecaster)
    assert copy.get_params() == member.get_params()
    assert "recency_weeks=9.0" in repr(copy)
    with pytest.raises(ValueError, match="no parameter"):
        copy.set_params(alpah=1)


@both
def test_fitting_twice_is_bitwise_equal(family, rows, columns, fitted):
    again = a_member(family, columns).fit(rows, rows["y"])

    assert (again.predict(rows) == fitted[family].predict(rows)).all()


@both
def test_the_order_of_rows_to_forecast_is_irrelevant(family, rows, fitted):
    shuffled = rows.sample(frac=1, random_state=0)

    forecasts = pd.Series(fitted[family].predict(shuffled), index=shuffled.index)

    assert forecasts.sort_index().to_numpy() == pytest.approx(
        fitted[family].predict(rows), rel=1e-4
    )


def test_the_order_of_training_rows_is_irrelevant_to_the_lasso(rows, columns, fitted):
    shuffled = rows.sample(frac=1, random_state=0)

    again = a_member(LassoForecaster, columns).fit(shuffled, shuffled["y"])

    assert again.predict(rows) == pytest.approx(fitted[LassoForecaster].predict(rows), rel=1e-2)


@both
def test_a_member_learns_the_promotion_that_was_planted(family, rows, fitted):
    calm = rows.assign(discount=np.float32(0.0))
    promoted = rows.assign(discount=np.float32(0.3))

    lift = fitted[family].predict(promoted).sum() / fitted[family].predict(calm).sum()

    assert 1.3 < lift < 3.0  # exp(0.75) = 2.1 was planted


@both
def test_a_member_beats_the_level_it_starts_from(family, rows, fitted):
    positive = rows[rows["y"] > 0]

    def error(forecasts):
        return np.mean(np.abs(forecasts - positive["y"]) / positive["y"])

    assert error(fitted[family].predict(positive)) < 0.9 * error(np.expm1(positive["base_level"]))


@both
def test_unknown_categories_and_wild_numbers_give_finite_forecasts(family, rows, fitted):
    strange = rows.head(3).assign(
        store_id="new", product_id="new", event="eclipse", category="new", segment="new",
        discount=[np.nan, 1e30, -np.inf], base_level=np.float32(1.0),
    )  # fmt: skip

    forecasts = fitted[family].predict(strange)

    assert np.isfinite(forecasts).all()
    assert (forecasts >= 0).all()


@both
def test_a_history_of_zeros_forecasts_zero(family, rows, columns):
    silent = rows.assign(base_level=np.float32(0), lag_0=0.0, lag_1=0.0, lag_2=0.0)

    forecasts = a_member(family, columns).fit(silent, np.zeros(len(silent))).predict(silent)

    assert forecasts.max() < 0.05


@both
def test_one_huge_outlier_moves_the_other_forecasts_little(family, rows, columns, fitted):
    spoiled = rows["y"].to_numpy().copy()
    spoiled[100] = 1e7

    forecasts = a_member(family, columns).fit(rows, spoiled).predict(rows)

    before = fitted[family].predict(rows)
    assert np.median(np.abs(forecasts - before) / (1 + before)) < 0.1


@both
def test_the_mean_objective_forecasts_totals_and_mape_forecasts_less(family, rows, columns, fitted):
    total = rows["y"].sum()

    for_totals = (
        a_member(family, columns, objective="mean").fit(rows, rows["y"]).predict(rows).sum()
    )

    assert for_totals == pytest.approx(total, rel=0.08)
    assert fitted[family].predict(rows).sum() < for_totals


@both
def test_a_member_must_be_fitted_and_told_its_columns(family, rows, columns):
    with pytest.raises(NotFitted):
        a_member(family, columns).predict(rows)
    with pytest.raises(KeyError, match="discount"):
        a_member(family, columns).fit(rows.drop(columns="discount"), rows["y"])
    with pytest.raises(ValueError, match="objective"):
        a_member(family, columns, objective="rmse").fit(rows, rows["y"])


def test_training_a_net_leaves_torch_as_it_was(rows, columns):
    torch.manual_seed(3)
    expected = torch.rand(1)
    torch.manual_seed(3)
    threads = torch.get_num_threads()

    a_member(EmbeddingNetForecaster, columns, epochs=1, threads=1).fit(rows, rows["y"])

    assert torch.rand(1) == expected
    assert torch.get_num_threads() == threads


@both
def test_no_rows_have_no_forecasts(family, rows, fitted):
    assert fitted[family].predict(rows.iloc[:0]).shape == (0,)


def test_the_lasso_forecasts_what_its_design_predicts(rows, columns, monkeypatch):
    seen, shifted = [], lasso._Problem.shifted

    def watched(problem, coef):
        seen.append((problem.design, moved := shifted(problem, coef)))
        return moved

    monkeypatch.setattr(lasso._Problem, "shifted", watched)
    member = a_member(LassoForecaster, columns).fit(rows, rows["y"])

    (design, coef), base = seen[0], rows[member.base].to_numpy()
    order = design.order_of(member.groups_.codes(rows))
    expected = np.clip(design.predict(coef) + base[order], 0.0, None)
    assert member.predict_log(rows)[order] == pytest.approx(expected, abs=1e-4)


def test_the_lasso_multiplies_in_one_thread_and_puts_their_number_back(rows, columns, monkeypatch):
    def threads():
        return [one["num_threads"] for one in threadpool_info() if one["user_api"] == "blas"]

    seen, gram = [], Design.gram

    def watched(*args):
        seen.extend(threads())
        return gram(*args)

    monkeypatch.setattr(Design, "gram", watched)
    with threadpool_limits(2, user_api="blas"):
        before = threads()
        a_member(LassoForecaster, columns).fit(rows, rows["y"])

        assert threads() == before
    assert set(seen) == {1}


def test_seeds_differ_and_rows_are_thinned_to_their_bound(rows, columns, fitted):
    other = a_member(EmbeddingNetForecaster, columns, seed=1, max_rows=500).fit(rows, rows["y"])

    assert not np.allclose(other.predict(rows), fitted[EmbeddingNetForecaster].predict(rows))


def test_a_given_penalty_is_used_and_a_huge_one_leaves_no_slopes(rows, columns):
    model = a_member(LassoForecaster, columns, alpha=1e3).fit(rows, rows["y"])

    assert model.alpha_ == 1e3
    assert (model.shared_[:-1] == 0).all()
    assert all((block[:, :-1] == 0).all() for block in model.deviations_)


@pytest.mark.parametrize("shift", [-0.05, -0.02, 0.02, 0.05])
def test_the_lasso_lies_where_its_relative_error_is_least(rows, fitted, shift):
    logs = fitted[LassoForecaster].predict_log(rows)
    scale = relative_scale(rows["y"].to_numpy(), rows["base_level"].to_numpy(float), 0.03)
    weights = scale * recency_weights(rows["ds"].to_numpy(), 60.0)

    def error(logs):
        return (weights * np.abs(np.expm1(logs - np.log1p(rows["y"])))).sum()

    assert error(logs) < error(logs + shift)


def test_deviations_that_would_be_too_wide_are_left_out(rows, columns):
    model = a_member(LassoForecaster, columns, max_coefficients=20).fit(rows, rows["y"])

    assert model.groups_.levels == {}
    assert np.isfinite(model.predict(rows)).all()
