"""Delivered files are read as text under contract names, or refused with what is wrong."""

import gzip
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from forecast_platform.errors import LandingMissing
from forecast_platform.partitions import RegionWeek
from forecast_platform.resources import unpacking
from forecast_platform.resources.landing import Delivery, Landing

WEEK = pd.Timestamp("2024-03-04").as_unit("us")
NEXT = WEEK + pd.Timedelta(weeks=1)
KEY = RegionWeek("north", WEEK)
HEADER = "store_id,product_id,week,units_shipped"
ROW = "0012,P1,2024-03-04,3"
FOLDER = "shipments/north/2024-03-04"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "landing" / FOLDER).mkdir(parents=True)
    return tmp_path / "landing"


def landing(folder: Path, *lines: str, source: str = "shipments") -> Landing:
    """A landing area; ``lines`` describe one source in place of the packaged file."""
    if not lines:
        return Landing(uri=str(folder))
    file = folder.with_name("sources.yaml")
    file.write_text("\n".join(["sources:", f"  {source}:", *(f"    {line}" for line in lines)]))
    return Landing(uri=str(folder), sources_file=str(file))


def put(folder: Path, content: str | bytes, name: str = f"{FOLDER}/s.csv") -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def read(where: Landing, *keys: RegionWeek, source: str = "shipments") -> Delivery:
    return where.read(source, keys or (KEY,))


def rows_in(where: Landing) -> list[list[str]]:
    """Read the one row that most tests deliver, as store, product, week and units."""
    delivery = read(where)
    assert not delivery.bad, delivery.bad
    return delivery.rows.iloc[:, :4].to_numpy().tolist()


def of_format(format_: str, extension: str, *lines: str) -> list[str]:
    path = f"path: 'shipments/{{region}}/{{week}}/*.{extension}'"
    return [path, "required: weekly", f"format: {format_}", *lines]


RIGHT = [["0012", "P1", "2024-03-04", "3"]]

# forms of files


@pytest.mark.parametrize(
    "content",
    [
        f"{HEADER}\n{ROW}\n",
        f"{HEADER}\r\n{ROW}\r\n",
        f"{HEADER}\n{ROW}",
        f"\ufeff{HEADER}\n{ROW}\n",
        '"store_id","product_id","week","units_shipped"\n"0012","P1","2024-03-04","3"\n',
        "units_shipped,week,extra,product_id,store_id\n3,2024-03-04,x,P1,0012\n",
        f"{HEADER}\n\n{ROW}\n\n",
    ],
    ids=["plain", "crlf", "no newline", "BOM", "quoted", "other order", "blank lines"],
)
def test_csv_is_read_however_it_was_saved(folder: Path, content: str):
    put(folder, content)

    assert rows_in(landing(folder)) == RIGHT


@pytest.mark.parametrize("encoding", ["latin-1", "cp1252", "utf-16", "utf-8-sig"])
def test_csv_of_another_encoding_and_delimiter_is_read(folder: Path, encoding: str):
    put(folder, f"{HEADER};ort\n{ROW};Zürich\n".replace(",", ";").encode(encoding))

    where = landing(folder, *of_format("csv", "csv", "delimiter: ';'", f"encoding: {encoding}"))

    assert rows_in(where) == RIGHT


def test_a_quoted_value_may_hold_a_newline_and_the_delimiter(folder: Path):
    put(folder, f'{HEADER}\n"a,b\nc",P1,2024-03-04,3\n{ROW}\n')

    assert [row[0] for row in rows_in(landing(folder))] == ["a,b\nc", "0012"]


def test_packed_csv_is_read(folder: Path):
    put(folder, gzip.compress(f"{HEADER}\n{ROW}\n".encode(), mtime=0), f"{FOLDER}/s.csv.gz")

    assert rows_in(landing(folder, *of_format("csv", "csv.gz"))) == RIGHT


@pytest.mark.parametrize("units", [3, 3.0, "3"])
def test_excel_is_read(folder: Path, units: object):
    columns = HEADER.split(",")
    frame = pd.DataFrame([["0012", "P1", "2024-03-04", units]], columns=columns)
    frame.to_excel(folder / FOLDER / "s.xlsx", index=False)

    assert rows_in(landing(folder, *of_format("excel", "xlsx"))) == RIGHT


