"""Delivered columns put under contract names, as the sources file says.

Text in, text out: what a value may look like is in `forecast_platform.schemas.parsing`. SQL of
the sources file runs in a database that reaches neither files nor the network.
"""

import json
from collections.abc import Mapping, Sequence

import pandas as pd
import pyarrow as pa

from forecast_platform.errors import BadFile, ColumnsMissing
from forecast_platform.resources.conversions import (
    apply,
    has_other_numbers,
    plain_numbers,
    steps_of,
)
from forecast_platform.resources.sources import Constant, Expression, Source
from forecast_platform.resources.text_rows import stringified
from forecast_platform.schemas.codes import REFUSAL, Code
from forecast_platform.schemas.raw import CONTRACTS, DELIVERED_WEEK
from forecast_platform.vocabulary import REGION, WEEK


def map_columns(name: str, source: Source, delivered: pa.Table, path: str) -> pa.Table:
    """Give delivered columns their contract names and notation.

    Returns
    -------
    pyarrow.Table
        Text, with the column `REFUSAL`: what was refused already, because a code is unknown, or a
        number, date or expression cannot be read. Such a value is as it was delivered.

    Raises
    ------
    ColumnsMissing
        If a delivered column is not there.
    """
    contract = CONTRACTS[name]
    wanted = [*contract.kinds, *([REGION] if REGION in source.columns else [])]
    mapping = {column: source.columns.get(column, column) for column in wanted}
    delivered = _with_nested(mapping, source, delivered)
    _check_delivered(name, mapping, delivered, path)
    expressions = {c: o for c, o in mapping.items() if isinstance(o, Expression)}
    computed, failed = _compute(expressions, delivered, path) if expressions else (delivered, [])
    columns = {
        column: _values_of(column, origin, delivered, computed)
        for column, origin in mapping.items()
    }
    steps = {
        column: steps_of(
            source,
            column,
            contract.kinds.get(column),
            is_delivered=isinstance(origin, str),
            factors=lambda factor: _factors(source, delivered, factor, path),
        )
        for column, origin in mapping.items()
    }
    converted, refused = apply(
        {column: some for column, some in steps.items() if some},
        {column: columns[column].to_pandas() for column, some in steps.items() if some},
    )
    for column, values in converted.items():
        columns[column] = pa.array(values, pa.string(), from_pandas=True)
    refusals = _refusals(delivered.num_rows, [*failed, refused])
    named = {DELIVERED_WEEK if column == WEEK else column: one for column, one in columns.items()}
    return pa.table({**named, REFUSAL: refusals})


def _values_of(
    column: str, origin: str | Expression | Constant, delivered: pa.Table, computed: pa.Table
) -> pa.ChunkedArray | pa.Array:
    if isinstance(origin, Constant):
        return pa.repeat(pa.scalar(origin.value, pa.string()), delivered.num_rows)
    if isinstance(origin, Expression):
        return computed[column]
    if origin in delivered.column_names:
        return delivered[origin]
    return pa.nulls(delivered.num_rows, pa.string())


def _with_nested(
    mapping: Mapping[str, str | Expression | Constant], source: Source, delivered: pa.Table
) -> pa.Table:
    """Take ``a.b`` out of the objects in the column ``a``, where no column is called so."""
    factors = [unit.factor_from for unit in source.units.values()]
    for origin in dict.fromkeys([*mapping.values(), *factors]):
        if not isinstance(origin, str) or origin in delivered.column_names:
            continue
        outer, _, inner = origin.partition(".")
        if inner and outer in delivered.column_names:
            parts = inner.split(".")
            values = [_inside(text, parts) for text in delivered[outer].to_pylist()]
            delivered = delivered.append_column(origin, pa.array(values, pa.string()))
    return delivered


def _inside(text: str | None, parts: Sequence[str]) -> str | None:
    try:
        found = json.loads(text or "null", parse_int=str, parse_float=str, parse_constant=str)
    except ValueError:
        return None
    for part in parts:
        found = found.get(part) if isinstance(found, dict) else None
    return found if isinstance(found, str | None) else json.dumps(found)


