"""Rows of a delivered file as text, a batch at a time, those that cannot be read apart.

What every format is read into; how is in the modules of the formats.
"""

import json
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Final

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from forecast_platform.schemas import batches
from forecast_platform.schemas.batches import together
from forecast_platform.schemas.codes import Code

MAX_WHOLE: Final = 1e15
"""Floating-point numbers up to here are whole when they look so."""


@dataclass(frozen=True, slots=True)
class BadRow:
    """A row that cannot be read, in a file that can.

    Attributes
    ----------
    number : int
        Row below the header, from 0, bad ones counted.
    code : Code
    reason : str
    text : str
        The line as delivered; bytes that are no text stand as U+FFFD.
    """

    number: int
    code: Code
    reason: str
    text: str


@dataclass(frozen=True, slots=True)
class Rows:
    """Some rows of a file, one after the other.

    Attributes
    ----------
    table : pyarrow.Table
        Those that can be read, every value as text.
    numbers : numpy.ndarray of shape (n_rows,)
        Where each stands in the file: below the header, from 0.
    bad : list of BadRow
        The others, in order; none stands after the last row of the table but in the last batch.
    """

    table: pa.Table
    numbers: NDArray[np.int64]
    bad: list[BadRow] = field(default_factory=list)


def all_right(tables: Iterable[pa.Table]) -> Iterator[Rows]:
    """Give numbers to tables of which every row could be read."""
    start = 0
    for table in tables:
        yield Rows(table, np.arange(start, start + table.num_rows))
        start += table.num_rows


def numbered(start: int, table: pa.Table, bad: deque[BadRow]) -> Rows:
    """Give numbers to rows, and take the bad ones that stand before the last of them.

    Parameters
    ----------
    start : int
        Number of the first row of these, right or bad.
    table : pyarrow.Table
    bad : deque of BadRow
        Those that were not taken yet, in order; what is taken is removed.

    Examples
    --------
    >>> rows = numbered(2, pa.table({"a": ["x", "y"]}), deque([BadRow(3, Code.MALFORMED, "", "z")]))
    >>> rows.numbers.tolist(), len(rows.bad)
    ([2, 4], 1)
    """
    taken: list[BadRow] = []
    while bad and bad[0].number < start + table.num_rows + len(taken):
        taken.append(bad.popleft())
    every = np.arange(start, start + table.num_rows + len(taken))
    return Rows(table, np.delete(every, [one.number - start for one in taken]), taken)


def in_one(parts: Iterable[Rows]) -> Rows:
    """Put the batches of a file together, compact when they are many."""
    numbers: list[NDArray[np.int64]] = []
    bad: list[BadRow] = []

    def tables() -> Iterator[pa.Table]:
        for part in parts:
            numbers.append(part.numbers)
            bad.extend(part.bad)
            yield part.table

    table = together(tables())
    return Rows(table, np.concatenate(numbers), bad)


def cut(rows: Rows) -> Iterator[Rows]:
    """Cut rows into plain batches."""
    bad = deque(rows.bad)
    start = 0
    for table in batches.batches(rows.table):
        numbers = rows.numbers[start : start + table.num_rows]
        start += table.num_rows
        is_last = start == rows.table.num_rows
        own: list[BadRow] = []
        while bad and (is_last or bad[0].number <= numbers[-1]):
            own.append(bad.popleft())
        yield Rows(table, numbers, own)


def stringified(table: pa.Table) -> pa.Table:
    """Write every value as plain text: 3.0 in a Parquet file and 3 in a CSV file are the same."""
    return pa.table({name: _text(table[name]) for name in table.column_names})


def _text(column: pa.ChunkedArray) -> pa.ChunkedArray:
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    if pa.types.is_nested(column.type):
        values = [
            None if one is None else json.dumps(one, default=str) for one in column.to_pylist()
        ]
        return pa.chunked_array([pa.array(values, pa.string())])
    if pa.types.is_floating(column.type):
        return _plain(column)
    return column.cast(pa.string())


def _plain(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Write floating-point numbers without exponents, whole ones without a point."""
    values = column.cast(pa.float64()).to_numpy()
    text = column.cast(pa.string()).to_pandas()
    is_whole = (values == np.trunc(values)) & (np.abs(values) < MAX_WHOLE)
    text = text.mask(
        is_whole, pd.Series(np.where(is_whole, values, 0)).astype("int64").astype("str")
    )
    is_small = text.str.contains("e-", na=False)
    positional = [np.format_float_positional(float(one), trim="-") for one in text[is_small]]
    text[is_small] = positional
    return pa.chunked_array([pa.array(text, pa.string(), from_pandas=True)])
