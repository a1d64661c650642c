"""Excel workbooks, read as text: typed cells in the file's own notation, junk above left out.

An opened file in, an Arrow table of text out; `formats` calls this.
"""

from collections.abc import Iterator, Sequence
from datetime import date, datetime, time
from typing import IO, TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from forecast_platform.resources.sources import File, Source

if TYPE_CHECKING:
    from openpyxl.worksheet._read_only import ReadOnlyWorksheet

ALL_SHEETS = "*"


def read_workbook(file: File, opened: IO[bytes]) -> pa.Table:
    """Read the sheets of a workbook, one below the other; their headers must be the same.

    Numbers are written with the decimal mark of the sources file, so that a typed 1.5 and a text
    1,5 in one column mean the same. Empty rows below the last filled one are no rows.

    Raises
    ------
    ValueError
        If a sheet is missing or empty, or the sheets differ in their headers.
    """
    from openpyxl import load_workbook

    workbook = load_workbook(opened, read_only=True, data_only=True)
    try:
        names = _sheets(file, workbook.sheetnames)
        tables = [_sheet(file, name, workbook[name]) for name in names]
    finally:
        workbook.close()
    for name, table in zip(names, tables, strict=True):
        if table.column_names != tables[0].column_names:
            raise ValueError(
                f"the sheets {names[0]!r} and {name!r} have different columns: "
                f"{', '.join(tables[0].column_names)} and {', '.join(table.column_names)}"
            )
    return pa.concat_tables(tables)


def _sheets(file: File, found: Sequence[str]) -> list[str]:
    if file.sheet is None:
        return list(found[:1])
    if file.sheet == ALL_SHEETS:
        return list(found)
    wanted = [file.sheet] if isinstance(file.sheet, str) else list(file.sheet)
    missing = [name for name in wanted if name not in found]
    if missing:
        raise ValueError(f"it has no sheet {', '.join(missing)}; it has {', '.join(found)}")
    return wanted


def _sheet(file: File, name: str, sheet: "ReadOnlyWorksheet") -> pa.Table:
    decimal = file.decimal if isinstance(file, Source) else "."
    sheet.reset_dimensions()  # some programs write wrong ones
    rows = [[_text(cell, decimal) for cell in row] for row in _values(sheet, file.skip_rows)]
    while rows and not any(rows[-1]):
        rows.pop()
    if not rows:
        raise ValueError(f"the sheet {name!r} is empty, not even a header")
    width = max(len(row) for row in rows)
    columns = list(zip(*(row + [""] * (width - len(row)) for row in rows), strict=True))
    named = [one for one in columns if any(one)]
    headers = [one[0].strip() for one in named]
    if "" in headers:
        raise ValueError(
            f"the sheet {name!r} has values in a column without a header: set skip_rows to the "
            "number of rows above the header"
        )
    if len(set(headers)) != len(headers):
        raise ValueError(f"its header names a column twice: {', '.join(headers)}")
    return pa.table(
        {head: pa.array(one[1:], pa.string()) for head, one in zip(headers, named, strict=True)}
    )


def _values(sheet: "ReadOnlyWorksheet", skip_rows: int) -> Iterator[tuple[Any, ...]]:
    return sheet.iter_rows(min_row=skip_rows + 1, values_only=True)


def _text(cell: object, decimal: str) -> str:
    """Write a cell as text.

    >>> _text(1.5, ","), _text(3.0, "."), _text(datetime(2024, 3, 4), "."), _text(True, ".")
    ('1,5', '3', '2024-03-04', 'true')
    """
    if cell is None:
        return ""
    if isinstance(cell, bool):
        return str(cell).lower()
    if isinstance(cell, float):
        return np.format_float_positional(cell, trim="-").replace(".", decimal)
    if isinstance(cell, datetime):
        return str(cell.date()) if cell.time() == time.min else cell.isoformat(" ")
    return cell.isoformat() if isinstance(cell, date | time) else str(cell)
