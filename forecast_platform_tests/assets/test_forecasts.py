"""What planners get, and what they get when a champion fails."""

import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from threadpoolctl import threadpool_info, threadpool_limits

from forecast_platform.assets.forecasts import forecasts
from forecast_platform.forecasting.models.ensemble import Ensemble
from forecast_platform.forecasting.models.files import load_model
from forecast_platform.partitions import RegionWeek
from forecast_platform.schemas.forecasts import Forecasts
from forecast_platform_tests.assets.conftest import MODEL_ASSETS, REGION, WEEKS, World

BEFORE = RegionWeek(REGION, WEEKS[-2])
KEY = RegionWeek(REGION, WEEKS[-1])
NAME = "demand-north-large-fast"


def test_every_row_of_the_features_is_forecast_and_no_other(forecast: World):
    rows = forecast.rows("forecasts", KEY)
    features = forecast.rows("demand_features", KEY)

    Forecasts.validate(rows, lazy=True)
    asked = features.set_index(["unique_id", "h"]).index
    assert set(rows.set_index(["unique_id", "h"]).index) == set(asked)
    assert np.isfinite(rows["y_hat"]).all()


def test_a_forecast_is_what_the_registered_champion_says(forecast: World):
    rows = forecast.rows("forecasts", KEY)
    rows = rows[rows["segment"] == "large_fast"].set_index(["unique_id", "h"])
    features = forecast.rows("demand_features", KEY)
    features = features[features["segment"] == "large_fast"]  # in order: a net's last bit needs it

    champion = load_model(forecast.registry.load_files(NAME, rows["model_version"].iloc[0]))

    assert set(rows["served_by"]) == {"champion"}
    asked = features.set_index(["unique_id", "h"]).index
    np.testing.assert_array_equal(rows["y_hat"].reindex(asked), champion.predict(features))


def test_forecasts_are_made_in_one_thread_whatever_the_process_has(
    forecast: World, monkeypatch: pytest.MonkeyPatch
):
    seen: set[int] = set()
    usual = Ensemble.predict_members

    def counted(self: Ensemble, X: pd.DataFrame) -> pd.DataFrame:
        pools = threadpool_info()
        seen.update(one["num_threads"] for one in pools if one["user_api"] == "blas")
        return usual(self, X)

    monkeypatch.setattr(Ensemble, "predict_members", counted)
    with threadpool_limits(2):
        forecast.make([forecasts], KEY)

    assert seen == {1}


def test_members_and_baseline_stand_beside_the_ensemble(forecast: World):
    rows = forecast.rows("forecasts", KEY)
    served = rows[rows["served_by"] == "champion"]

    assert served[["lasso", "embedding_net", "historical_average"]].notna().all().all()
    between = served["y_hat"].between(
        served[["lasso", "embedding_net"]].min(axis=1) - 1e-6,
        served[["lasso", "embedding_net"]].max(axis=1) + 1e-6,
    )
    assert between.all()


def test_ids_name_a_row_for_ever(forecast: World):
    before = forecast.rows("forecasts", KEY)

    forecast.make([forecasts], KEY)

    after = forecast.rows("forecasts", KEY)
    assert list(after["forecast_id"]) == list(before["forecast_id"])
    pd.testing.assert_series_equal(after["y_hat"], before["y_hat"])
    assert f"north|{KEY.week:%Y-%m-%d}|no0/p0|1" in set(after["forecast_id"])


def test_every_row_says_which_run_code_and_model_made_it(forecast: World):
    result = forecast.make([forecasts], KEY)

    rows = forecast.rows("forecasts", KEY)
    assert set(rows["run_id"]) == {result.run_id}
    assert set(rows["git_commit"]) == {"abc"}
    assert (rows["cutoff"] <= rows["week"]).all()


def test_the_materialization_shows_a_plot_and_who_served(forecast: World):
    result = forecast.make([forecasts], KEY)

    [event] = result.asset_materializations_for_node("forecasts")
    assert event.metadata["forecast"].value.startswith("![north")
    assert "data:image/png;base64," in event.metadata["forecast"].value
    assert set(event.metadata["served_by"].value) == {
        "large_fast",
        "large_slow",
        "small_fast",
        "small_slow",
    }
    assert event.metadata["dagster/partition_row_count"].value == 24 * 4


def test_without_any_promotion_the_average_serves_and_says_so(featured: World):
    featured.make([forecasts], KEY)

    rows = featured.rows("forecasts", KEY)
    Forecasts.validate(rows, lazy=True)
    assert set(rows["served_by"]) == {"historical_average"}
    assert rows["failover_reason"].str.contains("not judged").all()
    assert (rows["y_hat"] == rows["historical_average"]).all()


def test_a_corrupt_champion_costs_its_segment_only(forecast: World):
    good = forecast.rows("forecasts", KEY)
    forecast.registry.corrupt(NAME, 1)

    result = forecast.make([forecasts], KEY)

    rows = forecast.rows("forecasts", KEY)
    failed = rows["segment"] == "large_fast"
    assert result.success
    assert set(rows.loc[failed, "served_by"]) == {"historical_average"}
    assert rows.loc[failed, "failover_reason"].str.contains("SHA-256").all()
    pd.testing.assert_frame_equal(
        rows[~failed].drop(columns="run_id"), good[~failed].drop(columns="run_id")
    )


