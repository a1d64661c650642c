"""Slow, obviously right versions of features: one series at a time, one week after the other.

Only what is known at the cutoff is handed to each function. No vectorisation belongs here.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from forecast_platform.forecasting.features.history import History

UNITS = np.array([0.2, 1, 1])
"""Discount, feature and display that count as one in the regressions."""

KERNEL_UNITS = np.array([0.1, 0.5, 0.5])
"""Differences of discount, feature and display at which a week is half as similar."""

Series = Mapping[pd.Timestamp, float]
"""Demand by week of one series, without the weeks that have no row [units]."""


def demand_of(history: History, unique_id: str, cutoff: pd.Timestamp) -> dict[pd.Timestamp, float]:
    """Return what is known of a series at the cutoff, in the order of the weeks."""
    rows = history.demand[history.demand["unique_id"] == unique_id].sort_values("ds")
    return {row.ds: row.y for row in rows.itertuples() if row.ds <= cutoff}


def _weeks(first: pd.Timestamp, last: pd.Timestamp) -> list[pd.Timestamp]:
    return list(pd.date_range(first, last, freq="W-MON").as_unit("us"))


def _recent(demand: Series, cutoff: pd.Timestamp, weeks: int) -> list[float]:
    first = cutoff - pd.Timedelta(weeks=weeks - 1)
    return [math.log1p(y) for ds, y in demand.items() if ds >= first]


def ewma(values: Sequence[float]) -> float:
    """Average with weights that decay by exp(-1/13) per row."""
    weights = [math.exp(-(len(values) - 1 - i) / 13) for i in range(len(values))]
    return sum(w * v for w, v in zip(weights, values, strict=True)) / sum(weights)


def levels(demand: Series, cutoff: pd.Timestamp) -> dict[str, float]:
    """Return levels, lags and the shape of the last weeks."""
    logs = {ds: math.log1p(y) for ds, y in demand.items()}
    base = ewma(list(logs.values()))
    recent = _recent(demand, cutoff, 13)
    year = _recent(demand, cutoff, 52)
    positive = [ds for ds, y in demand.items() if y > 0]
    first = min(demand)
    columns = {
        "base_level": base,
        "mean_all": float(np.mean(list(logs.values()))) - base,
        "median_13": float(np.median(recent)) - base,
        "min_13": min(recent) - base,
        "max_13": max(recent) - base,
        "sd_13": float(np.std(recent)),
        "zero_share_13": sum(v == 0 for v in recent) / len(recent),
        "zero_share_52": sum(v == 0 for v in year) / len(year),
        "age": math.log1p((cutoff - first).days // 7 + 1),
    }
    since = (cutoff - max(positive)).days // 7 if positive else (cutoff - first).days // 7 + 1
    columns["weeks_since_positive"] = math.log1p(since)
    for weeks in (4, 8, 13, 26, 52):
        columns[f"mean_{weeks}"] = float(np.mean(_recent(demand, cutoff, weeks))) - base
    for lag in range(8):
        ds = cutoff - pd.Timedelta(weeks=lag)
        columns[f"lag_{lag}"] = logs[ds] - base if ds in logs else 0.0
    return columns


Plans = Mapping[tuple[str, pd.Timestamp, int], tuple[float, float, float]]
"""Price, feature and display by series, week at which they are known, and h."""


def plans_of(history: History) -> Plans:
    """Return all plans of a history."""
    return {
        (row.unique_id, row.week, row.h): (float(row.price), float(row.feature), float(row.display))
        for row in history.prices.itertuples()
    }


def plan_of(plans: Plans, unique_id: str, known: pd.Timestamp, h: int) -> tuple[float, ...]:
    """Return price, feature and display of one series as known at a week, h weeks ahead."""
    return plans.get((unique_id, known, h), (math.nan, 0.0, 0.0))


def regular_price(plans: Plans, unique_id: str, cutoff: pd.Timestamp) -> float:
    """Return the median of the observed prices of the last 26 weeks."""
    weeks = _weeks(cutoff - pd.Timedelta(weeks=25), cutoff)
    prices = [plan_of(plans, unique_id, week, 0)[0] for week in weeks]
    known = [price for price in prices if not math.isnan(price)]
    return float(np.median(known)) if known else math.nan


def discount(price: float, regular: float) -> float:
    """Return the cut below the regular price, as a fraction."""
    if math.isnan(price) or math.isnan(regular):
        return 0.0
    return min(max(1 - price / regular, -0.5), 0.9)


def state_at(
    plans: Plans, unique_id: str, cutoff: pd.Timestamp, ds: pd.Timestamp
) -> tuple[float, float, float]:
    """Return discount, feature and display of a past or a planned week, as known at the cutoff."""
    known = min(ds, cutoff)
    price, feature, display = plan_of(plans, unique_id, known, (ds - known).days // 7)
    return discount(price, regular_price(plans, unique_id, known)), feature, display


def is_promo(state: tuple[float, float, float]) -> bool:
    """Tell whether a week counts as a promotion."""
    return state[0] > 0.05 or state[1] > 0 or state[2] > 0


def plan(plans: Plans, unique_id: str, cutoff: pd.Timestamp, h: int) -> dict[str, float]:
    """Return the features of the planned week and of the weeks before it."""
    ds = cutoff + pd.Timedelta(weeks=h)
    before = [state_at(plans, unique_id, cutoff, ds - pd.Timedelta(weeks=k)) for k in range(30)]
    cut, feature, display = before[0]
    pause = next((k for k in range(1, 30) if is_promo(before[k])), 26)
    return {
        "discount": cut,
        "discount_squared": cut**2,
        "feature": feature,
        "display": display,
        "feature_discount": feature * cut,
        "discount_previous_1": before[1][0],
        "discount_previous_2": before[2][0],
        "discount_previous_3": before[3][0],
        "feature_previous_1": before[1][1],
        "display_previous_1": before[1][2],
        "weeks_since_promo": math.log1p(min(pause, 26)),
    }


def competition(
    plans: Plans, unique_id: str, rivals: Sequence[str], cutoff: pd.Timestamp, h: int
) -> dict[str, float]:
    """Return the promotions of the rivals: same store and category, other product."""
    ds = cutoff + pd.Timedelta(weeks=h)
    states = [state_at(plans, r, cutoff, ds) for r in rivals if r != unique_id]
    cuts = [state[0] for state in states] or [0.0]
    return {
        "competitor_discount_mean": sum(cuts) / len(cuts),
        "competitor_discount_max": max(cuts),
        "competitor_features": math.log1p(sum(state[1] for state in states)),
        "competitor_displays": math.log1p(sum(state[2] for state in states)),
    }


@dataclass(frozen=True)
class Learnt:
    """What the weeks up to a cutoff teach: by series (and week), or by product."""

    cutoff: pd.Timestamp
    product_of: dict[str, str]
    level: dict[str, dict[pd.Timestamp, float]]
    adjusted: dict[str, dict[pd.Timestamp, float]]
    surprise: dict[str, dict[pd.Timestamp, float]]
    own: dict[str, np.ndarray]
    product: dict[str, np.ndarray]

    def now(self, unique_id: str) -> float:
        """Return the clean level of a series at the cutoff."""
        return list(self.level[unique_id].values())[-1]


def learn(history: History, cutoff: pd.Timestamp) -> Learnt:
    """Learn clean levels and lifts of all series and products week by week, without events."""
    plans = plans_of(history)
    pairs = history.demand[["unique_id", "product_id"]].drop_duplicates()
    product_of = dict(zip(pairs["unique_id"], pairs["product_id"], strict=True))
    demands = {name: demand_of(history, name, cutoff) for name in product_of}
    grams = {name: np.zeros((3, 3)) for name in product_of}
    moments = {name: np.zeros(3) for name in product_of}
    own = {name: np.zeros(3) for name in product_of}
    level, adjusted, surprise = ({name: {} for name in product_of} for _ in range(3))
    product: dict[str, np.ndarray] = {}
    for week in _weeks(history.demand["ds"].min(), cutoff):
        for name, demand in demands.items():
            grams[name] *= math.exp(-1 / 104)
            moments[name] *= math.exp(-1 / 104)
            if week not in demand:
                continue
            state = np.array(state_at(plans, name, week, week)) / UNITS
            x = math.log1p(demand[week])
            if level[name]:
                before = list(level[name].values())[-1]
                surprise[name][week] = min(max(x - before, -3), 3)
                grams[name] += np.outer(state, state)
                moments[name] += state * surprise[name][week]
            adjusted[name][week] = x - float(own[name] @ state)
            level[name][week] = ewma(list(adjusted[name].values()))
        product = _product_lifts(grams, moments, product_of)
        for name in own:
            own[name] = _ridge(grams[name], moments[name], product[product_of[name]], 4.0)
    return Learnt(cutoff, product_of, level, adjusted, surprise, own, product)


def trend(learnt: Learnt, members: Sequence[str], weeks: int) -> float:
    """Return how far the members' last weeks lie from their clean levels, 2 zeros added."""
    first = learnt.cutoff - pd.Timedelta(weeks=weeks - 1)
    gaps = []
    for name in members:
        recent = [v for ds, v in learnt.adjusted[name].items() if ds >= first]
        if recent:
            gaps.append(float(np.mean(recent)) - learnt.now(name))
    return sum(gaps) / (len(gaps) + 2)


