"""The feature table: what is known at one cutoff about every series and week ahead.

Only reading and writing: features are computed in `forecast_platform.forecasting.features`.
See https://docs.dagster.io/guides/build/assets.
"""

import dagster as dg
import pandas as pd

from forecast_platform.partitions import backfill_policy, by_region, region_weeks, region_weeks_of
from forecast_platform.resources.code_version import feature_code_digest
from forecast_platform.resources.feature_codes import CODE_DIGEST
from forecast_platform.resources.featuring import MARTS, make_features
from forecast_platform.resources.lake import Lake
from forecast_platform.resources.metadata import column_schema
from forecast_platform.resources.model_settings import ModelSettings
from forecast_platform.resources.provenance import made_from
from forecast_platform.resources.reporting import report
from forecast_platform.resources.snapshot import Snapshot
from forecast_platform.schemas.features import DemandFeatures
from forecast_platform.schemas.tables import as_table


@dg.asset(
    group_name="features",
    partitions_def=region_weeks,
    backfill_policy=backfill_policy,
    deps=list(MARTS.values()),
    kinds={"pandas", "deltalake"},
    owners=["team:forecasting"],
    code_version="2",
    metadata=column_schema(DemandFeatures),
)
def demand_features(
    context: dg.AssetExecutionContext, lake: Lake, model_settings: ModelSettings
) -> dg.MaterializeResult:
    """Model-ready rows of every series, as known at the close of one week.

    Made once for each cutoff and never changed by later weeks: training joins the demand that
    was observed since, scoring reads the newest cutoff. Demand in units per week. The commit names
    the code that made them; `retraining_sensor` has old weeks made again by a changed one.

    Grain: one row per region, week (the cutoff), `unique_id` and week ahead `h`.
    """
    keys = region_weeks_of(context)
    marts, code = Snapshot(lake), {CODE_DIGEST: feature_code_digest()}
    made = [
        make_features(marts, region, weeks, model_settings.horizon)
        for region, weeks in by_region(keys).items()
    ]
    table = as_table(pd.concat(made), DemandFeatures)
    provenance = made_from(marts.versions, **code)
    receipt = lake.write(
        "demand_features", table, keys, run_id=context.run_id, provenance=provenance
    )
    details = {"n_series": table["unique_id"].nunique(), "n_cutoffs": len(keys), **code}
    return report(context, lake, receipt, read=marts.versions, details=details)
