"""Write what `forecast-platform simulate` has delivered once more, in a quite different layout.

The facts are the same, to the last digit; folders, formats, languages, units and codes are not.
``sources.yaml`` beside this file maps them back. See README.md.
"""

import argparse
import gzip
import json
import sqlite3
from contextlib import closing
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

DATABASE = "shop.db"
CASE_SIZES = (4, 8, 20)
"""Units per case, by turns: their quotients are written with three decimals."""

GROUPS = {
    "soft_drinks": 10,
    "juice": 20,
    "chips": 30,
    "cookies": 40,
    "ice_cream": 50,
    "soup": 60,
    "bread": 70,
    "coffee": 80,
}
"""Codes of the product groups; sources.yaml has the same table."""

FORMATS = {"large": "G", "small": "K"}
KINDS = {"observed": "O", "forecast": "F"}
MM_PER_INCH, CM_PER_INCH = 25.4, 2.54


def main() -> None:
    """Read the arguments and write all files."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("landing", type=Path, help="folder that `simulate` has delivered to")
    parser.add_argument("folder", type=Path, help="folder to write to")
    arguments = parser.parse_args()
    write_files(arguments.landing, arguments.folder)
    print(f"{arguments.folder / DATABASE}: name it in SHOP_URL, as sqlite:///<path>")


def write_files(landing: Path, folder: Path) -> None:
    """Write all regions of a landing area in the other layout.

    Parameters
    ----------
    landing : pathlib.Path
        Holds ``<source>/<region>/<week>/<source>.csv``.
    folder : pathlib.Path
        Is made; files that are there are replaced.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for region in sorted(path.name for path in (landing / "shipments").iterdir()):
        (folder / region).mkdir(exist_ok=True)
        write_shipments(read(landing, "shipments", region), folder / region)
        for week, weather in read(landing, "weather", region).groupby("of_week"):
            write_weather(weather, folder / region / f"Wetter_{week}.jsonl")
        for week, plan in read(landing, "promotions", region).groupby("of_week"):
            write_promotions(plan, folder / region / f"Aktionen_{week}.tsv.gz")
        write_master_data(landing, region, folder / region)
        for week, events in read(landing, "events", region).groupby("of_week"):
            write_events(events, folder / region / f"Ereignisse_{week}.parquet")
        for week, shoppers in read(landing, "shoppers", region).groupby("of_week"):
            write_shoppers(shoppers, folder / region / f"Kunden_{week}.parquet")
    write_returns(landing, folder / DATABASE)


def read(landing: Path, source: str, region: str) -> pd.DataFrame:
    """Read all files of one source and region as text, with ``of_week``, the week of the file."""
    files = sorted((landing / source / region).glob("*/*.csv"))
    rows = [pd.read_csv(file, dtype="str").assign(of_week=file.parent.name) for file in files]
    return pd.concat(rows, ignore_index=True)


def german(day: pd.Series) -> pd.Series:
    """Write YYYY-MM-DD as DD.MM.YYYY; nothing where there is nothing."""
    return pd.to_datetime(day).dt.strftime("%d.%m.%Y")


def german_number(number: float) -> str:
    """Write three decimals, a comma before them and points between thousands."""
    return f"{number:,.3f}".translate(str.maketrans(",.", ".,"))


def write_shipments(rows: pd.DataFrame, folder: Path) -> None:
    """Write one CSV a year: semicolons, latin-1, CRLF, cases, decimal commas, German dates."""
    numbers = rows["product_id"].str[-4:].astype(int)
    each = pd.Series([CASE_SIZES[one % len(CASE_SIZES)] for one in numbers], index=rows.index)
    table = pd.DataFrame(
        {
            "Filiale": rows["store_id"],
            "Artikel": rows["product_id"],
            "Woche ab": german(rows["week"]),
            "Menge (Karton)": (rows["units_shipped"].astype(float) / each).map(german_number),
            "Stück je Karton": each,
        }
    )
    for year, part in table.groupby(rows["week"].str[:4]):
        part.to_csv(
            folder / f"Lieferungen_{year}.csv",
            sep=";",
            index=False,
            encoding="latin-1",
            lineterminator="\r\n",
        )


def write_returns(landing: Path, path: Path) -> None:
    """Write all regions' returns, in dozens, into a table of a SQLite database."""
    path.unlink(missing_ok=True)
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("create table retouren (gebiet, filiale, artikel, montag, dutzend)")
        for region in sorted(one.name for one in (landing / "returns").iterdir()):
            rows = read(landing, "returns", region)
            dozens = rows["units_returned"].astype(float) / 12
            told = zip(rows["store_id"], rows["product_id"], rows["week"], dozens, strict=True)
            connection.executemany(
                "insert into retouren values (?, ?, ?, ?, ?)", [(region, *row) for row in told]
            )


