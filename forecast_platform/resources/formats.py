"""Delivered files of every format, read as text.

Bytes in, an Arrow table of text out: nothing here knows folders, contracts or what a value means.
Numbers become plain text, so that 3.0 in a Parquet file and 3 in a CSV file are the same store.
"""

import codecs
import csv
import io
import json
import zlib
from typing import Any, Final
from zipfile import BadZipFile, ZipFile

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.csv as pacsv
import pyarrow.parquet as pq

from forecast_platform.errors import BadFile
from forecast_platform.resources.sources import File, FileFormat

MAX_FILE_BYTES: Final = 2 * 1024**3
"""A larger file is refused, packed or unpacked: deliver it in parts."""

MAX_WHOLE: Final = 1e15
"""Floating-point numbers up to here are whole when they look so."""

UNREADABLE: Final = (
    pa.ArrowException,
    ValueError,
    OSError,
    LookupError,
    EOFError,
    SyntaxError,  # of XML
    csv.Error,
    zlib.error,
    BadZipFile,
    RecursionError,
)
"""What the parsers raise when a file is not what its format says."""


def read_text(file: File, path: str, content: bytes) -> pa.Table:
    """Read a file with every value as text.

    Raises
    ------
    BadFile
        If it is not what its format says: truncated, another format, another encoding.
    """
    try:
        content = _unpacked(path, content)
        table = _PARSERS[file.format](file, content)
        _check_names(table.column_names)
    except UNREADABLE as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise BadFile(
            f"{path} cannot be read as {file.format}: {reason}. It may be truncated or of another "
            "format; nothing of it was taken. Deliver it again"
        ) from error
    return table


def stringified(table: pa.Table) -> pa.Table:
    """Write every value as plain text."""
    return pa.table({name: _text(table[name]) for name in table.column_names})


def _text(column: pa.ChunkedArray) -> pa.ChunkedArray:
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    if pa.types.is_nested(column.type):
        values = [
            None if one is None else json.dumps(one, default=str) for one in column.to_pylist()
        ]
        return pa.chunked_array([pa.array(values, pa.string())])
    if pa.types.is_floating(column.type):
        return _plain(column)
    return column.cast(pa.string())


def _plain(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Write floating-point numbers without exponents, whole ones without a point."""
    values = column.cast(pa.float64()).to_numpy()
    text = column.cast(pa.string()).to_pandas()
    is_whole = (values == np.trunc(values)) & (np.abs(values) < MAX_WHOLE)
    text = text.mask(
        is_whole, pd.Series(np.where(is_whole, values, 0)).astype("int64").astype("str")
    )
    is_small = text.str.contains("e-", na=False)
    positional = [np.format_float_positional(float(one), trim="-") for one in text[is_small]]
    text[is_small] = positional
    return pa.chunked_array([pa.array(text, pa.string(), from_pandas=True)])


def _check_names(names: list[str]) -> None:
    if len(set(names)) != len(names):
        raise ValueError(f"its header names a column twice: {', '.join(names)}")


def _check_size(size_bytes: int) -> None:
    if size_bytes > MAX_FILE_BYTES:
        raise ValueError(f"it unpacks to more than {MAX_FILE_BYTES} bytes")


def _unpacked(path: str, content: bytes) -> bytes:
    if not path.endswith(".gz"):
        return content
    import gzip

    with gzip.open(io.BytesIO(content)) as packed:
        unpacked = packed.read(MAX_FILE_BYTES + 1)
    _check_size(len(unpacked))
    return unpacked


def _csv(file: File, content: bytes) -> pa.Table:
    if codecs.lookup(file.encoding).name != "utf-8":
        content = content.decode(file.encoding).encode()
    content = content.removeprefix(codecs.BOM_UTF8)
    head = content.split(b"\n", 1)[0].decode().rstrip("\r")
    if not head:
        raise ValueError("it is empty, not even a header")
    names = next(csv.reader([head], delimiter=file.delimiter))
    _check_names(names)
    return pacsv.read_csv(
        io.BytesIO(content),
        read_options=pacsv.ReadOptions(use_threads=False),
        parse_options=pacsv.ParseOptions(delimiter=file.delimiter, newlines_in_values=True),
        convert_options=pacsv.ConvertOptions(
            column_types=dict.fromkeys(names, pa.string()), strings_can_be_null=False
        ),
    )


def _parquet(_: File, content: bytes) -> pa.Table:
    packed = pq.ParquetFile(io.BytesIO(content), page_checksum_verification=True)
    groups = range(packed.metadata.num_row_groups)
    _check_size(sum(packed.metadata.row_group(group).total_byte_size for group in groups))
    _check_names(packed.schema_arrow.names)
    return stringified(packed.read())


def _jsonl(_: File, content: bytes) -> pa.Table:
    """Read one object a line; numbers keep the text they were delivered as."""
    lines = content.decode("utf-8-sig").split("\n")
    rows = [_object(line, number) for number, line in enumerate(lines, 1) if line.strip()]
    if not rows:
        raise ValueError("it is empty, not even one object")
    names = dict.fromkeys(name for row in rows for name in row)
    return pa.table(
        {name: pa.array([row.get(name) for row in rows], pa.string()) for name in names}
    )


def _object(line: str, number: int) -> dict[str, str | None]:
    row = json.loads(line, parse_int=str, parse_float=str, parse_constant=str)
    if not isinstance(row, dict):
        raise ValueError(f"line {number} is no object")  # noqa: TRY004 - a file is wrong, no type
    return {name: _json_text(value) for name, value in row.items()}


def _json_text(value: Any) -> str | None:
    return value if isinstance(value, str | None) else json.dumps(value)


def _excel(file: File, content: bytes) -> pa.Table:
    with ZipFile(io.BytesIO(content)) as packed:
        _check_size(sum(part.file_size for part in packed.infolist()))
    cells = pd.read_excel(
        io.BytesIO(content),
        sheet_name=file.sheet if file.sheet is not None else 0,
        header=None,
        dtype=str,
        na_filter=False,
        engine="openpyxl",
    )
    if cells.empty:
        raise ValueError("it is empty, not even a header")
    names = cells.iloc[0].astype("str").tolist()
    _check_names(names)
    rows = cells.iloc[1:].set_axis(names, axis=1).astype("str")
    return stringified(pa.Table.from_pandas(rows, preserve_index=False))


_PARSERS: Final = {
    FileFormat.CSV: _csv,
    FileFormat.PARQUET: _parquet,
    FileFormat.JSONL: _jsonl,
    FileFormat.EXCEL: _excel,
}
