"""One region of the retailer: its world, and what it delivers in a week.

Puts the parts together and shapes them as the contract's columns; writes nothing.
"""

from collections.abc import Iterator
from datetime import date, timedelta

import numpy as np
import pandas as pd
import pyarrow as pa

from forecast_platform.simulation import events
from forecast_platform.simulation.catalog import make_products, make_stores
from forecast_platform.simulation.config import RetailerConfig
from forecast_platform.simulation.demand import Demand, SoldWeek
from forecast_platform.simulation.promotions import PromotionPlan
from forecast_platform.simulation.streams import monday_of, stream, week_number
from forecast_platform.simulation.weather import forecast, make_weather, snow_of

SOURCES = (
    "shipments",
    "returns",
    "weather",
    "shoppers",
    "stores",
    "products",
    "events",
    "promotions",
)

_NO_PRICE = 0.005  # share of planned rows whose price nobody typed in


class RegionWorld:
    """Everything about one region up to week ``last``.

    Parameters
    ----------
    config
        The retailer.
    region
        Which of its regions.
    last
        Last week number that will be delivered.
    """

    def __init__(self, config: RetailerConfig, region: str, last: int) -> None:
        self.config, self.region = config, region
        self.products = make_products(config)
        self.stores = make_stores(config, region)
        ahead = last + config.horizon
        n_zips = len(self.stores.zips)
        self.weather = make_weather(config, region, n_zips, ahead)
        self.plan = PromotionPlan(config, region, self.stores, self.products, ahead)
        self.demand = Demand(
            config,
            region,
            stores=self.stores,
            products=self.products,
            weather=self.weather,
            plan=self.plan,
            last=last,
        )

    def deliver(self, week: int) -> tuple[dict[str, pa.Table], pa.Table]:
        """Files of one week by source, and the truth about it."""
        sold = self.demand.week(week)
        tables = {
            "shipments": self._units("units_shipped", sold.shipped, week),
            "returns": self._units("units_returned", sold.returned, week),
            "weather": self._weather(week),
            "promotions": self._promotions(week),
        }
        for source, frame in self._master_files(week):
            tables[source] = pa.Table.from_pandas(frame, preserve_index=False)
        return tables, self._truth(week, sold)

    def _keys(self, store: np.ndarray, product: np.ndarray) -> dict[str, pa.Array]:
        return {
            "store_id": _take(self.stores.ids, store),
            "product_id": _take(self.products.ids, product),
        }

    def _units(self, column: str, units: np.ndarray, week: int) -> pa.Table:
        """Rows with units only: what did not move is not delivered."""
        store, product = np.nonzero(units)
        columns = self._keys(store, product)
        columns["week"] = _repeat(monday_of(week), len(store))
        return pa.table({**columns, column: units[store, product].astype(np.int64)})

    def _promotions(self, week: int) -> pa.Table:
        """Plan of the week that is a horizon ahead; in the first week also all before it."""
        is_first = week == self.config.first_week_number
        ahead = range(0 if is_first else self.config.horizon, self.config.horizon + 1)
        return pa.concat_tables([self._plan_of(week + h) for h in ahead])

    def _plan_of(self, week: int) -> pa.Table:
        planned = self.plan.week(week)
        store, product = np.nonzero(self.demand.active(week))
        columns = self._keys(store, product)
        columns["week"] = _repeat(monday_of(week), len(store))
        rng = stream(self.config.seed, self.region, "typing", week)
        no_price = rng.random(planned.price.shape)[store, product] < _NO_PRICE
        columns["price"] = pa.array(planned.price[store, product], mask=no_price)
        columns["feature"] = pa.array(planned.feature[store, product])
        return pa.table({**columns, "display": pa.array(planned.display[store, product])})

    def _weather(self, week: int) -> pa.Table:
        days = self.weather.days(week)
        observed = self.weather.temperature[days], self.weather.precipitation[days]
        rng = stream(self.config.seed, self.region, "weather forecast", week)
        ahead = forecast(self.weather, rng, week, 7 * self.config.horizon)
        monday = monday_of(week)
        return pa.concat_tables(
            [
                self._weather_rows("observed", monday, None, *observed),
                self._weather_rows(
                    "forecast", monday + timedelta(7), monday + timedelta(6), *ahead
                ),
            ]
        )

    def _weather_rows(
        self,
        kind: str,
        start: date,
        issued_on: date | None,
        temperature: np.ndarray,
        precipitation: np.ndarray,
    ) -> pa.Table:
        """Rows by zip and day; an observation is issued on its own day."""
        n_days, n_zips = temperature.shape
        zips, days = np.repeat(np.arange(n_zips), n_days), np.tile(np.arange(n_days), n_zips)
        first = np.datetime64(start, "D")
        issued = first + days if issued_on is None else np.full(len(days), issued_on, "M8[D]")
        snow = snow_of(temperature, precipitation)
        return pa.table(
            {
                "zip": _take(self.stores.zips, zips),
                "day": pa.array(first + days),
                "kind": _repeat(kind, len(days)),
                "issued_on": pa.array(issued),
                "temperature_c": pa.array(np.round(temperature.T.ravel(), 1)),
                "precipitation_mm": pa.array(precipitation.T.ravel()),
                "snow_cm": pa.array(snow.T.ravel()),
            }
        )

    def _master_files(self, week: int) -> Iterator[tuple[str, pd.DataFrame]]:
        """Snapshots, only of what changed; in the first week all of them."""
        is_first = week == self.config.first_week_number
        if is_first or self.stores.life.changes(week):
            yield "stores", self.stores.snapshot(week)
        if is_first or self.products.life.changes(week):
            yield "products", self.products.snapshot(week)
        told = self._new_shoppers(week)
        if told.any():
            yield "shoppers", self.stores.shoppers(week, told, monday_of(week))
        told_events = events.events_file(self.config, self.region, self.stores, week)
        if told_events is not None:
            yield "events", told_events

    def _new_shoppers(self, week: int) -> np.ndarray:
        """Tell whose demographics are delivered: all in a year's first week, else new stores."""
        is_first = week == self.config.first_week_number
        if is_first or week == week_number(date(monday_of(week).year, 1, 7)):
            return self.stores.life.known(week)
        return self.stores.life.known(week) & ~self.stores.life.known(week - 1)

    def _truth(self, week: int, sold: SoldWeek) -> pa.Table:
        store, product = np.nonzero(sold.active)
        mean, chance = sold.selling_mean[store, product], sold.p_selling[store, product]
        net = np.maximum(sold.shipped - sold.returned, 0)[store, product]
        return pa.table(
            {
                "region": _repeat(self.region, len(store)),
                **self._keys(store, product),
                "ds": _repeat(monday_of(week), len(store)),
                "expected": mean * chance,
                "selling_mean": mean,
                "p_selling": chance,
                "dispersion": self.demand.dispersion[product],
                "y": net.astype(np.float64),
            }
        )


def _take(values: np.ndarray, index: np.ndarray) -> pa.Array:
    return pa.array(values.tolist(), pa.string()).take(pa.array(index))


def _repeat(value: str | date, count: int) -> pa.Array:
    return pa.repeat(pa.scalar(value), count)
