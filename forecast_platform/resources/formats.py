"""Delivered files of every format, read as text.

Bytes in, an Arrow table of text out: nothing here knows folders, contracts or what a value means.
Numbers become plain text, so that 3.0 in a Parquet file and 3 in a CSV file are the same store.
"""

import codecs
import csv
import io
import itertools
import json
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final
from zipfile import BadZipFile, ZipFile

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.csv as pacsv
import pyarrow.parquet as pq
from numpy.typing import NDArray

from forecast_platform.errors import BadFile
from forecast_platform.resources.sources import Compression, File, FileFormat
from forecast_platform.resources.spreadsheets import read_workbook
from forecast_platform.resources.unpacking import check_size, compression_in, unpack
from forecast_platform.schemas import batches
from forecast_platform.schemas.batches import plain, together
from forecast_platform.schemas.codes import Code

CSV_BLOCK: Final = 4 * 1024**2
"""Bytes that are parsed at a time; the parser recurses over blocks in which no row is right."""

MAX_WHOLE: Final = 1e15
"""Floating-point numbers up to here are whole when they look so."""

NO_TEXT: Final = "\ufffd"
"""What stands for bytes that are no text."""

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


@dataclass(frozen=True, slots=True)
class BadRow:
    """A row that cannot be read, in a file that can.

    Attributes
    ----------
    number : int
        Row below the header, from 0, bad ones counted.
    code : Code
    reason : str
    text : str
        The line as delivered; bytes that are no text stand as U+FFFD.
    """

    number: int
    code: Code
    reason: str
    text: str


@dataclass(frozen=True, slots=True)
class Text:
    """What a file holds.

    Attributes
    ----------
    table : pyarrow.Table
        The rows that can be read, every value as text; compact when they are many.
    bad : list of BadRow
        The others, in order.
    """

    table: pa.Table
    bad: list[BadRow] = field(default_factory=list)

    @property
    def numbers(self) -> NDArray[np.int64]:
        """Number each row of the table as in the file: below the header, from 0."""
        numbers = np.arange(self.table.num_rows + len(self.bad))
        return np.delete(numbers, [one.number for one in self.bad])


def read_text(file: File, path: str, content: bytes) -> pa.Table:
    """Read a file, of which every row must be right, with every value as text.

    Raises
    ------
    BadFile
        As `read_rows`, or if one row is wrong.
    """
    found = read_rows(file, path, content)
    if found.bad:
        first = found.bad[0]
        raise BadFile(f"{path}: row {first.number + 2} {first.reason}: {first.text[:200]!r}")
    return plain(found.table)


def read_rows(file: File, path: str, content: bytes) -> Text:
    """Read a file with every value as text, bad rows apart.

    Raises
    ------
    BadFile
        If it is not what its format says: truncated, another format, not one row readable.
    """
    try:
        content = _unpacked(file, content)
        found = _PARSERS[file.format](file, content)
        _check_names(found.table.column_names)
        if found.bad and not found.table.num_rows:
            raise ValueError(f"no row can be read; the first one {found.bad[0].reason}")
    except UNREADABLE as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise BadFile(
            f"{path} cannot be read as {file.format}: {reason}. It may be truncated or of another "
            "format; nothing of it was taken. Deliver it again"
        ) from error
    return found


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


def _unpacked(file: File, content: bytes) -> bytes:
    is_zip = file.format is FileFormat.EXCEL
    how = str(file.compression)
    if file.compression is Compression.AUTO:
        how = compression_in(content, may_be_zip=is_zip)
    return unpack(content, how, may_be_zip=is_zip)


def _decoded(content: bytes, encoding: str) -> tuple[bytes, bool]:
    """Write text as UTF-8; bytes that are none become U+FFFD, and it is said that there are."""
    try:
        if codecs.lookup(encoding).name == "utf-8":
            _check_utf8(content)
            return content, False
        return content.decode(encoding).encode(), False
    except UnicodeDecodeError:
        return content.decode(encoding, errors="replace").encode(), True


