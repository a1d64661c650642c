"""Delimited text, read as a stream: CSV with any delimiter, quote and encoding.

Blocks of bytes in, batches of rows out; what is true of every format is in `formats`.
"""

import csv
import itertools
from collections import deque
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Final

import numpy as np
import pyarrow as pa
import pyarrow.csv as pacsv

from forecast_platform.resources.contents import BlockStream
from forecast_platform.resources.decoding import MARK, Decoder, shown
from forecast_platform.resources.sources import File
from forecast_platform.resources.text_rows import BadRow, Rows, numbered
from forecast_platform.schemas.batches import plain, regrouped
from forecast_platform.schemas.codes import Code

if TYPE_CHECKING:
    from typing import Any

PARSED_BYTES: Final = 1024**2
"""Bytes that are parsed at a time, and the longest row. The parser reads 32 such blocks ahead."""

MAX_BAD_RUN: Final = 2**18
"""A file with more wrong rows one after the other is another file than its source describes; the
parser recurses over blocks in which no row is right."""

HEADER_ROWS: Final = 2
"""The parser counts rows from 1, and the header is one."""


def read_csv(file: File, blocks: Iterable[bytes]) -> Iterator[Rows]:
    """Read rows as text, at least one batch.

    Raises
    ------
    ValueError, pyarrow.ArrowException, csv.Error
        If it is no such file, is cut off, or a quote swallows rows; rows given before are void.
    """
    decoder = Decoder(file.encoding)
    begun, remaining = _without_lines(decoder.decode(blocks), file.skip_rows)
    names = _header(file, begun)
    text = _Watched(itertools.chain([begun], remaining), file.quote)
    malformed = _Malformed()
    position = 0
    last: list[str] = []
    for table in _told(_parsed(file, names, text, malformed), file, malformed):
        rows = numbered(position, table, malformed.rows)
        position += table.num_rows + len(rows.bad)
        last = [str(one[-1]) for one in table.columns if table.num_rows] or last
        rows = _without_undecodable(rows, file) if decoder.found_damage else rows
        yield rows
    _check_end(text, last, malformed.rows)
    if malformed.rows:
        no_rows = pa.table({shown(name): pa.array([], pa.string()) for name in names})
        yield Rows(no_rows, np.arange(0), list(malformed.rows))


def check_names(names: list[str]) -> None:
    """Refuse a header that names a column twice."""
    if len(set(names)) != len(names):
        raise ValueError(f"its header names a column twice: {', '.join(names)}")


def _without_lines(blocks: Iterator[bytes], n_lines: int) -> tuple[bytes, Iterator[bytes]]:
    """Leave out lines above the header; return the header's line with what was read with it."""
    begun = b""
    for block in blocks:
        begun += block
        while n_lines and b"\n" in begun:
            begun = begun.partition(b"\n")[2]
            n_lines -= 1
        if not n_lines and b"\n" in begun:
            break
        if len(begun) > PARSED_BYTES:
            raise ValueError(f"a line at its beginning has more than {PARSED_BYTES} bytes")
    return (b"" if n_lines else begun), blocks


def _header(file: File, begun: bytes) -> list[str]:
    head = begun.split(b"\n", 1)[0].decode().rstrip("\r")
    if not head:
        raise ValueError("it is empty, not even a header")
    names = next(csv.reader([head], delimiter=file.delimiter, quotechar=file.quote))
    check_names(names)
    return names


class _Watched:
    """Text on its way to the parser; its quotes are counted and its end is remembered."""

    def __init__(self, blocks: Iterable[bytes], quote: str) -> None:
        self._blocks = blocks
        self.quote = quote
        self.n_quotes = 0
        self.end = b""

    def __iter__(self) -> Iterator[bytes]:
        quote = self.quote.encode()
        for block in self._blocks:
            self.n_quotes += block.count(quote)
            self.end = block[-1:] or self.end
            yield block


