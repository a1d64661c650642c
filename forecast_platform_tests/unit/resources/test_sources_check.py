"""A sources file's mistakes are told where they stand, all at once."""

import json
from pathlib import Path

import jsonschema
import pytest
import yaml

from forecast_platform.resources.sources import DEFAULT_SOURCES
from forecast_platform.resources.sources_check import Problem, find_problems, json_schema
from forecast_platform.settings import PROJECT_ROOT

GOOD = """\
sources:
  shipments:
    path: "s/{region}/{week}/*.csv"
    required: weekly
    decimal: ","
    codes:
      store_id: {A: S-1}
    units:
      units_shipped: dozens_to_units
"""


def problems(tmp_path: Path, text: str, delivered: list[str] | None = None) -> list[Problem]:
    file = tmp_path / "sources.yaml"
    file.write_text(text)
    return find_problems(file, delivered)


def test_the_default_sources_have_no_problem() -> None:
    assert find_problems(DEFAULT_SOURCES) == []


@pytest.mark.parametrize(
    ("old", "new", "line", "column", "said"),
    [
        ("decimal", "decimel", 5, 5, "Did you mean decimal?"),
        ("required: weekly", "required: daily", 4, 5, "'daily'"),
        ("    required: weekly\n", "", 2, 3, "is missing"),
        ("shipments:", "shipment:", 2, 3, "Did you mean shipments?"),
        ("{A: S-1}", "{yes: S-1}", 7, 7, "in quotes"),
        ("store_id:", "store:", 7, 7, "Did you mean store_id?"),
        ("units_shipped:", "store_id:", 9, 7, "it is for units_shipped"),
        ("dozens_to_units", "dozen", 9, 7, "is no conversion"),
        ("dozens_to_units", "dozens_to_unit", 9, 7, "Did you mean dozens_to_units?"),
        ("dozens_to_units", "{factr: 2}", 9, 23, "Did you mean factor?"),
        ("dozens_to_units", "{factor: 2, factor_from: x}", 9, 7, "contradict"),
        (
            'decimal: ","',
            'decimal: ","\n    thousands: ","',
            2,
            3,
            "decimal and thousands are both",
        ),
        ('decimal: ","', "sheet: A", 2, 3, "sheet is not for csv files"),
        ('decimal: ","', "date_format: '%d.%m'", 5, 5, "does not name a day"),
        ('decimal: ","', "columns: {week: {sql: 'a +'}}", 5, 22, "is not SQL"),
        ('decimal: ","', "columns: {week: {sql: 'a) from b; select (1'}}", 5, 22, "one expression"),
        ('decimal: ","', "columns: {week: {sqk: a}}", 5, 15, "{sql: ...}"),
        ('decimal: ","', "required: weekly", 5, 5, "stands here twice"),
        ("sources:", "sources: [", 3, 9, "is not YAML"),
        ("sources:", "surces:", 1, 1, "has no sources"),
    ],
)
def test_a_mistake_is_told_with_its_line(
    tmp_path: Path, old: str, new: str, line: int, column: int, said: str
) -> None:
    found = problems(tmp_path, GOOD.replace(old, new))

    assert any(said in one.message for one in found), found
    where = [(one.line, one.column) for one in found if said in one.message]
    assert where == [(line, column)]


def test_every_mistake_is_told_at_once(tmp_path: Path) -> None:
    text = GOOD.replace("decimal", "decimel") + "  stores:\n    path: a/{region}.csv\n"

    assert [one.line for one in problems(tmp_path, text)] == [5, 10, 11]


def test_a_path_that_matches_no_delivered_file_is_told(tmp_path: Path) -> None:
    other = problems(tmp_path, GOOD, ["s/north/2024-03-04.csv"])
    same = problems(tmp_path, GOOD, ["s/north/2024-03-04/a.csv"])

    assert [(one.line, one.key) for one in other] == [(3, "sources.shipments.path")]
    assert same == []


def test_the_schema_for_editors_is_the_committed_one() -> None:
    committed = json.loads((PROJECT_ROOT / "docs" / "sources.schema.json").read_text())

    assert committed == json_schema(), "forecast-platform sources schema > docs/sources.schema.json"


@pytest.mark.parametrize(
    ("text", "is_right"),
    [(GOOD, True), (DEFAULT_SOURCES.read_text(), True), (GOOD.replace("decimal", "x"), False)],
)
def test_the_schema_judges_as_the_platform_does(text: str, is_right: bool) -> None:
    schema = jsonschema.Draft202012Validator(json_schema())

    assert schema.is_valid(yaml.safe_load(text)) == is_right
