"""Training rows of one segment on disk, so that each measurement reads them in its own process."""

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa

from benchmarks.speed.panels import a_segment
from forecast_platform.vocabulary import (
    CATEGORICAL_FEATURES,
    DS,
    NUMERIC_FEATURES,
    PRODUCT_ID,
    SEGMENT,
    UNIQUE_ID,
    WEEK,
    H,
    Y,
)

TEXT = tuple(dict.fromkeys((UNIQUE_ID, PRODUCT_ID, *CATEGORICAL_FEATURES, SEGMENT)))


def write(folder: Path, n_rows: int) -> None:
    """Write ``n_rows`` rows: numbers as one array, the rest beside it."""
    table = a_segment(n_rows)
    np.save(folder / f"{n_rows}.npy", table[list(NUMERIC_FEATURES)].to_numpy(np.float32).T)
    keys = table[[*TEXT, WEEK, DS, H, Y]].astype(dict.fromkeys(TEXT, "category"))
    keys.astype({H: np.int64, Y: np.float64}).to_parquet(folder / f"{n_rows}.parquet")


def read(folder: Path, n_rows: int) -> pd.DataFrame:
    """Read the rows in the form in which training has them: text as categories.

    Memory that only the reading took is given back.
    """
    numbers = np.load(folder / f"{n_rows}.npy")
    keys = pd.read_parquet(folder / f"{n_rows}.parquet")
    pa.default_memory_pool().release_unused()
    table = pd.DataFrame(numbers.T, columns=list(NUMERIC_FEATURES), copy=False)
    return pd.concat([keys, table], axis=1)


def matrix_mib(n_rows: int) -> float:
    """Return the size of the float32 feature matrix [MiB]."""
    return n_rows * len(NUMERIC_FEATURES) * 4 / 2**20