class _Malformed:
    """Rows that have another number of values than the header."""

    def __init__(self) -> None:
        self.rows: deque[BadRow] = deque()
        self.problem = ""
        self._run = 0
        self._next = 0

    def refuse(self, row: "Any") -> str:
        """Keep a row and let it out, or end it all when too many came running.

        The parser calls this.
        """
        reason = f"has {row.actual_columns} values, the header has {row.expected_columns}"
        found = BadRow(row.number - HEADER_ROWS, Code.MALFORMED, reason, shown(row.text))
        self._run = self._run + 1 if found.number == self._next else 1
        self._next = found.number + 1
        if self._run > MAX_BAD_RUN:
            self.problem = f"{MAX_BAD_RUN} rows running cannot be read; the last one {reason}"
            return "error"
        self.rows.append(found)
        return "skip"


def _parsed(
    file: File, names: list[str], text: Iterable[bytes], malformed: _Malformed
) -> Iterator[pa.Table]:
    """Parse rows and put them together to batches, at least one."""
    blocks = pacsv.open_csv(
        _opened(iter(text)),
        read_options=pacsv.ReadOptions(use_threads=False, block_size=PARSED_BYTES),
        parse_options=pacsv.ParseOptions(
            delimiter=file.delimiter,
            quote_char=file.quote,
            newlines_in_values=True,
            invalid_row_handler=malformed.refuse,
        ),
        convert_options=pacsv.ConvertOptions(
            column_types=dict.fromkeys(names, pa.string()), strings_can_be_null=False
        ),
    )
    shown_names = [shown(name) for name in blocks.schema.names]
    no_rows = blocks.schema.empty_table()
    parsed = (pa.Table.from_batches([one]) for one in blocks)
    for table in regrouped(itertools.chain([no_rows], parsed)):
        yield table.rename_columns(shown_names)


def _told(tables: Iterator[pa.Table], file: File, malformed: _Malformed) -> Iterator[pa.Table]:
    """Say in our own words what the parser cannot go on with."""
    try:
        yield from tables
    except pa.ArrowInvalid as error:
        if malformed.problem:
            raise ValueError(malformed.problem) from error
        if "straddl" not in str(error):
            raise
        raise ValueError(
            f"a row has more than {PARSED_BYTES} bytes: a quote {file.quote} is probably opened "
            "and never closed"
        ) from error


def _opened(blocks: Iterator[bytes]) -> pa.NativeFile:
    """Open text for the parser, which reads in a thread of its own what is more than a block."""
    begun = list(itertools.islice(blocks, 2))
    if len(begun) > 1:
        return pa.PythonFile(BlockStream(itertools.chain(begun, blocks)), mode="r")
    return pa.BufferReader(b"".join(begun))


def _check_end(text: _Watched, last: list[str], bad: deque[BadRow]) -> None:
    """Refuse a file that is cut off, or in which a quote swallowed the rows after it.

    Parameters
    ----------
    text : _Watched
        Read to its end.
    last : list of str
        Values of the last row that could be read.
    bad : deque of BadRow
        Rows after it.
    """
    if bad and text.end not in (b"\n", b"\r"):
        raise ValueError(f"its last line is cut off: {bad[-1].text[:200]!r}")
    values = [bad[-1].text] if bad else last
    if text.n_quotes % 2 == 1 and any("\n" in one for one in values):
        raise ValueError(f"a quote {text.quote} is opened and never closed")


def _without_undecodable(rows: Rows, file: File) -> Rows:
    """Set rows apart that hold bytes which are no text of the file's encoding."""
    damaged = np.zeros(rows.table.num_rows, dtype=bool)
    for column in rows.table.columns:
        damaged |= column.to_pandas().str.contains(MARK, regex=False).to_numpy(bool)
    reason = f"holds bytes that are no {file.encoding} text"
    lines = plain(rows.table.filter(pa.array(damaged))).to_pylist()
    found = [
        BadRow(int(at), Code.UNDECODABLE, reason, shown(file.delimiter.join(line.values())))
        for at, line in zip(rows.numbers[damaged], lines, strict=True)
    ]
    bad = sorted([*rows.bad, *found], key=lambda one: one.number)
    return Rows(rows.table.filter(pa.array(~damaged)), rows.numbers[~damaged], bad)
