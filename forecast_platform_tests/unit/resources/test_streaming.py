"""A file is read by the block and the batch, and says what it says when it is read at once."""

import gzip
import hashlib
import io
import json
import random
import zipfile
from collections import Counter
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.csv as pacsv
import pyarrow.parquet as pq
import pytest

from forecast_platform.partitions import RegionWeek
from forecast_platform.resources import contents, csv_files, json_lines, landing_area, placing
from forecast_platform.resources.landing import Delivery, Landing
from forecast_platform.schemas import batches
from forecast_platform.schemas.batches import plain_frame
from forecast_platform.vocabulary import REGION, WEEK

COLUMNS = ["store_id", "product_id", "week", "units_shipped", "area"]
HEADER = ",".join(COLUMNS)
MONDAYS = [pd.Timestamp("2024-01-01").as_unit("us") + pd.Timedelta(weeks=i) for i in range(4)]
KEYS = [RegionWeek(region, week) for region in ("north", "south") for week in MONDAYS]
BYTES = 64
"""Of a block, so that lines, characters and quoted values lie across several."""


def landing(tmp_path: Path, *, area: bool = True, **described: object) -> Landing:
    file = tmp_path / "sources.yaml"
    source = {"path": "all.*", "required": "weekly", **described}
    source |= {"columns": {"region": "area"}} if area else {"region": "north"}
    file.write_text(json.dumps({"sources": {"shipments": source}}))
    return Landing(uri=str(tmp_path / "landing"), sources_file=str(file))


def put(tmp_path: Path, content: bytes, name: str = "all.csv") -> None:
    (tmp_path / "landing").mkdir(exist_ok=True)
    (tmp_path / "landing" / name).write_bytes(content)


@pytest.fixture
def small_steps(monkeypatch: pytest.MonkeyPatch):
    """Make blocks and batches so small that a file of dozens of rows has many."""

    def make() -> None:
        monkeypatch.setattr(landing_area, "HELD_BYTES", 0)
        monkeypatch.setattr(contents, "BLOCK", BYTES)
        monkeypatch.setattr(csv_files, "PARSED_BYTES", 3 * BYTES)
        monkeypatch.setattr(json_lines, "LINES_BYTES", 8 * BYTES)
        monkeypatch.setattr(batches, "BATCH_ROWS", 7)

    return make


def damaged_lines(seed: int) -> list[bytes]:
    """Rows of all region-weeks, quoted ends of lines, rows that cannot be read, dates likewise."""
    chance = random.Random(seed)  # noqa: S311 - rows, no secrets
    lines = [b"S1,P1,2024-01-01,1,north", b"\xff,P1,2024-01-01,1,north", b"S1,P1"]
    for number in range(90):
        week = f"{chance.choice(MONDAYS):%Y-%m-%d}" if chance.random() < 0.9 else "soon"
        region = chance.choice(["north", "south", "east", ""])
        lines.append(f"S{number},P1,{week},{number % 5},{region}".encode())
        lines += chance.choices(
            [b'"S\n1",P\xc3\xbc,2024-01-08,1,south', b"S\xff,P1,2024-01-01,1,north", b"S1,P1", b""],
            weights=[1, 1, 2, 12],
        )
    return [b"S0", b"S0,P1,soon,1,north", *lines] if seed % 2 else lines


def said(delivery: Delivery) -> tuple[object, ...]:
    rows = plain_frame(delivery.rows).reset_index(drop=True)
    files = [(one.key, one.sha256, one.rows_sha256) for one in delivery.files]
    return rows.to_csv(), files, delivery.bad, delivery.elsewhere


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("area", [True, False], ids=["regions by column", "one region"])
def test_a_damaged_file_of_many_region_weeks_says_the_same_in_small_steps(
    tmp_path: Path, small_steps, seed: int, *, area: bool
):
    put(tmp_path, b"\n".join([HEADER.encode(), *damaged_lines(seed), b""]))
    where = landing(tmp_path, area=area)
    keys = [KEYS, KEYS[1:2]]

    at_once = [said(where.read("shipments", some)) for some in keys]
    small_steps()

    assert [said(where.read("shipments", some)) for some in keys] == at_once
    assert "malformed" in at_once[0][0]
    assert "undecodable" in at_once[0][0]


