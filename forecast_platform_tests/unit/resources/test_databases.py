"""Sources in a database: one region-week at a time, nothing pasted, nothing given away."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pandas as pd
import pytest
import sqlalchemy as sa

from forecast_platform.partitions import RegionWeek
from forecast_platform.resources.landing import Delivery, Landing

NORTH = RegionWeek("north", pd.Timestamp("2024-03-04"))
SOUTH = RegionWeek("south", pd.Timestamp("2024-03-04"))
LATER = RegionWeek("north", pd.Timestamp("2024-03-11"))
ROWS = [
    ("north", "S-1", "P-1", "2024-03-04", 12.5),
    ("north", "S-1", "P-2", "2024-03-04", 3),
    ("south", "S-9", "P-1", "2024-03-04", 7),
    ("north", "S-1", "P-1", "2024-03-11", 9),
]
TABLE = """
    sql: {connection: TEST_ERP_URL, table: shipped, week_column: week, region_column: area}
    required: weekly
    columns: {store_id: store, product_id: item, units_shipped: qty}
"""
QUERY = """
    sql:
      connection: TEST_ERP_URL
      query: >-
        select store as store_id, item as product_id, week, qty as units_shipped
        from shipped where week between :week and :week_end and area = :region
    required: weekly
"""


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.slow)])
def url(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    if request.param == "sqlite":
        address = f"sqlite:///{tmp_path / 'erp.db'}"
    else:
        address = request.getfixturevalue("postgres")
    monkeypatch.setenv("TEST_ERP_URL", address)
    change(
        address,
        "drop table if exists shipped",
        "create table shipped (area text, store text, item text, week date, qty numeric(12, 2))",
        *(f"insert into shipped values {row}" for row in ROWS),  # noqa: S608 - constants
    )
    return address


def change(url: str, *statements: str) -> None:
    engine = sa.create_engine(url.replace("postgresql:", "postgresql+psycopg:"))
    with engine.begin() as connection:
        for one in statements:
            connection.exec_driver_sql(one)
    engine.dispose()


def landing(tmp_path: Path, lines: str, source: str = "shipments") -> Landing:
    file = tmp_path / "sources.yaml"
    file.write_text(f"sources:\n  {source}:{lines}")
    return Landing(uri=str(tmp_path / "landing"), sources_file=str(file))


def units(delivery: Delivery) -> list[tuple[str, str, str]]:
    assert not delivery.bad
    columns = ["region", "product_id", "units_shipped"]
    return sorted(map(tuple, delivery.rows[columns].to_numpy().tolist()))


@pytest.mark.parametrize("lines", [TABLE, QUERY], ids=["table", "query"])
def test_each_region_week_gets_its_own_rows(tmp_path: Path, url: str, lines: str) -> None:
    source = landing(tmp_path, lines)

    assert units(source.read("shipments", [NORTH])) == [
        ("north", "P-1", "12.5"),
        ("north", "P-2", "3"),
    ]
    both = source.read("shipments", [SOUTH, LATER])
    assert units(both) == [("north", "P-1", "9"), ("south", "P-1", "7")]
    assert [one.key for one in both.files] == [SOUTH, LATER]


def test_what_was_asked_is_told_and_a_change_is_seen(tmp_path: Path, url: str) -> None:
    source = landing(tmp_path, QUERY)

    [(_, one, before, _)] = source.read("shipments", [NORTH]).files
    [(_, _, again, _)] = source.read("shipments", [NORTH]).files
    change(url, "update shipped set qty = 13 where qty = 12.5")
    [(_, _, after, _)] = source.read("shipments", [NORTH]).files

    assert one.format == "sql"
    assert one.query is not None
    assert "where week between :week" in one.query
    assert before == again != after


def test_a_value_is_bound_and_never_pasted(tmp_path: Path, url: str) -> None:
    source = landing(tmp_path, TABLE)
    evil = RegionWeek("x' or '1'='1", NORTH.week)

    assert source.read("shipments", [evil]).rows.empty


def test_a_query_cannot_write(tmp_path: Path, url: str) -> None:
    lines = QUERY.replace(
        "select store", "delete from shipped where :region = :region; select store"
    )
    broken = landing(tmp_path, lines).read("shipments", [NORTH])
    writes = TABLE.replace(
        "table: shipped, week_column: week, region_column: area",
        'query: "delete from shipped where week = :week and area = :region returning *"',
    )
    refused = landing(tmp_path, writes).read("shipments", [NORTH])

    assert NORTH in broken.bad
    assert NORTH in refused.bad
    assert len(units(landing(tmp_path, TABLE).read("shipments", [NORTH]))) == 2


def test_no_password_is_in_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = landing(tmp_path, TABLE)
    for address in (
        "postgresql://user:hunter2@127.0.0.1:1/none",
        "nothing://user:hunter2@host/none",
        "user:hunter2@host",
    ):
        monkeypatch.setenv("TEST_ERP_URL", address)
        told = source.read("shipments", [NORTH]).bad[NORTH]
        assert "hunter2" not in told
        assert "sql/TEST_ERP_URL/shipped cannot be read" in told


def test_a_connection_that_is_not_set_is_named(tmp_path: Path) -> None:
    told = landing(tmp_path, TABLE).read("shipments", [NORTH]).bad[NORTH]

    assert told.startswith("TEST_ERP_URL is not set")


def test_the_sensor_sees_no_file_of_a_database(tmp_path: Path) -> None:
    source = landing(tmp_path, TABLE)

    assert source.files() == []
    assert source.required_sources() == []


def test_a_table_without_dates_is_known_from_its_week(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with closing(sqlite3.connect(tmp_path / "erp.db")) as connection, connection:
        connection.execute("create table items (product_id, category, launched_on)")
        connection.execute("insert into items values ('P-1', 'bread', '2020-01-01')")
    monkeypatch.setenv("TEST_ERP_URL", f"sqlite:///{tmp_path / 'erp.db'}")
    source = landing(
        tmp_path,
        "\n    sql: {connection: TEST_ERP_URL, table: items}\n    required: snapshot\n"
        "    region: north\n    known_from: 2024-03-04\n",
        "products",
    )

    assert len(source.read("products", [NORTH]).rows) == 1
    assert source.read("products", [LATER, SOUTH]).rows.empty
