"""Many rows in little memory: worked on by the batch, kept with each text written once.

A table of at most `BATCH_ROWS` rows is one batch and stays plain. A larger one is *compact*: its
text columns are dictionaries in Arrow, categories in pandas; other columns are as they are.
"""

import itertools
from collections.abc import Iterable, Iterator
from typing import Final

import pandas as pd
import pyarrow as pa

BATCH_ROWS = 2**18
"""Rows that are worked on at a time."""

BATCH_BYTES: Final = 64 * 1024**2
"""Fewer rows make a batch when they are long."""

_INDEX: Final = "index of the frame"


def batches(table: pa.Table) -> Iterator[pa.Table]:
    """Cut a table into plain batches; one without rows is one batch."""
    if table.num_rows <= BATCH_ROWS:
        yield table
        return
    for start in range(0, table.num_rows, BATCH_ROWS):
        yield plain(table.slice(start, BATCH_ROWS))


def regrouped(parts: Iterable[pa.Table]) -> Iterator[pa.Table]:
    """Put many small tables together to few plain batches; no row at all is one batch of none.

    Parameters
    ----------
    parts : iterable of pyarrow.Table
        At least one; taken one at a time.
    """
    held: list[pa.Table] = []
    n_rows = n_bytes = 0
    is_first = True
    for part in parts:
        held.append(part)
        n_rows, n_bytes = n_rows + part.num_rows, n_bytes + part.nbytes
        if n_rows < BATCH_ROWS and n_bytes < BATCH_BYTES:
            continue
        *whole, rest = _sliced(pa.concat_tables(held))
        yield from whole
        is_first = is_first and not whole
        held, n_rows, n_bytes = [rest], rest.num_rows, rest.nbytes
    if n_rows or is_first:
        yield pa.concat_tables(held)


def _sliced(table: pa.Table) -> list[pa.Table]:
    """Cut a table into batches of `BATCH_ROWS` rows; the last one, which has fewer, may be empty.

    Fewer rows than that, which are long, are a batch too.
    """
    if table.num_rows < BATCH_ROWS:
        return [table, table.slice(table.num_rows)]
    starts = range(0, table.num_rows + 1, BATCH_ROWS)
    return [table.slice(start, BATCH_ROWS) for start in starts]


def compact(table: pa.Table) -> pa.Table:
    """Write each text of a column once."""
    columns = [
        column.dictionary_encode() if pa.types.is_string(column.type) else column
        for column in (_short(one) for one in table.columns)
    ]
    return pa.table(columns, names=table.column_names)


def plain(table: pa.Table) -> pa.Table:
    """Write the texts of compact columns out again."""
    columns = [
        one.cast(one.type.value_type) if pa.types.is_dictionary(one.type) else one
        for one in table.columns
    ]
    return pa.table(columns, names=table.column_names)


def together(parts: Iterable[pa.Table]) -> pa.Table:
    """Put tables of the same columns one below the other, compact when they are more than a batch.

    Parameters
    ----------
    parts : iterable of pyarrow.Table
        Taken one at a time: only a batch of them is ever held plain.
    """
    held: list[pa.Table] = []
    n_rows = 0
    for part in parts:
        if n_rows <= BATCH_ROWS < n_rows + part.num_rows:
            held = [compact(one) for one in held]
        n_rows += part.num_rows
        held.append(compact(part) if n_rows > BATCH_ROWS else part)
    whole = pa.concat_tables(held)
    return whole.unify_dictionaries() if n_rows > BATCH_ROWS else whole


def frames(rows: pd.DataFrame) -> Iterator[pd.DataFrame]:
    """Cut a frame into plain batches that keep its index; one without rows is one batch."""
    for start in range(0, max(len(rows), 1), BATCH_ROWS):
        yield plain_frame(rows.iloc[start : start + BATCH_ROWS])


def plain_frame(rows: pd.DataFrame) -> pd.DataFrame:
    """Write the texts of compact columns out again."""
    texts = [name for name, dtype in rows.dtypes.items() if isinstance(dtype, pd.CategoricalDtype)]
    return rows.astype(dict.fromkeys(texts, "str")) if texts else rows


def frames_together(parts: Iterable[pd.DataFrame]) -> pd.DataFrame:
    """Put frames one below the other with their indexes, compact when they are several.

    Parameters
    ----------
    parts : iterable of pandas.DataFrame
        At least one; taken one at a time.
    """
    remaining = iter(parts)
    first = next(remaining)
    second = next(remaining, None)
    if second is None:
        return first
    compacted = [
        compact(pa.Table.from_pandas(one.rename_axis(_INDEX).reset_index(), preserve_index=False))
        for one in itertools.chain([first, second], remaining)
    ]
    whole = pa.concat_tables(compacted).unify_dictionaries().replace_schema_metadata(None)
    return whole.to_pandas().set_index(_INDEX).rename_axis(None)


def _short(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Give text the one type that all tables share; no batch of it reaches 2 GB."""
    is_other = pa.types.is_large_string(column.type) or pa.types.is_string_view(column.type)
    return column.cast(pa.string()) if is_other else column
