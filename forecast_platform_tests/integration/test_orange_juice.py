"""A slice of the real orange juice data, taken the whole way by configuration alone."""

import gzip
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from forecast_platform.resources.lake import Lake
from forecast_platform.settings import PROJECT_ROOT

pytestmark = [pytest.mark.integration, pytest.mark.slow]

EXAMPLE = PROJECT_ROOT / "examples" / "dominicks_oj"
DATA = Path(
    os.environ.get("FORECAST_PLATFORM_TEST_DATA")
    or PROJECT_ROOT.parent / "shared" / "data" / "dominicks_oj"
)
STORES = (2, 5, 8, 9)
WEEKS = range(40, 72)
FIRST_MONDAY = pd.Timestamp("1989-09-11")
KEY = ["store_id", "product_id", "ds"]


def monday(week: int) -> pd.Timestamp:
    return FIRST_MONDAY + pd.Timedelta(weeks=week - 1)


def text_of(week: int) -> str:
    return f"{monday(week):%Y-%m-%d}"


@pytest.fixture(scope="module")
def delivered(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Some stores and weeks of the real files, in their own format."""
    if not (DATA / "yx.csv.gz").exists():
        pytest.skip(
            f"no orange juice data in {DATA}: name its folder in FORECAST_PLATFORM_TEST_DATA"
        )
    folder = tmp_path_factory.mktemp("delivered")
    with gzip.open(DATA / "yx.csv.gz", "rt", encoding="utf-8") as lines:
        header = next(lines)
        stores, weeks = set(map(str, STORES)), set(map(str, WEEKS))
        rows = [
            line for line in lines if (cells := line.split(","))[0] in stores and cells[2] in weeks
        ]
    with gzip.open(folder / "yx.csv.gz", "wt", encoding="utf-8") as file:
        file.writelines([header, *rows])
    stores_file = (DATA / "storedemo.csv").read_text(encoding="utf-8").splitlines(keepends=True)
    kept = [line for line in stores_file[1:] if line.split(",")[0] in stores]
    (folder / "storedemo.csv").write_text("".join([stores_file[0], *kept]), encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def sales(delivered: Path) -> pd.DataFrame:
    """The delivered sales, read by pandas alone."""
    rows = pd.read_csv(delivered / "yx.csv.gz")
    prices = rows[[f"price{brand}" for brand in range(1, 12)]].to_numpy()
    return pd.DataFrame(
        {
            "store_id": rows["store"].astype("str"),
            "product_id": rows["brand"].astype("str"),
            "ds": rows["week"].map(monday).astype("datetime64[us]"),
            "units": np.round(np.exp(rows["logmove"])),
            "price": prices[np.arange(len(rows)), rows["brand"] - 1] * 64,
            "feature": rows["feat"].astype("float64"),
            "display": rows["deal"].astype("float64"),
        }
    ).sort_values(KEY, ignore_index=True)


@pytest.fixture(scope="module")
def lake(delivered: Path, tmp_path_factory: pytest.TempPathFactory) -> Lake:
    """The lake after the commands of the example's README."""
    home = tmp_path_factory.mktemp("orange-juice") / "home"
    environment = {key: value for key, value in os.environ.items() if "DAGSTER_HOME" not in key}
    environment |= {
        "FORECAST_PLATFORM_HOME": str(home),
        "FORECAST_PLATFORM_LANDING_URI": str(delivered),
        "FORECAST_PLATFORM_SOURCES_FILE": str(EXAMPLE / "sources.yaml"),
        "FORECAST_PLATFORM_FIRST_WEEK": f"{FIRST_MONDAY:%Y-%m-%d}",
        "FORECAST_PLATFORM_EPOCHS": "1",
        "OMP_NUM_THREADS": "1",
    }
    script = str(Path(sys.executable).with_name("forecast-platform"))
    span = f"{text_of(WEEKS[0])}..{text_of(WEEKS[-1])}"
    for command in (
        ["regions", "add", "chicago"],
        ["run", "--region", "chicago", "--weeks", span, "--select", "data", "--workers", "1"],
        ["run", "--region", "chicago", "--week", text_of(WEEKS[-1]), "--select", "models"],
    ):
        done = subprocess.run(
            [script, *command],
            check=False,
            env=environment,
            capture_output=True,
            text=True,
            timeout=300,
        )
        assert done.returncode == 0, done.stderr[-3000:]
    return Lake(uri=str(home / "lake"))


def test_every_delivered_sale_is_taken_in_with_its_units(lake: Lake, sales: pd.DataFrame) -> None:
    raw = lake.read("raw_shipments").sort_values(KEY, ignore_index=True)

    pd.testing.assert_frame_equal(raw[KEY], sales[KEY])
    assert (raw["units_shipped"] == sales["units"]).all()
    assert lake.read("quarantine").empty


def test_each_plan_has_the_price_of_the_row_s_own_brand_four_weeks_before(
    lake: Lake, sales: pd.DataFrame
) -> None:
    raw = lake.read("raw_promotions").sort_values(KEY, ignore_index=True)

    pd.testing.assert_frame_equal(raw[KEY], sales[KEY])
    for column in ("price", "feature", "display"):
        np.testing.assert_allclose(raw[column], sales[column], atol=1e-4)
    first = monday(WEEKS[0])
    assert (raw["week"] == (raw["ds"] - pd.Timedelta(weeks=4)).clip(lower=first)).all()


def test_stores_are_large_or_small_by_volume_and_have_their_demographics(
    lake: Lake, delivered: Path, sales: pd.DataFrame
) -> None:
    stores = lake.read("dim_stores", weeks=[monday(WEEKS[-1])]).set_index("store_id")
    demographics = pd.read_csv(delivered / "storedemo.csv", dtype={"STORE": "str"})
    volume = sales.groupby("store_id")["units"].sum()

    assert set(stores.index) == set(map(str, STORES))
    assert set(stores["format"]) == {"large", "small"}
    is_large = stores["format"] == "large"
    assert volume[is_large[is_large].index].min() > volume[is_large[~is_large].index].max()
    income = np.exp(demographics.set_index("STORE").loc[stores.index, "INCOME"])
    np.testing.assert_allclose(stores["median_income"], income, atol=0.01)


def test_a_week_without_a_sale_is_zero_demand_and_no_sale_is_lost(
    lake: Lake, sales: pd.DataFrame
) -> None:
    demand = lake.read("fct_weekly_demand")

    sold = demand[~demand["is_filled"]].sort_values(KEY, ignore_index=True)
    pd.testing.assert_frame_equal(sold[KEY], sales[KEY])
    assert (sold["y"] == sales["units"]).all()
    assert (demand.loc[demand["is_filled"], "y"] == 0).all()


def test_what_is_not_delivered_is_empty_and_not_an_error(lake: Lake) -> None:
    for table in ("raw_returns", "raw_weather", "raw_events", "fct_weekly_weather"):
        assert lake.read(table).empty, table
    assert (lake.read("fct_weekly_events")["event"] == "none").all()
    assert (lake.read("demand_features")["weather_missing"] == 1).all()


def test_every_series_is_forecast_four_weeks_ahead_by_models_with_a_planned_price(
    lake: Lake,
) -> None:
    last = monday(WEEKS[-1])
    features = lake.read("demand_features", weeks=[last])
    forecasts = lake.read("forecasts", weeks=[last])
    models = lake.read("trained_ensembles", weeks=[last])

    series = set(lake.read("dim_series")["unique_id"])
    assert set(features["unique_id"]) == series
    assert set(forecasts["h"]) == {1, 2, 3, 4}
    assert len(forecasts) == 4 * len(series)
    assert np.isfinite(forecasts["y_hat"]).all()
    assert len(models) == 6
    assert (models["status"] == "trained").all()
