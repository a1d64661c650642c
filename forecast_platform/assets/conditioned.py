"""The conditioned marts: every customer's data in one standard shape, built by dbt.

The assets are made from dbt's manifest; what they hold is said in `dbt_conditioning/models`, and
how dbt is run in `resources.conditioning`. Published is only what dbt's tests and the contracts
of `schemas.conditioned` have passed. See https://docs.dagster.io/integrations/libraries/dbt.
"""

import json
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Final

import dagster as dg
import pandas as pd
from dagster_dbt import DagsterDbtTranslator, DagsterDbtTranslatorSettings

from forecast_platform.partitions import (
    RegionWeek,
    backfill_policy,
    region_weeks,
    region_weeks_of,
)
from forecast_platform.resources.conditioning import Conditioned, Conditioning, Mart, TestOutcome
from forecast_platform.resources.conditioning_inputs import RAW_TABLES
from forecast_platform.resources.dbt_project import prepare_manifest
from forecast_platform.resources.lake import Lake
from forecast_platform.resources.lake_rows import to_pandas
from forecast_platform.resources.metadata import column_schema
from forecast_platform.resources.reporting import add_partition_metadata
from forecast_platform.schemas.conditioned import MARTS, MAY_BE_EMPTY

if TYPE_CHECKING:
    import pyarrow as pa

OWNERS: Final = ["team:data-engineering"]
SATISFIES_SCHEMA: Final = "satisfies_schema"
MAX_CASES_SHOWN: Final = 20

MANIFEST: Final[Mapping[str, Any]] = json.loads(prepare_manifest().read_bytes())
"""The dbt project, parsed: parsed again only when a file of it has changed (4 s)."""


class ConditioningTranslator(DagsterDbtTranslator):
    """How a dbt model appears as an asset: its words are dbt's, its place in the graph ours."""

    def __init__(self) -> None:
        super().__init__(DagsterDbtTranslatorSettings(enable_dbt_views_as_virtual_assets=True))

    def get_group_name(self, dbt_resource_props: Mapping[str, Any]) -> str | None:
        """Put marts and the views before them into one group; sources have their own."""
        return "conditioned" if dbt_resource_props["resource_type"] == "model" else None

    def get_description(self, dbt_resource_props: Mapping[str, Any]) -> str:
        """Set the grain, with which each description in dbt ends, in a line of its own.

        Examples
        --------
        >>> model = {"description": "Stores. One row per region and store."}
        >>> ConditioningTranslator().get_description(model).splitlines()[-1]
        'Grain: one row per region and store.'
        """
        text, _, grain = dbt_resource_props.get("description", "").rpartition("One row per ")
        return f"{text.strip()}\n\nGrain: one row per {grain.strip()}"


def _build_specs(folder: str) -> list[dg.AssetSpec]:
    """Describe the models of one folder as assets; ``build_dbt_asset_specs`` imports dbt (1 s)."""
    translator = ConditioningTranslator()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", dg.PreviewWarning)  # that is what virtual assets are
        return [
            translator.get_asset_spec(MANIFEST, name, None)
            for name, node in MANIFEST["nodes"].items()
            if node["resource_type"] == "model" and node["fqn"][1] == folder
        ]


def _as_mart(spec: dg.AssetSpec) -> dg.AssetSpec:
    """Complete a mart's spec; beside its views it depends on the raw assets themselves."""
    node = spec.metadata["dagster_dbt/unique_id"]
    return spec.replace_attributes(
        deps=sorted(_models_before(node) | _raw_tables_behind(node)),
        owners=OWNERS,
        kinds={"dbt", "duckdb", "deltalake"},
        partitions_def=region_weeks,
        code_version=_code_version(node),
    ).merge_attributes(metadata=column_schema(MARTS[spec.key.to_user_string()]))


