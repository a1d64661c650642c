"""Who serves from a week on, and why."""

import pandas as pd

from forecast_platform.assets.promotion import promotion
from forecast_platform.assets.training import trained_ensembles
from forecast_platform.assets.validation import validation_metrics
from forecast_platform.partitions import RegionWeek
from forecast_platform.schemas.models import Promotion
from forecast_platform_tests.assets.conftest import MODEL_ASSETS, REGION, WEEKS, World

BEFORE = RegionWeek(REGION, WEEKS[-6])
"""Early enough for its champion to be judged on weeks that it has not seen."""

KEY = RegionWeek(REGION, WEEKS[-1])
NAME = "demand-north-large-fast"
TRAINING = [trained_ensembles, validation_metrics]


def verdicts(world: World, key: RegionWeek = KEY) -> pd.DataFrame:
    return world.rows("promotion", key).set_index("segment")


def spoil(world: World, table: str, column: str, factor: float, key: RegionWeek = KEY) -> None:
    rows = world.rows(table, key)
    is_ensemble = rows["model"] == "ensemble" if "model" in rows else pd.Series(True, rows.index)
    rows[column] = rows[column].where(~is_ensemble, rows[column] * factor)
    world.lake.write(table, rows, [key], run_id="test")


def test_the_first_models_that_pass_the_gate_become_champions(forecast: World):
    rows = forecast.rows("promotion", KEY)

    Promotion.validate(rows, lazy=True)
    by_segment = verdicts(forecast)
    assert set(by_segment.loc[["large", "small"], "verdict"]) == {"baseline"}
    assert by_segment.loc["large_fast", "verdict"] == "promoted"
    assert "no champion" in by_segment.loc["large_fast", "reason"]
    assert forecast.registry.champion(NAME).version == 1


def test_an_insignificant_challenger_is_not_promoted(featured: World):
    featured.make(TRAINING, KEY)
    spoil(featured, "validation_metrics", "mape", 100)

    featured.make([promotion], KEY)

    row = verdicts(featured).loc["large_fast"]
    assert row["verdict"] == "no_champion"
    assert pd.isna(row["champion_version"])
    assert "above 0.45" in row["reason"]


def test_a_challenger_that_loses_to_the_champion_leaves_it_in_place(featured: World):
    featured.make(MODEL_ASSETS, BEFORE)
    featured.make(TRAINING, KEY)
    spoil(featured, "holdout_forecasts", "ensemble", 3)

    featured.make([promotion], KEY)

    row = verdicts(featured).loc["large_fast"]
    assert row["verdict"] == "kept_champion"
    assert row["cutoff"] == BEFORE.week
    assert (row["champion_version"], row["challenger_version"]) == (1, 2)
    assert row["mape_champion"] < 1
    assert "new to both" in row["reason"]
    assert featured.registry.champion(NAME).version == 1


def test_a_challenger_is_compared_only_on_weeks_that_the_champion_has_not_seen(featured: World):
    featured.make(MODEL_ASSETS, BEFORE)
    featured.make(TRAINING, KEY)
    holdout = featured.rows("holdout_forecasts", KEY)
    seen = holdout["ds"] <= BEFORE.week
    spoiled = holdout.assign(ensemble=holdout["ensemble"].where(~seen, 1e6))
    featured.lake.write("holdout_forecasts", spoiled, [KEY], run_id="test")

    featured.make([promotion], KEY)

    row = verdicts(featured).loc["large_fast"]
    assert row["mape_champion"] < 1
    assert "1000" not in row["reason"]


def test_making_an_old_week_again_does_not_bring_back_its_champion(forecast: World):
    newest = forecast.registry.champion(NAME)

    forecast.make([*TRAINING, promotion], BEFORE)

    assert verdicts(forecast, BEFORE).loc["large_fast", "cutoff"] == BEFORE.week
    assert forecast.registry.champion(NAME) == newest


def test_a_week_is_judged_against_the_champion_of_its_own_past(forecast: World):
    """The champion of a later week was not known at an earlier one."""
    forecast.make([*TRAINING, promotion], BEFORE)

    assert "no champion" in verdicts(forecast, BEFORE).loc["large_fast", "reason"]


def test_a_range_hands_the_champion_from_week_to_week(featured: World):
    one_before = RegionWeek(REGION, WEEKS[-2])

    featured.make([*TRAINING, promotion], one_before, KEY)

    first, second = (verdicts(featured, key).loc["large_fast"] for key in (one_before, KEY))

    assert "no champion" in first["reason"]
    assert "no champion" not in second["reason"]


def test_a_region_that_cannot_be_trained_keeps_its_champion(forecast: World):
    later = RegionWeek(REGION, KEY.week + pd.Timedelta(weeks=1))
    trained = forecast.rows("trained_ensembles", KEY).assign(week=later.week)
    untrained = trained["kind"] == "ensemble"
    trained.loc[untrained, "status"] = "history_too_short"
    trained.loc[untrained, "reason"] = "lost weeks"
    for name in ("holdout_forecasts", "validation_metrics"):
        empty = forecast.rows(name, KEY).head(0)
        forecast.lake.write(name, empty, [later], run_id="test", allow_empty=True)
    forecast.lake.write("trained_ensembles", trained, [later], run_id="test")

    forecast.make([promotion], later)

    row = verdicts(forecast, later).loc["large_fast"]
    assert (row["verdict"], row["cutoff"]) == ("kept_champion", KEY.week)
    assert row["reason"] == "lost weeks"
