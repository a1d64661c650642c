"""The sources file says what it means or is refused with the key that is wrong."""

from pathlib import Path

import pytest

from forecast_platform.errors import BadSources
from forecast_platform.resources.sources import Required, load_sources
from forecast_platform.schemas.raw import CONTRACTS

PATH = "shipments/{region}/{week}/*.csv"


def load(tmp_path: Path, *lines: str, source: str = "shipments"):
    file = tmp_path / "sources.yaml"
    file.write_text("\n".join(["sources:", f"  {source}:", *(f"    {line}" for line in lines)]))
    return load_sources(file).sources[source]


def test_the_packaged_file_describes_every_contract():
    sources = load_sources().sources

    assert set(sources) == set(CONTRACTS)
    assert sources["shipments"].required is Required.WEEKLY
    assert all(source.has_week for source in sources.values())


@pytest.mark.parametrize(
    ("path", "matches", "others"),
    [
        (
            "shipments/{region}/{week}/*.csv",
            "shipments/north/2024-01-01/a.csv",
            ["shipments/north/2024-01-01/x/a.csv", "shipments/North/2024-01-01/a.csv", "x/a.csv"],
        ),
        (
            "{region}_{week}.csv",
            "north_tx_2024-01-01.csv",
            ["north_2024-1-1.csv", "_2024-01-01.csv"],
        ),
        ("{region}/{region}.csv", "north/north.csv", ["north/south.csv"]),
        ("a+b/{region}/{week}.csv", "a+b/r/2024-01-01.csv", ["aab/r/2024-01-01.csv"]),
    ],
)
def test_a_path_matches_its_files_alone(tmp_path: Path, path: str, matches: str, others: list[str]):
    source = load(tmp_path, f"path: '{path}'", "required: snapshot", "known_from: 2024-01-01")

    assert source.pattern.fullmatch(matches)
    assert not any(source.pattern.fullmatch(other) for other in others)


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (["path: ../{region}/{week}.csv"], "must stay below the landing folder"),
        (["path: /etc/{region}/{week}.csv"], "must stay below the landing folder"),
        (["path: s3://b/{region}/{week}.csv"], "must stay below the landing folder"),
        (["path: '{region}/{day}/{week}.csv'"], "has {day}"),
        (["path: 'a/{week}.csv'"], "no region"),
        (
            ["sql: {connection: A, query: 'select a where r = :region'}"],
            "name the column in region",
        ),
        ([f"path: '{PATH}'", "columns: {units: qty}"], "units is not in its contract"),
        ([f"path: '{PATH}'", "colums: {units: qty}"], "colums"),
        ([f"path: '{PATH}'", "encoding: klingon"], "is no encoding"),
        ([f"path: '{PATH}'", "delimiter: ';;'"], "delimiter"),
        ([f"path: '{PATH}'", "format: xml"], "format"),
        ([f"path: '{PATH}'", "columns: {store_id: {sql: a, value: b}}"], "store_id"),
    ],
)
def test_a_wrong_file_is_refused_with_its_key(tmp_path: Path, lines: list[str], message: str):
    with pytest.raises(BadSources, match=message):
        load(tmp_path, "required: weekly", *lines)


def test_rows_without_any_week_are_refused(tmp_path: Path):
    with pytest.raises(BadSources, match="its rows have no week"):
        load(tmp_path, "path: 's/{region}.csv'", "required: snapshot", source="stores")


def test_an_unknown_source_is_refused_with_those_that_exist(tmp_path: Path):
    with pytest.raises(BadSources, match="'sales' is not a source: use shipments"):
        load(tmp_path, f"path: '{PATH}'", "required: weekly", source="sales")


@pytest.mark.parametrize("text", ["{", "- 1", "sources: 3", "", "sources: !!python/name:os.system"])
def test_what_is_no_sources_file_is_refused(tmp_path: Path, text: str):
    file = tmp_path / "sources.yaml"
    file.write_text(text)

    with pytest.raises(BadSources, match=r"sources\.yaml"):
        load_sources(file)


def test_a_file_that_is_not_there_is_named(tmp_path: Path):
    with pytest.raises(BadSources, match=r"none\.yaml: cannot be read"):
        load_sources(tmp_path / "none.yaml")