def write_weather(rows: pd.DataFrame, path: Path) -> None:
    """Write JSON lines with nested objects, codes, Fahrenheit and inches."""
    numbers = rows[["temperature_c", "precipitation_mm", "snow_cm"]].astype(float)
    found = pd.DataFrame(
        {
            "place": [{"zip": one} for one in rows["zip"]],
            "what": rows["kind"].map(KINDS),
            "day": rows["day"],
            "issued": rows["issued_on"],
            "temp_f": (numbers["temperature_c"] * 9 / 5 + 32).round(12),
            "rain_in": (numbers["precipitation_mm"] / MM_PER_INCH).round(12),
            "snow_in": (numbers["snow_cm"] / CM_PER_INCH).round(12),
        }
    ).astype("object")
    found = found.where(found.notna(), None)
    lines = [json.dumps(one) for one in found.to_dict("records")]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def write_promotions(rows: pd.DataFrame, path: Path) -> None:
    """Write packed tab-separated values with a BOM: cents, percents, calendar weeks."""
    table = pd.DataFrame(
        {
            "Filiale": rows["store_id"],
            "Artikel": rows["product_id"],
            "KW": pd.to_datetime(rows["week"]).dt.strftime("%G-W%V"),
            "Cent": (rows["price"].astype(float) * 100).round().astype("Int64"),
            "Handzettel %": (rows["feature"].astype(float) * 100).round(9),
            "Display %": (rows["display"].astype(float) * 100).round(9),
        }
    )
    text = table.to_csv(sep="\t", index=False)
    path.write_bytes(gzip.compress(text.encode("utf-8-sig"), mtime=0))


def write_master_data(landing: Path, region: str, folder: Path) -> None:
    """Write one workbook a delivery, with a sheet of stores and one of products."""
    stores, products = (read(landing, name, region) for name in ("stores", "products"))
    for week in sorted({*stores["of_week"], *products["of_week"]}):
        own = products[products["of_week"] == week]
        with pd.ExcelWriter(folder / f"Stammdaten_{week}.xlsx", engine="openpyxl") as book:
            for name, sheet in (
                ("Filialen", stores_sheet(stores[stores["of_week"] == week])),
                ("Artikel", products_sheet(own)),
            ):
                title = pd.DataFrame([[f"{name} {region}"]])
                title.to_excel(book, sheet_name=name, index=False, header=False)
                sheet.to_excel(book, sheet_name=name, index=False, startrow=2)


def stores_sheet(rows: pd.DataFrame) -> pd.DataFrame:
    """Zip codes are typed numbers; one date is a typed day, the other text."""
    return pd.DataFrame(
        {
            "Filiale": rows["store_id"],
            "PLZ": rows["zip"].astype(int),
            "Art": rows["format"].map(FORMATS),
            "Eröffnet": pd.to_datetime(rows["opened_on"]),
            "Geschlossen": german(rows["closed_on"]),
        }
    )


def products_sheet(rows: pd.DataFrame) -> pd.DataFrame:
    """Categories are codes of product groups."""
    return pd.DataFrame(
        {
            "Artikel": rows["product_id"],
            "Gruppe": rows["category"].map(GROUPS),
            "Marke": rows["brand"],
            "Größe": rows["package_size"],
            "Ab": german(rows["launched_on"]),
            "Bis": german(rows["delisted_on"]),
        }
    )


def write_events(rows: pd.DataFrame, path: Path) -> None:
    """Write Parquet with dictionaries, days and flags."""
    table = pa.table(
        {
            "name": pa.array(rows["event"]).dictionary_encode(),
            "first_day": pa.array(pd.to_datetime(rows["starts_on"]).dt.date, pa.date32()),
            "last_day": pa.array(pd.to_datetime(rows["ends_on"]), pa.timestamp("ms")),
            "level": pa.array(rows["scope"].str[0].str.upper()).dictionary_encode(),
            "of": pa.array(rows["scope_id"]),
            "public": pa.array(rows["is_holiday"] == "true"),
        }
    )
    pq.write_table(table, path)


def write_shoppers(rows: pd.DataFrame, path: Path) -> None:
    """Write Parquet with decimals: shares as percents, distances as delivered."""
    columns: dict[str, pa.Array] = {
        "store": pa.array(rows["store_id"]),
        "as_of": pa.array(pd.to_datetime(rows["as_of_on"]), pa.timestamp("us", tz="UTC")),
    }
    for name in rows.columns.drop(["store_id", "as_of_on", "of_week"]):
        numbers = pa.array(rows[name]).cast(pa.decimal128(14, 4))
        percent = name.startswith("share_")
        columns[name] = _times_100(numbers) if percent else numbers
    pq.write_table(pa.table(columns), path)


def _times_100(numbers: pa.Array) -> pa.Array:
    values = [None if one is None else one * 100 for one in numbers.to_pylist()]
    return pa.array(values, pa.decimal128(14, 4))


if __name__ == "__main__":
    main()
