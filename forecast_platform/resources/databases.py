"""Rows of a customer's database, read as text: a table or a query, a region-week at a time.

Reads in a read-only transaction, streamed, with every value bound. Its address comes from the
environment by name; neither it nor its password is in an error, a log or a table.
"""

import hashlib
import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pandas as pd
import pyarrow as pa

from forecast_platform.errors import BadFile
from forecast_platform.partitions import RegionWeek
from forecast_platform.resources.sources import Sql
from forecast_platform.settings import connection_url

if TYPE_CHECKING:
    from sqlalchemy import Connection, Engine
    from sqlalchemy.sql.elements import TextClause
    from sqlalchemy.sql.selectable import Select

ROWS_AT_ONCE: Final = 50_000
_BOUND: Final = re.compile(r"(?<!:):(week_end|week|region)\b")
_DIGEST_SIZE: Final = 1 << 256


@dataclass(frozen=True, slots=True)
class Extract:
    """What a database holds for a region-week.

    Attributes
    ----------
    key : RegionWeek or None
        None when the whole table was read and its rows tell.
    name : str
        Stands for the file's path: ``sql/<connection>/<table or digest of the query>``.
    query : str
        The SQL that was sent, values not filled in.
    sha256 : str
        Digest of the rows, whatever their order.
    """

    key: RegionWeek | None
    name: str
    query: str
    rows: pa.Table
    sha256: str


def extract(sql: Sql, keys: Sequence[RegionWeek]) -> Iterator[Extract | BadFile]:
    """Read what the database holds for each of ``keys``, or everything when rows have no time.

    A region-week that cannot be read is given as a `BadFile`; the first one ends the reading.
    """
    from sqlalchemy.exc import SQLAlchemyError

    url = connection_url(sql.connection)
    if not url:
        yield BadFile(f"{sql.connection} is not set: put the database's SQLAlchemy URL into it")
        return
    engine = None
    try:
        engine = _engine(url)
        with engine.connect() as connection:
            _only_read(connection)
            for key in keys if sql.has_time else [None]:
                yield _extract(connection, sql, key)
    except (SQLAlchemyError, ValueError, ImportError) as error:
        yield BadFile(_without_secrets(f"{name_of(sql)} cannot be read: {_first(error)}", url))
    finally:
        if engine is not None:
            engine.dispose()


def name_of(sql: Sql) -> str:
    """Name a table or query where a file would have its path."""
    what = sql.table or f"query-{hashlib.sha256((sql.query or '').encode()).hexdigest()[:12]}"
    return f"sql/{sql.connection}/{what}"


def _engine(url: str) -> "Engine":
    import sqlalchemy as sa

    parsed = sa.make_url(url)
    if parsed.drivername == "postgresql":
        parsed = parsed.set(drivername="postgresql+psycopg")
    return sa.create_engine(parsed, hide_parameters=True)


def _only_read(connection: "Connection") -> None:
    dialect = connection.dialect.name
    if dialect == "postgresql":
        connection.exec_driver_sql("set transaction read only")
    elif dialect == "sqlite":
        connection.exec_driver_sql("pragma query_only = on")


def _extract(connection: "Connection", sql: Sql, key: RegionWeek | None) -> Extract:
    statement = _statement(sql, key)
    streamed = connection.execution_options(stream_results=True, yield_per=ROWS_AT_ONCE)
    total = 0
    chunks: list[pa.Table] = []
    with streamed.execute(statement) as result:
        names = [str(name) for name in result.keys()]  # noqa: SIM118 - a result, no dict
        if len(set(names)) != len(names):
            raise ValueError(f"it names a column twice: {', '.join(names)}")
        for some in result.partitions():
            rows = [tuple(_text(value) for value in row) for row in some]
            total += sum(_row_digest(row) for row in rows)
            columns = list(zip(*rows, strict=True))
            chunks.append(pa.table([pa.array(one, pa.string()) for one in columns], names=names))
    empty = pa.table([pa.array([], pa.string())] * len(names), names=names)
    rows = pa.concat_tables([empty, *chunks])
    if rows.num_rows and names:
        rows = rows.sort_by([(name, "ascending") for name in names])
    digest = hashlib.sha256(json.dumps([names, total % _DIGEST_SIZE]).encode()).hexdigest()
    return Extract(key, name_of(sql), sql.query or str(statement), rows, digest)


