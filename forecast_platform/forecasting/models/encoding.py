"""Encoders that turn a frame's columns into arrays: vocabularies and a clipping standardiser.

Both are data only (names, levels, means, scales), fitted on training rows. No model belongs here.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from forecast_platform.forecasting.models.base import (
    CorruptModelFiles,
    State,
    require_columns,
    taken,
)

UNKNOWN = 0
"""Code of a level that was not seen in training, and of a missing value."""

CLIP = 6.0
"""Standard deviations beyond which a numeric input says no more than "very large"."""

SMALLEST_SCALE = 1e-6

ROWS_AT_ONCE = 2048
"""Rows that are standardised at once, so that they stay in the processor's cache."""


def as_labels(column: pd.Series) -> pd.Series:
    """Return the column in category form: hashed once, cheap to encode again."""
    if isinstance(column.dtype, pd.CategoricalDtype):
        return column
    return column.astype("category")


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """Codes for the levels of several categorical columns; 0 is the unknown slot.

    Parameters
    ----------
    levels : dict of str to tuple of str
        Levels of each column, sorted; level ``i`` has code ``i + 1``.

    Examples
    --------
    >>> rows = pd.DataFrame({"event": ["none", "easter"]})
    >>> vocabulary = Vocabulary.of(rows, ("event",))
    >>> vocabulary.codes(pd.DataFrame({"event": ["easter", "eclipse"]})).ravel().tolist()
    [1, 0]
    """

    levels: dict[str, tuple[str, ...]]

    @classmethod
    def of(cls, X: pd.DataFrame, columns: tuple[str, ...]) -> Self:
        """Collect the levels that occur in ``X``."""
        require_columns(X, columns)
        return cls({column: tuple(_levels_of(X[column])) for column in columns})

    @property
    def sizes(self) -> tuple[int, ...]:
        """Codes per column, the unknown slot included."""
        return tuple(len(levels) + 1 for levels in self.levels.values())

    @property
    def offsets(self) -> NDArray[np.int32]:
        """First position of each column in one table that holds all columns' levels."""
        starts = np.cumsum((0, *self.sizes))[:-1]
        return starts.astype(np.int32)

    def codes(self, X: pd.DataFrame) -> NDArray[np.int32]:
        """Encode ``X``; shape (n_rows, n_columns), 0 where the level is unknown or missing."""
        codes = np.empty((len(X), len(self.levels)), dtype=np.int32, order="F")
        for position, own in enumerate(self.each(X)):
            codes[:, position] = own
        return codes

    def each(self, X: pd.DataFrame) -> Iterator[NDArray[np.int32]]:
        """Encode one column of ``X`` after the other, as `codes` does; shape (n_rows,)."""
        require_columns(X, tuple(self.levels))
        for column, levels in self.levels.items():
            labels = as_labels(X[column])
            names = pd.Index([str(level) for level in labels.cat.categories], dtype=object)
            known = pd.Index(levels, dtype=object).get_indexer(names).astype(np.int32) + 1
            known = np.append(known, np.int32(UNKNOWN))  # code -1 of a missing value
            yield known.take(labels.cat.codes.to_numpy(), mode="wrap")

    def to_json(self) -> dict[str, list[str]]:
        """Return the levels as JSON values, in column order."""
        return {column: list(levels) for column, levels in self.levels.items()}

    @classmethod
    def from_json(cls, values: Any) -> Self:
        """Read back what `to_json` gave.

        Raises
        ------
        CorruptModelFiles
            If it is not a mapping of names to distinct strings.
        """
        if not isinstance(values, dict):
            raise CorruptModelFiles("the vocabulary must be a mapping")
        for column, levels in values.items():
            if not isinstance(levels, list) or not all(isinstance(level, str) for level in levels):
                raise CorruptModelFiles(f"levels of {column!r} must be a list of strings")
            if len(set(levels)) != len(levels):
                raise CorruptModelFiles(f"levels of {column!r} repeat")
        return cls({str(column): tuple(levels) for column, levels in values.items()})


def _levels_of(column: pd.Series) -> list[str]:
    labels = as_labels(column)
    used = np.unique(labels.cat.codes.to_numpy())
    categories = labels.cat.categories
    return sorted(str(categories[code]) for code in used if code >= 0)