def growth_of_last_year(learnt: Learnt, unique_id: str, h: int) -> float:
    """Return the mean of the three weeks around ds - 52, minus the level at cutoff - 52."""
    then = learnt.cutoff - pd.Timedelta(weeks=52)
    around = [learnt.adjusted[unique_id].get(then + pd.Timedelta(weeks=h + k)) for k in (-1, 0, 1)]
    known = [value for value in around if value is not None]
    levels_then = [value for ds, value in learnt.level[unique_id].items() if ds <= then]
    return float(np.mean(known)) - levels_then[-1] if known and levels_then else math.nan


def promotion_history(learnt: Learnt, plans: Plans, unique_id: str) -> dict[str, float]:
    """Return the mean surprise of last year's promotions (one 0 added), and their recent share."""
    weeks = [learnt.cutoff - pd.Timedelta(weeks=k) for k in range(52)]
    surprise = learnt.surprise[unique_id]
    promoted = [w in surprise and is_promo(state_at(plans, unique_id, w, w)) for w in weeks]
    lifts = [surprise[w] for w, promo in zip(weeks, promoted, strict=True) if promo]
    recent = promoted[:26] if len(learnt.level[unique_id]) else []
    return {
        "promo_level": sum(lifts) / (len(lifts) + 1),
        "promo_share_26": sum(recent) / 26,
    }


