"""What serves in a region, in one table: the manifest with ages, former champions and failover.

For people, on the command line and in reports; nothing is decided here.
"""

from collections.abc import Sequence
from typing import Final

import numpy as np
import pandas as pd

from forecast_platform.resources.failover import FAILOVER_STATE
from forecast_platform.resources.lake import Lake
from forecast_platform.resources.manifest import PROMOTION, Manifest, records
from forecast_platform.vocabulary import CUTOFF, ENSEMBLE, SEGMENT, WEEK

RECENT_WEEKS: Final = 26
"""Weeks that are read to find the newest row and the former champion [weeks]."""


def serving_models(lake: Lake, regions: Sequence[str]) -> pd.DataFrame:
    """Say who serves every segment of some regions.

    Returns
    -------
    pandas.DataFrame
        The newest row of `promotion` of every ensemble, with ``former_version``, ``age_days`` at
        the newest week, and the ``state`` of failover; without rows when nothing was judged.
    """
    tables = [_of_region(lake, region) for region in regions] if lake.exists(PROMOTION) else []
    filled = [one for one in tables if len(one)]
    return pd.concat(filled, ignore_index=True) if filled else pd.DataFrame()


def _of_region(lake: Lake, region: str) -> pd.DataFrame:
    weeks = lake.weeks_of(PROMOTION, region)[-RECENT_WEEKS:]
    if not weeks:
        return pd.DataFrame()
    manifest = Manifest(lake.read(PROMOTION, region=region, weeks=weeks))
    states = _states(lake, region)
    rows = []
    for name, row in manifest.newest.items():
        if row["kind"] != ENSEMBLE:
            continue
        former = manifest.previous(name)
        serves = not pd.isna(row["champion_version"])
        rows.append(
            {
                **row,
                "former_version": former["champion_version"] if former else None,
                "age_days": (row[WEEK] - row[CUTOFF]).days if serves else np.nan,
                "state": states.get(row[SEGMENT], "not scored"),
            }
        )
    return pd.DataFrame(rows)


def _states(lake: Lake, region: str) -> dict[str, str]:
    if not lake.exists(FAILOVER_STATE):
        return {}
    newest = lake.weeks_of(FAILOVER_STATE, region)[-1:]
    if not newest:
        return {}
    rows = lake.read(FAILOVER_STATE, region=region, weeks=newest)
    return {str(row[SEGMENT]): str(row["state"]) for row in records(rows)}
