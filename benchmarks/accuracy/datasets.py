"""The data of the benchmark: each set as the core's `History`, with its folds.

Reading files and laying folds belong here; no model does. A set says what is known ahead of a week
(prices, promotions, events, weather): every model gets the same.
"""

import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml

from forecast_platform.forecasting.features.history import History
from forecast_platform.vocabulary import FORMATS, SHOPPER_COLUMNS

WEEK = pd.Timedelta(weeks=1)


@dataclass(frozen=True)
class Dataset:
    """One data set with the folds on which every model is tried.

    Parameters
    ----------
    name : str
        Of the set, or of one region of it.
    history : History
        Everything, later weeks included: features of a cutoff read only what it knows.
    cutoffs : tuple of pandas.Timestamp
        Last known week of each fold.
    horizons : tuple of int
        Weeks after a cutoff that are forecast [weeks].
    truth : pandas.DataFrame or None, default=None
        ``unique_id, ds`` and ``oracle_mape``, ``oracle_mean``: forecasts of who knows the
        distribution that demand was drawn from [units].
    extra : pandas.DataFrame or None, default=None
        ``unique_id, ds`` and further numeric columns known ahead or fixed, given to every model.
    about : str, default=""
        What the set is, for the report.
    published : dict of str to str, default={}
        Figures that others have published on exactly these folds, for the report.
    """

    name: str
    history: History
    cutoffs: tuple[pd.Timestamp, ...]
    horizons: tuple[int, ...]
    truth: pd.DataFrame | None = None
    about: str = ""
    extra: pd.DataFrame | None = None
    published: dict[str, str] = field(default_factory=dict)


# --- Dominick's orange juice -----------------------------------------------------------------

FIRST_MONDAY = pd.Timestamp("1989-09-11").as_unit("us")
"""Monday of the data set's week 1, which opens on a Thursday."""

ROUNDS = tuple(range(135, 154, 2))
"""Last known week of rounds 1 to 10 of Microsoft's `forecasting` repository."""

DEVELOPMENT_ROUNDS = tuple(range(115, 132, 2))
"""Cutoffs whose target weeks lie before the first test round's cutoff: choices are made here."""

LAST_FORMAT_WEEK = 100
"""Stores are large or small by their volume up to this week, before every cutoff in use."""

_DEMOGRAPHICS = (
    "AGE60",
    "EDUC",
    "ETHNIC",
    "INCOME",
    "HHLARGE",
    "WORKWOM",
    "HVAL150",
    "SSTRDIST",
    "SSTRVOL",
    "CPDIST5",
    "CPWVOL5",
)