def similar_weeks(learnt: Learnt, plans: Plans, unique_id: str, h: int) -> dict[str, float]:
    """Return the mean surprise of the year's weeks, weighted by age and likeness to the plan."""
    ds = learnt.cutoff + pd.Timedelta(weeks=h)
    wanted = np.array(state_at(plans, unique_id, learnt.cutoff, ds)) / KERNEL_UNITS
    prior = float(learnt.own[unique_id] @ (wanted * KERNEL_UNITS / UNITS))
    sums = {"narrow": [0.0, 0.0], "broad": [0.0, 0.0]}
    for week, surprise in learnt.surprise[unique_id].items():
        age = (learnt.cutoff - week).days // 7
        if age < 52:
            state = np.array(state_at(plans, unique_id, week, week)) / KERNEL_UNITS
            distance = float(((state - wanted) ** 2).sum())
            likeness = {"narrow": 1 / (1 + 4 * distance) ** 2, "broad": 1 / (1 + distance)}
            for name, alike in likeness.items():
                sums[name][0] += math.exp(-age / 26) * alike * surprise
                sums[name][1] += math.exp(-age / 26) * alike
    means = {f"kernel_{n}": (a + 0.5 * prior) / (b + 0.5) for n, (a, b) in sums.items()}
    return means | {"kernel_weight": math.log1p(sums["narrow"][1])}


def relative_prices(
    plans: Plans, unique_id: str, rivals: Sequence[str], cutoff: pd.Timestamp, h: int
) -> dict[str, float]:
    """Return the planned price beside the rivals'; every series has a price or a regular one."""

    def log_price(name: str) -> float:
        price = plan_of(plans, name, cutoff, h)[0]
        return math.log(regular_price(plans, name, cutoff) if math.isnan(price) else price)

    own, others = log_price(unique_id), [log_price(r) for r in rivals if r != unique_id]
    if not others:
        return {"relative_price": 0.0, "relative_price_lowest": 0.0, "price_rank": 0.0}
    return {
        "relative_price": own - sum(others) / len(others),
        "relative_price_lowest": own - min(others),
        "price_rank": sum(other < own for other in others) / len(others),
    }