def test_excel_keeps_text_that_looks_like_nothing(folder: Path):
    frame = pd.DataFrame(
        [["NA", "None", pd.Timestamp("2024-03-04"), None]], columns=HEADER.split(",")
    )
    frame.to_excel(folder / FOLDER / "s.xlsx", index=False)

    rows = rows_in(landing(folder, *of_format("excel", "xlsx")))

    assert rows == [["NA", "None", "2024-03-04", ""]]


def test_json_lines_are_read_as_they_were_written(folder: Path):
    put(
        folder,
        '{"store_id": "0012", "product_id": "P1", "week": "2024-03-04", "units_shipped": 3}\n\n'
        '{"store_id": 7, "product_id": "P2", "week": null, "units_shipped": 1e3, "x": {"y": [1]}}\n'
        '{"store_id": true, "product_id": "2024-01-01", "units_shipped": 12345678901234567890.5}\n',
        f"{FOLDER}/s.jsonl",
    )

    rows = read(landing(folder, *of_format("jsonl", "jsonl"))).rows

    assert rows["store_id"].tolist() == ["0012", "7", "true"]
    assert rows["product_id"].tolist() == ["P1", "P2", "2024-01-01"]
    assert rows["units_shipped"].tolist() == ["3", "1e3", "12345678901234567890.5"]
    assert rows["delivered_week"].isna().tolist() == [False, True, True]


@pytest.mark.parametrize(
    ("values", "text"),
    [
        (pa.array([3, None]), ["3", None]),
        (pa.array([3.0, None]), ["3", None]),
        (pa.array([0.1, 1e-7]), ["0.1", "0.0000001"]),
        (pa.array([0.1, 2.0], pa.float32()), ["0.1", "2"]),
        (pa.array([float("inf"), float("nan")]), ["inf", "nan"]),
        (pa.array([True, None]), ["true", None]),
        (pa.array(["007", "x"]).dictionary_encode(), ["007", "x"]),
        (pa.array([None, None]), [None, None]),
        (pa.array([[1], None]), ["[1]", None]),
        (pa.array([20000, None], pa.date32()), ["2024-10-04", None]),
    ],
)
def test_numbers_of_parquet_become_plain_text(folder: Path, values: pa.Array, text: list):
    table = pa.table({"store_id": ["a", "b"], "product_id": ["c", "d"], "week": ["e", "f"]})
    pq.write_table(table.append_column("units_shipped", values), folder / FOLDER / "s.parquet")

    rows = read(landing(folder, *of_format("parquet", "parquet"))).rows

    assert (
        rows["units_shipped"].astype(object).where(rows["units_shipped"].notna(), None).tolist()
        == text
    )


# files that are no good


def whole_parquet(path: Path) -> bytes:
    pq.write_table(pa.table({name: ["1"] * 999 for name in HEADER.split(",")}), path)
    return path.read_bytes()


