"""Reading one region's year from the lake, against plain Parquet files of the same rows."""

import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.dataset as pads

from benchmarks.timing import Result, best_of
from forecast_platform.partitions import RegionWeek
from forecast_platform.resources.lake import Lake

REGIONS = ("north", "south", "west")
WEEKS = list(pd.date_range("2023-01-02", periods=52, freq="W-MON"))
ROWS_PER_WEEK = 2_000


def measure() -> list[Result]:
    """Read a region's year, and its last week alone."""
    with tempfile.TemporaryDirectory() as folder:
        lake, plain = _write(Path(folder))
        north = pads.field("region") == "north"
        last = pads.field("week") == f"{WEEKS[-1]:%Y-%m-%d}"
        year = Result(
            "lake: a region's year",
            best_of(lambda: lake.read("demand", region="north")),
            best_of(lambda: _scan(plain, north)),
            "pyarrow, hive Parquet",
            f"{len(WEEKS) * ROWS_PER_WEEK:,} rows",
        )
        week = Result(
            "lake: a region's week",
            best_of(lambda: lake.read("demand", region="north", weeks=WEEKS[-1:])),
            best_of(lambda: _scan(plain, north & last)),
            "pyarrow, hive Parquet",
            f"{ROWS_PER_WEEK:,} rows",
        )
    return [year, week]


def _scan(folder: str, rows: pads.Expression) -> pd.DataFrame:
    return pads.dataset(folder, partitioning="hive").to_table(filter=rows).to_pandas()


def _write(folder: Path) -> tuple[Lake, str]:
    rng = np.random.default_rng(0)
    rows = pd.concat([_rows(rng, region, week) for region in REGIONS for week in WEEKS])
    lake = Lake(uri=str(folder / "lake"))
    keys = [RegionWeek(region, week) for region in REGIONS for week in WEEKS]
    lake.write("demand", rows, keys, run_id="benchmark")
    text = rows.assign(week=rows["week"].dt.strftime("%Y-%m-%d"))
    plain = str(folder / "plain")
    parts = pads.partitioning(
        pa.schema([("region", pa.string()), ("week", pa.string())]), flavor="hive"
    )
    pads.write_dataset(
        pa.Table.from_pandas(text, preserve_index=False),
        plain,
        format="parquet",
        partitioning=parts,
        max_partitions=len(keys),
    )
    return lake, plain


def _rows(rng: np.random.Generator, region: str, week: pd.Timestamp) -> pd.DataFrame:
    ids = [f"S{number // 100:03d}/P{number % 100:03d}" for number in range(ROWS_PER_WEEK)]
    return pd.DataFrame(
        {
            "region": region,
            "week": week.as_unit("us"),
            "unique_id": ids,
            "y": rng.poisson(9, ROWS_PER_WEEK).astype(float),
            "price": rng.uniform(1, 9, ROWS_PER_WEEK),
        }
    )
