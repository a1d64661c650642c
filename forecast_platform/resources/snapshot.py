"""Tables read for one piece of work: each at one version, however often it is read.

Other runs may commit between two reads; what is noted of a table is then what was read of it.
Where rows are kept, and how versions are made, is in `forecast_platform.resources.lake`.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from forecast_platform.resources.lake import Lake


@dataclass
class Snapshot:
    """Reads of the lake that remember the version of every table.

    Parameters
    ----------
    lake : Lake
    versions : dict of str to int, optional
        Versions to read, by table. The others are fixed by their first read.
    """

    lake: Lake
    versions: dict[str, int] = field(default_factory=dict)

    def read(self, table: str, **selection: Any) -> pd.DataFrame:
        """Read as `Lake.read`, at the version of the first read."""
        rows = self.lake.read(table, version=self.versions.get(table), **selection)
        self.versions.setdefault(table, rows.attrs["version"])
        return rows

    def column_names(self, table: str) -> Sequence[str]:
        """Name the columns of a table, at the version of the first read."""
        return self.lake.column_names(table, self.versions.get(table))

    def exists(self, table: str) -> bool:
        """Whether somebody has written the table."""
        return table in self.versions or self.lake.exists(table)
