"""Rows of a table out of its Parquet files: which files the log names, read one after the other.

Which rows are asked for, and from which version, is said in `forecast_platform.resources.lake`;
nothing is written here.

Notes
-----
A region-week is a file, so a history of two years is a hundred small files per table, and what a
reader spends per file decides. On a local disk they are opened and decoded directly (measured:
0.2 - 0.6 ms a file of 60 - 12,000 rows); a scan by `pyarrow.dataset` through deltalake's file
system, which any other storage gets, takes 1.0 - 1.5 ms, since each file's statistics become an
expression and each read goes through Python.
"""

import operator
from collections.abc import Callable, Sequence
from functools import reduce
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.dataset as pads
import pyarrow.parquet as pq
from deltalake import DeltaTable

Filter = tuple[str, str, Any]
"""Partition column, ``=``, ``in``, ``>=`` or ``<=``, and texts, as of `lake_keys.build_filters`."""

PLAIN_READER: Final = 1
"""Reader version of a table whose log names whole Parquet files and no more."""

PATH: Final = "path"

_COMPARE: Final[dict[str, Callable[[pads.Expression, Any], pads.Expression]]] = {
    "in": lambda text, values: text.isin(pa.array(values, pa.string())),
    "=": operator.eq,
    ">=": operator.ge,
    "<=": operator.le,
}


def read_files(
    source: DeltaTable,
    folder: Path | None,
    columns: Sequence[str],
    filters: Sequence[Filter],
    kept: pads.Expression | None = None,
) -> pa.Table:
    """Read the rows of the files that fit the filters, in order of the files' paths.

    Parameters
    ----------
    source : DeltaTable
        Table at the version to read.
    folder : Path, optional
        Where its files are on this machine's disk.
    columns : sequence of str
        Columns, in this order.
    filters : sequence of (str, str, object)
        What partition columns must be.
    kept : pyarrow.dataset.Expression, optional
        Which rows to keep; it may name ``columns`` only.

    Raises
    ------
    ValueError
        If the table has no such column.
    FileNotFoundError
        If a file that the log names is gone.
    """
    schema = pa.schema(source.schema().to_arrow())
    if unknown := [name for name in columns if name not in schema.names]:
        raise ValueError(f"{source.table_uri} has no column {', '.join(unknown)}")
    if folder is None or source.protocol().min_reader_version > PLAIN_READER:
        return _scan(source, columns, filters, kept)
    rows = _read_all(folder, _chosen(source, filters), [schema.field(name) for name in columns])
    return rows if kept is None else rows.filter(kept)


def _scan(
    source: DeltaTable,
    columns: Sequence[str],
    filters: Sequence[Filter],
    kept: pads.Expression | None,
) -> pa.Table:
    """Read through the storage that the table was opened with, several files at a time."""
    dataset = source.to_pyarrow_dataset(file_pruning_predicate=list(filters) or None)
    if isinstance(dataset, pads.FileSystemDataset):  # its files in order: reads are reproducible
        files = sorted(dataset.get_fragments(), key=lambda fragment: fragment.path)
        dataset = pads.FileSystemDataset(files, dataset.schema, dataset.format, dataset.filesystem)
    return dataset.to_table(columns=list(columns), filter=kept)


def _chosen(source: DeltaTable, filters: Sequence[Filter]) -> pa.Table:
    """Return the files that fit: their path, in order, and their value of each partition column."""
    actions = pa.table(source.get_add_actions(flatten=True))
    keys = source.metadata().partition_columns
    files = pa.table(
        {PATH: actions[PATH]} | {name: actions[f"partition.{name}"] for name in keys}
    ).sort_by(PATH)
    fits = [  # dates as ISO 8601 are in their own order
        _COMPARE[comparison](pads.field(name).cast(pa.string()), value)
        for name, comparison, value in filters
    ]
    return files.filter(reduce(operator.and_, fits)) if fits else files


def _read_all(folder: Path, files: pa.Table, wanted: Sequence[pa.Field]) -> pa.Table:
    """Read some files; what they share, their partition, comes from the log."""
    inside = [one for one in wanted if one.name not in files.column_names]
    parts = [_read_one(f"{folder}/{path}", pa.schema(inside)) for path in files[PATH].to_pylist()]
    file_of_row = pa.array(np.repeat(np.arange(len(parts)), [n_rows for n_rows, _ in parts]))
    rows = pa.concat_tables([pa.schema(inside).empty_table(), *(part for _, part in parts)])
    columns = [
        rows[one.name] if one in inside else files[one.name].combine_chunks().take(file_of_row)
        for one in wanted
    ]
    return pa.Table.from_arrays(columns, schema=pa.schema(wanted))


def _read_one(path: str, wanted: pa.Schema) -> tuple[int, pa.Table]:
    """Read a file in the columns and types of the table; a column that it lacks is missing."""
    with pq.ParquetFile(path, pre_buffer=False) as file:
        n_rows = file.metadata.num_rows
        rows = file.read(columns=wanted.names, use_threads=False)
    if rows.schema.equals(wanted):
        return n_rows, rows
    there = rows.column_names
    columns = [
        rows[one.name].cast(one.type) if one.name in there else pa.nulls(n_rows, one.type)
        for one in wanted
    ]
    return n_rows, pa.Table.from_arrays(columns, schema=wanted)