def _factors(source: Source, delivered: pa.Table, factor: str, path: str) -> pd.Series:
    if factor not in delivered.column_names:
        raise ColumnsMissing(f"{path} has no column {factor}, which a unit's factor_from names")
    text = delivered[factor].to_pandas()
    if not has_other_numbers(source):
        return text
    plain = plain_numbers(text, source.decimal, source.thousands)
    return plain.text.mask(plain.is_wrong, None)


def _refusals(n_rows: int, found: Sequence[pd.DataFrame]) -> pa.Array:
    """Write the first refusal of each row as JSON."""
    texts: list[str | None] = [None] * n_rows
    for refused in (one for one in found if len(one)):
        for row, refusal in zip(refused.index, refused.to_dict("records"), strict=True):
            texts[row] = texts[row] or json.dumps(refusal)
    return pa.array(texts, pa.string())


def query(sql: str, tables: Mapping[str, pa.Table], path: str) -> pa.Table:
    """Run one SELECT on text tables, in a database that reaches nothing else.

    Raises
    ------
    BadFile
        If the query fails on these rows.
    """
    import duckdb

    with duckdb.connect(":memory:", config={"threads": 1}) as connection:
        for name, table in tables.items():
            connection.register(name, table)
        connection.execute("set python_enable_replacements = false")
        connection.execute("set enable_external_access = false")
        connection.execute("set lock_configuration = true")
        try:
            if len(duckdb.extract_statements(sql)) != 1:
                raise BadFile(f"{path}: the sources file has more than one SQL statement: {sql}")
            found: duckdb.DuckDBPyRelation | None = connection.sql(sql)
            if found is None:
                raise BadFile(f"{path}: the SQL of the sources file is no SELECT: {sql}")
            return stringified(found.to_arrow_table())
        except duckdb.Error as error:
            first = str(error).splitlines()[0]
            raise BadFile(f"{path}: the SQL of the sources file fails on it: {first}") from error


def _check_delivered(
    name: str, mapping: Mapping[str, object], delivered: pa.Table, path: str
) -> None:
    absent = [
        origin
        for column, origin in mapping.items()
        if isinstance(origin, str)
        and origin not in delivered.column_names
        and column not in CONTRACTS[name].nullable
    ]
    if absent:
        raise ColumnsMissing(
            f"{path} has no column {', '.join(absent)}; it has "
            f"{', '.join(delivered.column_names)}. Rename it in the file, or map it under "
            f"sources.{name}.columns in the sources file"
        )


def _compute(
    expressions: Mapping[str, Expression], delivered: pa.Table, path: str
) -> tuple[pa.Table, list[pd.DataFrame]]:
    """Compute columns, all rows at once; where a value fails, its row is refused alone."""
    listed = ", ".join(
        f'cast(({one.sql}) as varchar) as "{column}"' for column, one in expressions.items()
    )
    tables = {"delivered": delivered}
    try:
        return query(f"select {listed} from delivered", tables, path), []  # noqa: S608
    except BadFile as error:
        return _try_each(expressions, tables, path, error)


def _try_each(
    expressions: Mapping[str, Expression], tables: Mapping[str, pa.Table], path: str, error: BadFile
) -> tuple[pa.Table, list[pd.DataFrame]]:
    listed = ", ".join(
        f'try(cast(({one.sql}) as varchar)) as "{column}", '
        f'try((cast(({one.sql}) as varchar)) is null) is null as "{column} failed"'
        for column, one in expressions.items()
    )
    try:
        found = query(f"select {listed} from delivered", tables, path)  # noqa: S608
    except BadFile:
        raise error from None  # no value's fault: the SQL itself is wrong
    refused = []
    for column, one in expressions.items():
        failed = found[f"{column} failed"].to_pandas() == "true"
        rows = failed.index[failed]
        refused.append(
            pd.DataFrame(
                {
                    "code": str(Code.NOT_COMPUTED),
                    "column": column,
                    "reason": f"cannot be computed by the sources file's SQL: {one.sql}",
                    "value": "",
                },
                index=rows,
            )
        )
    return found, refused
