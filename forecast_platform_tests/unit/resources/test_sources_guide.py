"""The examples of docs/sources.md do what the guide says."""

import re
from pathlib import Path
from textwrap import indent

import pandas as pd
import pytest
import yaml

from forecast_platform.partitions import RegionWeek
from forecast_platform.resources.landing import Landing
from forecast_platform.resources.sources import Source, load_sources
from forecast_platform.resources.sources_check import find_problems
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
    files = map(str, taken.delivered["source_file"])
    refused = taken.quarantine("shipments", dict.fromkeys(files, "0" * 64))

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


RECIPES = (
    GUIDE.read_text(encoding="utf-8").partition("## I have this file")[2].partition("\n## ")[0]
)
RECIPE = re.compile(r"(?:```(?:csv|jsonl)\n(.*?)```\s+)?```yaml\n(.*?)```", re.DOTALL)
BLOCKS = RECIPE.findall(RECIPES)


def test_every_key_has_an_example() -> None:
    sources = [source for _, block in BLOCKS for source in yaml.safe_load(block).values()]

    shown = {key for source in sources for key in source}
    assert set(Source.model_fields) - shown == set()


@pytest.mark.parametrize(("delivered", "block"), BLOCKS)
def test_the_example_is_right_and_its_file_is_accepted(
    delivered: str, block: str, tmp_path: Path
) -> None:
    file = tmp_path / "sources.yaml"
    file.write_text("sources:\n" + indent(block, "  "), encoding="utf-8")
    assert find_problems(file) == []
    if not delivered:
        return
    [(name, source)] = load_sources(file).sources.items()
    path = source.path.format(region="north", week="2024-03-04").replace("*", "")
    landed = tmp_path / "landing" / path
    landed.parent.mkdir(parents=True)
    landed.write_text(delivered, encoding=source.encoding)
    landing = Landing(uri=str(tmp_path / "landing"), sources_file=str(file))

    delivery = landing.read(
        name, [RegionWeek(region, KEY.week.as_unit("us")) for region in ("north", "south")]
    )

    assert not delivery.bad
    judged = accept(delivery.rows, CONTRACTS[name])
    assert judged.refused.empty
    header = 1 + source.skip_rows if source.format == "csv" else 0
    assert len(judged.table) == len(delivered.splitlines()) - header
