"""Checks that production is as it was promised: skill is kept, nothing drifted.

Warnings: what they find is told by alerts and retrains, and the forecasts stay usable meanwhile.
"""

from collections.abc import Iterator, Sequence
from typing import Final

import dagster as dg

from forecast_platform.assets.monitoring import ACCURACY, DRIFT, HEALTH
from forecast_platform.checks.partitioned import AssetCheck, region_week_checks
from forecast_platform.checks.schema import build_schema_checks
from forecast_platform.partitions import RegionWeek
from forecast_platform.resources.lake import Lake
from forecast_platform.resources.landing import Landing
from forecast_platform.resources.reporting import rows_of
from forecast_platform.schemas.monitoring import ForecastAccuracy, ModelDrift, ModelHealth

SKILL: Final[AssetCheck] = (HEALTH, "skill_is_kept")
USUAL: Final[AssetCheck] = (DRIFT, "nothing_has_drifted")
DESCRIPTIONS: Final = {
    SKILL: "No segment lost more skill against the historical average than chance explains.",
    USUAL: "Features and residuals of the week are as they used to be in the region.",
}


@region_week_checks(
    DESCRIPTIONS, severities=dict.fromkeys(DESCRIPTIONS, dg.AssetCheckSeverity.WARN)
)
def watches_production(
    lake: Lake,
    landing: Landing,  # noqa: ARG001 - judges of sources need it
    keys: Sequence[RegionWeek],
) -> Iterator[tuple[AssetCheck, str, str]]:
    """Tell which segments decayed and what drifted."""
    regions, weeks = sorted({key.region for key in keys}), sorted({key.week for key in keys})
    health = lake.read(HEALTH, region=regions, weeks=weeks)
    drift = lake.read(DRIFT, region=regions, weeks=weeks)
    for key in keys:
        for row in rows_of(health, key).itertuples():
            if row.is_degraded:
                told = f"MAPE {row.mape_realised:.3f} where {row.mape_promised:.3f} was promised"
                yield SKILL, key.key, f"{row.segment}: {told}, the skill lost is no chance"
        for row in rows_of(drift, key).itertuples():
            if row.is_drifted:
                yield USUAL, key.key, f"{row.subject}: {row.description}"


monitoring_checks = [
    watches_production,
    build_schema_checks(
        "monitoring_satisfies_schemas",
        {ACCURACY: ForecastAccuracy, DRIFT: ModelDrift, HEALTH: ModelHealth},
    ),
]