@pytest.mark.parametrize(
    ("format_", "extension", "content"),
    [
        ("csv", "csv", b""),
        ("csv", "csv", f"{HEADER}\n{ROW}\n0012,P".encode()),
        ("csv", "csv", f"{HEADER}\nZ\xfcrich,P1,2024-03-04,3\n".encode("latin-1")),
        ("csv", "csv", f"{HEADER},week\n{ROW},1\n".encode()),
        ("csv", "csv", b"\x00\x01\x02\xff\xfe" * 50),
        ("csv", "csv.gz", gzip.compress(f"{HEADER}\n{ROW}\n".encode() * 50, mtime=0)[:-20]),
        ("csv", "csv.gz", b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03" + b"junk" * 20),
        ("csv", "csv.gz", b"not packed at all"),
        ("parquet", "parquet", b"PAR1"),
        ("jsonl", "jsonl", b'{"store_id": "1"'),
        ("jsonl", "jsonl", b'{"store_id": 1\n[1]\n'),
        ("jsonl", "jsonl", b""),
        ("jsonl", "jsonl", b"[" * 100_000),
        ("excel", "xlsx", b"PK\x03\x04 but no workbook"),
        ("excel", "xlsx", b""),
    ],
)
def test_a_file_that_cannot_be_read_is_bad_and_named(
    folder: Path, format_: str, extension: str, content: bytes
):
    put(folder, content, f"{FOLDER}/s.{extension}")

    delivery = read(landing(folder, *of_format(format_, extension)))

    assert delivery.rows.empty
    assert set(delivery.bad) == {KEY}
    assert delivery.bad[KEY].startswith(f"{FOLDER}/s.{extension} cannot be read as {format_}")


@pytest.mark.parametrize("kept", [0.1, 0.5, 0.99])
def test_a_truncated_parquet_file_is_bad(folder: Path, tmp_path: Path, kept: float):
    content = whole_parquet(tmp_path / "whole.parquet")
    put(folder, content[: int(len(content) * kept)], f"{FOLDER}/s.parquet")

    assert KEY in read(landing(folder, *of_format("parquet", "parquet"))).bad


def test_a_workbook_that_unpacks_to_more_than_can_be_held_is_bad(
    folder: Path, monkeypatch: pytest.MonkeyPatch
):
    frame = pd.DataFrame([["1", "1", "1", "1"]] * 2000, columns=HEADER.split(","))
    frame.to_excel(folder / FOLDER / "s.xlsx")
    monkeypatch.setattr(unpacking, "MAX_HELD_BYTES", 100)

    assert "more than 100 bytes" in read(landing(folder, *of_format("excel", "xlsx"))).bad[KEY]


@pytest.mark.parametrize(
    "line",
    [
        "query: select * from delivered",
        "columns: {units_shipped: {sql: max(units_shipped) over ()}}",
    ],
)
def test_rows_that_sql_looks_at_together_are_held_and_limited(
    folder: Path, monkeypatch: pytest.MonkeyPatch, line: str
):
    put(folder, "\n".join([HEADER, *[ROW] * 100]) + "\n")
    where = landing(folder, *of_format("csv", "csv", line))
    assert len(read(where).rows) == 100

    monkeypatch.setattr(unpacking, "MAX_HELD_BYTES", 100)

    assert read(where).bad[KEY] == (
        f"{FOLDER}/s.csv: it has to be held whole and is more than 100 bytes: deliver it in parts"
    )


def test_a_missing_column_is_named_with_the_file_and_what_it_has(folder: Path):
    put(folder, f"store_id,product_id,week,qty\n{ROW}\n")

    assert read(landing(folder)).bad[KEY] == (
        f"{FOLDER}/s.csv has no column units_shipped; it has store_id, product_id, week, qty. "
        "Rename it in the file, or map it under sources.shipments.columns in the sources file"
    )


def test_a_column_that_may_be_empty_may_be_left_out(folder: Path):
    put(
        folder,
        "store_id,zip,format,opened_on\n1,00501,large,2020-01-01\n",
        "stores/north/2024-03-04/s.csv",
    )

    rows = read(landing(folder), source="stores").rows

    assert rows["zip"].tolist() == ["00501"]
    assert rows["closed_on"].isna().all()


def test_a_bad_file_spoils_its_own_week_alone(folder: Path):
    put(folder, f"{HEADER}\n{ROW}\n")
    put(folder, "", "shipments/north/2024-03-11/s.csv")

    delivery = read(landing(folder), KEY, RegionWeek("north", NEXT))

    assert set(delivery.bad) == {RegionWeek("north", NEXT)}
    assert len(delivery.rows) == 1


# where files lie


@pytest.mark.parametrize("make", [lambda f: f.mkdir(), lambda f: None], ids=["empty", "missing"])
def test_an_empty_landing_area_says_what_to_do(tmp_path: Path, make):
    make(tmp_path / "nowhere")

    with pytest.raises(LandingMissing, match="is empty or does not exist"):
        read(landing(tmp_path / "nowhere"))


def test_a_week_without_files_has_none(folder: Path):
    put(folder, f"{HEADER}\n{ROW}\n")

    delivery = read(landing(folder), RegionWeek("north", NEXT))

    assert delivery.rows.empty
    assert not delivery.files
    assert not delivery.bad


def test_a_source_that_the_customer_does_not_have_is_empty(folder: Path):
    where = landing(folder, *of_format("csv", "csv"))

    assert read(where, source="promotions").rows.empty


def test_a_link_that_leads_out_of_the_folder_is_not_followed(folder: Path, tmp_path: Path):
    secret = put(tmp_path, f"{HEADER}\n{ROW}\n", "secret.csv")
    (folder / FOLDER / "s.csv").symlink_to(secret)

    delivery = read(landing(folder))

    assert delivery.rows.empty
    assert "leads out of the landing area" in delivery.bad[KEY]


def test_a_linked_folder_outside_is_not_read(folder: Path, tmp_path: Path):
    put(tmp_path, f"{HEADER}\n{ROW}\n", "other/2024-03-04/s.csv")
    put(folder, "x", "shipments/east/2024-03-04/s.csv")
    (folder / "shipments" / "south").symlink_to(tmp_path / "other")

    delivery = read(landing(folder), RegionWeek("south", WEEK))

    assert delivery.rows.empty


def test_half_delivered_and_foreign_files_are_left_alone(folder: Path):
    put(folder, f"{HEADER}\n{ROW}\n")
    for name in (".s.csv.part", ".hidden.csv", "notes.txt", "deeper/s.csv"):
        put(folder, "junk", f"{FOLDER}/{name}")
    put(folder, "junk", "shipments/north/2024-03-05/s.csv")

    assert rows_in(landing(folder)) == RIGHT
    assert [one.file for one in landing(folder).files()] == [f"{FOLDER}/s.csv"]


def test_nothing_that_was_delivered_is_changed(folder: Path):
    put(folder, f"{HEADER}\n{ROW}\n")
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}

    read(landing(folder))

    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*")} == before