def orange_juice(folder: Path, rounds: Sequence[int] = ROUNDS) -> Dataset:
    """Read Dominick's orange juice as published, in rounds with the given last known weeks.

    Notes
    -----
    Units are ``round(exp(logmove))``. A store-week that is not in the file is a gap, not a zero.
    Known ahead are price, deal and feature of all brands, as in the published rounds.
    """
    sales = pd.read_csv(folder / "yx.csv.gz")
    demographics = pd.read_csv(folder / "storedemo.csv")
    prices = sales[[f"price{brand}" for brand in range(1, 12)]].to_numpy()
    rows = pd.DataFrame(
        {
            "region": "chicago",
            "store_id": sales["store"].astype("str"),
            "product_id": sales["brand"].astype("str"),
            "unique_id": sales["store"].astype("str") + "/" + sales["brand"].astype("str"),
            "ds": FIRST_MONDAY + pd.to_timedelta(7 * (sales["week"] - 1), unit="D"),
            "y": np.round(np.exp(sales["logmove"])),
            "price": prices[np.arange(len(sales)), sales["brand"] - 1] * 64,
            "feature": sales["feat"].astype("float64"),
            "display": sales["deal"].astype("float64"),
        }
    )
    rows["ds"] = rows["ds"].astype("datetime64[us]")
    early = sales["week"] <= LAST_FORMAT_WEEK
    volume = rows["y"][early].groupby(rows["store_id"][early]).sum()
    first = rows["ds"].min()
    stores = pd.DataFrame(
        {
            "week": first,
            "store_id": demographics["STORE"].astype("str"),
            "zip": "60601",
            "opened_on": first,
            "closed_on": pd.NaT,
        }
    )
    large = stores["store_id"].map(volume > volume.median())
    stores["format"] = np.where(large.fillna(value=False), "large", "small")
    for name, column in zip(SHOPPER_COLUMNS, _DEMOGRAPHICS, strict=True):
        stores[name] = np.exp(demographics[column]) if column == "INCOME" else demographics[column]
    brands = sorted(rows["product_id"].unique(), key=int)
    products = pd.DataFrame(
        {
            "week": first,
            "product_id": brands,
            "category": "orange_juice",
            "brand": [f"brand_{brand}" for brand in brands],
            "package_size": 64.0,
            "launched_on": first,
            "delisted_on": pd.NaT,
        }
    )
    horizons = (2, 3)
    return Dataset(
        name="orange_juice",
        history=History(
            demand=rows[["region", "ds", "unique_id", "store_id", "product_id", "y"]],
            stores=stores,
            products=products,
            weather=no_weather(),
            events=no_events(),
            prices=known_ahead(rows, max(horizons)),
        ),
        cutoffs=tuple(FIRST_MONDAY + (week - 1) * WEEK for week in rounds),
        horizons=horizons,
        about=(
            "Dominick's orange juice: 83 stores x 11 brands. Each round knows all weeks up to its "
            "cutoff, skips one and forecasts the two after it; prices, deals and features of the "
            "target weeks are known."
        ),
        published={
            "lightgbm (Microsoft)": "35.97",
            "dilated_cnn (Microsoft)": "37.66",
            "auto_arima (Microsoft, 20 stores)": "68.30",
        },
    )


# --- parts that all sets share ---------------------------------------------------------------


def known_ahead(rows: pd.DataFrame, horizon: int) -> pd.DataFrame:
    """Return the plan of every row's week as known then (h = 0) and up to ``horizon`` before."""
    columns = ["unique_id", "ds", "price", "feature", "display"]
    plans = [
        rows[columns].assign(h=h, week=rows["ds"] - pd.Timedelta(weeks=h))
        for h in range(horizon + 1)
    ]
    return pd.concat(plans, ignore_index=True)


def no_weather() -> pd.DataFrame:
    """Return the weather of a set that has none."""
    columns = ("temperature_c", "precipitation_mm", "snow_cm")
    return pd.DataFrame(
        {
            "week": pd.Series(dtype="datetime64[us]"),
            "zip": pd.Series(dtype="str"),
            "h": pd.Series(dtype="int64"),
            **{name: pd.Series(dtype="float64") for name in columns},
        }
    )


def no_events() -> pd.DataFrame:
    """Return the events of a set that has none."""
    return pd.DataFrame(
        {
            "week": pd.Series(dtype="datetime64[us]"),
            "store_id": pd.Series(dtype="str"),
            "h": pd.Series(dtype="int64"),
            "event": pd.Series(dtype="str"),
            "n_event_days": pd.Series(dtype="int64"),
            "is_holiday": pd.Series(dtype="bool"),
        }
    )


# --- the simulated retailer ------------------------------------------------------------------


