"""What goes wrong in deliveries, each wart by name, each at a known place.

A wart changes files that were delivered right, in one region (the retailer's first) and one week
(counted from its first week). Nothing is drawn: the same landing gives the same warts.
"""

from collections.abc import Callable, Collection
from datetime import date
from pathlib import Path
from typing import NamedTuple

from forecast_platform.simulation.config import RetailerConfig
from forecast_platform.simulation.files import replace_file
from forecast_platform.simulation.streams import monday_of


class WartRecord(NamedTuple):
    """One thing that was done to a delivery."""

    wart: str
    source: str
    region: str
    week: date
    path: str
    """File, relative to the landing folder."""
    rows: int
    """Rows concerned."""
    note: str


class Wart(NamedTuple):
    """A way in which a delivery goes wrong."""

    description: str
    source: str
    week_index: int
    """Weeks after the first."""
    apply: Callable[[Path], tuple[Path, int, str]]


Lines = list[str]


def _read(path: Path) -> tuple[str, Lines]:
    header, *lines = path.read_text(encoding="utf-8").splitlines()
    return header, lines


def _write(path: Path, header: str, lines: Lines) -> None:
    with replace_file(path) as part:
        part.write_text("\n".join([header, *lines]) + "\n", encoding="utf-8", newline="\n")


def _missing_week(path: Path) -> tuple[Path, int, str]:
    _, lines = _read(path)
    path.unlink()
    path.parent.rmdir()
    return path, len(lines), "file and folder of the week are not there"


def _duplicate_rows(path: Path) -> tuple[Path, int, str]:
    header, lines = _read(path)
    again = lines[::3]
    _write(path, header, lines + again)
    return path, len(again), "every third row is there twice, identical"


def _late_correction(path: Path) -> tuple[Path, int, str]:
    """Understate every fourth row, and send the right ones after in a file of their own."""
    header, lines = _read(path)
    right = lines[::4]
    wrong = [_with_units(line, max(int(_units(line)) // 2, 1)) for line in right]
    mended = dict(zip(right, wrong, strict=True))
    _write(path, header, [mended.get(line, line) for line in lines])
    correction = path.with_name(f"{path.stem}_correction_1{path.suffix}")
    _write(correction, header, right)
    return correction, len(right), f"{path.name} says too little, {correction.name} is right"


def _negative_units(path: Path) -> tuple[Path, int, str]:
    header, lines = _read(path)
    _write(path, header, [_with_units(line, -int(_units(line))) for line in lines[:3]] + lines[3:])
    return path, len(lines[:3]), "the first three rows have negative units"


def _unknown_store(path: Path) -> tuple[Path, int, str]:
    header, lines = _read(path)
    strange = [f"XX00-9999,{line.split(',', 1)[1]}" for line in lines[:2]]
    strange = [line for i, line in enumerate(strange) if line not in strange[:i]]
    _write(path, header, lines + strange)
    return path, len(strange), "rows of store XX00-9999, which no stores file has"


def _renamed_column(path: Path) -> tuple[Path, int, str]:
    header, lines = _read(path)
    _write(path, header.replace("units_shipped", "qty_shipped"), lines)
    return path, len(lines), "units_shipped is called qty_shipped"


def _truncated_file(path: Path) -> tuple[Path, int, str]:
    """Cut inside the fifth last row, as a broken upload does."""
    header, lines = _read(path)
    lost = min(5, len(lines))
    text = "\n".join([header, *lines[: len(lines) - lost], lines[-lost][:8]])
    with replace_file(path) as part:
        part.write_text(text, encoding="utf-8", newline="\n")
    return path, lost, "ends in the middle of a row"


def _unreadable_units(path: Path) -> tuple[Path, int, str]:
    header, lines = _read(path)
    words = ("1_000", "inf", "12.5", "n/a")[: len(lines)]
    changed = [_with_units(line, word) for line, word in zip(lines, words, strict=False)]
    _write(path, header, changed + lines[len(words) :])
    return path, len(words), f"units of the first rows are {', '.join(words)}"


def _units(line: str) -> str:
    return line.rsplit(",", 1)[1]


def _with_units(line: str, units: object) -> str:
    return f"{line.rsplit(',', 1)[0]},{units}"


WARTS: dict[str, Wart] = {
    "missing_week": Wart(
        "The shipments of a week are not delivered.", "shipments", 2, _missing_week
    ),
    "duplicate_rows": Wart("Every third row is delivered twice.", "shipments", 3, _duplicate_rows),
    "late_correction": Wart(
        "A second file of the week corrects every fourth row of the first.",
        "shipments",
        4,
        _late_correction,
    ),
    "unknown_store": Wart(
        "Shipments of a store that the stores file does not have.", "shipments", 5, _unknown_store
    ),
    "negative_units": Wart("Units below zero in three rows.", "shipments", 6, _negative_units),
    "renamed_column": Wart(
        "The column of units has another name.", "shipments", 7, _renamed_column
    ),
    "truncated_file": Wart(
        "The weather file ends in the middle of a row.", "weather", 8, _truncated_file
    ),
    "unreadable_units": Wart(
        "Units that are not whole numbers: 1_000, inf, 12.5, n/a.",
        "shipments",
        9,
        _unreadable_units,
    ),
}
"""Every wart by name; its week is the one after the last wart's."""


def check_warts(names: Collection[str]) -> None:
    """Refuse unknown names.

    Raises
    ------
    ValueError
        With the names that exist.
    """
    unknown = sorted(set(names) - set(WARTS))
    if unknown:
        raise ValueError(f"no such wart: {', '.join(unknown)}; there are {', '.join(WARTS)}")


def apply_warts(
    config: RetailerConfig, landing: Path, names: Collection[str], *, first: int, last: int
) -> list[WartRecord]:
    """Spoil freshly delivered files and say what was done.

    Parameters
    ----------
    config
        The retailer that delivered.
    landing
        Where it delivered.
    names
        Keys of `WARTS`.
    first, last
        Week numbers that were just delivered; warts of other weeks are left alone.
    """
    check_warts(names)
    records = []
    for name, wart in WARTS.items():
        week = config.first_week_number + wart.week_index
        if name in names and first <= week <= last:
            records.append(_apply(name, config.regions[0], landing, monday_of(week)))
    return records


def _apply(name: str, region: str, landing: Path, week: date) -> WartRecord:
    source = WARTS[name].source
    path, rows, note = WARTS[name].apply(landing / source / region / f"{week}" / f"{source}.csv")
    return WartRecord(name, source, region, week, str(path.relative_to(landing)), rows, note)
