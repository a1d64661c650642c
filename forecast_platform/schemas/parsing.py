"""Strict reading of delivered text: what a number, a date or a flag may look like.

Everything is delivered as text here. What does not look exactly like its kind is refused with a
reason; whether a value makes sense is for the contracts in `schemas.raw`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

import pandas as pd

from forecast_platform.schemas.codes import Code


class Kind(StrEnum):
    """How the text of a column is read."""

    ID = "id"
    TEXT = "text"
    NUMBER = "number"
    DATE = "date"
    MONDAY = "Monday"
    FLAG = "flag"


@dataclass(frozen=True, slots=True)
class Form:
    """What the text of a kind looks like, in a pattern and in words."""

    pattern: str
    words: str


FORMS: Final[Mapping[Kind, Form]] = {
    Kind.ID: Form(
        r"^[A-Za-z0-9][A-Za-z0-9 _.:#-]{0,63}$",
        "an identifier: 1 to 64 letters, digits, spaces and _ . : # -",
    ),
    Kind.TEXT: Form(r"^[^\x00-\x1f\x7f]{1,200}$", "a text of 1 to 200 printable characters"),
    Kind.NUMBER: Form(r"^[+-]?[0-9]{1,12}(\.[0-9]{1,20})?$", "a plain number such as 12 or 0.5"),
    Kind.DATE: Form(r"^[0-9]{4}-[0-9]{2}-[0-9]{2}([ T]00:00:00(\.0+)?)?$", "a date YYYY-MM-DD"),
    Kind.MONDAY: Form(
        r"^[0-9]{4}-[0-9]{2}-[0-9]{2}([ T]00:00:00(\.0+)?)?$", "the Monday of a week, YYYY-MM-DD"
    ),
    Kind.FLAG: Form(r"^(?i:true|false|1|0|yes|no)$", "true or false"),
}

MONDAY: Final = 0
TRUE: Final = ("true", "1", "yes")


@dataclass(frozen=True, slots=True)
class Parsed:
    """Typed columns and what was refused.

    Attributes
    ----------
    table : pandas.DataFrame
        The rows of which every column was read.
    refused : pandas.DataFrame
        Columns ``code``, ``column``, ``reason`` and ``value``, indexed like the delivered rows.
    """

    table: pd.DataFrame
    refused: pd.DataFrame


def parse(rows: pd.DataFrame, kinds: Mapping[str, Kind], nullable: frozenset[str]) -> Parsed:
    """Read delivered text into typed columns.

    Parameters
    ----------
    rows : pandas.DataFrame
        Text in the columns of ``kinds``; other columns are passed on as they are.
    kinds : mapping of str to Kind
        How each column is read.
    nullable : frozenset of str
        Columns that may be empty.

    Examples
    --------
    >>> rows = pd.DataFrame({"units": ["3", "1e3", "-2.5"]})
    >>> parsed = parse(rows, {"units": Kind.NUMBER}, frozenset())
    >>> parsed.table["units"].tolist(), parsed.refused["value"].tolist()
    ([3.0, -2.5], ['1e3'])
    """
    typed: dict[str, pd.Series] = {}
    found: list[pd.DataFrame] = []
    for column, kind in kinds.items():
        text = rows[column].astype("str").str.strip()
        is_empty = text.isna() | (text == "")
        values = _READERS[kind](text.mask(~text.str.match(FORMS[kind].pattern, na=False)))
        is_wrong = values.isna() & ~is_empty
        reason = pd.Series(f"is not {FORMS[kind].words}", index=rows.index)
        if column not in nullable:
            is_wrong |= is_empty
            reason = reason.mask(is_empty, "is empty")
        typed[column] = values
        if is_wrong.any():
            found.append(_refusals(column, reason[is_wrong], text[is_wrong], is_empty[is_wrong]))
    refused = pd.concat(found) if found else no_refusals(rows.index[:0])
    refused = refused[~refused.index.duplicated()]
    table = rows.assign(**typed).drop(index=refused.index)
    return Parsed(table, refused)


def no_refusals(index: pd.Index) -> pd.DataFrame:
    """Make a frame of refusals without rows."""
    columns = ("code", "column", "reason", "value")
    return pd.DataFrame({name: pd.Series(dtype="str") for name in columns}, index=index[:0])


def _refusals(
    column: str, reason: pd.Series, value: pd.Series, is_empty: pd.Series
) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "code": is_empty.map({True: str(Code.EMPTY), False: str(Code.UNREADABLE)}),
            "column": column,
            "reason": reason.astype("str"),
            "value": value.fillna("").astype("str"),
        },
        index=reason.index,
    )


def _text(text: pd.Series) -> pd.Series:
    return text


def _number(text: pd.Series) -> pd.Series:
    return pd.to_numeric(text, errors="coerce").astype("float64")


def _date(text: pd.Series) -> pd.Series:
    days = pd.to_datetime(text.str.slice(0, 10), format="%Y-%m-%d", errors="coerce")
    days = days.astype("datetime64[us]")
    return days.where(days.dt.year > 0)  # no calendar of the lake has a year 0


def _monday(text: pd.Series) -> pd.Series:
    days = _date(text)
    return days.where(days.dt.dayofweek == MONDAY)


def _flag(text: pd.Series) -> pd.Series:
    lower = text.str.lower()
    return lower.isin(TRUE).astype("boolean").mask(lower.isna())


_READERS: Final[Mapping[Kind, Callable[[pd.Series], pd.Series]]] = {
    Kind.ID: _text,
    Kind.TEXT: _text,
    Kind.NUMBER: _number,
    Kind.DATE: _date,
    Kind.MONDAY: _monday,
    Kind.FLAG: _flag,
}
