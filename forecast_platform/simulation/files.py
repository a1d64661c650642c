"""Writing one file so that nobody ever sees half of it."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa
from pyarrow import csv


@contextmanager
def replace_file(path: Path) -> Iterator[Path]:
    """Hand out a temporary name in the same folder, then put it in the place of ``path``.

    The temporary name ends in ``.part``, so that no pattern for delivered files matches it.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.part")
    try:
        yield part
        os.replace(part, path)  # noqa: PTH105 - the atomic call by its name
    finally:
        part.unlink(missing_ok=True)


def write_csv(path: Path, table: pa.Table) -> int:
    """Write plain CSV with a header row and return its size in bytes."""
    options = csv.WriteOptions(include_header=False, quoting_style="none")
    with replace_file(path) as part, part.open("wb") as file:
        file.write((",".join(table.column_names) + "\n").encode())
        csv.write_csv(table, file, options)
    return path.stat().st_size
