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


def places_of(rows: pa.Table) -> pd.MultiIndex:
    """Name region and week of each row; a region that is missing is empty."""
    regions = plain(rows.select([REGION]))[REGION].to_pandas().fillna("")
    return pd.MultiIndex.from_arrays([regions, rows[WEEK].to_pandas()], names=[REGION, WEEK])


class RowDigests:
    """Digests of the rows of each region-week, taken by the batch in the order of the file.

    A digest is the SHA-256 of the rows written as CSV without a header, however they were cut
    into batches.
    """

    def __init__(self) -> None:
        self._digests: dict[RegionWeek, hashlib._Hash] = {}

    def add(self, rows: pa.Table, places: pd.MultiIndex) -> None:
        """Take in rows, text under contract names, and their `places_of`."""
        if not rows.num_rows:
            return
        codes, keys = places.factorize()
        order = np.argsort(codes, kind="stable")
        told = rows.drop_columns([one for one in PLACE_IN_FILE if one in rows.column_names])
        if not np.array_equal(order, np.arange(len(order))):
            told = told.take(pa.array(order))
        ends = np.cumsum(np.bincount(codes, minlength=len(keys)))
        starts = [0, *ends[:-1]]
        for (region, week), start, end in zip(keys, starts, ends, strict=True):
            digest = self._digests.setdefault(RegionWeek.of(region, week), hashlib.sha256())
            _digest(told.slice(start, end - start), digest)

    def found(self) -> dict[RegionWeek, str]:
        """Tell the digest of each region-week that had rows."""
        return {key: digest.hexdigest() for key, digest in self._digests.items()}


def _digest(rows: pa.Table, digest: "hashlib._Hash") -> None:
    options = pacsv.WriteOptions(include_header=False)
    for start in range(0, rows.num_rows, BATCH_ROWS):
        written = pa.BufferOutputStream()
        pacsv.write_csv(plain(rows.slice(start, BATCH_ROWS)), written, options)
        digest.update(written.getvalue())