def simulated(home: Path, *, n_regions: int, n_weeks: int = 104, n_folds: int = 3) -> list[Dataset]:
    """Simulate a retailer in ``home``, take its files to marts as the platform does, and read them.

    One data set per region. Fold ``k`` before the last ends four weeks earlier, so no two folds
    forecast the same week.
    """
    from forecast_platform.resources.demand import read_demand
    from forecast_platform.resources.lake import Lake
    from forecast_platform.simulation import RetailerConfig, default_regions, simulate

    config = RetailerConfig(regions=default_regions(n_regions), n_weeks=n_weeks)
    simulate(config, home / "landing", truth=home / "truth")
    _take_in(home, config.regions, config.first_week, config.last_week)
    lake, last = Lake(uri=str(home / "lake")), pd.Timestamp(config.last_week).as_unit("us")
    horizons = tuple(range(1, config.horizon + 1))
    cutoffs = [last - k * config.horizon * WEEK for k in range(n_folds, 0, -1)]
    sets = []
    for region in config.regions:
        history = History(
            demand=read_demand(lake, region, last),
            stores=lake.read("dim_stores", region=region),
            products=lake.read("dim_products", region=region),
            weather=lake.read("fct_weekly_weather", region=region),
            events=lake.read("fct_weekly_events", region=region),
            prices=lake.read("fct_weekly_prices", region=region),
        )
        truth = _oracle(home / "truth", region, cutoffs[0])
        about = (
            "A simulated retailer of the platform's own, whose true distribution is known: the "
            "oracle is the error of who knows it."
        )
        sets.append(Dataset(region, history, tuple(cutoffs), horizons, truth, about))
    return sets


def _take_in(home: Path, regions: Sequence[str], first: date, last: date) -> None:
    """Run the platform's own way from files to marts."""
    script = str(Path(sys.executable).with_name("forecast-platform"))
    environment = {
        **os.environ,  # noqa: TID251 (a process of its own home)
        "FORECAST_PLATFORM_HOME": str(home),
        "FORECAST_PLATFORM_LANDING_URI": str(home / "landing"),
        "FORECAST_PLATFORM_FIRST_WEEK": str(first),
    }
    stages = ["--select", "raw", "--select", "conditioned", "--workers", "1"]
    for command in (
        ["regions", "add", *regions],
        ["run", "--regions", ",".join(regions), "--weeks", f"{first}..{last}", *stages],
    ):
        done = subprocess.run(  # noqa: S603 (our own script)
            [script, *command], check=False, env=environment, capture_output=True, text=True
        )
        if done.returncode:
            raise RuntimeError(f"{' '.join(command)} failed:\n{done.stdout}\n{done.stderr}"[-4000:])


def _oracle(folder: Path, region: str, after: pd.Timestamp) -> pd.DataFrame:
    from forecast_platform.simulation import oracle_forecast, read_truth

    truth = read_truth(folder, regions=[region], since=after.date())
    return pd.DataFrame(
        {
            "unique_id": truth["store_id"] + "/" + truth["product_id"],
            "ds": truth["ds"],
            "oracle_mape": oracle_forecast(truth, "mape"),
            "oracle_mean": oracle_forecast(truth, "mean"),
        }
    )


# --- any panel -------------------------------------------------------------------------------


def panel(file: Path, config: Path) -> Dataset:
    """Read a panel of one's own, CSV or Parquet, as a YAML file describes it.

    Keys of the file, all but ``horizon`` optional: ``unique_id``, ``ds``, ``y`` (column names),
    ``store_id``, ``product_id``, ``category``, ``brand``, ``format``, ``price``, ``feature``,
    ``display`` (columns; the latter three are known ahead), ``known_ahead`` and ``static``
    (lists of further numeric columns), ``gap`` (weeks skipped after a cutoff), ``n_folds``,
    ``step`` (weeks between cutoffs).
    """
    asked = _panel_config(config)
    table = pd.read_parquet(file) if file.suffix == ".parquet" else pd.read_csv(file)
    _check_columns(table, asked, file, config)
    _check_rows(table, asked, file)
    rows = _panel_rows(table, asked)
    gap, horizon = int(asked.get("gap", 0)), int(asked["horizon"])
    horizons = tuple(range(gap + 1, gap + horizon + 1))
    step, n_folds = int(asked.get("step", horizon)), int(asked.get("n_folds", 4))
    last = rows["ds"].max() - max(horizons) * WEEK
    needed = (n_folds - 1) * step + max(horizons) + MIN_WEEKS
    weeks = int((rows["ds"].max() - rows["ds"].min()) / WEEK) + 1
    if weeks < needed:
        raise ValueError(
            f"{file}: {weeks} weeks, but {n_folds} folds of horizon {horizon}, gap {gap}, "
            f"{step} weeks apart, need {needed}: take fewer folds (n_folds) or a smaller step"
        )
    extra = [*asked.get("known_ahead", []), *asked.get("static", [])]
    return Dataset(
        name=file.stem,
        history=_panel_history(rows, max(horizons)),
        cutoffs=tuple(last - k * step * WEEK for k in range(n_folds - 1, -1, -1)),
        horizons=horizons,
        extra=_extra(rows, table[extra]) if extra else None,
        about=_about(table[asked.get("y", "y")], rows["unique_id"].nunique(), file),
    )


