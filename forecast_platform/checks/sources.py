"""Checks that a delivered source is as it used to be: fresh, of usual volume and usual values.

Warnings, not gates: what is unusual may be right, and only a person can tell. What breaks a
contract never gets here. Why the statistics are these, and how often they are wrong, is in
docs/data-quality.md.
"""

from collections.abc import Iterator, Sequence
from typing import Final

import dagster as dg

from forecast_platform.checks.partitioned import AssetCheck, region_week_checks
from forecast_platform.partitions import RegionWeek
from forecast_platform.quality.drift import HAS_USUAL_VALUES
from forecast_platform.quality.freshness import IS_FRESH
from forecast_platform.quality.volume import HAS_USUAL_ROWS, HAS_USUAL_STORES
from forecast_platform.resources.lake import Lake
from forecast_platform.resources.landing import Landing
from forecast_platform.resources.source_quality import (
    BY_STORE,
    HAS_FEW_REFUSED_ROWS,
    SEVERITY_OF,
    examine,
)
from forecast_platform.schemas.raw import CONTRACTS

MEANINGS: Final = {
    HAS_FEW_REFUSED_ROWS: "At most `max_refused_share` of the delivered rows break the contract.",
    IS_FRESH: "Delivered for this week when it must be; otherwise not silent for three times as "
    "long as ever before.",
    HAS_USUAL_ROWS: "Rows are near the median of the eight weeks before, or as last year.",
    HAS_USUAL_STORES: "The stores that had rows in each of the eight weeks before have some now.",
    HAS_USUAL_VALUES: "Numbers, missing values and codes are as in the eight weeks before.",
}
DESCRIPTIONS: Final[dict[AssetCheck, str]] = {
    (contract.table, name): text
    for contract in CONTRACTS.values()
    for name, text in MEANINGS.items()
    if name != HAS_USUAL_STORES or contract.source in BY_STORE
}


@region_week_checks(
    DESCRIPTIONS,
    severities={one: dg.AssetCheckSeverity(SEVERITY_OF[one[1]]) for one in DESCRIPTIONS},
)
def sources_are_as_usual(
    lake: Lake, landing: Landing, keys: Sequence[RegionWeek]
) -> Iterator[tuple[AssetCheck, str, str]]:
    """Hold every source to what was usual in the weeks before."""
    for key, source, verdict in examine(lake, landing, keys).verdicts:
        if not verdict.passed:
            yield (CONTRACTS[source].table, verdict.check), key.key, verdict.description


source_checks = [sources_are_as_usual]