def _check_utf8(content: bytes) -> None:
    """Decode content and keep nothing of it."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    view = memoryview(content)
    for start in range(0, len(view), CSV_BLOCK):
        decoder.decode(view[start : start + CSV_BLOCK])
    decoder.decode(b"", final=True)


def _csv(file: File, content: bytes) -> Text:
    if codecs.lookup(file.encoding).name == "utf-8":
        content = content.removeprefix(codecs.BOM_UTF8)
    content, is_damaged = _decoded(content, file.encoding)
    content = content.removeprefix(codecs.BOM_UTF8)
    for _ in range(file.skip_rows):
        content = content.partition(b"\n")[2]
    head = content.split(b"\n", 1)[0].decode().rstrip("\r")
    if not head:
        raise ValueError("it is empty, not even a header")
    names = next(csv.reader([head], delimiter=file.delimiter, quotechar=file.quote))
    _check_names(names)
    malformed: list[pacsv.InvalidRow] = []
    blocks = pacsv.open_csv(
        pa.BufferReader(content),
        read_options=pacsv.ReadOptions(use_threads=False, block_size=CSV_BLOCK),
        parse_options=pacsv.ParseOptions(
            delimiter=file.delimiter,
            quote_char=file.quote,
            newlines_in_values=True,
            invalid_row_handler=lambda row: malformed.append(row) or "skip",
        ),
        convert_options=pacsv.ConvertOptions(
            column_types=dict.fromkeys(names, pa.string()), strings_can_be_null=False
        ),
    )
    parsed = (pa.Table.from_batches([one]) for one in blocks)
    table = together(itertools.chain([blocks.schema.empty_table()], parsed))
    bad = [_malformed(one) for one in malformed]
    _check_end(file, content, table, bad)
    return _without_undecodable(Text(table, bad), file) if is_damaged else Text(table, bad)


HEADER_ROWS: Final = 2
"""The parser counts rows from 1, and the header is one."""


def _malformed(row: "pacsv.InvalidRow") -> BadRow:
    reason = f"has {row.actual_columns} values, the header has {row.expected_columns}"
    return BadRow(row.number - HEADER_ROWS, Code.MALFORMED, reason, row.text)


def _check_end(file: File, content: bytes, table: pa.Table, bad: list[BadRow]) -> None:
    """Refuse a file that is cut off, or in which a quote swallowed the rows after it."""
    n_rows = table.num_rows + len(bad)
    ends_badly = bool(bad) and bad[-1].number == n_rows - 1
    if ends_badly and not content.endswith((b"\n", b"\r")):
        raise ValueError(f"its last line is cut off: {bad[-1].text[:200]!r}")
    last = [bad[-1].text] if ends_badly else [str(one[-1]) for one in table.columns if n_rows]
    has_open_quote = content.count(file.quote.encode()) % 2 == 1
    if has_open_quote and any("\n" in one for one in last):
        raise ValueError(f"a quote {file.quote} is opened and never closed")


def _without_undecodable(text: Text, file: File) -> Text:
    """Set rows apart that hold bytes which are no text of the file's encoding."""
    damaged = np.zeros(text.table.num_rows, dtype=bool)
    for column in text.table.columns:
        damaged |= column.to_pandas().str.contains(NO_TEXT, regex=False).to_numpy(bool)
    numbers = text.numbers
    reason = f"holds bytes that are no {file.encoding} text"
    lines = plain(text.table.filter(pa.array(damaged))).to_pylist()
    found = [
        BadRow(int(number), Code.UNDECODABLE, reason, file.delimiter.join(line.values()))
        for number, line in zip(numbers[damaged], lines, strict=True)
    ]
    bad = sorted([*text.bad, *found], key=lambda one: one.number)
    return Text(text.table.filter(pa.array(~damaged)), bad)