MIN_WEEKS = 30
"""Weeks before the first cutoff of a panel, below which no ensemble is trained."""

_PANEL_TEXTS = ("store_id", "product_id", "category", "brand", "format")
_PANEL_NUMBERS = ("price", "feature", "display")
_PANEL_COLUMNS = (*_PANEL_TEXTS, *_PANEL_NUMBERS)
_PANEL_KEYS = {
    *("unique_id", "ds", "y", "store_id", "product_id", "category", "brand", "format"),
    *("price", "feature", "display", "known_ahead", "static"),
    *("gap", "horizon", "n_folds", "step"),
}


def _panel_config(config: Path) -> dict[str, Any]:
    """Read the file's keys, and say at once which are wrong."""
    asked = yaml.safe_load(config.read_text(encoding="utf-8"))
    if not isinstance(asked, dict):
        raise ValueError(f"{config}: must be keys and values, such as 'horizon: 4'")  # noqa: TRY004
    unknown = sorted(asked.keys() - _PANEL_KEYS)
    if unknown:
        known = ", ".join(sorted(_PANEL_KEYS))
        raise ValueError(f"{config}: unknown keys {', '.join(unknown)}; there are {known}")
    for key in ("horizon", "gap", "n_folds", "step"):
        least = 0 if key == "gap" else 1
        value = asked.get(key, least) if key != "horizon" else asked.get(key)
        if not isinstance(value, int) or value < least:
            raise ValueError(f"{config}: {key} must be a whole number from {least}, got {value!r}")
    return asked


def _check_columns(table: pd.DataFrame, asked: dict[str, Any], file: Path, config: Path) -> None:
    """Raise ``ValueError`` that names every column which is not there or is no number."""
    names = {key: asked.get(key, key) for key in ("unique_id", "ds", "y")}
    names |= {key: asked[key] for key in _PANEL_COLUMNS if key in asked}
    listed = [*asked.get("known_ahead", []), *asked.get("static", [])]
    absent = [name for name in (*names.values(), *listed) if name not in table.columns]
    if absent:
        raise ValueError(
            f"{file}: no columns {', '.join(absent)}, which {config} asks for "
            f"(unique_id, ds and y by default); the file has {', '.join(table.columns)}"
        )
    numbers = [names[key] for key in ("y", "price", "feature", "display") if key in names]
    texts = [c for c in (*numbers, *listed) if not pd.api.types.is_numeric_dtype(table[c])]
    if texts:
        raise ValueError(f"{file}: columns {', '.join(texts)} must be numbers")
    if "format" in names and not set(table[names["format"]]) <= set(FORMATS):
        raise ValueError(f"{file}: {names['format']} must be one of {', '.join(FORMATS)}")


