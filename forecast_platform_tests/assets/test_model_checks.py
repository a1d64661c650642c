"""What the checks on models and forecasts let through, and what they stop."""

import dagster as dg
import pandas as pd
import pytest

from forecast_platform.assets.features import demand_features
from forecast_platform.assets.promotion import promotion
from forecast_platform.assets.validation import validation_metrics
from forecast_platform.checks.accuracy import beats_historical_average, mape_is_significant
from forecast_platform.checks.completeness import has_every_model, has_every_series
from forecast_platform.checks.contracts import contract_checks
from forecast_platform.checks.freshness import models_are_fresh
from forecast_platform.launching.boxes import Box
from forecast_platform.partitions import RegionWeek, region_weeks
from forecast_platform.resources.io_manager import LakeIOManager
from forecast_platform.resources.landing import Landing
from forecast_platform.resources.reporting import is_part
from forecast_platform_tests.assets.conftest import MODEL_ASSETS, REGION, WEEKS, World

KEY = RegionWeek(REGION, WEEKS[-1])
MADE_HERE = {one.key.to_user_string() for one in (demand_features, *MODEL_ASSETS)}


def evaluate(world: World, checks, *keys: RegionWeek, assets=()):
    """Run checks alone, on what is in the lake."""
    first, *_, last = (*keys, *keys) or (KEY, KEY)
    world.instance.add_dynamic_partitions("region", [REGION])
    defs = dg.Definitions(
        assets=[demand_features, *MODEL_ASSETS, *assets],
        asset_checks=checks,
        jobs=[
            dg.define_asset_job(
                "checks",
                selection=dg.AssetSelection.checks(*checks),
                partitions_def=region_weeks,
            )
        ],
        resources={
            "lake": world.lake,
            "lake_io_manager": LakeIOManager(lake=world.lake),
            "landing": Landing(uri=world.lake.uri),
            "registry": world.registry,
            "model_settings": world.settings,
            "lifecycle": world.lifecycle,
        },
    )
    result = defs.resolve_job_def("checks").execute_in_process(
        instance=world.instance,
        raise_on_error=False,
        tags=Box((REGION,), first.week, last.week, ()).tags,
    )
    found = result.get_asset_check_evaluations()
    return {one.check_name: one for one in found if not is_part(one)}


def rewrite(world: World, table: str, rows: pd.DataFrame) -> None:
    world.lake.write(table, rows, [KEY], run_id="test", allow_empty=True)


def table_of(check: dg.AssetChecksDefinition) -> str:
    [key] = check.check_keys
    return key.asset_key.to_user_string()


def test_good_tables_pass_their_contracts(forecast: World):
    for check in contract_checks:
        if table_of(check) in MADE_HERE:
            assert evaluate(forecast, [check])["satisfies_schema"].passed


def test_a_good_region_week_is_complete_and_fresh(forecast: World):
    found = evaluate(forecast, [has_every_model, has_every_series, models_are_fresh])

    assert len(found) == 3
    assert all(one.passed for one in found.values())


def test_a_lost_model_is_found(forecast: World):
    rows = forecast.rows("trained_ensembles", KEY)
    rewrite(forecast, "trained_ensembles", rows[rows["segment"] != "small_slow"])

    found = evaluate(forecast, [has_every_model])["has_every_model"]

    assert not found.passed
    assert found.blocking
    assert "no model of small_slow" in found.metadata["problems"].value


def test_one_model_too_many_is_found(forecast: World):
    rows = forecast.rows("trained_ensembles", KEY)
    rewrite(forecast, "trained_ensembles", pd.concat([rows, rows.head(1)]))

    found = evaluate(forecast, [has_every_model])["has_every_model"]

    assert "7 models instead of 6" in found.metadata["problems"].value


def test_a_lost_series_is_found(forecast: World):
    rows = forecast.rows("forecasts", KEY)
    rewrite(forecast, "forecasts", rows[rows["unique_id"] != "no1/p2"])

    found = evaluate(forecast, [has_every_series])["has_every_series"]

    assert not found.passed
    assert found.blocking
    assert "4 rows missing, such as no1/p2" in found.description


def test_a_series_that_nobody_asked_for_is_found(forecast: World):
    features = forecast.rows("demand_features", KEY)
    rewrite(forecast, "demand_features", features[features["unique_id"] != "no1/p2"])

    found = evaluate(forecast, [has_every_series])["has_every_series"]

    assert "4 rows not asked for" in found.description


@pytest.mark.parametrize(
    ("days", "says"),
    [
        (0, None),
        (44, None),
        (45, dg.AssetCheckSeverity.WARN),
        (60, dg.AssetCheckSeverity.WARN),
        (61, dg.AssetCheckSeverity.ERROR),
    ],
)
def test_a_model_warns_from_45_days_and_is_stale_after_60_and_not_on_the_60th(
    forecast: World, days: int, says: dg.AssetCheckSeverity | None
):
    rows = forecast.rows("forecasts", KEY)
    is_fast = rows["segment"] == "large_fast"
    aged = rows["cutoff"].where(~is_fast, KEY.week - pd.Timedelta(days=days))
    rewrite(forecast, "forecasts", rows.assign(cutoff=aged))

    found = evaluate(forecast, [models_are_fresh])["models_are_fresh"]

    assert found.passed is (says is None)
    assert says is None or found.severity is says
    assert says is None or f"large_fast: the model is {days} days old" in found.description


