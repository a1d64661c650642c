"""Demand as it was known: the one way in which the table of demand is read.

The partition of a week holds the demand of that week and what was corrected in it about earlier
weeks. A reader at the close of a week gets, of each series and week, the row that was known last;
weeks of which a store delivered nothing are left out, since nothing is known of them. How rows
are netted and flagged is in `dbt_conditioning`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import pandas as pd

from forecast_platform.resources.lake import Lake
from forecast_platform.resources.snapshot import Snapshot
from forecast_platform.vocabulary import DS, PRODUCT_ID, REGION, STORE_ID, UNIQUE_ID, WEEK, Y

DEMAND: Final = "fct_weekly_demand"
COLUMNS: Final = (REGION, WEEK, DS, UNIQUE_ID, STORE_ID, PRODUCT_ID, Y)
"""What is read unless a reader asks for more."""

IS_REPORTED: Final = "is_reported"
"""Whether the store delivered anything of the week; a table without the column has no gap."""


@dataclass(frozen=True)
class DemandHistory:
    """Demand of one region with its corrections, to be cut down to what was known.

    Parameters
    ----------
    rows : pandas.DataFrame
        Rows of `DEMAND` in order of ``week``, the week at whose close each was known.
    """

    rows: pd.DataFrame

    def known_at(self, week: pd.Timestamp) -> pd.DataFrame:
        """Cut down to what was known at the close of a week.

        Returns
        -------
        pandas.DataFrame
            One row per ``unique_id`` and ``ds``: the last known one. Weeks of which nothing was
            reported have none, unless a later delivery told them.
        """
        rows = self.rows
        if not rows[WEEK].iloc[-1:].le(week).all():
            rows = rows[rows[WEEK] <= week]
        is_superseded = _superseded(rows)
        if is_superseded is not None:
            rows = rows[~is_superseded]
        if IS_REPORTED in rows and not rows[IS_REPORTED].all():
            rows = rows[rows[IS_REPORTED]]
        return rows.drop(columns=IS_REPORTED, errors="ignore")

    def between_corrections(self, weeks: Sequence[pd.Timestamp]) -> list[list[pd.Timestamp]]:
        """Group weeks so that within a group nothing is corrected that an earlier one has read.

        The demand known at the last week of a group, cut at the ``ds`` of another one of it, is
        what was known at that one.
        """
        corrected = set(self.rows.loc[self.rows[DS] < self.rows[WEEK], WEEK])
        groups: list[list[pd.Timestamp]] = []
        last = None
        for week in sorted(weeks):
            if last is None or any(last < one <= week for one in corrected):
                groups.append([])
            groups[-1].append(week)
            last = week
        return groups


def _superseded(rows: pd.DataFrame) -> pd.Series | None:
    """Tell rows of which a later one knows better; None where nothing was corrected."""
    is_correction = (rows[DS] < rows[WEEK]).to_numpy()
    if not is_correction.any():
        return None
    touched = rows.loc[rows[DS].isin(rows.loc[is_correction, DS].unique()), [UNIQUE_ID, DS]]
    old = touched.duplicated(keep="last")
    return old.reindex(rows.index, fill_value=False)


def read_demand_history(
    lake: Lake | Snapshot,
    region: str,
    until: pd.Timestamp,
    *,
    since: pd.Timestamp | None = None,
    columns: Sequence[str] = (),
) -> DemandHistory:
    """Read the demand of a region with all corrections up to a week.

    Parameters
    ----------
    lake : Lake or Snapshot
    region : str
    until : pandas.Timestamp
        Last week at whose close something was known.
    since : pandas.Timestamp, optional
        First week to read about.
    columns : sequence of str, optional
        Further columns of the table.

    Raises
    ------
    TableMissing
        If nobody has written the table.
    """
    there = lake.column_names(DEMAND)
    wanted = [*dict.fromkeys((*COLUMNS, *columns, *(c for c in there if c == IS_REPORTED)))]
    rows = lake.read(DEMAND, region=region, since=since, until=until, columns=wanted)
    if since is not None:
        rows = rows[rows[DS] >= since]
    if not rows[WEEK].is_monotonic_increasing:
        rows = rows.sort_values(WEEK, kind="stable", ignore_index=True)
    if IS_REPORTED in rows and rows[IS_REPORTED].dtype != bool:  # rows from before the column
        told = rows[IS_REPORTED].astype("boolean").fillna(value=True).astype(bool)
        rows = rows.assign(**{IS_REPORTED: told})
    return DemandHistory(rows)


def read_demand(
    lake: Lake | Snapshot,
    region: str,
    until: pd.Timestamp,
    *,
    since: pd.Timestamp | None = None,
    columns: Sequence[str] = (),
) -> pd.DataFrame:
    """Read the demand of a region as known at the close of a week.

    Takes what `read_demand_history` takes.

    Returns
    -------
    pandas.DataFrame
        One row per ``unique_id`` and ``ds``, the last known; ``attrs`` as of `Lake.read`.
    """
    history = read_demand_history(lake, region, until, since=since, columns=columns)
    known = history.known_at(until)
    known.attrs = dict(history.rows.attrs)
    return known