def _check_rows(table: pd.DataFrame, asked: dict[str, Any], file: Path) -> None:
    """Raise ``ValueError`` that names the first row without a key, and the first of a bad value."""
    keys = {key: asked.get(key, key) for key in ("unique_id", "ds")}
    keys |= {key: asked[key] for key in _PANEL_TEXTS if key in asked}
    dates = pd.to_datetime(table[keys["ds"]], errors="coerce")
    listed = [*asked.get("known_ahead", []), *asked.get("static", [])]
    numbers = [asked.get("y", "y"), *(asked[key] for key in _PANEL_NUMBERS if key in asked)]
    wrong = [(name, table[name].isna(), "is missing") for name in keys.values()]
    wrong += [(keys["ds"], dates.isna(), "is not a date")]
    wrong += [(name, np.isinf(table[name]), "is infinite") for name in (*numbers, *listed)]
    for name, rows, problem in wrong:
        if rows.any():
            place = int(rows.to_numpy().argmax())
            raise ValueError(
                f"{file}: row {place + 1} below the header: {name} {problem} "
                f"({table[name].iloc[place]!r}), as in {int(rows.sum())} of {len(table)} rows: "
                "is the file whole?"
            )
    week = _monday_of(dates).dt.strftime("%Y-%m-%d")
    again = pd.DataFrame({"id": table[keys["unique_id"]], "week": week}).duplicated()
    if again.any():
        place = int(again.to_numpy().argmax())
        raise ValueError(
            f"{file}: row {place + 1} below the header: a second row of "
            f"{table[keys['unique_id']].iloc[place]} in the week of {week.iloc[place]}"
        )


def _monday_of(dates: pd.Series) -> pd.Series:
    return dates - pd.to_timedelta(dates.dt.weekday, unit="D")


def _about(y: pd.Series, n_series: int, file: Path) -> str:
    negative = int((y < 0).sum())
    counted = f" {negative} negative values of {y.name} count as 0." if negative else ""
    return f"{file.name}: {n_series} series, rolling origins.{counted}"


def _panel_rows(table: pd.DataFrame, asked: dict[str, Any]) -> pd.DataFrame:
    def column(name: str, default: object) -> pd.Series:
        return table[asked[name]] if name in asked else pd.Series(default, index=table.index)

    ids = table[asked.get("unique_id", "unique_id")].astype("str")
    ds = pd.to_datetime(table[asked.get("ds", "ds")])
    y = pd.to_numeric(table[asked.get("y", "y")])
    return pd.DataFrame(
        {
            "region": "panel",
            "unique_id": ids,
            "store_id": column("store_id", "all").astype("str"),
            "product_id": (table[asked["product_id"]] if "product_id" in asked else ids).astype(
                "str"
            ),
            "ds": _monday_of(ds).astype("datetime64[us]"),
            "y": y.clip(lower=0),
            "price": column("price", np.nan).astype("float64"),
            "feature": column("feature", 0.0).astype("float64"),
            "display": column("display", 0.0).astype("float64"),
            "category": column("category", "all").astype("str"),
            "brand": column("brand", "all").astype("str"),
            "format": column("format", "large").astype("str"),
        }
    )


def _extra(rows: pd.DataFrame, columns: pd.DataFrame) -> pd.DataFrame:
    """Name the panel's own columns so that they are none of the core's."""
    return rows[["unique_id", "ds"]].join(columns.astype("float32").add_prefix("panel_"))


def _panel_history(rows: pd.DataFrame, horizon: int) -> History:
    first = rows["ds"].min()
    stores = rows[["store_id", "format"]].drop_duplicates("store_id")
    products = rows[["product_id", "category", "brand"]].drop_duplicates("product_id")
    return History(
        demand=rows.loc[
            rows["y"].notna(), ["region", "ds", "unique_id", "store_id", "product_id", "y"]
        ],
        stores=stores.assign(
            week=first,
            zip="0",
            opened_on=first,
            closed_on=pd.NaT,
            **dict.fromkeys(SHOPPER_COLUMNS, np.nan),
        ),
        products=products.assign(
            week=first, package_size=np.nan, launched_on=first, delisted_on=pd.NaT
        ),
        weather=no_weather(),
        events=no_events(),
        prices=known_ahead(rows, horizon),
    )
