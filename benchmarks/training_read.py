"""Reading 156 weeks of one region as a frame, against pyarrow on one plain Parquet file.

Both sides read the same rows, in turns, and tell seconds of CPU beside those of the clock, so that
a machine with other work does not decide.
"""

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.timing import in_turns
from forecast_platform.partitions import RegionWeek
from forecast_platform.resources.lake import Lake
from forecast_platform.resources.lake_rows import to_arrow

STORES, PRODUCTS, N_WEEKS = 300, 100, 156
GOAL: Final = 3.0
TABLE: Final = "fct_weekly_demand"


def measure(*, stores: int = STORES, weeks: int = N_WEEKS, tries: int = 5) -> list[dict[str, Any]]:
    """Read everything, and the four columns that most readers want, as frames and as Arrow."""
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        lake, file, rows = _write(Path(folder), stores, weeks)
        narrow = ["unique_id", "ds", "week", "y"]
        return [
            _compare(
                "as a frame",
                lambda: lake.read(TABLE, region="north"),
                lambda: pq.read_table(file).to_pandas(),
                rows,
                tries,
            ),
            _compare(
                "4 columns, as a frame",
                lambda: lake.read(TABLE, region="north", columns=narrow),
                lambda: pq.read_table(file, columns=narrow).to_pandas(),
                rows,
                tries,
            ),
            _compare(
                "as Arrow",
                lambda: lake.read_arrow(TABLE, region="north"),
                lambda: pq.read_table(file),
                rows,
                tries,
            ),
        ]


def _compare(
    name: str, ours: Callable[[], Any], peer: Callable[[], Any], rows: int, tries: int
) -> dict[str, Any]:
    assert len(ours()) == len(peer()) == rows
    mine, theirs = in_turns(ours, peer, tries)
    return {
        "name": name,
        "rows": rows,
        "ours": vars(mine),
        "peer": vars(theirs),
        "rows_per_second": rows / mine.seconds,
        "peer_rows_per_second": rows / theirs.seconds,
        "ratio": mine.seconds / theirs.seconds,
        "ratio_cpu": mine.cpu_seconds / theirs.cpu_seconds,
        "goal": GOAL,
    }


def _write(folder: Path, stores: int, n_weeks: int) -> tuple[Lake, Path, int]:
    """Write the same rows as region-weeks, one commit each as in weekly work, and as one file."""
    rng = np.random.default_rng(0)
    weeks = pd.date_range("2021-01-04", periods=n_weeks, freq="W-MON").as_unit("us")
    lake, file = Lake(uri=str(folder / "lake")), folder / "plain.parquet"
    writer: pq.ParquetWriter | None = None
    total = 0
    for week in weeks:
        rows: pa.Table = to_arrow(_rows(rng, stores, week))
        lake.write(TABLE, rows, [RegionWeek("north", week)], run_id="benchmark")
        writer = writer or pq.ParquetWriter(file, rows.schema)
        writer.write_table(rows)
        total += rows.num_rows
    if writer is not None:
        writer.close()
    plain = pq.read_table(file)
    pq.write_table(plain, file)  # in row groups of a million rows, as pyarrow does by default
    return lake, file, total


def _rows(rng: np.random.Generator, stores: int, week: pd.Timestamp) -> pd.DataFrame:
    store = pd.Series([f"N{n:04d}" for n in range(stores)]).repeat(PRODUCTS).reset_index(drop=True)
    product = pd.Series([f"P{n:03d}" for n in range(PRODUCTS)] * stores)
    shipped = rng.poisson(9, len(store))
    returned = rng.binomial(shipped, 0.1)
    return pd.DataFrame(
        {
            "region": "north",
            "week": week,
            "unique_id": store + "/" + product,
            "store_id": store,
            "product_id": product,
            "ds": week,
            "units_shipped": shipped,
            "units_returned": returned,
            "y": (shipped - returned).astype(float),
            "is_filled": shipped == 0,
        }
    )
