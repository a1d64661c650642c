"""Demand as it was known: the one way in which the table of demand is read.

The partition of a week holds the demand of that week and what was corrected in it about earlier
weeks. A reader at the close of a week gets, of each series and week, the row that was known last;
weeks of which a store delivered nothing are left out, since nothing is known of them. How rows
are netted and flagged is in `dbt_conditioning`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

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
        rows = self.rows.iloc[: self.rows[WEEK].searchsorted(week, side="right")]
        is_known = np.ones(len(rows), bool)
        if self._superseded_in is not None:
            is_known &= ~(self._superseded_in[: len(rows)] <= np.datetime64(week))
        if IS_REPORTED in rows:
            is_known &= rows[IS_REPORTED].to_numpy()
        known = rows if is_known.all() else rows[is_known]
        return known.drop(columns=IS_REPORTED, errors="ignore")

    @cached_property
    def _superseded_in(self) -> NDArray[np.datetime64] | None:
        """Week in which a later row told better than each row; None without corrections."""
        rows = self.rows
        is_correction = rows[DS] < rows[WEEK]
        if not is_correction.any():
            return None
        is_touched = rows[DS].isin(rows.loc[is_correction, DS].unique()).to_numpy()
        touched = rows.loc[is_touched, [UNIQUE_ID, DS, WEEK]]
        weeks = np.full(len(rows), np.datetime64("NaT", "us"))
        later = touched.groupby([UNIQUE_ID, DS], sort=False)[WEEK].shift(-1)
        weeks[is_touched] = later.to_numpy()
        return weeks

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
