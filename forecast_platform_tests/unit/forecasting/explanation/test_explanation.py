"""Laws of explanations: they add up, they find what was planted, they blame what has moved."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forecast_platform.forecasting.explanation.coefficients import has_effects, lasso_effects
from forecast_platform.forecasting.explanation.contributions import (
    CHANGES,
    PARTS,
    changes,
    contributions,
    predict_log,
)
from forecast_platform.forecasting.explanation.groups import (
    GROUP_OF,
    GROUPS,
    OTHER,
    REASONS,
    group_of,
    usual_values,
)
from forecast_platform.forecasting.explanation.importance import permutation_importance
from forecast_platform.forecasting.explanation.shapley import in_units, shares
from forecast_platform.forecasting.models.embedding_net import EmbeddingNetForecaster
from forecast_platform.forecasting.models.ensemble import Ensemble
from forecast_platform.forecasting.models.lasso import LassoForecaster
from forecast_platform.forecasting.models.signature import columns_of
from forecast_platform.forecasting.models.warm_start import warm_start
from forecast_platform.vocabulary import (
    CATEGORICAL_FEATURES,
    DS,
    NUMERIC_FEATURES,
    SEGMENT,
    UNIQUE_ID,
    WEEK,
)
from forecast_platform_tests.oracles.backtest import a_demand, a_frame

PLANTED = ("discount", "event", "lag_0", "lag_1", "lag_2", "base_level")


@pytest.fixture(scope="module")
def rows() -> pd.DataFrame:
    """Rows with a planted effect of discount and events; what else there is, is held still."""
    frame = a_frame(a_demand(4, 4, 56))
    still = dict.fromkeys([name for name in NUMERIC_FEATURES if name not in PLANTED], 0.0)
    return frame.assign(**{**still, "weeks_ahead": frame["h"].astype(float)})


@pytest.fixture(scope="module")
def ensemble(rows: pd.DataFrame) -> Ensemble:
    numeric = ("lag_0", "lag_1", "lag_2", "discount", "temperature_anomaly")
    categorical = ("store_id", "product_id", "event")
    members = {
        "lasso": LassoForecaster(numeric, effects=categorical),
        "embedding_net": EmbeddingNetForecaster(numeric, categorical, epochs=2),
    }
    weights = {"lasso": 0.6, "embedding_net": 0.4}
    return Ensemble(members, weights=weights).fit(rows, rows["y"])


@pytest.fixture(scope="module")
def features(rows: pd.DataFrame) -> pd.DataFrame:
    columns = [*NUMERIC_FEATURES, *CATEGORICAL_FEATURES, SEGMENT, UNIQUE_ID, WEEK, DS]
    return rows.tail(48)[columns]


def test_every_feature_of_the_vocabulary_is_in_one_group():
    placed = {name: group_of(name) for name in (*NUMERIC_FEATURES, *CATEGORICAL_FEATURES)}

    assert [name for name, group in placed.items() if group == OTHER] == []
    assert set(GROUP_OF.values()) == set(REASONS)


def test_parts_add_up_to_the_forecast(ensemble, features):
    y_hat = ensemble.predict(features)

    parts = contributions(ensemble, features, y_hat)

    assert list(parts) == list(PARTS)
    np.testing.assert_allclose(parts.sum(axis=1), y_hat, rtol=1e-12, atol=1e-12)


def test_what_a_cap_takes_is_a_part_of_its_own(ensemble, features):
    capped = Ensemble(ensemble.members, weights=ensemble.weights, cap_multiple=0.3)
    capped.caps_, capped.product_caps_ = ensemble.caps_, ensemble.product_caps_
    capped.overall_cap_ = ensemble.overall_cap_
    y_hat = capped.predict(features)

    parts = contributions(capped, features, y_hat)

    np.testing.assert_allclose(parts.sum(axis=1), y_hat, rtol=1e-12, atol=1e-12)
    is_cut = np.log1p(y_hat) < predict_log(capped, features) - 1e-9
    assert is_cut.any()
    assert (parts.loc[is_cut, "limits"] < 0).all()
    assert np.abs(parts.loc[~is_cut, "limits"]).max() < 1e-9


def test_the_planted_promotion_is_found_under_its_name(ensemble, features):
    promoted = features.assign(discount=np.float32(0.3), event="none")

    parts = contributions(ensemble, promoted, ensemble.predict(promoted))

    total = parts.sum(axis=1) + 1
    lift = total / (total - parts["price_promotion"])
    assert lift.median() == pytest.approx(np.exp(2.5 * 0.3), rel=0.35)  # planted
    groups = parts[list(GROUPS)].drop(columns="price_promotion").abs()
    assert (parts["price_promotion"] > groups.max(axis=1)).mean() > 0.9


def test_a_calm_week_owes_nothing_to_promotion_or_events(ensemble, features):
    calm = features.assign(discount=np.float32(0.0), event="none", log_price=np.float32(0.0))

    parts = contributions(ensemble, calm, ensemble.predict(calm))

    assert (parts["price_promotion"] == 0).all()
    assert (parts["events"] == 0).all()


def test_reasons_add_up_to_the_difference(ensemble, rows, features):
    numeric, effects = ("lag_0", "discount"), ("product_id", "event")
    old = LassoForecaster(numeric, effects=effects).fit(rows.head(400), rows["y"].head(400))
    other = Ensemble({"lasso": old}).fit_caps(rows, rows["y"])
    before = features.sample(frac=1, random_state=1).set_axis(features.index)
    y_new, y_old = ensemble.predict(features), other.predict(before)

    reasons = changes((ensemble, features, y_new), (other, before, y_old))

    assert list(reasons) == list(CHANGES)
    np.testing.assert_allclose(reasons.sum(axis=1), y_new - y_old, rtol=1e-9, atol=1e-11)
    assert (reasons["model"] != 0).any()


def test_an_event_that_was_announced_since_is_the_reason(ensemble, features):
    before = features.assign(event="none")
    now = features.assign(event="easter")
    y_new, y_old = ensemble.predict(now), ensemble.predict(before)

    reasons = changes((ensemble, now, y_new), (ensemble, before, y_old))

    np.testing.assert_allclose(reasons["events"], y_new - y_old, rtol=1e-9, atol=1e-9)
    assert (reasons["events"] > 0).mean() > 0.9
    assert (reasons.drop(columns=["events", "limits"]) == 0).all().all()


def test_a_retrained_model_alone_is_the_reason(ensemble, rows, features):
    other = Ensemble({"lasso": ensemble.members["lasso"]}).fit_caps(rows, rows["y"])
    y_new, y_old = ensemble.predict(features), other.predict(features)

    reasons = changes((ensemble, features, y_new), (other, features, y_old))

    np.testing.assert_allclose(reasons["model"], y_new - y_old, rtol=1e-6, atol=1e-9)


def test_shares_are_the_shapley_values_of_a_product():
    """By hand: price * event goes from 1 * 1 to 2 * 3, in either order."""

    def product(X: pd.DataFrame) -> np.ndarray:
        return X["discount"].to_numpy() * X["is_holiday"].to_numpy()

    before = pd.DataFrame({"discount": [1.0], "is_holiday": [1.0]})
    after = pd.DataFrame({"discount": [2.0], "is_holiday": [3.0]})

    [[price, event]] = shares(product, before, after, ["price_promotion", "events"])

    assert price == pytest.approx(((2 - 1) * 1 + (2 - 1) * 3) / 2)
    assert event == pytest.approx(((3 - 1) * 1 + (3 - 1) * 2) / 2)


@given(
    st.lists(st.floats(-3, 3), min_size=1, max_size=8),
    st.floats(0, 1e5),
)
@settings(max_examples=200)
def test_units_add_up_whatever_the_shares(logs, start):
    stop = np.expm1(np.log1p(start) + sum(logs))

    units = in_units(np.array([logs]), np.array([start]), np.array([stop]))

    scale = max(1.0, np.abs(units).sum(), abs(start))
    assert units.sum() == pytest.approx(stop - start, abs=1e-9 * scale)


def test_the_coefficient_of_a_discount_is_undone_to_ten_points(ensemble, rows):
    effects = lasso_effects(ensemble.members["lasso"], rows).set_index("feature")

    planted = np.exp(2.5 * 0.1) - 1
    assert effects.loc["discount", "kind"] == "uplift"
    assert effects.loc["discount", "value"] == pytest.approx(planted, rel=0.3)
    assert "more demand" in effects.loc["discount", "meaning"]


def test_an_effect_is_what_the_lasso_forecasts(ensemble, rows):
    """Undone standard deviations and averaged deviations, held to differences of forecasts."""
    lasso = ensemble.members["lasso"]
    own = rows[rows["segment"] == "large_fast"].assign(discount=np.float32(0.1))
    more = own.assign(discount=np.float32(0.2))

    told = lasso_effects(lasso, own).set_index("feature").loc["discount", "value"]

    seen = np.exp((lasso.predict_log(more) - lasso.predict_log(own)).mean()) - 1
    assert told == pytest.approx(seen, rel=1e-3)


@pytest.fixture(scope="module")
def started(ensemble: Ensemble, rows: pd.DataFrame) -> Ensemble:
    """The same members, started from those of the fixture, on a region of few weeks."""
    few = rows[rows["ds"] >= rows["ds"].max() - pd.Timedelta(weeks=9)]
    few = few.assign(store_id="new_" + few["store_id"].astype(str))
    members = {
        name: warm_start(
            type(member)(**{**member.get_params(), "recency_weeks": 20}), [member, member]
        ).fit(few, few["y"])
        for name, member in ensemble.members.items()
    }
    return Ensemble(members, weights={"lasso": 0.6, "embedding_net": 0.4}).fit_caps(few, few["y"])


def test_effects_of_a_warm_started_lasso_are_of_donors_and_correction_together(started, rows):
    lasso = started.members["lasso"]
    own = rows[rows["segment"] == "large_fast"].assign(discount=np.float32(0.1))
    more = own.assign(discount=np.float32(0.2))

    assert has_effects(lasso)
    effects = lasso_effects(lasso, own).set_index("feature")

    seen = np.exp((lasso.predict_log(more) - lasso.predict_log(own)).mean()) - 1
    assert effects.loc["discount", "value"] == pytest.approx(seen, rel=1e-3)
    easter, none = (
        own.assign(event=pd.Categorical([one] * len(own))) for one in ("easter", "none")
    )
    seen = np.exp((lasso.predict_log(easter) - lasso.predict_log(none)).mean()) - 1
    assert effects.loc["event=easter", "value"] == pytest.approx(seen, rel=1e-3)
    assert effects["meaning"].str.endswith("what this one has learnt beyond them)").all()
    assert not has_effects(started.members["embedding_net"])


def test_forecasts_of_a_warm_started_ensemble_are_taken_apart_and_add_up(started, features):
    y_hat = started.predict(features)

    parts = contributions(started, features, y_hat)

    np.testing.assert_allclose(parts.sum(axis=1), y_hat, rtol=1e-9)
    assert (parts["price_promotion"].abs() > 0).any()
    usual = usual_values(started, features)
    scaler = started.members["lasso"].member.standardiser_
    assert usual["discount"] == pytest.approx(scaler.mean[scaler.columns.index("discount")])


def test_a_warm_started_ensemble_names_the_columns_that_its_parts_read(started, ensemble):
    assert set(columns_of([started])) == set(columns_of([ensemble]))
    assert {"discount", "base_level"} <= set(columns_of([started]))


def test_the_planted_events_have_their_lifts(ensemble, rows):
    effects = lasso_effects(ensemble.members["lasso"], rows).set_index("feature")

    assert effects.loc["event=easter", "value"] > 0.2  # exp(0.4) - 1 was planted
    assert effects.loc["event=christmas", "value"] < -0.2  # exp(-0.5) - 1


def test_importance_names_what_matters_and_nothing_else(ensemble, rows):
    models = {**ensemble.members, "ensemble": ensemble}

    found = permutation_importance(models, rows, rows["y"], GROUPS)

    value = found.pivot_table(index="feature_group", columns="model", values="value")
    assert (value.loc["price_promotion"] > 0.05).all()
    assert (value.loc["events"] > 0.02).all()
    assert (value.loc["weather"].abs() < 0.01).all()
