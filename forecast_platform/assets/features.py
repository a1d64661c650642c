"""The feature table: what is known at one cutoff about every series and week ahead.

Only reading and writing: features are computed in `forecast_platform.forecasting.features`.
See https://docs.dagster.io/guides/build/assets.
"""

from collections.abc import Sequence

import dagster as dg
import pandas as pd

from forecast_platform.partitions import backfill_policy, by_region, region_weeks, region_weeks_of
from forecast_platform.resources.lake import Lake
from forecast_platform.resources.metadata import column_schema
from forecast_platform.resources.model_settings import ModelSettings
from forecast_platform.resources.reporting import report
from forecast_platform.schemas.features import DemandFeatures
from forecast_platform.schemas.tables import as_table

MARTS = {
    "demand": "fct_weekly_demand",
    "stores": "dim_stores",
    "products": "dim_products",
    "weather": "fct_weekly_weather",
    "events": "fct_weekly_events",
    "prices": "fct_weekly_prices",
}


@dg.asset(
    group_name="features",
    partitions_def=region_weeks,
    backfill_policy=backfill_policy,
    deps=list(MARTS.values()),
    kinds={"pandas", "deltalake"},
    owners=["team:forecasting"],
    code_version="1",
    metadata=column_schema(DemandFeatures),
)
def demand_features(
    context: dg.AssetExecutionContext, lake: Lake, model_settings: ModelSettings
) -> dg.MaterializeResult:
    """Model-ready rows of every series, as known at the close of one week.

    Made once for each cutoff and never changed by later weeks: training joins the demand that
    was observed since, scoring reads the newest cutoff. Demand in units per week.

    Grain: one row per region, week (the cutoff), `unique_id` and week ahead `h`.
    """
    keys = region_weeks_of(context)
    made, read = [], {}
    for region, weeks in by_region(keys).items():
        features, versions = _features(lake, region, weeks, model_settings.horizon)
        made.append(features)
        read |= versions
    table = as_table(pd.concat(made), DemandFeatures)
    receipt = lake.write("demand_features", table, keys, run_id=context.run_id, provenance=read)
    details = {"n_series": table["unique_id"].nunique(), "n_cutoffs": len(keys)}
    return report(context, lake, receipt, read=read, details=details)


def _features(
    lake: Lake, region: str, weeks: Sequence[pd.Timestamp], horizon: int
) -> tuple[pd.DataFrame, dict[str, int]]:
    from forecast_platform.forecasting.features.assemble import build_features
    from forecast_platform.forecasting.features.history import History

    marts = {name: lake.read(mart, region=region, until=weeks[-1]) for name, mart in MARTS.items()}
    features = build_features(History(**marts), weeks, horizon)
    versions = {MARTS[name]: frame.attrs["version"] for name, frame in marts.items()}
    return features.assign(region=region), versions
