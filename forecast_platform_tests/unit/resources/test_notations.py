"""Files as they come: what each notation means when it is accepted, and which row it refuses."""

import io
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from forecast_platform.partitions import RegionWeek
from forecast_platform.resources.landing import Landing
from forecast_platform.schemas.acceptance import Accepted, accept
from forecast_platform.schemas.raw import CONTRACTS

KEY = RegionWeek("north", pd.Timestamp("2024-03-04").as_unit("us"))


def take(
    folder: Path, source: str, content: bytes | str, keys: str = "", name: str = "f"
) -> Accepted:
    """Accept one delivered file, of the keys of a sources file beside path and required."""
    landing = folder / "landing"
    (landing / "north").mkdir(parents=True)
    path = landing / "north" / f"2024-03-04.{name}"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    file = folder / "sources.yaml"
    file.write_text(
        f"sources:\n  {source}:\n    path: '{{region}}/{{week}}.{name}'\n    required: weekly\n"
        + "".join(f"    {line}\n" for line in keys.splitlines()),
        encoding="utf-8",
    )
    delivery = Landing(uri=str(landing), sources_file=str(file)).read(source, [KEY])
    assert not delivery.bad
    return accept(delivery.rows, CONTRACTS[source])


def refused(taken: Accepted) -> list[tuple[int, str, str, str]]:
    """Row of the file, code, column and value of each refusal."""
    rows = taken.delivered.loc[taken.refused.index, "source_row"]
    columns = (taken.refused[name] for name in ("code", "column", "value"))
    return [
        (int(row), str(code), str(column), str(value))
        for row, code, column, value in zip(rows, *columns, strict=True)
    ]


def parquet(table: pa.Table) -> bytes:
    sink = io.BytesIO()
    pq.write_table(table, sink)
    return sink.getvalue()


def sales(**columns: pa.Array) -> bytes:
    given = {
        "store_id": pa.array(["S-1", "S-2"]),
        "product_id": pa.array(["P-1", "P-1"]),
        "week": pa.array(["2024-03-04", "2024-03-04"]),
        "units_shipped": pa.array([1, 2]),
    }
    return parquet(pa.table(given | columns))


class TestParquet:
    def test_decimals_keep_their_digits(self, tmp_path: Path) -> None:
        units = pa.array([Decimal("1204.50"), Decimal("0.05")], pa.decimal128(12, 2))

        taken = take(tmp_path, "shipments", sales(units_shipped=units), "format: parquet")

        assert taken.table["units_shipped"].tolist() == [1204.5, 0.05]

    def test_dictionaries_are_their_values_and_are_translated(self, tmp_path: Path) -> None:
        stores = pa.array(["A", "B"]).dictionary_encode()

        taken = take(
            tmp_path,
            "shipments",
            sales(store_id=stores),
            "format: parquet\ncodes: {store_id: {A: S-1, B: S-2}}",
        )

        assert taken.table["store_id"].tolist() == ["S-1", "S-2"]

    @pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
    def test_a_timestamp_at_midnight_is_its_day(self, tmp_path: Path, unit: str) -> None:
        week = pa.array([datetime(2024, 3, 4)] * 2, pa.timestamp(unit))  # noqa: DTZ001

        taken = take(tmp_path, "shipments", sales(week=week), "format: parquet")

        assert len(taken.table) == 2

    def test_a_moment_of_a_time_zone_is_refused_until_the_file_says_which_day(
        self, tmp_path: Path
    ) -> None:
        midnight = datetime(2024, 3, 4, tzinfo=UTC)
        content = sales(week=pa.array([midnight] * 2, pa.timestamp("us", tz="UTC")))

        as_it_is = take(tmp_path / "plain", "shipments", content, "format: parquet")
        by_day = take(
            tmp_path / "sql",
            "shipments",
            content,
            'format: parquet\ncolumns: {week: {sql: "left(week, 10)"}}',
        )

        assert [one[:3] for one in refused(as_it_is)] == [
            (2, "unreadable", "delivered_week"),
            (3, "unreadable", "delivered_week"),
        ]
        assert len(by_day.table) == 2


