"""What training writes and registers."""

from collections.abc import Callable

import pandas as pd
import pytest

from forecast_platform.assets.training import trained_ensembles
from forecast_platform.checks.failover import models_are_registered
from forecast_platform.errors import NoChampion
from forecast_platform.partitions import RegionWeek
from forecast_platform.resources.model_settings import ModelSettings
from forecast_platform.resources.registry import ModelRegistry
from forecast_platform.schemas.metrics import HoldoutForecasts
from forecast_platform.schemas.models import TrainedEnsembles
from forecast_platform_tests.assets.conftest import MODEL_ASSETS, REGION, WEEKS, World
from forecast_platform_tests.assets.test_model_checks import evaluate

KEY = RegionWeek(REGION, WEEKS[-1])
BEFORE = RegionWeek(REGION, WEEKS[-2])
SEGMENTS = ["large", "large_fast", "large_slow", "small", "small_fast", "small_slow"]


def test_four_ensembles_and_two_baselines_are_trained_and_registered(forecast: World):
    rows = forecast.rows("trained_ensembles", KEY)

    TrainedEnsembles.validate(rows, lazy=True)
    assert sorted(rows["segment"]) == SEGMENTS
    assert (rows["status"] == "trained").all()
    for row in rows.itertuples():
        files = forecast.registry.load_files(row.model_name, row.model_version)
        assert files
        alias = "challenger" if row.kind == "ensemble" else "baseline"
        assert forecast.registry.champion(row.model_name, alias).sha256 == row.sha256


def test_held_out_forecasts_are_kept_and_know_nothing_later(forecast: World):
    holdout = forecast.rows("holdout_forecasts", KEY)

    HoldoutForecasts.validate(holdout, lazy=True)
    assert holdout["segment"].nunique() == 4
    assert (holdout["origin"] < holdout["ds"]).all()
    assert (holdout["ds"] <= KEY.week).all()


def test_training_again_gives_the_same_models_and_no_new_version(forecast: World):
    before = forecast.rows("trained_ensembles", KEY)

    forecast.make([trained_ensembles], KEY)

    after = forecast.rows("trained_ensembles", KEY)
    columns = ["model_name", "model_version", "sha256"]
    pd.testing.assert_frame_equal(after[columns], before[columns])


def test_other_parameters_make_new_versions(forecast: World):
    forecast.settings = ModelSettings(epochs=1)

    forecast.make([trained_ensembles], KEY)

    assert set(forecast.rows("trained_ensembles", KEY)["model_version"]) == {2}


def test_a_short_history_falls_back_to_the_baseline_and_says_so(featured: World):
    key = RegionWeek(REGION, WEEKS[9])

    result = featured.make([trained_ensembles], key)

    rows = featured.rows("trained_ensembles", key).set_index("segment")
    ensembles = rows[rows["kind"] == "ensemble"]
    assert (ensembles["status"] == "history_too_short").all()
    assert ensembles["reason"].str.contains("weeks").all()
    assert (rows.loc[["large", "small"], "status"] == "trained").all()
    assert featured.rows("holdout_forecasts", key).empty
    with pytest.raises(NoChampion):
        featured.registry.champion("demand-north-large-fast", "challenger")
    [event] = result.asset_materializations_for_node("trained_ensembles")
    assert "history too short" in event.metadata["problems"].value


def test_the_very_first_week_is_served_by_the_baseline(featured: World):
    key = RegionWeek(REGION, WEEKS[0])

    result = featured.make(MODEL_ASSETS, key)

    assert result.success
    assert set(featured.rows("forecasts", key)["served_by"]) == {"historical_average"}


def test_models_in_mlflow_forecast_as_those_in_memory(
    featured: World, forecast: World, make_registry: Callable[[], ModelRegistry]
):
    featured.registry = make_registry()

    featured.make(MODEL_ASSETS, KEY)

    expected = forecast.rows("forecasts", KEY).drop(columns="run_id")
    made = featured.rows("forecasts", KEY).drop(columns="run_id")
    pd.testing.assert_frame_equal(made, expected)
    champion = featured.registry.champion("demand-north-large-fast")
    with featured.registry._connected() as client:
        run = client.get_run(champion.run_id)
        tags = client.get_model_version(champion.name, str(champion.version)).tags
    assert run.data.metrics["all/ensemble/mape"] > 0
    assert run.data.params["epochs"] == "2"
    assert tags.keys() >= {
        "region",
        "format",
        "velocity",
        "cutoff",
        "git_commit",
        "seed",
        "sha256",
        "version_demand_features",
        "version_fct_weekly_demand",
    }


def test_a_registry_that_is_down_costs_the_models_and_says_so_but_no_week_is_missed(
    featured: World,
):
    featured.registry.is_down = True

    result = featured.make(MODEL_ASSETS, KEY)

    assert result.success
    rows = featured.rows("trained_ensembles", KEY)
    TrainedEnsembles.validate(rows, lazy=True)
    assert set(rows["status"]) == {"not_registered"}
    assert rows["reason"].str.contains("cannot be reached").all()
    assert set(featured.rows("forecasts", KEY)["served_by"]) == {"historical_average"}
    check = evaluate(featured, [models_are_registered])["models_are_registered"]
    assert not check.passed
    assert "trained, but lost" in check.description


def test_a_range_trains_every_week(featured: World):
    featured.make([trained_ensembles], BEFORE, KEY)

    for key in (BEFORE, KEY):
        assert (featured.rows("trained_ensembles", key)["status"] == "trained").all()
    assert featured.registry.champion("demand-north-large-fast", "challenger").version == 2


def test_a_week_without_features_does_not_cost_the_others_their_models(featured: World):
    later = RegionWeek(REGION, KEY.week + pd.Timedelta(weeks=1))

    result = featured.make([trained_ensembles], KEY, later, raise_on_error=False)

    assert not result.success
    failure = result.failure_data_for_node("trained_ensembles")
    assert later.key in str(failure.error)
    assert len(featured.rows("trained_ensembles", KEY)) == 6


def test_later_demand_changes_no_model(featured: World):
    """A replay gives the answer of its day, whatever the lake has learnt since."""
    featured.make([trained_ensembles], BEFORE)
    then = featured.rows("trained_ensembles", BEFORE)
    demand = featured.rows("fct_weekly_demand", KEY)
    featured.lake.write(
        "fct_weekly_demand", demand.assign(y=demand["y"] * 100), [KEY], run_id="test"
    )

    featured.make([trained_ensembles], BEFORE)

    again = featured.rows("trained_ensembles", BEFORE)
    pd.testing.assert_series_equal(again["sha256"], then["sha256"])
    assert (again["cutoff"] == BEFORE.week).all()


def test_the_registry_knows_what_a_model_was_made_from(forecast: World):
    [run_id] = set(forecast.rows("trained_ensembles", KEY)["mlflow_run_id"])

    metrics = forecast.registry._metrics[run_id]

    assert metrics["all/ensemble/mape"] < metrics["all/historical_average/mape"]
