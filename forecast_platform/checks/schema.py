"""The one factory of checks that hold a table to its contract.

What a contract says is in `forecast_platform.schemas`; checks of other laws are made by
`forecast_platform.checks.partitioned`.
"""

from collections.abc import Iterator, Mapping, Sequence

import dagster as dg
import pandas as pd
import pandera.pandas as pa
from pandera.errors import SchemaErrors

from forecast_platform.partitions import RegionWeek, region_weeks, region_weeks_of
from forecast_platform.resources.lake import Lake
from forecast_platform.resources.reporting import tell_each

MAX_CASES_SHOWN = 50
NAME = "satisfies_schema"


def build_schema_check(
    asset: dg.AssetsDefinition | str, schema: type[pa.DataFrameModel]
) -> dg.AssetChecksDefinition:
    """Build the blocking check that holds the table of ``asset`` to ``schema``.

    It reads the region-weeks of the run back from the lake, so that it judges what was stored.
    """

    @dg.asset_check(
        asset=asset,
        name=NAME,
        description=f"Rows satisfy {schema.__name__}: {schema.__doc__}",
        blocking=True,
        partitions_def=region_weeks,
    )
    def check(context: dg.AssetCheckExecutionContext, lake: Lake) -> dg.AssetCheckResult:
        keys = region_weeks_of(context)
        return _judge(context, lake, context.check_specs[0].key, schema, keys)

    return check


def build_schema_checks(
    name: str, schemas: Mapping[str, type[pa.DataFrameModel]]
) -> dg.AssetChecksDefinition:
    """Build the blocking checks of tables that one step makes, in one step too."""

    @dg.multi_asset_check(
        name=name,
        specs=[
            dg.AssetCheckSpec(
                NAME,
                asset=table,
                description=f"Rows satisfy {schema.__name__}: {schema.__doc__}",
                blocking=True,
                partitions_def=region_weeks,
            )
            for table, schema in schemas.items()
        ],
        can_subset=True,
    )
    def check(context: dg.AssetCheckExecutionContext, lake: Lake) -> Iterator[dg.AssetCheckResult]:
        keys = region_weeks_of(context)
        for asked in sorted(context.selected_asset_check_keys):
            schema = schemas[asked.asset_key.to_user_string()]
            result = _judge(context, lake, asked, schema, keys)
            yield result._replace(asset_key=asked.asset_key, check_name=asked.name)

    return check


def _judge(
    context: dg.AssetCheckExecutionContext,
    lake: Lake,
    check: dg.AssetCheckKey,
    schema: type[pa.DataFrameModel],
    keys: Sequence[RegionWeek],
) -> dg.AssetCheckResult:
    rows = lake.read(
        check.asset_key.to_user_string(),
        region=sorted({key.region for key in keys}),
        weeks=sorted({key.week for key in keys}),
    )
    try:
        schema.validate(rows, lazy=True)
    except SchemaErrors as errors:
        cases = errors.failure_cases
        shown = cases.head(MAX_CASES_SHOWN).astype(str).to_markdown(index=False)
        tell_each(context, check, keys, _by_region_week(rows, cases, keys))
        return dg.AssetCheckResult(
            passed=False,
            metadata={"n_failures": len(cases), "failures": dg.MetadataValue.md(shown)},
        )
    tell_each(context, check, keys, {})
    return dg.AssetCheckResult(passed=True, metadata={"dagster/row_count": len(rows)})


def _by_region_week(
    rows: pd.DataFrame, cases: pd.DataFrame, keys: Sequence[RegionWeek]
) -> dict[str, str]:
    """Say what is wrong with each region-week; what is wrong with a column is so with all."""
    cases = cases.assign(said=cases["column"].astype("str") + ": " + cases["check"].astype("str"))
    of_all = cases["said"][cases["index"].isna()].unique().tolist()
    found = {key.key: list(of_all) for key in keys if of_all}
    of_rows = cases[cases["index"].notna()]
    if len(of_rows):
        places = rows.loc[of_rows["index"].astype("int64"), ["region", "week"]].to_numpy()
        for (region, week), said in zip(places, of_rows["said"], strict=True):
            found.setdefault(RegionWeek.of(region, week).key, []).append(said)
    return {key: "; ".join(dict.fromkeys(said)) for key, said in found.items()}