def oracle_digests(rows: pd.DataFrame) -> dict[RegionWeek, str]:
    """Digest the rows of each region-week, all of them at once."""
    told = rows.drop(columns=["source_file", "source_row"])
    found = {}
    for (region, week), own in told.fillna({REGION: ""}).groupby([REGION, WEEK], sort=False):
        out = io.BytesIO()
        table = pa.Table.from_pandas(told.loc[own.index], preserve_index=False)
        fields = [pa.field(f.name, pa.string() if "string" in str(f.type) else f.type)
                  for f in table.schema]  # fmt: skip
        pacsv.write_csv(
            table.cast(pa.schema(fields)), out, pacsv.WriteOptions(include_header=False)
        )
        found[RegionWeek.of(region, week)] = hashlib.sha256(out.getvalue()).hexdigest()
    return found


def test_what_a_file_says_of_a_region_week_is_digested_however_it_is_cut(
    tmp_path: Path, small_steps
):
    lines = [f"S{i},P1,{MONDAYS[i % 4]:%Y-%m-%d},1,{'ns'[i % 2]}" for i in range(100)]
    put(tmp_path, "\n".join([HEADER, *lines, ""]).encode())
    where = landing(tmp_path)
    small_steps()

    (file,) = where.files_of_many()
    delivery = where.read("shipments", [RegionWeek("n", MONDAYS[0]), RegionWeek("s", MONDAYS[1])])

    found = where.places_in(file)
    assert len(found) == 4
    expected = oracle_digests(plain_frame(delivery.rows))
    assert {one.key: one.rows_sha256 for one in delivery.files} == expected
    assert {key: found[key] for key in expected} == expected
    assert delivery.elsewhere == Counter(
        {RegionWeek("n", MONDAYS[2]): 25, RegionWeek("s", MONDAYS[3]): 25}
    )


RIGHT = [f"S{i},P{i % 7},{MONDAYS[i % 4]:%Y-%m-%d},{i % 5},north" for i in range(60)]


def as_form(form: str) -> bytes:
    frame = pd.DataFrame([line.split(",") for line in RIGHT], columns=COLUMNS)
    if form == "jsonl":
        records = frame.to_dict("records")
        for one in records[:30]:
            del one["area"]  # a column that only later lines have
        return "\n".join(json.dumps(one) for one in records).encode()
    if form == "parquet":
        out = io.BytesIO()
        pq.write_table(pa.Table.from_pandas(frame, preserve_index=False), out, row_group_size=13)
        return out.getvalue()
    encoding = "utf-16" if form == "utf-16" else "utf-8"
    return "\n".join([HEADER, *RIGHT, ""]).encode(encoding)


def packed(how: str, content: bytes) -> bytes:
    if how == "gzip":
        return gzip.compress(content)
    if how == "zstd":
        return pa.Codec("zstd").compress(content).to_pybytes()
    if how == "zip":
        out = io.BytesIO()
        with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("all.x", content)
        return out.getvalue()
    return content