def _models_before(node: str) -> set[str]:
    """Name the marts and views that a mart is made from, through what no asset stands for."""
    found: set[str] = set()
    for parent in MANIFEST["parent_map"][node]:
        model = MANIFEST["nodes"].get(parent)
        if model is not None and model["fqn"][1] == "intermediate":
            found |= _models_before(parent)
        elif model is not None:
            found.add(model["name"])
    return found


def _ancestors(node: str) -> set[str]:
    """Everything that a dbt node is made from, and itself."""
    parents = MANIFEST["parent_map"].get(node, [])
    return {node}.union(*(_ancestors(parent) for parent in parents))


def _raw_tables_behind(node: str) -> set[str]:
    sources = (MANIFEST["sources"][one] for one in _ancestors(node) if one in MANIFEST["sources"])
    return {source["name"] for source in sources} & set(RAW_TABLES)


def _code_version(node: str) -> str:
    """Digest of the SQL of a model and of all models behind it."""
    models = sorted(one for one in _ancestors(node) if one in MANIFEST["nodes"])
    code = "\n".join(MANIFEST["nodes"][one]["raw_code"] for one in models)
    return sha256(code.encode()).hexdigest()[:16]


def _build_check_specs(marts: Iterable[dg.AssetSpec]) -> dict[str, dg.AssetCheckSpec]:
    """Describe the dbt tests of the marts as asset checks, by dbt's name of the test."""
    mart_of = {spec.metadata["dagster_dbt/unique_id"]: spec.key for spec in marts}
    return {
        name: dg.AssetCheckSpec(
            name=test["name"].removeprefix(f"{mart_of[test['attached_node']].to_user_string()}_"),
            asset=mart_of[test["attached_node"]],
            description=test["description"],
            blocking=test["config"]["severity"].lower() == "error",
            metadata={"dagster_dbt/unique_id": name},
        )
        for name, test in MANIFEST["nodes"].items()
        if test.get("attached_node") in mart_of
    }


def _schema_check_spec(mart: dg.AssetSpec) -> dg.AssetCheckSpec:
    schema = MARTS[mart.key.to_user_string()]
    return dg.AssetCheckSpec(
        name=SATISFIES_SCHEMA,
        asset=mart.key,
        description=f"Rows satisfy {schema.__name__}: {schema.__doc__}",
        blocking=True,
    )


_mart_specs = {spec.key: _as_mart(spec) for spec in _build_specs("marts")}
view_specs = [
    spec.replace_attributes(
        deps=[dep for dep in spec.deps if dep.asset_key.to_user_string() in RAW_TABLES],
        owners=OWNERS,
    )
    for spec in _build_specs("staging")
]
"""dbt's views: seen in the graph, made anew in the throw-away file of each run."""

_dbt_checks = _build_check_specs(_mart_specs.values())


@dg.multi_asset(
    name="conditioned_marts",
    specs=list(_mart_specs.values()),
    check_specs=[*_dbt_checks.values(), *map(_schema_check_spec, _mart_specs.values())],
    can_subset=True,
    backfill_policy=backfill_policy,
)
def conditioned_marts(
    context: dg.AssetExecutionContext, lake: Lake, conditioning: Conditioning
) -> Iterator[dg.MaterializeResult | dg.AssetCheckResult]:
    """Build the marts of all region-weeks of the run at once, test them, publish each at once."""
    keys = region_weeks_of(context)
    wanted = _wanted_marts(context)
    with conditioning.build(lake, keys, select=wanted) as built:
        yield from _only_selected(context, map(_dbt_check_result, built.tests))
        _stop_on(built.problems)
        tables = {mart: built.read(mart, _key_of(mart)) for mart in wanted}
        results = [_schema_check_result(mart, table) for mart, table in tables.items()]
        yield from _only_selected(context, results)
        _stop_on([f"{one.asset_key}: {one.description}" for one in results if not one.passed])
        for key in sorted(context.selected_asset_keys):
            mart = key.to_user_string()
            yield _publish(context, lake, mart, tables[mart], keys=keys, built=built)