def like_prices(
    learnt: Learnt, history: History, plans: Plans, unique_id: str, h: int
) -> dict[str, float]:
    """Return the mean demand of past weeks, weighted by age and likeness of price and plan."""
    cutoff = learnt.cutoff
    usual = regular_price(plans, unique_id, cutoff)

    def point(known: pd.Timestamp, ahead: int) -> np.ndarray:
        price, feature, display = plan_of(plans, unique_id, known, ahead)
        log_price = math.log(usual if math.isnan(price) else price)
        return np.array([log_price / 0.1, feature / 0.5, display / 0.5])

    demand = demand_of(history, unique_id, cutoff)
    base, wanted = ewma([math.log1p(y) for y in demand.values()]), point(cutoff, h)
    state = np.array(state_at(plans, unique_id, cutoff, cutoff + pd.Timedelta(weeks=h))) / UNITS
    prior = learnt.now(unique_id) - base + float(learnt.own[unique_id] @ state)
    sums = {name: [0.5 * prior, 0.5] for name in ("sharp", "narrow", "broad")}
    for week, y in demand.items():
        age = (cutoff - week).days // 7
        if age < 78:
            distance = float(((point(week, 0) - wanted) ** 2).sum())
            alike = {
                "sharp": 1 / (1 + 16 * distance) ** 2,
                "narrow": 1 / (1 + 4 * distance) ** 2,
                "broad": 1 / (1 + distance),
            }
            for name, likeness in alike.items():
                sums[name][0] += math.exp(-age / 40) * likeness * (math.log1p(y) - base)
                sums[name][1] += math.exp(-age / 40) * likeness
    return {f"like_price_{name}": total / weight for name, (total, weight) in sums.items()}


def chain(learnt: Learnt, plans: Plans, members: Sequence[str], h: int) -> dict[str, float]:
    """Return the mean plan of a product over its series, and what it sold in weeks like it."""
    cutoff = learnt.cutoff
    ds = cutoff + pd.Timedelta(weeks=h)
    states = {name: np.array(state_at(plans, name, cutoff, ds)) for name in members}
    wanted = np.mean(list(states.values()), axis=0)
    prior = float(np.mean([learnt.own[name] @ (states[name] / UNITS) for name in members]))
    sums = {"narrow": [0.5 * prior, 0.5], "broad": [0.5 * prior, 0.5]}
    for age in range(52):
        week = cutoff - pd.Timedelta(weeks=age)
        sold = [name for name in members if week in learnt.surprise[name]]
        if not sold:
            continue
        state = np.mean([state_at(plans, name, week, week) for name in sold], axis=0)
        surprise = float(np.mean([learnt.surprise[name][week] for name in sold]))
        distance = float((((state - wanted) / KERNEL_UNITS) ** 2).sum())
        likeness = {"narrow": 1 / (1 + 4 * distance) ** 2, "broad": 1 / (1 + distance)}
        for name, alike in likeness.items():
            sums[name][0] += math.exp(-age / 26) * alike * surprise
            sums[name][1] += math.exp(-age / 26) * alike
    means = {f"kernel_chain_{name}": total / weight for name, (total, weight) in sums.items()}
    names = ("chain_discount", "chain_feature", "chain_display")
    return means | dict(zip(names, wanted.tolist(), strict=True))


def _product_lifts(
    grams: Mapping[str, np.ndarray],
    moments: Mapping[str, np.ndarray],
    product_of: Mapping[str, str],
) -> dict[str, np.ndarray]:
    region = _ridge(sum(grams.values()), sum(moments.values()), np.zeros(3), 1.0)
    result = {}
    for product in set(product_of.values()):
        names = [name for name in product_of if product_of[name] == product]
        gram, moment = sum(grams[n] for n in names), sum(moments[n] for n in names)
        result[product] = _ridge(gram, moment, region, 4.0)
    return result


def _ridge(gram: np.ndarray, moment: np.ndarray, prior: np.ndarray, penalty: float) -> np.ndarray:
    return np.linalg.solve(gram + penalty * np.eye(3), moment + penalty * prior)


def velocities(history: History, cutoff: pd.Timestamp) -> dict[tuple[str, str], str]:
    """Return the velocity by format and product: the upper half by mean weekly volume is fast."""
    snapshot = history.stores[history.stores["week"] == cutoff]
    format_of = dict(zip(snapshot["store_id"], snapshot["format"], strict=True))
    volumes: dict[tuple[str, str], list[float]] = {}
    for row in history.demand.itertuples():
        if 0 <= (cutoff - row.ds).days < 13 * 7:
            volumes.setdefault((format_of[row.store_id], row.product_id), []).append(row.y)
    result = {}
    for name in set(format_of.values()):
        ranked = sorted((float(np.mean(v)), p) for (f, p), v in volumes.items() if f == name)
        for rank, (_, product) in enumerate(ranked):
            result[name, product] = "fast" if rank >= len(ranked) // 2 else "slow"
    return result
