"""Bring a frame into the form of its contract: columns, order, types.

Judges nothing: whether the values are right is for the schema checks.
"""

import pandas as pd
import pandera.pandas as pa


def as_table(frame: pd.DataFrame, schema: type[pa.DataFrameModel]) -> pd.DataFrame:
    """Select the columns of ``schema``, in its order and with its types.

    A column of nothing but missing values gets its type too, so that a table's first write
    does not fix a wrong one. Compact text stays compact; see `schemas.batches`.

    Raises
    ------
    KeyError
        If ``frame`` lacks a column.
    """
    columns = schema.to_schema().columns
    frame = frame[list(columns)]  # all that it lacks are named at once
    types = {name: _dtype(column.dtype) for name, column in columns.items()}
    compact = [
        name
        for name, type_ in types.items()
        if type_ == "str" and isinstance(frame[name].dtype, pd.CategoricalDtype)
    ]
    types |= dict.fromkeys(compact, "category")
    return frame.astype(types).reset_index(drop=True)


def _dtype(dtype: object) -> str:
    name = str(dtype)
    if name.startswith("string"):
        return "str"
    return "datetime64[us]" if name.startswith("datetime64") else name