@pytest.mark.parametrize(
    ("ensemble", "average", "significant", "better"),
    [
        pytest.param(0.45, 0.60, True, True, id="at-the-limit"),
        pytest.param(0.451, 0.60, False, True, id="above-the-limit"),
        pytest.param(0.30, 0.30, True, False, id="no-better"),
        pytest.param(float("nan"), 0.30, False, False, id="undefined"),
    ],
)
def test_accuracy_is_judged_in_every_segment(
    forecast: World, ensemble: float, average: float, significant: bool, better: bool
):
    rows = forecast.rows("validation_metrics", KEY)
    rows["mape"] = rows["model"].map({"ensemble": 0.2, "historical_average": 0.5})
    one = rows["segment"] == "small_slow"
    rows.loc[one & (rows["model"] == "ensemble"), "mape"] = ensemble
    rows.loc[one & (rows["model"] == "historical_average"), "mape"] = average
    rewrite(forecast, "validation_metrics", rows)

    found = evaluate(forecast, [mape_is_significant, beats_historical_average])

    assert found["mape_is_significant"].passed is significant
    assert found["beats_historical_average"].passed is better
    assert significant or "small_slow" in found["mape_is_significant"].description


def test_a_region_that_was_not_validated_does_not_pass_for_accurate(forecast: World):
    rewrite(forecast, "validation_metrics", forecast.rows("validation_metrics", KEY).head(0))

    found = evaluate(forecast, [mape_is_significant, beats_historical_average])

    assert not found["mape_is_significant"].passed
    assert "too short" in found["beats_historical_average"].description


def test_a_weak_segment_does_not_stop_its_region(forecast: World):
    rows = forecast.rows("holdout_forecasts", KEY)
    rewrite(forecast, "holdout_forecasts", rows.assign(ensemble=rows["ensemble"] * 50))

    result = forecast.make([validation_metrics, mape_is_significant, promotion], KEY)

    assert result.success
    assert not result.get_asset_check_evaluations()[0].passed
    assert (forecast.rows("promotion", KEY)["verdict"] != "promoted").all()


def test_a_range_names_the_region_weeks_that_failed(featured: World):
    """One evaluation covers the whole range; without forecasts each week is named."""
    before = RegionWeek(REGION, WEEKS[-2])
    good = featured.rows("demand_features", KEY)[["region", "week", "unique_id", "h"]]
    rewrite(featured, "forecasts", good)

    found = evaluate(featured, [has_every_series], before, KEY)["has_every_series"]

    assert found.metadata["n_failed"].value == 1
    assert before.key in found.metadata["problems"].value
    assert KEY.key not in found.metadata["problems"].value


def test_negative_and_missing_forecasts_break_the_contract(forecast: World):
    rows = forecast.rows("forecasts", KEY)
    rows.loc[0, "y_hat"] = -1.0
    rewrite(forecast, "forecasts", rows)

    [contract] = [one for one in contract_checks if table_of(one) == "forecasts"]
    found = evaluate(forecast, [contract])["satisfies_schema"]

    assert not found.passed
    assert found.blocking


def shown(world: World, check: dg.AssetChecksDefinition) -> dict[str | None, str]:
    """What Dagster's UI shows of a check, by partition; None for runs over many."""
    [key] = check.check_keys
    storage = world.instance.event_log_storage
    states = storage.get_asset_check_partition_info([key])
    return {one.partition_key: one.latest_execution_status.value for one in states}


@pytest.mark.parametrize("n_weeks", [3, 30])
def test_each_region_week_of_a_range_is_shown_its_own_verdict(featured: World, n_weeks: int):
    weeks = [RegionWeek(REGION, week) for week in WEEKS[-n_weeks:]]
    [check] = [one for one in contract_checks if table_of(one) == "demand_features"]
    rows = featured.rows("demand_features", weeks[1])
    featured.lake.write("demand_features", rows.assign(h=-1), [weeks[1]], run_id="test")

    assert not evaluate(featured, [check], *weeks)["satisfies_schema"].passed
    first = shown(featured, check)

    assert first[weeks[1].key] == "FAILED"
    if n_weeks == 3:
        assert first[weeks[0].key] == first[weeks[2].key] == "SUCCEEDED"

    featured.lake.write("demand_features", rows, [weeks[1]], run_id="test")
    assert evaluate(featured, [check], *weeks)["satisfies_schema"].passed

    assert set(shown(featured, check).values()) == {"SUCCEEDED"}


def test_the_verdict_of_a_run_over_one_region_week_is_shown_there(forecast: World):
    evaluate(forecast, [models_are_fresh])

    assert shown(forecast, models_are_fresh)[KEY.key] == "SUCCEEDED"
