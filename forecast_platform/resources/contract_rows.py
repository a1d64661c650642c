"""Rows of one file under contract names, a batch at a time, unreadable ones among them.

How columns are renamed is in `mapping`; of which region and week a row is, in `placing`.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from forecast_platform.resources import databases
from forecast_platform.resources.delivered_files import DeliveredFile
from forecast_platform.resources.formats import read_whole
from forecast_platform.resources.mapping import map_columns, query
from forecast_platform.resources.sources import Expression, Source, Sql
from forecast_platform.resources.text_rows import BadRow, Rows, cut
from forecast_platform.schemas.batches import batches, plain
from forecast_platform.schemas.codes import REFUSAL, refusal_text
from forecast_platform.schemas.raw import CONTRACTS, DELIVERED_WEEK
from forecast_platform.vocabulary import REGION, WEEK

FIRST_ROW: Final = 2
"""Number of the first row below the header, as people count."""

_LOOKS_AT_OTHERS: Final = re.compile(r"\b(over|select|from)\b", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Mapped:
    """Some rows of a file, in its order.

    Attributes
    ----------
    table : pyarrow.Table
        Text under contract names, with ``source_row`` and `REFUSAL`; ``region`` where a column
        tells it.
    is_bad : numpy.ndarray of shape (n_rows,)
        Rows that could not be read, of which all else is missing.
    """

    table: pa.Table
    is_bad: NDArray[np.bool_]


def map_rows(
    name: str,
    source: Source,
    one: DeliveredFile,
    parts: Iterable[Rows],
    tables: Mapping[str, pa.Table],
) -> Iterator[Mapped]:
    """Put the rows of a file under contract names.

    Parameters
    ----------
    name : str
        Of the source.
    source : Source
    one : DeliveredFile
    parts : iterable of Rows
        Batches of the file. Where SQL of the sources file looks from one row at others, all of
        them are held.
    tables : mapping of str to pyarrow.Table
        Further files that its query reads.

    Raises
    ------
    BadFile
        If a column is missing, or SQL fails.
    """
    if source.query is not None:
        parts = cut(_queried(source.query, one, read_whole(one.file, parts), tables))
    if _looks_at_others(source):
        parts = [read_whole(one.file, parts)]
    for rows in parts:
        table = map_columns(name, source, plain(rows.table), one.file)
        numbers = pa.array(rows.numbers + FIRST_ROW + source.skip_rows)
        mapped = table.append_column("source_row", numbers)
        yield from _cut(_with_bad(mapped, rows.bad, source.skip_rows))


def map_extract(
    name: str, source: Source, sql: Sql, found: databases.Extract
) -> tuple[DeliveredFile, Mapped]:
    """Put a database's rows under contract names, as those of a file."""
    key = found.key
    region = source.region or (key.region if key and sql.has_region else None)
    one = DeliveredFile(
        name,
        region,
        key.week if key else None,
        found.name,
        found.rows.nbytes,
        None,
        "sql",
        query=found.query,
    )
    rows = map_columns(name, source, found.rows, found.name)
    if region is None and sql.region_column is not None:
        rows = replaced(rows, REGION, found.rows[sql.region_column])
    n_rows = rows.num_rows
    rows = rows.append_column("source_row", pa.array(np.arange(1, n_rows + 1)))
    return one, Mapped(rows, np.zeros(n_rows, dtype=bool))


def no_rows(name: str) -> pa.Table:
    """Make a table of a source's rows, under contract names with their origin, without any."""
    delivered = [DELIVERED_WEEK if one == WEEK else one for one in CONTRACTS[name].kinds]
    fields = [
        *(pa.field(column, pa.string()) for column in delivered),
        pa.field(REGION, pa.string()),
        pa.field(WEEK, pa.timestamp("us")),
        pa.field("known_on", pa.timestamp("us")),
        pa.field("source_file", pa.string()),
        pa.field("source_row", pa.int64()),
        pa.field(REFUSAL, pa.string()),
    ]
    return pa.schema(fields).empty_table()


def replaced(rows: pa.Table, name: str, values: Any) -> pa.Table:
    """Put values in place of a column, or beside the others where there is none."""
    others = rows.drop_columns(name) if name in rows.column_names else rows
    return others.append_column(name, values)


def _cut(rows: Mapped) -> Iterator[Mapped]:
    """Cut rows that had to be mapped together, or that bad ones were put among."""
    start = 0
    for table in batches(rows.table):
        yield Mapped(table, rows.is_bad[start : start + table.num_rows])
        start += table.num_rows


def _looks_at_others(source: Source) -> bool:
    """Whether SQL of the sources file looks from one row at others."""
    sql = [one.sql for one in source.columns.values() if isinstance(one, Expression)]
    return any(_LOOKS_AT_OTHERS.search(one) for one in sql)


def _queried(sql: str, one: DeliveredFile, whole: Rows, tables: Mapping[str, pa.Table]) -> Rows:
    """Run the source's query on all rows; they are numbered as in its result."""
    found = query(sql, {"delivered": plain(whole.table), **tables}, one.file)
    return Rows(found, np.arange(found.num_rows), whole.bad)


def _with_bad(rows: pa.Table, bad: list[BadRow], n_skipped: int) -> Mapped:
    """Put rows that cannot be read back where they were, refused."""
    if not bad:
        return Mapped(rows, np.zeros(rows.num_rows, dtype=bool))
    refusals = [refusal_text(one.code, one.reason, value=one.text) for one in bad]
    numbers = pa.array([one.number + FIRST_ROW + n_skipped for one in bad], pa.int64())
    refused = pa.table({REFUSAL: pa.array(refusals, pa.string()), "source_row": numbers})
    whole = pa.concat_tables([rows, refused], promote_options="default")
    order = pc.sort_indices(whole["source_row"])  # pyright: ignore[reportAttributeAccessIssue]
    return Mapped(whole.take(order), order.to_numpy() >= rows.num_rows)
