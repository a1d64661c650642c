"""Metadata of assets made from their contracts.

Numbers of a run do not belong here: they are in `reporting`.
"""

import dagster as dg
import pandera.pandas as pa


def column_schema(schema: type[pa.DataFrameModel]) -> dict[str, dg.TableSchema]:
    """Describe the columns of a table as Dagster shows them.

    Returns
    -------
    dict
        Definition metadata with the one key ``dagster/column_schema``.
    """
    columns = [
        dg.TableColumn(
            name=name,
            type=str(column.dtype),
            description=column.description,
            constraints=dg.TableColumnConstraints(
                nullable=bool(column.nullable), unique=bool(column.unique)
            ),
        )
        for name, column in schema.to_schema().columns.items()
    ]
    return {"dagster/column_schema": dg.TableSchema(columns=columns)}
