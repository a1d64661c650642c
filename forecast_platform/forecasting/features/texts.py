"""Text columns as levels and codes; what the codes mean belongs to their columns' modules."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

Ints = NDArray[np.integer[Any]]

BLOCK_ROWS = 256
"""Rows per run of rows from which a run's texts are compared with those of the run before."""


def levels_of(column: pd.Series) -> pd.Index:
    """Return the sorted distinct texts of a column.

    Examples
    --------
    >>> levels_of(pd.Series(["b", "a", None, "b"])).to_list()
    ['a', 'b']
    """
    return _sorted_levels(_arrow(column))


def codes_of(column: pd.Series, levels: pd.Index) -> Ints:
    """Return the position of each text in ``levels``, -1 where it is missing or unknown.

    Examples
    --------
    >>> codes_of(pd.Series(["b", None, "z"]), pd.Index(["a", "b"])).tolist()
    [1, -1, -1]
    """
    if levels.empty or column.empty:
        return np.full(len(column), -1, np.int64)
    texts = _arrow(column)
    return _codes(texts, _names(levels, texts))


def levels_and_codes(column: pd.Series, starts: Sequence[int]) -> tuple[pd.Index, Ints]:
    """Return the sorted distinct texts of a column, and the position of each row's among them.

    A run of rows, from one of ``starts`` to the next, that names the same texts as the run before
    is not looked up again: comparing texts costs a tenth of finding them.

    Examples
    --------
    >>> levels, codes = levels_and_codes(pd.Series(["b", "a", "b", "a"]), [0, 2])
    >>> levels.to_list(), codes.tolist()
    (['a', 'b'], [1, 0, 1, 0])
    """
    texts = _arrow(column)
    runs = _Runs(texts, [*starts, len(texts)], len(texts))
    levels = _sorted_levels(runs.distinct)
    return levels, runs.codes(levels)


def rows_of(column: pd.Series, rows: Ints | NDArray[np.bool_]) -> pd.Series:
    """Return some rows of a column, by position or mask, without their labels."""
    return pd.Series(column.array[rows])


def codes_of_rows(column: pd.Series, levels: pd.Index, rows: Ints, starts: Sequence[int]) -> Ints:
    """Return the codes, as of `codes_of`, of some rows of a column.

    ``rows`` are positions; from one of ``starts`` (positions among them) to the next they follow
    one another without a gap. Runs that repeat the one before are not looked up again.
    """
    if levels.empty or not len(rows):
        return np.full(len(rows), -1, np.int64)
    if len(starts) * BLOCK_ROWS > len(rows):
        return codes_of(rows_of(column, rows), levels)
    texts = _arrow(column)
    return _Runs(texts, [*starts, len(rows)], len(rows), rows).codes(levels)


class _Runs:
    """Runs of rows of which only those that differ from the run before are kept."""

    def __init__(
        self, texts: Any, bounds: Sequence[int], n_rows: int, rows: Ints | None = None
    ) -> None:
        self._n_rows, self._kept, self._places = n_rows, [], []
        if len(bounds) * BLOCK_ROWS > n_rows:
            bounds = [0, n_rows]
        before = texts.slice(0, 0)
        for start, stop in pairwise(bounds):
            here = texts.slice(start if rows is None else rows[start], stop - start)
            if not self._kept or not here.equals(before):
                self._kept.append(here)
                before = here
            self._places.append((start, stop, len(self._kept) - 1))

    @property
    def distinct(self) -> pa.ChunkedArray:
        """Return the texts of the runs that were kept."""
        chunks = [part for kept in self._kept for part in _parts(kept)]
        return pa.chunked_array(chunks, self._kept[0].type)

    def codes(self, levels: pd.Index) -> Ints:
        """Return the position of each row's text in ``levels``."""
        codes = np.empty(self._n_rows, np.int64)
        known = [_codes(texts, _names(levels, texts)) for texts in self._kept]
        for start, stop, place in self._places:
            codes[start:stop] = known[place]
        return codes


def _parts(texts: Any) -> list[Any]:
    return texts.chunks if isinstance(texts, pa.ChunkedArray) else [texts]


def _arrow(column: pd.Series) -> Any:
    is_text = isinstance(column.dtype, pd.StringDtype)
    return pa.array(column.array if is_text else column.astype("str").array)


def _names(levels: pd.Index, texts: Any) -> Any:
    names = pa.array(levels.array)
    names = names.combine_chunks() if isinstance(names, pa.ChunkedArray) else names
    return names.cast(texts.type)


def _codes(texts: Any, names: Any) -> Ints:
    found = pc.index_in(texts, value_set=names)  # pyright: ignore[reportAttributeAccessIssue]
    return found.fill_null(-1).to_numpy(zero_copy_only=False).astype(np.int64)


def _sorted_levels(texts: Any) -> pd.Index:
    known = pc.drop_null(pc.unique(texts))  # pyright: ignore[reportAttributeAccessIssue]
    order = pc.array_sort_indices(known)  # pyright: ignore[reportAttributeAccessIssue]
    return pd.Index(pd.array(known.take(order), dtype="str"))
