"""The state of failover: who served each segment of a region, since when, and why.

Which model serves is decided in `serving`; that a state is loud belongs to the checks.
"""

from collections.abc import Sequence
from typing import Any, Final

import pandas as pd

from forecast_platform.partitions import RegionWeek
from forecast_platform.resources.manifest import records
from forecast_platform.resources.serving import COPY_USED, STATE
from forecast_platform.resources.snapshot import Snapshot
from forecast_platform.schemas.lifecycle import FailoverState
from forecast_platform.schemas.tables import as_table
from forecast_platform.vocabulary import SEGMENT, WEEK

FAILOVER_STATE: Final = "failover_state"


def states_of(
    key: RegionWeek, forecasts: pd.DataFrame, before: pd.DataFrame, *, run_id: str
) -> pd.DataFrame:
    """Sum up who served each segment of a region-week.

    Parameters
    ----------
    key : RegionWeek
    forecasts : pandas.DataFrame
        As `score` gives them.
    before : pandas.DataFrame
        Rows of `FAILOVER_STATE` of the weeks before, as `states_before` reads them.
    run_id : str
    """
    earlier = (
        before[before[WEEK] < key.week].sort_values(WEEK).drop_duplicates(SEGMENT, keep="last")
    )
    last = {row[SEGMENT]: row for row in records(earlier)}
    rows = [
        _state_of(key, str(segment), own, last.get(segment))
        for segment, own in forecasts.groupby(SEGMENT, sort=True)
    ]
    return as_table(pd.DataFrame(rows).assign(run_id=run_id), FailoverState)


def states_before(
    key: RegionWeek, tables: Snapshot, made: Sequence[pd.DataFrame] = ()
) -> pd.DataFrame:
    """Read the states of the weeks before one: in the lake, and those that this run has made."""
    own = [rows[rows["region"] == key.region] for rows in made]
    if tables.exists(FAILOVER_STATE):
        weeks = tables.lake.weeks_of(FAILOVER_STATE, key.region)
        newest = [week for week in weeks if week < key.week][-1:]
        if newest:
            own.insert(0, tables.lake.read(FAILOVER_STATE, region=key.region, weeks=newest))
    filled = [rows for rows in own if len(rows)]
    return pd.concat(filled) if filled else pd.DataFrame(columns=[WEEK, SEGMENT])


def _state_of(
    key: RegionWeek, segment: str, rows: pd.DataFrame, before: dict[str, Any] | None
) -> dict[str, Any]:
    state = str(rows[STATE].iloc[0])
    reasons = list(rows["failover_reason"].dropna().unique())
    copied = list(rows[COPY_USED].dropna().unique())
    is_same = before is not None and before["state"] == state
    return {
        "region": key.region,
        WEEK: key.week,
        SEGMENT: segment,
        "state": state,
        "reason": "; ".join(map(str, [*reasons, *copied])) or None,
        "since": before["since"] if before is not None and is_same else key.week,
        "state_before": None if before is None else before["state"],
        "n_rows": len(rows),
    }