def test_a_corrupt_baseline_is_made_again_from_the_demand(forecast: World):
    good = forecast.rows("forecasts", KEY)
    forecast.registry.corrupt("demand-north-large-historical_average", 1)

    forecast.make([forecasts], KEY)

    rows = forecast.rows("forecasts", KEY)
    pd.testing.assert_series_equal(rows["historical_average"], good["historical_average"])
    pd.testing.assert_series_equal(rows["served_by"], good["served_by"])


def test_a_registry_that_is_down_stops_nobody(forecast: World):
    forecast.registry.is_down = True

    result = forecast.make([forecasts], KEY)

    rows = forecast.rows("forecasts", KEY)
    assert result.success
    assert set(rows["served_by"]) == {"historical_average"}
    fast = rows[rows["segment"] == "large_fast"]
    assert fast["failover_reason"].str.contains("cannot be reached").all()


def test_a_champion_that_talks_nonsense_is_not_believed(
    forecast: World, monkeypatch: pytest.MonkeyPatch
):
    from forecast_platform.forecasting.models.ensemble import Ensemble

    monkeypatch.setattr(Ensemble, "combine", lambda self, members: np.full(len(members), np.nan))

    forecast.make([forecasts], KEY)

    rows = forecast.rows("forecasts", KEY)
    Forecasts.validate(rows, lazy=True)
    assert set(rows["served_by"]) == {"historical_average"}


def test_an_old_week_is_served_by_the_champion_of_its_day(forecast: World):
    """Replaying a week must not use a model that did not exist yet."""
    forecast.make([forecasts], BEFORE)

    rows = forecast.rows("forecasts", BEFORE)
    assert set(rows["served_by"]) == {"historical_average"}
    assert (rows["cutoff"] <= BEFORE.week).all()


def test_a_range_gives_what_single_weeks_give(featured: World):
    featured.make(MODEL_ASSETS, BEFORE, KEY)
    together = [featured.rows("forecasts", key)["y_hat"] for key in (BEFORE, KEY)]

    for key in (BEFORE, KEY):
        featured.make([forecasts], key)

    alone = [featured.rows("forecasts", key)["y_hat"] for key in (BEFORE, KEY)]
    for one, other in zip(together, alone, strict=True):
        pd.testing.assert_series_equal(one, other)


def test_a_week_without_features_fails_and_names_itself(featured: World):
    later = RegionWeek(REGION, KEY.week + pd.Timedelta(weeks=1))

    result = featured.make([forecasts], KEY, later, raise_on_error=False)

    assert not result.success
    assert later.key in str(result.failure_data_for_node("forecasts").error)
    assert len(featured.rows("forecasts", KEY)) == 24 * 4


def test_every_forecast_has_a_range_that_holds_it(forecast: World):
    rows = forecast.rows("forecasts", KEY)

    assert {"champion"} <= set(rows["served_by"])
    assert rows[["y_hat_p10", "y_hat_p50", "y_hat_p90"]].notna().all(axis=None)
    assert (rows["y_hat_p10"] < rows["y_hat_p90"]).all()
    assert rows["y_hat"].between(rows["y_hat_p10"], rows["y_hat_p90"]).all()


def test_the_average_that_serves_has_a_range_too(featured: World):
    featured.make([forecasts], KEY)

    rows = featured.rows("forecasts", KEY)
    assert rows[["y_hat_p10", "y_hat_p50", "y_hat_p90"]].notna().all(axis=None)
    assert rows["y_hat"].between(rows["y_hat_p10"], rows["y_hat_p90"]).all()


def test_a_champion_without_quantiles_serves_without_a_range(
    forecast: World, monkeypatch: pytest.MonkeyPatch
):
    """Models that were registered before there were ranges go on serving."""
    from forecast_platform.forecasting.models.ranges import Range

    def none(self: object, X: pd.DataFrame, members: object, levels: tuple[float, ...]):
        return np.full((len(X), len(levels)), np.nan)

    before = forecast.rows("forecasts", KEY)
    monkeypatch.setattr(Range, "predict", none)
    forecast.make([forecasts], KEY)

    rows = forecast.rows("forecasts", KEY)
    pd.testing.assert_series_equal(rows["served_by"], before["served_by"])
    assert rows.loc[rows["served_by"] == "champion", "y_hat_p10"].isna().all()
    pd.testing.assert_series_equal(rows["y_hat"], before["y_hat"])


def test_a_champion_whose_range_is_nonsense_is_not_believed(
    forecast: World, monkeypatch: pytest.MonkeyPatch
):
    from forecast_platform.forecasting.models.ranges import Range

    def falling(self: object, X: pd.DataFrame, *_: object):
        return np.tile([70.0, 20.0, 10.0], (len(X), 1))

    monkeypatch.setattr(Range, "predict", falling)
    forecast.make([forecasts], KEY)

    rows = forecast.rows("forecasts", KEY)
    Forecasts.validate(rows, lazy=True)
    assert set(rows["served_by"]) == {"historical_average"}


def test_a_table_without_ranges_still_reads_and_takes_new_rows(forecast: World):
    old = forecast.rows("forecasts", KEY).drop(columns=["y_hat_p10", "y_hat_p50", "y_hat_p90"])
    shutil.rmtree(Path(forecast.lake.uri) / "forecasts")
    forecast.lake.write("forecasts", old.assign(week=BEFORE.week), [BEFORE], run_id="old")

    forecast.make([forecasts], KEY)

    assert forecast.rows("forecasts", BEFORE)["y_hat_p10"].isna().all()
    assert forecast.rows("forecasts", KEY)["y_hat_p10"].notna().all()
