"""What is known of forecasts and models once the weeks that they were about are over."""

import shutil
from collections.abc import Callable

import dagster as dg
import numpy as np
import pandas as pd
import pytest

from forecast_platform.assets.forecasts import forecasts
from forecast_platform.assets.monitoring import monitoring
from forecast_platform.checks.freshness import models_are_fresh
from forecast_platform.checks.monitoring import monitoring_checks
from forecast_platform.cli.status import _look
from forecast_platform.partitions import RegionWeek
from forecast_platform.resources.lake import Lake
from forecast_platform.schemas.monitoring import ForecastAccuracy, ModelDrift, ModelHealth
from forecast_platform_tests.assets.conftest import MODEL_ASSETS, REGION, SETTINGS, WEEKS, World
from forecast_platform_tests.assets.test_model_checks import evaluate
from forecast_platform_tests.fakes import InMemoryRegistry

FIRST, LAST = RegionWeek(REGION, WEEKS[-12]), RegionWeek(REGION, WEEKS[-1])


@pytest.fixture(scope="module")
def _watched(_featured: World, tmp_path_factory: pytest.TempPathFactory) -> World:
    """Models of one week that served it and eleven more; what became of it is not known yet."""
    folder = tmp_path_factory.mktemp("watched") / "lake"
    shutil.copytree(_featured.lake.uri, folder)
    lake = Lake(uri=str(folder), git_commit="abc")
    world = World(lake, InMemoryRegistry(), SETTINGS, dg.DagsterInstance.ephemeral())
    world.make(MODEL_ASSETS, FIRST)
    world.make([forecasts], FIRST, LAST)
    return world


@pytest.fixture
def watched(_watched: World, _copy_world: Callable[[World], World]) -> World:
    return _copy_world(_watched)


def whole(world: World, table: str) -> pd.DataFrame:
    return world.lake.read(table, region=REGION)


def test_every_past_forecast_of_a_week_is_scored_by_horizon_and_segment(watched: World):
    watched.make([monitoring], LAST)

    scores = watched.rows("forecast_accuracy", LAST)
    ForecastAccuracy.validate(scores, lazy=True)
    assert set(scores["ds"]) == {LAST.week}
    assert set(scores["h"]) == {0, 1, 2, 3, 4}
    one = scores[(scores["segment"] == "large_fast") & (scores["h"] == 2)].iloc[0]
    made = watched.rows("forecasts", RegionWeek(REGION, WEEKS[-3]))
    made = made[(made["h"] == 2) & (made["segment"] == "large_fast")]
    demand = watched.rows("fct_weekly_demand", LAST).set_index("unique_id")["y"]
    actual = made["unique_id"].map(demand)
    expected = ((made["y_hat"] - actual).abs() / actual).mean()
    assert one["mape"] == pytest.approx(expected)
    average = ((made["historical_average"] - actual).abs() / actual).mean()
    assert one["value_added"] == pytest.approx(average - expected)


def test_what_validation_promised_is_that_of_the_model_that_served(watched: World):
    made = whole(watched, "forecasts")
    is_fast = made["segment"] == "large_fast"
    served_by = made["served_by"].mask(is_fast, "champion").where(is_fast, "historical_average")
    weeks = [RegionWeek(REGION, week) for week in sorted(made["week"].unique())]
    watched.lake.write("forecasts", made.assign(served_by=served_by), weeks, run_id="test")

    watched.make([monitoring], LAST)

    promised = watched.rows("validation_metrics", FIRST).set_index(["segment", "model"])["mape"]
    scores = watched.rows("forecast_accuracy", LAST).set_index(["segment", "h"])
    for segment, model in (("large_fast", "ensemble"), ("small_slow", "historical_average")):
        row = scores.loc[(segment, 1)]
        assert row["mape_promised"] == pytest.approx(promised[segment, model])
        assert row["share_champion"] == (model == "ensemble")
        baseline = promised[segment, "historical_average"]
        assert row["mape_baseline_promised"] == pytest.approx(baseline)


def test_the_first_forecasts_of_a_region_have_no_score_yet(watched: World):
    result = watched.make([monitoring], FIRST)

    assert result.success
    assert watched.rows("forecast_accuracy", FIRST).empty
    assert set(watched.rows("model_health", FIRST)["status"]) == {"ok"}


def test_a_correction_scores_its_week_again_and_keeps_what_was_known_before(watched: World):
    before, after = RegionWeek(REGION, WEEKS[-2]), LAST
    corrected = watched.rows("fct_weekly_demand", before).assign(week=after.week)
    corrected["y"] = corrected["y"] + 100.0
    own = watched.rows("fct_weekly_demand", after)
    watched.lake.write(
        "fct_weekly_demand", pd.concat([own, corrected[own.columns]]), [after], run_id="test"
    )

    watched.make([monitoring], before, after)

    scores = whole(watched, "forecast_accuracy").set_index(["week", "ds", "segment", "h"])
    old = scores.loc[(before.week, before.week, "all", 0)]
    new = scores.loc[(after.week, before.week, "all", 0)]
    assert new["bias"] < old["bias"], "a hundred units more were demanded than was forecast"
    assert (after.week, after.week, "all", 0) in scores.index