def _parquet(_: File, content: bytes) -> Text:
    packed = pq.ParquetFile(io.BytesIO(content), page_checksum_verification=True)
    groups = range(packed.metadata.num_row_groups)
    check_size(sum(packed.metadata.row_group(group).total_byte_size for group in groups))
    _check_names(packed.schema_arrow.names)
    if packed.metadata.num_rows <= batches.BATCH_ROWS:
        return Text(stringified(packed.read()))
    parsed = (
        stringified(pa.Table.from_batches([one])) for one in packed.iter_batches(batches.BATCH_ROWS)
    )
    return Text(together(parsed))


def _jsonl(file: File, content: bytes) -> Text:
    """Read one object a line; numbers keep the text they were delivered as."""
    bad: list[BadRow] = []
    parts: list[tuple[pa.Table, int]] = []
    n_lines = 0
    lines = enumerate(line for line in _lines(content) if line.strip())
    while some := list(itertools.islice(lines, batches.BATCH_ROWS)):
        n_bad = len(bad)
        rows = _objects(file, some, bad)
        parts.append((rows, len(some) - (len(bad) - n_bad)))
        n_lines = some[-1][0] + 1
    if not parts:
        raise ValueError("it is empty, not even one object")
    if bad and bad[-1].number == n_lines - 1 and not content.endswith(b"\n"):
        raise ValueError(f"its last line is cut off: {bad[-1].text[:200]!r}")
    return Text(_widened(parts), bad)


def _lines(content: bytes) -> Iterator[bytes]:
    """Cut content at its ends of lines, one line at a time."""
    start = len(codecs.BOM_UTF8) if content.startswith(codecs.BOM_UTF8) else 0
    while (end := content.find(b"\n", start)) >= 0:
        yield content[start:end]
        start = end + 1
    yield content[start:]


def _objects(file: File, lines: Sequence[tuple[int, bytes]], bad: list[BadRow]) -> pa.Table:
    """Read numbered lines; those that are no objects are added to ``bad``."""
    rows: list[dict[str, str | None]] = []
    for number, line in lines:
        try:
            rows.append(_object(line.decode(file.encoding)))
        except (ValueError, RecursionError) as error:
            is_text = not isinstance(error, UnicodeDecodeError)
            code = Code.MALFORMED if is_text else Code.UNDECODABLE
            text = line.decode(file.encoding, errors="replace")
            bad.append(BadRow(number, code, f"is no JSON object: {error}", text))
    names = dict.fromkeys(name for row in rows for name in row)
    return pa.table(
        {name: pa.array([row.get(name) for row in rows], pa.string()) for name in names}
    )


def _widened(parts: Sequence[tuple[pa.Table, int]]) -> pa.Table:
    """Give all parts the columns of any; a part of empty objects has rows without a column."""
    names = dict.fromkeys(name for part, _ in parts for name in part.column_names)
    return together(
        pa.table(
            {
                name: part[name] if name in part.column_names else pa.nulls(n_rows, pa.string())
                for name in names
            }
        )
        for part, n_rows in parts
    )


def _object(line: str) -> dict[str, str | None]:
    row = json.loads(line, parse_int=str, parse_float=str, parse_constant=str)
    if not isinstance(row, dict):
        raise ValueError("it is another value")  # noqa: TRY004 - a file is wrong, no type
    return {name: _json_text(value) for name, value in row.items()}


def _json_text(value: Any) -> str | None:
    return value if isinstance(value, str | None) else json.dumps(value)


def _excel(file: File, content: bytes) -> Text:
    with ZipFile(io.BytesIO(content)) as packed:
        check_size(sum(part.file_size for part in packed.infolist()))
    return Text(read_workbook(file, content))


_PARSERS: Final = {
    FileFormat.CSV: _csv,
    FileFormat.PARQUET: _parquet,
    FileFormat.JSONL: _jsonl,
    FileFormat.EXCEL: _excel,
}