def test_files_of_a_week_are_read_in_the_order_in_which_people_number_them(folder: Path):
    names = ["s.csv", "s (1).csv", "s-2.csv", "s_correction_9.csv", "s_correction_10.csv"]
    for name in reversed(names):
        put(folder, f"{HEADER}\n{ROW}\n", f"{FOLDER}/{name}")

    assert [Path(one.file).name for _, one, *_ in read(landing(folder)).files] == names


# columns


def test_columns_are_mapped_computed_and_filled_in(folder: Path):
    put(folder, "shop,qty,wk\n0012,3,9\n")
    lines = [
        "columns:",
        "  store_id: shop",
        "  product_id: {value: P1}",
        "  units_shipped: {sql: 'qty::int'}",
        "  week: {sql: \"date '2024-01-01' + 7 * wk::int\"}",
    ]

    assert rows_in(landing(folder, *of_format("csv", "csv", *lines))) == RIGHT


def test_a_query_joins_further_files(folder: Path):
    put(folder, "shop,units_shipped,week\na,3,2024-03-04\n")
    put(folder, "shop,store_id\na,0012\n", "lookup.csv")
    lines = [
        "tables: {shops: {path: lookup.csv}}",
        "query: select *, 'P1' as product_id from delivered join shops using (shop)",
    ]

    assert rows_in(landing(folder, *of_format("csv", "csv", *lines))) == RIGHT


@pytest.mark.parametrize(
    "sql",
    [
        "select * from read_csv('/etc/passwd')",
        "copy delivered to '/tmp/stolen.csv'",
        "select 1; select 2",
        "install httpfs",
        "select * from tables",
        "select units_shipped + 'x' from delivered",
        "select",
    ],
)
def test_sql_that_fails_or_reaches_out_makes_the_file_bad(folder: Path, sql: str):
    put(folder, f"{HEADER}\n{ROW}\n")

    delivery = read(landing(folder, *of_format("csv", "csv", f'query: "{sql}"')))

    assert delivery.rows.empty
    assert FOLDER in delivery.bad[KEY]


def test_rows_tell_their_region_where_no_path_does(folder: Path):
    rows = [f"{ROW},north", f"{ROW},south", f"{ROW},north"]
    put(folder, "\n".join([f"{HEADER},area", *rows]), "all/2024-03-04.csv")
    keys = [RegionWeek(name, WEEK) for name in ("east", "north", "south")]

    delivery = read(
        landing(folder, "path: 'all/{week}.csv'", "required: weekly", "columns: {region: area}"),
        *keys,
    )

    assert delivery.rows[["region", "source_row"]].to_numpy().tolist() == [
        ["north", 2],
        ["south", 3],
        ["north", 4],
    ]
    assert [one.key for one in delivery.files] == keys


