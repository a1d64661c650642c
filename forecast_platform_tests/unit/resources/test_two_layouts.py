"""The same facts in two quite different layouts are the same accepted rows."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pandas as pd
import pytest

from forecast_platform.partitions import RegionWeek
from forecast_platform.resources.landing import Landing
from forecast_platform.schemas.acceptance import accept
from forecast_platform.schemas.raw import CONTRACTS

KEY = RegionWeek("north", pd.Timestamp("2024-03-04").as_unit("us"))
WEEK = "north/2024-03-04"
PLAIN = "\n".join(
    f"  {name}: {{path: '{{region}}/{{week}}/{name}.csv', required: weekly}}"
    for name in ("shipments", "returns", "weather", "stores", "events")
)
OTHER = """
  shipments:
    sql: {connection: TEST_SHOP_URL, table: lieferung, week_column: montag, region_column: gebiet}
    required: weekly
    columns: {store_id: filiale, product_id: artikel, week: montag, units_shipped: kartons}
    units: {units_shipped: {factor_from: je_karton}}
  returns:
    path: "{region}_2024.csv"
    required: optional
    delimiter: ";"
    encoding: latin-1
    decimal: ","
    thousands: "."
    date_format: "%d.%m.%Y"
    columns: {store_id: Filiale, product_id: Artikel, week: Rückgabe, units_returned: Menge}
    units: {units_returned: dozens_to_units}
  weather:
    path: "{region}/{week}.jsonl"
    format: jsonl
    required: weekly
    columns:
      zip: place.zip
      issued_on: day
      kind: {value: observed}
      temperature_c: temp_f
      precipitation_mm: rain_in
      snow_cm: {value: "0"}
    units: {temperature_c: fahrenheit_to_celsius, precipitation_mm: inches_to_mm}
  stores:
    path: "{region}/{week}.xlsx"
    format: excel
    sheet: [Nord, Sued]
    skip_rows: 2
    required: snapshot
    date_format: "%d.%m.%Y"
    columns: {store_id: Filiale, zip: PLZ, format: Art, opened_on: Auf, closed_on: Zu}
    codes: {format: {G: large, K: small}}
  events:
    path: "{region}/{week}.parquet"
    format: parquet
    required: optional
"""


@pytest.fixture
def layouts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Landing, Landing]:
    plain, other = tmp_path / "plain", tmp_path / "other"
    for folder in (plain / WEEK, other / "north"):
        folder.mkdir(parents=True)
    week = "2024-03-04"
    texts = {
        "shipments": f"store_id,product_id,week,units_shipped\nS-1,P-1,{week},24\nS-2,P-1,{week},6",
        "returns": f"store_id,product_id,week,units_returned\nS-1,P-1,{week},18018\n",
        "weather": "zip,day,kind,issued_on,temperature_c,precipitation_mm,snow_cm\n"
        "75001,2024-03-05,observed,2024-03-05,12.3,4.7,0\n",
        "stores": "store_id,zip,format,opened_on,closed_on\n"
        "S-1,75001,large,2015-03-01,\nS-2,75002,small,2019-09-15,2024-06-30\n",
        "events": "event,starts_on,ends_on,scope,scope_id,is_holiday\n"
        "easter,2024-03-31,2024-04-01,region,north,true\n",
    }
    for name, text in texts.items():
        (plain / WEEK / f"{name}.csv").write_text(text)
    with closing(sqlite3.connect(tmp_path / "shop.db")) as connection, connection:
        connection.execute(
            "create table lieferung (gebiet, filiale, artikel, montag, kartons, je_karton)"
        )
        for store, cases, each in (("S-1", 2, 12), ("S-2", 1.5, 4)):
            connection.execute(
                "insert into lieferung values ('north', ?, 'P-1', ?, ?, ?)",
                (store, week, cases, each),
            )
    monkeypatch.setenv("TEST_SHOP_URL", f"sqlite:///{tmp_path / 'shop.db'}")
    (other / "north_2024.csv").write_text(
        "Filiale;Artikel;Rückgabe;Menge\r\nS-1;P-1;04.03.2024;1.501,5\r\n", "latin-1", newline=""
    )
    (other / "north" / f"{week}.jsonl").write_text(
        '{"place": {"zip": "75001"}, "day": "2024-03-05", "temp_f": 54.14, '
        '"rain_in": 0.185039370079}'
    )
    header = ["Filiale", "PLZ", "Art", "Auf", "Zu"]
    with pd.ExcelWriter(other / "north" / f"{week}.xlsx") as book:
        for sheet, row in (
            ("Nord", ["S-1", 75001, "G", pd.Timestamp("2015-03-01"), None]),
            ("Sued", ["S-2", "75002", "K", "15.09.2019", "30.06.2024"]),
        ):
            junk = [["Stammdaten", *[None] * 4], [None] * 5]
            frame = pd.DataFrame([*junk, header, row])
            frame.to_excel(book, sheet_name=sheet, index=False, header=False)
    pd.DataFrame(
        {
            "event": pd.Categorical(["easter"]),
            "starts_on": pd.to_datetime(["2024-03-31"]),
            "ends_on": pd.to_datetime(["2024-04-01"]),
            "scope": "region",
            "scope_id": "north",
            "is_holiday": True,
        }
    ).to_parquet(other / "north" / f"{week}.parquet")
    made = []
    for folder, lines in ((plain, PLAIN), (other, OTHER)):
        file = tmp_path / f"{folder.name}.yaml"
        file.write_text(f"sources:\n{lines}")
        made.append(Landing(uri=str(folder), sources_file=str(file)))
    return made[0], made[1]


@pytest.mark.parametrize("source", ["shipments", "returns", "weather", "stores", "events"])
def test_both_layouts_give_the_same_rows(layouts: tuple[Landing, Landing], source: str) -> None:
    tables = []
    for landing in layouts:
        delivery = landing.read(source, [KEY])
        assert not delivery.bad
        judged = accept(delivery.rows, CONTRACTS[source])
        assert judged.refused.empty
        table = judged.table.drop(columns=["source_file", "source_row"])
        tables.append(table.sort_values(list(CONTRACTS[source].key[:1])).reset_index(drop=True))

    assert len(tables[0]) > 0
    pd.testing.assert_frame_equal(*tables, check_exact=True)
