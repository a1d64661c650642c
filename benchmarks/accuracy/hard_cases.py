"""Series that break forecasters, planted in one region: python -m benchmarks.accuracy.hard_cases.

What is planted and how it is measured belongs here; each case has a test of its own beside.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from benchmarks.accuracy.datasets import known_ahead, no_events, no_weather
from forecast_platform.forecasting.evaluation.metrics import coverage, wape
from forecast_platform.forecasting.features.assemble import build_features
from forecast_platform.forecasting.features.history import History
from forecast_platform.forecasting.features.training import training_frame
from forecast_platform.forecasting.training import RegionModels, TrainingConfig, train_region
from forecast_platform.vocabulary import (
    DS,
    ENSEMBLE,
    FORMAT,
    HISTORICAL_AVERAGE,
    SEGMENT,
    SHOPPER_COLUMNS,
    UNIQUE_ID,
    WEEK,
    Y,
)

N_STORES, N_PRODUCTS, N_WEEKS, HORIZON = 9, 8, 72, 4
WEEKS = pd.date_range("2023-01-02", periods=N_WEEKS, freq="W-MON").as_unit("us")
CUTOFF = WEEKS[-1 - HORIZON]
LONG_AGO = pd.Timestamp("2015-01-05").as_unit("us")

CASES = {
    "ordinary": "no case: every other series",
    "intermittent": "four weeks of five without demand",
    "new product": "launched three weeks before the cutoff, like its category",
    "new store": "opened two weeks before the cutoff, like other stores of its shoppers",
    "level shift": "three times the level since eight weeks",
    "gap": "six weeks of the last ten are missing",
    "outlier": "one week of a hundred times the usual, ten weeks before the cutoff",
    "constant zero": "nothing was ever demanded",
    "segment of three series": "the only series of their format and velocity",
}


@dataclass(frozen=True)
class Tried:
    """What was planted, trained and forecast.

    Parameters
    ----------
    rows : pandas.DataFrame
        A row per forecast: keys, ``case``, ``y``, the ensemble, its 10 and 90 % quantiles
        (``low``, ``high``) and the historical average [units].
    models : RegionModels
    gone : set of str
        Series of the closed store and the delisted product, which get no forecast.
    usual : pandas.Series
        Median demand by series before the cutoff [units].
    """

    rows: pd.DataFrame
    models: RegionModels
    gone: set[str]
    usual: pd.Series


def planted(seed: int = 0) -> tuple[History, dict[str, str], set[str]]:
    """Make the region, with the case of each series and the series that are gone."""
    rng = np.random.default_rng(seed)
    stores, products = _stores(rng), _products()
    keys = stores[["store_id", "format", "size"]].merge(
        products[["product_id", "level"]], how="cross"
    )
    keys[UNIQUE_ID] = keys["store_id"] + "/" + keys["product_id"]
    discount = np.where(rng.random((N_WEEKS, len(keys))) < 0.15, 0.25, 0.0)
    season = 1 + 0.3 * np.sin(2 * np.pi * np.arange(N_WEEKS) / 52)
    mean = (keys["level"] * keys["size"]).to_numpy() * season[:, None] * np.exp(3 * discount)
    cases = dict(zip(keys[UNIQUE_ID], keys[FORMAT].map(_of_format), strict=True))
    mean = _bent(mean, keys, cases)
    y = rng.poisson(mean * rng.lognormal(0, 0.15, mean.shape)).astype(float)
    y[N_WEEKS - HORIZON - 10, _position(keys, "s4/p0")] *= 100
    cases["s4/p0"] = "outlier"
    rows = keys.loc[np.tile(keys.index, N_WEEKS), [UNIQUE_ID, "store_id", "product_id"]].assign(
        ds=np.repeat(WEEKS, len(keys)),
        y=y.ravel(),
        price=(4 * (1 - discount)).ravel(),
        feature=(discount > 0).ravel().astype(float),
        display=0.0,
        region="planted",
    )
    rows = rows[_is_there(rows, cases)].reset_index(drop=True)
    gone = {name for name in cases if name.startswith("s8/") or name.endswith("/p7")}
    first = WEEKS[0]
    history = History(
        demand=rows[["region", DS, UNIQUE_ID, "store_id", "product_id", Y]],
        stores=stores.drop(columns="size").assign(week=first),
        products=products.drop(columns="level").assign(week=first),
        weather=no_weather(),
        events=no_events(),
        prices=known_ahead(rows, HORIZON),
    )
    return history, cases, gone


def _stores(rng: np.random.Generator) -> pd.DataFrame:
    """Make seven large stores, a small one, and a large one that closes at the cutoff."""
    size = np.linspace(0.7, 1.5, N_STORES)
    stores = pd.DataFrame(
        {"store_id": [f"s{n}" for n in range(N_STORES)], "zip": "1", "size": size}
    )
    stores["format"] = np.where(stores["store_id"] == "s7", "small", "large")
    for name in SHOPPER_COLUMNS:
        stores[name] = size + rng.normal(0, 0.05, N_STORES)
    opened = [WEEKS[-HORIZON - 2] if name == "s6" else LONG_AGO for name in stores["store_id"]]
    closed = [CUTOFF if name == "s8" else pd.NaT for name in stores["store_id"]]
    return stores.assign(
        opened_on=pd.Series(opened, dtype="datetime64[us]"),
        closed_on=pd.Series(closed, dtype="datetime64[us]"),
    )


def _products() -> pd.DataFrame:
    """Make two categories of alike products; the last one is delisted at the cutoff."""
    names = [f"p{n}" for n in range(N_PRODUCTS)]
    launched = [WEEKS[-HORIZON - 3] if name == "p3" else LONG_AGO for name in names]
    delisted = [CUTOFF if name == "p7" else pd.NaT for name in names]
    return pd.DataFrame(
        {
            "product_id": names,
            "category": ["bread"] * 4 + ["cake"] * 4,
            "brand": ["a", "b"] * 4,
            "package_size": 1.0,
            "launched_on": pd.Series(launched, dtype="datetime64[us]"),
            "delisted_on": pd.Series(delisted, dtype="datetime64[us]"),
            "level": [40.0, 44.0, 36.0, 40.0, 6.0, 8.0, 5.0, 6.0],
        }
    )


def _of_format(store_format: str) -> str:
    return "ordinary" if store_format == "large" else "segment of three series"


def _position(keys: pd.DataFrame, name: str) -> int:
    return int(np.flatnonzero(keys[UNIQUE_ID] == name)[0])


def _bent(mean: np.ndarray, keys: pd.DataFrame, cases: dict[str, str]) -> np.ndarray:
    """Bend the mean of single series, and name what the stores and products are."""
    rng, mean = np.random.default_rng(1), mean.copy()
    for name in cases:
        if name.endswith("/p3"):
            cases[name] = "new product"
        if name.startswith("s6/"):
            cases[name] = "new store"
    for name in ("s0/p4", "s1/p4", "s2/p4"):
        mean[:, _position(keys, name)] *= rng.random(N_WEEKS) < 0.2
        cases[name] = "intermittent"
    mean[:, _position(keys, "s3/p5")] = 0.0
    cases["s3/p5"] = "constant zero"
    for name in ("s1/p1", "s2/p2"):
        mean[N_WEEKS - HORIZON - 8 :, _position(keys, name)] *= 3
        cases[name] = "level shift"
    for name in ("s0/p0", "s5/p1"):
        cases[name] = "gap"
    return mean


def _is_there(rows: pd.DataFrame, cases: dict[str, str]) -> pd.Series:
    """Leave out weeks before a launch or an opening, after an end, and of the gap."""
    case, ds = rows[UNIQUE_ID].map(cases), rows[DS]
    missing = (case == "gap") & (ds > CUTOFF - pd.Timedelta(weeks=10))
    missing &= ds <= CUTOFF - pd.Timedelta(weeks=4)
    missing |= (rows["product_id"] == "p3") & (ds < WEEKS[-HORIZON - 3])
    missing |= (rows["store_id"] == "s6") & (ds < WEEKS[-HORIZON - 2])
    missing |= (rows["store_id"].eq("s8") | rows["product_id"].eq("p7")) & (ds > CUTOFF)
    return ~missing


def tried(seed: int = 0) -> Tried:
    """Train the region at the cutoff and forecast the weeks after it."""
    history, cases, gone = planted(seed)
    weeks = [week for week in WEEKS if week <= CUTOFF]
    features = build_features(history, weeks, HORIZON)
    demand = history.demand.merge(history.stores[["store_id", FORMAT]], on="store_id")
    train = training_frame(features, demand, CUTOFF, weeks=N_WEEKS)
    past = demand[demand[DS] <= CUTOFF]
    models = train_region(train, past, cutoff=CUTOFF, config=TrainingConfig())
    tables = []
    for (segment, store_format), part in features[features[WEEK] == CUTOFF].groupby(
        [SEGMENT, FORMAT], observed=True
    ):
        model = models.ensembles[str(segment)]
        low, _, high = model.predict_quantiles(part).T
        average = models.baselines[str(store_format)].predict(part)
        made = {ENSEMBLE: model.predict(part), "low": low, "high": high}
        tables.append(part[[UNIQUE_ID, DS, "h"]].assign(**made, **{HISTORICAL_AVERAGE: average}))
    rows = pd.concat(tables).assign(case=lambda df: df[UNIQUE_ID].astype("str").map(cases))
    rows = rows.merge(demand[[UNIQUE_ID, DS, Y]], on=[UNIQUE_ID, DS], how="left")
    return Tried(rows, models, gone, past.groupby(UNIQUE_ID)[Y].median())


def table(rows: pd.DataFrame) -> pd.DataFrame:
    """Measure each case: WAPE of ensemble and average, coverage, mean forecast and demand."""
    known = rows.dropna(subset=[Y])
    measured = [
        {
            "case": case,
            "what": told,
            "rows": len(own),
            "WAPE ensemble": wape(own[Y], own[ENSEMBLE]),
            "WAPE average": wape(own[Y], own[HISTORICAL_AVERAGE]),
            "80 % range covers": coverage(own[Y], own["low"], own["high"]),
            "mean forecast": own[ENSEMBLE].mean(),
            "mean demand": own[Y].mean(),
        }
        for case, told in CASES.items()
        for own in [known[known["case"] == case]]
    ]
    return pd.DataFrame(measured).round(3)


def section() -> str:
    """Train the planted region and return what the report says about it."""
    done = tried()
    asked = set(done.rows[UNIQUE_ID].astype("str"))
    return (
        f"## Hard cases\n\n{table(done.rows).to_markdown(index=False)}\n\n"
        f"Forecasts of the closed store and the delisted product: {len(done.gone & asked)}."
    )


if __name__ == "__main__":
    print(section())