# files of many weeks

MANY = ["path: 'all/{region}.csv'", "required: weekly"]


def test_a_file_of_many_weeks_is_split_by_its_rows(folder: Path):
    weeks = ["2024-03-04", "2024-03-11", "2024-03-11", "2024-03-18"]
    put(folder, "\n".join([HEADER, *(f"S,P,{week},1" for week in weeks)]), "all/north.csv")
    keys = [RegionWeek("north", WEEK), RegionWeek("north", NEXT)]

    delivery = read(landing(folder, *MANY), *keys)

    assert delivery.rows["week"].tolist() == [WEEK, NEXT, NEXT]
    assert delivery.rows["source_row"].tolist() == [2, 3, 4]
    assert [one.key for one in delivery.files] == keys


@pytest.mark.parametrize("text", ["2024-02-30", "n/a", ""])
def test_a_row_of_no_readable_week_comes_before_the_contract_in_one_week_whoever_asks(
    folder: Path, text: str
):
    weeks = ["2024-03-04", "2024-03-11", text, "2024-03-18"]
    put(folder, "\n".join([HEADER, *(f"S,P,{week},1" for week in weeks)]), "all/north.csv")
    keys = [RegionWeek("north", WEEK + pd.Timedelta(weeks=i)) for i in range(3)]

    rows = {key: read(landing(folder, *MANY), key).rows["source_row"].tolist() for key in keys}
    at_once = read(landing(folder, *MANY), *keys).rows

    assert list(rows.values()) == [[2], [3, 4], [5]]
    assert at_once["source_row"].tolist() == [2, 3, 4, 5]


def test_a_file_of_many_weeks_that_cannot_be_read_spoils_its_region_alone(folder: Path):
    put(folder, f"{HEADER}\n{ROW}\n", "all/north.csv")
    put(folder, f"{HEADER}\nS,P", "all/south.csv")
    put(folder, f"{HEADER}\nS,P,4 March,1\n", "all/west.csv")
    keys = [RegionWeek(name, WEEK) for name in ("north", "south", "west")]

    delivery = read(landing(folder, *MANY), *keys)

    assert set(delivery.bad) == set(keys[1:])
    assert "no row has a date YYYY-MM-DD" in delivery.bad[keys[2]]
    assert delivery.rows["region"].tolist() == ["north"]


def test_plans_of_many_weeks_are_known_before_their_week(folder: Path):
    header = "store_id,product_id,ds,price,feature,display"
    put(folder, f"{header}\nS,P,2024-04-01,1,0,0\n", "all/north.csv")
    where = landing(folder, *MANY, "known_weeks_before: 4", source="promotions")

    assert len(read(where, source="promotions").rows) == 1


def test_master_data_without_a_date_is_known_from_a_day(folder: Path):
    put(folder, "store_id,zip,format,opened_on\n1,00501,large,2020-01-01\n", "all/north.csv")
    where = landing(folder, *MANY, "known_from: 2024-03-11", source="stores")

    assert read(where, source="stores").rows.empty
    assert len(read(where, RegionWeek("north", NEXT), source="stores").rows) == 1


# buckets


def test_a_bucket_is_read_as_a_folder_is(folder: Path):
    put(folder, f"{HEADER}\n{ROW}\n")
    put(folder, f"{HEADER}\n{ROW}\n", f"{FOLDER}/t.csv")
    put(folder, "", "shipments/north/2024-03-11/s.csv")
    keys = [KEY, RegionWeek("north", NEXT)]

    local = read(landing(folder), *keys)
    remote = read(Landing(uri=f"file://{folder}"), *keys)

    pd.testing.assert_frame_equal(remote.rows, local.rows)
    assert remote.bad == local.bad
    assert [(key, one.file, digest) for key, one, digest, _ in remote.files] == [
        (key, one.file, digest) for key, one, digest, _ in local.files
    ]
