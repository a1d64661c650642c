"""The LASSO's design: shared columns, deviations by group and effects of single levels.

The design is never built: it is held as its narrow parts, and its Gram is summed cell by cell. No
loss and no choice of penalty belong here.
"""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

EFFECT_PENALTY = 1.0 / 3.0
"""Penalty of an effect of one level, relative to that of a shared coefficient."""

INTERCEPT_PENALTY = 0.1
"""Penalty of a group's own intercept, relative to that of a shared coefficient."""

ROWS_AT_ONCE = 4096


@dataclass(frozen=True, slots=True)
class Layout:
    """Where the parts of the design lie in one vector of coefficients.

    Parameters
    ----------
    width : int
        Columns of the dense part, the intercept last.
    groups : tuple of int
        Levels of each deviating column, without the unknown one.
    n_effects : int
        Levels of all effect columns together.
    """

    width: int
    groups: tuple[int, ...]
    n_effects: int

    @property
    def size(self) -> int:
        """Coefficients in all."""
        return self.width * (1 + sum(self.groups)) + self.n_effects

    def group_starts(self) -> list[int]:
        """Return the first coefficient of every deviating column."""
        starts = self.width * (1 + np.cumsum((0, *self.groups))[:-1])
        return [int(start) for start in starts]

    def penalty(self) -> NDArray[np.float64]:
        """Return each coefficient's penalty relative to a shared one's.

        Notes
        -----
        A deviation is penalised ``2 / sqrt(levels)`` as much as a shared coefficient: the more
        levels, the less each carries in the Gram, which by itself already shrinks it more.
        """
        parts = [np.r_[np.ones(self.width - 1), 0.0]]
        for levels in self.groups:
            one = np.r_[np.ones(self.width - 1), INTERCEPT_PENALTY] * 2.0 / np.sqrt(levels)
            parts.append(np.tile(one, levels))
        parts.append(np.full(self.n_effects, EFFECT_PENALTY))
        return np.concatenate(parts)

    def split(
        self, coef: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], list[NDArray[np.float64]], NDArray[np.float64]]:
        """Split a vector into shared, deviations (first a zero row, "unknown") and effects."""
        shared = coef[: self.width]
        deviations = []
        for start, levels in zip(self.group_starts(), self.groups, strict=True):
            block = coef[start : start + levels * self.width].reshape(levels, self.width)
            deviations.append(np.vstack([np.zeros(self.width), block]))
        return shared, deviations, coef[self.size - self.n_effects :]


@dataclass(frozen=True, slots=True)
class Design:
    """Rows of the design, sorted so that rows with the same groups lie together.

    Parameters
    ----------
    layout : Layout
    matrix : ndarray of shape (n_rows, width), float32
    cells : list of (int, int, tuple of int)
        Start, stop and group codes (0 unknown) of each run of rows.
    effects : ndarray of shape (n_rows, n_effect_columns), int
        Position among the effects, or -1.
    """

    layout: Layout
    matrix: NDArray[np.float32]
    cells: list[tuple[int, int, tuple[int, ...]]]
    effects: NDArray[np.integer]

    @staticmethod
    def order_of(groups: NDArray[np.int32]) -> NDArray[np.intp]:
        """Sort the rows by group."""
        return np.lexsort(groups.T[::-1]) if groups.shape[1] else np.arange(len(groups))

    @classmethod
    def of(
        cls,
        layout: Layout,
        matrix: NDArray[np.float32],
        groups: NDArray[np.int32],
        effects: NDArray[np.integer],
    ) -> "Design":
        """Take rows that lie in the order that `order_of` gave."""
        changes = np.flatnonzero((groups[1:] != groups[:-1]).any(axis=1)) + 1
        bounds = [0, *changes.tolist(), len(matrix)]
        cells = [(start, stop, tuple(groups[start].tolist())) for start, stop in pairwise(bounds)]
        return cls(layout, matrix, cells, effects)

    def places(self, codes: tuple[int, ...]) -> list[int]:
        """Return the first coefficient of each dense block that a cell's rows enter."""
        starts = self.layout.group_starts()
        own = [
            start + (code - 1) * self.layout.width
            for start, code in zip(starts, codes, strict=True)
            if code > 0
        ]
        return [0, *own]

    def gram(
        self,
        weights: NDArray[np.float64],
        target: NDArray[np.float64],
        room: NDArray[np.float64] | None = None,
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return the weighted Gram and moment, divided by the sum of the weights.

        The Gram is written into ``room``, where it is given: with many coefficients, two of them
        would weigh as much as the rows.

        Notes
        -----
        Products within a block of rows are summed in float32 by BLAS, blocks in float64.
        """
        from forecast_platform.forecasting.models import solver

        layout, total = self.layout, weights.sum()
        gram = np.empty((layout.size, layout.size)) if room is None else room
        gram[:] = 0.0
        weights, moment = weights / total, np.zeros(layout.size)
        width, first = layout.width, layout.size - layout.n_effects
        for start, stop, codes in self.cells:
            dense, dense_moment, crossed = self._cell(start, stop, weights, target)
            places = self.places(codes)
            for a in places:
                moment[a : a + width] += dense_moment
                gram[first:, a : a + width] += crossed
                for b in places:
                    gram[a : a + width, b : b + width] += dense
        of_effects = gram[first:, first:]
        solver.effect_gram(self.effects, weights, weights * target, of_effects, moment[first:])
        of_effects += np.tril(of_effects, -1).T
        gram[:first, first:] = gram[first:, :first].T
        return gram, moment

    def _cell(
        self, start: int, stop: int, weights: NDArray[np.float64], target: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
        """Return Gram and moment of the dense part of a cell, and its products with the effects."""
        from forecast_platform.forecasting.models import solver

        width, n_effects = self.layout.width, self.layout.n_effects
        gram, moment, crossed = (
            np.zeros(shape) for shape in ((width, width), width, (n_effects, width))
        )
        room = np.empty((ROWS_AT_ONCE, width), dtype=np.float32)
        for left in range(start, stop, ROWS_AT_ONCE):
            rows = slice(left, min(left + ROWS_AT_ONCE, stop))
            root = np.sqrt(weights[rows]).astype(np.float32)
            weighted = np.multiply(self.matrix[rows], root[:, None], out=room[: len(root)])
            gram += weighted.T @ weighted  # a symmetric product: half the work of another
            moment += weighted.T @ (root * target[rows].astype(np.float32))
            products = np.zeros((n_effects, width), dtype=np.float32)
            solver.add_effect_products(weighted, root, self.effects[rows], products)
            crossed += products
        return gram, moment, crossed

    def predict(self, coef: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the linear prediction of every row, in the design's order."""
        width, prediction = self.layout.width, np.empty(len(self.matrix))
        for start, stop, codes in self.cells:
            own = sum(coef[place : place + width] for place in self.places(codes))
            prediction[start:stop] = self.matrix[start:stop] @ np.asarray(own, dtype=np.float32)
        return effect_sum(self.effects, self.layout.split(coef)[2], prediction)


def effect_sum(
    effects: NDArray[np.integer], values: NDArray[np.float64], total: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Add each row's effects to its ``total``, in place; position -1 adds nothing."""
    from forecast_platform.forecasting.models import solver

    solver.add_effects(effects, values, total)
    return total