@pytest.mark.parametrize("how", ["none", "gzip", "zstd", "zip"])
@pytest.mark.parametrize("form", ["csv", "utf-16", "jsonl", "parquet"])
@pytest.mark.parametrize("scheme", ["", "file://"], ids=["folder", "bucket"])
def test_every_format_is_streamed_packed_or_not(
    tmp_path: Path, small_steps, form: str, how: str, scheme: str
):
    content = packed(how, as_form(form))
    put(tmp_path, content)
    described = {"encoding": form} if form == "utf-16" else {"format": form}
    where = landing(tmp_path, **described)
    where = where.model_copy(update={"uri": f"{scheme}{where.uri}"})
    small_steps()

    delivery = where.read("shipments", KEYS)

    assert delivery.bad == {}
    total = len(delivery.rows) + sum(delivery.elsewhere.values())
    assert total == len(RIGHT)
    rows = plain_frame(delivery.rows)
    assert len(rows) == (30 if form == "jsonl" else 60), "no area, no region"
    stores = [line.split(",")[0] for line in RIGHT][-len(rows) :]
    assert rows["store_id"].tolist() == stores
    assert {one.sha256 for one in delivery.files} == {hashlib.sha256(content).hexdigest()}


@pytest.mark.parametrize(
    ("end", "message"),
    [
        (b"S1,P1", "its last line is cut off"),
        (b'S1,P1,2024-01-01,"1\n' + b"S1,P1,2024-01-01,1,north\n" * 3, "never closed"),
        (b'S1,P1,2024-01-01,"1\n' + b"S1,P1,2024-01-01,1,north\n" * 30, "never closed"),
    ],
)
def test_nothing_is_taken_of_a_file_that_turns_out_to_be_bad_at_its_end(
    tmp_path: Path, small_steps, end: bytes, message: str
):
    put(tmp_path, "\n".join([HEADER, *RIGHT, ""]).encode() + end)
    small_steps()

    delivery = landing(tmp_path).read("shipments", KEYS)

    assert set(delivery.bad) == set(KEYS)
    assert message in delivery.bad[KEYS[0]]
    assert delivery.rows.empty
    assert not delivery.files
    assert not delivery.elsewhere


@pytest.mark.parametrize("form", ["csv", "parquet"])
@pytest.mark.parametrize("kept", [0.5, 0.95])
def test_a_truncated_packed_file_is_bad_in_small_steps(
    tmp_path: Path, small_steps, form: str, kept: float
):
    content = gzip.compress(as_form(form))
    put(tmp_path, content[: int(len(content) * kept)])
    small_steps()

    bad = landing(tmp_path, format=form).read("shipments", KEYS).bad

    assert "cannot be read as" in bad[KEYS[0]]
    assert "Deliver it again" in bad[KEYS[0]]


def test_rows_before_the_first_date_wait_for_it_and_not_for_ever(
    tmp_path: Path, small_steps, monkeypatch: pytest.MonkeyPatch
):
    undated = [f"S{i},P1,soon,1,north" for i in range(40)]
    put(tmp_path, "\n".join([HEADER, *undated, *RIGHT, ""]).encode())
    small_steps()
    where = landing(tmp_path)

    assert len(where.read("shipments", KEYS[:1]).rows) == 40 + 15

    monkeypatch.setattr(placing, "MAX_ROWS_UNTOLD", 30)
    assert "(none of its first 35 rows)" in where.read("shipments", KEYS[:1]).bad[KEYS[0]]


def test_a_file_with_a_long_run_of_rows_that_cannot_be_read_is_refused(
    tmp_path: Path, small_steps, monkeypatch: pytest.MonkeyPatch
):
    put(tmp_path, "\n".join([HEADER, *RIGHT, *["S;P"] * 40, *RIGHT, ""]).encode())
    small_steps()
    where = landing(tmp_path)
    assert len(where.read("shipments", KEYS).rows) == 160

    monkeypatch.setattr(csv_files, "MAX_BAD_RUN", 39)

    told = where.read("shipments", KEYS).bad[KEYS[0]]
    assert "39 rows running cannot be read; the last one has 1 values, the header has 5" in told


def test_a_file_without_an_end_of_line_is_not_held(tmp_path: Path, small_steps):
    put(tmp_path, b"x" * 10_000)
    small_steps()

    told = landing(tmp_path).read("shipments", KEYS).bad[KEYS[0]]

    assert "a line at its beginning has more than 192 bytes" in told
