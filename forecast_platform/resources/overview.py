"""What serves in a region, in one table: the manifest with ages, former champions and failover.

For people, on the command line and in reports; nothing is decided here.
"""

from collections.abc import Sequence
from typing import Final

import numpy as np
import pandas as pd

from forecast_platform.resources.failover import FAILOVER_STATE
from forecast_platform.resources.lake import Lake
from forecast_platform.resources.manifest import PROMOTION, newest_manifest, records
from forecast_platform.vocabulary import CUTOFF, ENSEMBLE, REGION, SEGMENT, WEEK

RECENT_WEEKS: Final = 26
"""Weeks that are read to find the former champion [weeks]."""


def serving_models(
    lake: Lake, regions: Sequence[str], *, with_former: bool = False
) -> pd.DataFrame:
    """Say who serves every segment of some regions.

    Parameters
    ----------
    lake : Lake
    regions : Sequence[str]
    with_former : bool, default=False
        Find the former champions too, which half a year has to be read for.

    Returns
    -------
    pandas.DataFrame
        The newest row of `promotion` of every ensemble, in order of region and segment, with
        ``age_days`` at the newest week, the ``state`` of failover, and ``former_version``; without
        rows when nothing was judged.
    """
    if not lake.exists(PROMOTION):
        return pd.DataFrame()
    manifest = newest_manifest(lake, regions, RECENT_WEEKS if with_former else 1)
    states = _states(lake, regions)
    rows = []
    for name, row in manifest.newest.items():
        if row["kind"] != ENSEMBLE:
            continue
        former = manifest.previous(name) if with_former else None
        serves = not pd.isna(row["champion_version"])
        rows.append(
            {
                **row,
                "former_version": former["champion_version"] if former else None,
                "age_days": (row[WEEK] - row[CUTOFF]).days if serves else np.nan,
                "state": states.get((row[REGION], row[SEGMENT]), "not scored"),
            }
        )
    found = pd.DataFrame(rows)
    return found.sort_values([REGION, SEGMENT], ignore_index=True) if rows else found


def _states(lake: Lake, regions: Sequence[str]) -> dict[tuple[str, str], str]:
    if not lake.exists(FAILOVER_STATE):
        return {}
    weeks: dict[str, pd.Timestamp] = {}
    for entry in lake.open(FAILOVER_STATE).partitions():
        region, week = entry[REGION], pd.Timestamp(entry[WEEK])
        if region in regions:
            weeks[region] = max(weeks.get(region, week), week)
    if not weeks:
        return {}
    rows = lake.read(FAILOVER_STATE, region=sorted(weeks), weeks=sorted(set(weeks.values())))
    newest = [row for row in records(rows) if row[WEEK] == weeks[row[REGION]]]
    return {(str(row[REGION]), str(row[SEGMENT])): str(row["state"]) for row in newest}
