"""Rows in the few types that the lake knows, and in the columns of the table they go to.

Where they go is said in `forecast_platform.resources.lake`; which region-weeks they are of, in
`forecast_platform.resources.lake_keys`.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol, cast

import pandas as pd
import pyarrow as pa
from deltalake import (
    DeltaTable,
)

from forecast_platform.errors import WriteRefused


class Batches(Protocol):
    """Rows that are too many to be held: read by the batch, as often as they are asked for."""

    @property
    def schema(self) -> pa.Schema: ...  # noqa: D102

    def batches(self) -> Iterator[pa.Table]:
        """Read the rows from the first on."""
        ...


@dataclass(frozen=True, slots=True)
class Parts:
    """Rows in the types of the lake, however they came."""

    schema: pa.Schema
    read: Callable[[], Iterator[pa.Table]]

    @classmethod
    def of(cls, rows: pd.DataFrame | pa.Table | Batches) -> "Parts":
        """Take rows in any of the ways in which they come."""
        if isinstance(rows, (pd.DataFrame, pa.Table)):
            whole = to_arrow(rows)
            return cls(whole.schema, lambda: iter([whole]))
        batches = cast("Batches", rows).batches
        return cls(
            pa.schema([pa.field(one.name, _lake_type(one.type)) for one in rows.schema]),
            lambda: map(to_arrow, batches()),
        )


@dataclass(frozen=True, slots=True)
class Fitted:
    """Rows in a table's columns and types, read once."""

    schema: pa.Schema
    parts: Iterator[pa.Table]
    adds_columns: bool


def to_pandas(rows: pa.Table) -> pd.DataFrame:
    """Make a frame: dates as ``datetime64[us]``, text as ``str``."""
    fields = [
        pa.field(one.name, pa.timestamp("us")) if pa.types.is_date(one.type) else one
        for one in rows.schema
    ]
    return rows.cast(pa.schema(fields)).to_pandas()


def to_arrow(rows: pd.DataFrame | pa.Table) -> pa.Table:
    """Make an Arrow table with the few types that the lake knows.

    Raises
    ------
    WriteRefused
        If a date column holds a time of day.
    """
    is_frame = isinstance(rows, pd.DataFrame)
    table: pa.Table = pa.Table.from_pandas(rows, preserve_index=False) if is_frame else rows
    table = table.replace_schema_metadata(None)
    for one in table.schema:
        if pa.types.is_timestamp(one.type) and not _are_days(table[one.name]):
            raise WriteRefused(f"column {one.name} cannot be stored: dates must be whole days")
    fields = [pa.field(one.name, _lake_type(one.type)) for one in table.schema]
    return table.cast(pa.schema(fields))


def _are_days(stamps: pa.ChunkedArray) -> bool:
    """Whether all timestamps are midnight without a time zone: a cast would cut off the rest."""
    return stamps.type.tz is None and stamps.cast(pa.date32()).cast(stamps.type).equals(stamps)


def _lake_type(type_: pa.DataType) -> pa.DataType:
    if pa.types.is_timestamp(type_) or pa.types.is_date(type_):
        return pa.date32()
    if pa.types.is_null(type_) or pa.types.is_large_string(type_) or pa.types.is_string_view(type_):
        return pa.string()
    if pa.types.is_dictionary(type_):
        return _lake_type(type_.value_type)
    if pa.types.is_decimal(type_):
        return pa.float64()
    return type_


def fit(table: str, rows: Parts, target: DeltaTable) -> Fitted:
    """Give the rows the table's columns and types; new columns follow."""
    known = pa.schema(target.schema().to_arrow())
    new = [one for one in rows.schema if one.name not in known.names]
    schema = pa.schema([pa.field(one.name, one.type) for one in known] + new)
    parts = (_fit_part(table, part, schema) for part in rows.read())
    return Fitted(schema, parts, bool(new))


def _fit_part(table: str, rows: pa.Table, schema: pa.Schema) -> pa.Table:
    columns = []
    for one in schema:
        if one.name not in rows.column_names:
            columns.append(pa.nulls(rows.num_rows, one.type))
            continue
        try:
            columns.append(rows[one.name].cast(one.type))
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
            raise WriteRefused(
                f"table {table}, column {one.name}: it is {one.type} in the lake and cannot take "
                f"{rows[one.name].type}: {error}"
            ) from error
    return pa.Table.from_arrays(columns, schema=schema)
