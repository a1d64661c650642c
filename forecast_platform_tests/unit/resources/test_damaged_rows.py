"""A row that cannot be read is refused alone; nothing of a damaged file goes unaccounted."""

import gzip
import json
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forecast_platform.partitions import RegionWeek
from forecast_platform.resources.contents import Content
from forecast_platform.resources.formats import read_rows
from forecast_platform.resources.landing import Delivery, Landing
from forecast_platform.resources.sources import FileFormat, Source
from forecast_platform.resources.text_rows import in_one
from forecast_platform.schemas.acceptance import Accepted, accept
from forecast_platform.schemas.raw import CONTRACTS

WEEK = pd.Timestamp("2024-03-04").as_unit("us")
KEY = RegionWeek("north", WEEK)
HEADER = "store_id,product_id,week,units_shipped\n"
FOLDER = "shipments/north/2024-03-04"


def row(number: int, units: object = 1) -> str:
    return f"S{number},P1,2024-03-04,{units}\n"


def read(root: Path, content: bytes, name: str = "s.csv", **source: str) -> Delivery:
    """Deliver one file and read it; ``source`` describes it otherwise than the packaged file."""
    path = root / "landing" / FOLDER / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    file = root / "sources.yaml"
    described = {"path": "shipments/{region}/{week}/*", "required": "weekly", **source}
    file.write_text(json.dumps({"sources": {"shipments": described}}))
    return Landing(uri=str(root / "landing"), sources_file=str(file)).read("shipments", [KEY])


def judged(delivery: Delivery) -> Accepted:
    assert not delivery.bad, delivery.bad
    return accept(delivery.rows, CONTRACTS["shipments"])


def refusals(accepted: Accepted) -> list[tuple[int, str]]:
    rows = accepted.quarantine("shipments", {("north", WEEK, f"{FOLDER}/s.csv"): "abc"})
    return list(zip(rows["row_number"], rows["code"], strict=True))


@pytest.mark.parametrize(
    ("line", "code"),
    [
        (b"S2,P1,2024-03-04\n", "malformed"),
        (b"S2,P1,2024-03-04,1,1\n", "malformed"),
        (b"S\xff,P1,2024-03-04,1\n", "undecodable"),
        (b"S\xff,P1,2024-03-04,1,1\n", "malformed"),
    ],
)
def test_a_line_that_cannot_be_read_is_refused_alone(tmp_path: Path, line: bytes, code: str):
    content = (HEADER + row(1)).encode() + line + row(3).encode()

    accepted = judged(read(tmp_path, content))

    assert refusals(accepted) == [(3, code)]
    assert accepted.table["source_row"].tolist() == [2, 4], "rows keep their numbers"
    counts = accepted.counts_of("north", WEEK, f"{FOLDER}/s.csv")
    assert (counts["rows_read"], counts["rows_accepted"], counts["rows_quarantined"]) == (3, 2, 1)


def test_the_quarantine_keeps_the_line_as_it_was_delivered(tmp_path: Path):
    accepted = judged(read(tmp_path, (HEADER + row(1) + "S2;P1;x\n").encode()))

    quarantine = accepted.quarantine("shipments", {("north", WEEK, f"{FOLDER}/s.csv"): "abc"})
    assert quarantine["value"].tolist() == ["S2;P1;x"]
    assert quarantine["reason"].tolist() == ["has 1 values, the header has 4"]


def test_an_object_that_cannot_be_read_is_refused_alone(tmp_path: Path):
    objects = ['{"store_id": "S1", "product_id": "P", "week": "2024-03-04", "units_shipped": 1}']
    lines = [*objects, "{no json}", "[1]", *objects]

    delivery = read(tmp_path, "\n".join(lines).encode(), "s.csv", format="jsonl")

    assert refusals(judged(delivery)) == [(3, "malformed"), (4, "malformed")]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (HEADER + row(1) + "S2,P1", "its last line is cut off"),
        (HEADER + row(1) + 'S2,P1,2024-03-04,"1\n' + row(3) + row(4), "opened and never closed"),
        (HEADER + "S2;P1;2024-03-04;1\n" * 3, "no row can be read"),
    ],
)
def test_a_file_of_which_rows_may_be_lost_is_refused_whole(
    tmp_path: Path, content: str, message: str
):
    delivery = read(tmp_path, content.encode())

    assert message in delivery.bad[KEY]
    assert delivery.rows.empty


def test_an_expression_that_fails_on_a_value_refuses_its_row_alone(tmp_path: Path):
    content = (HEADER + row(1) + row(2, "many") + row(3)).encode()
    computed = {"units_shipped": {"sql": "cast(units_shipped as int) * 2"}}

    accepted = judged(read(tmp_path, content, columns=computed))

    assert refusals(accepted) == [(3, "not_computed")]
    assert accepted.table["units_shipped"].tolist() == [2.0, 2.0]


@pytest.mark.parametrize("how", ["gzip", "zstd"])
def test_a_packed_file_is_read_and_its_bad_row_told(tmp_path: Path, how: str):
    content = (HEADER + row(1) + "x\n").encode()
    packed = pa.Codec("zstd").compress(content).to_pybytes()
    if how == "gzip":
        packed = gzip.compress(content)

    assert refusals(judged(read(tmp_path, packed))) == [(3, "malformed")]


LINES = st.one_of(
    st.builds(lambda n, units: row(n, units).encode(), st.integers(0, 3), st.integers(-1, 3)),
    st.binary(max_size=12).map(lambda noise: noise.replace(b'"', b"") + b"\n"),
    st.sampled_from([b"S1,P1\n", b"S1,P1,2024-03-11,1\n", b"S1,P1,2024-03-04,n/a\n", b",,,\n"]),
)


@settings(deadline=None, max_examples=150)
@given(st.lists(LINES, max_size=12))
def test_rows_read_are_rows_accepted_refused_or_repeated_whatever_the_damage(lines: list[bytes]):
    content = HEADER.encode() + row(9).encode() + b"".join(lines)
    source = Source(path="a/{region}/{week}/*", required="weekly", format=FileFormat.CSV)
    text = in_one(read_rows(source, "s.csv", Content(content)))
    numbers = sorted([*text.numbers, *(one.number for one in text.bad)])
    rows = text.table.to_pandas().rename(columns={"week": "delivered_week"})
    rows = rows.assign(region="north", week=WEEK, source_file="s.csv", source_row=text.numbers + 2)

    accepted = accept(rows, CONTRACTS["shipments"])

    assert numbers == list(range(len(numbers))), "every row has one number"
    counts = accepted.counts_of("north", WEEK, "s.csv")
    kept = counts["rows_accepted"] + counts["rows_quarantined"] + counts["rows_duplicate"]
    assert counts["rows_read"] == kept == text.table.num_rows
    assert sum(accepted.reasons_of("north", WEEK, "s.csv").values()) == counts["rows_quarantined"]