def test_health_has_every_segment_and_its_age_by_the_calendar_of_its_week(watched: World):
    watched.make([monitoring], FIRST, LAST)

    health = whole(watched, "model_health")
    ModelHealth.validate(health, lazy=True)
    assert health.groupby("week").size().eq(4).all()
    ages = health.groupby("week")["age_days"].max()
    assert list(ages) == [7 * n for n in range(12)]
    status = health.groupby("week")["status"].first()
    assert list(status[:7]) == ["ok"] * 7
    assert list(status[7:9]) == ["ageing"] * 2, "49 and 56 days"
    assert list(status[9:]) == ["stale"] * 3, "from 63 days on"


def test_health_tells_what_models_turned_out_to_be_worth(watched: World):
    watched.make([monitoring], FIRST, LAST)

    health = watched.rows("model_health", LAST).set_index("segment")
    scores = whole(watched, "forecast_accuracy")
    own = scores[(scores["segment"] == "small_slow") & (scores["h"] == 0)].tail(8)
    assert health.loc["small_slow", "mape_realised"] == pytest.approx(own["mape"].mean())
    assert health.loc["small_slow", "n_weeks"] > 0


def test_a_segment_without_forecasts_has_a_row_that_says_so(watched: World):
    rows = watched.rows("forecasts", LAST)
    kept = rows[rows["segment"] != "small_fast"]
    watched.lake.write("forecasts", kept, [LAST], run_id="test")

    watched.make([monitoring], LAST)

    health = watched.rows("model_health", LAST).set_index("segment")
    assert health.loc["small_fast", "status"] == "no_forecast"
    assert health.loc["large_fast", "status"] == "stale"


def test_a_planted_shift_of_demand_is_found_in_its_first_week(watched: World):
    demand = watched.rows("fct_weekly_demand", LAST)
    halved = demand.assign(y=np.floor(demand["y"] / 2))
    watched.make([monitoring], FIRST, LAST)
    calm = watched.rows("model_drift", LAST).set_index("subject")
    watched.lake.write("fct_weekly_demand", halved, [LAST], run_id="test")

    watched.make([monitoring], LAST)

    drift = watched.rows("model_drift", LAST).set_index("subject")
    ModelDrift.validate(drift.reset_index(), lazy=True)
    assert not calm.loc["residuals", "is_drifted"]
    assert drift.loc["residuals", "is_drifted"]
    assert "log units" in drift.loc["residuals", "description"]


def test_one_fresh_region_does_not_hide_a_stale_one(watched: World):
    fresh = RegionWeek("south", LAST.week)
    rows = watched.rows("forecasts", LAST).assign(region="south", cutoff=LAST.week)
    watched.lake.write("forecasts", rows, [fresh], run_id="test")

    stale = evaluate(watched, [models_are_fresh], LAST)["models_are_fresh"]
    later = evaluate(watched, [models_are_fresh], FIRST)["models_are_fresh"]

    assert not stale.passed
    assert stale.severity is dg.AssetCheckSeverity.ERROR
    assert "77 days old" in (stale.description or "")
    assert later.passed, "a backfilled week is judged by its own calendar"


def test_a_model_of_seven_weeks_only_warns(watched: World):
    found = evaluate(watched, [models_are_fresh], RegionWeek(REGION, WEEKS[-5]))

    assert not found["models_are_fresh"].passed
    assert found["models_are_fresh"].severity is dg.AssetCheckSeverity.WARN


def test_the_checks_tell_of_decay_and_drift(watched: World):
    watched.make([monitoring], LAST)
    health = watched.rows("model_health", LAST)
    bad = health.assign(is_degraded=health["segment"] == "large_slow", mape_promised=0.2)
    watched.lake.write("model_health", bad, [LAST], run_id="test")

    found = evaluate(watched, monitoring_checks, LAST, assets=[monitoring])

    assert found["nothing_has_drifted"].passed
    assert not found["skill_is_kept"].passed
    assert "large_slow" in (found["skill_is_kept"].description or "")
    assert found["satisfies_schema"].passed


def test_status_names_the_segments_that_are_not_well(watched: World):
    watched.make([monitoring], LAST)

    told = _look(watched.lake, REGION, ()).unhealthy

    assert told.startswith("stale: ")
    assert "small_slow" in told
    assert "degraded" not in told


def test_a_week_that_is_watched_again_replaces_its_rows(watched: World):
    watched.make([monitoring], LAST)
    watched.make([monitoring], LAST)

    health = watched.rows("model_health", LAST)
    assert len(health) == 4
    assert not watched.rows("forecast_accuracy", LAST).duplicated(["ds", "segment", "h"]).any()