class TestCsv:
    HEAD = "store_id;product_id;week;units_shipped"
    KEYS = 'delimiter: ";"\ndecimal: ","\nthousands: "."\ndate_format: "%d.%m.%Y"'

    @pytest.mark.parametrize("end", ["\n", "\r\n"])
    @pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
    def test_line_ends_and_a_byte_order_mark_change_nothing(
        self, tmp_path: Path, end: str, encoding: str
    ) -> None:
        text = end.join([self.HEAD, "S-1;P-1;04.03.2024;1.204,5", "S-2;P-1;04.03.2024;viele", ""])

        taken = take(tmp_path, "shipments", text.encode(encoding), self.KEYS)

        assert taken.table[["store_id", "units_shipped"]].to_numpy().tolist() == [["S-1", 1204.5]]
        assert refused(taken) == [(3, "unreadable", "units_shipped", "viele")]

    def test_a_newline_within_quotes_is_one_row(self, tmp_path: Path) -> None:
        text = (
            "product_id;category;brand;launched_on;remark\r\n"
            "P-1;Brot;'it''s; ours';01.02.2020;'two\r\nlines; one value'\r\n"
            "P-2;Brot;'two\nlines';01.02.2020;\r\n"
            "P-3;Brot;ours;31.02.2020;\r\n"
        )
        keys = 'delimiter: ";"\nquote: "\'"\ndate_format: "%d.%m.%Y"'

        taken = take(tmp_path, "products", text, keys)

        assert taken.table[["product_id", "brand"]].to_numpy().tolist() == [["P-1", "it's; ours"]]
        assert refused(taken) == [
            (3, "unreadable", "brand", "two\nlines"),
            (4, "unreadable", "launched_on", "31.02.2020"),
        ]

    @pytest.mark.parametrize(
        ("mark", "text", "units"),
        [
            ('"\'"', "12'345.5", 12345.5),
            ('"\'"', "12\u2019345.5", 12345.5),  # as Switzerland types it
            ('" "', "12 345.5", 12345.5),
            ('" "', "12\u00a0345.5", 12345.5),
            ('" "', "12\u202f345.5", 12345.5),
            ('" "', "345.5", 345.5),
        ],
    )
    def test_marks_between_thousands_are_taken_off(
        self, tmp_path: Path, mark: str, text: str, units: float
    ) -> None:
        content = f"store_id,product_id,week,units_shipped\nS-1,P-1,2024-03-04,{text}\n"

        taken = take(tmp_path, "shipments", content, f"thousands: {mark}")

        assert taken.table["units_shipped"].tolist() == [units]

    @pytest.mark.parametrize("text", ["12'34.5", "1'2345", "'345", "12 345"])
    def test_marks_that_part_no_thousands_refuse_the_row(self, tmp_path: Path, text: str) -> None:
        content = f"store_id,product_id,week,units_shipped\nS-1,P-1,2024-03-04,{text}\n"

        taken = take(tmp_path, "shipments", content, 'thousands: "\'"')

        assert refused(taken) == [(2, "unreadable", "units_shipped", text)]

    def test_a_calendar_week_is_its_monday_also_at_the_turn_of_a_year(self, tmp_path: Path) -> None:
        content = (
            "store_id,product_id,ds,feature,display\n"
            "S-1,P-1,2024-W10,0,0\nS-1,P-1,2026-W53,0,0\nS-1,P-1,2025-W1,0,0\n"
            "S-1,P-1,2024-W53,0,0\n"
        )

        taken = take(tmp_path, "promotions", content, 'date_format: {ds: "%G-W%V"}')

        found = taken.table["ds"].dt.strftime("%Y-%m-%d").tolist()
        assert found == ["2024-03-04", "2026-12-28", "2024-12-30"]
        assert (5, "unreadable", "ds", "2024-W53") in refused(taken)


class TestCodes:
    STORES = "store_id,zip,format,opened_on\nS-1,1,G,2020-01-01\nS-2,1,X,2020-01-01\n"

    def test_another_code_refuses_its_row(self, tmp_path: Path) -> None:
        taken = take(tmp_path, "stores", self.STORES, "codes: {format: {G: large}}")

        assert taken.table["store_id"].tolist() == ["S-1"]
        assert refused(taken) == [(3, "unknown_code", "format", "X")]

    def test_the_default_stands_for_other_codes_but_not_for_nothing(self, tmp_path: Path) -> None:
        text = self.STORES + "S-3,1,,2020-01-01\n"

        taken = take(
            tmp_path, "stores", text, "codes: {format: {values: {G: large}, default: small}}"
        )

        assert taken.table["format"].tolist() == ["large", "small"]
        assert [one[::2] for one in refused(taken)] == [(4, "format")]


class TestExpressions:
    def test_a_value_on_which_the_sql_fails_refuses_its_row_alone(self, tmp_path: Path) -> None:
        content = (
            "store_id,product_id,week,log\n"
            "S-1,P-1,2024-03-04,0\nS-1,P-2,2024-03-04,many\nS-1,P-3,2024-03-04,1\n"
        )
        keys = 'columns: {units_shipped: {sql: "round(exp(log::double))"}}'

        taken = take(tmp_path, "shipments", content, keys)

        assert taken.table["units_shipped"].tolist() == [1.0, 3.0]
        assert [one[:3] for one in refused(taken)] == [(3, "not_computed", "units_shipped")]
