"""Delivered notation turned into that of the contracts: codes, decimals, dates, units.

Text in, text out, a column at a time. A value that cannot be converted refuses its row and is
left as it was delivered; what a plain number or date may mean is for `schemas`.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime

import numpy as np
import pandas as pd
import pyarrow as pa

from forecast_platform.resources.sources import Codes, FileFormat, Source, UnitConversion
from forecast_platform.resources.text_rows import stringified
from forecast_platform.schemas.codes import Code
from forecast_platform.schemas.parsing import FORMS, Kind

DECIMALS = 9
"""Converted numbers are rounded to so many places: 12.3, not 12.299999999999999."""

_SPACES = " \u00a0\u202f"


@dataclass(frozen=True, slots=True)
class Converted:
    """A column in the contract's notation.

    Attributes
    ----------
    text : pandas.Series
        Text; as delivered where it could not be converted.
    is_wrong : pandas.Series
        Whether the row is refused.
    code : Code
        Why.
    reason : str
        Why, as a sentence that follows the column's name.
    """

    text: pd.Series
    is_wrong: pd.Series
    code: Code
    reason: str


def translate(text: pd.Series, codes: Codes) -> Converted:
    """Put the contract's value for each code; empty ones stay empty.

    Examples
    --------
    >>> codes = Codes.model_validate({"G": "large", "K": "small"})
    >>> found = translate(pd.Series(["G", "X"], dtype="str"), codes)
    >>> found.text.tolist(), found.is_wrong.tolist()
    (['large', 'X'], [False, True])
    """
    stripped = text.str.strip()
    is_empty = stripped.isna() | (stripped == "")
    found = stripped.map(codes.values)
    is_unknown = found.isna() & ~(is_empty & ~stripped.isin(list(codes.values)))
    values = found.mask(is_unknown, text if codes.default is None else codes.default)
    refused = is_unknown & (codes.default is None)
    shown = ", ".join(list(codes.values)[:10])
    return Converted(
        values.astype("str").where(values.notna(), None),
        refused,
        Code.UNKNOWN_CODE,
        f"is not among the codes of the sources file: {shown}",
    )


def plain_numbers(text: pd.Series, decimal: str, thousands: str | None) -> Converted:
    """Rewrite numbers with another decimal mark or marks between groups of three digits.

    Examples
    --------
    >>> found = plain_numbers(pd.Series(["1.204,50", "1.5"], dtype="str"), ",", ".")
    >>> found.text.tolist(), found.is_wrong.tolist()
    (['1204.50', '1.5'], [False, True])
    """
    stripped = text.str.strip()
    marks = _SPACES if thousands == " " else "'\u2019" if thousands == "'" else thousands or ""
    group = f"[{re.escape(marks)}]" if marks else ""
    whole = rf"(?:[0-9]{{1,3}}(?:{group}[0-9]{{3}})+|[0-9]+)" if group else "[0-9]+"
    pattern = rf"[+-]?{whole}(?:{re.escape(decimal)}[0-9]+)?"
    is_number = stripped.str.fullmatch(pattern, na=False)
    is_empty = stripped.isna() | (stripped == "")
    bare = stripped.str.replace(group, "", regex=True) if group else stripped
    plain = bare.str.replace(decimal, ".", regex=False)
    words = f"decimal mark {decimal!r}" + (f" and thousands {thousands!r}" if thousands else "")
    return Converted(
        plain.where(is_number, text),
        ~is_number & ~is_empty,
        Code.UNREADABLE,
        f"is not a number with {words}",
    )


def plain_dates(text: pd.Series, date_format: str, *, or_plain: bool) -> Converted:
    """Rewrite dates to YYYY-MM-DD; a week (%G-W%V) becomes its Monday.

    Parameters
    ----------
    or_plain : bool
        Whether YYYY-MM-DD is taken too: typed cells of Excel, Parquet and databases come so.

    Examples
    --------
    >>> found = plain_dates(pd.Series(["31.12.2024", "31.02.2024"]), "%d.%m.%Y", or_plain=False)
    >>> found.text.tolist(), found.is_wrong.tolist()
    (['2024-12-31', '31.02.2024'], [False, True])
    """
    stripped = text.str.strip()
    days = {str(one): _day(str(one), date_format) for one in stripped.dropna().unique()}
    if or_plain:
        form = re.compile(FORMS[Kind.DATE].pattern)
        days |= {one: one for one, day in days.items() if day is None and form.match(one)}
    found = stripped.map(days)
    is_wrong = found.isna() & stripped.notna() & (stripped != "")
    return Converted(
        found.where(found.notna(), text),
        is_wrong,
        Code.UNREADABLE,
        f"is not a date as {date_format}",
    )


def _day(text: str, date_format: str) -> str | None:
    """Read one date; None when there is no such day."""
    if "%V" in date_format and "%u" not in date_format:
        text, date_format = f"{text}-1", f"{date_format}-%u"
    try:
        day = datetime.strptime(text, date_format)  # noqa: DTZ007 - a day has no time zone
    except ValueError:
        return None
    if "%V" in date_format and _unpadded(f"{day:{date_format}}") != _unpadded(text):
        return None  # week 53 of a year that has 52 would be read as the first of the next
    return f"{day:%Y-%m-%d}" if day.year >= 1000 and day.time() == datetime.min.time() else None


def _unpadded(text: str) -> str:
    return re.sub(r"(?<![0-9])0+(?=[0-9])", "", text)


def in_units(text: pd.Series, unit: UnitConversion, factors: pd.Series | None) -> Converted:
    """Compute numbers in the contract's unit, rounded to `DECIMALS` places.

    Parameters
    ----------
    factors : pandas.Series or None
        Plain numbers, one per row, in place of the unit's own factor.

    Examples
    --------
    >>> unit = UnitConversion(factor=5 / 9, offset=-160 / 9)
    >>> in_units(pd.Series(["212", "many"], dtype="str"), unit, None).text.tolist()
    ['100', 'many']
    """
    numbers = _numbers(text)
    by = unit.factor if factors is None else _numbers(factors)
    computed = (numbers * by + unit.offset).round(DECIMALS) + 0.0
    is_number = numbers.notna() & np.isfinite(computed)
    plain = stringified(pa.table({"it": pa.array(computed.where(is_number), from_pandas=True)}))
    stripped = text.str.strip()
    is_empty = stripped.isna() | (stripped == "")
    return Converted(
        plain["it"].to_pandas().astype("str").set_axis(text.index).where(is_number, text),
        ~is_number & ~is_empty,
        Code.UNREADABLE,
        "is not a number, or has no factor"
        if unit.factor_from
        else f"is not {FORMS[Kind.NUMBER].words}",
    )


def _numbers(text: pd.Series) -> pd.Series:
    stripped = text.str.strip()
    is_number = stripped.str.fullmatch(FORMS[Kind.NUMBER].pattern.strip("^$"), na=False)
    return pd.to_numeric(stripped.where(is_number), errors="coerce").astype("float64")


def steps_of(
    source: Source,
    column: str,
    kind: Kind | None,
    *,
    is_delivered: bool,
    factors: Callable[[str], pd.Series],
) -> list[Callable[[pd.Series], Converted]]:
    """List the conversions of one contract column, in their order.

    Parameters
    ----------
    is_delivered : bool
        Whether the values are a delivered column. What SQL computed, or a constant, is plain.
    factors : callable
        Returns a delivered column of factors as plain numbers.
    """
    steps: list[Callable[[pd.Series], Converted]] = []
    if column in source.codes:
        steps.append(lambda text: translate(text, source.codes[column]))
    elif is_delivered:
        steps += _notation(source, column, kind)
    unit = source.units.get(column)
    if unit is not None:
        by = factors(unit.factor_from) if unit.factor_from is not None else None
        steps.append(lambda text: in_units(text, unit, by))
    return steps


def _notation(
    source: Source, column: str, kind: Kind | None
) -> list[Callable[[pd.Series], Converted]]:
    date_format = source.date_format_of(column)
    if kind in (Kind.DATE, Kind.MONDAY) and date_format is not None:
        typed = source.sql is not None or source.format is not FileFormat.CSV
        return [lambda text: plain_dates(text, date_format, or_plain=typed)]
    if kind is Kind.NUMBER and has_other_numbers(source):
        return [lambda text: plain_numbers(text, source.decimal, source.thousands)]
    return []


def has_other_numbers(source: Source) -> bool:
    """Whether numbers are delivered in a notation of their own."""
    return source.decimal != "." or source.thousands is not None


def apply(
    steps: Mapping[str, list[Callable[[pd.Series], Converted]]], columns: Mapping[str, pd.Series]
) -> tuple[dict[str, pd.Series], pd.DataFrame]:
    """Convert columns.

    Returns
    -------
    columns : dict of str to pandas.Series
        With a refused value as it was delivered.
    refused : pandas.DataFrame
        ``code``, ``column``, ``reason``, ``value`` of the first refusal of each row.
    """
    done: dict[str, pd.Series] = {}
    found: list[pd.DataFrame] = []
    for column, text in columns.items():
        values = text
        for step in steps.get(column, []):
            converted = step(values)
            wrong = converted.is_wrong.to_numpy(dtype=bool)
            values = converted.text
            if wrong.any():
                shown = text[wrong]
                found.append(
                    pd.DataFrame(
                        {
                            "code": str(converted.code),
                            "column": column,
                            "reason": converted.reason,
                            "value": shown.fillna("").astype("str"),
                        },
                        index=shown.index,
                    )
                )
                values = values.mask(converted.is_wrong, text)
        done[column] = values
    columns_of = ["code", "column", "reason", "value"]
    refused = pd.concat(found) if found else pd.DataFrame(columns=columns_of, dtype="str")
    return done, refused[~refused.index.duplicated()]
