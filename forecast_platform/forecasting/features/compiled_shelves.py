"""Compiled loops over shelves: what a store's other products of a category cost and promote.

Only numba functions of arrays belong here; what the columns mean is said in `prices`.
"""

from typing import Any, NamedTuple

import numpy as np

from forecast_platform.forecasting.features.compiled import compiled

FEW = 64
"""Products of a shelf up to which counting the cheaper ones is faster than putting all in order."""


class Shelves(NamedTuple):
    """Series in order of their shelf, a store's category; shelf ``i`` is ``starts[i] : ...``."""

    series: Any
    starts: Any


@compiled
def _rivals(plan, row, log_price, alive, shelves, out):  # pragma: no cover
    """Write promotions and prices of the rivals in one week."""
    prices = np.empty(len(log_price))
    for shelf in range(len(shelves.starts) - 1):
        first, stop = shelves.starts[shelf], shelves.starts[shelf + 1]
        n, discount, feature, display, price = 0, 0.0, 0.0, 0.0, 0.0
        most, second, holder = -np.inf, -np.inf, -1
        for place in range(first, stop):
            s = shelves.series[place]
            if alive[s]:
                discount += plan[1, row, s]
                feature += plan[2, row, s]
                display += plan[3, row, s]
                price += log_price[s]
                prices[n] = log_price[s]
                n += 1
                if plan[1, row, s] > most:
                    most, second, holder = plan[1, row, s], most, s
                elif plan[1, row, s] > second:
                    second = plan[1, row, s]
        lowest, next_lowest = _lowest(prices, n)
        for place in range(first, stop):
            s = shelves.series[place]
            if not alive[s]:
                out[:7, s] = 0
                continue
            others, own = max(n - 1, 1), log_price[s]
            largest = second if s == holder else most
            out[0, s] = (discount - plan[1, row, s]) / others
            out[1, s] = largest if n > 1 else 0
            out[2, s] = np.log1p(max(feature - plan[2, row, s], 0.0))
            out[3, s] = np.log1p(max(display - plan[3, row, s], 0.0))
            rival = next_lowest if own == lowest and n > 1 else lowest
            out[4, s] = own - (price - own) / others if n > 1 else 0
            out[5, s] = own - rival if n > 1 else 0
            out[6, s] = _n_cheaper(prices, n, own) / others if n > 1 else 0


@compiled
def _lowest(prices, n):  # pragma: no cover
    """Return the two lowest of ``n`` prices, in order; of many, all are put in order."""
    if n > FEW:
        prices[:n].sort()
        return prices[0], prices[1]
    lowest, after = np.inf, np.inf
    for one in range(n):
        after = min(after, max(prices[one], lowest))
        lowest = min(lowest, prices[one])
    return lowest, after


@compiled
def _n_cheaper(prices, n, own):  # pragma: no cover
    """Return how many of ``n`` prices, in order if they are many, are lower."""
    if n > FEW:
        return np.searchsorted(prices[:n], own)
    cheaper = 0
    for one in range(n):
        cheaper += prices[one] < own
    return cheaper


@compiled
def rivals(plan, past, alive, shelves, columns, at):  # pragma: no cover
    """Write promotions and prices of the other products of the category in the same store."""
    for h in range(len(columns)):
        row, out = past + 1 + h, columns[h, at:]
        _rivals(plan.rows, row, plan.log_price[h], alive[h], shelves, out)
