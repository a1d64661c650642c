"""Delivered text is read in one way or not at all."""

import math
import re
from datetime import date

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forecast_platform.schemas.parsing import Kind, Parsed, parse


def read(kind: Kind, *texts: str | None, nullable: bool = False) -> Parsed:
    rows = pd.DataFrame({"value": pd.Series(list(texts), dtype="str")})
    return parse(rows, {"value": kind}, frozenset({"value"} if nullable else ()))


def is_read(kind: Kind, text: str) -> bool:
    return read(kind, text).refused.empty


@pytest.mark.parametrize(
    ("text", "number"),
    [("12", 12.0), ("-0.5", -0.5), ("+3", 3.0), ("007", 7.0), (" 4 ", 4.0), ("3.0", 3.0)],
)
def test_plain_numbers_are_read(text: str, number: float):
    assert read(Kind.NUMBER, text).table["value"].tolist() == [number]


@pytest.mark.parametrize(
    "text",
    [
        *("inf", "-inf", "Infinity", "nan", "NaN", "NA", "None", "null", "n/a", "-"),
        *("1e3", "1E-3", "1_000", "1,000", "1.000,5", "0x1F", "1.", ".5", "--1", "1 2", "5%", "€5"),
        *(
            "\u0661\u0662",
            "\uff11\uff12",
            "²",
            "½",
            "1\u00a0000",
            "True",
            "2024-01-01",
            "'5",
            "=1+1",
        ),
        "9" * 13,
    ],
)
def test_no_other_numbers_are_read(text: str):
    refused = read(Kind.NUMBER, text).refused

    assert refused["value"].tolist() == [text]
    assert refused["reason"].tolist() == ["is not a plain number such as 12 or 0.5"]


@given(st.text(max_size=12))
def test_whatever_is_read_as_a_number_looks_like_one(text: str):
    parsed = read(Kind.NUMBER, text)

    if len(parsed.table):
        plain = text.strip()
        assert re.fullmatch(r"[+-]?[0-9]+(\.[0-9]+)?", plain, re.ASCII)
        assert parsed.table["value"].iloc[0] == float(plain)
        assert math.isfinite(parsed.table["value"].iloc[0])
    assert len(parsed.table) + len(parsed.refused) == 1


@given(st.floats(-1e11, 1e11).map(lambda x: f"{x:.6f}"))
def test_every_plain_decimal_is_read_exactly(text: str):
    assert read(Kind.NUMBER, text).table["value"].tolist() == [float(text)]


@pytest.mark.parametrize("text", ["2024-02-29", "2024-02-29 00:00:00", "2024-02-29T00:00:00.000"])
def test_iso_dates_are_read(text: str):
    assert read(Kind.DATE, text).table["value"].tolist() == [pd.Timestamp("2024-02-29")]


@pytest.mark.parametrize(
    "text",
    [
        *("2024-02-30", "2023-02-29", "2024-13-01", "2024-00-10", "0000-01-01"),
        *("01/02/2024", "1.2.2024", "20240201", "2024-2-1", "24-02-01", "Feb 1 2024", "2024-W05"),
        *("2024-02-01 12:30:00", "2024-02-01T00:00:00Z", "2024-02-01+01:00", "45323", "today"),
        "\u0662\u0660\u0662\u0664-\u0660\u0662-\u0660\u0661",
    ],
)
@pytest.mark.parametrize("kind", [Kind.DATE, Kind.MONDAY])
def test_no_other_dates_are_read(text: str, kind: Kind):
    assert not is_read(kind, text)


@given(st.dates(min_value=date(1900, 1, 1), max_value=date(2200, 1, 1)))
def test_only_mondays_name_a_week(day: date):
    assert is_read(Kind.DATE, day.isoformat())
    assert is_read(Kind.MONDAY, day.isoformat()) == (day.weekday() == 0)


@given(st.text(max_size=25))
@settings(max_examples=300)
def test_whatever_is_read_as_a_date_is_that_date(text: str):
    parsed = read(Kind.DATE, text)

    if len(parsed.table):
        assert f"{parsed.table['value'].iloc[0]:%Y-%m-%d}" == text.strip()[:10]


@pytest.mark.parametrize(
    ("text", "flag"), [("true", True), ("No", False), ("1", True), ("0", False), ("FALSE", False)]
)
def test_flags_are_read(text: str, flag: bool):
    assert read(Kind.FLAG, text).table["value"].tolist() == [flag]


@pytest.mark.parametrize("text", ["2", "on", "t", "ja", "1.0", "truefalse", "true\nfalse"])
def test_no_other_flags_are_read(text: str):
    assert not is_read(Kind.FLAG, text)


@pytest.mark.parametrize("text", ["00501", "TX01-0012", "Store #7", "a.b:c_d", "3"])
def test_identifiers_are_kept_as_they_are(text: str):
    assert read(Kind.ID, text).table["value"].tolist() == [text]


@pytest.mark.parametrize(
    "text", ["../etc", "a/b", "a'b", 'a"b', "Zürich", "a|b", "-1", "#1", "a\nb", "a\x00b", "x" * 65]
)
def test_identifiers_that_would_be_paths_or_sql_are_refused(text: str):
    assert not is_read(Kind.ID, text)


@pytest.mark.parametrize("text", ["Café d'été", "50% off", "日本", "x" * 200])
def test_free_text_may_hold_any_script(text: str):
    assert read(Kind.TEXT, text).table["value"].tolist() == [text]


@pytest.mark.parametrize("text", ["a\x00b", "a\tb", "a\nb", "\x7f", "x" * 201])
def test_free_text_holds_no_control_characters(text: str):
    assert not is_read(Kind.TEXT, text)


@pytest.mark.parametrize("kind", list(Kind))
@pytest.mark.parametrize("empty", [None, "", "  "])
def test_what_is_empty_is_refused_unless_it_may_be(kind: Kind, empty: str | None):
    assert read(kind, empty).refused["reason"].tolist() == ["is empty"]
    assert read(kind, empty, nullable=True).table["value"].isna().tolist() == [True]


def test_a_row_is_refused_once_for_its_first_wrong_column():
    rows = pd.DataFrame({"a": ["x", "1"], "b": ["y", "z"], "other": ["p", "q"]})

    parsed = parse(rows, {"a": Kind.NUMBER, "b": Kind.NUMBER}, frozenset())

    assert parsed.refused[["column", "value"]].to_numpy().tolist() == [["a", "x"], ["b", "z"]]
    assert parsed.table.empty
    assert "other" in parsed.table


@pytest.mark.parametrize("kind", list(Kind))
def test_no_rows_are_no_problem(kind: Kind):
    parsed = read(kind)

    assert parsed.table.empty
    assert parsed.refused.empty
