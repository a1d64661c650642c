"""Rows that are worked on by the batch become the same as rows that are worked on at once."""

import json
import random
from pathlib import Path

import pandas as pd
import pytest

from forecast_platform.partitions import RegionWeek
from forecast_platform.resources.landing import Landing
from forecast_platform.schemas import batches
from forecast_platform.schemas.acceptance import Accepted, accept
from forecast_platform.schemas.batches import plain_frame
from forecast_platform.schemas.raw import CONTRACTS

KEY = RegionWeek("north", pd.Timestamp("2024-01-01").as_unit("us"))
HEADER = ["store_id", "product_id", "week", "units_shipped"]
DAMAGES = ["", "-3", "1e3", "many", "7,7", "\xe9\xff", '"4"', "1" * 30]
SMALL = 7
"""Rows of a batch, so that a file of dozens has several."""


def lines_of(seed: int, n_rows: int) -> list[list[str]]:
    """Right rows, repeats, contradictions and damage, in random order."""
    chance = random.Random(seed)  # noqa: S311 - rows, no secrets
    rows = []
    for _ in range(n_rows):
        store, product = f"S{chance.randrange(6)}", f"P{chance.randrange(9)}"
        week = chance.choice(["2024-01-01"] * 8 + ["2024-01-08", "2024-01-02", "", "soon"])
        units = chance.choice(DAMAGES) if chance.random() < 0.2 else str(chance.randrange(3))
        rows.append([store, product, week, units])
    return rows


def write_csv(path: Path, rows: list[list[str]], *, encoding: str) -> None:
    text = "\n".join(",".join(row) for row in [HEADER, *rows]) + "\n"
    path.write_bytes(text.encode(encoding))


def write_jsonl(path: Path, rows: list[list[str]]) -> None:
    lines = [json.dumps(dict(zip(HEADER, row, strict=True))) for row in rows]
    lines[3:3] = ["{broken", "{}", "[1]"]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def write_parquet(path: Path, rows: list[list[str]]) -> None:
    pd.DataFrame(rows, columns=HEADER).to_parquet(path, index=False, row_group_size=11)


def sources(tmp_path: Path, form: str) -> str:
    file = tmp_path / "sources.yaml"
    lines = [
        "sources:",
        "  shipments:",
        f"    path: '{{region}}/{{week}}/*.{form}'",
        f"    format: {form}",
        "    required: weekly",
    ]
    file.write_text("\n".join(lines))
    return str(file)


def taken(tmp_path: Path, form: str) -> tuple[Accepted, dict]:
    landing = Landing(uri=str(tmp_path / "landing"), sources_file=sources(tmp_path, form))
    delivery = landing.read("shipments", [KEY])
    return accept(delivery.rows, CONTRACTS["shipments"]), delivery.bad


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("form", ["csv", "latin", "jsonl", "parquet"])
def test_many_batches_give_what_one_gives(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, form: str, seed: int
):
    folder = tmp_path / "landing" / "north" / "2024-01-01"
    folder.mkdir(parents=True)
    for number, n_rows in enumerate((3, 60, 25)):
        rows = lines_of(10 * seed + number, n_rows)
        path = folder / f"s_{number}.{'csv' if form == 'latin' else form}"
        if form in ("csv", "latin"):
            write_csv(path, rows, encoding="utf-8" if form == "csv" else "latin-1")
        else:
            (write_jsonl if form == "jsonl" else write_parquet)(path, rows)
    read_as = "csv" if form == "latin" else form

    at_once, bad_at_once = taken(tmp_path, read_as)
    monkeypatch.setattr(batches, "BATCH_ROWS", SMALL)
    by_batch, bad = taken(tmp_path, read_as)

    assert bad == bad_at_once == {}
    assert isinstance(by_batch.delivered["store_id"].dtype, pd.CategoricalDtype)
    pd.testing.assert_frame_equal(plain_frame(by_batch.table), at_once.table)
    assert plain_frame(by_batch.delivered).equals(plain_frame(at_once.delivered))
    pd.testing.assert_frame_equal(by_batch.refused, at_once.refused)
    pd.testing.assert_index_equal(by_batch.duplicates, at_once.duplicates)
    digests = {f"north/2024-01-01/s_{n}.{read_as}": str(n) for n in range(3)}
    pd.testing.assert_frame_equal(
        by_batch.quarantine("shipments", digests), at_once.quarantine("shipments", digests)
    )
    for file in digests:
        where = (KEY.region, KEY.week, file)
        assert by_batch.counts_of(*where) == at_once.counts_of(*where)
        assert by_batch.reasons_of(*where) == at_once.reasons_of(*where)
    assert len(set(at_once.refused["code"])) > 2  # the damage was there