def _row_digest(row: tuple[str | None, ...]) -> int:
    return int.from_bytes(hashlib.sha256(json.dumps(row).encode()).digest(), "big")


def _statement(sql: Sql, key: RegionWeek | None) -> "Select[tuple[Any, ...]] | TextClause":
    """Write the SELECT, with its values bound."""
    import sqlalchemy as sa

    values = _values(key)
    if sql.table is not None:
        schema, _, table = sql.table.rpartition(".")
        origin: Any = sa.table(table, schema=schema or None)
    else:
        text = _bind(sql.query or "", values)
        if key is None or (sql.week_column is None and sql.region_column is None):
            return text
        origin = text.columns().subquery("delivered")
    statement = sa.select(sa.literal_column("*")).select_from(origin)
    if key is not None and sql.week_column is not None:
        about = sa.column(sql.week_column)
        first = sa.bindparam("week", values["week"], sa.Date)
        after = sa.bindparam("next_week", _day(key.week + pd.Timedelta(weeks=1)), sa.Date)
        statement = statement.where(about >= first, about < after)
    if key is not None and sql.region_column is not None:
        region = sa.bindparam("region", key.region, sa.String)
        statement = statement.where(sa.column(sql.region_column) == region)
    return statement


def _bind(query: str, values: dict[str, Any]) -> "TextClause":
    import sqlalchemy as sa

    text = query.strip().rstrip(";")
    named = dict.fromkeys(_BOUND.findall(text))
    types = {"region": sa.String}
    return sa.text(text).bindparams(
        *(sa.bindparam(one, values[one], types.get(one, sa.Date)) for one in named)
    )


def _values(key: RegionWeek | None) -> dict[str, Any]:
    if key is None:
        return {"week": None, "week_end": None, "region": None}
    return {
        "week": _day(key.week),
        "week_end": _day(key.week + pd.Timedelta(days=6)),
        "region": key.region,
    }


def _day(time: pd.Timestamp) -> date:
    return time.to_pydatetime().date()


def _text(value: Any) -> str | None:
    """Write a value of a database as a CSV file would.

    >>> [_text(one) for one in (Decimal("12.50"), 1e-7, datetime(2024, 3, 4), True, None)]
    ['12.5', '0.0000001', '2024-03-04', 'true', None]
    """
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float | Decimal):
        return _number(value)
    if isinstance(value, datetime):
        is_day = value.time() == time.min
        return str(value.date()) if is_day else value.isoformat(" ")
    is_nested = isinstance(value, dict | list)
    return json.dumps(value, default=str) if is_nested else str(value)


def _number(value: float | Decimal) -> str:
    if not isinstance(value, Decimal):
        return np.format_float_positional(value, trim="-")
    is_whole = value.is_finite() and value == value.to_integral_value()
    return f"{value.to_integral_value() if is_whole else value.normalize():f}"


def _first(error: Exception) -> str:
    text = str(getattr(error, "orig", None) or error)
    return text.splitlines()[0] if text else type(error).__name__


def _without_secrets(message: str, url: str) -> str:
    """Take the address and its password out of what a driver said."""
    secrets = [url]
    found = re.match(r"[^:]+://[^:@/]*:(?P<password>.*)@", url)
    if found is not None:
        from urllib.parse import unquote

        secrets += [found["password"], unquote(found["password"])]
    for one in secrets:
        message = message.replace(one, "***") if one else message
    return message
