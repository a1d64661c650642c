"""The one factory of checks that hold a table to its contract.

What a contract says is in `forecast_platform.schemas`; checks of other laws are made by
`forecast_platform.checks.partitioned`.
"""

import dagster as dg
import pandera.pandas as pa
from pandera.errors import SchemaErrors

from forecast_platform.partitions import region_weeks, region_weeks_of
from forecast_platform.resources.lake import Lake

MAX_CASES_SHOWN = 50


def build_schema_check(
    asset: dg.AssetsDefinition | str, schema: type[pa.DataFrameModel]
) -> dg.AssetChecksDefinition:
    """Build the blocking check that holds the table of ``asset`` to ``schema``.

    It reads the region-weeks of the run back from the lake, so that it judges what was stored.
    """
    table = asset if isinstance(asset, str) else asset.key.path[-1]

    @dg.asset_check(
        asset=asset,
        name="satisfies_schema",
        description=f"Rows satisfy {schema.__name__}: {schema.__doc__}",
        blocking=True,
        partitions_def=region_weeks,
    )
    def check(context: dg.AssetCheckExecutionContext, lake: Lake) -> dg.AssetCheckResult:
        keys = region_weeks_of(context)
        rows = lake.read(
            table,
            region=sorted({key.region for key in keys}),
            weeks=sorted({key.week for key in keys}),
        )
        try:
            schema.validate(rows, lazy=True)
        except SchemaErrors as errors:
            cases = errors.failure_cases
            shown = cases.head(MAX_CASES_SHOWN).astype(str).to_markdown(index=False)
            return dg.AssetCheckResult(
                passed=False,
                metadata={"n_failures": len(cases), "failures": dg.MetadataValue.md(shown)},
            )
        return dg.AssetCheckResult(passed=True, metadata={"dagster/row_count": len(rows)})

    return check
