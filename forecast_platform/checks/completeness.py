"""Checks that nothing is missing: models of a region, series of a forecast.

Blocking: a region that lacks a model or a planner who lacks a series would not notice.
"""

from forecast_platform.assets.forecasts import forecasts
from forecast_platform.assets.training import trained_ensembles
from forecast_platform.checks.partitioned import Tables, region_week_check
from forecast_platform.schemas.models import MODELS_PER_REGION
from forecast_platform.vocabulary import FORMATS, UNIQUE_ID, VELOCITIES, H


@region_week_check(
    trained_ensembles, reads={"trained_ensembles": ["model_name", "segment"]}, blocking=True
)
def has_every_model(tables: Tables) -> list[str]:
    """Count four ensembles and two baselines per region and week, not one more or less."""
    models = tables["trained_ensembles"]
    expected = {f"{form}_{velocity}" for form in FORMATS for velocity in VELOCITIES} | set(FORMATS)
    problems = [f"no model of {one}" for one in sorted(expected - set(models["segment"]))]
    if len(models) != MODELS_PER_REGION:
        problems.append(f"{len(models)} models instead of {MODELS_PER_REGION}")
    return problems


@region_week_check(
    forecasts,
    reads={"forecasts": [UNIQUE_ID, H], "demand_features": [UNIQUE_ID, H]},
    blocking=True,
)
def has_every_series(tables: Tables) -> list[str]:
    """Require a forecast for every series and week ahead of the features, and for no other."""
    made = set(zip(*(tables["forecasts"][name] for name in (UNIQUE_ID, H)), strict=True))
    asked = set(zip(*(tables["demand_features"][name] for name in (UNIQUE_ID, H)), strict=True))
    problems = []
    if not made:
        problems.append("no forecast at all")
    for rows, what in ((asked - made, "missing"), (made - asked, "not asked for")):
        if rows:
            unique_id, h = min(rows)
            problems.append(f"{len(rows)} rows {what}, such as {unique_id} {h} weeks ahead")
    return problems


completeness_checks = [has_every_model, has_every_series]
