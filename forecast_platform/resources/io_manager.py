"""The lake as an IO manager: an asset returns a frame and takes frames, and never sees a path.

For assets that read and write exactly the region-weeks of their run, such as a new feature table
or an analyst's own. The platform's assets call `forecast_platform.resources.lake` themselves,
since they read history as of a week. See
https://docs.dagster.io/guides/build/io-managers.
"""

from collections.abc import Mapping
from typing import Any, Final

import dagster as dg
import pandas as pd
import pyarrow as pa

from forecast_platform.errors import WriteRefused
from forecast_platform.partitions import RegionWeek, parse_key
from forecast_platform.resources.lake import Lake
from forecast_platform.resources.provenance import made_from

MAY_BE_EMPTY: Final = "lake/may_be_empty"
"""Definition metadata of an asset some of whose region-weeks have no rows."""

READ_VERSIONS: Final = "read_versions"
"""Output metadata: version of every table that was read, kept in the commit as its provenance."""

COLUMNS: Final = "lake/columns"
"""Metadata of an ``AssetIn``: the columns to read."""


class LakeIOManager(dg.ConfigurableIOManager):
    """Keep each asset in the table of its name, and each partition as a region and week of it.

    An asset names it by ``io_manager_key`` and returns a ``pandas.DataFrame`` or a
    ``pyarrow.Table`` with the columns ``region`` and ``week``, of all region-weeks of the run.
    An input that is annotated ``pyarrow.Table`` is loaded as one.
    """

    lake: dg.ResourceDependency[Lake]

    def handle_output(self, context: dg.OutputContext, obj: pd.DataFrame | pa.Table) -> None:
        """Replace the region-weeks of the run in one commit.

        Raises
        ------
        WriteRefused
            If what the asset returned is no table, or has rows of other region-weeks.
        """
        table = _table_of(context.asset_key)
        if not isinstance(obj, pd.DataFrame | pa.Table):
            raise WriteRefused(
                f"{table} returned {type(obj).__name__}: return a pandas.DataFrame or pyarrow.Table"
            )
        receipt = self.lake.write(
            table,
            obj,
            _keys_of(context),
            run_id=context.run_id,
            provenance=made_from(_versions_read(context)),
            allow_empty=bool(context.definition_metadata.get(MAY_BE_EMPTY, False)),
        )
        for key, count in receipt.rows_of.items():
            context.step_context.add_asset_metadata(
                {"dagster/partition_row_count": count}, context.asset_key, key.key
            )
        context.add_output_metadata(
            {"lake_version": receipt.version, "git_commit": self.lake.git_commit}
        )

    def load_input(self, context: dg.InputContext) -> Any:
        """Read the region-weeks that the run asks of the upstream asset."""
        keys = _keys_of(context)
        wanted: Mapping[str, Any] = context.definition_metadata or {}
        asked = wanted.get(COLUMNS)
        is_arrow = context.dagster_type.typing_type is pa.Table
        read = self.lake.read_arrow if is_arrow else self.lake.read
        return read(
            _table_of(context.asset_key),
            region=sorted({key.region for key in keys}),
            weeks=sorted({key.week for key in keys}),
            columns=_with_keys(asked) if asked else None,
        )


def _table_of(key: dg.AssetKey) -> str:
    """Name the table of an asset; the lake refuses what is no name."""
    return "_".join(key.path)


def _versions_read(context: dg.OutputContext) -> dict[str, Any]:
    found = (context.output_metadata or {}).get(READ_VERSIONS, {})
    return dict(getattr(found, "value", found))


def _keys_of(context: dg.OutputContext | dg.InputContext) -> list[RegionWeek]:
    if not context.has_asset_partitions:
        raise WriteRefused(
            f"{_table_of(context.asset_key)} has no partitions: the lake keeps region-weeks, so "
            "give the asset partitions_def=region_weeks"
        )
    return [parse_key(str(key)) for key in context.asset_partition_keys]


def _with_keys(columns: list[str]) -> list[str]:
    return list(dict.fromkeys(["region", "week", *columns]))
