"""Delivered files of every format, read as text by the batch.

A content in, rows of text out: nothing here knows folders, contracts or what a value means. A file
is never held whole but where its format leaves no choice, which is Excel.
"""

import csv
import tempfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from typing import IO, Final
from zipfile import BadZipFile, ZipFile

import pyarrow as pa
import pyarrow.parquet as pq

from forecast_platform.errors import BadFile
from forecast_platform.resources.contents import BLOCK, Content
from forecast_platform.resources.csv_files import check_names, read_csv
from forecast_platform.resources.json_lines import read_json_lines
from forecast_platform.resources.sources import Compression, File, FileFormat
from forecast_platform.resources.spreadsheets import read_workbook
from forecast_platform.resources.text_rows import Rows, all_right, in_one, stringified
from forecast_platform.resources.unpacking import (
    SMALL_BYTES,
    check_held,
    check_ratio,
    compression_in,
    unpacked,
)
from forecast_platform.schemas import batches
from forecast_platform.schemas.batches import plain

LONGEST_MAGIC: Final = 4

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


def read_rows(file: File, path: str, content: Content) -> Iterator[Rows]:
    """Read a file with every value as text, bad rows apart: at least one batch.

    Raises
    ------
    BadFile
        If it is not what its format says: truncated, another format, not one row readable. What
        was given before is void.
    """
    try:
        yield from _from_the_first_right_row(_PARSERS[file.format](file, content))
    except UNREADABLE as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise BadFile(
            f"{path} cannot be read as {file.format}: {reason}. It may be truncated or of another "
            "format; nothing of it was taken. Deliver it again"
        ) from error


def read_text(file: File, path: str, content: Content) -> pa.Table:
    """Read a file whole, of which every row must be right, with every value as text.

    Raises
    ------
    BadFile
        As `read_rows`, or if one row is wrong or it has more than can be held.
    """
    found = read_whole(path, read_rows(file, path, content))
    if found.bad:
        first = found.bad[0]
        raise BadFile(f"{path}: row {first.number + 2} {first.reason}: {first.text[:200]!r}")
    return plain(found.table)


def read_whole(path: str, parts: Iterable[Rows]) -> Rows:
    """Put the batches of a file together.

    Raises
    ------
    BadFile
        If they are more than can be held.
    """

    def counted() -> Iterator[Rows]:
        n_bytes = 0
        for part in parts:
            n_bytes += part.table.nbytes
            try:
                check_held(n_bytes)
            except ValueError as error:
                raise BadFile(f"{path}: {error}") from None
            yield part

    return in_one(counted())


def _from_the_first_right_row(parts: Iterable[Rows]) -> Iterator[Rows]:
    """Hold batches of bad rows back until one row is right; there must be one, if there are any."""
    held: list[Rows] = []
    is_right = False
    for rows in parts:
        is_right = is_right or rows.table.num_rows > 0
        held.append(rows)
        if is_right:
            yield from held
            held = []
        elif sum(len(one.bad) for one in held) > batches.BATCH_ROWS:
            break
    bad = [one for rows in held for one in rows.bad]
    if bad:
        raise ValueError(f"no row can be read; the first one {bad[0].reason}")
    yield from held


def _compression(file: File, content: Content) -> str:
    if file.compression is Compression.AUTO:
        begin = content.read_at(0, LONGEST_MAGIC)
        return compression_in(begin, may_be_zip=file.format is FileFormat.EXCEL)
    return str(file.compression)


def _blocks(file: File, content: Content) -> Iterator[bytes]:
    how = _compression(file, content)
    if how == "none":
        return content.blocks()
    return unpacked(content, how, may_be_zip=file.format is FileFormat.EXCEL)


def _opened(file: File, content: Content) -> IO[bytes]:
    """Open a file to read from any place; a packed one is unpacked onto disk when it is large."""
    if _compression(file, content) == "none":
        return content.open()
    copy = tempfile.SpooledTemporaryFile(max_size=SMALL_BYTES)  # noqa: SIM115 - closed by its user
    for block in _blocks(file, content):
        copy.write(block)
    copy.seek(0)
    return copy


def _csv(file: File, content: Content) -> Iterator[Rows]:
    return read_csv(file, _blocks(file, content))


def _json_lines(file: File, content: Content) -> Iterator[Rows]:
    return read_json_lines(file, lambda: _blocks(file, content))


def _parquet(file: File, content: Content) -> Iterator[Rows]:
    with _opened(file, content) as opened:
        packed = pq.ParquetFile(opened, page_checksum_verification=True, buffer_size=BLOCK)
        groups = range(packed.metadata.num_row_groups)
        n_bytes = sum(packed.metadata.row_group(group).total_byte_size for group in groups)
        check_ratio(n_bytes, content.size_bytes)
        check_names(packed.schema_arrow.names)
        if packed.metadata.num_rows <= batches.BATCH_ROWS:
            yield from all_right([stringified(packed.read())])
            return
        parts = packed.iter_batches(batches.BATCH_ROWS)
        yield from all_right(stringified(pa.Table.from_batches([one])) for one in parts)


def _excel(file: File, content: Content) -> Iterator[Rows]:
    with _opened(file, content) as opened:
        with ZipFile(opened) as packed:
            check_held(sum(part.file_size for part in packed.infolist()))
        yield from all_right(batches.batches(read_workbook(file, opened)))


_PARSERS: Final[dict[FileFormat, Callable[[File, Content], Iterator[Rows]]]] = {
    FileFormat.CSV: _csv,
    FileFormat.PARQUET: _parquet,
    FileFormat.JSONL: _json_lines,
    FileFormat.EXCEL: _excel,
}
