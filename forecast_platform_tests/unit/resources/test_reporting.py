"""Problems of single region-weeks, tables in the form of their contract, plots."""

import base64

import dagster as dg
import pandas as pd
import pytest

from forecast_platform.errors import TableMissing
from forecast_platform.partitions import RegionWeek
from forecast_platform.resources.plots import plot_forecast
from forecast_platform.resources.reporting import Problems
from forecast_platform.schemas.models import Promotion
from forecast_platform.schemas.tables import as_table

WEEK = pd.Timestamp("2024-03-04")
KEY = RegionWeek("north", WEEK)


def test_what_we_foresaw_is_held_back_until_the_others_are_done():
    problems = Problems()

    with problems.of(KEY):
        raise TableMissing("no features")

    with pytest.raises(dg.Failure, match=r"north\|2024-03-04: TableMissing: no features"):
        problems.raise_any()


def test_what_nobody_foresaw_stops_at_once():
    with pytest.raises(ZeroDivisionError), Problems().of(KEY):
        raise ZeroDivisionError


def test_no_problem_is_no_failure():
    Problems().raise_any()


def test_a_table_of_missing_values_still_has_the_types_of_its_contract():
    columns = list(Promotion.to_schema().columns)
    empty = pd.DataFrame([dict.fromkeys(columns)])

    table = as_table(empty.assign(extra=1), Promotion)

    assert list(table.columns) == columns
    assert table["champion_version"].dtype == "Int64"
    assert table["cutoff"].dtype == "datetime64[us]"
    assert table["sha256"].dtype == "str"


def test_a_lost_column_is_an_error():
    with pytest.raises(KeyError, match="verdict"):
        as_table(pd.DataFrame({"region": ["north"]}), Promotion)


def test_a_plot_is_a_small_picture_inside_markdown():
    weeks = pd.date_range("2024-01-01", periods=8, freq="W-MON")
    actual, ahead = pd.Series(range(4), weeks[:4]), pd.Series(range(4), weeks[4:])

    shown = plot_forecast(actual, ahead, ahead, title="north").value

    prefix = "![north](data:image/png;base64,"
    assert shown.startswith(prefix)
    picture = base64.b64decode(shown[len(prefix) : -1])
    assert picture.startswith(b"\x89PNG")
    assert len(picture) < 40_000
