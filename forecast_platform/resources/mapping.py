"""Delivered columns put under contract names, as the sources file says.

Text in, text out: what a value may look like is in `forecast_platform.schemas.parsing`. SQL of
the sources file runs in a database that reaches neither files nor the network.
"""

from collections.abc import Mapping

import pyarrow as pa

from forecast_platform.errors import BadFile, ColumnsMissing
from forecast_platform.resources.formats import stringified
from forecast_platform.resources.sources import Constant, Expression, Source
from forecast_platform.schemas.raw import CONTRACTS, DELIVERED_WEEK
from forecast_platform.vocabulary import REGION, WEEK


def map_columns(name: str, source: Source, delivered: pa.Table, path: str) -> pa.Table:
    """Give delivered columns their contract names.

    Raises
    ------
    ColumnsMissing
        If a delivered column is not there.
    """
    wanted = [*CONTRACTS[name].kinds, *([REGION] if REGION in source.columns else [])]
    mapping = {column: source.columns.get(column, column) for column in wanted}
    _check_delivered(name, mapping, delivered, path)
    expressions = {c: o for c, o in mapping.items() if isinstance(o, Expression)}
    computed = _compute(expressions, delivered, path) if expressions else delivered
    empty = pa.nulls(delivered.num_rows, pa.string())
    columns = {}
    for column, origin in mapping.items():
        if isinstance(origin, Constant):
            values = pa.repeat(pa.scalar(origin.value, pa.string()), delivered.num_rows)
        elif isinstance(origin, Expression):
            values = computed[column]
        else:
            values = delivered[origin] if origin in delivered.column_names else empty
        columns[DELIVERED_WEEK if column == WEEK else column] = values
    return pa.table(columns)


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


def _compute(expressions: Mapping[str, Expression], delivered: pa.Table, path: str) -> pa.Table:
    listed = ", ".join(
        f'cast(({one.sql}) as varchar) as "{column}"' for column, one in expressions.items()
    )
    return query(f"select {listed} from delivered", {"delivered": delivered}, path)  # noqa: S608
