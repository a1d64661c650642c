"""What the held-out weeks say about the models."""

import pytest

from forecast_platform.assets.training import trained_ensembles
from forecast_platform.assets.validation import validation_metrics
from forecast_platform.partitions import RegionWeek
from forecast_platform.schemas.metrics import ValidationMetrics
from forecast_platform_tests.assets.conftest import REGION, WEEKS, World

KEY = RegionWeek(REGION, WEEKS[-1])


def test_every_model_is_scored_on_every_segment_format_and_all(forecast: World):
    rows = forecast.rows("validation_metrics", KEY)

    ValidationMetrics.validate(rows, lazy=True)
    assert len(rows) == (4 + 2 + 1) * 4
    assert rows.groupby("segment")["n_rows"].nunique().eq(1).all(), "same rows for every model"


def test_scores_are_those_of_the_held_out_rows(forecast: World):
    holdout = forecast.rows("holdout_forecasts", KEY)
    part = holdout[(holdout["segment"] == "large_fast") & (holdout["y"] > 0)]

    rows = forecast.rows("validation_metrics", KEY).set_index(["segment", "model"])

    expected = ((part["y"] - part["lasso"]).abs() / part["y"]).mean()
    assert rows.loc[("large_fast", "lasso"), "mape"] == pytest.approx(expected)
    assert rows.loc[("all", "lasso"), "n_rows"] == len(holdout)


def test_a_region_without_models_has_no_scores(featured: World):
    key = RegionWeek(REGION, WEEKS[9])

    result = featured.make([trained_ensembles, validation_metrics], key)

    assert result.success
    assert featured.rows("validation_metrics", key).empty


def test_the_ensembles_range_is_scored_and_nobody_elses(forecast: World):
    rows = forecast.rows("validation_metrics", KEY)

    ranged = rows["coverage_80"].notna() & rows["pinball"].notna()
    assert set(rows.loc[ranged, "model"]) == {"ensemble"}
    assert ranged.sum() == (rows["model"] == "ensemble").sum()
    assert rows.loc[ranged & (rows["segment"] == "all"), "coverage_80"].between(0.6, 1.0).all()
