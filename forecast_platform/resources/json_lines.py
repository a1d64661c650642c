"""JSON lines, read as a stream: one object a line, numbers as they were written.

Blocks of bytes in, batches of rows out; what is true of every format is in `formats`.
"""

import itertools
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Final

import numpy as np
import pyarrow as pa

from forecast_platform.resources.decoding import without_bom
from forecast_platform.resources.sources import File
from forecast_platform.resources.text_rows import BadRow, Rows
from forecast_platform.schemas import batches
from forecast_platform.schemas.codes import Code

MAX_LINE: Final = 64 * 1024**2
"""Bytes of the longest line."""

LINES_BYTES: Final = 32 * 1024**2
"""Lines of more bytes than this are not put into one batch."""

Numbered = tuple[int, bytes]
"""A line that is not blank, and its number among those, from 0."""


def read_json_lines(file: File, blocks: Callable[[], Iterable[bytes]]) -> Iterator[Rows]:
    """Read objects as rows of text, at least one batch.

    Parameters
    ----------
    file : File
    blocks : callable
        Gives the content from its beginning. It is asked for twice when there are several
        batches: every batch has the columns of all.

    Raises
    ------
    ValueError
        If it is empty or cut off; rows given before are void.
    """
    lines = _Lines(blocks())
    parts = _batches(enumerate(line for line in lines if line.strip()))
    begun = list(itertools.islice(parts, 2))
    names = _names(file, blocks()) if len(begun) > 1 else None
    rows = None
    for some in itertools.chain(begun, parts):
        rows = _objects(file, some, names)
        yield rows
    if rows is None:
        raise ValueError("it is empty, not even one object")
    if (
        lines.is_open
        and rows.bad
        and (not len(rows.numbers) or rows.bad[-1].number > rows.numbers[-1])
    ):
        raise ValueError(f"its last line is cut off: {rows.bad[-1].text[:200]!r}")


class _Lines:
    """Lines of a content; ``is_open`` says after the last one whether it had no end."""

    def __init__(self, blocks: Iterable[bytes]) -> None:
        self._blocks = blocks
        self.is_open = False

    def __iter__(self) -> Iterator[bytes]:
        rest = b""
        for block in without_bom(self._blocks):
            *whole, rest = (rest + block).split(b"\n")
            yield from whole
            if len(rest) > MAX_LINE:
                raise ValueError(f"a line has more than {MAX_LINE} bytes")
        self.is_open = bool(rest)
        if rest:
            yield rest


def _batches(lines: Iterable[Numbered]) -> Iterator[list[Numbered]]:
    some: list[Numbered] = []
    n_bytes = 0
    for one in lines:
        some.append(one)
        n_bytes += len(one[1])
        if len(some) >= batches.BATCH_ROWS or n_bytes > LINES_BYTES:
            yield some
            some, n_bytes = [], 0
    if some:
        yield some


def _names(file: File, blocks: Iterable[bytes]) -> list[str]:
    """Name the columns that any object has."""
    names: dict[str, None] = {}
    for line in _Lines(blocks):
        try:
            found = _loads(line.decode(file.encoding)) if line.strip() else None
        except (ValueError, RecursionError):
            continue  # it is told when its batch is read
        if isinstance(found, dict):
            names |= dict.fromkeys(found)
    return list(names)


def _objects(file: File, lines: Sequence[Numbered], names: Sequence[str] | None) -> Rows:
    """Read lines of one batch; columns are those of ``names``, or that any of them has."""
    rows: list[dict[str, str | None]] = []
    numbers: list[int] = []
    bad: list[BadRow] = []
    for at, line in lines:
        try:
            rows.append(_object(line.decode(file.encoding)))
            numbers.append(at)
        except (ValueError, RecursionError) as error:
            is_text = not isinstance(error, UnicodeDecodeError)
            code = Code.MALFORMED if is_text else Code.UNDECODABLE
            text = line.decode(file.encoding, errors="replace")
            bad.append(BadRow(at, code, f"is no JSON object: {error}", text))
    columns = dict.fromkeys(name for row in rows for name in row) if names is None else names
    table = pa.table(
        {name: pa.array([row.get(name) for row in rows], pa.string()) for name in columns}
    )
    return Rows(table, np.array(numbers, dtype=np.int64), bad)


def _loads(line: str) -> Any:
    return json.loads(line, parse_int=str, parse_float=str, parse_constant=str)


def _object(line: str) -> dict[str, str | None]:
    row = _loads(line)
    if not isinstance(row, dict):
        raise ValueError("it is another value")  # noqa: TRY004 - a file is wrong, no type
    return {name: _text(value) for name, value in row.items()}


def _text(value: Any) -> str | None:
    return value if isinstance(value, str | None) else json.dumps(value)
