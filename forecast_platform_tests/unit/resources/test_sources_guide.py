"""The worked example of docs/sources.md does what the guide says."""

import re
from pathlib import Path

import pandas as pd
import pytest

from forecast_platform.partitions import RegionWeek
from forecast_platform.resources.landing import Landing
from forecast_platform.schemas.acceptance import Accepted, accept
from forecast_platform.schemas.raw import CONTRACTS
from forecast_platform.settings import PROJECT_ROOT

GUIDE = PROJECT_ROOT / "docs" / "sources.md"
KEY = RegionWeek("bayern", pd.Timestamp("2024-03-04"))
FENCED_FILE = re.compile(r"```(?:csv|yaml) (\S+)\n(.*?)```", re.DOTALL)


@pytest.fixture
def landing(tmp_path: Path) -> Landing:
    """The guide's files, written as the bakery writes them."""
    for name, text in FENCED_FILE.findall(GUIDE.read_text(encoding="utf-8")):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8" if name == "sources.yaml" else "cp1252")
    return Landing(uri=str(tmp_path), sources_file=str(tmp_path / "sources.yaml"))


def taken_in(landing: Landing, source: str) -> Accepted:
    delivery = landing.read(source, [KEY])
    assert not delivery.bad
    return accept(delivery.rows, CONTRACTS[source])


def test_sales_with_decimal_commas_and_a_correction_are_taken_in(landing: Landing) -> None:
    sales = taken_in(landing, "shipments").table

    units = sales.set_index(["store_id", "product_id"])["units_shipped"].to_dict()
    assert units == {("M-01", "4711"): 1204.0, ("M-01", "4712"): 63.0, ("M-02", "4711"): 88.5}


def test_the_typing_error_and_the_corrected_row_are_in_quarantine(landing: Landing) -> None:
    taken = taken_in(landing, "shipments")
    places = taken.delivered[["region", "week", "source_file"]].itertuples(index=False, name=None)
    refused = taken.quarantine("shipments", dict.fromkeys(places, "0" * 64))

    found = refused[["file", "row_number", "value"]].to_numpy().tolist()
    file = "bayern/2024-03-04/Umsatz_1.csv"
    assert [file, 5, "keine"] in found
    assert [one[:2] for one in found] == [[file, 3], [file, 5]]


def test_stores_have_a_format_by_area_and_dates_in_german_form(landing: Landing) -> None:
    stores = taken_in(landing, "stores").table.set_index("store_id")

    assert stores["format"].to_dict() == {"M-01": "large", "M-02": "small"}
    assert stores.loc["M-01", "opened_on"] == pd.Timestamp("2015-03-01")
    assert stores["closed_on"].isna().tolist() == [True, False]


def test_products_and_plans_are_taken_in_whole(landing: Landing) -> None:
    products, plans = (taken_in(landing, name).table for name in ("products", "promotions"))

    assert products["category"].tolist() == ["Brot", "Brezen"]
    assert products["brand"].isna().all()
    assert plans["ds"].tolist() == [pd.Timestamp("2024-04-01")] * 2
    assert plans[["price", "feature"]].to_numpy().tolist() == [[2.99, 1.0], [3.49, 0.0]]