def _wanted_marts(context: dg.AssetExecutionContext) -> list[str]:
    """Marts that the run publishes, and those that it is only asked to check."""
    keys = {*context.selected_asset_keys}
    keys |= {check.asset_key for check in context.selected_asset_check_keys}
    return [mart for mart in MARTS if dg.AssetKey(mart) in keys]


def _key_of(mart: str) -> list[str]:
    return MARTS[mart].to_schema().unique or []


def _publish(
    context: dg.AssetExecutionContext,
    lake: Lake,
    mart: str,
    table: Mart,
    *,
    keys: Sequence[RegionWeek],
    built: Conditioned,
) -> dg.MaterializeResult:
    receipt = lake.write(
        mart,
        table,
        keys,
        run_id=context.run_id,
        provenance={"read": dict(built.versions)},
        allow_empty=mart in MAY_BE_EMPTY,
    )
    counts = {key: {"dagster/partition_row_count": receipt.rows_of.get(key, 0)} for key in keys}
    add_partition_metadata(context, dg.AssetKey(mart), counts)
    return dg.MaterializeResult(
        asset_key=mart,
        metadata={
            "lake_version": receipt.version,
            "read_versions": dg.MetadataValue.json(dict(built.versions)),
            "git_commit": lake.git_commit,
        },
    )


def _only_selected(
    context: dg.AssetExecutionContext, results: Iterable[dg.AssetCheckResult | None]
) -> Iterator[dg.AssetCheckResult]:
    for result in results:
        if result and result.asset_key and result.check_name:
            key = dg.AssetCheckKey(result.asset_key, result.check_name)
            if key in context.selected_asset_check_keys:
                yield result


def _dbt_check_result(test: TestOutcome) -> dg.AssetCheckResult | None:
    """Report a dbt test of a mart; those of the views before it only stop the run."""
    spec = _dbt_checks.get(test.unique_id)
    if spec is None or test.status == "skipped":
        return None
    metadata: dict[str, Any] = {"dagster_dbt/failed_row_count": test.n_failures}
    if test.rows is not None:
        metadata["first_rows"] = dg.MetadataValue.md(test.rows.to_markdown(index=False))
    is_warning = test.status == "warn"
    return dg.AssetCheckResult(
        passed=test.status == "pass",
        asset_key=spec.asset_key,
        check_name=spec.name,
        severity=dg.AssetCheckSeverity.WARN if is_warning else dg.AssetCheckSeverity.ERROR,
        metadata=metadata,
        description=test.message or None,
    )


def _schema_check_result(mart: str, table: Mart) -> dg.AssetCheckResult:
    """Hold a mart to its contract, a batch at a time; that its key is unique, a dbt test holds."""
    key, found = dg.AssetKey(mart), [_cases(mart, rows) for rows in table.batches()]
    wrong = [cases for cases in found if cases is not None]
    if not wrong:
        return dg.AssetCheckResult(passed=True, asset_key=key, check_name=SATISFIES_SCHEMA)
    cases = pd.concat(wrong).drop_duplicates()
    shown = cases.head(MAX_CASES_SHOWN)
    return dg.AssetCheckResult(
        passed=False,
        asset_key=key,
        check_name=SATISFIES_SCHEMA,
        description=f"breaks its contract: {shown.to_dict('records')}",
        metadata={
            "n_failures": len(cases),
            "failures": dg.MetadataValue.md(shown.astype(str).to_markdown(index=False)),
        },
    )


def _cases(mart: str, rows: "pa.Table") -> pd.DataFrame | None:
    from pandera.errors import SchemaErrors

    try:
        MARTS[mart].validate(to_pandas(rows), lazy=True)
    except SchemaErrors as errors:
        return errors.failure_cases[["column", "check", "failure_case"]].drop_duplicates()
    return None


def _stop_on(problems: Sequence[str]) -> None:
    """Fail the run with what is wrong, before anything is published."""
    if problems:
        raise dg.Failure(
            description="Nothing was published. " + "; ".join(problems), allow_retries=False
        )


conditioned_assets = [conditioned_marts]
