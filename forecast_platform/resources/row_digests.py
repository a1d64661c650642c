"""What a file of many region-weeks says of each of them, in a digest.

A history file to which a week is added each week has another digest each time; its rows of all
other weeks have the same. Which files there are, and their own digests, is in `landing`.
"""

import hashlib
from typing import Final

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.csv as pacsv

from forecast_platform.partitions import RegionWeek
from forecast_platform.schemas.batches import BATCH_ROWS, plain
from forecast_platform.vocabulary import REGION, WEEK

PLACE_IN_FILE: Final = ("source_file", "source_row")
"""Columns that do not count: rows above may come and go, and a file may be renamed."""

NO_ROWS_SHA256: Final = hashlib.sha256().hexdigest()


def digest_rows(rows: pa.Table) -> dict[RegionWeek, str]:
    """Digest the rows of each region-week, in the order of the file.

    Parameters
    ----------
    rows : pyarrow.Table
        Text under contract names with ``region`` and ``week``; a missing region counts as empty.

    Returns
    -------
    dict of RegionWeek to str
        SHA-256 of the rows written as CSV without a header.
    """
    if not rows.num_rows:
        return {}
    keys = pd.MultiIndex.from_arrays(
        [plain(rows.select([REGION]))[REGION].to_pandas().fillna(""), rows[WEEK].to_pandas()]
    )
    codes, places = keys.factorize()
    order = np.argsort(codes, kind="stable")
    told = rows.drop_columns([one for one in PLACE_IN_FILE if one in rows.column_names])
    if not np.array_equal(order, np.arange(len(order))):
        told = told.take(pa.array(order))
    ends = np.cumsum(np.bincount(codes, minlength=len(places)))
    starts = [0, *ends[:-1]]
    return {
        RegionWeek.of(region, week): _digest(told.slice(start, end - start))
        for (region, week), start, end in zip(places, starts, ends, strict=True)
    }


def _digest(rows: pa.Table) -> str:
    digest = hashlib.sha256()
    options = pacsv.WriteOptions(include_header=False)
    for start in range(0, rows.num_rows, BATCH_ROWS):
        written = pa.BufferOutputStream()
        pacsv.write_csv(plain(rows.slice(start, BATCH_ROWS)), written, options)
        digest.update(written.getvalue())
    return digest.hexdigest()