@dataclass(frozen=True, slots=True)
class Standardiser:
    """Centre and scale numeric columns, clip at `CLIP`, read a missing value as the mean.

    Parameters
    ----------
    columns : tuple of str
        Columns in the order of the output.
    mean, scale : ndarray of shape (n_columns,), float32
        A constant column has scale 1 and so becomes zero.
    """

    columns: tuple[str, ...]
    mean: NDArray[np.float32]
    scale: NDArray[np.float32]

    @classmethod
    def of(cls, X: pd.DataFrame, columns: tuple[str, ...]) -> Self:
        """Measure means and scales on ``X``, ignoring values that are not finite."""
        require_columns(X, columns)
        mean, scale = np.zeros(len(columns)), np.ones(len(columns))
        values, room = np.empty((2, len(X)))
        for position, column in enumerate(columns):
            own = X[column]
            values[:] = own.to_numpy(np.float32 if own.dtype == np.float32 else np.float64)
            mean[position], scale[position] = _moments(values, room)
        return cls(tuple(columns), mean.astype(np.float32), scale.astype(np.float32))

    def matrix(
        self,
        X: pd.DataFrame,
        *,
        intercept: bool = False,
        order: NDArray[np.integer] | None = None,
    ) -> NDArray[np.float32]:
        """Standardise ``X``; shape (n_rows, n_columns), and a last column of ones if asked.

        Rows are taken in ``order``, where it is given: a copy less than to sort them afterwards.
        For training: it is compiled. `blocks` gives the same numbers without.
        """
        from forecast_platform.forecasting.models.compiled_encoding import standardise_rows

        width, n_rows = len(self.columns), len(X)
        places = np.arange(n_rows)
        if order is not None:
            places[order] = np.arange(n_rows)
        matrix = np.empty((n_rows, width + intercept), dtype=np.float32)
        for rows, block in self._raw(X):
            standardise_rows(block, self.mean, self.scale, np.float32(CLIP), places[rows], matrix)
        if intercept:
            matrix[:, width] = 1.0
        return matrix

    def blocks(self, X: pd.DataFrame) -> Iterator[tuple[slice, NDArray[np.float32]]]:
        """Standardise ``X`` some rows at a time, with numpy alone.

        Yields
        ------
        rows : slice
        block : ndarray of shape (n_columns, n_rows), float32
            Overwritten by the next one.
        """
        mean, scale = self.mean[:, None], self.scale[:, None]
        for rows, block in self._raw(X):
            np.subtract(block, mean, out=block)
            np.divide(block, scale, out=block)
            np.clip(block, -CLIP, CLIP, out=block)
            if np.isnan(block.min()):
                block[np.isnan(block)] = 0.0
            yield rows, block

    def _raw(self, X: pd.DataFrame) -> Iterator[tuple[slice, NDArray[np.float32]]]:
        """Copy `ROWS_AT_ONCE` of all columns; the memory is used again."""
        require_columns(X, self.columns)
        columns, n_rows = [X[name].to_numpy(dtype=np.float32) for name in self.columns], len(X)
        block = np.empty((len(columns), 0), dtype=np.float32)
        for start in range(0, n_rows, ROWS_AT_ONCE):
            rows = slice(start, min(start + ROWS_AT_ONCE, n_rows))
            if block.shape[1] != rows.stop - start:  # the first, and a shorter last one
                block = np.empty((len(columns), rows.stop - start), dtype=np.float32)
            for one, column in zip(block, columns, strict=True):
                one[:] = column[rows]
            yield rows, block

    def to_state(self) -> State:
        """Return columns as JSON and moments as arrays."""
        return {"columns": list(self.columns)}, {"mean": self.mean, "scale": self.scale}

    @classmethod
    def from_state(cls, values: Any, arrays: Mapping[str, NDArray[Any]], prefix: str) -> Self:
        """Read back what `to_state` gave, the arrays under ``prefix``."""
        columns = tuple(str(column) for column in values["columns"])
        mean = taken(arrays, f"{prefix}mean", (len(columns),))
        scale = taken(arrays, f"{prefix}scale", (len(columns),))
        if (scale <= 0).any():
            raise CorruptModelFiles("scales must be positive")
        return cls(columns, mean, scale)


def _moments(values: NDArray[np.float64], room: NDArray[np.float64]) -> tuple[float, float]:
    """Return mean and spread of what is finite; ``room`` is as long as ``values``, for the work."""
    with np.errstate(invalid="ignore"):
        mean = float(values.mean()) if len(values) else np.nan
    if not np.isfinite(mean):  # some value is not
        values = values[np.isfinite(values)]
        if not len(values):
            return 0.0, 1.0
        mean = float(values.mean())
    deviation = np.subtract(values, mean, out=room[: len(values)])
    spread = float(np.sqrt(np.square(deviation, out=deviation).mean()))
    return mean, spread if spread > SMALLEST_SCALE * max(1.0, abs(mean)) else 1.0
